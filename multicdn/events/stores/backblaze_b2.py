"""Backblaze B2: https://www.backblaze.com/docs/cloud-storage-event-notifications-reference-guide.

A message has up to fifty events; names stand in it as they are (the page shows plain ones alone).
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from multicdn import log
from multicdn.model import Change, ChangeKind

_KINDS = {
    "b2:ObjectCreated": ChangeKind.CREATED,
    "b2:ObjectDeleted": ChangeKind.REMOVED,
    "b2:HideMarkerCreated": ChangeKind.REMOVED,
}
# A lifecycle rule hides a file before it deletes it, so that what it deletes was hidden already.
_HARMLESS = frozenset(("b2:ObjectDeleted:LifecycleRule", "b2:MultipartUploadCreated:LiveRead", "b2:TestEvent"))


def multicdn_read_event(message: Any) -> list[Change] | None:
    """The changes that a message of B2 tells of. Deleting a version may delete the one that is served."""
    return [change for event in message["events"] if (change := _read(event)) is not None]


def _read(event: Any) -> Change | None:
    name = str(event["eventType"])
    if name in _HARMLESS:
        return None
    kind = _KINDS.get(name.rpartition(":")[0])
    if kind is None:
        log.emit(logging.WARNING, "unknown-event", store="Backblaze B2", events=1, names={name: 1})
        return None
    version = str(event.get("objectVersionId") or "")
    return Change(event["bucketName"], event["objectName"], kind, version=version, time=_time(event))


def _time(event: Any) -> str:
    """``eventTimestamp`` is in milliseconds."""
    moment = event.get("eventTimestamp")
    if not isinstance(moment, int):
        return ""
    return datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
