"""The HTTP client of the simulators: exact request targets, no redirects, connections kept and closed on demand."""

from __future__ import annotations

import http.client
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.simulators.kit.http_server import Headers, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT = 10.0


class Client:
    """Sends requests below one base URL.

    Args:
        base: ``http://host:port``, with a path or without.
    """

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host = parts.hostname or ""
        self._port = parts.port or 80
        self._prefix = parts.path.rstrip("/")
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def send(self, method: str, target: str, headers: Mapping[str, str]) -> Response:
        """Send one request without a body; ``headers`` without a Host means the base URL's.

        Raises:
            OSError, http.client.HTTPException: no answer.
        """
        connection = self._take()
        reused = connection is not None
        try:
            return self._exchange(connection or self._connect(), method, target, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            if not reused:
                raise
        # The server may have closed a kept connection while it was idle. Only methods without effect come here.
        return self._exchange(self._connect(), method, target, headers)

    def close(self) -> None:
        """Close the kept connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, target: str, headers: Mapping[str, str]
    ) -> Response:
        names = {name.lower() for name in headers}
        try:
            connection.putrequest(
                method,
                self._prefix + target,
                skip_host="host" in names,
                skip_accept_encoding="accept-encoding" in names,
            )
            for name, value in headers.items():
                connection.putheader(name, value.encode("utf-8", "surrogateescape"))
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return Response(answer.status, Headers((name, _text(value)) for name, value in answer.getheaders()), body)


def _text(value: str) -> str:
    """``http.client`` reads header values as Latin-1; the simulators write UTF-8."""
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
