"""From a key to the texts that CDNs know it by: ``https://www.acme.com/{key}``."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from multicdn.patterns import lazy_pattern
from multicdn.routing import spellings
from multicdn.routing.placeholders import FOLDERS, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.routing.key_parts import KeyParts
    from multicdn.routing.placeholders import Template
    from multicdn.routing.spellings import ClientName

# What only a key below the route's prefix has.
_BELOW = FOLDERS | {"path"}

_ANCHOR = lazy_pattern(r"((?:[^{?#]|\{bucket\})*)\{(key|path|dir)\}")
_ORIGIN = lazy_pattern(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_OWN_PORTS = {"http": ":80", "https": ":443"}
_SLASH_LAST = lazy_pattern(r"([^:/?#]+://[^/?#]+/[^?#]+)/((?:[?#].*)?)")


class Forms(Struct, frozen=True):
    """Under which other paths a site also serves an object.

    Attributes:
        index: name of the index document, or empty: ``dir/index.html`` is served as ``dir/``.
        bare: whether it is served as ``dir``, too.
        strip: endings that URLs go without: ``about.html`` is served as ``about``.
        endings: only keys with one of these have another form at all.
    """

    index: str
    bare: bool
    strip: tuple[str, ...]
    endings: tuple[str, ...]

    def folder(self, key: str) -> str | None:
        """The directory that a key is the index document of; empty for the root, None where it is none."""
        if self.index and (key == self.index or key.endswith("/" + self.index)):
            return key[: -len(self.index)]
        return None

    def stripped(self, key: str) -> list[str]:
        """A key without each of the endings that it has. A name that is nothing else is no page."""
        found = (key.removesuffix(ending) for ending in self.strip if key.endswith(ending))
        return [shorter for shorter in found if shorter and not shorter.endswith("/")]


def forms(index: str = "", strip: Sequence[str] = (), *, bare: bool = False) -> Forms:
    """The forms that a route names."""
    return Forms(index, bare, tuple(strip), tuple(filter(None, (index, *strip))))


PLAIN = forms()

_ONE: tuple[ClientName, ...] = ("s3",)


def tags(templates: Sequence[Template], bucket: str, key: str, prefix: str, parts: KeyParts | None = None) -> list[str]:
    """The tags that templates give for a key: as ``expand``, but in one spelling, since no client writes a tag."""
    return list(dict.fromkeys(_spelled(templates, bucket, key, prefix, _ONE, parts)))


def expand(
    templates: Sequence[Template],
    bucket: str,
    key: str,
    prefix: str,
    forms: Forms = PLAIN,
    clients: tuple[ClientName, ...] = spellings.LIKELY,
    parts: KeyParts | None = None,
) -> list[str]:
    """Make the texts that the templates give for a key, without duplicates, the likeliest spelling first.

    Args:
        templates: of one route.
        bucket: of the object.
        key: of the object, decoded.
        prefix: of the route. Where the key doesn't begin with it, templates with ``{path}`` give nothing.
        forms: how else the site serves it. They hold for templates whose path ends with the key: in
            ``{dir}{stem}.webp`` there is no place for them.
        clients: whose spellings of the key to give, as ``spellings.CLIENTS`` names them.
        parts: of the key, where any of the templates is partial.
    """
    texts = _spelled(templates, bucket, key, prefix, clients, parts)
    if key.endswith(forms.endings):
        whole = [template for template in templates if template.whole]
        if parts is not None:
            whole = [template for template in whole if parts.reaches_end(template.last)]
        folder = forms.folder(key)
        if folder is not None:
            served = _spelled(whole, bucket, folder, prefix, clients, parts and parts.shortened(folder))
            texts += served
            texts += filter(None, map(_without_slash, served)) if forms.bare else ()
        for shorter in forms.stripped(key):
            texts += _spelled(whole, bucket, shorter, prefix, clients, parts and parts.shortened(shorter))
    return list(dict.fromkeys(texts)) if len(texts) > 1 else texts


def lower_host(url: str) -> str:
    """A URL, or a template of some, as browsers send its host, and caches keep it.

    Scheme and host are in lower case, without the port that the scheme has by itself.
    """
    match = _ORIGIN.match(url)
    if match is None:
        return url
    origin = match[0].lower()
    return origin.removesuffix(_OWN_PORTS.get(origin.partition(":")[0], "")) + url[match.end() :]


def requested(url: str) -> str:
    """A URL as ``lower_host``, and with the path that a browser asks for where it has none."""
    lower = lower_host(url)
    match = _ORIGIN.match(lower)
    if match is None or lower.startswith("/", match.end()):
        return lower
    return f"{match[0]}/{lower[match.end() :]}"


def anchor(text: str) -> Template | None:
    """The template of what begins like another one's texts and goes on with the key itself.

    ``https://a/{dir}{stem}.webp?w=9`` gives ``https://a/{key}``: below it lie the texts of all keys of a directory.
    None where a template doesn't put the directory of the key first, or has it in its query.
    """
    match = _ANCHOR.match(text)
    return parse(f"{match[1]}{{{'path' if match[2] == 'path' else 'key'}}}") if match else None


def alternates(
    templates: Sequence[Template], bucket: str, key: str, prefix: str, parts: KeyParts | None = None
) -> list[str]:
    """The keys that templates of keys give for a key; nothing is escaped."""
    if parts is not None:
        templates = _complete(templates, parts)
    return [_fill(template, bucket, key, len(prefix), parts, str) for template in templates]


def _without_slash(url: str) -> str | None:
    """A URL without the slash at the end of its path; None where there is none, or nothing else."""
    match = _SLASH_LAST.fullmatch(url)
    return match and match[1] + match[2]


def _spelled(
    templates: Sequence[Template],
    bucket: str,
    key: str,
    prefix: str,
    clients: tuple[ClientName, ...],
    parts: KeyParts | None,
) -> list[str]:
    if not key.startswith(prefix):
        templates = [template for template in templates if _BELOW.isdisjoint(template.fields)]
    if parts is not None:
        templates = _complete(templates, parts)
    if spellings.is_plain(key):
        return [
            around[0] + key + around[1]
            if (around := template.around)
            else _fill(template, bucket, key, len(prefix), parts, str)
            for template in templates
        ]
    return [
        around[0] + spelled + around[1]
        if (around := template.around)
        else _fill(template, bucket, spelled, len(spell(prefix)), parts, spell)
        for spell in spellings.of(key, clients)
        for spelled in (spell(key),)
        for template in templates
    ]


def _complete(templates: Sequence[Template], parts: KeyParts) -> list[Template]:
    """Those that have a text for a key."""
    return [template for template in templates if not (template.partial and parts.lacking(template))]


def _fill(
    template: Template, bucket: str, key: str, below: int, parts: KeyParts | None, spell: Callable[[str], str]
) -> str:
    head, _, name = key.rpartition("/")
    stem, dot, ext = name.rpartition(".")
    if not stem:  # ".htaccess" has no extension, it has a leading dot
        stem, dot, ext = name, "", ""
    directory = head + "/" if head or key.startswith("/") else ""
    values = key, key[below:], directory, name, stem, dot + ext, quote(bucket, safe="")
    if parts is None or not template.partial:
        return template.format.format(*values)
    return template.format.format(*values, **parts.values(template, key[below:], spell))
