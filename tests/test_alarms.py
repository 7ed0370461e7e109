"""Who is told, and when: hours of an installed stack, with the function's own metrics and the template's own alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.cloudwatch import ALARM, OK, UNKNOWN, Alarm, CloudWatch, alarms
from kit.sample_plugins import hooked
from kit.simulated_stack import FUNCTION, HOUR, MINUTE, NAMES, SimulatedStack
from multicdn_providers.fastly import Fastly

from multicdn.installer.template.alarms import alarm_resource, free_paths
from multicdn.provider import Limits, Price

if TYPE_CHECKING:
    from kit.simulated_stack import Answer

WITHIN = 10 * MINUTE
NEVER = 1e9
SICK = "SickLateAlarm"
ACCEPTED = "UploadToAcceptedSeconds"
DAY = 24 * HOUR


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> SimulatedStack:
    return SimulatedStack(monkeypatch, lambda: capsys.readouterr().out)


def down() -> Answer:
    return 503, {}


# Nothing is wrong


@pytest.mark.parametrize("every", [0, 60, 700])
def test_nobody_is_told_of_a_healthy_hour(stack: SimulatedStack, every: float) -> None:
    stack.pass_(HOUR, every)
    assert stack.rang() == {}


def test_nobody_is_told_of_a_vendor_that_is_well_and_paced(
    stack: SimulatedStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty uploads at once, and most of an hour for them by a vendor's rate."""
    monkeypatch.setattr(Fastly, "url_limits", Limits(targets=1, calls_per_second=0.05))
    for number in range(60):
        stack.upload(f"{number}.html")
    stack.pass_(20 * MINUTE)
    assert 0 < stack.calls["sick.test"] < 40
    assert stack.waiting > 0
    stack.pass_(HOUR)
    assert (stack.calls["sick.test"], stack.waiting) == (60, 0)
    assert stack.rang() == {}


def test_nobody_is_told_of_a_moment_of_trouble(stack: SimulatedStack) -> None:
    stack.answers["sick.test"] = down
    stack.pass_(MINUTE, 30)
    del stack.answers["sick.test"]
    stack.pass_(30 * MINUTE, 60)
    assert stack.rang() == {}


# A vendor is in trouble


@pytest.mark.parametrize("answer", [(503, {}), (429, {"Retry-After": "900"}), (401, {})])
@pytest.mark.parametrize("every", [100, NEVER])
def test_a_vendor_in_trouble_is_told_within_ten_minutes_and_until_it_is_over(
    stack: SimulatedStack, every: float, answer: Answer
) -> None:
    """Be there uploads all the time, or only one."""
    stack.answers["sick.test"] = lambda: answer
    stack.pass_(30 * MINUTE, every)
    refused = answer[0] == 401
    assert stack.rang().keys() == ({SICK, "DeadLettersAlarm"} if refused else {SICK})
    assert stack.rang()[SICK] <= WITHIN
    if not refused:
        assert stack.ringing() == {SICK}
    del stack.answers["sick.test"]
    stack.pass_(HOUR, every)
    assert SICK not in stack.ringing()
    assert len(stack.alarms[SICK].rang) == 1


def test_a_vendor_in_trouble_does_not_show_in_the_figures_of_one_that_is_well(stack: SimulatedStack) -> None:
    stack.answers["sick.test"] = down
    stack.pass_(20 * MINUTE, 60)
    gathered = stack.config.install.batch_window
    assert all(gathered + stack.latency <= seconds < gathered + 10 for seconds in stack.values(ACCEPTED, "well"))
    assert len(stack.values(ACCEPTED, "well")) == 20
    assert stack.values(ACCEPTED, "sick") == []
    assert set(stack.values("OldestUndeliveredSeconds", "well")) == set(stack.values("BreakerOpen", "well")) == {0}
    assert max(stack.values("BreakerOpen", "sick")) == 1


def test_each_call_that_is_throttled_counts_once(stack: SimulatedStack) -> None:
    stack.answers["sick.test"] = lambda: (429, {"Retry-After": "900"})
    stack.pass_(20 * MINUTE, NEVER)
    assert stack.values("Throttled", "sick") == stack.values("Calls", "sick") == [1, 1]
    assert stack.values("Throttled", "well") == []


def test_what_was_given_up_is_told_until_somebody_has_looked(stack: SimulatedStack) -> None:
    stack.answers["sick.test"] = lambda: (400, {})
    stack.pass_(10 * MINUTE, NEVER)
    del stack.answers["sick.test"]
    stack.pass_(8 * HOUR, HOUR)  # long after SQS has ceased to speak of that queue
    assert len(stack.dead) == 1
    assert stack.ringing() == {"DeadLettersAlarm"}
    stack.dead.clear()
    stack.pass_(10 * MINUTE)
    assert stack.ringing() == set()


