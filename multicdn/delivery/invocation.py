"""One invocation: how hard it tries, its clock, and how much of its time is left."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.provider import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.delivery.rate_limit import RateLimits
    from multicdn.provider import Limits, Provider

# Below this many seconds no call is begun: it could not end before the function is stopped.
_SHORTEST_CALL = 0.25


class Terms(Struct, frozen=True, kw_only=True):
    """How hard delivery tries within one invocation.

    Attributes:
        tries: calls for one batch.
        base, longest: seconds; a wait is drawn from 0 to base * 2 ** try, and never above ``longest``.
        connect, read: seconds a call may wait for its connection and for its answer.
        concurrency: how many invocations run at once; each takes its share of a vendor's rate.
    """

    tries: int = 8
    base: float = 0.5
    longest: float = 20.0
    connect: float = 3.0
    read: float = 10.0
    concurrency: int = 1


class Clock:
    """Time for delivery; tests have their own."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Latch:
    """Opens when all that it was told to expect is done."""

    def __init__(self) -> None:
        self._missing = 0
        self._condition = threading.Condition()

    def expect(self, number: int) -> None:
        """Say how many there are, before any is done."""
        self._missing = number

    def done(self) -> None:
        """Say that one of them is done."""
        with self._condition:
            self._missing -= 1
            self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until all are done, or the seconds are over."""
        with self._condition:
            self._condition.wait_for(lambda: self._missing <= 0, seconds)


class Run:
    """One invocation, as all that happens in it sees it.

    Args:
        terms: how hard to try.
        clock: of this process.
        jitter: draws from 0 to its argument.
        rates: of the vendors.
        seconds: that there are from now on. Nothing is begun that could not end in them.

    Attributes:
        purged: opens when all instances have made their purges.
    """

    def __init__(
        self, terms: Terms, clock: Clock, jitter: Callable[[float], float], rates: RateLimits, seconds: float
    ) -> None:
        self.terms = terms
        self.clock = clock
        self.purged = Latch()
        self._jitter = jitter
        self._rates = rates
        self._deadline = clock.now() + seconds

    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self.clock.now()

    def has_time(self, wait: float = 0.0) -> bool:
        """Whether there is time for a call after a wait."""
        return wait + _SHORTEST_CALL <= self.left()

    def call(self, *, soft: bool = False, reference: str = "") -> Call:
        """A call's circumstances: none may outlive the function."""
        left = self.left()
        return Call(soft, reference, connect=min(self.terms.connect, left), read=min(self.terms.read, left))

    def book(self, name: str, method: str, limits: Limits, targets: int, at: float) -> float:
        """Book a call at its vendor's rate, if its turn comes in time, and return the moment of its turn."""
        return self._rates.book(name, method, limits, targets, at, self._deadline - _SHORTEST_CALL)

    def wait_before(self, tried: int, asked: float | None) -> float:
        """Seconds until the next try: a growing random time, but at least what the vendor asked for and a little."""
        grown = self._jitter(min(self.terms.longest, self.terms.base * 2.0**tried))
        if asked is None:
            return grown
        return max(grown, asked + self._jitter(min(self.terms.base, asked / 10 + self.terms.base / 10)))


def forget_secrets(provider: Provider) -> None:
    """Let a provider's secrets be resolved anew."""
    for secret in provider.secrets():
        secret.forget()
