"""The way of the SDK's requests: through httpcore, in which time and bytes of a whole answer can be bounded.

httpx itself limits the wait between two reads only, keeps cookies, and unpacks whatever comes, of any size.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from multicdn.bounds import LARGEST_ANSWER, NotPacked, cut, time_left, unpacked
from multicdn.proxies import proxy_for
from multicdn.tls import context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

# Headers of the body as it was on its way, and of cookies, which would send retries to the node that is sick.
_LEFT_OUT = (b"content-encoding", b"content-length", b"transfer-encoding", b"set-cookie")

# As https://developers.cloudflare.com/api/resources/cache/methods/purge/ shows it.
_BODY = json.dumps({"success": True, "errors": [], "messages": [], "result": {"id": "0"}}).encode()
_ACCEPTED = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY), _BODY]


class BoundedTransport(httpx.BaseTransport):
    """Sends within ``multicdn.bounds.bounded``, through the environment's proxy where there is one."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str], httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return its answer as far as it is read.

        Raises:
            httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError: there was none.
        """
        request.headers["Accept-Encoding"] = "identity"
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        sent = httpcore.Request(
            request.method, target, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        answer = self._pool(url).handle_request(sent)
        try:
            body = unpacked(cut(answer.iter_stream(), LARGEST_ANSWER), _encoding(answer.headers))
        except NotPacked as error:
            raise httpcore.RemoteProtocolError(str(error)) from None
        finally:
            answer.close()
        headers = [(name, value) for name, value in answer.headers if name.lower() not in _LEFT_OUT]
        return httpx.Response(answer.status, headers=headers, content=body)

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()

    def prepare(self, endpoint: str) -> None:
        """Make what connections to an endpoint need; it is none yet."""
        self._pool(httpx.URL(endpoint))

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        place = (url.scheme, url.netloc.decode())  # NO_PROXY may name a port
        if place not in self._pools:
            made = self._connections(url.scheme, proxy_for(*place))
            # Another thread may have been faster; a pool that is thrown away with connections would leave them open.
            self._pools.setdefault(place, made)
        return self._pools[place]

    def _connections(self, scheme: str, proxy: str) -> httpcore.ConnectionPool:
        settings: dict[str, Any] = {"ssl_context": _context(scheme), "network_backend": _Backend()}
        if not proxy:
            return httpcore.ConnectionPool(**settings)
        place = httpx.URL(proxy)
        auth = (place.username, place.password) if place.username or place.password else None
        bare = str(place.copy_with(username=None, password=None))
        return httpcore.HTTPProxy(bare, proxy_auth=auth, proxy_ssl_context=_context(place.scheme), **settings)


def _context(scheme: str) -> ssl.SSLContext | None:
    return context() if scheme == "https" else None


class _Backend(httpcore.SyncBackend):
    """Connects within the time that is left."""

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *rest: Any, **others: Any) -> _Stream:
        return _Stream(super().connect_tcp(host, port, _left(timeout, httpcore.ConnectTimeout), *rest, **others))


class _Stream(httpcore.NetworkStream):
    """A connection whose every read and write ends when the time of the call is over."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> _Stream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    try:
        return time_left(timeout)
    except TimeoutError as over:
        raise error(str(over)) from None


def _encoding(headers: Iterable[tuple[bytes, bytes]]) -> str:
    found = (value for name, value in headers if name.lower() == b"content-encoding")
    return next(found, b"").decode("ascii", "replace")


@contextmanager
def rehearsing() -> Iterator[httpx.Client]:
    """A client whose every request is accepted, by nobody: it goes all the way but for the network."""
    with httpx.Client(transport=_Rehearsing(), follow_redirects=False) as client:
        yield client


class _Rehearsing(BoundedTransport):
    """Sends to nobody."""

    def _pool(self, url: httpx.URL) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(_context(url.scheme), network_backend=_MemoryBackend(_ACCEPTED))


class _MemoryBackend(httpcore.MockBackend):
    """Answers out of memory."""

    def connect_tcp(self, *args: Any, **others: Any) -> _Stream:
        return _Stream(super().connect_tcp(*args, **others))
