"""The dead letters: what is in them, sending them back, dropping them."""

from __future__ import annotations

import contextlib
import json
import time
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from multicdn.aws import sqs
from multicdn.errors import EventError, MulticdnError
from multicdn.events import envelopes, shapes
from multicdn.queue import message as codec
from multicdn.queue import waiting
from multicdn.queue.message import QueuedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

# Seconds for which messages are hidden from others while they are looked at, and while they wait for somebody's yes.
# They are shown again as soon as that ends; only a process that is killed can't do that.
LOOKED_AT = 60
HELD = 600
# An empty answer of a short poll proves nothing, as it asks only some of the servers.
_WAIT = 1

#: What stands for the provider of a message that isn't a job of one: S3's own, after too many failures.
NOBODY = "(events)"

# What nests too deep to be read must not keep others from being listed.
_NO_JSON = (ValueError, RecursionError)

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
        """What was to be purged or preloaded; of an event, its objects."""
        if self.queued:
            return self.queued.job.targets
        changes = envelopes.decode(self.body).changes
        return tuple(dict.fromkeys(f"s3://{change.bucket}/{change.key}" for change in changes))


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

    def redrive(self, messages: Iterable[DeadMessage], way_back: WayBack, progress: Callable[[int], None]) -> int:
        """Send messages back as if they were new, and return how many.

        Each is sent before it is deleted here: what goes wrong in between is done twice, and not lost.

        Args:
            messages: which.
            way_back: where to.
            progress: told how many have been sent, as it goes.

        Raises:
            QueueError: one was not taken, or nobody confirmed it; those before it have been sent back.
        """
        sent = 0
        for message in messages:
            for body in way_back.bodies(message):
                if not way_back.send(body):
                    raise QueueError(f"{sent} sent, then {way_back} did not confirm one; it stays a dead letter")
            self.drop([message])
            sent += 1
            progress(sent)
        return sent


class WayBack(Protocol):
    """Where dead letters are sent back to. Its text names it."""

    def bodies(self, message: DeadMessage) -> Sequence[str]:
        """The texts to send for a dead letter; none if it can't go this way."""

    def send(self, body: str) -> bool:
        """Send one, and return whether it was confirmed."""


class ToQueue:
    """The way back by the queue before the function.

    Args:
        client: of SQS.
        url: of the queue.
    """

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def __str__(self) -> str:
        return self._url

    def bodies(self, message: DeadMessage) -> Sequence[str]:
        """A job begins anew, with its age; anything else goes back as it was."""
        now = time.time()
        if message.queued is None:
            return [waiting.renewed(message.body, now)]
        return list(codec.encode(msgspec.structs.replace(message.queued, attempt=0, since=now, refusals=0)))

    def send(self, body: str) -> bool:
        """Send a message."""
        return sqs.is_confirmed(self._client.send_message(QueueUrl=self._url, MessageBody=body))


class ToFunction:
    """The way back to a function that has no queue before it: an asynchronous invocation, as S3 makes one.

    If that fails, too, Lambda puts the event among the dead letters again.

    Args:
        client: of Lambda.
        name: of the function, or its ARN; with the alias where it has one, since the destination for failures is the
            alias's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def __str__(self) -> str:
        return self._name

    def bodies(self, message: DeadMessage) -> Sequence[str]:
        """The event that Lambda gave up; none for a job, which the function takes from its queue alone, and no JSON."""
        try:
            content = json.loads(message.body)
        except _NO_JSON:
            return []
        if not isinstance(content, dict) or codec.MARK in content:
            return []
        given_up = _record_of_lambda(message.body)
        return [json.dumps(given_up["requestPayload"]) if given_up is not None else message.body]

    def send(self, body: str) -> bool:
        """Have the function invoked: 202 says that Lambda has the event (its API reference, Invoke)."""
        answer = self._client.invoke(FunctionName=self._name, InvocationType="Event", Payload=body.encode())
        return bool(answer.get("StatusCode") == HTTPStatus.ACCEPTED)


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
    """Why Lambda gave up an asynchronous event; empty for anything else."""
    record = _record_of_lambda(body)
    with contextlib.suppress(TypeError, KeyError):
        condition, response = record["requestContext"]["condition"], record.get("responsePayload")  # type: ignore[index, union-attr]
        said = response.get("errorMessage") if isinstance(response, dict) else None
        return f"{condition}: {said}" if said else str(condition)
    return ""


def _record_of_lambda(body: str) -> dict[str, Any] | None:
    """What Lambda keeps of an asynchronous event that it gave up, also by way of SNS or EventBridge; else None.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    content: Any = body
    with contextlib.suppress(*_NO_JSON):
        while True:
            content = json.loads(content) if isinstance(content, str) else content
            if not isinstance(content, dict):
                return None
            if "requestContext" in content and "requestPayload" in content:
                return content
            [content] = shapes.wrapped(content)
    return None


def _queued(body: str, cause: str) -> QueuedJob | None:
    try:
        content = json.loads(body)
        return codec.decode(content, cause) if isinstance(content, dict) and codec.MARK in content else None
    except (*_NO_JSON, EventError):
        return None
