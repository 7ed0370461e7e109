"""Messages that came back for their vendor's turn, kept until the others of that turn are there.

SQS counts in whole seconds, so they come within one; and one call may take all of them, where each alone would take the
turn from the others. Nothing else waits for them.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

from multicdn.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_sqs.type_defs import MessageTypeDef


class KeptTurns:
    """Those of all workers of a process. Whoever keeps the first of a turn handles all of them.

    Args:
        window: seconds from the first on for which they are kept; 0 keeps none.
        most: how many.
    """

    def __init__(self, window: float, most: int) -> None:
        self._window = window
        self._most = most
        self._kept: dict[str, MessageTypeDef] = {}
        self._keeper: object = None
        self._until = self._deadline = math.inf
        self._lock = threading.Lock()

    def keep(
        self, messages: Iterable[MessageTypeDef], now: float, deadline: float, keeper: object
    ) -> list[MessageTypeDef]:
        """Keep those that came for their turn, and return the others; until the deadline they are surely ours."""
        paced = {message["MessageId"]: message for message in messages if self._window and _is_paced(message)}
        with self._lock:
            if paced and not self._kept:
                self._keeper, self._until, self._deadline = keeper, now + self._window, deadline
            # By id: one may come again, and only its latest receipt is good.
            self._kept.update(paced)
        return [message for message in messages if message["MessageId"] not in paced]

    def left(self, now: float, keeper: object) -> float:
        """Seconds for which somebody has to keep those that are here; none if there are none, or enough."""
        with self._lock:
            waits = keeper is self._keeper and 0 < len(self._kept) < self._most
            return max(0.0, self._until - now) if waits else 0.0

    def release(self, keeper: object) -> tuple[list[MessageTypeDef], float]:
        """All that somebody keeps, and their deadline."""
        with self._lock:
            if keeper is not self._keeper:
                return [], math.inf
            kept, self._kept, self._keeper = list(self._kept.values()), {}, None
            return kept, self._deadline


def _is_paced(message: MessageTypeDef) -> bool:
    status = message.get("MessageAttributes", {}).get("status")
    return status is not None and status.get("StringValue") == Status.PACED
