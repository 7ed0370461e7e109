"""A vendor's API on loopback that remembers what it was sent: for plugins whose vendor has no simulator."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from multicdn.simulators.kit import faults
from multicdn.simulators.kit.faults import Faults
from multicdn.simulators.kit.http_server import ConnectionDropped, Request, Response, Server

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["RecordingVendor", "Request", "Response", "faults"]


class RecordingVendor:
    """An API that answers as told. Use it in a ``with`` statement.

    Args:
        answer: the response to every request, or a function that plays the API. It is called from several threads,
            and an exception of it is answered with a 500 that tells of it.

    Attributes:
        faults: trouble to show instead: ``api.faults.once(faults.status(503))``.
    """

    def __init__(self, answer: Response | Callable[[Request], Response]) -> None:
        self.faults = Faults()
        self._answer = answer
        self._calls: list[Request] = []
        self._lock = threading.Lock()
        self._server = Server(self._handle)

    @property
    def endpoint(self) -> str:
        """Base URL, for the provider's option of that name."""
        return self._server.url

    @property
    def calls(self) -> list[Request]:
        """A copy of the requests so far, in the order in which they came, byte for byte."""
        with self._lock:
            return list(self._calls)

    def forget_calls(self) -> None:
        """Empty ``calls``."""
        with self._lock:
            self._calls.clear()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.faults.clear()
        self._server.stop()

    def _handle(self, request: Request) -> Response:
        with self._lock:
            self._calls.append(request)
        return self.faults.apply(request, self._respond)

    def _respond(self, request: Request) -> Response:
        if isinstance(self._answer, Response):
            return self._answer
        try:
            return self._answer(request)
        except ConnectionDropped:
            raise
        except Exception as error:  # noqa: BLE001 - of the test's author, who'd see nothing of it in this thread
            return Response.json({"message": f"the function that plays this API failed: {error!r}"}, 500)
