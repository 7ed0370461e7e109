"""Carry out a plan, step by step."""

from __future__ import annotations

import hashlib
import json
import time
from functools import singledispatch
from typing import TYPE_CHECKING

from multicdn.installer import cloudformation, code_bucket, notify, state
from multicdn.installer.deployed.depth import read_depth
from multicdn.installer.errors import InstallError, PassingError, is_no_queue, translated
from multicdn.installer.steps import (
    DeleteBucket,
    DeleteObjects,
    DeleteQueue,
    DeleteStack,
    Deploy,
    Drain,
    InstallPlan,
    Instruction,
    MakeBucket,
    Notify,
    TagBucket,
    Upload,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.installer.account import Account
    from multicdn.installer.deployed.depth import Depth

    Say = Callable[[str], None]

_PAUSE = 2.0
_DRAIN_PATIENCE = 900.0


def execute(plan: InstallPlan, account: Account, begin: Say, say: Say) -> None:
    """Carry out a plan.

    Args:
        plan: made for this account.
        account: where.
        begin: told of each step before it.
        say: told of what happens within it.

    Raises:
        InstallError: a step failed. The steps before it stand, and the plan of the next run begins where this ended.
    """
    for place, step in enumerate(plan.steps):
        begin(str(step))
        try:
            carry_out(step, account, say)
        except PassingError:
            raise
        except InstallError as error:
            if plan.fresh and _is_anothers(account, plan.steps[place:]):
                raise PassingError(f"{error}\nSomebody else has installed it meanwhile.") from error
            raise


def _is_anothers(account: Account, left: Sequence[Instruction]) -> bool:
    """Whether there is a stack by now, although it isn't made yet by the plan of which these steps are left."""
    begun, *later = left
    stacks = [step.stack for step in later if isinstance(step, Deploy)]
    return not isinstance(begun, Deploy) and any(cloudformation.changed(account, name) for name in stacks)


@singledispatch
def carry_out(step: Instruction, account: Account, say: Say) -> None:
    """Carry out one instruction.

    Raises:
        InstallError: it failed; the text names the remedy.
    """
    del account, say
    raise NotImplementedError(type(step))


@carry_out.register(MakeBucket)
def _make_bucket(step: MakeBucket, account: Account, say: Say) -> None:
    del say
    code_bucket.make(account, step.bucket, step.tags)


@carry_out.register(TagBucket)
def _tag_bucket(step: TagBucket, account: Account, say: Say) -> None:
    del say
    code_bucket.tag(account, step.bucket, step.tags)


@carry_out.register(Upload)
def _upload(step: Upload, account: Account, say: Say) -> None:
    del say
    code_bucket.upload(account, step.bucket, step.key, step.path, step.encryption)


@carry_out.register(Deploy)
def _deploy(step: Deploy, account: Account, say: Say) -> None:
    text = json.dumps(step.body, separators=(",", ":"))
    body = {"TemplateBody": text}
    if len(text.encode()) > cloudformation.LONGEST_BODY:
        key = f"{state.folder(step.stack)}{hashlib.sha256(text.encode()).hexdigest()}.json"
        body = {"TemplateURL": code_bucket.upload_template(account, step.bucket, key, text, step.encryption)}
    if not cloudformation.deploy(account, step.stack, body, step.parameters, step.tags, say, step.seen):
        say("CloudFormation sees nothing to change")


@carry_out.register(DeleteStack)
def _delete_stack(step: DeleteStack, account: Account, say: Say) -> None:
    cloudformation.refuse_changed(account, step.stack, step.seen)
    cloudformation.delete(account, step.stack, say)


@carry_out.register(DeleteQueue)
def _delete_queue(step: DeleteQueue, account: Account, say: Say) -> None:
    del say
    from botocore.exceptions import ClientError

    with translated("deleting the dead-letter queue", "sqs"):
        try:
            account.client("sqs").delete_queue(QueueUrl=step.url)
        except ClientError as error:
            if not is_no_queue(error):
                raise


@carry_out.register(DeleteObjects)
def _delete_objects(step: DeleteObjects, account: Account, say: Say) -> None:
    del say
    code_bucket.delete_objects(account, step.bucket, step.keys)


@carry_out.register(DeleteBucket)
def _delete_bucket(step: DeleteBucket, account: Account, say: Say) -> None:
    if step.marked and not state.is_marked(account, step.bucket):
        return
    try:
        if not code_bucket.delete_bucket(account, step.bucket):
            say(f"the bucket {step.bucket} stays: there is more in it")
    except InstallError as error:
        if not step.marked:
            raise
        say(f"the bucket {step.bucket} stays: {error}")


@carry_out.register(Drain)
def _drain(step: Drain, account: Account, say: Say) -> None:
    end = time.monotonic() + _DRAIN_PATIENCE
    say(f"waiting, for up to {_DRAIN_PATIENCE / 60:.0f} minutes, until the function has taken what is in it")
    while (waiting := count_messages(account, step.url)) and time.monotonic() < end:
        say(f"messages still in the queue: {waiting:,}")
        time.sleep(_PAUSE)
    if waiting:
        raise PassingError(
            f"messages still in the queue after {_DRAIN_PATIENCE:.0f} s: {waiting:,}; run it again later"
        )


@carry_out.register(Notify)
def _notify(step: Notify, account: Account, say: Say) -> None:
    notify.notify(step, account, say)


def count_messages(account: Account, url: str) -> int | None:
    """Ask SQS how many messages a queue holds, those included that are hidden or delayed; None without a queue."""
    depth = queue_depth(account, url)
    return None if depth is None else depth.total


def queue_depth(account: Account, url: str) -> Depth | None:
    """Ask SQS what a queue holds; None without a queue."""
    from botocore.exceptions import ClientError

    with translated("counting messages", "sqs"):
        try:
            return read_depth(account.client("sqs"), url)
        except ClientError as error:
            if is_no_queue(error):
                return None
            raise
