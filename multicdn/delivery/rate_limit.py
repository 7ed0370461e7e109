"""Keeping below a vendor's rate, within one process."""

from __future__ import annotations

import math


class Pace:
    """A token bucket that may be overdrawn: a call that is larger than the bucket waits until it is paid for.

    Its owner sees to it that no two threads use it at once.

    Args:
        per_second: how fast it fills; 0 sets no pace.
        burst: how much it holds. What is booked within it needs no wait.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._level = burst
        self._at = -math.inf

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
            self._level, self._at = self._level_at(at) - amount, at

    def _level_at(self, moment: float) -> float:
        return min(self._burst, self._level + (moment - self._at) * self._per_second)
