"""Asks an edge for a URL as a browser would, but where the config says that the CDN is: Host and TLS are of the URL."""

from __future__ import annotations

import http.client
import zlib
from hashlib import md5
from typing import TYPE_CHECKING

from msgspec import structs

from multicdn import through
from multicdn.bounds import bounded
from multicdn.proof.signs import pop, short
from multicdn.terms import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes of a body, as it comes and unpacked, beyond which its MD5 isn't worth its time. Nothing of it is kept.
LARGEST_BODY = 64 * 1024 * 1024

_PIECE = 64 * 1024
_LONGEST_HEADER = 1024

# The others have a part of a body, or none.
_WHOLE = (200, 203)

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


def fetch(url: str, via: str, seconds: float, *, want_md5: bool) -> Seen:
    """Ask an edge for a URL. Follows no redirect, sends no cookies and no credentials, and raises nothing.

    Args:
        url: absolute, as clients ask for it.
        via: ``host``, ``host:port`` or ``http(s)://host[:port]`` to connect to; empty for the URL's own host.
        seconds: for all of it.
        want_md5: whether to read the body; else the connection ends after the headers.
    """
    try:
        address = through.locate(url, via)
    except ValueError as error:
        return Seen(reason=f"{url.partition('?')[0]!r} through {via or 'its own host'!r} can't be asked for: {error}")
    if seconds <= 0:
        return Seen(reason="no time was left to ask for it")
    try:
        with (
            bounded(seconds, LARGEST_BODY + _PIECE),
            through.answering(address, seconds, {"Accept-Encoding": "gzip"}) as answer,
        ):
            return _seen(answer, want_md5=want_md5)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Seen(reason=through.told(error, address, seconds))


def _seen(answer: http.client.HTTPResponse, *, want_md5: bool) -> Seen:
    headers = _headers_of(answer)
    coding = headers.get("content-encoding", "").strip().lower()
    length = answer.length if coding in ("", "identity") else None
    seen = Seen(status=answer.status, headers=headers, size=length, pop=pop(headers))
    if not want_md5 or answer.status not in _WHOLE:
        return seen
    try:
        digest, size = _digest(answer, coding)
    except _NoDigest as error:
        return structs.replace(seen, reason=f"the MD5 of its body isn't known: {error}")
    return structs.replace(seen, md5=digest, size=size)


def _headers_of(answer: http.client.HTTPResponse) -> dict[str, str]:
    """The headers by name in lower case, those of one name joined; of cookies only that there are some."""
    headers: dict[str, str] = {}
    for name, value in answer.getheaders():
        lower = name.lower()
        said = "(not shown)" if lower == "set-cookie" else value[:_LONGEST_HEADER]
        headers[lower] = f"{headers[lower]}, {said}"[:_LONGEST_HEADER] if lower in headers else said
    return headers


class _NoDigest(Exception):
    """The body is none of which an MD5 says anything."""


def _digest(answer: http.client.HTTPResponse, coding: str) -> tuple[str, int]:
    """MD5 and length of a body without its coding.

    Raises:
        _NoDigest: it came in part only, is too large, or has a coding that isn't known.
    """
    if coding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise _NoDigest(f"its coding is {short(coding, 40)}")
    if answer.length is None and not answer.chunked:
        raise _NoDigest("nothing says where it ends")
    too_large = f"it has more than {LARGEST_BODY} bytes"
    if (answer.length or 0) > LARGEST_BODY:
        raise _NoDigest(too_large)
    found, size = md5(usedforsecurity=False), 0
    try:
        for piece in _unpacked(answer) if coding not in ("", "identity") else _pieces(answer):
            found.update(piece)
            size += len(piece)
            if size > LARGEST_BODY:
                raise _NoDigest(too_large)
    except zlib.error:
        raise _NoDigest(f"it isn't packed as {coding}") from None
    except (OSError, http.client.HTTPException) as error:
        raise _NoDigest(str(error) or type(error).__name__) from None
    return found.hexdigest(), size


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    yield from iter(lambda: answer.read(_PIECE), b"")
    if answer.length:
        raise _NoDigest("it broke off")


def _unpacked(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """A body without its coding, a bounded piece at a time, however much is packed in it."""
    unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
    for piece in _pieces(answer):
        packed = piece
        while packed:
            if unpack.eof:  # several may follow each other: https://datatracker.ietf.org/doc/html/rfc1952#section-2.2
                unpack = zlib.decompressobj(_GZIP_OR_ZLIB)
            yield unpack.decompress(packed, _PIECE)
            packed = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
    if not unpack.eof:
        raise _NoDigest("it broke off")
