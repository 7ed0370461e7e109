"""The handler without Lambda: a long poll on the queue, for those who run containers.

Lambda's event source mapping is followed in what a handler can see: the same event, the same partial batch response,
nothing deleted that failed. docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from multicdn.aws import sqs
from multicdn.errors import told
from multicdn.log import emit
from multicdn.worker.lambda_event import failed_messages, sqs_event
from multicdn.worker.turns import KeptTurns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    Handler = Callable[[dict[str, Any], "WorkerContext"], object]

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
_LONGEST_POLL = 20
_LONGEST_HIDDEN = 43_200

# docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_LARGEST_BATCH = 10_000
_LONGEST_WINDOW = 300

# Seconds, but at most this share, of the time in which messages are hidden, kept back to delete them.
_RESERVE, _RESERVED_SHARE = 2.0, 0.1

_DELETE_TRIES = 4
_DELETE_PAUSE = 0.05  # seconds, times ``backoff``, times the square of the tries before
_LONGEST_BACKOFF = 30.0

# A receive that is under way when the worker is stopped is waited for this long: what it brings can be given back.
_LINGER = 0.5

# Seconds between two looks at whether a turn is late that another worker keeps.
_GLANCE = 0.5

# Seconds after which, and again and again, a batch that isn't done is told of.
_QUIET = 30.0


@dataclass(frozen=True)
class WorkerContext:
    """What a handler sees of Lambda's context object.

    Attributes:
        deadline: on the monotonic clock; after it the messages may be given to somebody else.
        aws_request_id: different for every batch.
        function_name: always ``multicdn-worker``.
    """

    deadline: float
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    function_name: str = "multicdn-worker"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds in which the handler should have returned, never negative."""
        return max(0, int((self.deadline - time.monotonic()) * 1000))


