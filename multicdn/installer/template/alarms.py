"""Alarms for what a person has to look at. docs/alarms.md says of each what to do."""

from __future__ import annotations

import hashlib
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn import DOCS
from multicdn.installer.template.watched import Watched
from multicdn.metrics import vendor_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.config import Config
    from multicdn.provider import Price

Resources = dict[str, dict[str, Any]]

#: Seconds after which a purge that was not delivered means that its vendor is in trouble. What is known of the next try
#: counts, so an alarm rings before a purge is so late.
LATE = 300

# Minutes that an alarm looks back. One too high value among them is enough, so it rings at once, and doesn't go off and
# on with each try: no job waits for more than 15 minutes between two (SQS). One long period would not do: where data
# are sparse, CloudWatch judges older windows again, in which a good value after a bad one counts for nothing.
# docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
_MINUTE = 60
_BETWEEN_TRIES = 20
_SOON = 5

_FIVE_MINUTES = 300
_TEN_MINUTES = 600

# Fewer messages that wait, visible or not, are no queue that grows.
_FEW_MESSAGES = 100

# An alarm looks back seven days at most (API_PutMetricAlarm.html, Period), and vendors count by months. Of five weeks,
# in which each month lies, one has at least a fifth of all: so this alarm comes early, and never late.
_WEEK, _WEEKS = 7 * 86_400, 5
_SHARE = 0.8

# Of the 255 characters that a logical id may have: AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
_LONGEST_ID = 100

#: Dollars a month for each metric that an alarm watches: aws.amazon.com/cloudwatch/pricing
DOLLARS = 0.10


class Alarm(NamedTuple):
    """One alarm.

    Attributes:
        watched: the metrics by their ids; one alone stands for itself.
        rings: when, in words.
        meaning: in one sentence, with what to do first; the alarm tells it.
        threshold: above which the value is too high.
        periods: that it looks back.
        high: of these, in how many the value must be too high.
        missing: what a period counts without any value.
        expressions: in CloudWatch's metric math, by their ids; the last one is the value.
    """

    watched: Mapping[str, Watched]
    rings: str
    meaning: str
    threshold: float = 0
    periods: int = _SOON
    high: int = 1
    missing: str = "notBreaching"
    expressions: tuple[tuple[str, str], ...] = ()


ERRORS = Alarm(
    {"m": Watched("Function", "Errors", "Sum", _MINUTE)},
    "an invocation failed",
    "The function failed: see its log, and `multicdn doctor --online`",
)
THROTTLES = Alarm(
    {"m": Watched("Function", "Throttles", "Sum", _MINUTE)},
    "Lambda didn't start the function",
    "The function was not started: the account's concurrency, or its own, is used up",
)
# SQS says nothing of a queue that nobody has used for hours: what was last known stays true.
DEAD_LETTERS = Alarm(
    {"m": Watched("DeadLetterQueue", "ApproximateNumberOfMessagesVisible", "Maximum", _MINUTE)},
    "there is a dead letter",
    "Purges were given up: see `multicdn dlq list`",
    periods=1,
    missing="ignore",
)
INCOMPLETE = Alarm(
    {"m": Watched("Changes", "OldestIncompleteSeconds", "Maximum", _MINUTE)},
    f"a change waits for more than {LATE // 60} minutes for its tags, or for a plugin",
    "Changes wait because something about them can't be found out: see `incomplete` in the log",
    threshold=LATE,
    periods=_BETWEEN_TRIES,
)
# Delayed messages and those in flight are counted where there are any: sqs-available-cloudwatch-metrics.html
QUEUE_GROWS = Alarm(
    {
        "visible": Watched("Queue", "ApproximateNumberOfMessagesVisible", "Minimum", _TEN_MINUTES),
        "delayed": Watched("Queue", "ApproximateNumberOfMessagesDelayed", "Minimum", _TEN_MINUTES),
        "flying": Watched("Queue", "ApproximateNumberOfMessagesNotVisible", "Minimum", _TEN_MINUTES),
    },
    f"more than {_FEW_MESSAGES} messages wait, be they delayed or in flight, and they become more for half an hour",
    "More comes into the queue than is done: see `multicdn queue list`, the vendors' alarms, and the function's errors",
    periods=3,
    high=3,
    expressions=(
        ("waiting", "visible + FILL(delayed, 0) + FILL(flying, 0)"),
        ("growing", f"IF(waiting > {_FEW_MESSAGES}, DIFF(waiting), 0)"),
    ),
)
QUEUE_STANDS = Alarm(
    {
        "visible": Watched("Queue", "ApproximateNumberOfMessagesVisible", "Minimum", _FIVE_MINUTES),
        "received": Watched("Queue", "NumberOfMessagesReceived", "Sum", _FIVE_MINUTES),
    },
    "messages can be had for ten minutes, and none is taken",
    "Nobody takes messages from the queue: the function's event source mapping is disabled, or all invocations hang",
    periods=2,
    high=2,
    expressions=(("standing", "IF(visible > 0 AND FILL(received, 0) == 0, 1, 0)"),),
)

#: Alarms by logical ids, of every stack, and of those with a queue. Each provider has one more, and another if it is
#: looked at; and so has each vendor with a price.
ALWAYS = {
    "DeadLettersAlarm": DEAD_LETTERS,
    "ErrorsAlarm": ERRORS,
    "IncompleteAlarm": INCOMPLETE,
    "ThrottlesAlarm": THROTTLES,
}
WITH_QUEUE = {"QueueGrowsAlarm": QUEUE_GROWS, "QueueStandsAlarm": QUEUE_STANDS}


