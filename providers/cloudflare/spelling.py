"""Spell targets as Cloudflare knows them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from multicdn.provider import Target, TargetKind, TargetsRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

LONGEST_TAG = 1024  # https://developers.cloudflare.com/cache/how-to/purge-cache/purge-by-tags/
_MOST_SEPARATORS = 31  # https://developers.cloudflare.com/cache/how-to/purge-cache/purge_by_prefix/

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#]*)([^?#]*)(.*)", re.DOTALL)
# A URL that is spelled as ``as_seen`` would spell it; without an escape, as nearly all are, it takes half the time to
# tell. No possessive groups: Python 3.11 before 3.11.5 matches too much with them
# (https://github.com/python/cpython/issues/106052).
_PLAIN = re.compile(r"https?:/(?:/[A-Za-z0-9._~:\[\]@!$&'()*+,;=-]++)+/?")
_SEEN = re.compile(
    r"https?://[^/?#]++(?:/(?!/)|[A-Za-z0-9._~:\[\]@!$&'()*+,;=-]++"
    r"|%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])[0-9A-F]{2})*(?:[?#].*)?",
    re.DOTALL,
)
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = re.compile("[A-Za-z0-9._~-]")
_NEITHER = re.compile(r"[^A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]")


def as_seen(url: str, *, escapes: bool = True) -> tuple[str, ...]:
    """Spell the path of a URL as Cloudflare's cache sees it, whatever the client sent.

    https://developers.cloudflare.com/rules/normalization/how-it-works/: unreserved characters are plain, reserved ones
    as they came, all others escaped, in upper case. Slashes that follow each other become one, with URL normalization
    switched off (``escapes`` is False), too. A backslash is a slash or escaped, as the zone's type of it says: then two
    are returned. That the cache sees the result: https://developers.cloudflare.com/cache/how-to/purge-cache/purge_by_prefix/
    """
    parts = None if _SEEN.fullmatch(url) else _PARTS.fullmatch(url)
    if parts is None:
        return (url,)
    paths = [parts[2]]
    if escapes:
        read = dict.fromkeys((parts[2], parts[2].replace("\\", "/")))
        paths = [_NEITHER.sub(_escaped, _ESCAPE.sub(_unescaped, path)) for path in read]
    return tuple(dict.fromkeys(parts[1] + re.sub("//+", "/", path) + parts[3] for path in paths))


def _unescaped(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.fullmatch(character) else escape[0].upper()


def _escaped(found: re.Match[str]) -> str:
    return quote(found[0], safe="", errors="surrogatepass")


def is_seen(url: str) -> bool:
    """Whether a URL is spelled as the cache sees it; false for some that ``as_seen`` leaves alone."""
    return _PLAIN.fullmatch(url) is not None or _SEEN.fullmatch(url) is not None


def located(target: Target, variants: Sequence[Mapping[str, str]], *, escapes: bool) -> tuple[Target, ...]:
    """Spell a target; a URL once for each of the variants, if there are any.

    Raises:
        TargetsRefused: as ``spelled``.
    """
    if target.kind not in (TargetKind.URL, TargetKind.PREFIX):
        return (spelled(target),)
    seen = as_seen(target.value, escapes=escapes)
    if target.kind is TargetKind.PREFIX:
        return tuple(spelled(Target(TargetKind.PREFIX, text)) for text in seen)
    if variants:
        seen = tuple(value for url in seen for value in variants_of(url, variants))
    return (target,) if seen == (target.value,) else tuple(Target(TargetKind.URL, value) for value in seen)


def spelled(target: Target) -> Target:
    """Take its scheme, query and fragment off a prefix, and all but its name off a host.

    Raises:
        TargetsRefused: a prefix of too many segments, a tag that no header can carry, a value without a host.
    """
    spell = _BY_KIND.get(target.kind)
    return Target(target.kind, spell(target.value)) if spell else target


def variants_of(url: str, variants: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Write a URL once for each mapping of request headers: the JSON object of the request body, as text."""
    return tuple(
        json.dumps({"url": url, "headers": headers}, ensure_ascii=False, separators=(",", ":")) for headers in variants
    )


def _prefix(value: str) -> str:
    path = re.split("[?#]", _without_scheme(value))[0].partition("/")[2]
    prefix = f"{_host(value)}/{path}"
    if prefix.count("/") > _MOST_SEPARATORS:
        raise TargetsRefused(f"prefix {value!r} has more than {_MOST_SEPARATORS} path separators", [value])
    return prefix


def _host(value: str) -> str:
    host = re.split("[/?#]", _without_scheme(value))[0].lower()
    if not host:  # nothing would be read as everything
        raise TargetsRefused(f"{value!r} names no host", [value])
    return host


def _without_scheme(value: str) -> str:
    return re.sub(r"^[A-Za-z][A-Za-z0-9+.-]*://", "", value)


def _tag(value: str) -> str:
    if not re.fullmatch(r"[!-+\--~]+", value):  # the header Cache-Tag separates its tags with commas
        message = f"tag {value!r} is empty or has a space, a comma or a character outside printable ASCII"
        raise TargetsRefused(message, [value])
    if len(value) > LONGEST_TAG:
        message = f"tag {value[:40]!r}… has {len(value)} characters; the API takes {LONGEST_TAG}"
        raise TargetsRefused(message, [value])
    return value


_BY_KIND: dict[TargetKind, Callable[[str], str]] = {
    TargetKind.PREFIX: _prefix,
    TargetKind.HOST: _host,
    TargetKind.TAG: _tag,
}
