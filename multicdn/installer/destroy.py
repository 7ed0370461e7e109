"""Taking away exactly what is ours, however much of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.installer import diff
from multicdn.installer import state as observe
from multicdn.installer.apply import depth
from multicdn.installer.errors import code, translated
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.eventbridge_rules import listened
from multicdn.installer.notifications.merge import Wanted
from multicdn.installer.state import Observed
from multicdn.installer.steps import DeleteBucket, DeleteObjects, DeleteQueue, DeleteStack, Instruction, Notify, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.installer.account import Account


class Leftover(Struct, frozen=True):
    """A dead-letter queue, be it of a stack that is gone."""

    url: str
    messages: int


def observed(account: Account, stack: str, buckets: Sequence[str], named: str) -> tuple[Observed, list[Leftover]]:
    """Read everything of ours.

    Args:
        account: where.
        stack: its name.
        buckets: where our notifications may be, besides those that the stack remembers.
        named: the bucket for the code, as configured.

    Raises:
        InstallError: something may not be looked at.
    """
    deployed = observe.stack(account, stack)
    state = deployed.state if deployed else None
    candidates = dict.fromkeys((*buckets, *(state.buckets if state else ())))
    found = observe.notifications(account, observe.existing(account, candidates))
    kept = deployed.parameters.get("BundleBucket", named) if deployed else named
    default = f"multicdn-{account.id}-{account.region}"
    code_bucket = observe.artifacts(account, stack, "" if kept == default else kept)
    taken = listened(account, stack, state.eventbridge if state else ())
    return Observed(account.id, account.region, deployed, found, code_bucket, taken), leftovers(account, stack)


def leftovers(account: Account, stack: str) -> list[Leftover]:
    """The dead-letter queues that carry our mark."""
    sqs = account.client("sqs")
    with translated("looking for dead-letter queues", "sqs"):
        pages = sqs.get_paginator("list_queues").paginate(QueueNamePrefix=f"{stack}-DeadLetterQueue-")
        urls = [url for page in pages for url in page.get("QueueUrls", ())]
        ours = [url for url in urls if _tags(sqs, url).get(observe.OWNER_TAG) == stack]
    return [Leftover(url, depth(account, url)) for url in ours]


def make(stack: str, seen: Observed, queues: Sequence[Leftover], *, drop_messages: bool) -> Plan:
    """Plan the removal.

    Args:
        stack: its name.
        seen: what is there.
        queues: dead-letter queues.
        drop_messages: whether they go with what is in them; else only empty ones do.
    """
    steps = tuple(_steps(stack, seen, queues, drop_messages=drop_messages))
    kept = [queue for queue in queues if queue.messages and not drop_messages]
    return Plan(steps, tuple(_lines(seen, steps, stack)), tuple(map(_kept, kept)))


def _steps(stack: str, seen: Observed, queues: Sequence[Leftover], *, drop_messages: bool) -> Iterator[Instruction]:
    state = seen.deployed.state if seen.deployed else None
    for bucket, configuration in seen.notifications.items():
        off = state is not None and bucket in state.eventbridge and bucket not in seen.listened
        wanted = Wanted(eventbridge=False if off else None)
        if not merge.same(configuration, merge.merged(configuration, wanted, stack, "")):
            yield Notify(bucket, stack, wanted, configuration)
    if seen.deployed is not None:
        yield DeleteStack(stack)
    for queue in queues:
        if drop_messages or not queue.messages:
            yield DeleteQueue(queue.url)
    if seen.artifacts.keys:
        yield DeleteObjects(seen.artifacts.bucket, seen.artifacts.keys)
    if seen.artifacts.ours and seen.artifacts.ready:
        yield DeleteBucket(seen.artifacts.bucket)


def _lines(seen: Observed, steps: Sequence[Instruction], stack: str) -> Iterator[str]:
    yield f"Account {seen.account}, region {seen.region}"
    for step in steps:
        yield f"- {step}"
        if isinstance(step, Notify):
            after = merge.merged(step.seen, step.wanted, stack, "")
            yield from (f"    {line}" for line in diff.notifications(step.seen, after, stack))
        if isinstance(step, DeleteStack) and seen.deployed:
            yield from (f"    {line}" for line in diff.stack(seen.deployed.body, {}))
    if not steps:
        yield "Nothing of ours is here."


def _kept(queue: Leftover) -> str:
    name = queue.url.rpartition("/")[2]
    return f"the dead-letter queue {name} stays, with {queue.messages} messages; --drop-messages deletes it as well"


def _tags(sqs: object, url: str) -> dict[str, str]:
    from botocore.exceptions import ClientError

    try:
        tags: dict[str, str] = sqs.list_queue_tags(QueueUrl=url).get("Tags", {})  # type: ignore[attr-defined]
    except ClientError as error:
        if "NonExistentQueue" in code(error) or "QueueDoesNotExist" in code(error):
            return {}  # the list of queues lags behind
        raise
    return tags
