"""The way to the queue and to the dead letters."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from multicdn.aws import sqs
from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.errors import ConfigError
from multicdn.log import emit
from multicdn.patterns import lazy_pattern
from multicdn.queue.message import LARGEST, encode
from multicdn.queue.retry import Requeue
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.aws.sqs import Refusal
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import Decision
    from multicdn.queue.waiting import Unrouted

_Decided = TypeVar("_Decided")

QUEUE = "MULTICDN_QUEUE_URL"
DEAD_LETTERS = "MULTICDN_DLQ_URL"

# Attributes count towards the size of a message; a reason that is longer is no reason but a page.
_LONGEST_ATTRIBUTE = 1000
# Characters that SQS doesn't take: API_SendMessage.html, "Message Body". Compiled when there is something to send.
_REFUSED = "[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"

_SENDING_TRIES = 3

# Bytes that a queue takes of one message, attributes included, unless it says that it takes less.
_LARGEST = 256 * 1024
# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html: MaximumMessageSize
_LEAST_OF_QUEUES = 1024
_TOO_LARGE = lazy_pattern(r"must be shorter than (\d{1,9}) bytes")
# Parts of that size that are left for all attributes, and characters that one of them may have.
_ROOM_SHARE, _ATTRIBUTE_SHARE = 16, 256

# Seconds, for callers without a deadline.
_LONGEST_SENDING = 60.0

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

    What SQS has not confirmed message by message counts as not sent, and nothing outlasts its time: a queue that hangs
    is left behind.

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
        # Bytes that each queue takes of one message, where it has refused one for its size.
        self._largest: dict[str, int] = {}

    def send(self, messages: Sequence[Message], seconds: float = _LONGEST_SENDING) -> dict[int, Refusal]:
        """Send messages to the queue, and return why some were not sent in time, by their places.

        Never raises for what SQS does, and logs nothing: whoever sends them says so to a person.
        """
        until = time.monotonic() + seconds
        return _Sending(self._client.send_message_batch, self._queue_url, messages, until).refusals()

    def carry_out(self, decisions: Sequence[Decision], seconds: float = _LONGEST_SENDING) -> list[Decision]:
        """Send each job where it was decided that it goes, within so many seconds.

        Returns:
            The decisions of which something was not sent. Never raises for what SQS does.
        """
        until = time.monotonic() + seconds
        requeued = [decision for decision in decisions if isinstance(decision, Requeue)]
        given_up = [decision for decision in decisions if not isinstance(decision, Requeue)]
        failed = self._carry_out(requeued, self._queue_url, until, _messages_of)
        return failed + (
            self._carry_out(given_up, self._dead_letters_url, until, _messages_of)
            if self._dead_letters_url
            else given_up
        )

    def carry_out_unrouted(self, groups: Sequence[Unrouted], seconds: float = _LONGEST_SENDING) -> list[Unrouted]:
        """Send changes that wait to the queue, and those that are given up to the dead letters.

        Returns:
            Those of which something was not sent.
        """
        until = time.monotonic() + seconds
        failed: list[Unrouted] = []
        for given_up, url in ((False, self._queue_url), (True, self._dead_letters_url)):
            chosen = [group for group in groups if (group.delay is None) is given_up]
            failed += self._carry_out(chosen, url, until, _messages_of_unrouted) if url else chosen
        return failed

    def _carry_out(
        self, decisions: Sequence[_Decided], url: str, until: float, write: Callable[[_Decided, int], Iterator[Message]]
    ) -> list[_Decided]:
        failed, smaller = self._tried(decisions, url, until, write)
        if smaller:
            # The queue has told how much it takes, and remembers what it told us.
            again, _ = self._tried(smaller, url, until, write)
            failed += again
        return failed

    def _tried(
        self, decisions: Sequence[_Decided], url: str, until: float, write: Callable[[_Decided, int], Iterator[Message]]
    ) -> tuple[list[_Decided], list[_Decided]]:
        """Send what was decided, and return what was not sent, and what was too large and may go in parts."""
        largest = self._largest.get(url, _LARGEST)
        pairs = [(decision, message) for decision in decisions for message in write(decision, largest)]
        refusals = self._send([message for _, message in pairs], url, until)
        limits = [int(found[1]) for refusal in refusals.values() if (found := _TOO_LARGE.search(refusal.reason))]
        if limits and min(limits) < largest:
            self._largest[url] = max(min(limits), _LEAST_OF_QUEUES)
        # A job may be in several messages, and is sent again as a whole.
        failed = {id(pairs[place][0]): (pairs[place][0], refusal) for place, refusal in sorted(refusals.items())}
        large = self._largest.get(url, _LARGEST) < largest
        parted = [decision for decision, refusal in failed.values() if large and _TOO_LARGE.search(refusal.reason)]
        kept = set(map(id, parted))
        return [decision for decision, _ in failed.values() if id(decision) not in kept], parted

    def _send(self, messages: Sequence[Message], url: str, until: float) -> dict[int, Refusal]:
        """Send messages to one queue, and return why some were not sent, by their places."""
        sending = _Sending(self._client.send_message_batch, url, messages, until)
        refusals = sending.refusals()
        for (code, reason), count in Counter(refusals.values()).items():
            event = "requeue-refused" if code else "requeue-failed"
            emit(logging.ERROR, event, queue=url, messages=count, code=code, reason=reason)
        return refusals


class _Sending:
    """Messages on their way to one queue. The time limits of a connection are between two reads, hence the thread."""

    def __init__(self, action: Callable[..., Any], url: str, messages: Sequence[Message], until: float) -> None:
        self._action, self._url, self._messages, self._until = action, url, messages, until
        self._open: dict[int, Refusal] = dict.fromkeys(range(len(messages)), sqs.TOO_LATE)
        self._lock = threading.Lock()

    def refusals(self) -> dict[int, Refusal]:
        """Send them, and return why some were not sent, by their places, at the latest when the time is up."""
        if self._messages:
            thread = threading.Thread(target=self._run, name="multicdn-queue", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread is left; the connection's own limits have to do
                self._run()
            else:
                thread.join(max(0.0, self._until - time.monotonic()))
        with self._lock:
            return dict(self._open)

    def _run(self) -> None:
        entries = map(_entry, self._messages)
        answers = sqs.called_in_batches(self._action, self._url, entries, tries=_SENDING_TRIES, until=self._until)
        with bounded(self._until - time.monotonic(), ANY_LENGTH):
            for batch in answers:
                self._note(batch)

    def _note(self, batch: Mapping[int, Refusal | None]) -> None:
        with self._lock:
            for place, refusal in batch.items():
                if refusal is None:
                    del self._open[place]
                else:
                    self._open[place] = refusal


def messages(queued: QueuedJob, delay: int = 0, largest: int = _LARGEST, **attributes: str) -> Iterator[Message]:
    """The messages that hold a job, with its own attributes and further ones; none has more bytes than ``largest``."""
    shown = {
        "provider": queued.job.provider,
        **attributes,
        "attempts": str(queued.attempt),
        "causes": " ".join(queued.origins),
    }
    for body in encode(queued, _room_for_body(largest)):
        yield Message(body, delay, _cut(shown, largest))


def from_environment() -> Callable[[], RetryQueue] | None:
    """What makes the retry queue that the environment names, or None.

    Raises:
        ConfigError: a queue can't be used for it.
    """
    queue_url, dead_letters_url = os.environ.get(QUEUE), os.environ.get(DEAD_LETTERS)
    for name, url in ((QUEUE, queue_url), (DEAD_LETTERS, dead_letters_url)):
        if url and url.endswith(".fifo"):
            reason = "is a FIFO queue, which can't delay one message and not the next; name a standard queue"
            raise ConfigError([f"{name}: {url} {reason}"])
    return partial(_make, queue_url, dead_letters_url or "") if queue_url else None


def _make(queue_url: str, dead_letters_url: str) -> RetryQueue:
    from botocore.config import Config

    limits = Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})
    return RetryQueue(sqs.client(queue_url, limits), queue_url, dead_letters_url)


def _messages_of(decision: Decision, largest: int) -> Iterator[Message]:
    delay, seen = (decision.delay, "") if isinstance(decision, Requeue) else (0, redact(decision.seen))
    about = {"status": str(decision.status), "reason": redact(decision.reason), "seen": seen}
    return messages(decision.queued, delay, largest, **about)


def _messages_of_unrouted(group: Unrouted, largest: int) -> Iterator[Message]:
    shown = {
        "status": group.status,
        "reason": redact(group.reason),
        "attempts": str(group.waiting.attempt),
        "causes": " ".join(group.waiting.origins),
    }
    for body in group.bodies(_room_for_body(largest)):
        yield Message(body, group.delay or 0, _cut(shown, largest))


def _room_for_body(largest: int) -> int:
    return min(LARGEST, largest - largest // _ROOM_SHARE)


def _cut(attributes: Mapping[str, str], largest: int) -> dict[str, str]:
    return {name: value[: largest // _ATTRIBUTE_SHARE] for name, value in attributes.items()}


def _entry(message: Message) -> dict[str, Any]:
    """A message as SendMessageBatch wants it. It refuses attributes that are empty or hold characters of no text."""
    shown = {name: re.sub(_REFUSED, "?", value)[:_LONGEST_ATTRIBUTE] for name, value in message.attributes.items()}
    typed = {name: {"DataType": "String", "StringValue": value} for name, value in shown.items() if value}
    return {"MessageBody": message.body, "DelaySeconds": message.delay, "MessageAttributes": typed}
