"""A queue that people look into: receiving its messages, giving them back, sending them on, dropping them.

SQS shows a message only to whoever receives it, which hides it from others for a while and counts as one of the
receives after which a redrive policy takes it for a dead letter. So what is looked at is given back as soon as the look
is over, however it ends, and no look leaves the function with less than half of the receives: a message that has fewer
is put in again as it is, and the new one counts from nothing.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import TYPE_CHECKING

from multicdn.aws import sqs
from multicdn.errors import MulticdnError
from multicdn.oncall import letters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mypy_boto3_sqs import SQSClient

    from multicdn.aws.sqs import Entry
    from multicdn.oncall.letters import Letter
    from multicdn.oncall.ways_back import WayBack

# Seconds for which messages are hidden from others while they are looked at. Only a process that is killed, or answers
# of SQS that were lost on the way, let them pass.
LOOKED_AT = 60
# Reading ends before the first messages show again.
_READING = 45.0
# And before it fills the memory: a message may have 256 KiB, with targets that are packed.
_MOST_BYTES = 32 * 1024 * 1024

# An empty answer of a short poll proves nothing, as it asks only some of the servers.
_WAIT = 1


class QueueError(MulticdnError):
    """SQS didn't do what was asked; the text says which part was done."""


class MessageQueue:
    """A queue that is looked into.

    Args:
        client: of SQS.
        url: of the queue.
        receives: after how many its redrive policy moves a message; None where it has none.
        otherwise: the reason of messages that have none.

    Attributes:
        complete: whether all that could be received was, in the time and the memory that a look has.
    """

    def __init__(
        self, client: SQSClient, url: str, receives: int | None = None, otherwise: str = letters.TOO_OFTEN
    ) -> None:
        self._client = client
        self._url = url
        self._most = math.inf if receives is None else receives // 2
        self._otherwise = otherwise
        self._held: dict[str, Letter] = {}
        self.complete = True

    @contextlib.contextmanager
    def opened(self, seconds: int = LOOKED_AT) -> Iterator[list[Letter]]:
        """All messages, hidden from others within the block; those that stay are shown again however it ends.

        Args:
            seconds: for which they are hidden at most, counted from when all are there.

        Raises:
            QueueError: SQS could not be asked to show them.
        """
        try:
            yield self._read(seconds)
        except BaseException:
            # Whatever else goes wrong now, this is what to be told of.
            with contextlib.suppress(QueueError):
                self._release()
            raise
        self._release()

    def _read(self, seconds: int) -> list[Letter]:
        until, size = time.monotonic() + _READING, 0
        while self.complete:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=sqs.MOST_AT_ONCE,
                VisibilityTimeout=LOOKED_AT,
                WaitTimeSeconds=_WAIT,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )
            before = len(self._held)
            found = [letters.read(message, self._otherwise) for message in answer.get("Messages", [])]
            self._held |= {letter.id: letter for letter in found}
            if len(self._held) == before:
                break
            size += sum(len(letter.body) for letter in found)
            self.complete = size < _MOST_BYTES and time.monotonic() < until
        return self._hold(seconds) if seconds > LOOKED_AT else list(self._held.values())

    def _hold(self, seconds: int) -> list[Letter]:
        """Hide them for longer, and return those that are."""
        held = list(self._held.values())
        refusals = self._change_visibility(held, seconds)
        return [letter for place, letter in enumerate(held) if place not in refusals]

    def _release(self) -> None:
        """Show messages to others again; whoever is impatient gets no less of it."""
        try:
            self._show_again()
        except KeyboardInterrupt:
            self._show_again()
            raise

    def _show_again(self) -> None:
        """Give back what is held, and put in again what others have looked at too often.

        SQS refuses to show what is shown again anyhow, and says so with a code.
        """
        held = list(self._held.values())
        refusals = self._change_visibility([letter for letter in held if letter.receives <= self._most], 0)
        problems = [reason for code, reason in refusals.values() if not code]
        problems += self._renew([letter for letter in held if letter.receives > self._most])
        self._held.clear()
        if problems:
            raise QueueError(f"{problems[0]}; the messages show again in some minutes")

    def _change_visibility(self, messages: Sequence[Letter], seconds: int) -> dict[int, sqs.Refusal]:
        entries = [{"ReceiptHandle": message.receipt, "VisibilityTimeout": seconds} for message in messages]
        return sqs.call_in_batches(self._client.change_message_visibility_batch, self._url, entries)

    def _renew(self, messages: Sequence[Letter]) -> list[str]:
        """Send each again as it is, delete what was confirmed, and say why others weren't."""
        refusals = sqs.call_in_batches(self._client.send_message_batch, self._url, map(_copy, messages))
        sent = [message for place, message in enumerate(messages) if place not in refusals]
        entries = [{"ReceiptHandle": message.receipt} for message in sent]
        kept = sqs.call_in_batches(self._client.delete_message_batch, self._url, entries)
        for message in sent:
            self._held.pop(message.id, None)
        self._change_visibility([messages[place] for place in refusals], 0)
        return [
            f"{message} could not be put in again, to be received as often as a new one: {reason}"
            for message, (_, reason) in zip(
                [messages[place].id for place in refusals] + [sent[place].id for place in kept],
                [*refusals.values(), *kept.values()],
                strict=True,
            )
        ]

    def drop(self, messages: Iterable[Letter], progress: Callable[[int], None] = lambda _: None) -> int:
        """Delete messages for good, and return how many.

        Args:
            messages: which.
            progress: told how many have been deleted, as it goes.

        Raises:
            QueueError: SQS did not delete some.
        """
        chosen, dropped = list(messages), 0
        for first in range(0, len(chosen), sqs.MOST_AT_ONCE):
            batch = chosen[first : first + sqs.MOST_AT_ONCE]
            entries = [{"ReceiptHandle": message.receipt} for message in batch]
            refusals = sqs.call_in_batches(self._client.delete_message_batch, self._url, entries)
            for place, message in enumerate(batch):
                if place not in refusals:
                    self._held.pop(message.id, None)
            dropped += len(batch) - len(refusals)
            progress(dropped)
            if refusals:
                _, reason = next(iter(refusals.values()))
                raise QueueError(f"{len(chosen) - dropped:,} not deleted: {reason}")
        return dropped

    def redrive(self, messages: Iterable[Letter], way_back: WayBack, progress: Callable[[int], None]) -> int:
        """Send messages back as if they were new, and return how many.

        Each is sent before it is deleted here: what goes wrong in between is done twice, and not lost.

        Args:
            messages: which.
            way_back: where to.
            progress: told how many have been sent, as it goes.

        Raises:
            QueueError: nobody confirmed one; those before it have been sent back.
        """
        sent = 0
        for message in messages:
            for body in way_back.bodies(message):
                if not way_back.send(body):
                    raise QueueError(f"{way_back} did not confirm one, which stays where it was")
            self.drop([message])
            sent += 1
            progress(sent)
        return sent


def _copy(message: Letter) -> Entry:
    """A message as SendMessageBatch wants it: the same body, and the attributes that are texts, as all of ours are."""
    attributes = {
        name: {"DataType": value["DataType"], "StringValue": value["StringValue"]}
        for name, value in message.attributes.items()
        if "StringValue" in value
    }
    return {"MessageBody": message.body, "MessageAttributes": attributes}
