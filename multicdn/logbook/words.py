"""A line of the log as a person reads it: the sentence of a worker's terminal, and what Lambda says of failures."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from multicdn.readable import sentence

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from multicdn.logbook.entries import LogEntry

# What Lambda and the worker put beside the fields of a record.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
_BESIDE = frozenset(("timestamp", "time", "level", "message", "logger", "requestId"))

# What those read who look for one object, and have `multicdn history` and `--json` for.
_DETAILS = ("bucket", "keys", "objects", "routes", "messages", "principal", "source_ip", "calls")

_COLOURS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "WARN": "yellow"}

_GOOD = ("accepted", "finished", "fresh")

# The same where a pipeline of one's own has left Lambda its text format.
_IN_TEXT = re.compile("(START|END|REPORT|INIT_START) ")

# Characters.
_LONGEST = 4000

_NO_TIME = "(no time)           "


def is_shown(entry: LogEntry) -> bool:
    """Whether a line is for people: what Lambda says of each start and end, and what is a metric, isn't."""
    if "_aws" in entry.record:
        return False
    return not _of_platform(entry) or _is_failure(entry)


def colour(entry: LogEntry) -> str | None:
    """The colour of a line on a terminal; None for that of the terminal."""
    if entry.event in _GOOD:
        return "green"
    return "red" if _is_failure(entry) else _COLOURS.get(entry.level)


def line(entry: LogEntry) -> str:
    """When it was, and what happened."""
    return f"{clock(entry.at)}  {said(entry, _DETAILS if entry.is_job else ())}"


def clock(at: float | None) -> str:
    """A time to the second, in UTC as AWS and the vendors write theirs."""
    try:
        return _NO_TIME if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):  # of a year that datetime doesn't know
        return _NO_TIME


def seconds(number: float) -> str:
    """A length of time, to a tenth below ten seconds."""
    if number < 10:
        return f"{number:.1f} s"
    if number < 120:
        return f"{number:.0f} s"
    return f"{number / 60:.0f} min" if number < 7200 else f"{number / 3600:.0f} h"


def said(entry: LogEntry, without: Collection[str] = ()) -> str:
    """What a line says, but for when.

    Args:
        entry: of the log.
        without: fields that the reader knows.
    """
    if entry.event:
        hidden = _BESIDE.union(without, _telling_nothing(entry))
        return _cut(sentence({name: value for name, value in entry.record.items() if name not in hidden}))
    if entry.record and _of_platform(entry):
        return _cut(_failure(_report(entry)))
    parts = [str(entry.record[name]) for name in ("message", "errorType", "errorMessage") if entry.record.get(name)]
    return _cut(": ".join(dict.fromkeys(parts)) if parts else entry.text)


def _telling_nothing(entry: LogEntry) -> Iterator[str]:
    if entry.number("attempt") == 1:
        yield "attempt"
    if entry.record.get("kind") == "everything":
        yield "first"


def _failure(report: Mapping[str, object]) -> str:
    metrics = report.get("metrics")
    spent = metrics.get("durationMs") if isinstance(metrics, dict) else None
    after = f" after {spent / 1000:.1f} s" if isinstance(spent, int | float) else ""
    kind = f": {report['errorType']}" if report.get("errorType") else ""
    return f"an invocation of the function ended with {report.get('status')}{after}{kind}"


def _cut(text: str) -> str:
    line = " ".join(text[: 2 * _LONGEST].split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _of_platform(entry: LogEntry) -> bool:
    return str(entry.record.get("type") or "").startswith("platform.") or bool(_IN_TEXT.match(entry.text))


def _is_failure(entry: LogEntry) -> bool:
    if _IN_TEXT.match(entry.text):
        return "\tStatus: " in entry.text
    return entry.record.get("type") == "platform.report" and _report(entry).get("status", "success") != "success"


def _report(entry: LogEntry) -> Mapping[str, object]:
    found = entry.record.get("record")
    return found if isinstance(found, dict) else {}
