"""The pace of the calls of one lane: whose turn it is, and when comes back what an invocation doesn't wait for."""

from __future__ import annotations

import math
import threading
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
        self._has_ended = False
        self._lock = threading.Lock()

    def turn(self) -> Turn:
        """The turn of a job, of which none is booked yet."""
        return Turn(self)

    def book(self, targets: int, earliest: float) -> tuple[float, bool]:
        """The moment from which the vendor's rate allows a call for so many targets, and whether it's booked for it."""
        latest = self._run.latest()
        at = self._rates.book(*self._of, targets, earliest, latest)
        return at, at <= latest

    def give_back(self, targets: int, turn: float, used: int = 0) -> None:
        """Take back what was booked for a moment, but for what of it is used."""
        self._rates.give_back(*self._of, targets, turn, used)

    def kept_for_others(self) -> float:
        """Seconds until the turn of jobs that are in the queue because of the rate; 0 if there are none."""
        now = self._run.clock.now()
        return max(0.0, self._rates.next_turn(*self._of, now) - now)

    def made(self) -> None:
        """Note that a call was made."""
        with self._lock:
            self._made += 1

    def forgo(self, targets: int, turn: float) -> None:
        """Note that the call isn't made that was booked for a moment: its job is to come back then."""
        with self._lock:
            if not self._has_ended:
                self._unused.append((turn, targets))
                return
        self.give_back(targets, turn)

    def end(self) -> None:
        """Note how long it took, and take back what was booked for calls that won't be made. A second end is none.

        Until now the bookings told each job from the ones before.
        """
        with self._lock:
            if self._has_ended:
                return
            self._has_ended = True
        if self._is_rated:
            self._stretches.use(self._began, self._run.clock.now(), self._made, self._run.terms.stretch)
        for turn, targets in reversed(self._unused):  # the first one is kept last
            self.give_back(targets, turn)
            self._rates.keep(*self._of, turn)

    def wait(self, seconds: float) -> bool:
        """Wait for a turn, and say whether it has come. While nobody else is at work none is waited for that is far."""
        patience, terms = self._run.patience, self._run.terms
        if self.is_slow and self._is_brisk and seconds < terms.stretch - self._used - self._since():
            return patience.sleep(seconds, works=True)
        return patience.sleep(seconds, terms.turn)

    def is_over(self, wait: float = 0.0) -> bool:
        """Whether this process has gone on for long enough with these calls, where nobody else is at work.

        Args:
            wait: seconds until the next one's turn: a stretch that would end meanwhile has ended.
        """
        used = self._used + self._since() + (wait if self._is_brisk else 0.0)
        return self.is_slow and used >= self._run.terms.stretch and self._run.patience.is_held_by_pace()

    def next_stretch(self, wait: float = 0.0) -> float:
        """Seconds until a call may be made in another stretch, at the pace of the calls so far; ``wait`` at least."""
        cost = max(self._since() / self._made if self._made else self._cost, self._interval, _LEAST_COST)
        return self._foreseen(
            max(wait, self._run.terms.stretch / REST), cost * _WITH_ITS_REST, self._in_a_stretch(cost)
        )

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


class Turn:
    """The turn of one job: what is booked for it, and not used, is given back in the end.

    Args:
        pace: of its calls.

    Attributes:
        at: the moment from which its call may be made; before all others as long as none was asked for.
    """

    def __init__(self, pace: Pace) -> None:
        self.at = -math.inf
        self._pace = pace
        self._booked = 0

    def book(self, targets: int, earliest: float) -> None:
        """Ask for a call with so many targets, in place of what was booked before."""
        self.give_back()
        self.at, is_booked = self._pace.book(targets, earliest)
        self._booked = targets if is_booked else 0

    def use(self, targets: int) -> None:
        """Note that the call is made now, with so many targets: some may have ended since, or wait for another one."""
        if self._booked > targets:
            self._pace.give_back(self._booked, self.at, targets)
        self._booked = 0
        self._pace.made()

    def forgo(self) -> None:
        """Note that its job comes back for it."""
        if self._booked:
            self._pace.forgo(self._booked, self.at)
        self._booked = 0

    def give_back(self) -> None:
        """Let others have it."""
        if self._booked:
            self._pace.give_back(self._booked, self.at)
        self._booked = 0
