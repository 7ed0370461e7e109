"""Keeping below the vendors' rates, within one process."""

from __future__ import annotations

import math
import threading
from bisect import bisect_right, insort
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from multicdn.delivery.stretches import Stretches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.provider import Limits


# Seconds after its turn for which a call is kept for jobs that wait for it in the queue: SQS counts in whole seconds,
# and the batch that brings them is gathered for a while.
_KEPT = 3.0


# Seconds that one call may be longer under way to its vendor than the next: only then does it begin to count.
_UNDER_WAY = 1.0

# Bookings that are remembered for longer than they count, since others after them may be taken back: a bucket is then
# as full as if those had never been, and a window holds again what they had waited for.
_REMEMBERED = 1000


class _Booked(NamedTuple):
    """A booking, and how full the bucket was before it."""

    at: float
    amount: float
    level: float
    since: float


class TokenBucket:
    """A token bucket that may be overdrawn: a call that is larger than the bucket waits until it is paid for.

    Its owner sees to it that no two threads use it at once.

    Args:
        per_second: how fast it fills; 0 sets no limit.
        burst: how much it holds. What is booked within it needs no wait.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._level = burst
        self._at = -math.inf
        self._booked: list[_Booked] = []

    def start(self, amount: float, at: float) -> float:
        """The moment from which an amount may be used, ``at`` or later."""
        if not self._per_second:
            return at
        # One call of any size may start when the bucket is full, or none larger than it ever could.
        needed = min(amount, self._burst)
        return at + max(0.0, (needed - self._level_at(at)) / self._per_second)

    def book(self, amount: float, at: float) -> None:
        """Use an amount at a moment that ``start`` allows."""
        if self._per_second:
            self._booked.append(_Booked(at, amount, self._level, self._at))
            del self._booked[:-_REMEMBERED]
            self._level, self._at = self._level_at(at) - amount, at

    def give_back(self, amount: float, at: float, used: float = 0.0) -> None:
        """Take a booking back, but for what of it is used. Those after it stand."""
        places = reversed(range(len(self._booked)))  # the last is the likeliest
        place = next((place for place in places if self._booked[place][:2] == (at, amount)), None)
        if place is None:
            self._level += amount - used
            return
        stand = self._booked[place + 1 :]
        self._level, self._at = self._booked[place][2:]
        del self._booked[place:]
        for moment, units in [(at, used)] * bool(used) + [booked[:2] for booked in stand]:
            self.book(units, moment)

    def _level_at(self, moment: float) -> float:
        return min(self._burst, self._level + (moment - self._at) * self._per_second)


class SlidingWindow:
    """So much within any period. A call that is larger than that uses up as many periods as it takes.

    Its owner sees to it that no two threads use it at once.

    Args:
        limit: what a period holds.
        seconds: the period.
    """

    def __init__(self, limit: float, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds + _UNDER_WAY
        self._booked: list[tuple[float, float]] = []

    def start(self, amount: float, at: float) -> float:
        """The moment from which an amount may be used, ``at`` or later, and not before what is booked already."""
        start = max(at, self._booked[-1][0]) if self._booked else at
        counted = self._booked[self._over(start) :]
        room = self._limit - sum(units for _, units in counted)
        for moment, units in counted:
            if room >= min(amount, self._limit):
                break
            start, room = moment + self._seconds, room + units
        return start

    def book(self, amount: float, at: float) -> None:
        """Use an amount at a moment that ``start`` allows."""
        # Not before: who only asks about a later moment, since a vendor wants a long wait, may not come to book it.
        del self._booked[: max(0, self._over(at) - _REMEMBERED)]
        for part in self._parts(amount, at):
            insort(self._booked, part)

    def give_back(self, amount: float, at: float, used: float = 0.0) -> None:
        """Take a booking back, but for what of it is used. Those of others stand."""
        for part in self._parts(amount, at):
            with suppress(ValueError):  # it counts no longer
                self._booked.remove(part)
        for part in self._parts(used, at):
            insort(self._booked, part)

    def _over(self, at: float) -> int:
        """How many bookings no longer count at a moment."""
        return bisect_right(self._booked, at, key=lambda booked: booked[0] + self._seconds)

    def _parts(self, amount: float, at: float) -> Iterator[tuple[float, float]]:
        """A booking by the period."""
        while amount > 0:
            yield at, min(amount, self._limit)
            amount, at = amount - self._limit, at + self._seconds


class RateLimits:
    """The rates of all vendors. They outlive an invocation, since the vendors remember as well.

    Args:
        concurrency: how many processes run at once; each takes its share of every rate.
    """

    def __init__(self, concurrency: int = 1) -> None:
        self._share = 1 / concurrency
        self._buckets: dict[tuple[str, ...], TokenBucket | SlidingWindow] = {}
        self._kept: dict[tuple[str, ...], float] = {}
        self._stretches: dict[tuple[str, ...], Stretches] = {}
        self._lock = threading.Lock()

    def book(self, name: str, method: str, limits: Limits, targets: int, at: float, latest: float) -> float:
        """Book a call to a provider, and return the moment from which it may be made, ``at`` or later.

        What could only be made after ``latest`` isn't booked: it won't be, and must not delay others.

        Args:
            name: of the provider.
            method: of it; methods and providers share a rate only where their limits name the same quota.
            limits: of the method.
            targets: how many the call has.
            at: the earliest moment.
            latest: the latest one.
        """
        with self._lock:
            for_call = self._bucket("calls", name, method, limits)
            for_targets = self._bucket("targets", name, method, limits)
            start = max(for_call.start(1, at), for_targets.start(targets, at))
            if start <= latest:
                # Both at the moment of the call: the one that had room before would fill up again meanwhile.
                for_call.book(1, start)
                for_targets.book(targets, start)
                self._kept.pop(_budget("calls", name, method, limits), None)
            return start

    def keep(self, name: str, method: str, limits: Limits, turn: float) -> None:
        """Keep the call of a turn for jobs that were put off until then: what is new must not always be faster.

        Only where one call can take all of them, with what is new beside: else the new would stand behind the old.
        """
        if limits.targets > 1:
            with self._lock:
                self._kept[_budget("calls", name, method, limits)] = turn

    def next_turn(self, name: str, method: str, limits: Limits, at: float) -> float:
        """The moment at which new jobs may come to the turn of those that wait already; ``at`` if none do."""
        with self._lock:
            turn = self._kept.get(_budget("calls", name, method, limits), -math.inf)
            if at >= turn + _KEPT:
                return at
            return turn if turn > at else at + _KEPT

    def stretches(self, name: str, method: str, limits: Limits) -> Stretches:
        """What is remembered of calls that share a rate."""
        with self._lock:
            return self._stretches.setdefault(_budget("calls", name, method, limits), Stretches())

    def interval(self, limits: Limits) -> float:
        """Seconds from one full call to the next; 0 where the vendor names no rate."""
        rates = (limits.calls_per_second or 0.0, (limits.targets_per_second or 0.0) / limits.targets)
        return max((1 / (rate * self._share) for rate in rates if rate), default=0.0)

    def at_once(self, limits: Limits) -> int:
        """Calls of one target that may follow each other at once after a quiet time, where there is a rate."""
        rates = (_rate(unit, limits) for unit in ("calls", "targets"))
        return max(1, math.floor(min((burst * self._share for rate, burst in rates if rate), default=1.0)))

    def give_back(self, name: str, method: str, limits: Limits, targets: int, at: float, used: int = 0) -> None:
        """Take a booking of these arguments back: its call won't be made, or with so many of its targets."""
        with self._lock:
            self._bucket("calls", name, method, limits).give_back(1, at, bool(used))
            self._bucket("targets", name, method, limits).give_back(targets, at, used)

    def _bucket(self, unit: str, name: str, method: str, limits: Limits) -> TokenBucket | SlidingWindow:
        budget = _budget(unit, name, method, limits)
        if budget not in self._buckets:
            self._buckets[budget] = self._made(unit, limits)
        return self._buckets[budget]

    def _made(self, unit: str, limits: Limits) -> TokenBucket | SlidingWindow:
        per_second, burst = _rate(unit, limits)
        if unit == "targets" and limits.target_window:
            return SlidingWindow(max(1.0, per_second * limits.target_window * self._share), limits.target_window)
        return TokenBucket(per_second * self._share, max(1.0, burst * self._share))


def _budget(unit: str, name: str, method: str, limits: Limits) -> tuple[str, ...]:
    if not limits.quota:
        return unit, name, method
    # CloudFront has one rate for paths and tags together, and another one for wildcards.
    return unit, limits.quota, str(limits.targets_per_second if unit == "targets" else "")


def _rate(unit: str, limits: Limits) -> tuple[float, float]:
    """How many a second, and how many at once. Unless the vendor says otherwise, one call of full size may start."""
    if unit == "calls":
        return limits.calls_per_second or 0.0, limits.burst
    return limits.targets_per_second or 0.0, limits.target_burst or limits.targets
