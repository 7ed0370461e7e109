"""One dashboard: how soon each vendor has the changes, what it is asked, what waits, and what it costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.installer.template.alarms import prices, verified
from multicdn.installer.template.role import REGION
from multicdn.installer.template.watched import Watched, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.config import Config
    from multicdn.provider import Price

_WIDTH, _HEIGHT, _COLUMNS = 12, 6, 2

# Graph -> metric of each provider, statistic.
_OF_PROVIDERS = (
    ("Oldest undelivered purge, seconds", "OldestUndeliveredSeconds", "Maximum"),
    ("From upload to accepted, seconds (median)", "UploadToAcceptedSeconds", "p50"),
    ("From upload to accepted, seconds (95 %)", "UploadToAcceptedSeconds", "p95"),
    ("Targets accepted", "Accepted", "Sum"),
    ("Targets that wait for another try", "Requeued", "Sum"),
    ("Targets refused", "Refused", "Sum"),
    ("Targets given up", "Dead", "Sum"),
    ("Calls", "Calls", "Sum"),
    ("Calls throttled by the vendor", "Throttled", "Sum"),
    ("Circuit breaker open", "BreakerOpen", "Maximum"),
)

# The same of providers that are looked at.
OF_VERIFIED = (
    ("From upload to finished, seconds (95 %)", (("UploadToFinishedSeconds", "p95"),)),
    ("From upload to fresh, seconds (median)", (("UploadToFreshSeconds", "p50"),)),
    ("From upload to fresh, seconds (95 %)", (("UploadToFreshSeconds", "p95"),)),
    ("Objects seen to be fresh", (("Fresh", "Sum"),)),
    ("Stale: given up, purged again, unknown", (("Stale", "Sum"), ("PurgedAgain", "Sum"), ("Unknown", "Sum"))),
)

_OF_QUEUE = (
    (
        "Messages: to be had, delayed, in flight",
        (
            Watched("Queue", "ApproximateNumberOfMessagesVisible", "Maximum"),
            Watched("Queue", "ApproximateNumberOfMessagesDelayed", "Maximum"),
            Watched("Queue", "ApproximateNumberOfMessagesNotVisible", "Maximum"),
        ),
    ),
)

_OF_FUNCTION = (
    ("Dead letters", (Watched("DeadLetterQueue", "ApproximateNumberOfMessagesVisible", "Maximum"),)),
    (
        "Changes that no route acts on, and messages that can't be read",
        (Watched("Changes", "Unrouted", "Sum"), Watched("Changes", "Unreadable", "Sum")),
    ),
    ("Oldest change that can't be routed, seconds", (Watched("Changes", "OldestIncompleteSeconds", "Maximum"),)),
    (
        "Invocations",
        (
            Watched("Function", "Invocations", "Sum"),
            Watched("Function", "Errors", "Sum"),
            Watched("Function", "Throttles", "Sum"),
        ),
    ),
    (
        "Milliseconds of an invocation",
        (Watched("Function", "Duration", "p50"), Watched("Function", "Duration", "Maximum")),
    ),
)


class _Graph(NamedTuple):
    title: str
    lines: tuple[Watched, ...]
    more: tuple[dict[str, Any], ...] = ()
    settings: tuple[tuple[str, Any], ...] = (("period", 60),)


def resource(config: Config, *, queued: bool) -> dict[str, Any]:
    """The dashboard of a config."""
    graphs = list(_graphs(config, queued=queued))
    used = sorted({line.source for graph in graphs for line in graph.lines})
    widgets = [_widget(place, graph) for place, graph in enumerate(graphs)]
    body = json.dumps({"widgets": widgets}, separators=(",", ":"))
    names = {f"{source}Name": name_of(source) for source in used}
    # Dashboards belong to an account, not to a region.
    name = {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {"DashboardName": name, "DashboardBody": {"Fn::Sub": [body, names]}},
    }


def _graphs(config: Config, *, queued: bool) -> Iterator[_Graph]:
    for title, metric, statistic in _OF_PROVIDERS:
        lines = (Watched("Changes", metric, statistic, of="provider", value=name) for name in config.providers)
        yield _Graph(title, tuple(lines))
    looked_at = verified(config)
    for title, metrics in OF_VERIFIED if looked_at else ():
        yield _Graph(
            title,
            tuple(
                Watched("Changes", metric, statistic, of="provider", value=name)
                for name in looked_at
                for metric, statistic in metrics
            ),
        )
    for title, watched in (*(_OF_QUEUE if queued else ()), *_OF_FUNCTION):
        yield _Graph(title, watched)
    yield from (_month(vendor, price) for vendor, price in prices(config))


def _month(vendor: str, price: Price) -> _Graph:
    """Paths and dollars of the last 30 days: a dashboard doesn't know where a month begins."""
    dollars = f"IF(paths > {price.free}, (paths - {price.free}) * {price.dollars}, 0)"
    month = (("view", "singleValue"), ("setPeriodToTimeRange", True), ("start", "-P30D"))
    return _Graph(
        f"{vendor}: targets and dollars of the last 30 days ({price.free:,} are free each month)",
        (Watched("Changes", "PaidPaths", "Sum", of="vendor", value=vendor),),
        ({"expression": dollars, "label": "Dollars", "id": "dollars"},),
        month,
    )


def _widget(place: int, graph: _Graph) -> dict[str, Any]:
    row, column = divmod(place, _COLUMNS)
    return {
        "type": "metric",
        "x": column * _WIDTH,
        "y": row * _HEIGHT,
        "width": _WIDTH,
        "height": _HEIGHT,
        "properties": {
            "title": graph.title,
            "region": REGION,
            **dict(graph.settings),
            "metrics": [*_lines(graph), *([each] for each in graph.more)],
        },
    }


def _lines(graph: _Graph) -> Iterable[list[Any]]:
    several = len({line.name for line in graph.lines}) > 1
    for line in graph.lines:
        label = f"{line.value}: {line.name}" if several else line.value
        named = {"id": "paths"} if graph.more else {}
        yield [*line.line(), {"stat": line.statistic, **({"label": label} if line.value else {}), **named}]
