"""Bounds on what comes from outside: time and bytes of a whole answer, whatever library reads it.

Libraries limit the wait between two reads; a vendor that sends a byte now and then holds a call for ever, and one that
never stops sending takes all memory. Within ``bounded`` each read ends at the deadline and counts:

    obey(SomeConnection)          # once: a subclass of http.client.HTTPConnection, as those of urllib3 and botocore are
    with bounded(call.read):
        ...                       # the vendor's SDK makes its call

For a library that reads otherwise, ``time_left`` and ``unpacked`` are the parts.
"""

from __future__ import annotations

import io
import time
import zlib
from contextvars import ContextVar
from http.client import HTTPResponse
from socket import socket
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from http.client import HTTPConnection

__all__ = [
    "LARGEST_ANSWER",
    "AnswerTooLong",
    "NotPacked",
    "bounded",
    "cut",
    "obey",
    "obey_botocore",
    "time_left",
    "unpacked",
]

# Bytes of a body, unless a call is known to have a larger one. Few vendors say more than a number, and sixteen answers
# may come at once.
LARGEST_ANSWER = 64 * 1024

# Bytes for those who mean the time alone.
ANY_LENGTH = 1 << 62

# Bytes of status line, headers and chunk sizes beside the body.
_AROUND = 64 * 1024

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


class AnswerTooLong(OSError):
    """More bytes came than any right answer has."""


class NotPacked(Exception):
    """An answer isn't packed as its header says."""


class _Bounds(Struct, frozen=True):
    until: float
    most: int


_bounds: ContextVar[_Bounds | None] = ContextVar("bounds", default=None)


def bounded(seconds: float, most: int = LARGEST_ANSWER) -> AbstractContextManager[None]:
    """Let every exchange of this thread end within so many seconds, and every answer within so many bytes.

    Args:
        seconds: for all that happens within the context. Where it stands within another one, that one's end counts too.
        most: bytes of each answer's body as it comes.
    """
    return _Within(seconds, most)


class _Within:
    """A context; as a generator it would take twice the time, and every call has one."""

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._most = most

    def __enter__(self) -> None:
        around, until = _bounds.get(), time.monotonic() + self._seconds
        self._before = _bounds.set(_Bounds(until if around is None else min(until, around.until), self._most + _AROUND))

    def __exit__(self, *_: object) -> None:
        _bounds.reset(self._before)


def time_left(otherwise: float | None = None) -> float | None:
    """Seconds that the next read may take: what is left, but no more than the library would give it.

    Raises:
        TimeoutError: nothing is left.
    """
    bounds = _bounds.get()
    return otherwise if bounds is None else _left(bounds, otherwise)


def _left(bounds: _Bounds, otherwise: float | None) -> float:
    left = bounds.until - time.monotonic()
    if left <= 0:
        raise TimeoutError("the whole answer did not come in time")
    return left if otherwise is None else min(left, otherwise)


def obey(connection: type[HTTPConnection]) -> None:
    """Let connections of a class keep to the bounds of whoever uses them; elsewhere they work as before."""
    connection.response_class = _BoundedResponse


def obey_botocore() -> None:
    """Let all clients of AWS do so."""
    from botocore.awsrequest import AWSHTTPConnection, AWSHTTPSConnection

    obey(AWSHTTPConnection)
    obey(AWSHTTPSConnection)


def cut(pieces: Iterable[bytes], most: int) -> bytes:
    """The first bytes of a body, and no more pieces than these take."""
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) >= most:
            break
    return bytes(body[:most])


def unpacked(body: bytes, encoding: str, most: int = LARGEST_ANSWER) -> bytes:
    """Unpack a body that was packed though nobody asked for it, so many bytes of it at most.

    Raises:
        NotPacked: it isn't as it says.
    """
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    try:
        return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(body, most)
    except zlib.error:
        raise NotPacked(f"an answer that says {encoding} and isn't packed so") from None


class _BoundedResponse(HTTPResponse):
    """An answer whose every read, of its head as well, obeys the bounds in which it began."""

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        bounds = _bounds.get()
        source: Any = sock if bounds is None else _BoundedSource(sock, bounds)
        super().__init__(source, *args, **kwargs)

    def _read_status(self) -> tuple[str, int, str]:
        """Let hints that come before an answer, such as 103, be read over as http.client does with 100 alone.

        It would take them for the answer, and the answer for that of the connection's next request (RFC 9110, 15.2).
        """
        version, status, reason = super()._read_status()  # type: ignore[misc]  # the stubs have what is public
        return version, 100 if 100 < status < 200 and status != 101 else status, reason


class _BoundedSource(Struct, frozen=True):
    """What an answer takes for its socket."""

    sock: socket
    bounds: _Bounds

    def makefile(self, mode: str) -> io.BufferedReader:
        del mode  # an answer is read in bytes
        return io.BufferedReader(_BoundedReads(self.sock, self.bounds))


class _BoundedReads(io.RawIOBase):
    """The reads of one answer from a socket."""

    def __init__(self, sock: socket, bounds: _Bounds) -> None:
        self._file = sock.makefile("rb", 0)  # keeps the socket open as long as somebody reads
        self._sock = sock
        self._bounds = bounds
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(_left(self._bounds, self._sock.gettimeout()))
        count = self._sock.recv_into(buffer)
        self._count += count
        if self._count > self._bounds.most:
            raise AnswerTooLong(f"an answer of more than {self._bounds.most} bytes")
        return count

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
