"""What may stand in front of SQS: passes requests on, but answers some that would send with a 200 of its own."""

from __future__ import annotations

import http.client
import itertools
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.simulators.kit.http_server import Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Container
    from types import TracebackType
    from typing import Self

_TIMEOUT = 30.0
_SEND = "AmazonSQS.SendMessage"


class Gateway:
    """An HTTP server in front of an AWS endpoint. A context manager.

    Args:
        endpoint: base URL of AWS.
        swallowed: numbers, from 0 on, of the single sends that it answers itself, and doesn't pass on.
    """

    def __init__(self, endpoint: str, swallowed: Container[int]) -> None:
        self._address = urlsplit(endpoint).netloc
        self._swallowed = swallowed
        self._sends = itertools.count()
        self._server = Server(self._answer)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()

    @property
    def url(self) -> str:
        """Base URL, for clients to take for that of AWS."""
        return self._server.url

    def _answer(self, request: Request) -> Response:
        if request.headers.get("X-Amz-Target") == _SEND and next(self._sends) in self._swallowed:
            return Response.json({})
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT)
        try:
            connection.request(request.method, request.target, request.body, dict(request.headers))
            answer = connection.getresponse()
            kind = answer.headers.get("Content-Type", "")
            return Response(answer.status, {"Content-Type": kind}, answer.read())
        finally:
            connection.close()
