"""Templates such as ``https://www.acme.com/{key}``, read: what may stand in braces, and what does.

Placeholders: ``{key}``, ``{path}`` (the key without the route's prefix), ``{dir}`` (up to and with the last slash),
``{name}`` (after it), ``{stem}`` and ``{ext}`` (the name before its last dot, and from it on), ``{bucket}``. The pieces
add up: key = dir + name, name = stem + ext. Each value is percent-encoded exactly once.

Those of ``key_parts`` are ``{first}``, the first folder of the path, ``{rest}``, what comes after it, ``{segment1}`` to
``{segment9}``, its folders by number, and the named groups of the route's pattern. Not every key has them, and a host
name may be made of them, which must then be one that the route allows: so a template may give nothing for a key.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    import re
    from collections.abc import Collection

_PLAIN_FIELDS = ("key", "path", "dir", "name", "stem", "ext", "bucket")
_PLACES = {name: str(place) for place, name in enumerate(_PLAIN_FIELDS)}

SEGMENTS = tuple(f"segment{number}" for number in range(1, 10))

#: What is cut from the key below the route's prefix.
FOLDERS = frozenset(("first", "rest", *SEGMENTS))

#: What may stand in the place of a host name: nothing that can hold a slash.
IN_HOSTS = frozenset(("first", *SEGMENTS))

#: The field of a format that is the host name, where that is made from the key.
HOST = "_host"

PLACEHOLDERS = (*_PLAIN_FIELDS, "first", "rest", *SEGMENTS)

# Those that tell one object of a folder from another.
_NAMING = frozenset(("key", "path", "rest", "name", "stem"))

_NONE: frozenset[str] = frozenset()

_FIELD = lazy_pattern(r"\{([^{}]*)\}")
_WHOLE = lazy_pattern(r"[^?#]*(?:\{key\}|\{path\}|\{rest\}|\{dir\}(?:\{name\}|\{stem\}|\{ext\})*)(?:[?#].*)?")
_LAST = lazy_pattern(r"[^?#]*\{(\w+)\}(?:[?#].*)?")
_HOST_NAME = lazy_pattern(r"([A-Za-z][A-Za-z0-9+.-]*://)?([^/?#:]*)")


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

    @property
    def is_of_object(self) -> bool:
        """Whether its texts are of one object, rather than of a folder, or the same for all."""
        return self.last in self.captures or not _NAMING.isdisjoint(self.fields)


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
