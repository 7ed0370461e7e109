"""Spell URLs as the invalidation paths of CloudFront, and tags as it wants them.

Rules: guide, invalidation-specifying-objects. A path is encoded where RFC 1738 calls a character unsafe or it isn't
ASCII, and nowhere else; ``*`` is a wildcard as the last character and itself elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from multicdn.provider import Target, TargetKind, TargetsRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*(?P<path>.*)", re.DOTALL)
# With escapes of what stays escaped: of all but ``_LEFT_ALONE`` and the tilde.
_PLAIN_URL = re.compile(
    r"https?://[^/?#]*(/(?:[A-Za-z0-9/._&,;=+$@:!()'-]++"
    r"|%(?!2[146-9A-Ea-e]|3[0-9ABDabd]|4[0-9A-Fa-f]|5[0-9AFaf]|6[1-9A-Fa-f]|7[0-9AEae])[0-9A-Fa-f]{2})*)"
)
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]|[<>\"#{}|\\^\[\]`]")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_LEFT_ALONE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.&,;=+$@:!()'*")
_TILDE = re.compile(r"~|%7E", re.IGNORECASE)
_TAG = re.compile(r"[!-+\--~]{1,256}")  # visible ASCII without the comma: guide, invalidation-specifying-tags


def located(target: Target, origin_paths: Sequence[str] = (), *, widen: bool = True) -> tuple[Target, ...]:
    """Spell a URL or a URL prefix as paths, below the origins if they begin at a path in the bucket.

    Raises:
        TargetsRefused: it isn't absolute, or only emptying the whole distribution would do; or without ``widen``, it is
            a URL that only a wildcard reaches.
    """
    if target.kind is TargetKind.URL and not origin_paths and (path := plain_path_of(target.value)):
        return (Target(TargetKind.URL, path),)
    paths = [below for path in spellings(path_of(target.value)) for below in _below_origins(path, origin_paths)]
    found = tuple(dict.fromkeys(item(path, wild=target.kind is TargetKind.PREFIX) for path in paths))
    wider = next((each for each in found if each.kind is not target.kind), None)
    if wider is not None and not widen:
        message = f"only {wider.value} would reach it, and `widen: false` allows no wildcard for a URL"
        raise TargetsRefused(message, (target.value,))
    return found


def _below_origins(path: str, origin_paths: Sequence[str]) -> tuple[str, ...]:
    """Cut the origin path off: the object ``/site/a.css`` is ``/a.css`` to viewers of an origin at ``/site``."""
    starts = [encoded(start) for start in origin_paths]
    below = [path.removeprefix(start) for start in starts if path.startswith(start + "/")]
    return tuple(dict.fromkeys(below)) or (path,)


def tag_of(tag: str, region: str) -> str:
    """Spell a tag with its ``#``.

    Raises:
        TargetsRefused: CloudFront has no such tag, or none at all in this region.
    """
    if region.startswith("cn-"):
        message = "CloudFront has no cache tags in the AWS China regions"
    elif _TAG.fullmatch(tag) is None:
        message = f"tag {tag!r}: CloudFront wants 1 to 256 visible ASCII characters without space and comma"
    else:
        return f"#{tag}"
    raise TargetsRefused(message, (tag,))


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
    stem = _without_last_stars(path[: tilde.start()] if tilde else path)
    if not wild and stem == path:
        return Target(TargetKind.URL, path)
    if stem == "/":
        reason = "CloudFront can't invalidate a tilde" if tilde else "it is a wildcard for the whole distribution"
        message = f"{path}: {reason}, and /* would purge all there is; ask for that with `everything: true`"
        raise TargetsRefused(message, (path,))
    return Target(TargetKind.PREFIX, f"{stem}*")


def _without_last_stars(path: str) -> str:
    while path.endswith(("*", "%2A", "%2a")):
        path = path.rstrip("*")
        path = path[:-3] if path.endswith(("%2A", "%2a")) else path
    return path
