"""The dead letters: what is in them, sending them back, dropping them."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.errors import EventError, MulticdnError
from multicdn.queue import message as queue
from multicdn.queue.message import Parked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference: ReceiveMessage, and the Batch actions
_MOST_AT_ONCE = 10
# Seconds for which messages are hidden from others while they are looked at, or wait for somebody's yes.
_HIDDEN = 600
# An empty answer of a short poll proves nothing, as it asks only some of the servers.
_WAIT = 1

#: What stands for the provider of a message that isn't a job of one: S3's own, after too many failures.
NOBODY = "(events)"


class DeadLetter(Struct, frozen=True):
    """A message in the dead-letter queue.

    Attributes:
        id, receipt, body: of the message.
        provider: whose job it is, or ``NOBODY``.
        reason: why it could not be delivered.
        parked: the job; None for a message that isn't ours.
    """

    id: str
    receipt: str
    body: str
    provider: str
    reason: str
    parked: Parked | None

    @property
    def targets(self) -> tuple[str, ...]:
        """What was to be purged or preloaded."""
        return self.parked.job.targets if self.parked else ()


class Group(Struct, frozen=True):
    """Dead letters of one provider with one reason."""

    provider: str
    reason: str
    letters: tuple[DeadLetter, ...]


class QueueError(MulticdnError):
    """SQS didn't do what was asked; the text says which part was done."""


class DeadLetters:
    """A dead-letter queue.

    Args:
        sqs: boto3 client.
        url: of the dead-letter queue.
    """

    def __init__(self, sqs: SQSClient, url: str) -> None:
        self._sqs = sqs
        self._url = url

    def read(self) -> list[DeadLetter]:
        """All messages, hidden from others for ten minutes. Give them back with ``release`` if they stay."""
        found: dict[str, DeadLetter] = {}
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=_MOST_AT_ONCE,
                VisibilityTimeout=_HIDDEN,
                WaitTimeSeconds=_WAIT,
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            known = len(found)
            found |= {message["MessageId"]: _letter(message) for message in messages}
            if len(found) == known:  # none came, or the first ones again, since it took so long
                return list(found.values())

    def release(self, letters: Iterable[DeadLetter]) -> None:
        """Show messages to others again."""
        for batch in _tens(letters):
            entries: Any = [
                {"Id": str(place), "ReceiptHandle": letter.receipt, "VisibilityTimeout": 0}
                for place, letter in enumerate(batch)
            ]
            self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    def drop(self, letters: Iterable[DeadLetter]) -> int:
        """Delete messages for good, and return how many.

        Raises:
            QueueError: SQS refused to delete some.
        """
        dropped = 0
        for batch in _tens(letters):
            entries: Any = [{"Id": str(place), "ReceiptHandle": each.receipt} for place, each in enumerate(batch)]
            answer = self._sqs.delete_message_batch(QueueUrl=self._url, Entries=entries)
            dropped += len(batch) - len(answer.get("Failed", []))
            if answer.get("Failed"):
                raise QueueError(f"{dropped} deleted, then: {answer['Failed'][0].get('Message')}")
        return dropped

    def redrive(self, letters: Iterable[DeadLetter], queue_url: str, progress: Callable[[int], None]) -> int:
        """Send messages back to the queue as if they were new, and return how many.

        Each is sent before it is deleted here: what goes wrong in between is done twice, and not lost.

        Args:
            letters: which.
            queue_url: where to.
            progress: told how many have been sent, as it goes.

        Raises:
            QueueError: SQS refused to take some; those before it are back in the queue.
        """
        sent = 0
        for letter in letters:
            for body in _renewed(letter, time.time()):
                self._sqs.send_message(QueueUrl=queue_url, MessageBody=body)
            self.drop([letter])
            sent += 1
            progress(sent)
        return sent


def grouped(letters: Iterable[DeadLetter]) -> list[Group]:
    """Group dead letters by provider and reason, the largest group of a provider first."""
    found: dict[tuple[str, str], list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        found[letter.provider, letter.reason].append(letter)
    groups = [Group(provider, reason, tuple(each)) for (provider, reason), each in found.items()]
    return sorted(groups, key=lambda group: (group.provider, -len(group.letters), group.reason))


def _letter(message: Any) -> DeadLetter:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    parked = _parked(message["Body"], message["MessageId"])
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        provider=parked.job.instance if parked else NOBODY,
        reason=attributes.get("reason") or "received too often without being handled; see the function's log",
        parked=parked,
    )


def _parked(body: str, cause: str) -> Parked | None:
    try:
        content = json.loads(body)
        return queue.decode(content, cause) if isinstance(content, dict) and queue.MARK in content else None
    except (ValueError, EventError):
        return None


def _renewed(letter: DeadLetter, now: float) -> Iterator[str]:
    """The messages to send back: a job begins anew, with its age; anything else goes back as it was."""
    if letter.parked is None:
        yield letter.body
        return
    yield from queue.encode(msgspec.structs.replace(letter.parked, attempt=0, since=now))


def _tens(letters: Iterable[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    found = list(letters)
    for start in range(0, len(found), _MOST_AT_ONCE):
        yield found[start : start + _MOST_AT_ONCE]
