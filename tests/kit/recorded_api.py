"""A real HTTP server on loopback that remembers its requests and answers as told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from multicdn.errors import ProviderError
from multicdn.http import Http
from multicdn.provider import Call
from multicdn.simulators.kit.http_server import Request, Response, Server

CALL = Call(connect=2.0, read=5.0)

Reply = Callable[[Request], Response]


class Vendor:
    """An API that remembers its requests and answers as told."""

    def __init__(self, reply: Reply | None = None) -> None:
        self.reply = reply or (lambda request: Response.json({"id": "1"}))
        self.requests: list[Request] = []
        self._server = Server(self._handle)

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.reply(request)

    @property
    def url(self) -> str:
        return self._server.url

    def __enter__(self) -> Vendor:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()


def answering(status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Reply:
    return lambda request: Response(status, headers or {}, body)


def failure(
    vendor: Vendor, reply: Reply, *, call: Call = CALL, target: str = "/purge", **settings: Any
) -> ProviderError:
    """The error that an answer becomes."""
    vendor.reply = reply
    with pytest.raises(ProviderError) as caught:
        Http(vendor.url, **settings).send("POST", target, call)
    return caught.value