def test_the_age_that_sqs_measures_says_nothing_of_a_vendor(stack: SimulatedStack) -> None:
    """Each wait is a new message: an alarm on its age would have slept. This is why none of ours looks at it."""
    properties = {
        "Namespace": "AWS/SQS",
        "MetricName": "ApproximateAgeOfOldestMessage",
        "Dimensions": [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": 1800,
        "EvaluationPeriods": 1,
        "Period": 300,
        "Statistic": "Maximum",
        "TreatMissingData": "notBreaching",
    }
    former = stack.alarms["OldestMessageAlarm"] = Alarm(properties, NAMES)
    stack.answers["sick.test"] = down
    stack.pass_(2 * HOUR, NEVER)
    assert stack.ringing() == {SICK}
    assert former.rang == []
    watched = {name[:2] for name in set().union(*(each.watches() for each in stack.alarms.values() if each != former))}
    assert ("AWS/SQS", "ApproximateAgeOfOldestMessage") not in watched


# The function, and the queue


def test_a_function_that_crashes_each_time_is_told(stack: SimulatedStack) -> None:
    stack.crashes = True
    stack.pass_(30 * MINUTE, NEVER)
    assert stack.rang().keys() == {"ErrorsAlarm"}
    assert stack.rang()["ErrorsAlarm"] <= WITHIN
    stack.pass_(HOUR)
    assert "DeadLettersAlarm" in stack.ringing()


@pytest.mark.parametrize("every", [60, NEVER])
def test_a_queue_from_which_nobody_takes_is_told(stack: SimulatedStack, every: float) -> None:
    stack.enabled = False
    stack.pass_(20 * MINUTE, every)
    assert stack.rang().keys() == {"QueueStandsAlarm"}
    assert stack.rang()["QueueStandsAlarm"] <= 15 * MINUTE
    stack.enabled = True
    stack.pass_(30 * MINUTE, every)
    assert stack.ringing() == set()


def test_a_queue_that_grows_is_told_though_nobody_could_see_its_messages(stack: SimulatedStack) -> None:
    """Here all are in flight, for each invocation crashes; those that wait for another try are delayed."""
    stack.crashes = True
    stack.pass_(35 * MINUTE, 2)
    assert stack.rang().keys() == {"ErrorsAlarm", "QueueGrowsAlarm"}
    assert stack.rang()["QueueGrowsAlarm"] > 30 * MINUTE
    assert stack.shown < 10 < stack.waiting


def test_changes_of_which_something_can_not_be_found_out_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plugin fails on their URLs: no vendor is to blame, and none is asked."""
    stack = SimulatedStack(monkeypatch, lambda: capsys.readouterr().out, hooked("failing"))
    stack.upload("poison")
    stack.pass_(20 * MINUTE)
    assert stack.rang().keys() == {"IncompleteAlarm"}
    assert stack.rang()["IncompleteAlarm"] <= WITHIN


# What costs

PRICE = Price(dollars=0.005, free=1000, page="")


@pytest.mark.parametrize(
    ("days", "rings"),
    [
        (dict.fromkeys(range(35), 20.0), False),
        (dict.fromkeys(range(35), 27.0), True),  # 837 in 31 days
        ({1: 150.0, 8: 150.0, 15: 150.0, 22: 150.0, 29: 150.0}, False),
        ({1: 800.0}, True),
        ({1: 400.0, 30: 400.0}, True),
    ],
)
def test_nobody_uses_up_most_of_the_free_paths_of_a_month_without_being_told(
    days: dict[int, float], rings: bool
) -> None:
    cloudwatch = CloudWatch()
    body = {"Resources": {"FreeAlarm": alarm_resource(free_paths("CloudFront", PRICE), "")}}
    alarm = alarms(body, NAMES)["FreeAlarm"]
    where = {"FunctionName": FUNCTION, "vendor": "CloudFront"}
    for day in range(45):
        if day in days:
            cloudwatch.put(day * DAY, "multicdn", "PaidPaths", where, days[day])
        for hour in range(0, 24, 6):
            alarm.evaluate(cloudwatch, day * DAY + hour * HOUR + 120)
    assert bool(alarm.rang) is rings
    assert alarm.state == OK


# The arithmetic itself, by the tables of CloudWatch's documentation


@pytest.mark.parametrize(
    ("points", "missing", "ignored", "breaching", "not_breaching"),
    [
        ("0-X-X", OK, OK, OK, OK),
        ("0----", OK, OK, OK, OK),
        ("-----", UNKNOWN, "", ALARM, OK),
        ("0XX-X", ALARM, ALARM, ALARM, ALARM),
        ("----X", UNKNOWN, "", ALARM, OK),
    ],
)
def test_missing_data_count_as_aws_says(
    points: str, missing: str, ignored: str, breaching: str, not_breaching: str
) -> None:
    wanted = {"missing": missing, "ignore": ignored or OK, "breaching": breaching, "notBreaching": not_breaching}
    for treated, state in wanted.items():
        alarm = Alarm(
            {
                "Namespace": "n",
                "MetricName": "m",
                "Dimensions": [],
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 0.5,
                "EvaluationPeriods": 3,
                "Period": 60,
                "Statistic": "Maximum",
                "TreatMissingData": treated,
            },
            {},
        )
        alarm.state = OK if treated == "ignore" else UNKNOWN
        cloudwatch = CloudWatch(late=0)
        for place, point in enumerate(points):
            if point != "-":
                cloudwatch.put(60.0 * place, "n", "m", {}, float(point == "X"))
        alarm.evaluate(cloudwatch, 300)
        assert alarm.state == state, treated
