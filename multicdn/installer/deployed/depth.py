"""How many messages a queue holds, and in which of its three states. Only people ask; no function does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_sqs import SQSClient

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html: each message is counted by
# one of the three numbers.
_VISIBLE: Final = "ApproximateNumberOfMessages"
_IN_FLIGHT: Final = "ApproximateNumberOfMessagesNotVisible"
_DELAYED: Final = "ApproximateNumberOfMessagesDelayed"
_REDRIVE: Final = "RedrivePolicy"


class Depth(Struct, frozen=True):
    """What a queue holds, by SQS's own estimate.

    Attributes:
        visible: messages that whoever asks next is given.
        in_flight: that somebody was given, and has neither deleted nor given back.
        delayed: that nobody is given before their time.
        receives: how often a message is given out before it is moved to the dead letters; None where it never is.
    """

    visible: int
    in_flight: int
    delayed: int
    receives: int | None = None

    @property
    def total(self) -> int:
        """All of them."""
        return self.visible + self.in_flight + self.delayed

    def __str__(self) -> str:
        """In words."""
        return f"{self.visible:,} visible, {self.in_flight:,} in flight, {self.delayed:,} delayed"


def read_depth(client: SQSClient, queue_url: str) -> Depth:
    """Ask SQS. Changes nothing.

    Raises:
        ClientError, BotoCoreError: it doesn't say.
    """
    answer = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[_VISIBLE, _IN_FLIGHT, _DELAYED, _REDRIVE])
    found: Mapping[Any, str] = answer.get("Attributes", {})
    visible, in_flight, delayed = (int(found.get(name, 0)) for name in (_VISIBLE, _IN_FLIGHT, _DELAYED))
    return Depth(visible, in_flight, delayed, _receives(found.get(_REDRIVE, "")))


def _receives(policy: str) -> int | None:
    """A text where CloudFormation wrote it, a number else."""
    try:
        return int(json.loads(policy)["maxReceiveCount"])
    except (ValueError, KeyError, TypeError):
        return None
