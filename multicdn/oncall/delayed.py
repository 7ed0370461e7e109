"""What is delayed in the queue, which SQS shows to nobody: the function's log tells, and looking there changes nothing.

A job that goes into the queue leaves a record with its delay, or that of the first of several. Whoever's delay isn't
over is in the queue, since nobody can receive it; and no delay is longer than a quarter of an hour, so older records
needn't be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from multicdn.oncall.letters import NOBODY, UNTRIED, ListEntry
from multicdn.routing.durations import LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# Seconds that may lie between the clocks of whoever writes, keeps and reads the log.
_SKEW = 60

#: Seconds of the log before now that may tell of what is delayed.
TOLD_IN = LONGEST_DELAY + _SKEW

# Members that say nothing of the job, or what others say better; Lambda puts some of them beside ours.
_TOLD = frozenset(("state", "id", "delay", "timestamp", "time", "level", "logger", "message", "requestId"))

#: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
PATTERN = '{ $.state = "requeued" }'


class RecordLine(Protocol):
    """A line of the log."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Its members."""

    @property
    def at(self) -> float | None:
        """When it was written, in seconds since 1970; None where nobody says."""

    @property
    def provider(self) -> str:
        """Name of the provider instance; empty for a line that isn't about one."""

    def texts(self, name: str) -> tuple[str, ...]:
        """A member that is a list; empty if it isn't there."""

    def number(self, name: str) -> float:
        """A member that is a number; 0 if it isn't there."""


@dataclass(frozen=True)
class Delayed:
    """A job that is delayed, by the line that says so."""

    line: RecordLine

    @property
    def due(self) -> float:
        """When SQS hands it out, in seconds since 1970."""
        return self._written + min(self.line.number("delay"), LONGEST_DELAY)

    @property
    def messages(self) -> tuple[str, ...]:
        """Ids of the first messages that asked for it."""
        return self.line.texts("messages")

    @property
    def _written(self) -> float:
        return self.line.at or 0.0

    def details(self) -> dict[str, Any]:
        """Everything that it says, by the names of the log's vocabulary, and when it is due."""
        record = self.line.record
        others = {name: value for name, value in record.items() if name not in _TOLD}
        vendors = {"vendor_id": record["id"]} if "id" in record else {}
        first = next(iter(self.messages), "(delayed)")
        return {"id": first, "due": self.due, "sent": self._written, **others, **vendors}

    def entry(self) -> ListEntry:
        """What a list shows of it."""
        line, first = self.line, self.line.texts("first")
        count = line.number("targets") or line.number("objects") or line.number("changes")
        return ListEntry(
            id=next(iter(self.messages), ""),
            provider=(line.provider or NOBODY).partition("/")[0],
            reason=str(line.record.get("reason") or UNTRIED),
            targets=first or self._objects(),
            count=int(count) or len(first),
            asked=self._written - line.number("age_seconds") if "age_seconds" in line.record else None,
            attempts=int(line.number("attempt")),
            due=self.due,
        )

    def _objects(self) -> tuple[str, ...]:
        bucket = self.line.record.get("bucket", "")
        return tuple(f"s3://{bucket}/{key}" for key in self.line.texts("keys"))


def still_delayed(lines: Iterable[RecordLine], now: float) -> list[Delayed]:
    """What is delayed at a moment, in seconds since 1970, the next one first, by the lines of a log. Pure."""
    requeued = (Delayed(line) for line in lines if line.record.get("state") == "requeued")
    return sorted((each for each in requeued if each.due > now), key=lambda each: each.due)
