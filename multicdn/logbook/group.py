"""A log group in CloudWatch, read from a time on, and followed.

By FilterLogEvents: it costs nothing, and knows what is past. StartLiveTail is billed by the minute, ends after three
hours, shows no more than 500 lines a second, and is a right of its own:
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from multicdn.logbook.entries import LogEntry, read

if TYPE_CHECKING:
    from collections.abc import Iterator

# Seconds between two looks: the account's few calls a second are shared with everybody else.
_PAUSE = 2.0

# Seconds that an event may come after a newer one: many function instances write, each in its own stream.
_LATE = 30.0

# Ids of events that were shown and may come again; beyond, one may be shown twice.
_MOST_SEEN = 100_000


class LogGroup:
    """A log group.

    Args:
        client: of boto3, for ``logs``.
        name: of the group.

    Attributes:
        complete: whether the last look came to the end of the log, in the time that it had.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self.complete = True

    def between(
        self, start: float, end: float | None = None, pattern: str = "", patience: float = math.inf
    ) -> Iterator[LogEntry]:
        """What was logged, in the order of CloudWatch, page by page.

        Args:
            start: seconds since 1970.
            end: the same; None for all that there is.
            pattern: a filter pattern of CloudWatch; what it lets through is to be looked at again.
            patience: seconds after which no further page is asked for.
        """
        for event in self._events(start, end, pattern, time.monotonic() + patience):
            yield _entry(event)

    def follow(self, start: float, pattern: str = "", patience: float = math.inf) -> Iterator[LogEntry]:
        """What was logged, and from then on what is logged, each event once.

        An event that comes late is shown as long as it is no older than half a minute before the newest.

        Args:
            start: as for ``between``.
            pattern: the same.
            patience: seconds between looks in all, after which this ends.
        """
        seen: dict[str, float] = {}
        newest, waited = start, 0.0
        while True:
            for event in self._events(max(start, newest - _LATE), None, pattern):
                name, at = event.get("eventId") or f"{event.get('timestamp')} {event.get('message')}", _seconds(event)
                if name in seen:
                    continue
                seen[name] = at
                newest = max(newest, at)
                _forget(seen, newest - _LATE)
                yield _entry(event)
            if waited >= patience:
                return
            time.sleep(_PAUSE)
            waited += _PAUSE

    def _events(
        self, start: float, end: float | None, pattern: str, until: float = math.inf
    ) -> Iterator[dict[str, Any]]:
        """Events of all pages; a page may be empty, and yet not be the last."""
        asked: dict[str, Any] = {"logGroupName": self.name, "startTime": max(0, int(start * 1000))}
        if end is not None:
            asked["endTime"] = int(end * 1000)
        if pattern:
            asked["filterPattern"] = pattern
        while True:
            page = self._client.filter_log_events(**asked)
            yield from page["events"]
            self.complete = not page.get("nextToken") or page["nextToken"] == asked.get("nextToken")
            if self.complete or time.monotonic() > until:
                return
            asked["nextToken"] = page["nextToken"]


def _forget(seen: dict[str, float], before: float) -> None:
    """Drop the ids at the front that can't come again, and those that are too many."""
    while seen:
        name = next(iter(seen))
        if seen[name] >= before and len(seen) <= _MOST_SEEN:
            return
        del seen[name]


def _entry(event: dict[str, Any]) -> LogEntry:
    return read(event.get("message", ""), _seconds(event))


def _seconds(event: dict[str, Any]) -> float:
    return float(event.get("timestamp", 0)) / 1000
