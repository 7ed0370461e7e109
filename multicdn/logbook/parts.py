"""How a job stands that was cut into parts, of which some may be done while others wait. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from multicdn.logbook.entries import LogEntry

_DONE = ("accepted", "finished", "fresh", "superseded")


class Parts:
    """The newest line about each target of a provider, as they come."""

    def __init__(self) -> None:
        self._newest: dict[str, LogEntry] = {}

    def take(self, entry: LogEntry, targets: Collection[str]) -> None:
        """Take note of a line about these targets alone; without any, of one about all that there are."""
        if targets:
            self._newest.pop("", None)
        else:
            self._newest.clear()
        for target in targets or ("",):
            self._newest.pop(target, None)
            self._newest[target] = entry

    @property
    def states(self) -> frozenset[str]:
        """The states of all parts."""
        return frozenset(line.state for line in self._newest.values())

    @property
    def last(self) -> LogEntry | None:
        """The newest line about a part that isn't done, or if all are, of all; None if there is none."""
        lines = list(self._newest.values())
        return next((line for line in reversed(lines) if line.state not in _DONE), lines[-1] if lines else None)


def named(entry: LogEntry) -> frozenset[str]:
    """All targets of a line, if it names all; else none."""
    first = entry.texts("first")
    return frozenset(first) if len(first) >= entry.number("targets") else frozenset()
