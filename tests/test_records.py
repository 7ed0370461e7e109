"""Records of the log: what became of each job, who and what was behind it, in as many lines as a person reads."""

from __future__ import annotations

import itertools
import json
import logging
from typing import TYPE_CHECKING, Any

from multicdn import records, reporting, vocabulary
from multicdn.events.intake import Intake, Unreadable
from multicdn.model import Action, Change, Job, Outcome, Receipt, Report, Status, TargetKind
from multicdn.provenance import MOST, Provenance, joined
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.records import Fates, ended
from multicdn.routing.demand import RoutingFailure

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pytest

    from multicdn.queue.retry import Decision

NOW = 1_764_000_000.0
UPLOADED = "2025-11-24T15:59:50.000Z"  # ten seconds before

NO_HISTORY = MessageHistory({}, {}, {})


def behind(key: str = "a.css", **members: Any) -> Provenance:
    known = {"bucket": "acme-site", "keys": (key,), "objects": 1, "routes": ("c.yml:9",), "uploaded": UPLOADED}
    return Provenance(**{**known, **members})


def job(*targets: str, provenance: Sequence[Provenance] = (), provider: str = "www", cause: str = "m1") -> Job:
    causes = (frozenset((cause,)),) * len(targets)
    found = tuple(provenance) or tuple(behind(target) for target in targets)
    return Job(provider, Action.PURGE, TargetKind.URL, targets, causes, provenance=found)


def accepted(*targets: str, receipt: str = "", **members: Any) -> Outcome:
    return Outcome(job(*targets, **members), Status.ACCEPTED, receipt=Receipt(receipt), calls=1, seconds=0.25)


def failed(reason: str, *targets: str, status: Status = Status.RETRY, final: bool = False, **members: Any) -> Outcome:
    return Outcome(job(*targets, **members), status, reason, calls=2, seconds=1.5, final=final, throttled=1)


def lines(
    *outcomes: Outcome,
    history: MessageHistory = NO_HISTORY,
    queued: bool = True,
    unsent: Collection[int] = (),
    policy: RetryPolicy | None = None,
) -> list[dict[str, Any]]:
    """What is written about outcomes, with its level."""
    report = Report(outcomes)
    decisions: list[Decision] = decide(report, history, policy or RetryPolicy(), NOW, lambda _: 0) if queued else []
    fates = Fates(decisions, [decisions[place] for place in unsent], Report() if queued else report)
    found = records.records(ended(report, fates, history, NOW))
    return [{"level": logging.getLevelName(each.level), "event": each.event, **each.fields} for each in found]


def test_an_accepted_job_tells_objects_route_message_principal_and_age() -> None:
    [line] = lines(
        accepted("/a.css", "/a/", provenance=[behind(principal="AWS:AIDA", source_ip="203.0.113.7")] * 2, receipt="I7")
    )
    assert line == {
        "level": "INFO", "event": "accepted", "provider": "www", "action": "purge", "kind": "url", "soft": False,
        "state": "accepted", "targets": 2, "first": ["/a.css", "/a/"], "bucket": "acme-site", "keys": ["a.css"],
        "objects": 1, "routes": ["c.yml:9"], "messages": ["m1"], "principal": "AWS:AIDA", "source_ip": "203.0.113.7",
        "id": "I7", "calls": 1, "attempt": 1, "ms": 250, "age_seconds": 10.0,
    }  # fmt: skip


def test_what_is_requeued_tells_when_it_is_tried_again_and_the_first_messages() -> None:
    history = MessageHistory({"m1": NOW - 99}, {"m1": 3}, {"m1": ("first", "second")})
    [line] = lines(failed("503: Guru", "/a", provenance=[behind(uploaded="")]), history=history)
    expected = {
        "level": "WARNING", "event": "retry", "state": "requeued", "attempt": 4, "delay": 120, "reason": "503: Guru",
        "messages": ["first", "second"], "age_seconds": 99.0, "calls": 2, "throttled": 1, "ms": 1500,
    }  # fmt: skip
    assert {name: line.get(name) for name in expected} == expected


def test_without_a_known_upload_the_age_is_that_of_the_oldest_message() -> None:
    outcomes = [
        failed("503: Guru", "/a", cause=cause, provenance=[behind(uploaded="")]) for cause in ("m1", "m2", "m3")
    ]
    [line] = lines(*outcomes, history=MessageHistory({"m1": NOW - 5, "m2": NOW - 99, "m3": NOW - 50}, {}, {}))
    assert line["age_seconds"] == 99


