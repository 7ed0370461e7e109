"""The web server: on loopback alone, until Ctrl-C."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from typing import TYPE_CHECKING

import uvicorn

from multicdn.errors import MulticdnError

if TYPE_CHECKING:
    from threading import Event
    from types import FrameType

    from starlette.applications import Starlette

PORT = 8123
_LOOPBACK = "127.0.0.1"

_MOST_CONNECTIONS = 100

# Seconds that requests under way have at the end.
_GRACE = 1


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, closing: Event) -> None:
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._closing.set()
        super().handle_exit(sig, frame)


class PortError(MulticdnError):
    """The port can't be had."""


def listen(port: int | None) -> socket.socket:
    """Take a port of this machine: the given one, else the usual one, else a free one.

    Raises:
        PortError: the given one can't be had.
    """
    if port is not None:
        return _bound(port)
    with contextlib.suppress(PortError):
        return _bound(PORT)
    return _bound(0)


def serve(app: Starlette, listener: socket.socket, closing: Event) -> None:
    """Answer until a signal, which has come once more when this returns: for the handlers of before.

    Args:
        app: answers.
        listener: of ``listen``.
        closing: is set by the signal, so that answers without an end come to one.
    """
    # What goes wrong is said in the answer; uvicorn would print a trace.
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    _Server(config, closing).run(sockets=[listener])


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = "another program listens on it" if error.errno == errno.EADDRINUSE else error.strerror
        raise PortError(f"port {port} can't be had: {why}; name another one with --port") from None
    return listener
