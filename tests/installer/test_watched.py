"""What the function measures, what dashboard and alarms look at, and what docs/alarms.md says are the same."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import generate
import pytest
from kit import installs
from kit.cloudwatch import OK, CloudWatch, Name, alarms, evaluated

from multicdn.config.settings import Trigger
from multicdn.installer.template.alarms import DOLLARS, QUEUE_GROWS
from multicdn.installer.template.dashboard import OF_VERIFIED
from multicdn.installer.template.stack import State, template
from multicdn.metrics import NAMESPACE, vendor_of
from multicdn.vocabulary import METRICS

OF_LOOKS = {name for _, metrics in OF_VERIFIED for name, _ in metrics}
VERIFIED = installs.ROUTES.replace("fastly]}", "fastly], verify: true}")
NAMES = {"Function": "f", "Queue": "q", "DeadLetterQueue": "d"}
PAGE = (generate.DOCS / "alarms.md").read_text(encoding="utf-8")

# Those that AWS documents: lambda/latest/dg/monitoring-metrics-types.html and sqs-available-cloudwatch-metrics.html
AWS_METRICS = {
    "AWS/Lambda": {"Duration", "Errors", "Invocations", "Throttles"},
    "AWS/SQS": {
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesVisible",
        "NumberOfMessagesReceived",
    },
}


@functools.cache
def body(install: str = "", providers: str = installs.PROVIDERS, routes: str = VERIFIED) -> dict[str, Any]:
    made = template(installs.config(install, routes, providers), State(), revision="r")
    return json.loads(json.dumps(made))  # type: ignore[no-any-return]


def widgets(made: dict[str, Any]) -> list[dict[str, Any]]:
    text, names = made["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, reference in names.items():
        [found] = reference.values()
        text = text.replace(f"${{{name}}}", NAMES[found if isinstance(found, str) else found[0]])
    text = text.replace("${AWS::Region}", "eu-west-1")
    assert "${" not in text
    return json.loads(text)["widgets"]  # type: ignore[no-any-return]


def on_dashboard(made: dict[str, Any]) -> set[Name]:
    return {
        (line[0], line[1], frozenset(zip(line[2:-1:2], line[3:-1:2], strict=True)))
        for widget in widgets(made)
        for line in widget["properties"]["metrics"]
        if isinstance(line[0], str)
    }


@functools.cache
def measured() -> set[Name]:
    """All that the function can measure with the config of ``installs``."""
    config = installs.config()
    values = {"provider": set(config.providers), "vendor": {vendor_of(config.providers["site"])}, "": {""}}
    return {
        (NAMESPACE, name, frozenset([("FunctionName", "f"), *([(metric.of, value)] if metric.of else [])]))
        for name, metric in METRICS.items()
        for value in values[metric.of]
    }


@pytest.mark.parametrize("trigger", Trigger)
def test_dashboard_and_alarms_look_at_what_the_function_measures_and_at_all_of_it(trigger: Trigger) -> None:
    followed = trigger is not Trigger.DIRECT  # without a queue nothing can be looked at later
    made = body(f"trigger: {trigger}", routes=VERIFIED if followed else installs.ROUTES)
    watched = set().union(*(alarm.watches() for alarm in alarms(made, NAMES).values()))
    shown = on_dashboard(made)
    for namespace, name, dimensions in watched | shown:
        if namespace == NAMESPACE:
            assert (namespace, name, dimensions) in measured()
        else:
            assert name in AWS_METRICS[namespace]
    assert {name for name in shown if name[0] == NAMESPACE} == {
        each for each in measured() if followed or each[1] not in OF_LOOKS
    }
    assert "ApproximateAgeOfOldestMessage" not in json.dumps(made)


def test_only_what_is_looked_at_has_alarms_and_graphs_of_that() -> None:
    plain, both = body(routes=installs.ROUTES), body()
    half = body(
        routes=installs.ROUTES + '  - {bucket: b, urls: ["https://b.com/{key}"], purge: [fastly], verify: true}\n'
    )
    for made, looked_at in ((plain, set()), (half, {"fastly"}), (both, {"site", "fastly"})):
        found = {dict(dimensions)["provider"] for _, name, dimensions in on_dashboard(made) if name in OF_LOOKS}
        assert found == looked_at
        ringing = {name: alarm.watches() for name, alarm in alarms(made, NAMES).items() if "Stale" in name}
        assert {dict(each)["provider"] for watched in ringing.values() for _, _, each in watched} == looked_at
    assert "FastlyStaleAlarm" in alarms(half, NAMES)
    assert len(widgets(both)) - len(widgets(plain)) == len(OF_VERIFIED)
    [several] = [each["properties"] for each in widgets(both) if each["properties"]["title"].startswith("Stale:")]
    assert [line[-1]["label"] for line in several["metrics"]][:2] == ["site: Stale", "site: PurgedAgain"]


def test_an_edge_that_is_given_up_rings_once_within_minutes_and_is_over_after_a_while() -> None:
    cloudwatch, alarm = CloudWatch(), alarms(body(), NAMES)["FastlyStaleAlarm"]
    dimensions = {"FunctionName": "f", "provider": "fastly"}
    for minute in range(120):
        if minute in (30, 35):
            cloudwatch.put(minute * 60.0, NAMESPACE, "Stale", dimensions, 2.0)
        cloudwatch.put(minute * 60.0, NAMESPACE, "Stale", {**dimensions, "provider": "site"}, 0.0)
        alarm.evaluate(cloudwatch, minute * 60.0)
    [rang] = alarm.rang
    assert 30 * 60 <= rang <= 33 * 60
    assert alarm.state == OK
    assert 50 * 60 <= alarm.changes[-1][0] <= 65 * 60


def test_what_waits_counts_delayed_messages_and_those_in_flight() -> None:
    made = body()
    wanted = {f"ApproximateNumberOfMessages{which}" for which in ("Visible", "Delayed", "NotVisible")}
    assert {name for _, name, _ in alarms(made, NAMES)["QueueGrowsAlarm"].watches()} == wanted
    assert wanted in [
        {line[1] for line in widget["properties"]["metrics"] if isinstance(line[0], str)} for widget in widgets(made)
    ]


def test_an_outage_in_which_all_messages_are_delayed_is_a_queue_that_grows() -> None:
    known: dict[str, list[float | None]] = {
        "visible": [0.0, 0.0, 50.0], "delayed": [90.0, 300.0, None], "flying": [5.0, None, 2.0],
    }  # fmt: skip
    for name, expression in QUEUE_GROWS.expressions:
        known[name] = evaluated(expression, known, 3)
    assert (known["waiting"], known["growing"]) == ([95, 300, 52], [0, 205, 0])


def test_each_provider_has_an_alarm_and_each_vendor_with_a_price_one() -> None:
    providers = """
  a.b: {type: cloudfront, distribution: E8F6HK73EP0LT}
  a-b: {type: cloudfront, distribution: E8F6HK73EP0LU}
  site: {type: fastly, token: "${ssm:/x}", service: SU1Z0isxPaozGVKXdv0eY}
  fastly: {token: "${ssm:/x}", service: SU1Z0isxPaozGVKXdv0eY}
  Fastly: {type: fastly, token: "${ssm:/x}", service: SU1Z0isxPaozGVKXdv0eY}
  --: {type: fastly, token: "${ssm:/x}", service: SU1Z0isxPaozGVKXdv0eY}
