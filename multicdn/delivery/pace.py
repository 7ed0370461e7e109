"""The pace of the calls of one lane: whose turn it is, and when comes back what an invocation doesn't wait for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from multicdn.delivery.stretches import REST

if TYPE_CHECKING:
    from multicdn.delivery.invocation import Run
    from multicdn.provider import Limits

# Threads that one vendor may have: those of a function are 1,024 in all.
# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_MOST_PARALLEL = 64

# What a stretch of calls takes together with the rest after it.
_WITH_ITS_REST = 1 + 1 / REST

# Seconds; no call is quicker.
_LEAST_COST = 0.001

# Calls in a stretch for which it is worth to go on, rather than to come back for each.
_LEAST_OF_A_STRETCH = 5

# Seconds: what comes back sooner than that after what came back before is received with it, since SQS counts in whole
# seconds and a batch is gathered for a while.
_TOGETHER = 2.0


class Pace:
    """The pace of calls by one method of one provider, as many as there are in one invocation.

    Args:
        run: the invocation.
        name: of the provider.
        method: of it.
        limits: of the method.
        calls: how many there are to make.

    Attributes:
        parallel: calls that may be under way at once.
        is_slow: whether some of them have to wait for others.
    """

    def __init__(self, run: Run, name: str, method: str, limits: Limits, calls: int) -> None:
        self._run, self._rates = run, run.rates
        self._of = name, method, limits
        self._limits = limits
        self.parallel = min(limits.parallel, calls, _MOST_PARALLEL)
        self._interval = run.rates.interval(limits)
        # Where there are enough of them in a stretch, and more than follow a rest at once, an invocation is well used.
        least = max(_LEAST_OF_A_STRETCH, run.rates.at_once(limits) / limits.targets)
        self._is_brisk = self._interval * least <= run.terms.stretch
        self._is_rated = limits.parallel == 1 or self._interval > 0
        self._stretches = run.rates.stretches(*self._of)
        self._began = run.clock.now()
        self._used, self._cost = self._stretches.used(self._began)
        self.is_slow = self._is_rated and (calls > self.parallel or self._used > 0)
        self._made = 0
        self._unused: list[tuple[float, int]] = []

    def book(self, targets: int, earliest: float) -> float:
        """The moment from which the vendor's rate allows a call for so many targets, booked if it comes in time."""
        return self._rates.book(*self._of, targets, earliest, self._run.latest())

    def kept_for_others(self) -> float:
        """Seconds until the turn of jobs that are in the queue because of the rate; 0 if there are none."""
        now = self._run.clock.now()
        return max(0.0, self._rates.next_turn(*self._of, now) - now)

    def made(self) -> None:
        """Note that a call was made."""
        self._made += 1

    def forgo(self, targets: int, turn: float) -> None:
        """Note that the call isn't made that was booked for a moment."""
        self._unused.append((turn, targets))

    def end(self) -> None:
        """Note how long it took, and take back what was booked for calls that won't be made.

        Until now the bookings told each job from the ones before.
        """
        if self._is_rated:
            self._stretches.use(self._began, self._run.clock.now(), self._made, self._run.terms.stretch)
        for turn, targets in reversed(self._unused):  # the first one is kept last
            self._rates.give_back(*self._of, targets)
            self._rates.keep(*self._of, turn)
        self._unused.clear()

    def wait(self, seconds: float) -> bool:
        """Wait for a turn, and say whether it has come. While nobody else is at work none is waited for that is far."""
        patience, terms = self._run.patience, self._run.terms
        if self.is_slow and self._is_brisk and seconds <= terms.stretch - self._since():
            return patience.sleep(seconds, works=True)
        return patience.sleep(seconds, terms.turn)

    @property
    def is_over(self) -> bool:
        """Whether this process has gone on for long enough with these calls, where nobody else is at work."""
        is_over = self.is_slow and self._used + self._since() >= self._run.terms.stretch
        return is_over and self._run.patience.is_held_by_pace()

    def next_stretch(self) -> float:
        """Seconds until a call may be made in another stretch, at the pace of the calls so far."""
        cost = max(self._since() / self._made if self._made else self._cost, self._interval, _LEAST_COST)
        return self._foreseen(self._run.terms.stretch / REST, cost * _WITH_ITS_REST, self._in_a_stretch(cost))

    def told_apart(self, wait: float) -> float:
        """Seconds until a call may be made that could be in so many, where others wait as well.

        One that takes many targets takes those of all who wait. Of those with one, as many come back together as
        follow each other at once, or in one stretch: else all would come back for each.
        """
        if self._limits.targets > 1 or not self._interval or math.isinf(self._run.terms.grace):
            return wait
        if self._is_brisk:
            return self._foreseen(wait, self._interval * _WITH_ITS_REST, self._in_a_stretch(self._interval))
        at_once = self._rates.at_once(self._limits)
        return self._foreseen(wait, max(self._interval, _TOGETHER / at_once), at_once, (at_once - 1) * self._interval)

    def _since(self) -> float:
        return self._run.clock.now() - self._began

    def _in_a_stretch(self, cost: float) -> int:
        return max(1, math.floor(self._run.terms.stretch / cost))

    def _foreseen(self, wait: float, cost: float, calls: int, lead: float = 0.0) -> float:
        return self._stretches.foresee(wait, self._run.clock.now(), cost, calls, lead)
