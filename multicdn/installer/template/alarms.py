"""Alarms for what a person has to look at, and one dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.installer.template.role import REGION
from multicdn.log import NAMESPACE
from multicdn.reporting import UNMATCHED

if TYPE_CHECKING:
    from multicdn.config.settings import Install

Resources = dict[str, dict[str, Any]]

_PERIOD = 300
_HALF_AN_HOUR = 1800

# Logical id of a resource, or what the function counts itself -> namespace and dimension of its metrics.
_SOURCES = {
    "Function": ("AWS/Lambda", "FunctionName"),
    "Queue": ("AWS/SQS", "QueueName"),
    "DeadLetterQueue": ("AWS/SQS", "QueueName"),
    "Changes": (NAMESPACE, "FunctionName"),
}

# Alarm -> resource, metric, statistic, threshold, what it means.
_ALARMS = {
    "DeadLettersAlarm": (
        "DeadLetterQueue",
        "ApproximateNumberOfMessagesVisible",
        "Maximum",
        0,
        "Purges were given up: see `multicdn dlq`",
    ),
    "OldestMessageAlarm": (
        "Queue",
        "ApproximateAgeOfOldestMessage",
        "Maximum",
        _HALF_AN_HOUR,
        "Purges have been waiting for more than half an hour: a vendor is in trouble, or the function is",
    ),
    "ErrorsAlarm": ("Function", "Errors", "Sum", 0, "The function failed: see its log"),
    "ThrottlesAlarm": (
        "Function",
        "Throttles",
        "Sum",
        0,
        "The function was not started: the account's concurrency is used up",
    ),
}

_GRAPHS = (
    (
        "Invocations",
        (("Function", "Invocations", "Sum"), ("Function", "Errors", "Sum"), ("Function", "Throttles", "Sum")),
    ),
    ("Milliseconds of an invocation", (("Function", "Duration", "p50"), ("Function", "Duration", "Maximum"))),
    ("Messages waiting", (("Queue", "ApproximateNumberOfMessagesVisible", "Maximum"),)),
    ("Age of the oldest message, seconds", (("Queue", "ApproximateAgeOfOldestMessage", "Maximum"),)),
    ("Purges given up", (("DeadLetterQueue", "ApproximateNumberOfMessagesVisible", "Maximum"),)),
    ("Changes that no route acts on", (("Changes", UNMATCHED, "Sum"),)),
)
_WIDTH, _HEIGHT, _COLUMNS = 12, 6, 2


def resources(settings: Install, *, queued: bool) -> Resources:
    """The alarms, which tell the topic that the settings name, and the dashboard."""
    alarms = {name: _alarm(name, settings) for name, alarm in _ALARMS.items() if queued or alarm[0] != "Queue"}
    return {**alarms, "Dashboard": _dashboard(queued=queued)}


def _alarm(name: str, settings: Install) -> dict[str, Any]:
    resource, metric, statistic, threshold, meaning = _ALARMS[name]
    namespace, dimension = _SOURCES[resource]
    properties = {
        "AlarmDescription": meaning,
        "ComparisonOperator": "GreaterThanThreshold",
        "Dimensions": [{"Name": dimension, "Value": _name(resource)}],
        "EvaluationPeriods": 1,
        "MetricName": metric,
        "Namespace": namespace,
        "Period": _PERIOD,
        "Statistic": statistic,
        "Threshold": threshold,
        "TreatMissingData": "notBreaching",
    }
    if settings.alarm_topic:
        properties |= {"AlarmActions": [settings.alarm_topic], "OKActions": [settings.alarm_topic]}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def _name(resource: str) -> dict[str, Any]:
    return {"Fn::GetAtt": [resource, "QueueName"]} if "Queue" in resource else {"Ref": "Function"}


def _dashboard(*, queued: bool) -> dict[str, Any]:
    graphs = [(title, lines) for title, lines in _GRAPHS if queued or lines[0][0] != "Queue"]
    widgets = [_graph(place, title, lines) for place, (title, lines) in enumerate(graphs)]
    used = sorted({line[0] for _, lines in graphs for line in lines})
    body = json.dumps({"widgets": widgets}, separators=(",", ":"))
    names = {f"{resource}Name": _name(resource) for resource in used}
    # Dashboards belong to an account, not to a region.
    name = {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
    properties = {"DashboardName": name, "DashboardBody": {"Fn::Sub": [body, names]}}
    return {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}


def _graph(place: int, title: str, lines: tuple[tuple[str, str, str], ...]) -> dict[str, Any]:
    row, column = divmod(place, _COLUMNS)
    return {
        "type": "metric",
        "x": column * _WIDTH,
        "y": row * _HEIGHT,
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {
            "title": title,
            "region": REGION,
            "period": 60,
            "metrics": [[*_metric(resource, metric), {"stat": stat}] for resource, metric, stat in lines],
        },
    }


def _metric(resource: str, metric: str) -> tuple[str, ...]:
    namespace, dimension = _SOURCES[resource]
    return namespace, metric, dimension, f"${{{resource}Name}}"