def test_what_was_given_up_is_an_error_and_has_no_delay() -> None:
    [line] = lines(failed("400: bad", "/a", status=Status.REJECTED))
    assert (line["level"], line["event"], line["state"], "delay" in line) == ("ERROR", "rejected", "dead", False)


def test_what_could_not_be_sent_goes_back_to_aws() -> None:
    [line] = lines(failed("503", "/a"), unsent=[0])
    assert (line["state"], "delay" in line) == ("returned", False)
    [line] = lines(failed("503", "/a"), queued=False)
    assert line["state"] == "returned"


def test_a_preload_without_a_queue_to_wait_in_is_dropped() -> None:
    """It isn't in what goes back to AWS, either."""
    outcome = failed("its turn comes later", "/a", status=Status.PACED)
    [group] = ended(Report((outcome,)), Fates((), (), Report()), NO_HISTORY, NOW)
    assert (group.record().fields["state"], group.level) == ("dropped", logging.INFO)


def test_a_job_of_which_parts_end_differently_is_a_record_each_with_its_own_keys() -> None:
    """The old target is given up and the new one waits: the calls are counted once."""
    sent = {"old": NOW - 7 * 3600, "new": NOW}
    causes = (frozenset(("old",)), frozenset(("new",)))
    both = Job("www", Action.PURGE, TargetKind.URL, ("/1", "/2"), causes, provenance=(behind("1"), behind("2")))
    history = MessageHistory(sent, {"old": 9}, {})
    found = lines(Outcome(both, Status.RETRY, "503", calls=3), history=history)
    assert [(line["state"], line["keys"], line["first"], line["calls"]) for line in found] == [
        ("dead", ["1"], ["/1"], 3),
        ("requeued", ["2"], ["/2"], 0),
    ]


def test_everything_is_named_for_people() -> None:
    everything = Job("www", Action.PURGE, TargetKind.EVERYTHING, ("",), (frozenset(("m",)),))
    [line] = lines(Outcome(everything, Status.ACCEPTED, calls=1))
    assert (line["first"], "keys" in line, "objects" in line) == (["(everything)"], False, False)


# As many as a person reads


def test_ten_thousand_keys_at_three_vendors_are_three_records() -> None:
    keys = [f"k{number}" for number in range(10_000)]
    batches = [keys[place : place + 250] for place in range(0, 10_000, 250)]
    outcomes = [accepted(*batch, provider="a", receipt=f"I{place}") for place, batch in enumerate(batches)]
    outcomes += [accepted(key, provider="b") for key in keys]
    # A vendor that takes one a call, and repeats the URL in its answers.
    outcomes += [failed(f"https://b/{key}: 503", key, provider="c") for key in keys]
    a, b, c = lines(*outcomes)
    assert [(line["targets"], line["objects"], line["calls"]) for line in (a, b, c)] == [
        (10_000, 10_000, 40), (10_000, 10_000, 10_000), (10_000, 10_000, 20_000),
    ]  # fmt: skip
    assert a["keys"] == a["first"] == keys[:5]
    assert (a["id"], a["ids"]) == ("I0", ["I0", "I1", "I2", "I3", "I4"])
    assert max(len(json.dumps(line)) for line in (a, b, c)) < 2000


def test_thousands_of_reasons_are_some_lines_and_how_many_were_left_out() -> None:
    outcomes = [failed(f"error {number} of the day", f"/{number}", f"/{number}/") for number in range(3000)]
    found = lines(*outcomes, accepted("/x", provider="well"))
    *shown, rest, other = found
    assert len(shown) == 20
    assert rest == {"level": "WARNING", "event": "left-out", "provider": "www", "records": 2980, "targets": 5960}
    assert other["provider"] == "well", "a vendor in trouble takes no other's place"


def test_the_worst_is_shown_first_where_not_all_is() -> None:
    outcomes = [failed(f"error {number}", f"/{number}", f"/{number}/") for number in range(99)]
    found = lines(*outcomes, failed("400", "/bad", status=Status.REJECTED))
    assert found[0]["state"] == "dead"


def test_long_targets_and_keys_are_cut() -> None:
    [line] = lines(accepted("https://a/" + "x" * 5000, provenance=[behind("k" * 5000)]))
    assert max(map(len, (*line["first"], *line["keys"]))) <= 1025


# Who


def test_what_different_people_asked_for_is_never_one_record() -> None:
    people = [behind("1"), behind("2", by="ann@host", why="ticket 7"), behind("3", principal="AWS:BOT")]
    found = lines(accepted("/1", "/2", "/3", "/4", provenance=[*people, behind("4", principal="AWS:BOT")]))
    assert [(line["keys"], line.get("by"), line.get("why"), line.get("principal")) for line in found] == [
        (["3", "4"], None, None, "AWS:BOT"),
        (["1"], None, None, None),
        (["2"], "ann@host", "ticket 7", None),
    ]
    assert sum(line["calls"] for line in found) == 1