"""
    providers += f'  {"x" * 300}: {{type: fastly, token: "${{ssm:/x}}", service: SU1Z0isxPaozGVKXdv0eY}}\n'
    found = alarms(body(providers=providers), NAMES)
    late = [
        dict(dimensions)["provider"] for name in found for _, _, dimensions in found[name].watches() if "Late" in name
    ]
    assert sorted(late) == ["--", "Fastly", "a-b", "a.b", "fastly", "site", "x" * 300]
    assert all(re.fullmatch("[A-Za-z0-9]{1,255}", name) for name in found)
    assert "FastlyLateAlarm" in found
    assert [name for name in found if "FreePaths" in name] == ["CloudFrontFreePathsAlarm"]


def test_alarms_look_back_no_further_than_cloudwatch_does() -> None:
    for alarm in body()["Resources"].values():
        if alarm["Type"] == "AWS::CloudWatch::Alarm":
            found = alarm["Properties"]
            stats = [each["MetricStat"] for each in found.get("Metrics", ()) if "MetricStat" in each]
            for period in {each["Period"] for each in stats} or {found["Period"]}:
                assert period * found["EvaluationPeriods"] <= (604_800 if period >= 3600 else 86_400)
            assert len(found["AlarmDescription"]) <= 1024


# The page


def test_the_page_says_of_each_alarm_what_to_do() -> None:
    told = set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE))
    there = {re.sub("^.*(Late|Stale|FreePaths)(?=Alarm)", r"\1", name) for name in alarms(body(), NAMES)}
    assert told == there


def test_the_page_says_what_the_alarms_cost() -> None:
    def cost(install: str) -> str:
        found = alarms(body(install, routes=installs.ROUTES), NAMES)
        own = [name for name in found if not re.search("(Late|Stale|FreePaths)Alarm", name)]
        return f"${DOLLARS * sum(len(found[name].watches()) for name in own):.2f}"

    assert (
        f"{cost('')} for a\nstack with a queue ({cost('trigger: direct')} without), and ${DOLLARS:.2f} for each" in PAGE
    )
