"""What a process remembers of calls that follow each other at their vendor's pace.

A stretch is as many of them as one invocation makes where it has nothing else to do. The others wait in the queue.
"""

from __future__ import annotations

import math
import threading

from multicdn.routing.durations import LONGEST_DELAY

# Seconds of calls that a second of rest gives back: a sixth of the time is left for others, however many there are.
REST = 5.0

# What is foreseen for later than the queue can delay a message is told its turn when it has come back. So are those for
# which there would be so many messages more: to send them takes longer than an invocation has left.
_MOST_AHEAD = 20


class Stretches:
    """The stretches of calls that share a rate. They outlive an invocation."""

    def __init__(self) -> None:
        self._used = self._cost = 0.0
        self._until = self._due = -math.inf
        self._room = 0
        self._lock = threading.Lock()

    def used(self, at: float) -> tuple[float, float]:
        """Seconds that calls have used up lately, less what a rest gives back; and those that each of the last took."""
        with self._lock:
            return max(0.0, self._used - REST * max(0.0, at - self._until)), self._cost

    def use(self, began: float, at: float, calls: int, most: float) -> None:
        """Note that calls have used up the time from a moment to this one; no more than ``most`` is remembered."""
        used, _ = self.used(began)
        with self._lock:
            self._used, self._until = min(most, used + at - began), at
            self._cost = (at - began) / calls if calls else self._cost

    def foresee(self, wait: float, now: float, cost: float, calls: int, lead: float = 0.0) -> float:
        """Seconds until a job comes back that must wait in the queue: with others, and after all that wait already.

        Nothing is booked for it, since nobody knows which process gets the message.

        Args:
            wait: seconds at least.
            now: this moment.
            cost: seconds that each call takes up.
            calls: how many come back together.
            lead: seconds after ``wait`` at which the first of those do.
        """
        horizon = min(LONGEST_DELAY, wait + lead + _MOST_AHEAD * calls * cost)
        with self._lock:
            due, room = self._due, self._room
            if not room or due < now + wait:
                due, room = max(now + wait + lead, due + calls * cost), calls
            if due - now > horizon:
                return horizon
            self._due, self._room = due, room - 1
            return due - now
