"""How far purges have come at each provider, as the log tells it: accepted, finished, fresh. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.logbook.entries import LogEntry


class Reached:
    """What was reached at one provider instance.

    Attributes:
        accepted, finished: seconds from an upload until its first purge was that, of several the longest; None before.
        fresh: seconds from an upload until its new bytes were seen, of several the longest; None before.
        keys: of the objects whose new bytes were seen.
        purges: how many there have been of one object, of several the most; 0 if none was accepted.
        stale: what was seen of an edge that still had old bytes; empty if none had.
        trouble: why an object was given up, or why nothing can be told of it.
    """

    def __init__(self) -> None:
        self.accepted: float | None = None
        self.finished: float | None = None
        self.fresh: float | None = None
        self.keys: set[str] = set()
        self.purges = 0
        self.stale = ""
        self.trouble = ""

    def take(self, entry: LogEntry) -> None:
        """Take note of a line about a purge."""
        age, seen = entry.number("age_seconds"), str(entry.record.get("seen") or "old bytes")
        if entry.event == "fresh":
            self.fresh = max(self.fresh or 0.0, age)
            self.keys.update(entry.texts("keys"))
        elif entry.event == "stale":
            self.stale = self.stale or seen
            self.purges = max(self.purges, int(entry.number("purges")) + (entry.state == "purged"))
        elif not self.stale and entry.event in ("accepted", "finished"):  # else it is of a further purge
            self.purges = max(self.purges, 1)
            setattr(self, entry.event, max(getattr(self, entry.event) or 0.0, age))
        if entry.event == "unknown" or entry.state == "dead":
            self.trouble = str(entry.record.get("reason") or entry.event)


def reached(entries: Iterable[LogEntry]) -> dict[str, Reached]:
    """What purges have reached, by the names of the provider instances."""
    found: dict[str, Reached] = {}
    for entry in entries:
        if entry.is_job and entry.record.get("action") == "purge":
            found.setdefault(entry.provider.partition("/")[0], Reached()).take(entry)
    return found