def test_an_address_is_told_where_all_came_from_it() -> None:
    same = [behind(str(number), source_ip="10.0.0.1") for number in range(2)]
    assert lines(accepted("/0", "/1", provenance=same))[0]["source_ip"] == "10.0.0.1"
    other = behind("2", source_ip="10.0.0.2")
    assert "source_ip" not in lines(accepted("/0", "/1", "/2", provenance=[*same, other]))[0]


# All of an invocation, and what is no job


def test_an_invocation_counts_targets_by_state_and_calls_of_each_instance(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "multicdn")
    report = Report((accepted("/1", "/2", provider="site/E1"), accepted("/3", provider="site/E2"), failed("x", "/4")))
    found = ended(report, Fates((), (), report), NO_HISTORY, NOW)
    reporting.log_invocation(Intake(messages=("m1", "m2")), found, 7, 1.25)
    [line] = [json.loads(record.message) for record in caplog.records]
    assert line == {
        "event": "invocation", "messages": 2, "changes": 0, "jobs": 0, "unmatched": 7, "unreadable": 0, "ms": 1250,
        "providers": {"site": {"accepted": 3, "calls": 2}, "www": {"returned": 1, "calls": 2, "throttled": 1}},
    }  # fmt: skip


def test_what_cannot_be_read_is_a_line_for_each_reason_and_no_more_than_twenty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reporting.log_unreadable([Unreadable(f"m{number}", f"reason {number % 99}") for number in range(198)])
    found = [json.loads(record.message) for record in caplog.records]
    assert found[0] == {"event": "unreadable", "parts": 2, "messages": ["m0", "m99"], "reason": "reason 0"}
    assert (len(found), found[-1]) == (21, {"event": "left-out", "of": "unreadable", "records": 79})
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_changes_that_go_back_incomplete_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    failures = [RoutingFailure(Change("b", f"k{number}", cause="m"), "S3 is out") for number in range(1000)]
    reporting.log_incomplete((), (), failures)
    [line] = [json.loads(record.message) for record in caplog.records]
    assert (line["state"], line["changes"], line["messages"]) == ("returned", 1000, ["m"])
    assert line["first"] == [f"s3://b/k{number}" for number in range(5)]


def test_states_are_those_of_the_vocabulary() -> None:
    states = (records.ACCEPTED, records.REQUEUED, records.DEAD, records.RETURNED, records.DROPPED)
    assert states == vocabulary.STATES[: len(states)]
    of_calls = itertools.takewhile(lambda name: name != "finished", vocabulary.EVENTS)
    assert {str(status) for status in Status} == {*of_calls, "stale"}


def test_what_stands_behind_the_same_objects_is_joined_once_for_all_vendors(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(records, "joined", lambda found: asked.append(len(found)) or joined(found))
    found = [behind("a.css"), behind("b.css", uploaded="2025-11-24T15:59:40.000Z")]
    outcomes = [accepted("/a.css", "/b.css", provenance=found, provider=name) for name in ("www", "img", "api")]
    assert [line["keys"] for line in lines(*outcomes)] == [["a.css", "b.css"]] * 3
    assert [line["age_seconds"] for line in lines(*outcomes)] == [20.0] * 3
    assert asked == [2, 2]


def test_others_with_as_many_objects_have_what_stands_behind_them() -> None:
    outcomes = [accepted(f"/{key}", provenance=[behind(key)], provider=key) for key in ("a", "b")]
    assert [line["keys"] for line in lines(*outcomes)] == [["a"], ["b"]]


def test_of_what_was_accepted_no_target_is_looked_up() -> None:
    report = Report((accepted(*map(str, range(9))), failed("503", "/x")))
    assert vars(Fates([], [], report))["_returned"] == {("www", Action.PURGE, TargetKind.URL, False, "", "/x")}


def test_messages_are_named_in_order_and_no_more_of_them_than_a_line_holds() -> None:
    many = [accepted(f"/{place}", cause=f"m{place:03}") for place in reversed(range(99))]
    [line] = lines(*many)
    assert line["messages"] == [f"m{place:03}" for place in range(MOST)]
    shared = MessageHistory({}, {}, {f"m{place:03}": ("first",) for place in range(90)})
    [line] = lines(*many, history=shared)
    assert line["messages"] == ["first", *(f"m{place:03}" for place in range(90, 90 + MOST - 1))]
