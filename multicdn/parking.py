"""What becomes of jobs that an invocation could not deliver: they wait in the queue, or go to the dead letters.

A job of one provider becomes messages of its own, and the messages that asked for it are done. So a vendor in trouble
costs only its own jobs another try, and none of the others.
"""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn import queue
from multicdn.model import Status
from multicdn.queue import Parked
from multicdn.secrets import redact
from multicdn.telemetry import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.events import Intake
    from multicdn.model import Job, Outcome, Report

QUEUE = "MULTICDN_QUEUE_URL"
DEAD_LETTERS = "MULTICDN_DLQ_URL"

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
_MOST_ENTRIES = 10
_MOST_BYTES = 256 * 1024
_LONGEST_DELAY = 900

# Attributes count towards the size of a message; a reason longer than this is no reason but a page.
_LONGEST_REASON = 1000
# Characters that SQS doesn't take: API_SendMessage.html, "Message Body".
_REFUSED = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_SENDING_TRIES = 3


class Patience(Struct, frozen=True, kw_only=True):
    """For how long jobs are tried, over many invocations.

    Attributes:
        give_up_after: seconds from the first message on after which a job becomes a dead letter.
        first_delay: seconds that a job waits after its first failure; each further time twice as long.
        refused_attempts: how many invocations may be refused for their credentials. They may be rotated meanwhile.
    """

    give_up_after: float = 6 * 3600.0
    first_delay: float = 30.0
    refused_attempts: int = 6


class Letter(Struct, frozen=True):
    """A message to be sent.

    Attributes:
        parked: the job in it.
        body: as text.
        delay: seconds until SQS hands it out; 0 for a dead letter.
        dead: whether it goes to the dead letters.
        status, reason: why the job was not delivered.
        messages: ids of the messages that are done once this is sent.
    """

    parked: Parked
    body: str
    delay: int
    dead: bool
    status: Status
    reason: str
    messages: frozenset[str]


class Standing(Struct, frozen=True):
    """What is known of the messages of an invocation.

    Attributes:
        sent: when each was sent, in seconds since 1970; for a parked job, when its first cause was.
        attempts: how often each parked job was tried before.
        origins: ids of the messages that asked for a parked job at first.
    """

    sent: Mapping[str, float]
    attempts: Mapping[str, int]
    origins: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, intake: Intake) -> Standing:
        """What an invocation's intake tells of its messages."""
        by_message = {next(iter(parked.job.messages)): parked for parked in intake.parked}
        return cls(
            sent={**intake.sent, **{cause: parked.since for cause, parked in by_message.items()}},
            attempts={cause: parked.attempt for cause, parked in by_message.items()},
            origins={cause: parked.origins for cause, parked in by_message.items()},
        )


def letters(
    report: Report, standing: Standing, patience: Patience, now: float, jitter: Callable[[float], float] | None = None
) -> list[Letter]:
    """Decide what becomes of every job that was not delivered. Pure, but for the jitter.

    Args:
        report: of the invocation.
        standing: of its messages.
        patience: how long to try.
        now: seconds since 1970.
        jitter: draws from 0 to its argument.
    """
    draw = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
    found = []
    for outcome in report.undelivered:
        for parked in _by_age(outcome, standing, patience, now):
            dead = _is_dead(outcome, parked, patience, now)
            delay = 0 if dead else _delay(outcome, parked.attempt, patience, draw)
            found += [
                Letter(parked, body, delay, dead, outcome.status, outcome.reason, parked.job.messages)
                for body in queue.encode(parked)
            ]
    return found


def _by_age(outcome: Outcome, standing: Standing, patience: Patience, now: float) -> Iterator[Parked]:
    """The job, with its old targets apart from the young: giving up on those must not cost these their time."""
    job = outcome.job
    sent = [min((standing.sent.get(cause, now) for cause in causes), default=now) for causes in job.causes]
    limit = now - patience.give_up_after
    old = [target for target, at in zip(job.targets, sent, strict=True) if at <= limit]
    for part in (job.only(old), job.without(old)) if old else (job,):
        if part is not None:
            yield _parked(part, standing, now)


