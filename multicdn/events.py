"""From what AWS hands to the function to Changes: the only place where keys are decoded, and exactly once.

Understood, each alone or wrapped in another: S3 notifications, SQS batches, SNS messages (raw delivery too),
EventBridge's S3 events, ``s3:TestEvent``. Shapes: docs.aws.amazon.com/AmazonS3/latest/userguide/
notification-content-structure.html and ev-events.html; real examples in tests/events/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct

from multicdn import queue
from multicdn.errors import EventError
from multicdn.model import Change, ChangeKind
from multicdn.queue import Parked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    ForeignReader = Callable[[object], Sequence[Change] | None]

# Enough to recognise a message by.
_LONGEST_SEEN = 300

# SNS in SQS in EventBridge is three; a message that nests deeper than this is built to hurt.
_DEEPEST = 6

_KINDS = {
    "ObjectCreated": ChangeKind.CREATED,
    "ObjectRemoved": ChangeKind.REMOVED,
    "LifecycleExpiration": ChangeKind.REMOVED,
}
# S3 events that leave the bytes under the key as they are.
_HARMLESS = frozenset({
    "ObjectRestore", "ReducedRedundancyLostObject", "Replication", "LifecycleTransition", "IntelligentTiering",
    "ObjectTagging", "ObjectAcl", "TestEvent",
})  # fmt: skip

_BRIDGE_KINDS = {"Object Created": ChangeKind.CREATED, "Object Deleted": ChangeKind.REMOVED}
_BRIDGE_HARMLESS = frozenset({
    "Object Restore Initiated", "Object Restore Completed", "Object Restore Expired", "Object Storage Class Changed",
    "Object Access Tier Changed", "Object ACL Updated", "Object Tags Added", "Object Tags Deleted",
})  # fmt: skip


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
        parked: jobs of ours that come back from the queue; each names its message as its only cause.
        sent: when each SQS message was sent, in seconds since 1970, where SQS said so.
    """

    changes: tuple[Change, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    queued: bool = False
    messages: tuple[str, ...] = ()
    parked: tuple[Parked, ...] = ()
    sent: dict[str, float] = {}


class _Bucket(Struct):
    name: str


class _Object(Struct):
    key: str
    eTag: str = ""
    etag: str = ""
    versionId: str | None = None
    version_id: str | None = msgspec.field(default=None, name="version-id")
    sequencer: str = ""


class _Entity(Struct):
    bucket: _Bucket
    object: _Object


class _Record(Struct):
    eventName: str
    s3: _Entity
    eventTime: str = ""


def decode(event: object, read_foreign: ForeignReader | None = None) -> Intake:
    """Read a Lambda event.

    Args:
        event: as the Lambda runtime hands it over.
        read_foreign: asked about messages of other shapes; returns their changes, or None if it doesn't know them.

    Returns:
        All that could be read, beside what could not. Never raises for bad input.
    """
    reader = _Reader(read_foreign)
    if _is_sqs(event):
        for message in event["Records"]:  # type: ignore[index]
            reader.read_queued(message)
    else:
        reader.read(event, "")
    return reader.intake(queued=_is_sqs(event))


class _Reader:
    """Collects what one event holds."""

    def __init__(self, read_foreign: ForeignReader | None) -> None:
        self._read_foreign = read_foreign
        self._changes: list[Change] = []
        self._unreadable: list[Unreadable] = []
        self._messages: list[str] = []
        self._parked: list[Parked] = []
        self._sent: dict[str, float] = {}

    def intake(self, *, queued: bool) -> Intake:
        return Intake(
            tuple(self._changes),
            tuple(self._unreadable),
            queued,
            tuple(self._messages),
            tuple(self._parked),
            self._sent,
        )

    def read_queued(self, message: dict[str, Any]) -> None:
        cause = message.get("messageId", "")
        self._messages.append(cause)
        sent = (message.get("attributes") or {}).get("SentTimestamp", "")
        if str(sent).isdigit():  # milliseconds, as text: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
            self._sent[cause] = int(sent) / 1000
        self.read(message.get("body"), cause)

    def read(self, message: object, cause: str, depth: int = 0) -> None:
        """Read one message; what can't be read of it is noted, and nothing else is lost."""
        try:
            self._unwrap(message, cause, depth)
        except EventError as error:
            self._unreadable.append(Unreadable(cause, str(error)))

    def _unwrap(self, message: object, cause: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise EventError(f"envelopes nested more than {_DEEPEST} deep")
        content = _parsed(message)
        if isinstance(content, dict):
            records = content.get("Records")
            if isinstance(records, list) and records:
                for record in records:
                    self._read_record(record, cause, depth)
                return
            if content.get("Type") == "Notification" and "Message" in content:
                return self.read(content["Message"], cause, depth + 1)
            if content.get("source") == "aws.s3" and "detail-type" in content:
                return self._changes.extend(_from_bridge(content, cause))
            if content.get("Event") == "s3:TestEvent":
                return None
            if queue.MARK in content:
                return self._parked.append(queue.decode(content, cause))
        self._changes.extend(self._foreign(content, cause))
        return None

    def _read_record(self, record: object, cause: str, depth: int) -> None:
        source = _source(record)
        try:
            if source == "aws:s3":
                self._changes.extend(_from_s3(record, cause))
            elif source == "aws:sns":
                self.read(record["Sns"]["Message"], cause, depth + 1)  # type: ignore[index]
            elif source == "aws:sqs":
                self.read(record["body"], cause, depth + 1)  # type: ignore[index]
            else:
                self._changes.extend(self._foreign(record, cause))
        except EventError as error:
            self._unreadable.append(Unreadable(cause, str(error)))
        except (KeyError, TypeError):
            self._unreadable.append(Unreadable(cause, f"a record of {source[:9]} without its message: {_seen(record)}"))

    def _foreign(self, content: object, cause: str) -> list[Change]:
        try:
            changes = self._read_foreign(content) if self._read_foreign else None
            if changes is not None:
                return [_checked(change, cause) for change in changes]
        except Exception as error:
            raise EventError(f"a plugin failed to read {_seen(content)}: {type(error).__name__}: {error}") from error
        raise EventError(f"unknown event shape: {_seen(content)}")


def _checked(change: Change, cause: str) -> Change:
    """Copy what a plugin made, with its cause; raise for what isn't a Change, lest it harm its neighbours later."""
    return msgspec.convert({**msgspec.structs.asdict(change), "cause": cause}, Change)


def _from_s3(record: object, cause: str) -> Iterator[Change]:
    """Read a record of an S3 notification. Its key is encoded like a form: a space is ``+``, other bytes ``%XX``."""
    try:
        read = msgspec.convert(record, _Record)
    except msgspec.ValidationError as error:
        raise EventError(f"a record of aws:s3 that can't be read ({error}): {_seen(record)}") from None
    family = read.eventName.removeprefix("s3:").partition(":")[0]
    kind = _KINDS.get(family)
    if kind is None:
        if family in _HARMLESS:
            return
        raise EventError(f"unknown S3 event name {_cut(repr(read.eventName))}")
    key = read.s3.object.key
    if "%" in key or "+" in key:
        key = unquote_plus(key)
    yield _change(read.s3, key, kind, read.eventTime, cause)


def _from_bridge(event: dict[str, Any], cause: str) -> Iterator[Change]:
    """Read an S3 event of EventBridge. Its key isn't encoded: ``+`` and ``%`` stand for themselves."""
    what = str(event["detail-type"])
    kind = _BRIDGE_KINDS.get(what)
    if kind is None:
        if what in _BRIDGE_HARMLESS:
            return
        raise EventError(f"unknown S3 event of EventBridge: {_cut(repr(what))}")
    try:
        entity = msgspec.convert(event.get("detail"), _Entity)
    except msgspec.ValidationError as error:
        raise EventError(f"an EventBridge event of S3 that can't be read ({error})") from None
    yield _change(entity, entity.object.key, kind, str(event.get("time", "")), cause)


def _change(entity: _Entity, key: str, kind: ChangeKind, time: str, cause: str) -> Change:
    if not key or not entity.bucket.name:
        raise EventError("an S3 event without a key or a bucket")
    if not key.isascii() and not _is_text(key):
        raise EventError(f"an S3 event whose key isn't text: {_cut(ascii(key))}")
    seen = entity.object
    version = seen.versionId or seen.version_id or ""
    return Change(entity.bucket.name, key, kind, seen.eTag or seen.etag, version, seen.sequencer, time, cause)


def _parsed(message: object) -> object:
    """Parse a text that is JSON; leave anything else as it is, for plugins that know it."""
    if not isinstance(message, str | bytes):
        return message
    try:
        return msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return message


def _is_text(key: str) -> bool:
    """Whether a key has a UTF-8 form, as all keys in S3 do; half a surrogate pair has none."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def _seen(content: object) -> str:
    """Describe a message without repeating it whole: it may be large, and somebody's data."""
    if isinstance(content, dict):
        names = _cut(", ".join(sorted(map(str, content))))
        kinds = [f"{name}={content[name]!r}" for name in ("source", "detail-type", "eventSource") if name in content]
        return f"an object with {names or 'no members'}" + (f" ({_cut(', '.join(kinds))})" if kinds else "")
    if isinstance(content, str):
        return f"text that isn't JSON: {content[:80]!r}"
    return f"a {type(content).__name__}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SEEN else text[:_LONGEST_SEEN] + "…"
