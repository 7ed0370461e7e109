"""What waits or was given up, for people and for programs."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from multicdn.cli.render import counted
from multicdn.model import described

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multicdn.oncall.letters import Group, ListEntry

# Of a group, and of one message.
_SHOWN = 3
_SHOWN_OF_ONE = 100

# Of an id, which is a UUID: enough to name it by.
_ID = 8

_TIMES = ("asked", "sent", "due", "accepted", "finished")

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def listing(groups: Sequence[Group], noun: str, now: float) -> Iterator[str]:
    """Lines on groups.

    Args:
        groups: of entries.
        noun: what an entry is called.
        now: seconds since 1970.
    """
    for group in groups:
        number, targets = counted(len(group.entries), noun), counted(group.targets, "target")
        yield f"{group.provider}: {number}, {targets}: {group.reason}"
        if history := _history(group.entries, now):
            yield f"    {history}"
        for entry in group.entries[:_SHOWN]:
            yield f"    {_entry(entry)}"
        if len(group.entries) > _SHOWN:
            yield f"    and {counted(len(group.entries) - _SHOWN, f'more {noun}')}"


def groups_as_json(groups: Sequence[Group], member: str, now: float) -> list[dict[str, Any]]:
    """The same with all targets that are known, in the form that docs/commands.md describes.

    Args:
        groups: of entries.
        member: the name of their number.
        now: seconds since 1970.
    """
    return [
        {
            "provider": group.provider,
            "reason": group.reason,
            member: len(group.entries),
            "ids": [entry.id for entry in group.entries if entry.id],
            "targets": [target for entry in group.entries for target in entry.targets],
            "target_count": group.targets,
            "attempts": max(entry.attempts for entry in group.entries),
            "age_seconds": _whole(now - asked) if (asked := _oldest(group.entries)) is not None else None,
            "accepted_seconds": _whole(now - min(accepted)) if (accepted := _accepted(group.entries)) else None,
            "due_seconds": _whole(min(dues) - now) if (dues := _dues(group.entries)) else None,
        }
        for group in groups
    ]


def one(details: Mapping[str, Any], now: float) -> Iterator[str]:
    """Lines on everything of one message.

    Args:
        details: by name; times in seconds since 1970.
        now: the same.
    """
    yield str(details["id"])
    for name, value in details.items():
        if name != "id":
            yield from _member(name.replace("_", " "), _told_time(value, now) if name in _TIMES else value)


def one_as_json(details: Mapping[str, Any]) -> dict[str, Any]:
    """The same, times in ISO 8601."""
    return {name: _moment(value) if name in _TIMES else value for name, value in details.items()}


def length_of(seconds: float) -> str:
    """A time as people say it: ``40 s``, ``12 min``, ``3 h 5 min``, ``2 days 4 h``."""
    whole = _whole(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min".replace(" 0 min", "")
    return f"{counted(whole // _DAY, 'day')} {whole % _DAY // _HOUR} h".replace(" 0 h", "")


def _history(entries: Sequence[ListEntry], now: float) -> str:
    """Since when, how often, and when again."""
    asked, tries = _oldest(entries), max(entry.attempts for entry in entries)
    accepted = _accepted(entries)
    oldest = "the oldest asked" if len(entries) > 1 else "asked"
    upto = "up to " if len({entry.attempts for entry in entries}) > 1 else ""
    parts = [
        f"{oldest} for {length_of(now - asked)} ago" if asked is not None else "",
        f"accepted {length_of(now - min(accepted))} ago" if accepted else "",
        f"{'looked at' if accepted else 'tried'} {upto}{counted(tries, 'time')}" if tries else "",
        _again(_dues(entries), now),
    ]
    return ", ".join(filter(None, parts))


def _again(dues: Sequence[float], now: float) -> str:
    if not dues:
        return ""
    first, last = (length_of(max(0.0, due - now)) for due in (min(dues), max(dues)))
    return f"next in {first}" if first == last else f"next in {first} to {last}"


def _oldest(entries: Sequence[ListEntry]) -> float | None:
    return min((entry.asked for entry in entries if entry.asked is not None), default=None)


def _accepted(entries: Sequence[ListEntry]) -> list[float]:
    return [entry.accepted for entry in entries if entry.accepted is not None]


def _dues(entries: Sequence[ListEntry]) -> list[float]:
    return [entry.due for entry in entries if entry.due is not None]


def _entry(entry: ListEntry) -> str:
    first = described(entry.targets[0]) if entry.targets else counted(entry.count, "target")
    more = f" and {entry.count - 1:,} more" if entry.targets and entry.count > 1 else ""
    return "  ".join(filter(None, (entry.id[:_ID], first + more)))


def _member(name: str, value: Any) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        yield f"  {name}: {_text(value)}"
        return
    if len(value) == 1:
        yield f"  {name}: {_text(value[0])}"
        return
    yield f"  {name}: {len(value):,}"
    yield from (f"    {_text(item)}" for item in value[:_SHOWN_OF_ONE])
    if len(value) > _SHOWN_OF_ONE:
        yield f"    and {len(value) - _SHOWN_OF_ONE:,} more; --json has all"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return described(value) if isinstance(value, str) else f"{value}"


def _told_time(moment: float, now: float) -> str:
    distance = f"{length_of(now - moment)} ago" if moment <= now else f"in {length_of(moment - now)}"
    return f"{_moment(moment)}, {distance}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _whole(seconds: float) -> int:
    return max(0, math.floor(seconds))
