"""One S3 event, as S3 or EventBridge tells it: the only place where keys are decoded, and exactly once.

Shapes: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and ev-events.html; real
examples in tests/data/.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

import msgspec
from msgspec import Struct

from multicdn.errors import EventError
from multicdn.model import Change, ChangeKind, is_text

# Enough to recognise a message by.
_LONGEST_SEEN = 300

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


class Record(Struct):
    """A record of an S3 notification: what we need of it."""

    eventSource: Literal["aws:s3"]
    eventName: str
    s3: _Entity
    eventTime: str = ""


class Notification(Struct):
    """An S3 notification whose records are all as they should be."""

    Records: Annotated[tuple[Record, ...], msgspec.Meta(min_length=1)]
    multicdnWaiting: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def record(content: object) -> Record:
    """Read a record of an S3 notification.

    Raises:
        EventError: it has another shape.
    """
    try:
        return msgspec.convert(content, Record)
    except msgspec.ValidationError as error:
        raise EventError(f"a record of aws:s3 that can't be read ({error}): {seen(content)}") from None


def from_s3(read: Record, cause: str) -> Change | None:
    """The change that a record of S3 tells of. Its key is encoded like a form: a space is ``+``, other bytes ``%XX``.

    Returns:
        None for an event that leaves the bytes as they are.

    Raises:
        EventError: the event is of no known kind, or lacks its object.
    """
    family = read.eventName.removeprefix("s3:").partition(":")[0]
    kind = _KINDS.get(family)
    if kind is None:
        if family in _HARMLESS:
            return None
        raise EventError(f"unknown S3 event name {cut(repr(read.eventName))}")
    key = read.s3.object.key
    if "%" in key or "+" in key:
        key = unquote_plus(key)
    return _change(read.s3, key, kind, read.eventTime, cause)


def from_bridge(event: dict[str, Any], cause: str) -> Change | None:
    """The change that an S3 event of EventBridge tells of. Its key isn't encoded: ``+`` and ``%`` are themselves.

    Returns, raises: as ``from_s3``.
    """
    what = str(event["detail-type"])
    kind = _BRIDGE_KINDS.get(what)
    if kind is None:
        if what in _BRIDGE_HARMLESS:
            return None
        raise EventError(f"unknown S3 event of EventBridge: {cut(repr(what))}")
    try:
        entity = msgspec.convert(event.get("detail"), _Entity)
    except msgspec.ValidationError as error:
        raise EventError(f"an EventBridge event of S3 that can't be read ({error})") from None
    return _change(entity, entity.object.key, kind, str(event.get("time", "")), cause)


def _change(entity: _Entity, key: str, kind: ChangeKind, time: str, cause: str) -> Change:
    if not key or not entity.bucket.name:
        raise EventError("an S3 event without a key or a bucket")
    if not key.isascii() and not is_text(key):
        raise EventError(f"an S3 event whose key isn't text: {cut(ascii(key))}")
    found = entity.object
    version = found.versionId or found.version_id or ""
    return Change(entity.bucket.name, key, kind, found.eTag or found.etag, version, found.sequencer, time, cause)


def seen(content: object) -> str:
    """Describe a message without repeating it whole: it may be large, and somebody's data."""
    if isinstance(content, dict):
        names = cut(", ".join(sorted(map(str, content))))
        kinds = [f"{name}={content[name]!r}" for name in ("source", "detail-type", "eventSource") if name in content]
        return f"an object with {names or 'no members'}" + (f" ({cut(', '.join(kinds))})" if kinds else "")
    if isinstance(content, str):
        return f"text that isn't JSON: {content[:80]!r}"
    return f"a {type(content).__name__}"


def cut(text: str) -> str:
    """The beginning of a text, enough to recognise it by."""
    return text if len(text) <= _LONGEST_SEEN else text[:_LONGEST_SEEN] + "…"