def _parked(job: Job, standing: Standing, now: float) -> Parked:
    causes = job.messages
    attempt = 1 + max((standing.attempts.get(cause, 0) for cause in causes), default=0)
    since = min((standing.sent.get(cause, now) for cause in causes), default=now)
    first = frozenset(origin for cause in causes for origin in standing.origins.get(cause, (cause,)))
    return Parked(job, attempt, since, queue.some(first))


def _is_dead(outcome: Outcome, parked: Parked, patience: Patience, now: float) -> bool:
    if outcome.status in (Status.REJECTED, Status.REFUSED):
        return True
    if outcome.status is Status.UNAUTHORIZED and parked.attempt >= patience.refused_attempts:
        return True
    return now - parked.since >= patience.give_up_after


def _delay(outcome: Outcome, attempt: int, patience: Patience, draw: Callable[[float], float]) -> int:
    """Whole seconds: growing, spread, never less than the vendor asked for, and no more than SQS can."""
    grown = min(_LONGEST_DELAY, patience.first_delay * 2.0 ** (attempt - 1))
    spread = grown / 2 + draw(grown / 2)
    return min(_LONGEST_DELAY, int(max(spread, outcome.after or 0.0) + 0.999))


class Parking:
    """Sends letters to the queue and to the dead letters.

    Args:
        sqs: boto3 client.
        queue_url, dead_letters_url: where to.
    """

    def __init__(self, sqs: SQSClient, queue_url: str, dead_letters_url: str) -> None:
        self._sqs = sqs
        self._urls = {False: queue_url, True: dead_letters_url}

    def send(self, found: Sequence[Letter]) -> list[Letter]:
        """Send all letters, and return those that could not be sent. Never raises for what SQS does."""
        failed = []
        for dead in (False, True):
            for batch in _batches([letter for letter in found if letter.dead is dead]):
                failed += self._send(batch, dead=dead)
        return failed

    def _send(self, batch: list[Letter], *, dead: bool) -> list[Letter]:
        for _ in range(_SENDING_TRIES):
            try:
                batch = self._try_to_send(batch, dead=dead)
            except Exception as error:  # noqa: BLE001 - whatever it is, the messages that asked for these come back
                emit(logging.ERROR, "parking-failed", error=redact(f"{type(error).__name__}: {error}"))
                continue
            if not batch:
                break
        return batch

    def _try_to_send(self, batch: list[Letter], *, dead: bool) -> list[Letter]:
        """Send a batch, and return the part that SQS didn't take: it may take some and refuse others."""
        entries: Any = [_entry(place, letter) for place, letter in enumerate(batch)]
        answer = self._sqs.send_message_batch(QueueUrl=self._urls[dead], Entries=entries)
        failed = answer.get("Failed", [])
        for entry in failed:
            emit(logging.WARNING, "parking-refused", code=entry.get("Code"), reason=entry.get("Message"))
        return [batch[int(entry["Id"])] for entry in failed]


def from_environment() -> Callable[[], Parking] | None:
    """What makes the parking that the environment names, or None. It imports boto3, so it waits until it is needed."""
    queue_url, dead_letters_url = os.environ.get(QUEUE), os.environ.get(DEAD_LETTERS)
    return partial(_make, queue_url, dead_letters_url or queue_url) if queue_url else None


def _make(queue_url: str, dead_letters_url: str) -> Parking:
    import boto3
    from botocore.config import Config

    # Short limits: this happens in the last seconds of an invocation.
    limits = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
    return Parking(boto3.client("sqs", config=limits), queue_url, dead_letters_url)


def _batches(found: Iterable[Letter]) -> Iterator[list[Letter]]:
    batch: list[Letter] = []
    size = 0
    for letter in found:
        weight = len(letter.body) + 3 * _LONGEST_REASON
        if batch and (len(batch) == _MOST_ENTRIES or size + weight > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(letter)
        size += weight
    if batch:
        yield batch


def _entry(place: int, letter: Letter) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": str(place), "MessageBody": letter.body, "DelaySeconds": letter.delay}
    attributes = {
        "provider": letter.parked.job.provider,
        "status": str(letter.status),
        "reason": _clean(redact(letter.reason))[:_LONGEST_REASON],
        "attempts": str(letter.parked.attempt),
        "causes": " ".join(letter.parked.origins),
    }
    entry["MessageAttributes"] = {
        name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
    }
    return entry


def _clean(text: str) -> str:
    return _REFUSED.sub("?", text)