class Worker:
    """Feeds a handler from an SQS queue, a batch at a time, until it is stopped.

    Args:
        client: of SQS; its read timeout must be longer than ``wait``.
        queue_url: the queue.
        handler: called with the event and the context of a Lambda function, one batch at a time.
        batch_size: at most this many messages a batch, 1 to 10,000; above 10 needs ``gather``.
        wait: seconds that a poll waits for a first message, 0 to 20.
        gather: seconds, from the first message of a batch on, in which more are collected, 0 to 300.
        timeout: seconds for one batch, ``gather`` included, in which its messages are hidden from others; by default
            the queue's visibility timeout.
        backoff: seconds before the next try when the queue can't be reached; doubles up to half a minute.

    Attributes:
        turns: what it keeps until a turn is complete; workers of one process share it.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        client: SQSClient,
        queue_url: str,
        handler: Handler,
        *,
        batch_size: int = sqs.MOST_AT_ONCE,
        wait: int = _LONGEST_POLL,
        gather: float = 0.0,
        timeout: int | None = None,
        backoff: float = 1.0,
    ) -> None:
        _check("batch_size", batch_size, 1, _LARGEST_BATCH if gather else sqs.MOST_AT_ONCE)
        _check("wait", wait, 0, _LONGEST_POLL)
        _check("gather", gather, 0, _LONGEST_WINDOW)
        if timeout is not None:
            _check("timeout", timeout, gather + 1, _LONGEST_HIDDEN)
        self._sqs, self._queue_url, self._handler = client, queue_url, handler
        self._batch_size, self._wait, self._gather = batch_size, wait, gather
        self.turns = KeptTurns(gather, batch_size)
        self._first_backoff = self._backoff = backoff
        self._arn, self._hidden = "", timeout or 0
        self._stopping = False
        self._deadline: float | None = None
        # Messages of the batch at hand, since when, and when it was last told of.
        self._busy = (0, 0.0, 0.0)
        # May be rung from a signal handler, unlike an Event, whose lock the interrupted thread may hold.
        self._bell: SimpleQueue[None] = SimpleQueue()

    def run(self) -> None:
        """Work until ``stop``. The batch under way is finished, and its messages deleted, before this returns.

        Raises:
            ValueError: the queue's visibility timeout is too short for ``gather``.
        """
        while not self._stopping:
            self.step()

    def step(self) -> int:
        """Wait for one batch and handle it; where jobs came back for a turn, wait for the others of that turn as well.

        Returns:
            How many messages there were; 0 if none came, the queue couldn't be reached, or the worker was stopped.
        """
        messages = self._take(self._wait)
        while not self._stopping and (left := self.turns.left(time.monotonic())):
            messages += self._take(min(_LONGEST_POLL, math.ceil(left)))
        return messages + self._work(*self.turns.release(time.monotonic()))

    def _take(self, wait: int) -> int:
        batch, deadline = self._collect(wait)
        return self._work(self.turns.keep(batch, time.monotonic(), deadline), deadline)

    def _work(self, batch: list[MessageTypeDef], deadline: float) -> int:
        if batch:
            self._deadline = deadline
            self._handle(batch, WorkerContext(deadline))
            self._deadline = None
        return len(batch)

    def busy_for(self) -> float | None:
        """Seconds that the batch at hand may take at most; None where there is none. From any thread."""
        deadline = self._deadline
        return None if deadline is None else max(0.0, deadline - time.monotonic())

    def tell_busy(self) -> None:
        """Say a word where a batch lasts long: without one, an outage looks like a quiet night."""
        messages, since, told = self._busy
        now = time.monotonic()
        if messages and now - max(since, told) >= _QUIET:
            self._busy = messages, since, now
            emit(logging.INFO, "worker-busy", messages=messages, seconds=round(now - since, 1))

    def stop(self) -> None:
        """Let ``run`` return: soon if it waits for messages, else after the batch under way. From any thread."""
        self.turns.closed = True  # first: whoever ends after this finds all that was kept before
        self._stopping = True
        self._bell.put(None)

    def _collect(self, wait: int) -> tuple[list[MessageTypeDef], float]:
        """Collect one batch; also say until when it is surely ours."""
        messages = self._receive(wait, self._batch_size)
        now = time.monotonic()
        deadline = now + self._time_for_a_batch()
        # By id: while a batch is gathered a message may come again, and only its latest receipt is good.
        batch = {message["MessageId"]: message for message in messages}
        while messages and not self._stopping and len(batch) < self._batch_size:
            left = now + self._gather - time.monotonic()
            if left <= 0:
                break
            # An empty answer ends the loop: the window is over, but for the part of a second that SQS can't wait.
            most = self._batch_size - len(batch)
            messages = self._receive(min(_LONGEST_POLL, math.floor(left)), most, beside=True)
            batch.update((message["MessageId"], message) for message in messages)
        return list(batch.values()), deadline

    def _receive(self, wait: int, most: int, *, beside: bool = False) -> list[MessageTypeDef]:
        """Receive once, in a thread, so that nobody needs to wait for the poll to end who is to leave it.

        Args:
            wait: seconds that the poll waits for a message.
            most: messages.
            beside: whether there are others at hand. They wait for no turn and no trouble; the next poll tells of that.
        """
        poll = _Poll(partial(self._poll, wait, min(most, sqs.MOST_AT_ONCE)), self._bell, self._give_back)
        try:
            poll.start()
        except RuntimeError as error:  # the process has no thread left, for now
            return self._back_off(error, beside=beside)
        self._wait_for(lambda: poll.has_ended or (self._stopping if beside else self._is_called_away()))
        got = poll.leave(_LINGER if self._stopping else 0.0)
        if isinstance(got, Exception):
            return self._back_off(got, beside=beside)
        if got and self._stopping:
            self._give_back(got)
            return []
        if got is not None:
            self._backoff = self._first_backoff
        return got or []

    def _is_called_away(self) -> bool:
        return self._stopping or self.turns.is_late(time.monotonic())

    def _wait_for(self, happened: Callable[[], bool], seconds: float = math.inf) -> None:
        until = time.monotonic() + seconds
        while not happened() and (left := until - time.monotonic()) > 0:
            with suppress(Empty):
                self._bell.get(timeout=min(left, _GLANCE))

    def _poll(self, wait: int, most: int) -> list[MessageTypeDef]:
        if not self._arn:
            self._describe_queue()
        answer = self._sqs.receive_message(
            QueueUrl=self._queue_url,
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
            VisibilityTimeout=self._hidden,
        )
        return _whole(answer.get("Messages", []))

    def _describe_queue(self) -> None:
        answer = self._sqs.get_queue_attributes(
            QueueUrl=self._queue_url, AttributeNames=["QueueArn", "VisibilityTimeout"]
        )
        self._hidden = self._hidden or int(answer["Attributes"]["VisibilityTimeout"])
        self._arn = answer["Attributes"]["QueueArn"]

    def _time_for_a_batch(self) -> float:
        if self._arn and self._hidden <= self._gather:
            message = f"{self._queue_url} hides messages for {self._hidden} s, but gathering takes {self._gather:g} s"
            raise ValueError(message)
        return self._hidden - min(_RESERVE, self._hidden * _RESERVED_SHARE)

    def _back_off(self, error: Exception, *, beside: bool) -> list[MessageTypeDef]:
        if not beside:
            emit(logging.ERROR, "worker-receive", queue=self._queue_url, reason=told(error), seconds=self._backoff)
            self._wait_for(self._is_called_away, self._backoff)
            self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
        return []

    def _give_back(self, late: Sequence[MessageTypeDef]) -> None:
        """Let others have at once what a poll that we no longer wait for has brought."""
        for message in late:
            try:
                self._sqs.change_message_visibility(
                    QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                )
            except Exception as error:  # noqa: BLE001 - it comes back all the same, only later
                emit(logging.WARNING, "worker-give-back", messages=[message["MessageId"]], reason=told(error))

    def _handle(self, batch: list[MessageTypeDef], context: WorkerContext) -> None:
        now = time.monotonic()
        self._busy = len(batch), now, now
        try:
            self._handle_all(batch, context)
        finally:
            self._busy = (0, 0.0, 0.0)

    def _handle_all(self, batch: list[MessageTypeDef], context: WorkerContext) -> None:
        try:
            reply = self._handler(sqs_event(batch, self._arn), context)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it was, nothing of the batch may be deleted
            trace = "".join(traceback.format_exception(error))
            emit(logging.ERROR, "worker-handler", messages=len(batch), error=told(error), trace=trace)
            return
        failed = failed_messages(reply, [message["MessageId"] for message in batch])
        self._delete([message for message in batch if message["MessageId"] not in failed])
        emit(logging.INFO, "worker-batch", messages=len(batch), failed=len(failed))

    def _delete(self, messages: Sequence[MessageTypeDef]) -> None:
        refusals = sqs.call_in_batches(
            self._sqs.delete_message_batch,
            self._queue_url,
            [{"ReceiptHandle": message["ReceiptHandle"]} for message in messages],
            tries=_DELETE_TRIES,
            pause=self._first_backoff * _DELETE_PAUSE,
        )
        if refusals:
            ids = [messages[place]["MessageId"] for place in refusals]
            reasons = sorted({f"{code}: {reason}" if code else reason for code, reason in refusals.values()})
            emit(logging.WARNING, "worker-delete", messages=ids, reason="; ".join(reasons))


class _Poll(threading.Thread):
    """A receive that may be left before it has ended.

    Args:
        receive: brings messages.
        bell: rung when it has ended.
        late: takes the messages that it brings after it was left.

    Attributes:
        has_ended: whether it has.
    """

    def __init__(
        self,
        receive: Callable[[], list[MessageTypeDef]],
        bell: SimpleQueue[None],
        late: Callable[[list[MessageTypeDef]], None],
    ) -> None:
        super().__init__(daemon=True)
        self.has_ended = False
        self._receive, self._bell, self._late = receive, bell, late
        self._got: list[MessageTypeDef] | Exception | None = None
        self._is_left = False
        self._lock = threading.Lock()

    def run(self) -> None:
        """Receive."""
        got = self._received()
        with self._lock:
            self._got, self.has_ended = got, True
            is_left = self._is_left
        self._bell.put(None)
        if is_left and isinstance(got, list):
            self._late(got)

    def leave(self, seconds: float) -> list[MessageTypeDef] | Exception | None:
        """What it has brought, if that is here in so many seconds; None if not."""
        self.join(seconds)
        with self._lock:
            self._is_left = True
            return self._got

    def _received(self) -> list[MessageTypeDef] | Exception:
        try:
            return self._receive()
        except Exception as error:  # noqa: BLE001 - a worker outlives whatever befalls its connection
            return error


def _whole(messages: list[MessageTypeDef]) -> list[MessageTypeDef]:
    """The messages of an answer.

    Raises:
        ValueError: it is none of SQS: something in between may have answered.
    """
    if not all(message.keys() >= {"MessageId", "ReceiptHandle", "Body"} for message in messages):
        raise ValueError("an answer with messages that lack their ids or bodies")
    return messages


def _check(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        message = f"{name} is {value:g}, but must be from {least:g} to {most:g}"
        raise ValueError(message)
