"""Rate limits as vendors have them, and a clock that tests can turn."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ManualClock:
    """A clock that stands still until it is moved. Call it to read it, as ``time.time``."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on."""
        self.now += seconds


class TokenBucket:
    """So many tokens a second, saved up to a capacity.

    Args:
        rate: tokens a second.
        capacity: most tokens that can be saved; a bucket begins full.
        clock: seconds.
    """

    def __init__(self, rate: float, capacity: float, clock: Callable[[], float]) -> None:
        self.rate = rate
        self.capacity = capacity
        self._clock = clock
        self._tokens = capacity
        self._read_at = clock()
        self._lock = threading.Lock()

    def take(self, tokens: float = 1) -> float:
        """Take tokens and return 0, or take none and return the seconds until there are enough."""
        with self._lock:
            self._fill()
            if tokens <= self._tokens:
                self._tokens -= tokens
                return 0.0
            return (tokens - self._tokens) / self.rate

    @property
    def remaining(self) -> float:
        """Tokens there are."""
        with self._lock:
            self._fill()
            return self._tokens

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self.capacity, self._tokens + (now - self._read_at) * self.rate)
        self._read_at = now


class SlidingWindow:
    """At most so many within any period of some seconds.

    Args:
        limit: most units within a period.
        seconds: length of the period.
        clock: seconds.
    """

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float]) -> None:
        self.limit = limit
        self.seconds = seconds
        self._clock = clock
        self._taken: deque[tuple[float, int]] = deque()
        self._used = 0
        self._lock = threading.Lock()

    def take(self, units: int = 1) -> float:
        """Take units and return 0, or take none and return the seconds until there is room for them.

        More than ``limit`` at once never fits; the answer is then the whole period.
        """
        with self._lock:
            self._forget()
            if self._used + units <= self.limit:
                self._taken.append((self._clock(), units))
                self._used += units
                return 0.0
            return self._wait(units)

    @property
    def remaining(self) -> int:
        """Units that fit now."""
        with self._lock:
            self._forget()
            return self.limit - self._used

    @property
    def resets_at(self) -> float:
        """The moment at which all units are free again."""
        with self._lock:
            self._forget()
            return (self._taken[-1][0] if self._taken else self._clock() - self.seconds) + self.seconds

    def _forget(self) -> None:
        now = self._clock()
        while self._taken and self._taken[0][0] + self.seconds <= now:
            self._used -= self._taken.popleft()[1]

    def _wait(self, units: int) -> float:
        excess = self._used + units - self.limit
        for moment, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return moment + self.seconds - self._clock()
        return self.seconds
