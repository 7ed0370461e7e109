"""Carry out a plan, step by step."""

from __future__ import annotations

import hashlib
import json
import time
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from multicdn.installer import cloudformation, code_bucket, state
from multicdn.installer.errors import InstallError, code, translated
from multicdn.installer.notifications import merge
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
    from collections.abc import Callable, Mapping

    from multicdn.installer.account import Account

    Say = Callable[[str], None]

# IAM and queue policies take effect some seconds after they are written; S3 sees the written configuration as late.
_PATIENCE = 60.0
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
    for step in plan.steps:
        begin(str(step))
        carry_out(step, account, say)


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
    if not cloudformation.deploy(account, step.stack, body, step.parameters, step.tags, say):
        say("CloudFormation sees nothing to change")


@carry_out.register(DeleteStack)
def _delete_stack(step: DeleteStack, account: Account, say: Say) -> None:
    cloudformation.delete(account, step.stack, say)


@carry_out.register(DeleteQueue)
def _delete_queue(step: DeleteQueue, account: Account, say: Say) -> None:
    del say
    from botocore.exceptions import ClientError

    with translated("deleting the dead-letter queue", "sqs"):
        try:
            account.client("sqs").delete_queue(QueueUrl=step.url)
        except ClientError as error:
            if "NonExistentQueue" not in code(error) and "QueueDoesNotExist" not in code(error):
                raise


@carry_out.register(DeleteObjects)
def _delete_objects(step: DeleteObjects, account: Account, say: Say) -> None:
    del say
    code_bucket.delete_objects(account, step.bucket, step.keys)


@carry_out.register(DeleteBucket)
def _delete_bucket(step: DeleteBucket, account: Account, say: Say) -> None:
    if not code_bucket.delete_bucket(account, step.bucket):
        say(f"the bucket {step.bucket} stays: there is more in it")


@carry_out.register(Drain)
def _drain(step: Drain, account: Account, say: Say) -> None:
    end = time.monotonic() + _DRAIN_PATIENCE
    while (waiting := count_messages(account, step.url)) and time.monotonic() < end:
        say(f"{waiting} messages are still in the queue")
        time.sleep(_PAUSE)
    if waiting:
        raise InstallError(
            f"{waiting} messages are still in the queue after {_DRAIN_PATIENCE:.0f} s; run it again later"
        )


@carry_out.register(Notify)
def _notify(step: Notify, account: Account, say: Say) -> None:
    deployed = state.read_stack(account, step.stack)
    arn = deployed.outputs[step.output] if step.output and deployed else ""
    now = state.read_notification(account, step.bucket)
    if not merge.same(merge.foreign(now, step.stack), merge.foreign(step.seen, step.stack)):
        raise InstallError(
            f"somebody changed the notifications of {step.bucket} since the plan was made; nothing was written there, "
            "run it again"
        )
    wanted = merge.merged(now, step.wanted, step.stack, arn)
    if merge.same(now, wanted):
        return
    _write(account, step.bucket, wanted, say)
    _read_back(account, step.bucket, wanted)


def count_messages(account: Account, url: str) -> int:
    """Ask SQS how many messages a queue holds, those included that are hidden or delayed."""
    names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ]
    with translated("counting messages", "sqs"):
        attributes = account.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes.get(name, 0)) for name in names)


def _write(account: Account, bucket: str, wanted: Mapping[str, Any], say: Say) -> None:
    """Write a configuration; while S3 doesn't see yet that it may send to the queue, try again."""
    from botocore.exceptions import ClientError

    end = time.monotonic() + _PATIENCE
    while True:
        with translated(f"writing the notifications of {bucket}", "s3"):
            try:
                account.client("s3").put_bucket_notification_configuration(
                    Bucket=bucket, NotificationConfiguration=wanted, ExpectedBucketOwner=account.id
                )
            except ClientError as error:
                if not _is_early(error):
                    raise
                if time.monotonic() > end:
                    raise InstallError(_unwritten(error, bucket)) from error
            else:
                return
        say("S3 doesn't see the new permissions yet")
        time.sleep(_PAUSE)


def _is_early(error: Any) -> bool:
    return code(error) == "InvalidArgument" and "Unable to validate" in str(error)


def _unwritten(error: Any, bucket: str) -> str:
    return (
        f"S3 can't reach a destination of the notifications of {bucket}: {error.response['Error'].get('Message')}. "
        "Ours are allowed; look whether the queues, topics and functions of the other entries still exist"
    )


def _read_back(account: Account, bucket: str, wanted: Mapping[str, Any]) -> None:
    end = time.monotonic() + _PATIENCE
    while not merge.same(state.read_notification(account, bucket), wanted):
        if time.monotonic() > end:
            raise InstallError(f"the notifications of {bucket} aren't what was written: somebody else writes them too")
        time.sleep(_PAUSE)
