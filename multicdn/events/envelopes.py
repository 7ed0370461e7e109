"""From what AWS hands to the function to Changes: unpacks envelopes; ``events.s3`` reads what is in them.

Understood, each alone or wrapped in another: S3 notifications, SQS batches, SNS messages (raw delivery too),
EventBridge's S3 events, ``s3:TestEvent``, Lambda's records of events that it gave up. Shapes:
docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and ev-events.html; real examples in
tests/data/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn import queue_url
from multicdn.errors import EventError, told
from multicdn.events import s3
from multicdn.events.s3 import seen
from multicdn.model import Change
from multicdn.queue import message as queue
from multicdn.queue import waiting
from multicdn.queue.message import QueuedJob
from multicdn.queue.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    ForeignReader = Callable[[object], Sequence[Change] | None]

# Nearly every message is a notification that holds nothing odd, and is read in one step.
_NOTIFICATION = msgspec.json.Decoder(s3.Notification)

# SNS in SQS in EventBridge is three; a message that nests deeper than this is built to hurt.
_DEEPEST = 6

# Whoever may publish to a topic or a bus could else have anything purged.
_WRAPPED = "a job that does not come straight from the function's own queue, and others are not taken"


class Unreadable(Struct, frozen=True):
    """A message, or a record of one, that could not be read.

    Attributes:
        cause: id of the SQS message; empty without a queue.
        reason: what was wrong and what was seen.
    """

    cause: str
    reason: str


class Intake(Struct, frozen=True):
    """What an invocation brought.

    Attributes:
        changes: in the order of arrival.
        unreadable: what could not be read; its neighbours are in ``changes`` all the same.
        queued: whether it came from SQS, so that the reply names the failed messages.
        messages: ids of all SQS messages in the batch.
        queued_jobs: jobs of ours that come back from the queue; each names its message as its only cause.
        waiting: what messages have gone through whose changes waited in the queue, by their ids.
        sent: when each SQS message was sent, in seconds since 1970, where SQS said so.
    """

    changes: tuple[Change, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    queued: bool = False
    messages: tuple[str, ...] = ()
    queued_jobs: tuple[QueuedJob, ...] = ()
    sent: dict[str, float] = {}
    waiting: dict[str, Waiting] = {}


def decode(event: object, read_foreign: ForeignReader | None = None, own_queue: str | None = None) -> Intake:
    """Read a Lambda event.

    Args:
        event: as the Lambda runtime hands it over.
        read_foreign: asked about messages of other shapes; returns their changes, or None if it doesn't know them.
        own_queue: URL of the only queue whose messages may be jobs, since a job is done as it stands. Empty for none;
            None for any queue, to look at a job without doing it.

    Returns:
        All that could be read, beside what could not. Never raises for bad input.
    """
    reader = _Reader(read_foreign, own_queue)
    if _is_sqs(event):
        for message in event["Records"]:  # type: ignore[index]
            reader.read_queued(message)
    else:
        reader.read(event, "", distrust="" if own_queue is None else _WRAPPED)
    return reader.intake(queued=_is_sqs(event))


class _Reader:
    """Collects what one event holds."""

    def __init__(self, read_foreign: ForeignReader | None, own_queue: str | None) -> None:
        self._read_foreign = read_foreign
        self._own_queue = own_queue
        self._changes: list[Change] = []
        self._unreadable: list[Unreadable] = []
        self._messages: list[str] = []
        self._queued_jobs: list[QueuedJob] = []
        self._sent: dict[str, float] = {}
        self._waiting: dict[str, Waiting] = {}

    def intake(self, *, queued: bool) -> Intake:
        return Intake(
            tuple(self._changes),
            tuple(self._unreadable),
            queued,
            tuple(self._messages),
            tuple(self._queued_jobs),
            self._sent,
            self._waiting,
        )

    def read_queued(self, message: dict[str, Any]) -> None:
        cause = message.get("messageId", "")
        self._messages.append(cause)
        sent = (message.get("attributes") or {}).get("SentTimestamp", "")
        if str(sent).isdigit():  # milliseconds, as text: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
            self._sent[cause] = int(sent) / 1000
        self.read(message.get("body"), cause, distrust=self._distrust(message.get("eventSourceARN")))

    def _distrust(self, arn: object) -> str:
        """Why no jobs are taken from a queue; empty for our own."""
        if self._own_queue is None or (self._own_queue and queue_url.is_at(self._own_queue, str(arn))):
            return ""
        own = f"only jobs from {self._own_queue} are done" if self._own_queue else "MULTICDN_QUEUE_URL names no queue"
        return f"a job from {s3.cut(str(arn))}, and {own}"

    def read(self, message: object, cause: str, depth: int = 0, distrust: str = _WRAPPED) -> None:
        """Read one message; what can't be read of it is noted, and nothing else is lost.

        ``distrust`` says why it can't be a job of ours; it is empty where it can.
        """
        try:
            self._unwrap(message, cause, depth, distrust)
        except EventError as error:
            self._unreadable.append(Unreadable(cause, str(error)))

    def _add(self, change: Change | None) -> None:
        if change is not None:
            self._changes.append(change)

    def _read_plain(self, message: object, cause: str) -> bool:
        """Read the text of a notification, if all of its records are as they should be."""
        if not isinstance(message, str):
            return False
        try:
            read = _NOTIFICATION.decode(message)
            if read.multicdnWaiting is not msgspec.UNSET:
                return False
            changes = [change for record in read.Records if (change := s3.from_s3(record, cause)) is not None]
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, EventError):
            return False
        self._changes.extend(changes)
        return True

    def _unwrap(self, message: object, cause: str, depth: int, distrust: str) -> None:
        if depth > _DEEPEST:
            raise EventError(f"envelopes nested more than {_DEEPEST} deep")
        if self._read_plain(message, cause):
            return None
        content = _parsed(message)
        if isinstance(content, dict):
            records = content.get("Records")
            if isinstance(records, list) and records:
                if waiting.MARK in content and not distrust:
                    self._waiting[cause] = waiting.decode(content)
                return self._read_records(records, cause, depth)
            wrapped = _wrapped(content)
            if wrapped is not None:
                return self.read(wrapped, cause, depth + 1)
            if content.get("source") == "aws.s3" and "detail-type" in content:
                return self._add(s3.from_bridge(content, cause))
            if content.get("Event") == "s3:TestEvent":
                return None
            if queue.MARK in content:
                return self._read_job(content, cause, distrust)
        self._changes.extend(self._foreign(content, cause))
        return None

    def _read_job(self, content: dict[str, Any], cause: str, distrust: str) -> None:
        if distrust:
            raise EventError(distrust)
        self._queued_jobs.append(queue.decode(content, cause))

    def _read_records(self, records: Sequence[object], cause: str, depth: int) -> None:
        for record in records:
            self._read_record(record, cause, depth)

    def _read_record(self, record: object, cause: str, depth: int) -> None:
        source = _source(record)
        try:
            if source == "aws:s3":
                self._add(s3.from_s3(s3.record(record), cause))
            elif source == "aws:sns":
                self.read(record["Sns"]["Message"], cause, depth + 1)  # type: ignore[index]
            elif source == "aws:sqs":
                self.read(record["body"], cause, depth + 1)  # type: ignore[index]
            else:
                self._changes.extend(self._foreign(record, cause))
        except EventError as error:
            self._unreadable.append(Unreadable(cause, str(error)))
        except (KeyError, TypeError):
            self._unreadable.append(Unreadable(cause, f"a record of {source[:9]} without its message: {seen(record)}"))

    def _foreign(self, content: object, cause: str) -> list[Change]:
        try:
            changes = self._read_foreign(content) if self._read_foreign else None
            if changes is not None:
                return [_checked(change, cause) for change in changes]
        except Exception as error:
            raise EventError(f"a plugin failed to read {seen(content)}: {told(error)}") from error
        raise EventError(f"unknown event shape: {seen(content)}")


def _wrapped(content: dict[str, Any]) -> object:
    """The message within one of SNS, or within what Lambda keeps of an asynchronous event; None in anything else.

    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    """
    if content.get("Type") == "Notification":
        return content.get("Message")
    return content.get("requestPayload") if "requestContext" in content else None


def _checked(change: Change, cause: str) -> Change:
    """Copy what a plugin made, with its cause; raise for what isn't a Change, lest it harm its neighbours later."""
    return msgspec.convert({**msgspec.structs.asdict(change), "cause": cause}, Change)


def _parsed(message: object) -> object:
    """Parse a text that is JSON; leave anything else as it is, for plugins that know it."""
    if not isinstance(message, str | bytes):
        return message
    try:
        return msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return message


def _is_sqs(event: object) -> bool:
    if not isinstance(event, dict):
        return False
    records = event.get("Records")
    return isinstance(records, list) and bool(records) and all(_source(record) == "aws:sqs" for record in records)


def _source(record: object) -> str:
    """Lambda spells the member ``eventSource`` for S3 and SQS, and ``EventSource`` for SNS."""
    if not isinstance(record, dict):
        return ""
    return str(record.get("eventSource") or record.get("EventSource") or "")
