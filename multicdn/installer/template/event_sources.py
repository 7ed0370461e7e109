"""How events get from the buckets to the function: the parts of the template that depend on the trigger."""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from multicdn.installer.template.role import ACCOUNT, PARTITION, REGION
from multicdn.model import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.installer.notifications.prefixes import Covered

Resources = dict[str, dict[str, Any]]

ALIAS = "live"

# https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html: characters of a pattern.
_LONGEST_PATTERN = 2048

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html; "Object Deleted" is lifecycle's word too.
_DETAIL_TYPES = {
    ChangeKind.CREATED: ("Object Created",),
    ChangeKind.REMOVED: ("Object Deleted",),
    ChangeKind.ACCESS: (
        "Object ACL Updated",
        "Object Tags Added",
        "Object Tags Deleted",
        "Object Restore Completed",
        "Object Restore Expired",
    ),
}


def bucket_to_queue(buckets: Iterable[str]) -> Resources:
    """The permission for S3 to send what happens in these buckets, and no other, to the queue."""
    sources = [f"arn:{PARTITION}:s3:::{bucket}" for bucket in buckets]
    condition = {"ArnEquals": {"aws:SourceArn": sources}, "StringEquals": {"aws:SourceAccount": ACCOUNT}}
    return {"BucketsMaySend": _may_send("Queue", "s3.amazonaws.com", condition)}


def bucket_to_function(buckets: Iterable[str], callee: object, *, alias: bool) -> Resources:
    """The permission for S3 to call the function for these buckets, and what becomes of events that it fails on."""
    resources: Resources = {f"Bucket{_camel(bucket)}MayInvoke": _may_invoke(bucket, callee) for bucket in buckets}
    resources["EventInvokeConfig"] = {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "DestinationConfig": {"OnFailure": {"Destination": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}}},
            "FunctionName": {"Ref": "Function"},
            "MaximumRetryAttempts": 2,
            "Qualifier": ALIAS if alias else "$LATEST",
        },
    }
    if alias:
        resources["EventInvokeConfig"]["DependsOn"] = "Alias"
    return resources


def eventbridge_to_queue(parts: Sequence[Covered]) -> Resources:
    """A rule for each group of prefixes, and its permission to send to the queues."""
    rules = {name: _rule(name, pattern) for name, pattern in rule_patterns(parts).items()}
    condition = {"ArnEquals": {"aws:SourceArn": [{"Fn::GetAtt": [name, "Arn"]} for name in rules]}}
    return {
        **rules,
        "RulesMaySend": _may_send("Queue", "events.amazonaws.com", condition),
        "RulesMaySendDeadLetters": _may_send("DeadLetterQueue", "events.amazonaws.com", condition),
    }


def accounts_to_bus(accounts: Iterable[str]) -> Resources:
    """The permission for other accounts to forward what S3 says to the default event bus.

    docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-example-policy-cross-account-custom-bus-source.html
    """
    return {
        f"Account{account}MayForward": {
            "Type": "AWS::Events::EventBusPolicy",
            "Properties": {
                "StatementId": f"${{AWS::StackName}}-{account}",
                "Statement": {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:{PARTITION}:iam::{account}:root"},
                    "Action": "events:PutEvents",
                    "Resource": f"arn:{PARTITION}:events:{REGION}:{ACCOUNT}:event-bus/default",
                    "Condition": {"ForAllValues:StringEquals": {"events:source": "aws.s3"}},
                },
            },
        }
        for account in accounts
    }


def rule_patterns(parts: Sequence[Covered]) -> dict[str, dict[str, Any]]:
    """Event patterns by the logical id of their rule, one for each group of prefixes."""
    return {
        name: pattern
        for bucket, kinds, prefixes in _groups(parts)
        for name, pattern in _patterns(bucket, kinds, prefixes)
    }


def _may_send(queue: str, service: str, condition: dict[str, Any]) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": {"Fn::GetAtt": [queue, "Arn"]},
        "Condition": condition,
    }
    return {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {
            "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            "Queues": [{"Ref": queue}],
        },
    }


def _may_invoke(bucket: str, callee: object) -> dict[str, Any]:
    return {
        "Type": "AWS::Lambda::Permission",
        "Properties": {
            "Action": "lambda:InvokeFunction",
            "FunctionName": callee,
            "Principal": "s3.amazonaws.com",
            "SourceAccount": ACCOUNT,
            "SourceArn": f"arn:{PARTITION}:s3:::{bucket}",
        },
    }


def _groups(parts: Sequence[Covered]) -> Iterator[tuple[str, tuple[ChangeKind, ...], list[str]]]:
    groups: dict[tuple[str, tuple[ChangeKind, ...]], list[str]] = {}
    for part in parts:
        groups.setdefault((part.bucket, part.kinds), []).append(part.prefix)
    for (bucket, kinds), prefixes in groups.items():
        yield bucket, kinds, prefixes


def _patterns(bucket: str, kinds: tuple[ChangeKind, ...], prefixes: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Patterns with their names, as many as it takes to keep each below its limit."""
    name = f"Bucket{_camel(bucket)}{''.join(kind.capitalize() for kind in kinds)}Rule"
    chunk: list[str] = []
    number = 1
    for prefix in prefixes:
        if chunk and len(json.dumps(_pattern(bucket, kinds, [*chunk, prefix]))) > _LONGEST_PATTERN:
            yield f"{name}{number}", _pattern(bucket, kinds, chunk)
            chunk, number = [], number + 1
        chunk.append(prefix)
    yield f"{name}{number}", _pattern(bucket, kinds, chunk)


def _pattern(bucket: str, kinds: tuple[ChangeKind, ...], prefixes: list[str]) -> dict[str, Any]:
    detail: dict[str, Any] = {"bucket": {"name": [bucket]}}
    if "" not in prefixes:
        detail["object"] = {"key": [{"prefix": prefix} for prefix in prefixes]}
    return {
        "source": ["aws.s3"],
        "detail-type": [what for kind in kinds for what in _DETAIL_TYPES[kind]],
        "detail": detail,
    }


def rule_name(logical_id: str) -> str:
    """What stands behind the stack's name in the name of a rule.

    A rule's name has 64 characters. Of a longer one, CloudFormation would shorten the stack's name too, by which
    permissions and other rules are told from ours.
    """
    return f"Bucket-{hashlib.sha256(logical_id.encode()).hexdigest()[:12]}"


def _rule(logical_id: str, pattern: dict[str, Any]) -> dict[str, Any]:
    target = {
        "Arn": {"Fn::GetAtt": ["Queue", "Arn"]},
        "DeadLetterConfig": {"Arn": {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}},
        "Id": "multicdn",
    }
    return {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": pattern,
            "Name": f"${{AWS::StackName}}-{rule_name(logical_id)}",
            "State": "ENABLED",
            "Targets": [target],
        },
    }


def _camel(bucket: str) -> str:
    """A logical id: letters and digits alone, readable, and different for each bucket."""
    words = "".join(word.capitalize() for word in re.findall(r"[a-z0-9]+", bucket))
    return f"{words}{hashlib.sha256(bucket.encode()).hexdigest()[:6]}"
