"""Trouble on demand: faults that a simulator's API shows instead of, or around, its right answer."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from multicdn.simulators.kit.http_server import ConnectionDropped, Request, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

Handler = Callable[[Request], Response]

Fault = Callable[[Request, Handler, threading.Event], Response]
"""Given the request, what would answer it, and an event that ends all waiting, a fault answers, or raises
``ConnectionDropped``."""


def status(code: int, headers: Mapping[str, str] | None = None, body: bytes | str = b"") -> Fault:
    """Answer with a status and do nothing else: 429, 503, a redirect."""
    content = body.encode() if isinstance(body, str) else body
    return lambda _request, _answer, _released: Response(code, headers or {}, content)


def garbage() -> Fault:
    """Answer 200 with an HTML page, as a captive portal or a parked domain does."""
    page = "<html><head><title>Welcome</title></head><body>It works!</body></html>"
    return lambda _request, _answer, _released: Response.html(page)


def reset() -> Fault:
    """Reset the connection before any answer, the work undone."""

    def fault(_request: Request, _answer: Handler, _released: threading.Event) -> Response:
        raise ConnectionDropped

    return fault


def lost() -> Fault:
    """Do the work, then reset the connection: the client can't know that it was done."""

    def fault(request: Request, answer: Handler, _released: threading.Event) -> Response:
        answer(request)
        raise ConnectionDropped

    return fault


def hang(seconds: float = 60.0) -> Fault:
    """Say nothing for a while, then reset the connection, the work undone."""

    def fault(_request: Request, _answer: Handler, released: threading.Event) -> Response:
        released.wait(seconds)
        raise ConnectionDropped

    return fault


def slow(seconds: float) -> Fault:
    """Do the work at once and give the right answer late."""

    def fault(request: Request, answer: Handler, released: threading.Event) -> Response:
        response = answer(request)
        released.wait(seconds)
        return response

    return fault


def drop_after(count: int) -> Fault:
    """Do the work, send so many bytes of the answer (its head included), and close."""
    return lambda request, answer, _released: replace(answer(request), cut_after=count)


@dataclass
class _Rule:
    fault: Fault
    when: Callable[[Request], bool]
    draw: Callable[[], bool]
    left: float


class Faults:
    """The faults of one API, switchable while it runs and from any thread. The oldest rule that applies wins."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._released = threading.Event()
        self._lock = threading.Lock()

    def once(self, fault: Fault, times: int = 1, when: Callable[[Request], bool] | None = None) -> None:
        """Show a fault to the next request, or to the next few, of those that ``when`` is true for."""
        self._add(_Rule(fault, when or _any, _always, times))

    def always(self, fault: Fault, when: Callable[[Request], bool] | None = None) -> None:
        """Show a fault until ``clear``."""
        self._add(_Rule(fault, when or _any, _always, float("inf")))

    def sometimes(
        self, fault: Fault, probability: float, seed: int = 0, when: Callable[[Request], bool] | None = None
    ) -> None:
        """Show a fault to a random share of the requests; the same seed draws the same sequence."""
        rng = random.Random(seed)  # noqa: S311 - not for security
        self._add(_Rule(fault, when or _any, lambda: rng.random() < probability, float("inf")))

    def clear(self) -> None:
        """End all faults, and the waiting of requests that hang right now."""
        with self._lock:
            self._rules.clear()
            released, self._released = self._released, threading.Event()
        released.set()

    def apply(self, request: Request, answer: Handler) -> Response:
        """Answer a request, through a fault if one applies.

        Raises:
            ConnectionDropped: by a fault; the server resets the connection.
        """
        with self._lock:
            fault = self._choose(request)
            released = self._released
        return answer(request) if fault is None else fault(request, answer, released)

    def _add(self, rule: _Rule) -> None:
        with self._lock:
            self._rules.append(rule)

    def _choose(self, request: Request) -> Fault | None:
        for rule in self._rules:
            if rule.when(request) and rule.draw():
                rule.left -= 1
                if rule.left <= 0:
                    self._rules.remove(rule)
                return rule.fault
        return None


def _any(_request: Request) -> bool:
    return True


def _always() -> bool:
    return True
