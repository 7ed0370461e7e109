"""Time, as delivery sees it."""

from __future__ import annotations

import time


class Clock:
    """Time for delivery; tests have their own."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
