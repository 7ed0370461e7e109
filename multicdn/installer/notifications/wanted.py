"""What of a bucket's notifications is to be ours, and whether S3 would take it beside those of others. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.config.settings import Trigger
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.merge import FUNCTIONS, MOST_ENTRIES, QUEUES, Wanted
from multicdn.installer.notifications.prefixes import covered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config

# Trigger -> the stack's output with the ARN that a notification tells, and the kind of destination that it is.
OUTPUTS = {Trigger.QUEUE: "QueueArn", Trigger.DIRECT: "InvokedArn"}
_KINDS = {Trigger.QUEUE: QUEUES, Trigger.DIRECT: FUNCTIONS}

# A wide entry of somebody else overlaps with each of ours.
_MOST_OVERLAPS = 10


def wanted_of(config: Config, bucket: str) -> Wanted:
    """Our part of a bucket's notifications, as it is to be; empty for a bucket that no route names."""
    trigger = config.install.trigger
    parts = covered(route for route in config.routes if route.bucket == bucket)
    if trigger is Trigger.EVENTBRIDGE:
        return Wanted(eventbridge=True if parts else None)
    return Wanted(kind=_KINDS[trigger], parts=parts)


def problems(config: Config, bucket: str, configuration: merge.Configuration) -> Iterator[str]:
    """Why S3 wouldn't take ours beside what the bucket has, a line each, and no more than some of one kind."""
    stack, wanted = config.install.stack, wanted_of(config, bucket)
    overlaps = merge.overlaps(configuration, wanted, stack)
    for overlap in overlaps[:_MOST_OVERLAPS]:
        yield (
            f"{overlap}; S3 takes only one destination for an event. Use `install: trigger: eventbridge`, which "
            "leaves that one alone (or narrow the prefixes of the routes)"
        )
    if (more := len(overlaps) - _MOST_OVERLAPS) > 0:
        yield f"{bucket}: … and {more:,} more of these"
    total = merge.count(merge.merged(configuration, wanted, stack, ""))
    if total > MOST_ENTRIES:
        yield (
            f"{bucket}: S3 allows {MOST_ENTRIES} notifications of a bucket, and these would be {total:,}; give routes "
            "fewer, wider prefixes, or use `install: trigger: eventbridge`, which needs none"
        )
