"""Taking away exactly what is ours, however much of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.installer import diff, state
from multicdn.installer.apply import count_messages
from multicdn.installer.errors import InstallError, PassedOverError, is_no_queue, translated
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.eventbridge_rules import find_listened
from multicdn.installer.notifications.merge import Wanted
from multicdn.installer.state import OWNER_TAG, Artifacts, Current
from multicdn.installer.steps import (
    DeleteBucket,
    DeleteObjects,
    DeleteQueue,
    DeleteStack,
    InstallPlan,
    Instruction,
    Notify,
)
from multicdn.installer.template.stack import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.installer.account import Account


class Leftover(Struct, frozen=True):
    """A dead-letter queue, be it of a stack that is gone."""

    url: str
    messages: int


def read_current(account: Account, stack: str, buckets: Sequence[str], named: str) -> tuple[Current, list[Leftover]]:
    """Read everything of ours.

    Args:
        account: where.
        stack: its name.
        buckets: where our notifications may be, besides those that the stack remembers.
        named: the bucket for the code, as configured.

    Raises:
        InstallError: something may not be looked at, or the stack may not be deleted.
    """
    deployed = state.read_stack(account, stack)
    if deployed and deployed.protected:
        remedy = (
            f"aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {stack}"
        )
        raise InstallError(f"somebody protects the stack {stack!r} from being deleted; if that is over, run `{remedy}`")
    remembered = deployed.state if deployed else State()
    notifications, passed_over = state.read_remains(account, remembered.buckets, buckets)
    kept = deployed.parameters.get("BundleBucket", named) if deployed else named
    default = f"multicdn-{account.id}-{account.region}"
    try:
        artifacts = state.read_artifacts(account, stack, "" if kept == default else kept)
    except PassedOverError as error:
        artifacts = Artifacts(kept, ready=False, ours=False)
        passed_over.append(f"passed over: {error}")
    listened = find_listened(account, stack, remembered.eventbridge)
    current = Current(
        account.id,
        account.region,
        deployed,
        notifications,
        artifacts,
        listened,
        former=None if artifacts.bucket == default else _marked(account, stack),
        passed_over=tuple(passed_over),
    )
    return current, find_leftovers(account, stack)


def _marked(account: Account, stack: str) -> Artifacts | None:
    """The bucket that multicdn makes for the code where none is named, if it has and that may be looked at."""
    try:
        found = state.read_artifacts(account, stack, "")
    except PassedOverError:
        return None
    return found if found.ready else None


def find_leftovers(account: Account, stack: str) -> list[Leftover]:
    """The dead-letter queues that carry our mark."""
    sqs = account.client("sqs")
    with translated("looking for dead-letter queues", "sqs"):
        pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"{stack}-DeadLetterQueue-")
        urls = [url for page in pages for url in page.get("QueueUrls", ())]
        ours = [url for url in urls if _tags(sqs, url).get(OWNER_TAG) == stack]
    counted = ((url, count_messages(account, url)) for url in ours)
    return [Leftover(url, messages) for url, messages in counted if messages is not None]


def make(stack: str, current: Current, queues: Sequence[Leftover], *, drop_messages: bool) -> InstallPlan:
    """Plan the removal.

    Args:
        stack: its name.
        current: what is there.
        queues: dead-letter queues.
        drop_messages: whether they go with what is in them; else only empty ones do.
    """
    steps = tuple(_steps(stack, current, queues, drop_messages=drop_messages))
    kept = [queue for queue in queues if queue.messages and not drop_messages]
    return InstallPlan(steps, tuple(_lines(current, steps, stack)), (*current.passed_over, *map(_kept, kept)))


def _steps(stack: str, current: Current, queues: Sequence[Leftover], *, drop_messages: bool) -> Iterator[Instruction]:
    remembered = current.deployed.state if current.deployed else State()
    for bucket, configuration in current.notifications.items():
        off = bucket in remembered.eventbridge and bucket not in current.listened
        wanted = Wanted(eventbridge=False if off else None)
        if not merge.same(configuration, merge.merged(configuration, wanted, stack, "")):
            yield Notify(bucket, stack, wanted, configuration)
    if current.deployed is not None:
        yield DeleteStack(stack)
    for queue in queues:
        if drop_messages or not queue.messages:
            yield DeleteQueue(queue.url)
    for artifacts in (current.artifacts, current.former):
        if artifacts and artifacts.keys:
            yield DeleteObjects(artifacts.bucket, artifacts.keys)
        if artifacts and artifacts.ours and artifacts.there:
            yield DeleteBucket(artifacts.bucket)


def _lines(current: Current, steps: Sequence[Instruction], stack: str) -> Iterator[str]:
    yield f"Account {current.account}, region {current.region}"
    for step in steps:
        yield f"- {step}"
        if isinstance(step, Notify):
            after = merge.merged(step.seen, step.wanted, stack, "")
            yield from (f"    {line}" for line in diff.notifications(step.seen, after, stack))
        if isinstance(step, DeleteStack) and current.deployed:
            yield from (f"    {line}" for line in diff.stack(current.deployed.body, {}))
    if not steps:
        yield "Nothing of ours is here."


def _kept(queue: Leftover) -> str:
    name = queue.url.rpartition("/")[2]
    left = f"{queue.messages:,} message{'' if queue.messages == 1 else 's'}"
    return f"the dead-letter queue {name} stays, with {left}; --drop-messages deletes it as well"


def _tags(sqs: object, url: str) -> dict[str, str]:
    from botocore.exceptions import ClientError

    try:
        tags: dict[str, str] = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})  # type: ignore[attr-defined]
    except ClientError as error:
        if is_no_queue(error):
            return {}  # the list of queues lags behind
        raise
    return tags
