"""S3's events as EventBridge hands them over: whole, or the part that a target's input path or transformer kept.

Shapes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html; real examples in tests/data/.
"""

from __future__ import annotations

from typing import Any

import msgspec

from multicdn.errors import EventError
from multicdn.events import names, s3
from multicdn.events.describe import cut
from multicdn.events.s3 import Ignored
from multicdn.model import Change, ChangeKind

_LIFECYCLE, _FOR_GOOD = "Lifecycle Expiration", "Permanently Deleted"

# Members that a notification's record has and EventBridge hasn't: a pipe's transformer may keep the one as the other.
_OF_NOTIFICATION = frozenset(("s3SchemaVersion", "configurationId"))
_OF_NOTIFIED_OBJECT = frozenset(("eTag", "versionId"))

# Of the details, those that tell what happened where the detail-type is lost.
_SERVED_AS_BEFORE = ("destination-storage-class", "destination-access-tier")
# Those of every whole detail.
_WHOLE = "request-id"


def is_event(content: dict[str, Any]) -> bool:
    """Whether it is an event of S3; its ``source`` may have been left out by an input transformer."""
    what = content.get("detail-type")
    if content.get("source") == "aws.s3":
        return "detail-type" in content
    return isinstance(what, str) and "detail" in content and names.bridge_meaning(what) is not names.Nothing.UNKNOWN


def is_detail(content: Any) -> bool:
    """Whether it is the ``detail`` of an event of S3, or the part of one that names the object."""
    if not isinstance(content, dict):
        return False
    bucket, found = content.get("bucket"), content.get("object")
    return isinstance(bucket, dict) and isinstance(found, dict) and "name" in bucket and "key" in found


def from_event(event: dict[str, Any], cause: str) -> Change | Ignored:
    """What an event tells of. Its key isn't encoded: ``+`` and ``%`` are themselves.

    Raises:
        EventError: it lacks its object, or what happened.
    """
    what = event["detail-type"]
    if not isinstance(what, str):
        raise EventError(f"unknown S3 event of EventBridge: {cut(repr(str(what)))}")
    kind = names.bridge_meaning(what)
    if not isinstance(kind, ChangeKind):
        return Ignored(cut(what), known=kind is not names.Nothing.UNKNOWN)
    return _read(event.get("detail"), kind, str(event.get("time", "")), cause)


def from_detail(detail: dict[str, Any], cause: str) -> Change | Ignored:
    """What a detail alone tells of. In doubt the object counts as removed: it is dropped, and not fetched again.

    Raises:
        EventError: it lacks its object.
    """
    if any(member in detail for member in _SERVED_AS_BEFORE):
        return Ignored("Object Storage Class Changed")
    return _read(detail, _kind_of(detail), "", cause)


def _kind_of(detail: dict[str, Any]) -> ChangeKind:
    if "deletion-type" in detail:
        return ChangeKind.REMOVED
    # Only what there is has a size; without a reason it is a restore that has ended.
    if "reason" in detail or ("size" in detail["object"] and "source-storage-class" not in detail):
        return ChangeKind.CREATED
    return ChangeKind.ACCESS if _WHOLE in detail else ChangeKind.REMOVED


def _read(detail: Any, kind: ChangeKind, time: str, cause: str) -> Change | Ignored:
    try:
        entity = msgspec.convert(detail, s3.Entity)
    except msgspec.ValidationError as error:
        raise EventError(f"an EventBridge event of S3 that can't be read ({error})") from None
    expired = detail.get("reason") == _LIFECYCLE and detail.get("deletion-type") == _FOR_GOOD
    if expired and entity.object.version:  # as with names.LIFECYCLE_DELETE
        return Ignored("Object Deleted of a version by lifecycle")
    encoded = not _OF_NOTIFICATION.isdisjoint(detail) or not _OF_NOTIFIED_OBJECT.isdisjoint(detail["object"])
    key = s3.decoded(entity.object.key) if encoded else entity.object.key
    # The one who asked is an account of AWS here, or a service.
    who = s3.short(detail.get("requester")), s3.short(detail.get("source-ip-address"))
    return s3.change(entity, key, kind, time, cause, *who)
