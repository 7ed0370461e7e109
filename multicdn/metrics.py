"""What an invocation is measured by, and how CloudWatch is told: by a line in its embedded metric format.

That needs no permission and no call: where Lambda keeps the log, such a line becomes metrics.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Action, Report, Status
from multicdn.provenance import since_1970
from multicdn.queue.retry import Decision, Requeue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.model import Change, Job, Outcome
    from multicdn.provider import Provider

#: Names the function in Lambda, and is a dimension of each metric: two stacks of one account must not mix.
FUNCTION = "AWS_LAMBDA_FUNCTION_NAME"

# The level that Lambda filters by. Of a line that doesn't say its level and time it takes INFO for the level, so that a
# function that logs warnings alone would lose all metrics, and its alarms would sleep.
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
_FILTERED_BY = "AWS_LAMBDA_LOG_LEVEL"

# The page above: members that an array of values may have.
_MOST_VALUES = 100

# SQS keeps no message for longer; an event that says that it is older says something else.
_FORTNIGHT = 14 * 86_400.0

#: The namespace of the metrics in CloudWatch.
NAMESPACE = "multicdn"

_REFUSED = (Status.REJECTED, Status.REFUSED, Status.UNAUTHORIZED, Status.UNASKED)


#: Metrics by name: a number, or all that were measured in an invocation.
Values = Mapping[str, float | list[float]]


class Ending(Struct, frozen=True):
    """How an invocation ended, as far as it is measured.

    Attributes:
        report: of its calls.
        decisions: about undelivered jobs, those that SQS has confirmed.
        returned: undelivered jobs that go back to AWS with the messages that brought them.
        incomplete: messages with changes of which something could not be found out, and in how many seconds that is
            tried again; 0 where nobody knows, or where they were given up.
        unrouted: how many changes no route acts on.
        unreadable: how many messages, or records of one, could not be read.
        open_breakers: instances whose circuit breaker is open.
        followed: measures of what was looked at, by instance: counts and seconds of metrics.
        times: when the events of each message happened, in seconds since 1970; see ``event_times``.
        going: messages with changes that waited for their deploy, which is over: they are late from now on.
        began: when the first call could begin, in seconds since 1970.
        now: the end, in the same.
    """

    report: Report
    decisions: Sequence[Decision] = ()
    returned: Report = Report()
    incomplete: Mapping[str, float] = {}
    unrouted: int = 0
    unreadable: int = 0
    open_breakers: Collection[str] = ()
    followed: Mapping[str, Values] = {}
    times: Mapping[str, Sequence[float]] = {}
    going: Collection[str] = ()
    began: float = 0.0
    now: float = 0.0


class Measured(Struct, frozen=True):
    """Values of metrics by name, and of those that have several in an invocation, all of them.

    Attributes:
        providers: by provider instance; those that had nothing to do are left out.
        vendors: by vendor with a price.
        function: of the invocation as a whole.
    """

    providers: Mapping[str, Values]
    vendors: Mapping[str, Values]
    function: Values


def event_times(changes: Iterable[Change], sent: Mapping[str, float], now: float) -> dict[str, list[float]]:
    """When the events of each message happened, in seconds since 1970: as they say themselves, else as SQS says.

    Args:
        changes: of the invocation.
        sent: when each message was sent; for one that came back, when the newest of its causes was.
        now: nothing happened later, nor more than a fortnight before.
    """
    times: dict[str, list[float]] = defaultdict(list)
    for change in changes:
        happened = since_1970(change.time)
        if happened is not None and now - happened <= _FORTNIGHT:
            times[change.cause].append(min(happened, now))
    for message, at in sent.items():
        times[message] = times[message] or [max(now - _FORTNIGHT, min(at, now))]
    return dict(times)


def measure(ending: Ending, providers: Mapping[str, Provider]) -> Measured:
    """Take the measures of an invocation. Pure.

    Args:
        ending: of the invocation.
        providers: those configured, by name. Others are left out: a name in a message must not make a metric.
    """
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    paths: dict[str, float] = defaultdict(float)
    named = {outcome.job.instance for outcome in ending.report} & providers.keys()
    vendors = {name: vendor_of(providers[name]) for name in named if providers[name].price}
    for outcome in ending.report:
        name = outcome.job.instance
        _count_outcome(outcome, counts[name])
        if name in vendors and outcome.status is Status.ACCEPTED and outcome.job.action is Action.PURGE:
            paths[vendors[name]] += len(outcome.job.targets)
    for decision in ending.decisions:
        ended = "Requeued" if isinstance(decision, Requeue) else "Dead"
        counts[decision.queued.job.instance][ended] += len(decision.queued.job.targets)
    spreads = _followed(ending, counts)
    oldest = _oldest(ending)
    for name, values in _seconds_to_accepted(ending).items():
        spreads[name]["UploadToAcceptedSeconds"] = values
    by_provider: dict[str, dict[str, float | list[float]]] = {}
    for name in counts.keys() & providers.keys():
        by_provider[name] = {
            **{metric: value for metric, value in counts[name].items() if value},
            "BreakerOpen": float(name in ending.open_breakers),
            "OldestUndeliveredSeconds": oldest.get(name, 0.0),
            **{metric: _spread(values) for metric, values in spreads[name].items() if values},
        }
    return Measured(by_provider, {name: {"PaidPaths": value} for name, value in paths.items()}, _of_function(ending))


def vendor_of(provider: Provider) -> str:
    """The name of a provider's vendor, whose price is for all instances of an account together."""
    return type(provider).__name__


