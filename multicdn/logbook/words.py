"""A line of the log as a person reads it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.logbook.entries import Entry

# What has a place of its own in the line, is Lambda's, or says what other members say as well.
_PLACED = frozenset((
    "timestamp", "time", "level", "logger", "requestId", "event", "state", "provider", "action", "kind", "soft",
    "targets", "first", "bucket", "keys", "objects", "messages", "attempt", "age_seconds", "delay", "reason", "ms",
    "principal", "source_ip", "by", "why", "id", "note", "calls", "routes", "trace",
))  # fmt: skip

_COLOURS = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow", "WARN": "yellow"}
_GOOD = "green"

#: Columns of the word for what happened.
WIDTH = 9

_LONGEST = 1000


def is_shown(entry: Entry) -> bool:
    """Whether a line is for people: what Lambda says of each start and end, and what is a metric, isn't."""
    if "_aws" in entry.record:
        return False
    kind = str(entry.record.get("type") or "")
    if kind.startswith("platform."):
        return kind == "platform.report" and _report(entry).get("status", "success") != "success"
    return True


def colour(entry: Entry) -> str | None:
    """The colour of a line on a terminal; None for that of the terminal."""
    if str(entry.record.get("type") or "").startswith("platform."):
        return "red"
    if entry.event == "accepted":
        return _GOOD
    return _COLOURS.get(entry.level)


def line(entry: Entry) -> str:
    """When it was, what happened, and to what."""
    return f"{clock(entry.at)}  {_word(entry):<{WIDTH}} {said(entry)}".rstrip()


def clock(at: float | None) -> str:
    """A time to the second, in UTC as AWS and the vendors write theirs."""
    if at is None:
        return "(no time)           "
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def seconds(number: float) -> str:
    """A length of time, to a tenth below ten seconds."""
    if number < 10:
        return f"{number:.1f} s"
    if number < 120:
        return f"{number:.0f} s"
    return f"{number / 60:.0f} min" if number < 7200 else f"{number / 3600:.0f} h"


def said(entry: Entry) -> str:
    """What a line says, but for when and with what end."""
    if not entry.event:
        return _of_others(entry)
    where = f"{entry.provider}: " if entry.provider else ""
    clauses = (_job(entry), *_ended(entry)) if entry.is_job else _about(entry)
    return where + "; ".join((*clauses, *_others(entry.record)))


def _word(entry: Entry) -> str:
    if entry.record.get("type") == "platform.report":
        return "failed"
    return entry.state or entry.event or entry.level.lower()


def _job(entry: Entry) -> str:
    record = entry.record
    soft = "soft " if record.get("soft") else ""
    kind, number = str(record.get("kind") or ""), int(entry.number("targets"))
    if kind == "everything":
        return f"{soft}{record.get('action')} of everything"
    what = f"{number:,} {kind or 'target'}{_plural(kind or 'target', number)}"
    first = entry.texts("first")
    more = f" and {number - len(first):,} more" if number > len(first) > 0 else ""
    return f"{soft}{record.get('action')} of {what}{': ' if first else ''}{', '.join(first)}{more}"


def _plural(word: str, number: int) -> str:
    if number == 1:
        return ""
    return "es" if word.endswith("x") else "s"


def _ended(entry: Entry) -> Iterator[str]:
    """Clauses on how a job ended, the most telling first."""
    record = entry.record
    if reason := record.get("reason"):
        yield f"{entry.event}: {str(reason)[:_LONGEST]}"
    elif entry.event != entry.state:
        yield entry.event
    if "delay" in record:
        yield f"again in {seconds(entry.number('delay'))}"
    if entry.number("attempt") > 1:
        yield f"try {entry.number('attempt'):.0f}"
    if "age_seconds" in record:
        since = "it was asked for" if "by" in record else "the upload"
        yield f"{seconds(entry.number('age_seconds'))} after {since}"
    if record.get("id"):
        yield f"id {record['id']}"
    if record.get("note"):
        yield str(record["note"])
    if record.get("by"):
        yield f"asked for by {record['by']}{_why(record)}"


def _why(record: Mapping[str, Any]) -> str:
    return f": {record['why']}" if record.get("why") else ""


def _about(entry: Entry) -> Iterator[str]:
    if entry.record.get("reason"):
        yield str(entry.record["reason"])[:_LONGEST]
    for name in ("state", "bucket", "keys", "targets", "first", "messages", "attempt", "delay", "ms"):
        if name in entry.record:
            yield f"{name} {_value(entry.record[name])}"


def _others(record: Mapping[str, Any]) -> Iterator[str]:
    """Members without a place of their own: those of other versions, too."""
    for name, value in record.items():
        if name not in _PLACED:
            yield f"{name} {_value(value)}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))[:_LONGEST]
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(each)}" for name, each in value.items() if each)[:_LONGEST]
    return str(value)[:_LONGEST]


def _of_others(entry: Entry) -> str:
    """A line of Lambda or of a library: the words, and of an exception its type, without the trace."""
    record = entry.record
    if record.get("type") == "platform.report":
        report = _report(entry)
        metrics = report.get("metrics")
        after = metrics.get("durationMs") if isinstance(metrics, dict) else None
        spent = f" after {float(after) / 1000:.1f} s" if isinstance(after, int | float) else ""
        kind = f", {report['errorType']}" if report.get("errorType") else ""
        return f"an invocation ended with {report.get('status')}{spent}{kind}"
    parts = [str(record[name]) for name in ("message", "errorType", "errorMessage") if record.get(name)]
    words = ": ".join(dict.fromkeys(parts)) if parts else entry.text
    return " ".join(words[:_LONGEST].split())


def _report(entry: Entry) -> Mapping[str, Any]:
    found = entry.record.get("record")
    return found if isinstance(found, dict) else {}
