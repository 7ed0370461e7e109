"""Time, as delivery sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


class Clock:
    """Time for delivery; tests have their own."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """Wait until something has changed, or the seconds are over."""
        changed.wait(seconds)
