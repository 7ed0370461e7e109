"""The words of the log: what is written is in the vocabulary, and what is in it is written."""

from __future__ import annotations

import ast
import json
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import generate
import jsonschema
import log_reference
import pytest
from awslambdaric.lambda_runtime_log_utils import _RESERVED_FIELDS, JsonFormatter
from kit.vocabulary import faults

from multicdn import log, readable
from multicdn.vocabulary import EVENTS, FIELDS, METRICS, STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(log.__file__).parent
SOURCES = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py") if path.name != "vocabulary.py"}
TREES = {path: ast.parse(text) for path, text in SOURCES.items() if "emit(" in text or "LogRecord(" in text}

JOB = {
    "provider": "fastly", "action": "purge", "kind": "url", "soft": True, "state": "requeued", "targets": 7,
    "first": ["https://www.acme.com/a"], "calls": 2, "attempt": 1, "ms": 12, "delay": 30, "reason": "503",
}  # fmt: skip


def calls(*names: str) -> Iterator[ast.Call]:
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names:
                yield node


def test_every_event_that_is_named_where_one_is_written_is_in_the_vocabulary_with_its_fields() -> None:
    found = [call for call in calls("emit") if len(call.args) > 1 and isinstance(call.args[1], ast.Constant)]
    assert len(found) > 15
    for call in found:
        name = call.args[1].value  # type: ignore[attr-defined]
        assert name in EVENTS
        given = {keyword.arg for keyword in call.keywords if keyword.arg}
        assert given <= {*EVENTS[name].always, *EVENTS[name].sometimes}, name


def test_no_event_and_no_field_is_in_the_vocabulary_that_no_code_writes() -> None:
    """A status is an event, too, and its text stands in the model."""
    written = "\n".join(SOURCES.values())
    names = re.compile(r'"([a-z_-]+)"|\b([a-z_]+)(?:=|: )')
    literals = {word for match in names.finditer(written) for word in match.groups() if word}
    assert set(EVENTS) - literals == set()
    assert set(FIELDS) - literals == set()
    used = {field for event in EVENTS.values() for field in (*event.always, *event.sometimes)}
    assert used == set(FIELDS) - {"event"}
    assert all(set(event.own) <= {*event.always, *event.sometimes} for event in EVENTS.values())


def test_no_field_is_called_as_a_member_that_python_or_lambda_has() -> None:
    """Of Python's the record would be lost, and of Lambda's the field."""
    own = {"message", "asctime", *vars(logging.makeLogRecord({}))}
    lambdas = {"timestamp", "level", "logger", "requestId", "stackTrace", "errorType", "errorMessage", "location"}
    assert set(FIELDS) & (own | lambdas | {"tenantId", "time", *_RESERVED_FIELDS}) == set()


def test_the_reference_and_the_schema_are_made_from_it() -> None:
    assert generate.LOG_SCHEMA.read_text(encoding="utf-8") == log_reference.schema_text(), "run: make docs"
    text = (generate.DOCS / "logs.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in (*EVENTS, *FIELDS, *METRICS))
    assert all(f"`{state}`" in text for state in STATES)


@pytest.mark.parametrize(
    ("record", "good"),
    [
        ({"event": "retry", **JOB}, True),
        ({"event": "retry", **JOB, "time": "2026", "level": "INFO", "later": 1}, True),
        ({"event": "retry", **JOB, "state": "lost"}, False),
        ({"event": "retry", **JOB, "targets": "7"}, False),
        ({"event": "retry", **JOB, "first": ["x"] * 6}, False),
        ({"event": "retry", "provider": "fastly"}, False),
        ({"event": "unheard-of"}, False),
        ({"event": "invocation", "messages": ["m1"]}, False),
    ],
)
def test_the_schema_tells_records_from_others(record: dict[str, Any], good: bool) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(generate.LOG_SCHEMA.read_text(encoding="utf-8")))
    assert validator.is_valid(record) is good


