"""The calls of a simulated API, kept with their credentials masked."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.http_server import Headers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.simulators.kit.http_server import Request

_MASK = "***"


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the simulated API, its credentials masked.

    Attributes:
        method, target, headers, body: the request, as raw as it came.
        status: HTTP status of the answer; 0 while there is none, and for ever if the connection was dropped.
        at: when it came, in seconds of the simulator's clock.
        items: how many targets it had.
    """

    method: str
    target: str
    headers: Headers
    body: bytes
    status: int
    at: float
    items: int


class Tally(NamedTuple):
    """What an API was asked for since it started.

    Attributes:
        calls: whatever became of them.
        items: targets of those that were accepted.
    """

    calls: int = 0
    items: int = 0


class CallLog:
    """Calls in the order in which they came, safe for many threads.

    Attributes:
        tally: the numbers so far; ``forget`` doesn't change them.
    """

    def __init__(self) -> None:
        self.tally = Tally()
        self._calls: dict[int, ApiCall] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    @property
    def calls(self) -> list[ApiCall]:
        """A copy of the calls."""
        with self._lock:
            return list(self._calls.values())

    def forget(self) -> None:
        """Empty ``calls``."""
        with self._lock:
            self._calls.clear()

    def came(self, call: ApiCall) -> int:
        """Note a call that has no answer yet; return its number."""
        with self._lock:
            number = next(self._numbers)
            self._calls[number] = call
            self.tally = self.tally._replace(calls=self.tally.calls + 1)
            return number

    def answered(self, number: int, items: int, status: int) -> None:
        """Note the status that a call was answered with."""
        with self._lock:
            if 200 <= status < 300:
                self.tally = self.tally._replace(items=self.tally.items + items)
            if number in self._calls:
                self._calls[number] = replace(self._calls[number], status=status)


def masked(request: Request, hidden: Iterable[str], credentials: Iterable[str], at: float, items: int) -> ApiCall:
    """The record of a request: without the values in ``hidden`` and of the headers in ``credentials``."""
    values = [value for value in hidden if value]
    names = {name.lower() for name in credentials}

    def mask(text: str) -> str:
        for value in values:
            text = text.replace(value, _MASK)
        return text

    headers = Headers((name, _MASK if name.lower() in names else mask(text)) for name, text in request.headers.items())
    body = request.body
    for value in values:
        body = body.replace(value.encode(), _MASK.encode())
    return ApiCall(request.method, mask(request.target), headers, body, 0, at, items)
