"""What is done before the first event, while Lambda gives the function a whole processor: one step after the other.

The steps are a plugin's code, and INIT has 10 seconds: what is not done then is thrown away, and done anew within the
first event, which pays for it (docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html). So they run in a
thread: nothing else could leave one behind that hangs. When the time is over the first event does what is left.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from multicdn.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds for all steps: what has to be loaded before them, and AWS's own start, take the greater part of a second.
LONGEST = 5.0


class Step(NamedTuple):
    """Something to be prepared.

    Attributes:
        run: does it; whatever it raises is no harm to the others.
        complain: takes the reason why it isn't done.
    """

    run: Callable[[], object]
    complain: Callable[[str], None]


def take(steps: Sequence[Step], seconds: float = LONGEST) -> None:
    """Take steps in their order, for so many seconds at most. Never raises for anything that they do."""
    taking = _Taking(steps, time.monotonic() + seconds)
    try:
        taking.start()
    except RuntimeError as error:  # no thread is left: then the first event won't fare better, and says so
        return steps[0].complain(told(error))
    taking.join(seconds)
    taking.leave(f"not done within {seconds:.0f} s; the first event does what is left")


class _Taking(threading.Thread):
    """Takes steps until it is left behind."""

    def __init__(self, steps: Sequence[Step], until: float) -> None:
        super().__init__(name="multicdn-preparation", daemon=True)
        self._left = list(steps)
        self._until = until
        self._lock = threading.Lock()

    def run(self) -> None:
        """Take one after the other."""
        while (step := self._next()) is not None:
            reason = ""
            try:
                step.run()
            except BaseException as error:  # noqa: BLE001 - a plugin may raise anything; its first call does without
                reason = told(error)
            with self._lock:  # whoever has been left behind says nothing any more: it was said
                if self._left:
                    del self._left[0]
                    if reason:
                        step.complain(reason)

    def _next(self) -> Step | None:
        with self._lock:
            return self._left[0] if self._left and time.monotonic() < self._until else None

    def leave(self, reason: str) -> None:
        """Let it take no further step, and complain of those that it has not done."""
        with self._lock:
            left, self._left = self._left, []
        for step in left:
            step.complain(reason)
