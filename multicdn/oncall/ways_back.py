"""Where messages are sent back to, to begin anew."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from multicdn.aws import sqs
from multicdn.oncall import letters
from multicdn.queue import message as codec
from multicdn.queue import waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.oncall.letters import Letter


class WayBack(Protocol):
    """Where messages are sent back to. Its text names it."""

    def bodies(self, message: Letter) -> Sequence[str]:
        """The texts to send for a message; none if it can't go this way."""

    def send(self, body: str) -> bool:
        """Send one, and return whether it was confirmed."""


class ToQueue:
    """The way back by the queue before the function.

    Args:
        client: of SQS.
        url: of the queue.
    """

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self._url = url

    def __str__(self) -> str:
        return self._url

    def bodies(self, message: Letter) -> Sequence[str]:
        """A job begins anew, with its age; anything else goes back as it was."""
        now = time.time()
        if message.queued is None:
            return [waiting.renewed(message.body, now)]
        return list(codec.encode(msgspec.structs.replace(message.queued, attempt=0, since=now, refusals=0)))

    def send(self, body: str) -> bool:
        """Send a message."""
        return sqs.is_confirmed(self._client.send_message(QueueUrl=self._url, MessageBody=body))


class ToFunction:
    """The way back to a function that has no queue before it: an asynchronous invocation, as S3 makes one.

    If that fails, too, Lambda puts the event among the dead letters again.

    Args:
        client: of Lambda.
        name: of the function, or its ARN; with the alias where it has one, since the destination for failures is the
            alias's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def __str__(self) -> str:
        return self._name

    def bodies(self, message: Letter) -> Sequence[str]:
        """The event that Lambda gave up; none for a job, which the function takes from its queue alone, and no JSON."""
        content = letters.content_of(message.body)
        if not content or codec.MARK in content:
            return []
        given_up = letters.record_of_lambda(message.body)
        return [json.dumps(given_up["requestPayload"]) if given_up is not None else message.body]

    def send(self, body: str) -> bool:
        """Have the function invoked: 202 says that Lambda has the event (its API reference, Invoke)."""
        answer = self._client.invoke(FunctionName=self._name, InvocationType="Event", Payload=body.encode())
        return bool(answer.get("StatusCode") == HTTPStatus.ACCEPTED)
