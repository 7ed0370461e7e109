"""From a key to the texts that CDNs know it by: ``https://www.acme.com/{key}``.

Placeholders: ``{key}``, ``{path}`` (the key without the route's prefix), ``{dir}`` (up to and with the last slash),
``{name}`` (after it), ``{stem}`` and ``{ext}`` (the name before its last dot, and from it on), ``{bucket}``. The pieces
add up: key = dir + name, name = stem + ext. Each value is percent-encoded exactly once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from multicdn.routing import spellings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.routing.spellings import ClientName

PLACEHOLDERS = ("key", "path", "dir", "name", "stem", "ext", "bucket")

_FIELD = re.compile(r"\{([^{}]*)\}")
_WHOLE = re.compile(r"[^?#]*(?:\{key\}|\{path\}|\{dir\}(?:\{name\}|\{stem\}|\{ext\})*)(?:[?#].*)?")
_ANCHOR = re.compile(r"((?:[^{?#]|\{bucket\})*)\{(key|path|dir)\}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_OWN_PORTS = {"http": ":80", "https": ":443"}
_SLASH_LAST = re.compile(r"([^:/?#]+://[^/?#]+/[^?#]+)/((?:[?#].*)?)")


class Template(Struct, frozen=True):
    """A parsed template.

    Attributes:
        text: as written.
        format: the same with Python's positional fields, in the order of ``PLACEHOLDERS``.
        fields: the placeholders that occur in it.
        around: what stands before and after the key, where that is the only placeholder.
        whole: whether its path ends with the key, so that another spelling of the key's end is one of the URL's.
    """

    text: str
    format: str
    fields: frozenset[str]
    around: tuple[str, str] | None
    whole: bool


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


def parse(text: str) -> Template:
    """Parse a template.

    Raises:
        ValueError: unknown placeholder or unpaired brace; the sentence is for the author of the config file.
    """
    fields = _FIELD.findall(text)
    for field in fields:
        if field not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise ValueError(f"unknown placeholder {{{field}}}; known: {known}")
    literal = _FIELD.sub("", text)
    if "{" in literal or "}" in literal:
        raise ValueError("a brace without its partner")
    positional = _FIELD.sub(lambda match: f"{{{PLACEHOLDERS.index(match[1])}}}", text)
    head, key, tail = text.partition("{key}")
    around = (head, tail) if fields == ["key"] and key else None
    return Template(text, positional, frozenset(fields), around, _WHOLE.fullmatch(text) is not None)


def tags(templates: Sequence[Template], bucket: str, key: str, prefix: str) -> list[str]:
    """The tags that templates give for a key: as ``expand``, but in one spelling, since no client writes a tag."""
    return list(dict.fromkeys(_spelled(templates, bucket, key, prefix, _ONE)))


def expand(
    templates: Sequence[Template],
    bucket: str,
    key: str,
    prefix: str,
    forms: Forms = PLAIN,
    clients: tuple[ClientName, ...] = spellings.LIKELY,
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
    """
    texts = _spelled(templates, bucket, key, prefix, clients)
    if key.endswith(forms.endings):
        whole = [template for template in templates if template.whole]
        folder = forms.folder(key)
        if folder is not None:
            served = _spelled(whole, bucket, folder, prefix, clients)
            texts += served
            texts += filter(None, map(_without_slash, served)) if forms.bare else ()
        for shorter in forms.stripped(key):
            texts += _spelled(whole, bucket, shorter, prefix, clients)
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


def alternates(templates: Sequence[Template], bucket: str, key: str, prefix: str) -> list[str]:
    """The keys that templates of keys give for a key; nothing is escaped."""
    return [_fill(template, bucket, key, len(prefix)) for template in templates]


def _without_slash(url: str) -> str | None:
    """A URL without the slash at the end of its path; None where there is none, or nothing else."""
    match = _SLASH_LAST.fullmatch(url)
    return match and match[1] + match[2]


def _spelled(
    templates: Sequence[Template], bucket: str, key: str, prefix: str, clients: tuple[ClientName, ...]
) -> list[str]:
    if not key.startswith(prefix):
        templates = [template for template in templates if "path" not in template.fields]
    if spellings.is_plain(key):
        return [
            around[0] + key + around[1] if (around := template.around) else _fill(template, bucket, key, len(prefix))
            for template in templates
        ]
    return [
        _fill(template, bucket, spell(key), len(spell(prefix)))
        for spell in spellings.of(key, clients)
        for template in templates
    ]


def _fill(template: Template, bucket: str, key: str, below: int) -> str:
    head, _, name = key.rpartition("/")
    stem, dot, ext = name.rpartition(".")
    if not stem:  # ".htaccess" has no extension, it has a leading dot
        stem, dot, ext = name, "", ""
    directory = head + "/" if head or key.startswith("/") else ""
    return template.format.format(key, key[below:], directory, name, stem, dot + ext, quote(bucket, safe=""))
