"""The way to the queue and to the dead letters."""

from __future__ import annotations

import logging
import os
import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.aws import sqs
from multicdn.log import emit
from multicdn.queue.message import encode
from multicdn.queue.retry import Requeue
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import Decision

QUEUE = "MULTICDN_QUEUE_URL"
DEAD_LETTERS = "MULTICDN_DLQ_URL"

# Attributes count towards the size of a message; a reason that is longer is no reason but a page.
_LONGEST_ATTRIBUTE = 1000
# Characters that SQS doesn't take: API_SendMessage.html, "Message Body".
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SENDING_TRIES = 3

# Seconds; short, since this happens at the end of an invocation.
_CONNECT, _READ = 1, 2


class Message(Struct, frozen=True):
    """A message to be sent.

    Attributes:
        body: as text.
        delay: seconds until SQS hands it out.
        attributes: what a person looks for in the console; those that are empty are left out.
    """

    body: str
    delay: int = 0
    attributes: Mapping[str, str] = {}


class RetryQueue:
    """The queue in which jobs wait, and the dead letters where they are given up.

    Args:
        client: of SQS.
        queue_url: where jobs wait.
        dead_letters_url: where they are given up; without one none can be, and the messages that asked for them are
            left to the queue's own redrive policy.
    """

    def __init__(self, client: SQSClient, queue_url: str, dead_letters_url: str = "") -> None:
        self._client = client
        self._queue_url = queue_url
        self._dead_letters_url = dead_letters_url

    def send(self, messages: Sequence[Message]) -> list[Message]:
        """Send messages to the queue, and return those that could not be sent. Never raises for what SQS does."""
        return [messages[place] for place in self._send(messages, self._queue_url)]

    def carry_out(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Send each job where it was decided that it goes.

        Returns:
            The decisions of which something could not be sent. Never raises for what SQS does.
        """
        requeued = [decision for decision in decisions if isinstance(decision, Requeue)]
        given_up = [decision for decision in decisions if not isinstance(decision, Requeue)]
        failed = self._carry_out(requeued, self._queue_url)
        return failed + (self._carry_out(given_up, self._dead_letters_url) if self._dead_letters_url else given_up)

    def _carry_out(self, decisions: Iterable[Decision], url: str) -> list[Decision]:
        pairs = [(decision, message) for decision in decisions for message in _messages_of(decision)]
        failed = self._send([message for _, message in pairs], url)
        # A job may be in several messages, and is sent again as a whole.
        return list({id(pairs[place][0]): pairs[place][0] for place in failed}.values())

    def _send(self, messages: Iterable[Message], url: str) -> list[int]:
        """Send messages to one queue, and return the places of those that could not be sent."""
        action = self._client.send_message_batch
        refusals = sqs.call_in_batches(action, url, map(_entry, messages), tries=_SENDING_TRIES)
        for (code, reason), count in Counter(refusals.values()).items():
            event = "requeue-refused" if code else "requeue-failed"
            emit(logging.ERROR, event, queue=url, messages=count, code=code, reason=reason)
        return sorted(refusals)


def messages(queued: QueuedJob, delay: int = 0, **attributes: str) -> Iterator[Message]:
    """The messages that hold a job, with its own attributes and further ones."""
    shown = {
        "provider": queued.job.provider,
        **attributes,
        "attempts": str(queued.attempt),
        "causes": " ".join(queued.origins),
    }
    for body in encode(queued):
        yield Message(body, delay, shown)


def from_environment() -> Callable[[], RetryQueue] | None:
    """What makes the retry queue that the environment names, or None. It waits until it is needed: boto3 is slow."""
    queue_url, dead_letters_url = os.environ.get(QUEUE), os.environ.get(DEAD_LETTERS)
    return partial(_make, queue_url, dead_letters_url or "") if queue_url else None


def _make(queue_url: str, dead_letters_url: str) -> RetryQueue:
    from botocore.config import Config

    limits = Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})
    return RetryQueue(sqs.client(queue_url, limits), queue_url, dead_letters_url)


def _messages_of(decision: Decision) -> Iterator[Message]:
    delay = decision.delay if isinstance(decision, Requeue) else 0
    return messages(decision.queued, delay, status=str(decision.status), reason=redact(decision.reason))


def _entry(message: Message) -> dict[str, Any]:
    """A message as SendMessageBatch wants it. It refuses attributes that are empty or hold characters of no text."""
    shown = {name: _REFUSED.sub("?", value)[:_LONGEST_ATTRIBUTE] for name, value in message.attributes.items()}
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in shown.items() if value}
    return {"MessageBody": message.body, "DelaySeconds": message.delay, "MessageAttributes": typed}
