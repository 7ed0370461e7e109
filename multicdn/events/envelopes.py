"""From what AWS hands to the function to Changes: unpacks what is wrapped, and has ``shapes`` tell what is what.

Understood, each alone, wrapped in another, or in a list as EventBridge Pipes sends it: notifications of S3, batches and
messages of SQS, messages of SNS (raw delivery too), and all that ``shapes`` knows. Real examples in tests/data/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from multicdn import queue_url
from multicdn.errors import EventError, told
from multicdn.events import s3
from multicdn.events.describe import cut, seen, unknown
from multicdn.events.intake import Intake, Unreadable
from multicdn.events.s3 import Ignored
from multicdn.model import Change
from multicdn.queue import message as queue
from multicdn.queue import waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.events.intake import Tasks
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.waiting import Waiting

    ForeignReader = Callable[[object], Sequence[Change] | None]

_Part = TypeVar("_Part")

# Nearly every message is a notification that holds nothing odd, and is read in one step.
_NOTIFICATION = msgspec.json.Decoder(s3.Notification)

# SNS in SQS in EventBridge is three; a message that nests deeper than this is built to hurt.
_DEEPEST = 6

# A message of a megabyte may hold a third of a million things that aren't events. To say so of each would take longer
# than there is, and its neighbours would come back with it.
_MOST_UNREADABLE = 1000

# Records that may come without their list, as from a Map state.
_RECORDS = frozenset(("aws:s3", "aws:sns", "aws:sqs"))

# Whoever may publish to a topic or a bus could else have anything purged.
_WRAPPED = "a job that does not come straight from the function's own queue, and others are not taken"


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
    messages = _sqs_messages(event)
    for message in messages:
        reader.read_queued(message)
    if not messages:
        reader.read(event, "", distrust="" if own_queue is None else _WRAPPED)
    return reader.intake(queued=bool(messages))


class _Reader:
    """Collects what one event holds."""

    def __init__(self, read_foreign: ForeignReader | None, own_queue: str | None) -> None:
        self._read_foreign = read_foreign
        self._own_queue = own_queue
        self._changes: list[Change] = []
        self._unreadable: list[Unreadable] = []
        self._refused: dict[str, int] = {}
        self._messages: list[str] = []
        self._queued_jobs: list[QueuedJob] = []
        self._sent: dict[str, float] = {}
        self._waiting: dict[str, Waiting] = {}
        self._ignored: dict[str, int] = {}
        self._unknown: dict[str, int] = {}
        self._tasks: Tasks | None = None

    def intake(self, *, queued: bool) -> Intake:
        return Intake(
            tuple(self._changes),
            tuple(self._unreadable),
            queued,
            tuple(self._messages),
            tuple(self._queued_jobs),
            self._sent,
            self._waiting,
            self._ignored,
            self._unknown,
            self._tasks,
        )

    def read_queued(self, message: dict[str, Any]) -> None:
        cause = str(message.get("messageId", ""))
        self._messages.append(cause)
        attributes = message.get("attributes")
        sent = attributes.get("SentTimestamp", "") if isinstance(attributes, dict) else ""
        if str(sent).isdigit():  # milliseconds, as text: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
            self._sent[cause] = int(sent) / 1000
        self.read(message.get("body"), cause, distrust=self._distrust(message.get("eventSourceARN")))

    def _distrust(self, arn: object) -> str:
        """Why no jobs are taken from a queue; empty for our own."""
        if self._own_queue is None or (self._own_queue and queue_url.is_at(self._own_queue, str(arn))):
            return ""
        own = f"only jobs from {self._own_queue} are done" if self._own_queue else "MULTICDN_QUEUE_URL names no queue"
        return f"a job from {cut(str(arn))}, and {own}"

    def read(self, message: object, cause: str, depth: int = 0, distrust: str = _WRAPPED) -> None:
        """Read one message; what can't be read of it is noted, and nothing else is lost.

        ``distrust`` says why it can't be a job of ours; it is empty where it can.
        """
        try:
            if depth > _DEEPEST:
                raise EventError(f"envelopes nested more than {_DEEPEST} deep")
            if not (isinstance(message, str) and self._read_plain(message, cause)):
                self._unwrap(_parsed(message), cause, depth, distrust)
        except EventError as error:
            self._refuse(cause, str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a message, its neighbours are read
            self._refuse(cause, f"{seen(message)}, damaged so that reading it failed: {told(error)}")

    def _refuse(self, cause: str, reason: str) -> None:
        self._unreadable.append(Unreadable(cause, reason))
        self._refused[cause] = self._refused.get(cause, 0) + 1

    def _parts(self, parts: Iterable[_Part], cause: str) -> Iterator[_Part]:
        """The parts of a message, until too many of them could not be read."""
        for part in parts:
            refused = self._refused.get(cause, 0)
            if refused == _MOST_UNREADABLE:
                self._refuse(cause, f"{refused:,} parts of it can't be read, and the rest is not looked at")
            if refused >= _MOST_UNREADABLE:
                return
            yield part

    def _take(self, found: Iterable[Change | Ignored]) -> None:
        for each in found:
            if isinstance(each, Change):
                self._changes.append(each)
            else:
                counts = self._ignored if each.known else self._unknown
                counts[each.name] = counts.get(each.name, 0) + 1

    def _read_plain(self, message: str, cause: str) -> bool:
        """Read the text of a notification, if all of its records are as they should be."""
        try:
            read = _NOTIFICATION.decode(message)
            if read.multicdnWaiting is not msgspec.UNSET:
                return False
            found = [s3.from_s3(record, cause) for record in read.Records]
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, EventError):
            return False
        self._take(found)
        return True

    def _unwrap(self, content: object, cause: str, depth: int, distrust: str) -> None:
        if isinstance(content, dict):
            return self._read_object(content, cause, depth, distrust)
        if isinstance(content, list) and content:
            return self._read_each(content, cause, depth)
        return self._take(self._foreign(content, cause))

    def _read_each(self, messages: Iterable[object], cause: str, depth: int, distrust: str = _WRAPPED) -> None:
        for message in self._parts(messages, cause):
            self.read(message, cause, depth + 1, distrust)

    def _read_object(self, content: dict[str, Any], cause: str, depth: int, distrust: str) -> None:
        records = content.get("Records")
        if isinstance(records, list) and records:
            if waiting.MARK in content and not distrust:
                self._waiting[cause] = waiting.decode(content)
            return self._read_records(records, cause, depth)
        if queue.MARK in content:
            return self._read_job(content, cause, distrust)
        if _source(content) in _RECORDS or "s3" in content:
            return self._read_record(content, cause, depth)
        from multicdn.events import shapes

        bodies = shapes.printed(content)
        if bodies:  # only somebody who looks at them may take them for what they were in their queue
            return self._read_each(bodies, cause, depth, distrust if self._own_queue is None else _WRAPPED)
        wrapped = shapes.wrapped(content)
        if wrapped:
            return self._read_each(wrapped, cause, depth)
        if shapes.is_batch_operation(content):
            return self._read_tasks(content, cause, depth)
        found = shapes.told(content, cause)
        return self._take(self._foreign(content, cause) if found is None else found)

    def _read_tasks(self, content: dict[str, Any], cause: str, depth: int) -> None:
        """Read a call of S3 Batch Operations, which waits for an answer unless it comes wrapped in something."""
        from multicdn.events import batch_operations

        called = batch_operations.tasks(content)
        if not depth and not cause:
            self._tasks = called
        causes = {id_: own if self._tasks else cause for own, id_ in called.ids.items()}
        for task in self._parts(content["tasks"], cause):
            of_task = causes.get(str(task.get("taskId")), cause) if isinstance(task, dict) else cause
            try:
                self._take([batch_operations.change(task, of_task)])
            except EventError as error:
                self._refuse(of_task, str(error))

    def _read_job(self, content: dict[str, Any], cause: str, distrust: str) -> None:
        if distrust:
            raise EventError(distrust)
        self._queued_jobs.append(queue.decode(content, cause))

    def _read_records(self, records: Sequence[object], cause: str, depth: int) -> None:
        for record in self._parts(records, cause):
            self._read_record(record, cause, depth)

    def _read_record(self, record: object, cause: str, depth: int) -> None:
        source = _source(record)
        try:
            if _speaks_s3(source, record):
                self._take([s3.from_s3(s3.record(record, source), cause)])
            elif source == "aws:sns":
                self.read(record["Sns"]["Message"], cause, depth + 1)  # type: ignore[index]
            elif source == "aws:sqs":
                self.read(record["body"], cause, depth + 1)  # type: ignore[index]
            elif isinstance(record, dict) and not source:
                self.read(record, cause, depth + 1)
            else:
                self._take(self._foreign(record, cause))
        except EventError as error:
            self._refuse(cause, str(error))
        except (KeyError, TypeError):
            self._refuse(cause, f"a record of {source[:9]} without its message: {seen(record)}")

    def _foreign(self, content: object, cause: str) -> list[Change | Ignored]:
        from multicdn.events import stores

        try:
            changes = self._read_foreign(content) if self._read_foreign else None
            if changes is None:
                changes = stores.read(content)
            if changes is not None:
                return [_checked(change, cause) for change in changes] or [Ignored("in a form of a plugin's")]
        except Exception as error:
            raise EventError(f"a plugin failed to read {seen(content)}: {told(error)}") from error
        raise EventError(unknown(content))


def _speaks_s3(source: str, record: object) -> bool:
    """Whether a record is S3's, or one in its form: MinIO, Ceph and others have a source of their own."""
    if source == "aws:s3":
        return True
    return isinstance(record, dict) and "s3" in record and (not source or source.endswith(":s3"))


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


def _sqs_messages(event: object) -> list[Any]:
    """The messages of a batch from SQS, as Lambda hands it over, or EventBridge Pipes; empty for anything else."""
    records = event.get("Records") if isinstance(event, dict) else event
    if not isinstance(records, list) or not all(_source(record) == "aws:sqs" for record in records):
        return []
    return records


def _source(record: object) -> str:
    """Lambda spells the member ``eventSource`` for S3 and SQS, and ``EventSource`` for SNS."""
    if not isinstance(record, dict):
        return ""
    return str(record.get("eventSource") or record.get("EventSource") or "")
