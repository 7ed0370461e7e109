"""CloudWatch Logs Insights: searches days of a log at once, and is paid by the bytes that it looks at."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.errors import MulticdnError
from multicdn.logbook.entries import LogEntry, read

if TYPE_CHECKING:
    from collections.abc import Callable

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
MOST_ROWS = 10_000

# https://aws.amazon.com/cloudwatch/pricing/, us-east-1: dollars for a gigabyte that is scanned. Other regions differ.
_DOLLARS = 0.005

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 2.0
_PATIENCE = 300.0


class InsightsError(MulticdnError):
    """A search came to no end; the text says what to do."""


class SearchResult(Struct, frozen=True):
    """What a search has found.

    Attributes:
        entries: oldest first.
        scanned: bytes that were looked at.
        complete: whether there are no older ones that it would have found.
    """

    entries: Sequence[LogEntry]
    scanned: float
    complete: bool

    @property
    def dollars(self) -> float:
        """What that costs about."""
        return self.scanned / 1e9 * _DOLLARS


def search(
    client: Any, group: str, query: str, start: float, end: float, sleep: Callable[[float], None] = time.sleep
) -> SearchResult:
    """Search a log group, and wait for the answer. A search that is given up is stopped, since it costs.

    Args:
        client: of boto3, for ``logs``.
        group: name of the log group.
        query: for whole messages and their times, newest first.
        start: seconds since 1970.
        end: the same.
        sleep: waits so many seconds.

    Raises:
        InsightsError: there was no answer within five minutes.
    """
    asked = {"logGroupName": group, "queryString": query, "startTime": int(start), "endTime": int(end)}
    name = client.start_query(**asked, limit=MOST_ROWS)["queryId"]
    try:
        answer = _answer(client, name, sleep)
    except BaseException:
        with contextlib.suppress(Exception):
            client.stop_query(queryId=name)
        raise
    rows = [{cell["field"]: cell.get("value", "") for cell in row} for row in answer["results"]]
    entries = [read(row.get("@message", ""), _seconds(row.get("@timestamp", ""))) for row in reversed(rows)]
    scanned = float(answer.get("statistics", {}).get("bytesScanned", 0.0))
    return SearchResult(entries, scanned, len(rows) < MOST_ROWS)


def _answer(client: Any, name: str, sleep: Callable[[float], None]) -> dict[str, Any]:
    waited, pause = 0.0, _FIRST_PAUSE
    while True:
        answer: dict[str, Any] = client.get_query_results(queryId=name)
        if answer["status"] == "Complete":
            return answer
        if answer["status"] not in ("Scheduled", "Running"):
            raise InsightsError(f"the search of the log ended as {answer['status']}; run it again, or shorten --since")
        if waited >= _PATIENCE:
            raise InsightsError(f"the search of the log has no end after {_PATIENCE:.0f} s; shorten --since")
        sleep(pause)
        waited, pause = waited + pause, min(_LONGEST_PAUSE, pause * 2)


def _seconds(moment: str) -> float | None:
    """A time of Insights, which is UTC: ``2026-10-02 07:15:04.123``."""
    try:
        return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
