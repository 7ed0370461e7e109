"""What an edge makes of an origin's answer before it sends it: other encodings, other pictures, fewer headers."""

from __future__ import annotations

import gzip
import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from multicdn.simulators.kit.http_server import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.http_server import Response

_OK, _NOT_MODIFIED = 200, 304

_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?P<weight>[\d.]+)\s*)?(?=,|$)", re.IGNORECASE)
_PACKED = re.compile(r"(?:image|video|audio|font)/|application/(?:zip|gzip|pdf)", re.IGNORECASE)
_PICTURE = re.compile(r"image/(?!svg)", re.IGNORECASE)

# https://www.rfc-editor.org/rfc/rfc9110#section-15.4.5: what a 304 repeats, and what only goes with a body.
_OF_BODY = frozenset(("content-encoding", "content-length", "content-type"))


@dataclass(eq=False)
class Transforms:
    """What edges do to answers with status 200; nothing by default.

    Attributes:
        compression: whether they are packed with gzip for clients who take it, each form in a cache entry of its own;
            their entity tag then is ``W/"…"`` (weak) or ``"…-gzip"`` (suffix). Pictures and the like are left as
            they are.
        pictures: whether pictures get other bytes, another tag, and a header that tells of it.
        strips_etag: whether there is no entity tag.
        key_by: request headers that are in the cache key, such as ``Cookie`` or ``User-Agent``. A purge by URL reaches
            only what was asked for without them.
    """

    compression: Literal["", "weak", "suffix"] = ""
    pictures: bool = False
    strips_etag: bool = False
    key_by: tuple[str, ...] = ()

    def encoding(self, headers: Headers) -> str:
        """The content coding that a client gets where there is one for its answer; empty for none."""
        return "gzip" if self.compression and _takes_gzip(headers.get("Accept-Encoding", "")) else ""

    def key_part(self, headers: Headers) -> str:
        """What a request's headers add to the cache key; missing ones add nothing."""
        return "".join(f"\n{name.lower()}: {headers[name]}" for name in self.key_by if name in headers)

    def applied(
        self, response: Response, encoding: str, told_of_picture: Callable[[int, int], Mapping[str, str]]
    ) -> Response:
        """The answer as it leaves the edge.

        Args:
            response: the answer as it is cached.
            encoding: the content coding that the client gets.
            told_of_picture: makes the vendor's header of a changed picture, given its sizes before and after.
        """
        if response.status != _OK:
            return response
        headers, kind = Headers(response.headers), Headers(response.headers).get("Content-Type", "")
        if self.pictures and _PICTURE.match(kind):
            response = _other_picture(response, told_of_picture)
        if self.compression and "Content-Encoding" not in headers and not _PACKED.match(kind):
            response = self._compressed(response, encoding)
        response = _with(response, {"Vary": _varying(response, self.key_by)} if self.key_by else {})
        return _with(response, {}, without="etag") if self.strips_etag else response

    def _compressed(self, response: Response, encoding: str) -> Response:
        told = {"Vary": _varying(response, ("Accept-Encoding",))}
        if not encoding:
            return _with(response, told)
        tag = Headers(response.headers).get("ETag", "")
        if tag:
            told["ETag"] = _weak(tag) if self.compression == "weak" else f'{tag[:-1]}-gzip"'
        told["Content-Encoding"] = encoding
        return replace(_with(response, told), body=gzip.compress(response.body, mtime=0))


def conditional(response: Response, asked: str) -> Response:
    """The answer to a request with ``If-None-Match``: 304 if the client has what it would get."""
    tag = Headers(response.headers).get("ETag", "")
    if response.status != _OK or not tag or not matches(tag, asked):
        return response
    kept = {name: value for name, value in response.headers.items() if name.lower() not in _OF_BODY}
    return replace(response, status=_NOT_MODIFIED, headers=kept, body=b"")


def matches(tag: str, asked: str) -> bool:
    """Tell if an entity tag is in the value of ``If-None-Match``, which compares weakly (RFC 9110, 13.1.2)."""
    if asked.strip() == "*":
        return True
    return tag.removeprefix("W/") in re.findall(r'"[^"]*"', asked)


def _weak(tag: str) -> str:
    return tag if tag.startswith("W/") else f"W/{tag}"


def _takes_gzip(accepted: str) -> bool:
    found = _GZIP.search(accepted)
    return found is not None and float(found["weight"] or 1) > 0


def _other_picture(response: Response, told: Callable[[int, int], Mapping[str, str]]) -> Response:
    """Bytes that only look like another format: no simulator reads pictures."""
    body = b"RIFF\x20\0\0\0WEBP" + hashlib.sha256(response.body).digest()
    tag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    headers = {"Content-Type": "image/webp", "ETag": tag, **told(len(response.body), len(body))}
    return replace(_with(response, headers), body=body)


def _varying(response: Response, names: tuple[str, ...]) -> str:
    """The value of ``Vary`` with some names more."""
    told = Headers(response.headers).get("Vary", "")
    known = [name.strip() for name in told.split(",") if name.strip()]
    lower = {name.lower() for name in known}
    return ", ".join([*known, *(name for name in names if name.lower() not in lower)])


def _with(response: Response, headers: Mapping[str, str], without: str = "") -> Response:
    """The answer with headers in place of its own of these names, and without another one."""
    gone = {without, *map(str.lower, headers)}
    kept = {name: value for name, value in response.headers.items() if name.lower() not in gone}
    return replace(response, headers={**kept, **headers})
