"""From a key to the texts that CDNs know it by: ``https://www.acme.com/{key}``.

Placeholders: ``{key}``, ``{path}`` (the key without the route's prefix), ``{dir}`` (up to and with the last slash),
``{name}`` (after it), ``{stem}`` and ``{ext}`` (the name before its last dot, and from it on), ``{bucket}``. The pieces
add up: key = dir + name, name = stem + ext. Each value is percent-encoded exactly once.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PLACEHOLDERS = ("key", "path", "dir", "name", "stem", "ext", "bucket")

# What a path may hold unescaped: RFC 3986, section 3.3, less "+". Browsers send these characters as they are, so
# this is the spelling that caches know. "%", "#" and "?" are escaped, or they would end the path.
_SAFE = "/!$&'()*,;=:@~"

_FIELD = re.compile(r"\{([^{}]*)\}")


class Template(Struct, frozen=True):
    """A parsed template.

    Attributes:
        text: as written.
        format: the same with Python's positional fields, in the order of ``PLACEHOLDERS``.
        fields: the placeholders that occur in it.
    """

    text: str
    format: str
    fields: frozenset[str]


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
    return Template(text, positional, frozenset(fields))


def expand(templates: Sequence[Template], bucket: str, key: str, prefix: str, index: str) -> list[str]:
    """All texts that the templates give for a key, without duplicates, the plainest first.

    Args:
        templates: of one route.
        bucket: of the object.
        key: of the object, decoded.
        prefix: of the route; the key begins with it.
        index: name of the index document, or empty. ``dir/index.html`` is also served as ``dir/``.
    """
    keys = [key]
    if index and (key == index or key.endswith("/" + index)):
        keys.append(key[: -len(index)])
    encoded_prefix = quote(prefix, safe=_SAFE)
    texts = [
        _fill(template, bucket, spell(encoded), len(spell(encoded_prefix)))
        for one in keys
        for encoded in (quote(one, safe=_SAFE),)
        for spell in _spellings(encoded)
        for template in templates
    ]
    return list(dict.fromkeys(texts)) if len(texts) > 1 else texts


def _fill(template: Template, bucket: str, key: str, below: int) -> str:
    fields = template.fields
    if fields == _KEY_ONLY:
        return template.format.format(key)
    head, _, name = key.rpartition("/")
    stem, dot, ext = name.rpartition(".")
    if not stem:  # ".htaccess" has no extension, it has a leading dot
        stem, dot, ext = name, "", ""
    directory = head + "/" if head or key.startswith("/") else ""
    return template.format.format(key, key[below:], directory, name, stem, dot + ext, quote(bucket, safe=""))


_KEY_ONLY = frozenset({"key"})


def _spellings(encoded: str) -> tuple[Callable[[str], str], ...]:
    """How clients may spell a key that holds ``+`` or a space: functions from the encoded text to the spelled one.

    S3 reads ``+`` in a path as a space, so a key with a space is cached under ``%20`` or ``+``, whichever the page
    wrote; and other origins read ``+`` as itself, so a key with a plus is cached under ``%2B`` or ``+``.
    """
    if "%20" not in encoded and "%2B" not in encoded:
        return (_as_is,)
    escapes = [escape for escape in ("%20", "%2B") if escape in encoded]
    return (_as_is, *(partial(_plus_for, escape) for escape in escapes))


def _plus_for(escape: str, text: str) -> str:
    return text.replace(escape, "+")


def _as_is(text: str) -> str:
    return text