def _count_outcome(outcome: Outcome, counts: dict[str, float]) -> None:
    counts["Calls"] += outcome.calls
    counts["Throttled"] += outcome.throttled
    if outcome.status is Status.ACCEPTED:
        counts["Accepted"] += len(outcome.job.targets)
    elif outcome.status in _REFUSED:
        counts["Refused"] += len(outcome.job.targets)


def _followed(ending: Ending, counts: Mapping[str, dict[str, float]]) -> dict[str, dict[str, list[float]]]:
    """Add the counts of what was looked at to the others; returns its seconds."""
    spreads: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for name, values in ending.followed.items():
        of_provider = counts[name]
        for metric, value in values.items():
            if isinstance(value, list):
                spreads[name][metric] = value
            else:
                of_provider[metric] += value
    return spreads


def _of_function(ending: Ending) -> dict[str, float | list[float]]:
    counts = {"Unrouted": ending.unrouted, "Unreadable": ending.unreadable}
    found: dict[str, float | list[float]] = {name: float(value) for name, value in counts.items() if value}
    if ending.incomplete:
        found["OldestIncompleteSeconds"] = max(
            _age(ending, [message]) + delay for message, delay in ending.incomplete.items()
        )
    return found


def _oldest(ending: Ending) -> dict[str, float]:
    """For each instance, how old the oldest of its jobs will at least be when it is done that was not done now.

    So it is known at once that a vendor which asks for a quarter of an hour gets its purges late. Those that only wait
    for their turn at a vendor that is well are no sign of trouble.
    """
    oldest: dict[str, float] = defaultdict(float)

    def note(job: Job, status: Status, delay: float) -> None:
        if status is not Status.PACED:
            oldest[job.instance] = max(oldest[job.instance], _age(ending, job.messages) + delay)

    for decision in ending.decisions:
        note(decision.queued.job, decision.status, decision.delay if isinstance(decision, Requeue) else 0.0)
    for outcome in ending.returned.undelivered:
        note(outcome.job, outcome.status, 0.0)
    return oldest


def _age(ending: Ending, messages: Iterable[str]) -> float:
    others = (message for message in messages if message not in ending.going)
    since = (happened for message in others for happened in ending.times.get(message, ()))
    return ending.now - min(since, default=ending.now)


def _seconds_to_accepted(ending: Ending) -> dict[str, list[float]]:
    """For each instance, the seconds from each event to the moment when it had accepted all purges for it."""
    accepted: dict[str, dict[str, float]] = defaultdict(dict)
    undelivered: dict[str, set[str]] = defaultdict(set)
    for outcome in ending.report:
        if outcome.job.action is not Action.PURGE:
            continue
        messages = _asking(outcome.job)
        if outcome.status is not Status.ACCEPTED:
            undelivered[outcome.job.instance] |= messages
            continue
        of_instance, ended = accepted[outcome.job.instance], outcome.ended
        for message in messages:
            of_instance[message] = max(of_instance.get(message, 0.0), ended)
    seconds: dict[str, list[float]] = {}
    for name, of_instance in accepted.items():
        kept = ((message, ended) for message, ended in of_instance.items() if message not in undelivered[name])
        began, times = ending.began, ending.times
        found = [max(0.0, began + ended - at) for message, ended in kept for at in times.get(message, ())]
        seconds[name] = found
    return seconds


def _asking(job: Job) -> frozenset[str]:
    """The messages behind the first purge of each target: one that is repeated says nothing of how soon that was."""
    if not job.sequels:
        return job.messages
    pairs = zip(job.causes, job.sequels, strict=True)
    return frozenset[str]().union(*(causes for causes, one in pairs if not (one and (one.tries or one.repeated))))


def _spread(values: list[float]) -> list[float]:
    """As many of the values as a line may hold, the least and the largest among them, evenly chosen by size."""
    ordered = sorted(values)
    if len(ordered) > _MOST_VALUES:
        ordered = [ordered[place * (len(ordered) - 1) // (_MOST_VALUES - 1)] for place in range(_MOST_VALUES)]
    return [round(value, 3) for value in ordered]


def is_wanted() -> bool:
    """Whether this is a function in Lambda, where a line of the log becomes metrics."""
    return bool(os.environ.get(FUNCTION))


def write(measured: Measured, now: float) -> None:
    """Write the metrics of an invocation, in one go, to where Lambda reads lines: each is an event of the log.

    It is printed, and not logged: Lambda's JSON log puts what is logged into a member, where nobody looks for metrics.

    Args:
        measured: of the invocation.
        now: in seconds since 1970.
    """
    sys.stdout.write("".join(f"{line}\n" for line in _lines(measured, os.environ[FUNCTION], now)))
    sys.stdout.flush()


def _lines(measured: Measured, function: str, now: float) -> Iterator[str]:
    """A line for each combination of dimensions, since each has a value of its own."""
    for dimension, values_by_name in (("provider", measured.providers), ("vendor", measured.vendors)):
        for name, values in values_by_name.items():
            yield _line({"FunctionName": function, dimension: name}, values, now)
    if measured.function:
        yield _line({"FunctionName": function}, measured.function, now)


def _line(dimensions: Mapping[str, str], values: Mapping[str, float | list[float]], now: float) -> str:
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": _unit(name)} for name in values],
    }
    moment = datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    passing = {"level": os.environ.get(_FILTERED_BY) or "INFO", "timestamp": moment}
    aws = {"Timestamp": int(now * 1000), "CloudWatchMetrics": [declared]}
    shown = {name: value if isinstance(value, list) else round(value, 3) for name, value in values.items()}
    return json.dumps({"_aws": aws, **passing, **dimensions, **shown}, separators=(",", ":"))


def _unit(name: str) -> str:
    return "Seconds" if name.endswith("Seconds") else "Count"
