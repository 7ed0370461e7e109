"""Spell URLs as the invalidation paths of CloudFront.

Rules: guide, invalidation-specifying-objects. A path is encoded where RFC 1738 calls a character unsafe or it isn't
ASCII, and nowhere else; ``*`` is a wildcard as the last character and itself elsewhere.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from multicdn.errors import TargetsRefused
from multicdn.model import Target, TargetKind

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*(?P<path>.*)", re.IGNORECASE | re.DOTALL)
_PLAIN_URL = re.compile(r"https?://[^/?#]*(/[A-Za-z0-9/._-]*)")
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]|[<>\"#{}|\\^\[\]`]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_LEFT_ALONE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.&,;=+$@:!()'*")
_TILDE = re.compile(r"~|%7E", re.IGNORECASE)
_LAST_STARS = re.compile(r"(?:\*|%2A)+\Z", re.IGNORECASE)


def path_of(url: str) -> str:
    """Path and query of an absolute URL.

    Raises:
        TargetsRefused: it is none.
    """
    match = _URL.fullmatch(url)
    if match is None:
        message = f"{url!r} is not an absolute URL"
        raise TargetsRefused(message, (url,))
    path = match["path"]
    return path if path.startswith("/") else f"/{path}"


def plain_path_of(url: str) -> str:
    """Path of an absolute URL in which nothing has two spellings or a meaning of its own; empty for any other URL.

    What the functions below make of such a path is the path itself. Most are such, and it is the quickest way there.
    """
    match = _PLAIN_URL.fullmatch(url)
    return match[1] if match else ""


def encoded(path: str) -> str:
    """Escape what CloudFront wants escaped. Escapes that are already there stay as they are."""
    return _UNSAFE.sub(lambda match: quote(match[0], safe="", errors="surrogatepass"), path)


def spellings(path: str) -> tuple[str, ...]:
    """The one or two ways in which CloudFront may know an object.

    It wants characters such as ``+`` and ``'`` plain, but viewers may ask for them escaped (S3 needs ``%2B`` for a
    plus), and no page says whether that is then one cached object or two. So both are purged. Queries have meaning in
    their escapes and are left as they are.
    """
    whole = encoded(path)
    before, mark, query = whole.partition("?")
    plain = _ESCAPE.sub(_plain, before)
    return tuple(dict.fromkeys((whole, plain + mark + query)))


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if character in _LEFT_ALONE else escape[0]


def item(path: str, *, wild: bool) -> Target:
    """Make the target for a path, as a prefix where it is one or has to be one.

    A tilde can't be invalidated: plain it is refused, escaped it has no effect (aws/aws-sdk#525). The wildcard that
    stops before it is what reaches the object.

    Raises:
        TargetsRefused: the wildcard would be that of the whole distribution.
    """
    tilde = _TILDE.search(path)
    stem = _LAST_STARS.sub("", path[: tilde.start()] if tilde else path)
    if not wild and stem == path:
        return Target(TargetKind.URL, path)
    if stem == "/":
        reason = "CloudFront can't invalidate a tilde" if tilde else "it is a wildcard for the whole distribution"
        message = f"{path}: {reason}, and /* would purge all there is; ask for that with `everything: true`"
        raise TargetsRefused(message, (path,))
    return Target(TargetKind.PREFIX, f"{stem}*")