def test_the_kit_finds_what_is_not_in_the_vocabulary() -> None:
    assert list(faults("WARNING", {"event": "retry", **JOB})) == []
    assert list(faults("DEBUG", {"event": "retry", **JOB})) == ["retry at DEBUG"]
    assert list(faults("INFO", {"event": "gone", "provider": "x", "targets": True, "colour": "red"})) == [
        "gone without first", "gone with colour", "gone with targets True: not integer",
    ]  # fmt: skip
    assert list(faults("INFO", {"event": "nope"})) == ["event 'nope' is not in the vocabulary"]


# In Lambda


def in_lambda(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> dict[str, Any]:
    """A record as Lambda's own formatter writes it."""
    monkeypatch.setenv("AWS_LAMBDA_LOG_FORMAT", "JSON")
    log.emit(logging.WARNING, "retry", **fields)
    line = JsonFormatter().format(caplog.records[-1])
    assert line.encode(), "halves of surrogates have no bytes, and would cost the line"
    found: dict[str, Any] = json.loads(line)
    return found


def test_in_lambda_the_fields_stand_beside_lambdas_own(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = in_lambda(caplog, monkeypatch, **JOB)
    assert {name: found.get(name) for name in JOB} == JOB
    assert (found["event"], found["message"], found["level"], found["logger"]) == (
        "retry",
        "retry",
        "WARNING",
        "multicdn",
    )
    assert set(found) <= {"event", "message", "level", "logger", "timestamp", *JOB}


def test_in_lambda_nothing_steers_the_terminal_of_who_reads_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = in_lambda(caplog, monkeypatch, first=["a\x9b2J\u202eb\ud800"], names={"\u2028": 1}, reason="naïve\n")
    assert found["first"] == ["a\\u009b2J\\u202eb\\ud800"]
    assert (found["names"], found["reason"]) == ({"\\u2028": 1}, "naïve\n")


# For people


def test_a_person_reads_a_sentence() -> None:
    said = readable.sentence({"event": "retry", **JOB, "bucket": "acme-site", "by": "ann@host"})
    assert said == (
        "fastly: soft purge of 7 urls retry, requeued for 30 s: 503 (https://www.acme.com/a and 6 more; calls 2; "
        "attempt 1; ms 12; bucket acme-site; by ann@host)"
    )
    accepted = {"event": "accepted", "provider": "www", "action": "purge", "kind": "everything", "state": "accepted"}
    assert readable.sentence({**accepted, "targets": 1}) == "www: purge of everything accepted"
    counts = {"www": {"accepted": 2, "calls": 1}}
    assert readable.sentence({"event": "invocation", "messages": 1, "providers": counts}) == (
        "invocation (messages 1; providers www accepted 2, calls 1)"
    )


def test_nothing_in_a_sentence_steers_a_terminal_or_ends_the_line() -> None:
    said = readable.sentence({"event": "gone", "provider": "www", "first": ["a\x1b[2J\nb\u202e"]})
    assert said == "www: gone (a\\u001b[2J\\u000ab\\u202e)"


def test_at_a_terminal_a_line_has_time_level_and_sentence_and_a_bug_its_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "multicdn")
    log.emit(logging.ERROR, "plugin-bug", provider="www", error="KeyError: 'zone'", trace="one\ntwo\x1b")
    first, *trace = readable.Readable().format(caplog.records[-1]).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d ERROR   www: plugin-bug \(error KeyError: 'zone'\)", first)
    assert trace == ["  one", "  two\\u001b"]


@pytest.mark.parametrize(("terminal", "kind"), [(True, readable.Readable), (False, log._Stamped)])
def test_a_worker_writes_for_whoever_reads(terminal: bool, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    logger, root = logging.getLogger("multicdn"), logging.getLogger()
    level = logger.level
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    log.configure(stamped=True)
    logger.setLevel(level)
    assert type(logger.handlers[0].formatter) is kind


def test_a_long_text_is_cut_and_keeps_its_end_and_so_does_a_name_from_outside(caplog: pytest.LogCaptureFixture) -> None:
    long = "a" * 50_000 + "the end"
    log.emit(logging.WARNING, "config", warning=long)
    log.emit(logging.WARNING, "unknown-event", events=1, names={long: 1})
    warned, unknown = (json.loads(record.message) for record in caplog.records)
    for text in (warned["warning"], *unknown["names"]):
        assert (len(text) < 8200, text.endswith("the end")) == (True, True)
