"""Cloudflare R2: https://developers.cloudflare.com/r2/buckets/event-notifications/#message-format.

A message is one event; keys stand in it as they are (the page shows plain ones alone). R2 has no versions.
"""

from __future__ import annotations

import logging
from typing import Any

from multicdn import log
from multicdn.model import Change, ChangeKind

_KINDS = {
    "PutObject": ChangeKind.CREATED,
    "CopyObject": ChangeKind.CREATED,
    "CompleteMultipartUpload": ChangeKind.CREATED,
    "DeleteObject": ChangeKind.REMOVED,
    "LifecycleDeletion": ChangeKind.REMOVED,
}


def multicdn_read_event(message: Any) -> list[Change] | None:
    """The change that a message of R2 tells of."""
    kind = _KINDS.get(message["action"])
    if kind is None:
        log.emit(logging.WARNING, "unknown-event", store="Cloudflare R2", events=1, names={message["action"]: 1})
        return []
    found = message["object"]
    time = str(message.get("eventTime") or "")
    return [Change(message["bucket"], found["key"], kind, etag=str(found.get("eTag") or ""), time=time)]
