"""How long an invocation lasts: while a vendor is at work for it, and for a short grace beyond."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.delivery.clock import Clock

# Between two calls a thread computes; should it hang in a plugin's code, it passes for work no longer than this.
COMPUTING = 5.0


class Patience:
    """The grace of one invocation: seconds, all together, in which no thread of it is at work.

    A thread is at work as long as it says beforehand that its work will take, until it says that it waits. So a call
    that takes longer than is usual, a wait for a vendor's rate, and a wait before another try all use up the grace,
    unless something else is being done meanwhile.

    Args:
        clock: of this process.
        grace: seconds; infinite where the time of the invocation is all that matters.
    """

    def __init__(self, clock: Clock, grace: float = math.inf) -> None:
        self.is_over = False
        self._clock = clock
        self._left = grace
        self._settled_at = clock.now()
        self._busy_until: dict[object, float] = {}
        self._changed = threading.Condition()

    def busy(self, seconds: float, who: object = None) -> None:
        """This thread, or somebody else, is at work: for so many seconds, or until it says otherwise."""
        with self._changed:
            self._settle()
            self._busy_until[who or threading.get_ident()] = self._clock.now() + seconds

    def idle(self, who: object = None) -> None:
        """This thread, or somebody else, waits or has ended."""
        with self._changed:
            self._settle()
            self._busy_until.pop(who or threading.get_ident(), None)
            self._changed.notify_all()

    def sleep(self, seconds: float) -> bool:
        """Wait, unless the grace would be over before.

        Returns:
            Whether all of the wait is over. If not, it was not begun, or was cut short when the last work had ended.
        """
        if math.isinf(self._left):
            self._clock.sleep(seconds)
            return True
        until = self._clock.now() + seconds
        self.idle()
        with self._changed:
            while (missing := until - self._clock.now()) > 0:
                working = self._working()
                if self.is_over or (not working and missing > self._left):
                    return False
                self._changed.wait(min(missing, working) if working else missing)
                self._settle()
        self.busy(COMPUTING)
        return True

    def wait_for(self, happened: Callable[[], bool], seconds: float) -> None:
        """Wait until something has happened, the seconds are over, or the grace is."""
        self.idle()
        until = time.monotonic() + seconds
        with self._changed:
            while not happened() and not self.is_over and self._left > 0:
                missing = until - time.monotonic()
                if missing <= 0:
                    return
                self._changed.wait(min(missing, self._working() + self._left))
                self._settle()

    def end(self) -> None:
        """End the invocation: whoever waits stops waiting."""
        with self._changed:
            self.is_over = True
            self._changed.notify_all()

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Let something happen for which others may wait."""
        with self._changed:
            yield
            self._changed.notify_all()

    def _working(self) -> float:
        """Seconds for which somebody is at work, from now on."""
        return max(0.0, max(self._busy_until.values(), default=-math.inf) - self._clock.now())

    def _settle(self) -> None:
        """Take from the grace what has passed without work since this was asked last."""
        now = self._clock.now()
        worked_until = max(self._busy_until.values(), default=-math.inf)
        self._left -= max(0.0, now - max(self._settled_at, worked_until))
        self._settled_at = now
