"""A log group is read in pages and followed, each event once, within bounds; a search is waited for, or stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit import aws_answers
from kit.aws_wire import Refused
from kit.records import GROUP, NOON, event, record, rows

from multicdn.installer.account import connect
from multicdn.logbook import group, insights
from multicdn.logbook.group import LogGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kit.aws_answers import Answers


def log_group(patch: pytest.MonkeyPatch, answer: Any) -> tuple[LogGroup, Answers]:
    aws = aws_answers.installed(patch, {"FilterLogEvents": answer})
    return LogGroup(boto3.session.Session().client("logs", region_name="eu-west-1"), GROUP), aws


def paged(*pages: Iterable[dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answers with one page after another, whatever they hold; each but the last names the next."""

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        place = int(asked.get("nextToken", 0))
        more = {"nextToken": str(place + 1)} if place + 1 < len(pages) else {}
        return {"events": list(pages[place]), **more}

    return answer


class Growing:
    """A log to which events are added between two looks; it answers with those of the time that is asked for."""

    def __init__(self, *later: list[dict[str, Any]]) -> None:
        self.events: list[dict[str, Any]] = []
        self.later = list(later)
        self.starts: list[int] = []

    def __call__(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.starts.append(asked["startTime"])
        self.events += self.later.pop(0) if self.later else []
        found = [each for each in self.events if each["timestamp"] >= asked["startTime"]]
        return {"events": sorted(found, key=lambda each: each["timestamp"])}


def test_all_pages_are_read_and_an_empty_one_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = event("1", record(0)), event("2", record(1))
    log, aws = log_group(monkeypatch, paged([first], [], [last]))
    assert [entry.record["timestamp"][-7:] for entry in log.between(NOON - 3600, NOON, "{ $.a = 1 }")] == [
        "00.000Z",
        "01.000Z",
    ]
    asked = aws.calls[0].json
    assert asked == {
        "logGroupName": GROUP,
        "startTime": int((NOON - 3600) * 1000),
        "endTime": int(NOON * 1000),
        "filterPattern": "{ $.a = 1 }",
    }


def test_a_page_that_names_itself_as_the_next_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    log, aws = log_group(monkeypatch, {"events": [event("1", record(0))], "nextToken": "same"})
    assert len(list(log.between(NOON))) == 2
    assert len(aws.calls) == 2


def test_each_event_is_followed_once_also_one_that_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    late = event("late", record(0), NOON + 5)
    growing = Growing([event("1", record(1), NOON + 10)], [event("2", record(2), NOON + 20), late], [], [late])
    log, _ = log_group(monkeypatch, growing)
    pauses: list[float] = []
    monkeypatch.setattr("multicdn.logbook.group.time.sleep", pauses.append)
    found = [entry.at for entry in log.follow(NOON, patience=10)]
    assert found == [NOON + 1, NOON + 0, NOON + 2]  # each by its own time
    assert sum(pauses) == 10


def test_events_without_an_id_are_told_apart_by_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = [{**event("", record(number), NOON + number), "eventId": ""} for number in range(3)]
    log, _ = log_group(monkeypatch, {"events": nameless})
    monkeypatch.setattr("multicdn.logbook.group.time.sleep", lambda _: None)
    assert len(list(log.follow(NOON, patience=2))) == 3


def test_what_was_seen_is_forgotten_once_it_cannot_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    growing = Growing(*([event(str(n), record(0), NOON + n * 20)] for n in range(50)))
    log, _ = log_group(monkeypatch, growing)
    kept: list[int] = []
    forget = group._forget
    monkeypatch.setattr(group, "_forget", lambda seen, before: (forget(seen, before), kept.append(len(seen))))
    monkeypatch.setattr("multicdn.logbook.group.time.sleep", lambda _: None)
    assert len(list(log.follow(NOON, patience=98))) == 50
    assert max(kept) <= 3
    assert growing.starts[-1] == (NOON + 49 * 20 - 30) * 1000 - 20 * 1000


def test_no_more_ids_are_kept_than_are_bearable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group, "_MOST_SEEN", 3)
    seen = {str(number): NOON for number in range(10)}
    group._forget(seen, 0)
    assert list(seen) == ["7", "8", "9"]


def test_throttling_is_waited_for_by_the_installers_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = iter([Refused(400, "ThrottlingException")])

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        for refused in refusals:
            raise refused
        return {"events": [event("1", record(0))]}

    aws_answers.installed(monkeypatch, {"FilterLogEvents": answer})
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    told: list[str] = []
    log = LogGroup(connect("eu-west-1", (), told.append).client("logs"), GROUP)
    assert len(list(log.between(NOON))) == 1
    assert told == ["waiting, for up to 120 s: AWS wants fewer calls (FilterLogEvents: ThrottlingException)"]


# Insights


def searched(patch: pytest.MonkeyPatch, *answers: dict[str, Any]) -> tuple[Any, Answers]:
    left = iter(answers)
    canned = {"StartQuery": {"queryId": "q"}, "StopQuery": {"success": True}, "GetQueryResults": lambda _: next(left)}
    aws = aws_answers.installed(patch, canned)
    return boto3.session.Session().client("logs", region_name="eu-west-1"), aws


def test_a_search_is_waited_for_and_tells_what_was_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [record(0), record(61)]
    done = {"status": "Complete", "results": rows(made), "statistics": {"bytesScanned": 2e9}}
    client, aws = searched(monkeypatch, {"status": "Scheduled"}, {"status": "Running", "results": []}, done)
    pauses: list[float] = []
    found = insights.search(client, GROUP, "fields @message", NOON - 9.5, NOON, pauses.append)
    assert [entry.at for entry in found.entries] == [NOON, NOON + 61]
    assert (found.scanned, found.dollars, found.complete) == (2e9, 0.01, True)
    assert pauses == [0.25, 0.5]
    assert aws.calls[0].json == {
        "logGroupName": GROUP,
        "startTime": int(NOON - 9.5),
        "endTime": int(NOON),
        "queryString": "fields @message",
        "limit": 10_000,
    }


def test_what_fails_or_has_no_end_is_said_and_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    client, aws = searched(monkeypatch, {"status": "Failed", "results": []})
    with pytest.raises(insights.InsightsError, match="ended as Failed; run it again, or shorten --since"):
        insights.search(client, GROUP, "", 0, 1, lambda _: None)
    assert aws.asked[-1][0] == "StopQuery"
    client, aws = searched(monkeypatch, *({"status": "Running", "results": []} for _ in range(1000)))
    with pytest.raises(insights.InsightsError, match="no end after 300 s"):
        insights.search(client, GROUP, "", 0, 1, lambda _: None)
    assert aws.asked[-1][0] == "StopQuery"
    assert len(aws.asked) < 200


def test_ctrl_c_stops_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    client, aws = searched(monkeypatch, {"status": "Running", "results": []})
    with pytest.raises(KeyboardInterrupt):
        insights.search(client, GROUP, "", 0, 1, interrupted)
    assert aws.asked[-1][0] == "StopQuery"
