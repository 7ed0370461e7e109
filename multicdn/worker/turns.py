"""Messages that came back for their vendor's turn, kept until the others of that turn are there.

SQS counts in whole seconds, so they come within one; and one call may take all of them, where each alone would take the
turn from the others. Nothing else waits for them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from multicdn.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_sqs.type_defs import MessageTypeDef


class Turns:
    """Those of one worker.

    Args:
        window: seconds from the first on for which they are kept; 0 keeps none.
        most: how many.
    """

    def __init__(self, window: float, most: int) -> None:
        self._window = window
        self._most = most
        self._kept: dict[str, MessageTypeDef] = {}
        self._until = self._deadline = math.inf

    def keep(self, messages: Iterable[MessageTypeDef], now: float, deadline: float) -> list[MessageTypeDef]:
        """Keep those that came for their turn, and return the others; until the deadline they are surely ours."""
        paced = {message["MessageId"]: message for message in messages if self._window and _is_paced(message)}
        if paced and not self._kept:
            self._until, self._deadline = now + self._window, deadline
        # By id: one may come again, and only its latest receipt is good.
        self._kept.update(paced)
        return [message for message in messages if message["MessageId"] not in paced]

    def left(self, now: float) -> float:
        """Seconds for which those that are here are to be kept; none if there are none, or enough."""
        return max(0.0, self._until - now) if 0 < len(self._kept) < self._most else 0.0

    def release(self) -> tuple[list[MessageTypeDef], float]:
        """All of them, and their deadline."""
        kept, self._kept = list(self._kept.values()), {}
        return kept, self._deadline


def _is_paced(message: MessageTypeDef) -> bool:
    status = message.get("MessageAttributes", {}).get("status")
    return status is not None and status.get("StringValue") == Status.PACED
