"""A history tells who, what, when, why and what became of it, and of what nobody can know, that nobody can."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from kit.records import WWW, record, sample

from multicdn import vocabulary
from multicdn.logbook import history
from multicdn.logbook.entries import read
from multicdn.logbook.subject import About, AskedAbout

URLS = frozenset((f"{WWW}/docs/a.html", f"{WWW}/docs/"))
SUBJECT = AskedAbout(
    frozenset((("acme-site", "docs/a.html"),)),
    {
        "www": {"url": URLS, "tag": frozenset(("docs",))},
        "site": {"url": frozenset(("/docs/a.html", "/docs/")), "prefix": frozenset()},
    },
)


def told(*records: dict[str, Any], subject: AskedAbout = SUBJECT) -> history.History:
    return history.make((read(json.dumps(each)) for each in records), subject)


def about(**members: Any) -> About | None:
    return SUBJECT.about(read(json.dumps(record(0, **members))))


OTHER: dict[str, Any] = {"keys": ["img/x.png"], "first": [f"{WWW}/img/x.png"], "messages": ["m9"]}


@pytest.mark.parametrize(
    ("members", "sure"),
    [
        ({}, About.SURELY),
        (OTHER, None),
        ({"bucket": "acme-shop", "first": []}, None),
        ({**OTHER, "keys": ["s3://acme-site/docs/a.html"], "bucket": "acme-shop"}, About.SURELY),
        ({**OTHER, "objects": 9000}, About.PERHAPS),
        ({**OTHER, "objects": 9000, "bucket": "acme-shop"}, None),
        ({**OTHER, "objects": 9000, "provider": "shop"}, None),
        ({**OTHER, "objects": 9000, "provider": "site/E8F6"}, About.PERHAPS),
        # A part of a batch that came back has the keys of all of it, so that its targets tell.
        ({"objects": 9, "attempt": 2}, About.SURELY),
        ({"objects": 9, "attempt": 2, "first": [f"{WWW}/docs/b"]}, None),
        ({"objects": 9, "attempt": 2, "first": [f"{WWW}/docs/b"], "targets": 3}, About.PERHAPS),
        ({"objects": 9, "attempt": 1, "first": [f"{WWW}/docs/b"], "targets": 9}, About.SURELY),
        ({**OTHER, "objects": 9, "attempt": 2}, None),
        ({**OTHER, "objects": 9, "attempt": 2, "targets": 3}, About.PERHAPS),
        ({"objects": 9, "attempt": 1, "event": "finished", "first": [f"{WWW}/docs/b"]}, None),
        ({"objects": 5, "attempt": 2, "first": [f"{WWW}/docs/b"]}, About.SURELY),
        # By hand: targets alone.
        ({"keys": [], "bucket": "", "first": [f"{WWW}/docs/"]}, About.SURELY),
        ({"keys": [], "first": [f"{WWW}/docs/b"]}, None),
        ({"keys": [], "first": [f"{WWW}/docs/b"], "targets": 7}, About.PERHAPS),
        ({"keys": [], "first": ["news"], "targets": 7, "kind": "tag"}, About.PERHAPS),
        ({"keys": [], "first": ["docs"], "kind": "tag"}, About.SURELY),
        ({"keys": [], "first": ["news"], "targets": 7, "kind": "host"}, None),
        # By what holds it.
        ({"keys": [], "first": ["(everything)"], "kind": "everything"}, About.SURELY),
        ({"keys": [], "first": ["(everything)"], "kind": "everything", "provider": "shop"}, None),
        ({"keys": [], "first": [f"{WWW}/docs/"], "kind": "prefix"}, About.SURELY),
        ({"keys": [], "first": [f"{WWW}/img/"], "kind": "prefix"}, None),
        ({"keys": [], "first": ["/docs/*"], "kind": "prefix", "provider": "site"}, About.SURELY),
        ({"keys": [], "first": ["www.acme.com"], "kind": "host"}, About.SURELY),
        ({"keys": [], "first": ["img.acme.com"], "kind": "host"}, None),
    ],
)
def test_which_lines_are_about_it(members: dict[str, Any], sure: About | None) -> None:
    assert about(**members) is sure


@pytest.mark.parametrize(
    ("line", "sure"),
    [
        ({"event": "unmatched", "first": ["s3://acme-site/docs/a.html"], "changes": 1}, About.SURELY),
        ({"event": "unmatched", "first": ["s3://acme-site/docs/b.html"], "changes": 1}, None),
        ({"event": "incomplete", "first": ["s3://acme-site/docs/a.html"], "state": "requeued"}, About.SURELY),
        ({"event": "left-out", "provider": "www", "records": 80}, About.PERHAPS),
        ({"event": "left-out", "provider": "shop", "records": 80}, None),
        ({"event": "left-out", "records": 80}, About.PERHAPS),
        ({"event": "invocation", "messages": 3}, None),
    ],
)
def test_which_other_lines_are_about_it(line: dict[str, Any], sure: About | None) -> None:
    assert SUBJECT.about(read(json.dumps(line))) is sure


def test_from_the_upload_to_the_end() -> None:
    who = {"principal": "AWS:AROA:deploy", "source_ip": "203.0.113.7"}
    site = {"provider": "site", "first": ["/docs/a.html"]}
    late: dict[str, Any] = {"event": "retry", "state": "requeued", "delay": 31, "reason": "503 Busy"}
    made = told(
        record(40, attempt=2, age_seconds=38.0, **who),
        record(3, **who, **late, age_seconds=1.0),
        record(4, **who, **site, id="I2J0", age_seconds=2.0),
    )
    assert [line for line, _ in history.lines(made)] == [
        "2026-10-02 07:15:02Z  changed   by AWS:AROA:deploy from 203.0.113.7; multicdn.config.yml:7 applied",
        "2026-10-02 07:15:03Z  requeued  www: purge of 1 url retry, requeued for 31 s: 503 Busy "
        f"({WWW}/docs/a.html; calls 1), 1.0 s after it was asked for",
        "2026-10-02 07:15:04Z  accepted  site: purge of 1 url accepted (/docs/a.html; calls 1; id I2J0), 2.0 s after "
        "it was asked for",
        f"2026-10-02 07:15:40Z  accepted  www: purge of 1 url accepted ({WWW}/docs/a.html; calls 1; attempt 2), 38 s "
        "after it was asked for",
        "site: purge accepted at 2026-10-02 07:15:04Z, 2.0 s after it was asked for",
        "www: purge accepted at 2026-10-02 07:15:40Z, 38 s after it was asked for",
    ]


def test_all_three_states_are_told_with_their_times() -> None:
    made = told(
        record(12, event="fresh", state="fresh", age_seconds=11.0, seen='ETag "x"'),
        record(3, age_seconds=2.0),
        record(8, event="finished", state="finished", basis="asked", age_seconds=7.0),
    )
    assert [(step.what, step.at) for step in made.steps][1:] == [
        ("accepted", 1790925303.0), ("finished", 1790925308.0), ("fresh", 1790925312.0),
    ]  # fmt: skip
    assert [line for line, _ in history.lines(made)][3:] == [
        f'2026-10-02 07:15:12Z  fresh     www: purge of 1 url fresh ({WWW}/docs/a.html; calls 1; seen ETag "x"), 11 s '
        "after it was asked for",
        "www: purge fresh at 2026-10-02 07:15:12Z, 11 s after it was asked for",
    ]


def test_a_purge_that_is_seen_in_part_stands_where_its_stale_part_does() -> None:
    page, folder = ({"first": [f"{WWW}/docs/{name}"], "age_seconds": 9.0} for name in ("a.html", ""))
    stale = {"event": "stale", "state": "purged", "purges": 2, "reason": "old bytes"}
    made = told(record(3, **page), record(4, **folder), record(9, **page, **stale), record(10, **folder, state="fresh"))
    assert [entry.state for entry in made.last] == ["purged"]
    made = told(record(9, **page, **stale), record(12, **page, event="superseded", state="superseded"))
    assert [entry.state for entry in made.last] == ["superseded"]
    again = {"event": "superseded", "state": "superseded"}
    made = told(record(9, **page, **again), record(12, **folder, event="fresh", state="fresh"))
    assert [entry.state for entry in made.last] == ["fresh"], "a newer change answers for the other"


def test_by_hand_says_who_and_why() -> None:
    made = told(record(9, keys=[], by="arn:aws:iam::1:user/ann", why="wrong prices", kind="everything", routes=[]))
    first, *_ = history.lines(made)
    assert first[0] == "2026-10-02 07:15:07Z  by hand   by arn:aws:iam::1:user/ann; because: wrong prices"


def test_a_job_that_stands_for_a_request_and_an_upload_names_both() -> None:
    made = told(record(9, by="ann@laptop", why="wrong prices", principal="AWS:deploy", source_ip="203.0.113.7"))
    said = "by ann@laptop; because: wrong prices; also changed by AWS:deploy from 203.0.113.7; "
    assert made.steps[0].text.startswith(said)


def test_an_upload_is_one_change_however_many_vendors_and_tries() -> None:
    again = record(300, messages=["m2"], age_seconds=1.0)
    made = told(record(3), record(3.4, provider="site", age_seconds=2.4), record(60, age_seconds=59.0), again)
    assert [step.what for step in made.steps].count("changed") == 2
    nameless = [
        record(3 + late, provider=name, messages=[], age_seconds=2 + late) for name, late in (("www", 0), ("site", 0.9))
    ]
    assert [step.what for step in told(*nameless).steps].count("changed") == 1


@pytest.mark.parametrize(
    ("members", "end"),
    [
        ({"event": "refused", "state": "dead", "reason": "401"}, "purge given up at .*: 401; `multicdn dlq list`"),
        ({"event": "retry", "state": "requeued", "reason": "503"}, "purge waits in the queue since .*: 503$"),
        (
            {"event": "retry", "state": "returned", "reason": "503"},
            "purge went back to AWS at .*Z, which brings it again: 503$",
        ),
        ({"event": "stale", "state": "stale"}, "purge stale since"),
        ({"event": "finished", "state": "finished", "basis": "asked"}, "purge finished at .*s the vendor says"),
        ({"event": "finished", "state": "finished", "basis": "published"}, ".*by the vendor's published time"),
        ({"event": "fresh", "state": "fresh", "reason": "ETag as in S3"}, "purge fresh at .*Z, 2.0 s after"),
        (
            {"event": "unknown", "state": "unknown", "reason": "login"},
            "purge finished, and whether .* unknown since .*: login",
        ),
        ({"event": "superseded", "state": "superseded", "reason": "again"}, "purge superseded since .*: again"),
        ({"event": "stale", "state": "purged", "reason": "old"}, "purge made again for a stale edge since .*: old"),
    ],
)
def test_what_became_of_it(members: dict[str, Any], end: str) -> None:
    *_, (line, _) = history.lines(told(record(0), record(60, **members)))
    assert re.match(f"www: {end}", line), line


INDEX, PAGE_A = [f"{WWW}/docs/"], [f"{WWW}/docs/a.html"]
WAITS: dict[str, Any] = {"event": "retry", "state": "requeued", "reason": "503"}


@pytest.mark.parametrize(
    ("records", "state"),
    [
        # One of two targets waits, and the newest line is about the other.
        ([record(1, first=INDEX, **WAITS), record(2, first=PAGE_A)], "requeued"),
        ([record(1, first=PAGE_A), record(2, first=INDEX, **WAITS), record(9, first=INDEX)], "accepted"),
        ([record(1, first=[*INDEX, *PAGE_A], targets=2, **WAITS), record(2, first=INDEX)], "requeued"),
        # A line that doesn't name all, or is about more, is about all that there are.
        ([record(1, first=INDEX, **WAITS), record(2, first=PAGE_A, targets=9)], "accepted"),
        ([record(1, first=INDEX, **WAITS), record(2, first=[f"{WWW}/docs/"], kind="prefix")], "accepted"),
        # What was merged with it doesn't count.
        ([record(1, first=PAGE_A), record(2, first=[f"{WWW}/img/x"], objects=2, **WAITS)], "accepted"),
        ([record(2, first=[f"{WWW}/img/x"], objects=2, **WAITS)], "requeued"),
    ],
)
def test_where_a_part_waits_another_that_is_done_does_not_hide_it(records: list[dict[str, Any]], state: str) -> None:
    [last] = told(*records).last
    assert last.state == state


def test_what_nobody_can_tell_is_told_as_such_and_does_not_count() -> None:
    large = record(5, **{**OTHER, "objects": 10_000, "state": "dead", "event": "rejected"})
    made = told(record(0), large)
    (line,) = [line for line, _ in history.lines(made) if "?" in line]
    assert line.endswith("one of 10,000: which, the log doesn't say")
    assert [history.ended(entry) for entry in made.last] == [
        "purge accepted at 2026-10-02 07:15:00Z, 2.0 s after it was asked for"
    ]


def test_a_message_that_asked_for_it_alone_tells() -> None:
    many = {"objects": 10_000, "targets": 10_000}
    large = record(5, **{**OTHER, **many, "messages": ["m0", "m1"], "state": "dead", "event": "rejected"})
    made = told(record(0, event="retry", state="requeued"), large)
    assert all(step.sure for step in made.steps)
    assert made.last[0].state == "dead"
    # One that asked for others as well doesn't.
    assert not all(step.sure for step in told(record(0, objects=2, keys=["docs/a.html", "b"]), large).steps)


def test_of_many_that_may_be_it_the_newest_are_shown() -> None:
    many = [record(number, **{**OTHER, "objects": 10_000}) for number in range(50)]
    lines = [line for line, _ in history.lines(told(*many))]
    assert len(lines) == 12
    assert lines[-1] == "where it stands isn't known: no line of the log names it for certain"
    assert lines[-2] == "and 40 older jobs that may be about it, of which the log doesn't name all objects"
    assert "07:15:49Z" in lines[-3]


def test_a_log_of_any_length_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MOST", 3)
    made = told(*(record(number, messages=[f"m{number}"]) for number in range(9)))
    assert len([step for step in made.steps if step.what == "accepted"]) == 3
    assert not made.complete
    assert any(line.startswith("only the newest 3 lines") for line, _ in history.lines(made))


def test_an_object_alone_is_known_without_routes() -> None:
    subject = AskedAbout(SUBJECT.objects, {})
    made = told(record(0), record(1, **OTHER), record(2, **{**OTHER, "objects": 7}), subject=subject)
    assert [step.sure for step in made.steps] == [True, True, False]


def test_the_records_of_these_tests_are_made_of_the_words_of_the_log() -> None:
    for each in sample():
        event = vocabulary.EVENTS[each["event"]]
        assert each.keys() - {"timestamp", "level", "event"} <= {*event.always, *event.sometimes}
        assert each["state"] in vocabulary.STATES


# The query


def test_the_query_asks_for_fields_and_words_of_the_log() -> None:
    query = AskedAbout(frozenset((("acme-site", 'a "b\\c\n.html'),)), {}).query()
    text = re.sub(r'"(\\.|[^"\\])*"', "", query)
    fields = set(re.findall(r"(?<![@\w])([a-z_]+)(?:\.\d)? (?:in|=|>)|ispresent\(`(\w+)`\)", text))
    assert {one or other for one, other in fields} == {"keys", "first", "objects", "bucket", "kind", "event", "by"}
    assert {one or other for one, other in fields} <= vocabulary.FIELDS.keys()
    assert r'keys.4 in ["a \"b\\c\n.html", "s3://acme-site/a \"b\\c\n.html"]' in query
    assert re.search('event = "left-out"', query)
    assert "left-out" in vocabulary.EVENTS
    assert set(re.search(r"kind in \[([^]]*)\]", query)[1].replace('"', "").split(", ")) < set(  # type: ignore[index]
        vocabulary.FIELDS["kind"].words
    )


def test_the_longest_key_fits_into_a_query() -> None:
    """API_StartQuery: 10,000 characters."""
    query = AskedAbout(frozenset((("b" * 63, "k" * 1024),)), {}).query()
    assert len(query) < 10_000
    assert f'filter bucket in ["{"b" * 63}"] or kind' in query


def test_without_an_object_targets_are_searched_for() -> None:
    query = AskedAbout(frozenset(), SUBJECT.targets).query()
    assert "keys" not in query
    assert f'first.0 in ["/docs/", "/docs/a.html", "docs", "{WWW}/docs/", "{WWW}/docs/a.html"]' in query


def test_too_many_targets_are_left_out_of_the_query() -> None:
    many = {"www": {"url": frozenset(f"{WWW}/{'x' * 100}/{number}" for number in range(30))}}
    query = AskedAbout(SUBJECT.objects, many).query()
    assert len(query) < 10_000
    assert 'first.4 in ["s3://acme-site/docs/a.html"]' in query
