"""HTTP/1.1 on loopback, server side, with each request handed over byte for byte as it came.

``http.server`` won't do: it rewrites targets that begin with two slashes, and its header parser costs more than the
rest of a simulator.
"""

from __future__ import annotations

import contextlib
import http
import json
import socket
import struct
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LONGEST_LINE = 1 << 18
_MOST_HEADERS = 1000
_BODILESS = (204, 304)


class Headers(Mapping[str, str]):
    """Header fields by case-insensitive name. Repeated fields are joined with a comma; values are UTF-8 on the wire."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._fields: dict[str, tuple[str, str]] = {}
        for name, value in fields.items() if isinstance(fields, Mapping) else fields:
            held = self._fields.get(name.lower())
            self._fields[name.lower()] = (held[0], f"{held[1]}, {value}") if held else (name, value)

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    Attributes:
        method: as sent.
        target: the raw request target: ``//``, ``..``, the case of ``%2f`` and the query are as sent.
        headers: case-insensitive.
        body: the bytes.
    """

    method: str
    target: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The raw target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query without its question mark; empty where there is none."""
        return self.target.partition("?")[2]

    def json(self) -> Any:
        """Return the body decoded from JSON.

        Raises:
            ValueError: it isn't JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """One response.

    Attributes:
        status: HTTP status.
        headers: sent as they are; ``Content-Length`` is added.
        body: the bytes.
        cut_after: send only so many bytes of the whole response, then close; None sends all.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Make a response with a JSON body; ``headers`` may name another content type."""
        return cls(status, {"Content-Type": "application/json", **(headers or {})}, json.dumps(value).encode())

    @classmethod
    def html(cls, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Make a response with an HTML body."""
        return cls(status, {"Content-Type": "text/html; charset=utf-8", **(headers or {})}, text.encode())


class ConnectionDropped(Exception):
    """Raised by a handler instead of answering: the server resets the connection (TCP RST)."""


class Refused(Exception):
    """Raised instead of returning: a request isn't accepted, and this is the answer."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status)


class Server:
    """An HTTP server on 127.0.0.1 with keep-alive and one daemon thread a connection.

    Args:
        handle: turns a request into a response, in any thread. An exception of it closes the connection and goes to
            ``threading.excepthook``.
        port: 0 takes a free one.
    """

    def __init__(self, handle: Callable[[Request], Response], port: int = 0) -> None:
        self._handle = handle
        self._port = port
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Base URL without a trailing slash. Only while it runs."""
        if self._listener is None:
            message = "the server isn't running: use it in a with statement, or call start()"
            raise RuntimeError(message)
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> Self:
        """Listen, and return self."""
        self._listener = socket.create_server(("127.0.0.1", self._port), backlog=512)
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="simulator", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the listener and all connections. Harmless when it doesn't run."""
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        with contextlib.suppress(OSError):  # closing a listener wakes its accept() on few systems: connect to it
            socket.create_connection(listener.getsockname(), timeout=1).close()
        self._thread.join(timeout=1)
        listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if self._listener is not listener:
                connection.close()
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            # Without this each answer waits some 40 ms for the delayed acknowledgement of the one before.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as reader:
                while self._exchange(connection, reader):
                    pass
        except ConnectionDropped:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # the client went away, or stop() closed the connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, connection: socket.socket, reader: BinaryIO) -> bool:
        """Serve one request; return whether the connection stays open."""
        try:
            received = _read(reader, connection)
        except Refused as refused:
            connection.sendall(_render(refused.response, head=False))
            return False
        if received is None:
            return False
        request, keep = received
        response = self._handle(request)
        connection.sendall(_render(response, head=request.method == "HEAD")[: response.cut_after])
        return keep and response.cut_after is None


def _read(reader: BinaryIO, connection: socket.socket) -> tuple[Request, bool] | None:
    """Read one request and whether the client wants to keep the connection; None at the end of the stream."""
    line = reader.readline(_LONGEST_LINE)
    if not line:
        return None
    try:
        method, target, version = line.decode("latin-1").rstrip("\r\n").split(" ")
        headers = _read_headers(reader)
        length = int(headers.get("Content-Length", "0"))
    except ValueError:
        raise Refused(Response(400)) from None
    if "Transfer-Encoding" in headers:
        raise Refused(Response(411))
    if headers.get("Expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = reader.read(length)
    if len(body) < length:
        return None
    keep = version != "HTTP/1.0" and headers.get("Connection", "").lower() != "close"
    return Request(method, target, headers, body), keep


def _read_headers(reader: BinaryIO) -> Headers:
    fields: list[tuple[str, str]] = []
    for _ in range(_MOST_HEADERS):
        line = reader.readline(_LONGEST_LINE).rstrip(b"\r\n")
        if not line:
            return Headers(fields)
        name, colon, value = line.decode("utf-8", "surrogateescape").partition(":")
        if not colon:
            break
        fields.append((name, value.strip()))
    message = "malformed header"
    raise ValueError(message)


def _render(response: Response, *, head: bool) -> bytes:
    try:
        phrase = http.HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in response.headers.items())]
    if response.status not in _BODILESS and "content-length" not in map(str.lower, response.headers):
        lines.append(f"Content-Length: {len(response.body)}")
    start = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
    return start if head or response.status in _BODILESS else start + response.body
