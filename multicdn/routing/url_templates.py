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
# Keys that are their own spelling: most are, and matching is several times as fast as escaping.
_UNESCAPED = re.compile(r"[A-Za-z0-9/!$&'()*,;=:@~._-]*")

_FIELD = re.compile(r"\{([^{}]*)\}")
_WHOLE = re.compile(r"[^?#]*(?:\{key\}|\{path\}|\{dir\}(?:\{name\}|\{stem\}|\{ext\})*)(?:[?#].*)?")
_ANCHOR = re.compile(r"((?:[^{?#]|\{bucket\})*)\{(key|path|dir)\}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
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
    return list(dict.fromkeys(_spelled(templates, bucket, key, prefix, most=1)))


def expand(templates: Sequence[Template], bucket: str, key: str, prefix: str, forms: Forms = PLAIN) -> list[str]:
    """Make the texts that the templates give for a key, without duplicates, the plainest first.

    Args:
        templates: of one route.
        bucket: of the object.
        key: of the object, decoded.
        prefix: of the route. Where the key doesn't begin with it, templates with ``{path}`` give nothing.
        forms: how else the site serves it. They hold for templates whose path ends with the key: in
            ``{dir}{stem}.webp`` there is no place for them.
    """
    texts = _spelled(templates, bucket, key, prefix)
    if key.endswith(forms.endings):
        whole = [template for template in templates if template.whole]
        folder = forms.folder(key)
        if folder is not None:
            served = _spelled(whole, bucket, folder, prefix)
            texts += served
            texts += filter(None, map(_without_slash, served)) if forms.bare else ()
        for shorter in forms.stripped(key):
            texts += _spelled(whole, bucket, shorter, prefix)
    return list(dict.fromkeys(texts)) if len(texts) > 1 else texts


def lower_host(url: str) -> str:
    """A URL, or a template of some, with scheme and host in lower case: so browsers send them, and caches keep them."""
    match = _ORIGIN.match(url)
    return match[0].lower() + url[match.end() :] if match else url


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


def _spelled(templates: Sequence[Template], bucket: str, key: str, prefix: str, most: int | None = None) -> list[str]:
    if not key.startswith(prefix):
        templates = [template for template in templates if "path" not in template.fields]
    if _UNESCAPED.fullmatch(key):
        return [
            around[0] + key + around[1] if (around := template.around) else _fill(template, bucket, key, len(prefix))
            for template in templates
        ]
    encoded, encoded_prefix = quote(key, safe=_SAFE), quote(prefix, safe=_SAFE)
    return [
        _fill(template, bucket, spell(encoded), len(spell(encoded_prefix)))
        for spell in _spellings(encoded)[:most]
        for template in templates
    ]


def _fill(template: Template, bucket: str, key: str, below: int) -> str:
    head, _, name = key.rpartition("/")
    stem, dot, ext = name.rpartition(".")
    if not stem:  # ".htaccess" has no extension, it has a leading dot
        stem, dot, ext = name, "", ""
    directory = head + "/" if head or key.startswith("/") else ""
    return template.format.format(key, key[below:], directory, name, stem, dot + ext, quote(bucket, safe=""))


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
