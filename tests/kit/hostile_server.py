"""A server on loopback that answers as no vendor should: slowly for ever, without end, or packed a thousandfold."""

from __future__ import annotations

import functools
import socket
import threading
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Answer = Callable[[threading.Event], Iterator[bytes]]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB_UNPACKED = 100_000_000


@functools.cache
def _packed() -> bytes:
    """Some 100 KB that unpack to 100 MB."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return b"".join(packer.compress(b"<" * 1_000_000) for _ in range(BOMB_UNPACKED // 1_000_000)) + packer.flush()


def whole(head: bytes, body: bytes) -> Answer:
    """An answer at once."""
    return lambda _over: iter((head + b"Content-Length: %d\r\n\r\n" % len(body) + body,))


def bomb(head: bytes) -> Answer:
    """An answer that is packed; it is made when it is first asked for."""
    return lambda over: whole(head + b"Content-Encoding: gzip\r\n", _packed())(over)


def drip(start: bytes, every: float = 0.05) -> Answer:
    """A byte now and then, after the start of an answer."""

    def answer(over: threading.Event) -> Iterator[bytes]:
        yield start
        while not over.wait(every):
            yield b"x"

    return answer


def endless(start: bytes, piece: bytes) -> Answer:
    """The same piece again and again, as fast as it is taken."""

    def answer(over: threading.Event) -> Iterator[bytes]:
        yield start
        while not over.is_set():
            yield piece

    return answer


CHUNK = b"10000\r\n" + b"<" * 65536 + b"\r\n"

ANSWERS = {
    "drip before the head": drip(b""),
    "drip in the head": drip(OK + b"X-Odd: "),
    "drip in the body": drip(OK + b"Content-Length: 100000\r\n\r\n{"),
    "drip in a chunk": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n10000\r\n"),
    "drip in an error": drip(b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n<"),
    "endless body": endless(OK + b"\r\n", b"<" * 65536),
    "endless body of an error": endless(b"HTTP/1.1 503 Busy\r\n\r\n", b"<" * 65536),
    "endless chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    "endless head": endless(OK, b"X-Odd: " + b"y" * 60_000 + b"\r\n"),
    "endless line": endless(OK + b"X-Odd: ", b"y" * 65536),
    "endless continue": endless(b"", b"HTTP/1.1 100 Continue\r\nX-Odd: 1\r\n\r\n" * 1000),
    "gzip bomb": bomb(OK),
    "gzip bomb of an error": bomb(b"HTTP/1.1 503 Busy\r\n"),
}


class HostileServer:
    """Gives everybody the same answer. Use it in a ``with`` statement.

    Attributes:
        answer: what is sent; may be changed at any time.
        heads: of the requests so far.
        sent: bytes so far, those that nobody took included.
    """

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.sent = 0
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.open = 0

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.close()

    def settled(self, seconds: float = 5.0) -> bool:
        """Whether all connections end within some seconds."""
        until = time.monotonic() + seconds
        while self.open and time.monotonic() < until:
            time.sleep(0.02)
        return not self.open

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.open += 1
        with connection, suppress(OSError):
            connection.settimeout(30)
            while self._take(connection):
                for piece in self.answer(self._over):
                    connection.sendall(piece)
                    self.sent += len(piece)
        self.open -= 1

    def _take(self, connection: socket.socket) -> bool:
        """Read one request."""
        came = b""
        while b"\r\n\r\n" not in came:
            more = connection.recv(65536)
            if not more:
                return False
            came += more
        head, _, body = came.partition(b"\r\n\r\n")
        self.heads.append(head)
        lengths = [line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
        missing = int(lengths[0]) - len(body) if lengths else 0
        while missing > 0 and (more := connection.recv(65536)):
            missing -= len(more)
        return True
