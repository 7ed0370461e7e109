"""The dead letters: what is in them, sending them back, dropping them."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.aws import sqs
from multicdn.errors import EventError, MulticdnError
from multicdn.queue import message as codec
from multicdn.queue import waiting
from multicdn.queue.message import QueuedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mypy_boto3_sqs import SQSClient

# Seconds for which messages are hidden from others while they are looked at, and while they wait for somebody's yes.
# They are shown again as soon as that ends; only a process that is killed can't do that.
LOOKED_AT = 60
HELD = 600
# An empty answer of a short poll proves nothing, as it asks only some of the servers.
_WAIT = 1

#: What stands for the provider of a message that isn't a job of one: S3's own, after too many failures.
NOBODY = "(events)"


_TOO_OFTEN = "received too often without being handled; see the function's log"


class DeadMessage(Struct, frozen=True):
    """A message in the dead-letter queue.

    Attributes:
        id, receipt, body: of the message.
        provider: whose job it is, or ``NOBODY``.
        reason: why it could not be delivered.
        queued: the job; None for a message that isn't ours.
    """

    id: str
    receipt: str
    body: str
    provider: str
    reason: str
    queued: QueuedJob | None

    @property
    def targets(self) -> tuple[str, ...]:
        """What was to be purged or preloaded."""
        return self.queued.job.targets if self.queued else ()


class Group(Struct, frozen=True):
    """Dead letters of one provider with one reason."""

    provider: str
    reason: str
    messages: tuple[DeadMessage, ...]


class QueueError(MulticdnError):
    """SQS didn't do what was asked; the text says which part was done."""


class DeadLetters:
    """A dead-letter queue.

    Args:
        client: of SQS.
        url: of the dead-letter queue.
    """

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url
        self._held: dict[str, DeadMessage] = {}

    @contextlib.contextmanager
    def opened(self, seconds: int = LOOKED_AT) -> Iterator[list[DeadMessage]]:
        """All messages, hidden from others within the block; those that stay are shown again however it ends.

        Args:
            seconds: for which they are hidden at most.

        Raises:
            QueueError: SQS could not be asked to show them.
        """
        try:
            yield self._read(seconds)
        finally:
            self._release()

    def _read(self, seconds: int) -> list[DeadMessage]:
        while True:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=sqs.MOST_AT_ONCE,
                VisibilityTimeout=seconds,
                WaitTimeSeconds=_WAIT,
                MessageAttributeNames=["All"],
            )
            before = len(self._held)
            self._held |= {message["MessageId"]: _read(message) for message in answer.get("Messages", [])}
            if len(self._held) == before:  # none came, or the first ones again, since it took so long
                return list(self._held.values())

    def _release(self) -> None:
        """Show messages to others again. SQS refuses those that are shown again anyhow."""
        entries = [{"ReceiptHandle": message.receipt, "VisibilityTimeout": 0} for message in self._held.values()]
        self._held.clear()
        refusals = sqs.call_in_batches(self._client.change_message_visibility_batch, self._url, entries)
        for code, reason in refusals.values():
            if not code:
                raise QueueError(f"{reason}; the messages show again in some minutes")

    def drop(self, messages: Iterable[DeadMessage]) -> int:
        """Delete messages for good, and return how many.

        Raises:
            QueueError: SQS did not delete some.
        """
        chosen = list(messages)
        entries = [{"ReceiptHandle": message.receipt} for message in chosen]
        refusals = sqs.call_in_batches(self._client.delete_message_batch, self._url, entries)
        for place, message in enumerate(chosen):
            if place not in refusals:
                self._held.pop(message.id, None)
        dropped = len(entries) - len(refusals)
        if refusals:
            _, reason = next(iter(refusals.values()))
            raise QueueError(f"{dropped} deleted, {len(refusals)} not: {reason}")
        return dropped

    def redrive(self, messages: Iterable[DeadMessage], queue_url: str, progress: Callable[[int], None]) -> int:
        """Send messages back to the queue as if they were new, and return how many.

        Each is sent before it is deleted here: what goes wrong in between is done twice, and not lost.

        Args:
            messages: which.
            queue_url: where to.
            progress: told how many have been sent, as it goes.

        Raises:
            QueueError: SQS refused to take some, or did not confirm it; those before it are back in the queue.
        """
        sent = 0
        for message in messages:
            for body in _renewed(message, time.time()):
                if not sqs.is_confirmed(self._client.send_message(QueueUrl=queue_url, MessageBody=body)):
                    raise QueueError(f"{sent} sent, then {queue_url} did not confirm one; it stays a dead letter")
            self.drop([message])
            sent += 1
            progress(sent)
        return sent


def grouped(messages: Iterable[DeadMessage]) -> list[Group]:
    """Group dead letters by provider and reason, the largest group of a provider first."""
    by_reason: dict[tuple[str, str], list[DeadMessage]] = defaultdict(list)
    for message in messages:
        by_reason[message.provider, message.reason].append(message)
    groups = [Group(provider, reason, tuple(group)) for (provider, reason), group in by_reason.items()]
    return sorted(groups, key=lambda group: (group.provider, -len(group.messages), group.reason))


def _read(message: Any) -> DeadMessage:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    queued = _queued(message["Body"], message["MessageId"])
    return DeadMessage(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        provider=queued.job.instance if queued else NOBODY,
        reason=attributes.get("reason") or _reason_of_lambda(message["Body"]) or _TOO_OFTEN,
        queued=queued,
    )


def _reason_of_lambda(body: str) -> str:
    """Why Lambda gave up an asynchronous event; empty for anything else.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    with contextlib.suppress(ValueError, TypeError, KeyError):
        record = json.loads(body)
        condition, response = record["requestContext"]["condition"], record.get("responsePayload")
        said = response.get("errorMessage") if isinstance(response, dict) else None
        return f"{condition}: {said}" if said else str(condition)
    return ""


def _queued(body: str, cause: str) -> QueuedJob | None:
    try:
        content = json.loads(body)
        return codec.decode(content, cause) if isinstance(content, dict) and codec.MARK in content else None
    except (ValueError, EventError):
        return None


def _renewed(message: DeadMessage, now: float) -> Iterator[str]:
    """The messages to send back: a job begins anew, with its age; anything else goes back as it was."""
    if message.queued is None:
        yield waiting.renewed(message.body, now)
        return
    yield from codec.encode(msgspec.structs.replace(message.queued, attempt=0, since=now, refusals=0))
