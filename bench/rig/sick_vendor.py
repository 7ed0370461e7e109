"""A vendor's API that can be sick in many ways, in a process of its own: what it sends must not slow who measures."""

from __future__ import annotations

import contextlib
import multiprocessing
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from rig.own_process import OwnProcess

if TYPE_CHECKING:
    from collections.abc import Callable

_OK = b'{"status": "ok", "id": "1-1"}'

# Markup without an end: what looks for the end of each tag looks through all that follows.
_PAGE = b"<script" * (64 * 1024 // 7)

# Of an endless body: 12 MB/s, as a vendor's network may bring it.
_CHUNK, _CHUNK_PAUSE = 64 * 1024, 0.005
_DRIP_PAUSE = 0.3
_DROWSY_SECONDS = 1.0


class SickVendor(OwnProcess):
    """An API that accepts every call, unless it is told to be sick. A context manager.

    Attributes:
        url: of the API.
    """

    url: str

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._state: Any = context.Value("i", 0)
        self._calls: Any = context.Value("i", 0)
        super().__init__(_serve, self._state, self._calls)

    def reached(self, how: Any) -> None:
        """Keep it."""
        self.url = how

    @property
    def calls(self) -> int:
        """How many calls came so far."""
        return int(self._calls.value)

    def become(self, state: str) -> None:
        """Answer from now on as one of ``STATES`` says. Calls under way end as they began."""
        self._state.value = list(STATES).index(state)


def _serve(state: Any, calls: Any, pipe: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    pipe.send(f"http://127.0.0.1:{listener.getsockname()[1]}")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_talk, args=(connection, state, calls), daemon=True).start()


def _talk(connection: socket.socket, state: Any, calls: Any) -> None:
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as reader:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while reader.readline():
            length = 0
            while (line := reader.readline().strip()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            reader.read(length)
            with calls.get_lock():
                calls.value += 1
            list(STATES.values())[state.value](connection)


def _answer(connection: socket.socket, status: bytes, body: bytes, kind: bytes = b"application/json") -> None:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(body))
    connection.sendall(head + body)


def _well(connection: socket.socket) -> None:
    _answer(connection, b"200 OK", _OK)


def _drowsy(connection: socket.socket) -> None:
    time.sleep(_DROWSY_SECONDS)
    _well(connection)


def _silent(_: socket.socket) -> None:
    time.sleep(3600)


def _dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(_DRIP_PAUSE)


def _pages(connection: socket.socket) -> None:
    _answer(connection, b"503 Service Unavailable", _PAGE, b"text/html")


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        connection.sendall(b" " * _CHUNK)
        time.sleep(_CHUNK_PAUSE)


def _unavailable(connection: socket.socket) -> None:
    _answer(connection, b"503 Service Unavailable", b'{"msg": "over capacity"}')


STATES: dict[str, Callable[[socket.socket], None]] = {
    "well": _well,
    "drowsy": _drowsy,
    "silent": _silent,
    "dripping": _dripping,
    "64 KiB pages": _pages,
    "endless bodies": _endless,
    "503 to all": _unavailable,
}
