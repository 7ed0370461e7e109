"""Keeping below a vendor's rate, within one process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multicdn.provider import Limits


class Pace:
    """When the next call to one vendor may start.

    Args:
        limits: the rates that the vendor allows the whole account.
        share: the part of them that this process may use: one divided by how many run at once.
    """

    def __init__(self, limits: Limits, share: float = 1.0) -> None:
        self._calls = (limits.calls_per_second or 0) * share
        self._targets = (limits.targets_per_second or 0) * share
        self._free_at = 0.0
        self._lock = threading.Lock()

    def reserve(self, targets: int, now: float) -> float:
        """Book a call of so many targets, and return the seconds to wait before it."""
        gap = max(1 / self._calls if self._calls else 0.0, targets / self._targets if self._targets else 0.0)
        with self._lock:
            start = max(now, self._free_at)
            self._free_at = start + gap
        return start - now
