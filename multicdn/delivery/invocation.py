"""One invocation: how hard it tries, its clock, and how much of its time is left."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.delivery.breaker import LONGEST_PAUSE
from multicdn.delivery.patience import Patience
from multicdn.provider import Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.delivery.clock import Clock
    from multicdn.delivery.observer import Guarded
    from multicdn.delivery.rate_limit import RateLimits
    from multicdn.provider import Provider

# Parts of the grace. An invocation in which nobody else is at work waits so long for a vendor's next turn: about what a
# call takes. And so many times as long it goes on with calls that follow each other at their vendor's pace: beside it
# the second or two that the queue takes are little.
_OF_A_TURN, _OF_A_STRETCH = 0.1, 5.0

# Below this many seconds no call is begun: it could not end before the function is stopped.
_SHORTEST_CALL = 0.25


class Terms(Struct, frozen=True, kw_only=True):
    """How hard delivery tries within one invocation.

    Attributes:
        tries: calls for one batch.
        base, longest: seconds; a wait is drawn from 0 to base * 2 ** try, and never above ``longest``.
        connect, read: seconds a call may wait for its connection and for its answer.
        concurrency: how many invocations run at once; each takes its share of a vendor's rate.
        grace: seconds that an invocation may spend, all together, in which nothing but waiting happens; then what is
            open is left undelivered. With a grace, vendors in trouble have circuit breakers, too. Infinite unless what
            is undelivered can wait elsewhere.
        prompt: seconds in which a vendor that is well answers: for so long a call is no waiting.
        longest_pause: seconds that a circuit breaker stays open at most, unless the vendor asks for more.
        ends: what has happened when there is no time left, for whoever reads why something wasn't delivered.
    """

    tries: int = 8
    base: float = 0.5
    longest: float = 20.0
    connect: float = 3.0
    read: float = 10.0
    concurrency: int = 1
    grace: float = math.inf
    prompt: float = 2.0
    longest_pause: float = LONGEST_PAUSE
    ends: str = "the invocation's time was up"

    @property
    def turn(self) -> float:
        """Seconds for which a vendor's next turn is waited for while nobody else is at work."""
        return self.grace * _OF_A_TURN

    @property
    def stretch(self) -> float:
        """Seconds for which calls follow each other at their vendor's pace while nobody else is at work."""
        return self.grace * _OF_A_STRETCH


class Latch:
    """Opens when all that it was told to expect is done.

    Args:
        patience: of the invocation.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._missing = 0

    def expect(self, number: int) -> None:
        """Say how many there are, before any is done."""
        self._missing = number

    def done(self) -> None:
        """Say that one of them is done."""
        with self._patience.changing():
            self._missing -= 1

    def wait(self, seconds: float) -> None:
        """Wait until all are done, the seconds are over, or the invocation is."""
        self._patience.wait_for(lambda: self._missing <= 0, seconds)


class Run:
    """One invocation, as all that happens in it sees it.

    Args:
        terms: how hard to try.
        clock: of this process.
        jitter: draws from 0 to its argument.
        rates: of the vendors.
        seconds: that there are from now on. Nothing is begun that could not end in them.
        observer: told what happens in it.

    Attributes:
        observer: the same; None where nobody looks.
        stopped: whether no further call is to be made.
        purged: opens when all instances have made their purges.
        patience: how long to wait while nothing else is done.
        rates: the same.
    """

    def __init__(
        self,
        terms: Terms,
        clock: Clock,
        jitter: Callable[[float], float],
        rates: RateLimits,
        seconds: float,
        observer: Guarded | None = None,
    ) -> None:
        self.terms = terms
        self.clock = clock
        self.observer = observer
        self.stopped = False
        self.patience = Patience(clock, terms.grace)
        self.purged = Latch(self.patience)
        self._jitter = jitter
        self.rates = rates
        self._began = clock.now()
        self._deadline = self._began + seconds

    def elapsed(self) -> float:
        """Seconds since its beginning."""
        return self.clock.now() - self._began

    @property
    def ends(self) -> str:
        """What keeps it from going on, where it doesn't."""
        return "it was interrupted" if self.stopped else self.terms.ends

    def stop(self) -> None:
        """Let no further call begin."""
        with self.patience.changing():
            self.stopped = True

    def left(self) -> float:
        """Seconds until the deadline."""
        return self._deadline - self.clock.now()

    def has_time(self, wait: float = 0.0) -> bool:
        """Whether there is time for a call after a wait."""
        return not (self.stopped or self.patience.is_over) and wait + _SHORTEST_CALL <= self.left()

    def call(self, *, soft: bool = False, reference: str = "", most: float = math.inf) -> Call:
        """A call's circumstances: none may outlive the function, or last longer than it is told to."""
        left = min(self.left(), most)
        return Call(soft, reference, connect=min(self.terms.connect, left), read=min(self.terms.read, left))

    def latest(self) -> float:
        """The moment after which no call may begin."""
        return self._deadline - _SHORTEST_CALL

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