def late(provider: str) -> Alarm:
    """The alarm of a provider instance in trouble."""
    return Alarm(
        {"m": Watched("Changes", "OldestUndeliveredSeconds", "Maximum", _MINUTE, "provider", provider)},
        f"a job is more than {LATE // 60} minutes late, or will be at its next try",
        f"Purges at {provider} are not done: the vendor is in trouble, or refuses; see `multicdn doctor --online` and "
        f"`multicdn logs --provider {provider}`",
        threshold=LATE,
        periods=_BETWEEN_TRIES,
    )


def stale(provider: str) -> Alarm:
    """The alarm of an edge that keeps old bytes whatever is done."""
    return Alarm(
        {"m": Watched("Changes", "Stale", "Sum", _MINUTE, "provider", provider)},
        "an edge still has old bytes of something when it is given up",
        f"An edge of {provider} serves old bytes after all purges: see `multicdn logs --provider {provider} --outcome "
        f"stale` and `multicdn fresh` with one of the URLs",
        periods=_BETWEEN_TRIES,
    )


def free_paths(vendor: str, price: Price) -> Alarm:
    """The alarm of what a vendor with a price gives for nothing."""
    most = most_free(price)
    return Alarm(
        {"paths": Watched("Changes", "PaidPaths", "Sum", _WEEK, "vendor", vendor)},
        f"more than {most:,} targets in seven days: a fifth of {_SHARE:.0%} of the month's {price.free:,} free ones",
        f"{vendor}: at this pace {_SHARE:.0%} of the month's {price.free:,} free targets will be used up; each beyond "
        f"costs ${price.dollars:.3f}: see `collapse` in the config, and the dashboard for 30 days",
        threshold=most,
        periods=1,
        expressions=(("week", "FILL(paths, 0)"),),  # a week without purges; else the one before would be judged again
    )


def most_free(price: Price) -> int:
    """Targets of a week beyond which it has to be said that those of the month may be used up."""
    return math.floor(price.free * _SHARE / _WEEKS)


def alarms(config: Config, *, queued: bool) -> dict[str, Alarm]:
    """The alarms of a config by their logical ids."""
    late_ones = {f"{_camel(name, '[a-z]')}LateAlarm": late(name) for name in config.providers}
    stale_ones = {f"{_camel(name, '[a-z]')}StaleAlarm": stale(name) for name in verified(config)}
    free = {f"{_camel(name, '[A-Z]')}FreePathsAlarm": free_paths(name, price) for name, price in prices(config)}
    return {**ALWAYS, **(WITH_QUEUE if queued else {}), **late_ones, **stale_ones, **free}


def verified(config: Config) -> list[str]:
    """The providers at whose edges some route has a look, in their order."""
    names = {name for route in config.routes if route.verify for name in route.purge}
    return [name for name in config.providers if name in names]


def prices(config: Config) -> Iterator[tuple[str, Price]]:
    """The vendors of a config that have a price, each once, since it is for all instances of an account."""
    found = {vendor_of(each): each.price for each in config.providers.values() if each.price is not None}
    yield from found.items()


def resources(config: Config, *, queued: bool) -> Resources:
    """The alarms, which tell the topic that the settings name."""
    topic = config.install.alarm_topic
    return {name: alarm_resource(alarm, topic) for name, alarm in alarms(config, queued=queued).items()}


def alarm_resource(alarm: Alarm, topic: str) -> dict[str, Any]:
    """An alarm as CloudFormation makes it; without a topic it tells nobody."""
    properties = {
        "AlarmDescription": f"{alarm.meaning}. What to do: {DOCS}/alarms.md",
        "ComparisonOperator": "GreaterThanThreshold",
        "DatapointsToAlarm": alarm.high,
        "EvaluationPeriods": alarm.periods,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.missing,
        **(_math(alarm) if alarm.expressions else _single(*alarm.watched.values())),
    }
    if topic:
        properties |= {"AlarmActions": [topic], "OKActions": [topic]}
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}


def _single(watched: Watched) -> dict[str, Any]:
    return {**watched.metric(), "Period": watched.period, "Statistic": watched.statistic}


def _math(alarm: Alarm) -> dict[str, Any]:
    read = [
        {
            "Id": name,
            "MetricStat": {"Metric": watched.metric(), "Period": watched.period, "Stat": watched.statistic},
            "ReturnData": False,
        }
        for name, watched in alarm.watched.items()
    ]
    made = [
        {"Id": name, "Expression": expression, "ReturnData": (name, expression) == alarm.expressions[-1]}
        for name, expression in alarm.expressions
    ]
    return {"Metrics": [*read, *made]}


def _camel(name: str, begins: str) -> str:
    """A logical id: letters and digits alone, readable, and different for each name.

    Args:
        name: may hold anything.
        begins: a pattern of the letters, of one case, with which names begin that need no addition to be different.
    """
    words = "".join(word[:1].upper() + word[1:] for word in re.findall(r"[A-Za-z0-9]+", name))
    plain = re.fullmatch(f"{begins}[A-Za-z]*", name) and len(name) <= _LONGEST_ID
    return words if plain else f"{words[:_LONGEST_ID]}{hashlib.sha256(name.encode()).hexdigest()[:6]}"
