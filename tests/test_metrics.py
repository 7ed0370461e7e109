"""What an invocation is measured by, and the lines that CloudWatch reads."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
import pytest
from kit.cloudwatch import CloudWatch
from kit.scripted_provider import Scripted

from multicdn import metrics
from multicdn.metrics import Ending, Measured, event_times, measure
from multicdn.model import Action, Change, Job, Outcome, Report, Status, TargetKind
from multicdn.provider import Price
from multicdn.queue.message import QueuedJob
from multicdn.queue.retry import DeadLetter, Requeue
from multicdn.sequel import Sequel
from multicdn.vocabulary import METRICS

NOW = 1_800_000_000.0


class Paid(Scripted):
    """A vendor with a price."""

    price = Price(dollars=0.005, free=1000, page="")


PROVIDERS = {"well": Scripted(), "sick": Scripted(), "paid": Paid(), "paid-too": Paid()}


def job(provider: str, *targets: str, action: Action = Action.PURGE, cause: str = "m") -> Job:
    return Job(provider, action, TargetKind.URL, targets or ("u",), (frozenset((cause,)),) * len(targets or "u"))


def ended(job: Job, status: Status = Status.ACCEPTED, **more: Any) -> Outcome:
    return Outcome(job, status, **more)


def requeued(job: Job, delay: int, status: Status = Status.RETRY) -> Requeue:
    return Requeue(QueuedJob(job, 1, NOW), status, "", delay)


def measured(*outcomes: Outcome, **more: Any) -> Measured:
    return measure(Ending(report=Report(outcomes), now=NOW, **more), PROVIDERS)


def test_what_became_of_targets_is_counted_for_each_provider() -> None:
    waits, lost = job("sick/part", "a", "b", "c"), job("sick", "d")
    found = measured(
        ended(job("well", "a", "b"), calls=1),
        ended(waits, Status.RETRY, calls=3, throttled=2),
        ended(lost, Status.REJECTED, calls=1),
        decisions=[requeued(waits, 60), DeadLetter(QueuedJob(lost, 1, NOW), Status.REJECTED, "")],
        open_breakers={"sick"},
    )
    assert found.providers == {
        "well": {"Calls": 1, "Accepted": 2, "BreakerOpen": 0, "OldestUndeliveredSeconds": 0},
        "sick": {
            "Calls": 4, "Throttled": 2, "Refused": 1, "Requeued": 3, "Dead": 1,
            "BreakerOpen": 1, "OldestUndeliveredSeconds": 60,
        },
    }  # fmt: skip
    assert found.vendors == found.function == {}


@pytest.mark.parametrize("status", [Status.REJECTED, Status.REFUSED, Status.UNAUTHORIZED, Status.UNASKED])
def test_each_kind_of_refusal_is_one(status: Status) -> None:
    assert measured(ended(job("sick"), status)).providers["sick"]["Refused"] == 1


def test_a_name_that_no_config_has_makes_no_metric() -> None:
    assert measured(ended(job("made-up-by-a-message"), Status.REFUSED)).providers == {}


# How late it is


def test_the_oldest_that_was_not_done_counts_and_the_wait_for_its_next_try() -> None:
    old, young = job("sick", cause="old"), job("sick", cause="young")
    times = {"old": [NOW - 100], "young": [NOW - 5, NOW - 3]}
    outcomes = ended(old, Status.RETRY), ended(young, Status.RETRY)
    both = [requeued(old, 30), requeued(young, 900)]
    assert measured(*outcomes, decisions=both, times=times).providers["sick"]["OldestUndeliveredSeconds"] == 905
    both = [requeued(old, 30), requeued(young, 60)]
    assert measured(*outcomes, decisions=both, times=times).providers["sick"]["OldestUndeliveredSeconds"] == 130


def test_what_only_waits_for_its_turn_is_not_late() -> None:
    turn = job("sick", cause="old")
    found = measured(
        ended(turn, Status.PACED), decisions=[requeued(turn, 900, Status.PACED)], times={"old": [NOW - 9000]}
    )
    assert found.providers["sick"]["OldestUndeliveredSeconds"] == 0
    assert found.providers["sick"]["Requeued"] == 1


def test_what_goes_back_to_aws_is_late_as_well() -> None:
    back = ended(job("sick"), Status.RETRY)
    found = measured(back, returned=Report((back, ended(job("well")))), times={"m": [NOW - 400]})
    assert found.providers["sick"]["OldestUndeliveredSeconds"] == 400


def test_changes_that_were_not_routed_whole_are_late_without_a_provider() -> None:
    found = measured(incomplete={"a": 60.0, "b": 0.0, "unknown": 5.0}, times={"a": [NOW - 10], "b": [NOW - 100]})
    assert found.function == {"OldestIncompleteSeconds": 100}


def test_events_happened_when_they_say_and_else_when_sqs_says() -> None:
    changes = [
        Change("b", "k", time="2027-01-15T07:59:50.5Z", cause="one"),
        Change("b", "k", time="2027-01-15T07:59:55", cause="one"),
        Change("b", "k", time="1970-01-01T00:00:00Z", cause="ancient"),
        Change("b", "k", time="2100-01-01T00:00:00Z", cause="ahead"),
        Change("b", "k", time="yesterday", cause="odd"),
        Change("b", "k", cause="silent"),
    ]
    sent = {"one": NOW - 1, "ancient": NOW - 2, "odd": NOW - 3, "clock-of-sqs": NOW + 0.5, "made-up": -1e308}
    assert event_times(changes, sent, NOW) == {
        "one": [NOW - 9.5, NOW - 5],
        "ancient": [NOW - 2],
        "ahead": [NOW],
        "odd": [NOW - 3],
        "clock-of-sqs": [NOW],
        "made-up": [NOW - 14 * 86_400],
    }


# What is looked at


def test_what_was_looked_at_counts_for_its_provider_and_is_no_sign_of_trouble() -> None:
    given_up = {"Dead": 1.0, "Stale": 2.0}
    seconds = {"UploadToFreshSeconds": [4.0, 2.5]}
    found = measured(
        ended(job("sick"), Status.REJECTED),
        decisions=[DeadLetter(QueuedJob(job("sick"), 1, NOW), Status.REJECTED, "")],
        followed={"sick": given_up, "well": {"Fresh": 2.0, **seconds}, "unknown-name": given_up},
        times={"m": [NOW - 9]},
    )
    assert found.providers["sick"].items() >= {"Dead": 2, "Stale": 2, "OldestUndeliveredSeconds": 9}.items()
    assert found.providers["well"] == {
        "Fresh": 2, "UploadToFreshSeconds": [2.5, 4.0], "BreakerOpen": 0, "OldestUndeliveredSeconds": 0,
    }  # fmt: skip
    assert "unknown-name" not in found.providers


# From upload to accepted


def test_an_upload_is_accepted_when_its_last_purge_is() -> None:
    found = measured(
        ended(job("well", "a"), ended=1.0),
        ended(job("well", "b"), ended=3.0),
        ended(job("well", "c", action=Action.PRELOAD), ended=9.0),
        ended(job("well", "d", cause="half"), ended=1.0),
        ended(job("well", "e", cause="half"), Status.RETRY),
        ended(job("sick", "a"), ended=20.0),
        began=NOW - 30,
        times={"m": [NOW - 32, NOW - 31], "half": [NOW - 31]},
    )
    assert found.providers["well"]["UploadToAcceptedSeconds"] == [4.0, 5.0]
    assert found.providers["sick"]["UploadToAcceptedSeconds"] == [21.0, 22.0]


@pytest.mark.parametrize("again", [Sequel(tries=1), Sequel(repeated=True)])
def test_a_purge_that_is_made_again_says_nothing_of_how_soon_the_first_was(again: Sequel) -> None:
    times = {"m": [NOW - 100], "n": [NOW - 3]}
    repeated = msgspec.structs.replace(job("well", "a"), sequels=(again,))
    assert "UploadToAcceptedSeconds" not in measured(ended(repeated), times=times, began=NOW).providers["well"]
    both = msgspec.structs.replace(
        job("well", "a", "b"), causes=(frozenset("m"), frozenset("n")), sequels=(again, Sequel())
    )
    assert measured(ended(both), times=times, began=NOW).providers["well"]["UploadToAcceptedSeconds"] == [3.0]


def test_of_thousands_of_uploads_as_many_are_told_as_a_line_may_hold() -> None:
    outcomes = [ended(job("well", cause=f"m{number}")) for number in range(5000)]
    times = {f"m{number}": [NOW - number] for number in range(5000)}
    values = measured(*outcomes, began=NOW, times=times).providers["well"]["UploadToAcceptedSeconds"]
    assert isinstance(values, list)
    assert (len(values), values[0], values[-1]) == (100, 0.0, 4999.0)
    assert abs(values[50] - 2500) < 100


# What costs


def test_targets_of_a_vendor_with_a_price_are_counted_over_all_its_instances() -> None:
    found = measured(
        ended(job("paid", "a", "b")),
        ended(job("paid-too", "c")),
        ended(job("paid", "d", action=Action.PRELOAD)),
        ended(job("paid", "e"), Status.RETRY),
        ended(job("well", "a")),
    )
    assert found.vendors == {"Paid": {"PaidPaths": 3}}


# The lines


EVERYTHING = Measured(
    {name: {each: 1.0 for each, metric in METRICS.items() if metric.of == "provider"} for name in ("well", "sick")},
    {"CloudFront": {"PaidPaths": 3.0}},
    {each: 1.0 for each, metric in METRICS.items() if not metric.of},
)


def test_all_is_written_at_once_a_line_for_each_combination_of_dimensions(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setenv(metrics.FUNCTION, "f")
    monkeypatch.setattr(sys.stdout, "write", written.append)
    metrics.write(EVERYTHING, NOW)
    [text] = written
    cloudwatch = CloudWatch()
    cloudwatch.read_log(text)
    assert len(text.splitlines()) == 4
    assert {(name, *sorted(dimensions)) for _, name, dimensions in cloudwatch.names} == {
        (name, ("FunctionName", "f"), *([(metric.of, value)] if metric.of else []))
        for name, metric in METRICS.items()
        for value in {"provider": ("well", "sick"), "vendor": ("CloudFront",)}.get(metric.of, ("",))
    }
    units = {
        each["Name"]: each["Unit"]
        for line in text.splitlines()
        for each in json.loads(line)["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }
    assert units == {name: metric.unit for name, metric in METRICS.items()}


@pytest.mark.parametrize("level", ["", "DEBUG", "INFO", "WARN", "ERROR"])
def test_no_log_level_keeps_lambda_from_the_metrics(
    level: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(metrics.FUNCTION, "f")
    monkeypatch.setenv("AWS_LAMBDA_LOG_LEVEL", level)
    metrics.write(EVERYTHING, NOW)
    cloudwatch = CloudWatch()
    cloudwatch.read_log(capsys.readouterr().out, level or "INFO")
    assert {name for _, name, _ in cloudwatch.names} == METRICS.keys()


def test_nothing_is_written_where_nothing_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(metrics.FUNCTION, "f")
    metrics.write(measured(), NOW)
    assert capsys.readouterr().out == ""
