"""Messages that came back for their vendor's turn, kept until the others of that turn are there.

SQS counts in whole seconds, so they come within one; and one call may take all of them, where each alone would take the
turn from the others. Nothing else waits for them.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple

from multicdn.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Seconds after the end of a turn from which it is late: until then whoever keeps it is about to see that it's complete.
_LATE = 1.0


class _Kept(NamedTuple):
    message: MessageTypeDef
    deadline: float


class KeptTurns:
    """Those of all workers of a process. Whoever is free when a turn is complete handles all of it.

    Args:
        window: seconds from the first on for which they are kept; 0 keeps none.
        most: how many.

    Attributes:
        closed: whether nothing more is kept, and what is here is to be handled; set where workers end.
    """

    def __init__(self, window: float, most: int) -> None:
        self.closed = False
        self._window = window
        self._most = most
        self._kept: dict[str, _Kept] = {}
        self._until = self._late = math.inf
        self._lock = threading.Lock()

    def keep(self, messages: Sequence[MessageTypeDef], now: float, deadline: float) -> list[MessageTypeDef]:
        """Keep those that came for their turn, and return the others; until the deadline they are surely ours."""
        with self._lock:
            keeps = self._window and not self.closed
            paced = {message["MessageId"]: message for message in messages if keeps and _is_paced(message)}
            self._forget_lost(now)
            if paced and not self._kept:
                self._until = now + self._window
                self._late = self._until + _LATE
            # By id: one may come again, and only its latest receipt is good.
            self._kept.update((name, _Kept(message, deadline)) for name, message in paced.items())
            if len(self._kept) >= self._most:
                self._until = min(self._until, now)
                self._late = min(self._late, now + _LATE)
        return [message for message in messages if message["MessageId"] not in paced]

    def left(self, now: float) -> float:
        """Seconds for which somebody has to keep those that are here; none if there are none, or enough."""
        with self._lock:
            return max(0.0, self._until - now) if self._kept else 0.0

    def is_late(self, now: float) -> bool:
        """Whether a turn is complete, and all who knew of it have something else to do. Only one is told at a time.

        Whoever leaves a poll for it has to give back what that brings, and so would all others.
        """
        with self._lock:
            is_late = bool(self._kept) and now >= self._late
            if is_late:
                self._late = now + _LATE
            return is_late

    def release(self, now: float) -> tuple[list[MessageTypeDef], float]:
        """All of a turn that is complete, and their deadline."""
        with self._lock:
            if now < self._until and not self.closed:
                return [], math.inf
            self._forget_lost(now)
            kept, self._kept = list(self._kept.values()), {}
        return [each.message for each in kept], min((each.deadline for each in kept), default=math.inf)

    def _forget_lost(self, now: float) -> None:
        """Leave to the queue what nobody was free for in time: it has been given to others, or is about to be."""
        self._kept = {name: each for name, each in self._kept.items() if each.deadline > now}


def _is_paced(message: MessageTypeDef) -> bool:
    status = message.get("MessageAttributes", {}).get("status")
    return status is not None and status.get("StringValue") == Status.PACED
