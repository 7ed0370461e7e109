"""Stores whose events don't have S3's form: a reader each, of the form that docs/plugins.md asks of plugins.

They are imported when such a message comes, since most installations never see one, and aren't marked as hooks:
bundles without a hook plugin have no pluggy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from multicdn.model import Change

_R2 = frozenset(("account", "action", "bucket", "object"))


def read(message: object) -> Sequence[Change] | None:
    """The changes that a message of another store tells of, or None if it is of none of them.

    Raises:
        Exception: the message is damaged.
    """
    reader = _reader(message)
    return reader.multicdn_read_event(message) if reader is not None else None


def _reader(message: object) -> ModuleType | None:
    if not isinstance(message, dict):
        return None
    if message.keys() >= _R2:
        from multicdn.events.stores import cloudflare_r2

        return cloudflare_r2
    if _first_has(message.get("events"), "eventType"):
        from multicdn.events.stores import backblaze_b2

        return backblaze_b2
    if _first_has(message.get("messages"), "event_metadata"):
        from multicdn.events.stores import yandex

        return yandex
    return None


def _first_has(items: object, member: str) -> bool:
    return isinstance(items, list) and bool(items) and isinstance(items[0], dict) and member in items[0]
