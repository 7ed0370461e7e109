"""Buckets and queues in a ``LoopbackAws``, wired as multicdn's installer wires them on the real AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from multicdn.testing.loopback.aws import REGION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.testing.loopback.aws import LoopbackAws

CREATED_AND_REMOVED = ("s3:ObjectCreated:*", "s3:ObjectRemoved:*")


@dataclass(frozen=True)
class Queue:
    """A queue and the one that takes what it can't deliver."""

    url: str
    arn: str
    dead_letter_url: str
    dead_letter_arn: str


def make_public_bucket(aws: LoopbackAws, name: str, *, versioned: bool = False) -> str:
    """Make a bucket whose objects anybody may GET: the origin of an edge.

    Returns:
        The URL below which the objects are: append ``/`` and the percent-encoded key.
    """
    s3 = aws.client("s3")
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html: only us-east-1 goes without saying.
    elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": aws.region}} if aws.region != REGION else {}
    s3.create_bucket(Bucket=name, **elsewhere)
    if versioned:
        keep_versions(aws, name)
    s3.delete_public_access_block(Bucket=name)
    s3.put_bucket_policy(Bucket=name, Policy=_anybody_may_read(name))
    return f"{aws.endpoint}/{name}"


def keep_versions(aws: LoopbackAws, bucket: str) -> None:
    """Turn versioning on: from now on deleting an object only puts a delete marker over it."""
    aws.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def make_queue(aws: LoopbackAws, name: str, *, visibility: int = 30, receives: int = 3) -> Queue:
    """Make a queue, and ``{name}-dlq`` for messages that were received ``receives`` times and never deleted.

    A received message is hidden from other receivers for ``visibility`` seconds.
    """
    sqs = aws.client("sqs")
    dead_letter_url, dead_letter_arn = _create_queue(sqs, f"{name}-dlq", {})
    redrive = json.dumps({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": receives})
    url, arn = _create_queue(sqs, name, {"VisibilityTimeout": str(visibility), "RedrivePolicy": redrive})
    return Queue(url, arn, dead_letter_url, dead_letter_arn)


def let_bucket_send(aws: LoopbackAws, bucket: str, queue: Queue) -> None:
    """Allow S3 to send messages to a queue for this bucket, beside those that may already."""
    sqs = aws.client("sqs")
    known = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["Policy"]).get("Attributes", {}).get("Policy")
    policy = json.loads(_service_may_send("s3.amazonaws.com", queue.arn, f"arn:aws:s3:::{bucket}", aws.account))
    if known:
        policy["Statement"] += json.loads(known)["Statement"]
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": json.dumps(policy)})


def notify_queue(
    aws: LoopbackAws,
    bucket: str,
    queue: Queue,
    *,
    events: Sequence[str] = CREATED_AND_REMOVED,
    prefix: str = "",
    suffix: str = "",
    name: str = "multicdn",
) -> None:
    """Let a bucket tell a queue of its changes, the queue's policy included. Replaces the bucket's notifications.

    AWS sends ``s3:TestEvent`` to the queue at once.
    """
    let_bucket_send(aws, bucket, queue)
    rules = [{"Name": kind, "Value": value} for kind, value in (("prefix", prefix), ("suffix", suffix)) if value]
    entry = {"Id": name, "QueueArn": queue.arn, "Events": list(events), "Filter": {"Key": {"FilterRules": rules}}}
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [entry]}
    )


def queue_depth(sqs: Any, url: str, *, delayed: bool = True) -> int:
    """Count the messages in a queue: visible and hidden ones, and those that nobody gets before their time."""
    states = ("", "NotVisible", "Delayed") if delayed else ("", "NotVisible")
    names = [f"ApproximateNumberOfMessages{state}" for state in states]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def _create_queue(sqs: Any, name: str, attributes: dict[str, str]) -> tuple[str, str]:
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def _anybody_may_read(bucket: str) -> str:
    return _policy({
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    })  # fmt: skip


def _service_may_send(service: str, queue_arn: str, source_arn: str, account: str) -> str:
    return _policy({
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": source_arn}, "StringEquals": {"aws:SourceAccount": account}},
    })  # fmt: skip


def _policy(statement: dict[str, object]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
