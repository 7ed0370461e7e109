"""What Lambda makes of SQS messages, and of a function's reply to them, for those who call the handler themselves.

Shapes and rules: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html and services-sqs-errorhandling.html
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef


def sqs_event(messages: Iterable[MessageTypeDef], queue_arn: str) -> dict[str, Any]:
    """Make the event that Lambda would make of messages received with all their attributes."""
    region = queue_arn.split(":")[3]
    return {"Records": [_record(message, queue_arn, region) for message in messages]}


def failed_messages(reply: object, ids: Sequence[str]) -> frozenset[str]:
    """Which messages a function's reply leaves in the queue, if partial batch responses are reported.

    Args:
        reply: what the function returned.
        ids: the messages of the batch.

    Returns:
        None of them if the reply is null, or its ``batchItemFailures`` is missing, null or empty. All of them if the
        reply has another form, or names a message that isn't in the batch. Else those that it names.
    """
    everything = frozenset(ids)
    if reply is None:
        return frozenset()
    if not isinstance(reply, dict):
        return everything
    failures = reply.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return everything
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    known = [name for name in named if isinstance(name, str) and name in everything]
    return frozenset(known) if len(known) == len(named) else everything


def _record(message: MessageTypeDef, queue_arn: str, region: str) -> dict[str, Any]:
    given = message.get("MessageAttributes", {})
    record: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {name: _attribute(value) for name, value in given.items()},
        "md5OfBody": message.get("MD5OfBody", ""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: MessageAttributeValueOutputTypeDef) -> dict[str, Any]:
    """An attribute as Lambda spells it: lower case, bytes in base64, and two lists that SQS has never filled."""
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        attribute["binaryValue"] = base64.b64encode(value["BinaryValue"]).decode()
    return attribute
