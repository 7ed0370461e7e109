"""Lines of any log are read, whoever wrote them, and put into words; none steers, none is lost without a word."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from kit.records import NOON, record

from multicdn.logbook import entries, wanted, words
from multicdn.logbook.entries import LogEntry, read
from multicdn.logbook.wanted import LogFilter

URL = "https://www.acme.com/docs/a.html"


def of(**members: Any) -> LogEntry:
    return read(json.dumps(record(0, **members)))


@pytest.mark.parametrize(
    "prefix",
    ["", "worker-1  | ", "2026-10-02T07:15:04.123456789Z ", "[pod/worker-6d4/worker] "],
    ids=["alone", "compose", "timestamps", "kubectl"],
)
def test_a_record_is_found_behind_what_others_put_before_it(prefix: str) -> None:
    entry = read(prefix + json.dumps(record(1.5)) + "\n")
    assert (entry.event, entry.provider, entry.at) == ("accepted", "www", NOON + 1.5)
    assert entry.text.startswith("{")


@pytest.mark.parametrize(
    "line", ["", "{", "Traceback {a: b}", '{"a":', "[1, 2]", '"x"', "{" * 5000, "null", '{"a": NaN']
)
def test_what_is_no_record_is_a_text(line: str) -> None:
    entry = read(line, 7.0)
    assert (entry.text, entry.record, entry.at) == (line, {}, 7.0)


@pytest.mark.parametrize("odd", [None, 7, [], {}, "noon", True])
def test_members_of_another_kind_do_no_harm(odd: object) -> None:
    entry = read(json.dumps(dict.fromkeys(record(0), odd)))
    for line in (words.line(entry), words.said(entry)):
        assert "\n" not in line
    assert isinstance(LogFilter(keys=("*",), providers=("www",)).takes(entry), bool)


def test_a_time_without_an_offset_is_utc_and_the_records_own_time_counts() -> None:
    text = json.dumps({"time": "2026-10-02T07:15:00", "event": "x"})
    assert read(text).at == read(text, 5.0).at == NOON


def test_a_line_without_an_end_takes_no_more_memory_than_a_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "_LONGEST_LINE", 10)
    assert [entry.text for entry in entries.lines(io.BytesIO(b"x" * 25 + b"\n\nend"))] == [
        "x" * 10,
        "x" * 10,
        "xxxxx",
        "end",
    ]


# Words


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, f"purge of 1 url accepted ({URL}; age_seconds 2.0)"),
        ({"event": "retry", "state": "requeued", "delay": 31, "attempt": 2, "reason": "503 Busy"},
         f"purge of 1 url retry, requeued for 31 s: 503 Busy ({URL}; attempt 2; age_seconds 2.0)"),
        ({"first": ["(everything)"], "kind": "everything", "by": "ann@laptop", "why": "prices", "requestId": "r"},
         "purge of everything accepted (age_seconds 2.0; by ann@laptop; why prices)"),
    ],
)  # fmt: skip
def test_a_job_in_words(members: dict[str, Any], expected: str) -> None:
    assert words.line(of(**members)) == f"2026-10-02 07:15:00Z  www: {expected}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ({"event": "invocation", "messages": 3, "ms": 40}, "invocation (messages 3; ms 40)"),
        ({"event": "unmatched", "changes": 2, "first": ["s3://b/a"], "message": "unmatched"},
         "unmatched (s3://b/a; changes 2)"),
        ({"level": "ERROR", "message": "no\nway", "errorType": "KeyError", "stackTrace": ["a"]}, "no way: KeyError"),
        ({"type": "platform.report", "record": {"status": "timeout", "metrics": {"durationMs": 60000.0}}},
         "an invocation of the function ended with timeout after 60.0 s"),
        ({"type": "platform.report", "record": {"status": "error", "errorType": "Runtime.ExitError"}},
         "an invocation of the function ended with error: Runtime.ExitError"),
        ({"type": "platform.report", "record": 7}, "an invocation of the function ended with None"),
    ],
)  # fmt: skip
def test_other_lines_in_words(line: dict[str, Any], expected: str) -> None:
    assert words.line(read(json.dumps(line))) == f"(no time)             {expected}"


def test_no_line_is_longer_than_a_person_reads() -> None:
    long = "x" * 1_000_000
    entry = read(json.dumps({"event": "odd", "reason": long, "also": [long], "message": long}))
    assert len(words.line(entry)) < 5000
    assert len(words.line(read(long))) < 5000


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"type": "platform.start", "record": {}}', False),
        ('{"type": "platform.report", "record": {"status": "success"}}', False),
        ('{"type": "platform.report", "record": {"status": "error"}}', True),
        ("START RequestId: r Version: $LATEST", False),
        ("REPORT RequestId: r\tDuration: 9 ms", False),
        ("REPORT RequestId: r\tDuration: 9 ms\tStatus: timeout", True),
        ('{"_aws": {}, "Accepted": 1}', False),
        ('{"event": "invocation"}', True),
        ("Traceback", True),
    ],
)
def test_what_lambda_and_metrics_write_is_not_for_people_but_for_failures(line: str, shown: bool) -> None:
    assert words.is_shown(read(line)) is shown


def test_a_circuit_breaker_says_whether_it_opens_or_closes() -> None:
    said = words.said(read('{"event": "breaker", "provider": "www", "state": "half-open", "reason": "503"}'))
    assert said == "www: breaker half-open: 503"


def test_colours_tell_what_went_well_and_what_did_not() -> None:
    lines = [of(), of(event="retry", state="requeued", level="WARNING"), of(event="x", level="ERROR"), of(event="x")]
    assert [words.colour(each) for each in lines] == ["green", "yellow", "red", None]


# What is wanted


@pytest.mark.parametrize(
    ("chosen", "takes"),
    [
        (LogFilter(), True),
        (LogFilter(providers=("www",)), True),
        (LogFilter(providers=("ww",)), False),
        (LogFilter(providers=("ww", "www"), outcomes=("accepted",)), True),
        (LogFilter(outcomes=("dead",)), False),
        (LogFilter(keys=("docs/a.html",)), True),
        (LogFilter(keys=("docs/*",)), True),
        (LogFilter(keys=("s3://acme-site/docs/?.html",)), True),
        (LogFilter(keys=("https://www.acme.com/*",)), True),
        (LogFilter(keys=("DOCS/*",)), False),
        (LogFilter(keys=("a.html",)), False),
    ],
)
def test_what_is_wanted(chosen: LogFilter, takes: bool) -> None:
    assert chosen.takes(of()) is takes


def test_an_instance_stands_for_those_that_it_was_found_to_be() -> None:
    assert LogFilter(providers=("www",)).takes(of(provider="www/E8F6"))
    assert not LogFilter(providers=("www",)).takes(of(provider="wwwx"))


def test_a_large_batch_may_be_wanted() -> None:
    chosen = LogFilter(keys=("img/x.png",), outcomes=("accepted",))
    assert chosen.may_take(of(objects=9000))
    assert not chosen.may_take(of())
    assert not chosen.may_take(of(objects=9000, event="retry", state="dead"))
    assert not LogFilter().may_take(of(objects=9000))


def test_the_pattern_asks_cloudwatch_for_no_less() -> None:
    assert LogFilter(keys=("a",)).pattern == ""
    assert LogFilter(providers=("www",), outcomes=("dead", "retry")).pattern == (
        '{ ($.provider = "www" || $.provider = "www/*") && '
        '($.event = "dead" || $.state = "dead" || $.event = "retry" || $.state = "retry") }'
    )


def test_an_unknown_outcome_is_told_the_nearest() -> None:
    wanted.check(["dead"], ["dead", "accepted"])
    with pytest.raises(wanted.FilterError, match="no outcome is called 'acepted'; did you mean 'accepted'"):
        wanted.check(["acepted"], ["dead", "accepted"])
