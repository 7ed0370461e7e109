"""What is made of the vocabulary: the tables of docs/logs.md, and the JSON Schema of a record."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.vocabulary import EVENTS, FIELDS, METRICS, OF_JOB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.vocabulary import Event, Field

#: Items of a list.
MOST = 5

_COUNTS = {"type": "object", "additionalProperties": {"type": "integer"}}

# Also of each record, of whoever keeps it: in Lambda, and at a worker in a container.
# https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
_OTHERS = {
    "timestamp": "Lambda's time of the record",
    "time": "a worker's time of the record, in ISO 8601",
    "level": "its level",
    "requestId": "Lambda's id of the invocation",
    "message": "the event once more, since Lambda wants a text",
    "logger": "multicdn",
}


def tables() -> str:
    """The events with their fields, and the fields."""
    return "\n".join((*_events(), "", *_fields(), ""))


def metrics() -> str:
    """The metrics."""
    return "\n".join((
        "| metric | of each | unit | says |", "| --- | --- | --- | --- |",
        *(f"| `{name}` | {metric.of} | {metric.unit} | {metric.says} |" for name, metric in METRICS.items()), "",
    ))  # fmt: skip


def schema() -> dict[str, Any]:
    """The JSON Schema of a record: it is like one of the events, and may have members that were added later."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of multicdn's log",
        "type": "object",
        "required": ["event"],
        "properties": {name: {"type": "string", "description": says} for name, says in _OTHERS.items()},
        "oneOf": [_of_event(name, event) for name, event in EVENTS.items()],
    }


def schema_text() -> str:
    """What docs/log.schema.json must hold."""
    return json.dumps(schema(), indent=2) + "\n"


def fields_of(event: Event) -> dict[str, Field]:
    """All fields that an event may have, with what they mean there."""
    return {name: event.own.get(name, FIELDS[name]) for name in (*event.always, *event.sometimes)}


def _of_event(name: str, event: Event) -> dict[str, Any]:
    properties = {field: _typed(meaning) for field, meaning in fields_of(event).items()}
    return {
        "title": name,
        "description": event.says,
        "properties": {"event": {"const": name}, **properties},
        "required": ["event", *event.always],
    }


def _typed(field: Field) -> dict[str, Any]:
    says = f"{field.says}, in {field.unit}" if field.unit else field.says
    return {**_type(field), "description": says}


def _type(field: Field) -> dict[str, Any]:
    if field.words:
        return {"enum": list(field.words)}
    if field.type == "texts":
        return {"type": "array", "items": {"type": "string"}, "maxItems": MOST}
    if field.type == "counts":
        return _COUNTS
    if field.type == "providers":
        return {"type": "object", "additionalProperties": _COUNTS}
    names = {"text": "string", "integer or null": ["integer", "null"]}
    return {"type": names.get(field.type, field.type)}


def _events() -> Iterator[str]:
    names: dict[tuple[str, ...], str] = {}
    yield from ("| event | level | when | fields |", "| --- | --- | --- | --- |")
    for name, event in EVENTS.items():
        fields = ", ".join([*_quoted(event.always), *(f"({each})" for each in _quoted(event.sometimes))])
        if event.always is OF_JOB:
            # All that failed have the same.
            fields = f"as {names[event.sometimes]}" if event.sometimes in names else fields
            names.setdefault(event.sometimes, f"`{name}`")
        yield f"| `{name}` | {', '.join(event.levels)} | {event.says} | {fields} |"


def _fields() -> Iterator[str]:
    yield from ("| field | type | says |", "| --- | --- | --- |")
    for name, field in FIELDS.items():
        meanings: dict[str, list[str]] = {}
        for event, of_event in EVENTS.items():
            if name in of_event.own:
                meanings.setdefault(of_event.own[name].says, []).append(event)
        own = [f"in {', '.join(_quoted(events))}: {says}" for says, events in meanings.items()]
        words = f"; one of {', '.join(_quoted(field.words))}" if field.words and name != "state" else ""
        unit = f", in {field.unit}" if field.unit else ""
        says = f"{field.says}{unit}{words}"
        yield f"| `{name}` | {field.type} | {'; '.join([says, *own])} |"


def _quoted(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in names]
