"""Yandex Object Storage: https://yandex.cloud/en/docs/functions/concepts/trigger/os-trigger.

Ids of buckets are their names; keys stand in a message as they are (the page shows plain ones alone).
"""

from __future__ import annotations

import logging
from typing import Any

from multicdn import log
from multicdn.model import Change, ChangeKind

_FAMILY = "yandex.cloud.events.storage."
_KINDS = {
    "ObjectCreate": ChangeKind.CREATED,
    # The page calls it "editing an object ACL", and doesn't say by which event an object is overwritten.
    "ObjectUpdate": ChangeKind.CREATED,
    "ObjectDelete": ChangeKind.REMOVED,
}


def multicdn_read_event(message: Any) -> list[Change] | None:
    """The changes that a message of Yandex tells of; None where another service sent it."""
    events = message["messages"]
    if not all(str(event["event_metadata"]["event_type"]).startswith(_FAMILY) for event in events):
        return None
    return [change for event in events if (change := _read(event)) is not None]


def _read(event: Any) -> Change | None:
    metadata, details = event["event_metadata"], event["details"]
    name = metadata["event_type"].removeprefix(_FAMILY)
    kind = _KINDS.get(name)
    if kind is None:
        log.emit(logging.WARNING, "unknown-event", store="Yandex Object Storage", events=1, names={name: 1})
        return None
    time = str(metadata.get("created_at") or "")
    return Change(details["bucket_id"], details["object_id"], kind, time=time)
