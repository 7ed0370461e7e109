"""The queues as they are deployed: what waits in them, and where their messages go."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.diagnosis import Finding, failed, ok, warning
from multicdn.installer.deployed import policies
from multicdn.installer.deployed.installed import ANEW
from multicdn.installer.errors import is_no_queue, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.installer.deployed.installed import Installed

_WAITING = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


def waiting(installed: Installed) -> Iterator[Finding]:
    """Whether the queue is there, hands broken messages on, and hides a message for long enough."""
    if not installed.queued:
        yield ok("there is none (trigger: direct)")
        return
    found = _attributes(installed, installed.outputs["QueueUrl"])
    if found is None:
        yield failed(f"the queue {installed.outputs['QueueUrl']} is gone", ANEW)
        return
    yield ok(f"messages waiting, under way or delayed: {_number(found)}")
    target = json.loads(found.get("RedrivePolicy") or "{}").get("deadLetterTargetArn", "")
    dead = installed.outputs["DeadLetterQueueUrl"].rpartition("/")[2]
    if target.rpartition(":")[2] != dead:
        yield failed(
            f"messages that break the function go to {target or 'nowhere'}, and not to {dead}",
            installed.remedy("Queue"),
        )
    yield from policies.of_queue(installed, found)
    timeout = installed.file.config.install.timeout
    if int(found.get("VisibilityTimeout", 0)) < timeout:
        yield failed(
            f"it hides a message for {found.get('VisibilityTimeout')} s, and the function may take {timeout} s",
            installed.remedy("Queue"),
        )


def dead(installed: Installed) -> Iterator[Finding]:
    """What was given up."""
    url = installed.outputs["DeadLetterQueueUrl"]
    found = _attributes(installed, url)
    if found is None:
        yield failed(f"the dead-letter queue {url} is gone: what is given up is lost", ANEW)
    elif number := _number(found):
        yield warning(
            f"dead letters: {number}; what they name stays stale until it expires",
            "multicdn dlq list shows why; multicdn dlq redrive sends them back once that is mended",
        )
    else:
        yield ok("there is none")


def _attributes(installed: Installed, url: str) -> Mapping[str, Any] | None:
    """What SQS says of a queue; None where there is no such queue."""
    from botocore.exceptions import ClientError

    with translated("looking at a queue", "sqs"):
        try:
            answer = installed.account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except ClientError as error:
            if is_no_queue(error):
                return None
            raise
    found: Mapping[str, Any] = answer["Attributes"]
    return found


def _number(found: Mapping[str, Any]) -> int:
    return sum(int(found.get(name, 0)) for name in _WAITING)
