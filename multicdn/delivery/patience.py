"""How long an invocation lasts: while a vendor is at work for it, and for a short grace beyond."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.delivery.clock import Clock

# A thread that uses this share of a processor computes, whatever it said: its first call imports an SDK, which takes
# seconds where a function has a tenth of a processor. One that waits for an answer uses next to nothing.
_COMPUTING_SHARE = 0.03

# Seconds between two looks at whether one does.
_LOOK = 0.2

# Between two calls a thread computes; should it hang in a plugin's code, it passes for work no longer than this.
COMPUTING = 5.0


class _Work(Struct, eq=False):
    """What a thread does: since when, for how long it is taken for work, and the clock of the time that it computes."""

    until: float
    seen_at: float
    clock: int | None
    computed: float

    def go_on(self, now: float) -> None:
        """See whether it still computes."""
        computed = _computed(self.clock)
        if computed - self.computed > _COMPUTING_SHARE * (now - self.seen_at):
            self.until = max(self.until, now)
        self.seen_at, self.computed = now, computed


class Patience:
    """The grace of one invocation: seconds, all together, in which no thread of it is at work.

    A thread is at work as long as it says beforehand that its work will take, and beyond while it computes. So a call
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
        self._works: dict[object, _Work] = {}
        self._at_pace: set[object] = set()
        self._changed = threading.Condition()

    def busy(self, seconds: float, who: object = None, *, cold: bool = False, after: object = None) -> None:
        """This thread, or somebody else, is at work: for so many seconds, or until it says otherwise.

        Args:
            seconds: for which it is taken for work even if it doesn't compute.
            who: if not this thread.
            cold: whether this thread may wait for another one that imports what both need: then it is at work while
                the process computes.
            after: whose work this thread goes on with.
        """
        with self._changed:
            self._settle()
            clock, now = None if who else _clock_of_this_thread(), self._clock.now()
            if cold and clock is not None:
                clock = time.CLOCK_PROCESS_CPUTIME_ID
            self._works.pop(after, None)
            self._works[who or threading.get_ident()] = _Work(now + seconds, now, clock, _computed(clock))

    def idle(self, who: object = None) -> None:
        """This thread, or somebody else, waits or has ended."""
        with self._changed:
            self._settle()
            self._works.pop(who or threading.get_ident(), None)
            self._changed.notify_all()

    def sleep(self, seconds: float, most: float = math.inf, *, works: bool = False) -> bool:
        """Wait, unless the grace would be over before.

        Args:
            seconds: to wait.
            most: seconds of them for which nobody need be at work.
            works: whether to wait is to work: one call follows the other as soon as the vendor allows.

        Returns:
            Whether all of the wait is over. If not, it was not begun, or was cut short when the last work had ended.
        """
        if math.isinf(self._left):
            self._clock.sleep(seconds)
            return True
        until = self._clock.now() + seconds
        self.busy(seconds) if works else self.idle()
        with self._changed:
            while (missing := until - self._clock.now()) > 0:
                working = self._working()
                if self.is_over or (not working and missing > min(self._left, most)):
                    return False
                self._clock.wait(self._changed, min(missing, working or _LOOK))
                self._settle()
        self.busy(COMPUTING)
        return True

    @contextmanager
    def at_pace(self) -> Iterator[None]:
        """Say that what this thread does meanwhile is one call after the other, of as many as there are."""
        with self._changed:
            self._at_pace.add(threading.get_ident())
        try:
            yield
        finally:
            with self._changed:
                self._at_pace.discard(threading.get_ident())

    def is_held_by_pace(self) -> bool:
        """Whether nobody is at work but threads that are at their vendor's pace."""
        with self._changed:
            now = self._clock.now()
            return not any(work.until > now for who, work in self._works.items() if who not in self._at_pace)

    def wait_for(self, happened: Callable[[], bool], seconds: float) -> None:
        """Wait until something has happened, the seconds are over, or the grace is."""
        self.idle()
        until = time.monotonic() + seconds
        with self._changed:
            while not happened() and not self.is_over and self._left > 0:
                missing = until - time.monotonic()
                if missing <= 0:
                    return
                self._changed.wait(min(missing, self._working() or min(self._left, _LOOK)))
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
        return max(0.0, self._worked_until() - self._clock.now())

    def _worked_until(self) -> float:
        return max((work.until for work in self._works.values()), default=-math.inf)

    def _settle(self) -> None:
        """Take from the grace what has passed without work since this was asked last."""
        now = self._clock.now()
        for work in self._works.values():
            if work.until < now:
                work.go_on(now)
        self._left -= max(0.0, now - max(self._settled_at, self._worked_until()))
        self._settled_at = now


def _clock_of_this_thread() -> int | None:
    """The clock that counts what this thread computes; None where the system has none, as on macOS."""
    clock = getattr(time, "pthread_getcpuclockid", None)
    return clock(threading.get_ident()) if clock else None


def _computed(clock: int | None) -> float:
    """Seconds that a thread has computed, by its clock."""
    try:
        return time.clock_gettime(clock) if clock is not None else -math.inf
    except OSError:  # the thread has ended
        return -math.inf
