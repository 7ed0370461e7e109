"""Records of the log as lines for a person: at a terminal, and wherever else somebody reads along."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from multicdn.steering import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Fields that stand in the sentence itself.
_SPOKEN = frozenset((
    "event", "provider", "action", "kind", "soft", "targets", "state", "delay", "reason", "first", "trace",
))  # fmt: skip

# What names a record that isn't about a job: a circuit breaker's is nothing without its state.
_NAMING = ("event", "state")

_PLURALS = {"prefix": "prefixes", "everything": "everything"}


class Readable(logging.Formatter):
    """Time, level and sentence: for terminals."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line, but for the trace of a bug."""
        fields = getattr(record, "multicdn", None)
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        said = sentence(fields) if isinstance(fields, dict) else visible(record.getMessage())
        trace = fields.get("trace") if isinstance(fields, dict) else None
        more = "".join(f"\n  {visible(line)}" for line in str(trace).splitlines()) if trace else ""
        return f"{time} {record.levelname:<7} {said}{more}"


def sentence(fields: Mapping[str, Any]) -> str:
    """What a record says, in one line.

    Args:
        fields: of the record, ``event`` among them.
    """
    about = f"{fields['provider']}: " if "provider" in fields else ""
    what = _of_job(fields) if "action" in fields else " ".join(str(fields[name]) for name in _NAMING if name in fields)
    reason = f": {fields['reason']}" if fields.get("reason") else ""
    more = "; ".join(_more(fields))
    return visible(f"{about}{what}{reason}{f' ({more})' if more else ''}")


def _of_job(fields: Mapping[str, Any]) -> str:
    event, state, targets, kind = (fields.get(name, "") for name in ("event", "state", "targets", "kind"))
    number = targets if isinstance(targets, int) else 0
    kinds = kind if number == 1 else _PLURALS.get(str(kind), f"{kind}s")
    count = "" if kind == "everything" else f"{number:,} "
    soft = "soft " if fields.get("soft") else ""
    ended = "" if state == event else f", {_state(str(state), fields.get('delay'))}"
    return f"{soft}{fields['action']} of {count}{kinds} {event}{ended}"


def _state(state: str, delay: object) -> str:
    if state == "purged":
        return f"purged again in {delay} s" if delay else "purged again"
    return state if delay is None else f"{state} for {delay} s"


def _more(fields: Mapping[str, Any]) -> Iterator[str]:
    """The other fields, the first targets before them."""
    first, number = fields.get("first"), fields.get("targets")
    if isinstance(first, list) and first:
        rest = f" and {number - len(first):,} more" if isinstance(number, int) and number > len(first) else ""
        yield f"{', '.join(map(str, first))}{rest}"
    for name, value in fields.items():
        if name not in _SPOKEN:
            yield f"{name} {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
