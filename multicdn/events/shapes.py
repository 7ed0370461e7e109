"""Shapes of what isn't S3's notification: envelopes, and other ways to tell of objects.

Told apart here are EventBridge's events of S3 (``bridge``) and of CloudTrail (``cloudtrail``), objects from Step
Functions (``step_functions``), and calls of S3 Batch Operations (``batch_operations``); the rare ones are imported when
they come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.events import bridge
from multicdn.events.s3 import Ignored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.model import Change

_OF_BATCH = frozenset(("Items", "BatchInput"))
_OF_MESSAGE = frozenset(("MessageId", "Body"))


def wrapped(content: dict[str, Any]) -> list[Any]:
    """The messages within an envelope; empty for anything else.

    Envelopes are a message of SNS, what Lambda keeps of an asynchronous event that it gave up
    (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html), and a batch of a Map state.
    """
    if content.get("Type") == "Notification":
        return _listed(content.get("Message"))
    if content.get("source") == "lambda":  # Lambda's record, by way of EventBridge
        return _listed(content.get("detail"))
    if "requestContext" in content:
        return _listed(content.get("requestPayload"))
    if "Items" in content and content.keys() <= _OF_BATCH:
        from multicdn.events import step_functions

        return step_functions.batch(content)
    return []


def printed(content: dict[str, Any]) -> list[Any]:
    """The bodies of messages as SQS's API gives them and `aws sqs receive-message` prints them; else empty."""
    messages = content.get("Messages", [content])
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        return []
    return [message["Body"] for message in messages]


def is_batch_operation(content: dict[str, Any]) -> bool:
    """Whether it is a call of S3 Batch Operations."""
    return "invocationSchemaVersion" in content and isinstance(content.get("tasks"), list)


def told(content: dict[str, Any], cause: str) -> Sequence[Change | Ignored] | None:
    """What a message tells of that isn't a notification; None if it has no shape that AWS gives to such messages.

    Raises:
        EventError: it has one, and is damaged.
    """
    if content.get("Event") == "s3:TestEvent":
        return [Ignored("TestEvent")]
    if "eventName" in content or "detail" in content:
        from multicdn.events import cloudtrail

        record = content.get("detail", content)
        if cloudtrail.is_record(record):
            return cloudtrail.read(record, cause)
    if bridge.is_event(content):
        return [bridge.from_event(content, cause)]
    detail = content.get("detail", content)
    if bridge.is_detail(detail):
        return [bridge.from_detail(detail, cause)]
    if "Key" in content:
        from multicdn.events import step_functions

        return step_functions.objects(content, cause)
    return None


def _is_message(content: object) -> bool:
    return isinstance(content, dict) and content.keys() >= _OF_MESSAGE


def _listed(message: object) -> list[Any]:
    return [] if message is None else [message]
