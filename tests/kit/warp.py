"""Time that can be skipped: what is due in ten minutes happens now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Warp:
    """The clocks of this process, and seconds by which they have been put forward."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.skipped = 0.0
        now, monotonic = time.time, time.monotonic
        patch.setattr(time, "time", lambda: now() + self.skipped)
        patch.setattr(time, "monotonic", lambda: monotonic() + self.skipped)

    def sleep(self, patch: pytest.MonkeyPatch, until: float = 0.05) -> None:
        """Let whoever sleeps for longer than that skip the time instead."""
        real = time.sleep
        patch.setattr(time, "sleep", lambda seconds: self.skip(seconds) if seconds > until else real(max(0.0, seconds)))

    def __call__(self) -> float:
        """Seconds since 1970; a clock for simulators."""
        return time.time()

    def skip(self, seconds: float) -> None:
        """Put the clocks forward."""
        self.skipped += max(0.0, seconds)
