"""Holds records of the log against the vocabulary: in all tests, whatever they are about."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import log_reference

from multicdn.vocabulary import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.vocabulary import Field

_TYPES: dict[str, type | tuple[type, ...]] = {
    "text": str,
    "number": (int, float),
    "integer": int,
    "integer or null": (int, type(None)),
    "boolean": bool,
    "texts": list,
    "counts": dict,
    "providers": dict,
}

# Events of tests that are about any record.
_OF_TESTS = ("odd", "once")

#: What was wrong with the records of the test that runs.
SEEN: list[str] = []

_MEANINGS = {name: log_reference.fields_of(event) for name, event in EVENTS.items()}


def watch() -> None:
    """Look at each record from now on."""
    logging.getLogger("multicdn").addFilter(_look)


def _look(record: logging.LogRecord) -> bool:
    fields = getattr(record, "multicdn", None)
    if fields and fields["event"] not in _OF_TESTS:
        SEEN.extend(faults(record.levelname, fields))
    return True


def faults(level: str, record: Mapping[str, Any]) -> Iterator[str]:
    """What of a record isn't as the vocabulary says."""
    name = record["event"]
    event = EVENTS.get(name)
    if event is None:
        yield f"event {name!r} is not in the vocabulary"
        return
    fields = set(record) - {"event"}
    if level not in event.levels:
        yield f"{name} at {level}"
    yield from (f"{name} without {field}" for field in event.always if field not in fields)
    for field in sorted(fields):
        meaning = _MEANINGS[name].get(field)
        if meaning is None:
            yield f"{name} with {field}"
        else:
            yield from (f"{name} with {field} {record[field]!r:.80}: {why}" for why in _wrong(meaning, record[field]))


def _wrong(field: Field, value: object) -> Iterator[str]:
    if not isinstance(value, _TYPES[field.type]) or (isinstance(value, bool) and field.type != "boolean"):
        yield f"not {field.type}"
    elif field.words and value not in field.words:
        yield f"not one of {', '.join(field.words)}"
    elif isinstance(value, list) and len(value) > log_reference.MOST:
        yield "too many"
