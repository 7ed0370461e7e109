"""The way to the queue and to the dead letters, for what an invocation could not deliver."""

from __future__ import annotations

import logging
import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from multicdn.secrets import redact
from multicdn.telemetry import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.queue.retry import Letter

QUEUE = "MULTICDN_QUEUE_URL"
DEAD_LETTERS = "MULTICDN_DLQ_URL"

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_MOST_ENTRIES = 10
_MOST_BYTES = 256 * 1024

# Attributes count towards the size of a message; a reason that is longer is no reason but a page.
_LONGEST_ATTRIBUTE = 1000
# Characters that SQS doesn't take: API_SendMessage.html, "Message Body".
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SENDING_TRIES = 3


class Parking:
    """Sends letters to the queue and to the dead letters.

    Args:
        sqs: boto3 client.
        queue_url: where jobs wait.
        dead_letters_url: where they are given up; without one none can be, and the messages that asked for them are
            left to the queue's own redrive policy.
    """

    def __init__(self, sqs: SQSClient, queue_url: str, dead_letters_url: str = "") -> None:
        self._sqs = sqs
        self._urls = {False: queue_url, True: dead_letters_url}

    def send(self, found: Sequence[Letter]) -> list[Letter]:
        """Send all letters, and return those that could not be sent. Never raises for what SQS does."""
        failed = []
        for dead, url in self._urls.items():
            chosen = [letter for letter in found if letter.dead is dead]
            if not url:
                failed += chosen
                continue
            for batch in _batches(chosen):
                failed += self._send(batch, url)
        return failed

    def _send(self, batch: list[Letter], url: str) -> list[Letter]:
        for _ in range(_SENDING_TRIES):
            try:
                batch = self._try_to_send(batch, url)
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages that asked for these come back
                emit(logging.ERROR, "parking-failed", error=redact(f"{type(error).__name__}: {error}"))
                continue
            if not batch:
                break
        return batch

    def _try_to_send(self, batch: list[Letter], url: str) -> list[Letter]:
        """Send a batch, and return the part that SQS didn't take: it may take some and refuse others."""
        entries: Any = [{"Id": str(place), **_entry(letter)} for place, letter in enumerate(batch)]
        answer = self._sqs.send_message_batch(QueueUrl=url, Entries=entries)
        failed = answer.get("Failed", [])
        for entry in failed:
            emit(logging.WARNING, "parking-refused", code=entry.get("Code"), reason=entry.get("Message"))
        return [batch[int(entry["Id"])] for entry in failed]


def from_environment() -> Callable[[], Parking] | None:
    """What makes the parking that the environment names, or None. It imports boto3, so it waits until it is needed."""
    queue_url, dead_letters_url = os.environ.get(QUEUE), os.environ.get(DEAD_LETTERS)
    return partial(_make, queue_url, dead_letters_url or "") if queue_url else None


def _make(queue_url: str, dead_letters_url: str) -> Parking:
    import boto3
    from botocore.config import Config

    # Short limits: this happens in the last seconds of an invocation.
    limits = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    return Parking(boto3.session.Session().client("sqs", config=limits), queue_url, dead_letters_url)


def _batches(found: Iterable[Letter]) -> Iterator[list[Letter]]:
    batch: list[Letter] = []
    size = 0
    for letter in found:
        weight = _weight(_entry(letter))
        if batch and (len(batch) == _MOST_ENTRIES or size + weight > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += weight
    if batch:
        yield batch


def _entry(letter: Letter) -> dict[str, Any]:
    """What SendMessageBatch is told of a letter. Values that are empty, or hold characters of no text, it refuses."""
    attributes = {
        "provider": letter.parked.job.provider,
        "status": str(letter.status),
        "reason": redact(letter.reason),
        "attempts": str(letter.parked.attempt),
        "causes": " ".join(letter.parked.origins),
    }
    shown = {name: _REFUSED.sub("?", value)[:_LONGEST_ATTRIBUTE] for name, value in attributes.items()}
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in shown.items() if value}
    return {"MessageBody": letter.body, "DelaySeconds": letter.delay, "MessageAttributes": typed}


def _weight(entry: dict[str, Any]) -> int:
    """Bytes that count towards SQS's limit: the body, and of each attribute the name, the type and the value."""
    attributes = entry["MessageAttributes"].items()
    return len(entry["MessageBody"]) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode()) for name, value in attributes
    )
