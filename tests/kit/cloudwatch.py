"""CloudWatch as its documentation has it: metrics from lines of the log, alarms from a template, and their arithmetic.

docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring: alarm-evaluation.html (states, missing data, ranges),
alarm-evaluation-window.html (windows slide), using-metric-math.html, and the specification of the format:
CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import ast
import json
import operator
import re
from bisect import bisect_left
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"

# Points that an alarm looks at beyond its evaluation periods: three periods are judged by five points there.
_BEYOND = 2

_STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min}

# lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")

Series = list[float | None]
Name = tuple[str, str, frozenset[tuple[str, str]]]


class CloudWatch:
    """The metrics of an account.

    Args:
        late: seconds after which a value can be read, at the earliest.
    """

    def __init__(self, late: float = 60.0) -> None:
        self.late = late
        self._points: dict[Name, tuple[list[float], list[float]]] = defaultdict(lambda: ([], []))

    @property
    def names(self) -> set[Name]:
        return set(self._points)

    def put(self, at: float, namespace: str, metric: str, dimensions: Mapping[str, str], *values: float) -> None:
        times, found = self._points[namespace, metric, frozenset(dimensions.items())]
        assert not times or at >= times[-1]
        times += [at] * len(values)
        found += values

    def read_log(self, text: str, level: str = "INFO") -> None:
        """Take the metrics out of what a function has printed, line by line, as strictly as the specification is.

        Args:
            text: the lines.
            level: below which Lambda's filter for JSON logs drops them; of those without level and time it is INFO.
        """
        for line in text.splitlines():
            assert len(line.encode()) <= 1_000_000
            document = json.loads(line)
            told = document.get("level", "INFO") if _is_rfc_3339(document.get("timestamp")) else "INFO"
            if _LEVELS.index(told) < _LEVELS.index(level):
                continue
            for directive in document["_aws"]["CloudWatchMetrics"]:
                assert directive.keys() == {"Namespace", "Dimensions", "Metrics"}
                assert len(directive["Metrics"]) <= 100
                for names in directive["Dimensions"]:
                    assert len(names) <= 30
                    dimensions = {name: document[name] for name in names}
                    assert all(isinstance(value, str) and value.isascii() for value in dimensions.values())
                    for metric in directive["Metrics"]:
                        value = document[metric["Name"]]
                        values = value if isinstance(value, list) else [value]
                        assert 0 < len(values) <= 100
                        at = document["_aws"]["Timestamp"] / 1000
                        self.put(at, directive["Namespace"], metric["Name"], dimensions, *values)

    def values(self, namespace: str, metric: str, dimensions: Mapping[str, str]) -> list[float]:
        return self._points[namespace, metric, frozenset(dimensions.items())][1]

    def series(self, name: Name, statistic: str, period: int, now: float, points: int) -> Series:
        """The values of so many periods before a moment, the last one at the end; None where there is none."""
        times, values = self._points.get(name, ([], []))
        visible = bisect_left(times, now - self.late)
        found: Series = []
        for place in range(points, 0, -1):
            low = bisect_left(times, now - place * period, 0, visible)
            high = bisect_left(times, now - (place - 1) * period, 0, visible)
            found.append(_STATISTICS[statistic](values[low:high]) if low < high else None)
        return found


def _is_rfc_3339(time: object) -> bool:
    return isinstance(time, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", time) is not None


class Alarm:
    """An alarm of a template.

    Args:
        properties: of the resource.
        names: what its references stand for.
    """

    def __init__(self, properties: Mapping[str, Any], names: Mapping[str, str]) -> None:
        assert properties["ComparisonOperator"] == "GreaterThanThreshold"
        self.state = UNKNOWN
        self.changes: list[tuple[float, str]] = []
        self._properties = properties
        self._names = names
        self._periods = properties["EvaluationPeriods"]
        self._most = properties.get("DatapointsToAlarm", self._periods)

    @property
    def rang(self) -> list[float]:
        return [at for at, state in self.changes if state == ALARM]

    def watches(self) -> set[Name]:
        metrics = [each["MetricStat"]["Metric"] for each in self._properties.get("Metrics", ()) if "MetricStat" in each]
        return {self._name(metric) for metric in metrics or [self._properties]}

    def evaluate(self, cloudwatch: CloudWatch, now: float) -> None:
        state = self._judged(self._values(cloudwatch, now))
        if state != self.state:
            self.state = state
            self.changes.append((now, state))

    def _name(self, metric: Mapping[str, Any]) -> Name:
        dimensions = {each["Name"]: self._text(each["Value"]) for each in metric["Dimensions"]}
        return metric["Namespace"], metric["MetricName"], frozenset(dimensions.items())

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        [found] = value.values()
        return self._names[found if isinstance(found, str) else found[0]]

    def _values(self, cloudwatch: CloudWatch, now: float) -> Series:
        found, points = self._properties, self._periods + _BEYOND
        if "Metrics" not in found:
            return cloudwatch.series(self._name(found), found["Statistic"], found["Period"], now, points)
        known: dict[str, Series] = {}
        for each in found["Metrics"]:
            if "MetricStat" in each:
                read = each["MetricStat"]
                series = cloudwatch.series(self._name(read["Metric"]), read["Stat"], read["Period"], now, points)
            else:
                series = evaluated(each["Expression"], known, points)
            known[each["Id"]] = series
        [value] = [known[each["Id"]] for each in found["Metrics"] if each["ReturnData"]]
        return value

    def _judged(self, series: Series) -> str:
        """Real points count, the newest first; the others only where there are too few."""
        real = [value > self._properties["Threshold"] for value in series if value is not None][-self._periods :]
        missing = self._properties["TreatMissingData"]
        lacking = self._periods - len(real)
        if not lacking or missing in ("breaching", "notBreaching"):
            high = sum(real) + (lacking if missing == "breaching" else 0)
            return ALARM if high >= self._most else OK
        if sum(real) >= self._most:
            return ALARM
        if len(real) - sum(real) > self._periods - self._most:
            return OK
        return self.state if missing == "ignore" else UNKNOWN


def alarms(body: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Alarm]:
    """The alarms of a template by their logical ids."""
    kind = "AWS::CloudWatch::Alarm"
    return {name: Alarm(one["Properties"], names) for name, one in body["Resources"].items() if one["Type"] == kind}


# Metric math: what a series lacks, the result lacks; a point is true that isn't 0.

_OPERATORS: dict[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Gt: operator.gt,
    ast.Eq: operator.eq,
}


def evaluated(expression: str, known: Mapping[str, Series], points: int) -> Series:
    """The series that an expression of metric math is."""
    tree = ast.parse(expression.replace(" AND ", " and "), mode="eval").body
    return _evaluated(tree, known, points)


def _evaluated(node: ast.expr, known: Mapping[str, Series], points: int) -> Series:
    def below(inner: ast.expr) -> Series:
        return _evaluated(inner, known, points)

    match node:
        case ast.Constant(value=(int() | float()) as value):
            return [float(value)] * points
        case ast.Name(id=name):
            return known[name]
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            act = _OPERATORS[type(op)]
            return [None if None in pair else float(act(*pair)) for pair in zip(below(left), below(right), strict=True)]
        case ast.BoolOp(op=ast.And(), values=[left, right]):
            return [None if None in pair else float(all(pair)) for pair in zip(below(left), below(right), strict=True)]
        case ast.Call(func=ast.Name(id="FILL"), args=[series, value]):
            return [other if one is None else one for one, other in zip(below(series), below(value), strict=True)]
        case ast.Call(func=ast.Name(id="DIFF"), args=[series]):
            pairs = pairwise(below(series))
            return [None, *(None if one is None or other is None else other - one for one, other in pairs)]
        case ast.Call(func=ast.Name(id="IF"), args=[condition, yes, no]):
            triples = zip(below(condition), below(yes), below(no), strict=True)
            return [None if asked is None else one if asked else other for asked, one, other in triples]
    raise AssertionError(ast.dump(node))
