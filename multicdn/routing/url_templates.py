"""From a key to the texts that CDNs know it by: ``https://www.acme.com/{key}``.

Placeholders: ``{key}``, ``{path}`` (the key without the route's prefix), ``{dir}`` (up to and with the last slash),
``{name}`` (after it), ``{stem}`` and ``{ext}`` (the name before its last dot, and from it on), ``{bucket}``. The pieces
add up: key = dir + name, name = stem + ext. Each value is percent-encoded exactly once.

Those of ``key_parts`` are ``{first}``, the first folder of the path, ``{rest}``, what comes after it, ``{segment1}`` to
``{segment9}``, its folders by number, and the named groups of the route's pattern. Not every key has them, and a host
name may be made of them, which must then be one that the route allows: so a template may give nothing for a key.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from multicdn.routing import spellings
from multicdn.routing.key_parts import FOLDERS, HOST, IN_HOSTS, SEGMENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from multicdn.routing.key_parts import KeyParts
    from multicdn.routing.spellings import ClientName

_PLAIN_FIELDS = ("key", "path", "dir", "name", "stem", "ext", "bucket")
PLACEHOLDERS = (*_PLAIN_FIELDS, "first", "rest", *SEGMENTS)

_NONE: frozenset[str] = frozenset()

# What only a key below the route's prefix has.
_BELOW = FOLDERS | {"path"}

_PLACES = {name: str(place) for place, name in enumerate(_PLAIN_FIELDS)}

_FIELD = re.compile(r"\{([^{}]*)\}")
_WHOLE = re.compile(r"[^?#]*(?:\{key\}|\{path\}|\{rest\}|\{dir\}(?:\{name\}|\{stem\}|\{ext\})*)(?:[?#].*)?")
_LAST = re.compile(r"[^?#]*\{(\w+)\}(?:[?#].*)?")
_HOST_NAME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?([^/?#:]*)")
_ANCHOR = re.compile(r"((?:[^{?#]|\{bucket\})*)\{(key|path|dir)\}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_OWN_PORTS = {"http": ":80", "https": ":443"}
_SLASH_LAST = re.compile(r"([^:/?#]+://[^/?#]+/[^?#]+)/((?:[?#].*)?)")


class Template(Struct, frozen=True, gc=False):
    """A parsed template.

    Attributes:
        text: as written.
        format: the same as Python writes it: the plain pieces by their place in the table, all others by name.
        fields: the placeholders that occur in it.
        around: what stands before and after the key, where that is the only placeholder.
        whole: whether its path ends with the key, so that another spelling of the key's end is one of the URL's.
        last: the placeholder that its path ends with; empty where there is none.
        captures: those of the fields that are groups of the route's pattern.
        host: format of the host name, where that is made from the key; else empty.
        partial: whether there are keys that it gives nothing for.
    """

    text: str
    format: str
    fields: frozenset[str]
    around: tuple[str, str] | None
    whole: bool
    last: str = ""
    captures: frozenset[str] = _NONE
    host: str = ""
    partial: bool = False


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


def parse(text: str, captures: Collection[str] = (), *, host: bool = False) -> Template:
    """Parse a template.

    Args:
        text: as written.
        captures: names of the groups of the route's pattern.
        host: whether it is the template of a host name.

    Raises:
        ValueError: unknown placeholder or unpaired brace; the sentence is for the author of the config file.
    """
    fields = _FIELD.findall(text)
    for field in fields:
        if field not in PLACEHOLDERS and field not in captures:
            raise ValueError(f"unknown placeholder {{{field}}}; known: {described(captures)}")
    if text.count("{") != len(fields) or text.count("}") != len(fields):
        raise ValueError("a brace without its partner")
    names = _shared(*fields)
    if fields == ["key"]:
        head, _, tail = text.partition("{key}")
        return Template(
            text, f"{head}{{0}}{tail}", names, (head, tail), whole=_WHOLE.fullmatch(text) is not None, last="key"
        )
    last = match[1] if (match := _LAST.fullmatch(text)) else ""
    captured = _shared(*(name for name in captures if name in names)) if captures else _NONE
    made = _host_format(text, captured, host=host)
    return Template(
        text,
        _format(text, made),
        names,
        around=None,
        whole=last in captured or _WHOLE.fullmatch(text) is not None,
        last=last,
        captures=captured,
        host=made,
        partial=bool(made or captured) or not FOLDERS.isdisjoint(names),
    )


@cache
def _shared(*names: str) -> frozenset[str]:
    """One set for all templates with the same placeholders: there may be thousands of them."""
    return frozenset(names)


def described(captures: Collection[str] = ()) -> str:
    """All placeholders, for people."""
    named = [name for name in PLACEHOLDERS if name not in SEGMENTS]
    texts = [*(f"{{{name}}}" for name in named), f"{{{SEGMENTS[0]}}} to {{{SEGMENTS[-1]}}}"]
    return ", ".join([*texts, *(f"{{{name}}}" for name in captures)])


def host_fields(text: str) -> list[str]:
    """The placeholders in the host name of a URL's template, but for that of the bucket."""
    match = _HOST_NAME.match(text)
    return [field for field in _FIELD.findall(match[2] if match else "") if field != "bucket"]


def _host_format(text: str, captures: frozenset[str], *, host: bool) -> str:
    """The part of a template that makes a host name from keys, as Python writes it; empty without one."""
    match = _HOST_NAME.match(text)
    if match is None or "{" not in match[2] or not (host or match[1]):
        return ""
    fields = host_fields(text)
    return match[2] if fields and IN_HOSTS.union(captures).issuperset(fields) else ""


def _format(text: str, made_host: str) -> str:
    if made_host:
        text = text.replace(made_host, f"{{{HOST}}}", 1)
    return _FIELD.sub(_format_field, text)


def _format_field(match: re.Match[str]) -> str:
    return f"{{{_PLACES.get(match[1], match[1])}}}"


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
        _fill(template, bucket, spell(key), len(spell(prefix)), parts, spell)
        for spell in spellings.of(key, clients)
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
