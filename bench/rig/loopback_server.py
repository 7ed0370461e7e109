"""A server in a process of its own that costs next to nothing and answers each request alike."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rig.own_process import OwnProcess

if TYPE_CHECKING:
    from pathlib import Path

_BODY = b'{"status": "ok", "id": "108-1391560174-974124"}'
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nContent-Length: %d\r\n%s\r\n"


class LoopbackServer(OwnProcess):
    """Answers requests without looking at them. A context manager.

    Args:
        certificate: file with the certificate of ``localhost`` and its key, for TLS; None speaks HTTP.
        keeps: whether a connection takes a second request.

    Attributes:
        port: where it listens.
    """

    port: int

    def __init__(self, certificate: Path | None = None, *, keeps: bool = True) -> None:
        super().__init__(_serve, certificate, keeps)

    def reached(self, how: Any) -> None:
        """Keep it."""
        self.port = how


def _serve(certificate: Path | None, keeps: bool, pipe: Any) -> None:  # noqa: FBT001 - a process takes them in a row
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    answer = _HEAD % (len(_BODY), b"" if keeps else b"Connection: close\r\n") + _BODY
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        pipe.send(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(connection, context, answer, keeps), daemon=True).start()


def _answer(connection: socket.socket, context: ssl.SSLContext | None, answer: bytes, keeps: bool) -> None:  # noqa: FBT001
    with suppress(OSError):
        talking = context.wrap_socket(connection, server_side=True) if context else connection
        with talking:
            while _take(talking):
                talking.sendall(answer)
                if not keeps:
                    return


def _take(connection: socket.socket) -> bool:
    """Read one request, whose body is short."""
    came = b""
    while b"\r\n\r\n" not in came:
        more = connection.recv(65536)
        if not more:
            return False
        came += more
    head, _, body = came.partition(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.splitlines() if line.lower().startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0 and (more := connection.recv(missing)):
        missing -= len(more)
    return True
