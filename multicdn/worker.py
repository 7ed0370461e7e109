"""The handler without Lambda: a long poll on the queue, for those who run containers.

What Lambda's event source mapping does is done the same way here, so that one handler serves both: the same event,
the same partial batch response, nothing deleted that failed.
docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import base64
import contextlib
import logging
import math
import re
import signal
import threading
import time
import traceback
import uuid
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from multicdn.telemetry import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef, MessageTypeDef

    Handler = Callable[[dict[str, Any], "WorkerContext"], object]

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference: API_ReceiveMessage, API_DeleteMessageBatch.
_MOST_AT_ONCE = 10
_LONGEST_POLL = 20
_LONGEST_HIDDEN = 43_200

# docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
_LARGEST_BATCH = 10_000

# Kept back from the time in which the messages are hidden from others, to delete them.
_RESERVE = 2.0

_DELETE_ATTEMPTS = 3
_LONGEST_BACKOFF = 30.0

# A receive that is under way when the worker is stopped may still end this many seconds later.
_LINGER = 0.5


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


@dataclass(frozen=True)
class _Source:
    """The queue as it describes itself."""

    arn: str
    region: str
    visibility: float


class Worker:
    """Feeds a handler from an SQS queue until it is stopped.

    Args:
        sqs: boto3 client, whose read timeout is longer than ``wait``.
        queue_url: the queue.
        handler: called with the event and the context of a Lambda function, one batch at a time.
        batch_size: at most this many messages a batch, 1 to 10,000; above 10 needs ``gather``.
        wait: seconds that a poll waits for a first message, 0 to 20.
        gather: seconds, from the first message of a batch on, in which more are collected, 0 to 300.
        timeout: seconds for one batch, ``gather`` included, for which its messages are hidden from other workers; by
            default the queue's own visibility timeout.
        backoff: seconds before the next try when the queue can't be reached; doubles up to half a minute.

    Raises:
        ValueError: a number is out of its range.
    """

    def __init__(
        self,
        sqs: SQSClient,
        queue_url: str,
        handler: Handler,
        *,
        batch_size: int = 10,
        wait: int = _LONGEST_POLL,
        gather: float = 0.0,
        timeout: float | None = None,
        backoff: float = 1.0,
    ) -> None:
        _check("batch_size", batch_size, 1, _LARGEST_BATCH if gather > 0 else _MOST_AT_ONCE)
        _check("wait", wait, 0, _LONGEST_POLL)
        _check("gather", gather, 0, 300)
        if timeout is not None:
            _check("timeout", timeout, gather + 1, _LONGEST_HIDDEN)
        self._sqs, self._queue_url, self._handler = sqs, queue_url, handler
        self._batch_size, self._wait, self._gather, self._timeout = batch_size, wait, gather, timeout
        self._first_backoff = self._backoff = backoff
        self._source: _Source | None = None
        self._stopping = False
        # Safe to fill from a signal handler, unlike an Event, whose lock the interrupted thread may hold.
        self._inbox: SimpleQueue[list[MessageTypeDef] | Exception | None] = SimpleQueue()

    def run(self) -> None:
        """Work until ``stop``. The batch under way is finished, and its messages deleted, before this returns."""
        emit(logging.INFO, "worker-started", queue=self._queue_url)
        while not self._stopping:
            self.step()
        emit(logging.INFO, "worker-stopped", queue=self._queue_url)

    def step(self) -> int:
        """Wait for one batch and handle it.

        Returns:
            How many messages were in it; 0 if none came, the queue couldn't be reached, or the worker was stopped.
        """
        batch, deadline = self._collect()
        if batch:
            self._handle(batch, deadline)
        return len(batch)

    def stop(self) -> None:
        """Let ``run`` return: at once if it waits for messages, else after the batch under way. For any thread."""
        self._stopping = True
        self._inbox.put(None)

    def stop_on(self, *signals: signal.Signals) -> None:
        """Stop at the first of these signals. A second one acts as before, so that Ctrl-C twice ends at once."""
        before = {number: signal.getsignal(number) for number in signals}

        def on_signal(number: int, _: object) -> None:
            signal.signal(number, before[signal.Signals(number)])
            self.stop()

        for number in signals:
            signal.signal(number, on_signal)

    # Receiving

    def _collect(self) -> tuple[list[MessageTypeDef], float]:
        """Collect one batch, and say until when it is ours alone."""
        found = self._receive(self._wait, self._batch_size)
        now = time.monotonic()
        deadline, window = now + self._hidden() * 1.0, now + self._gather
        # A message may come twice while its batch is gathered; only its latest receipt is certain to delete it.
        batch = {message["MessageId"]: message for message in found}
        while found and len(batch) < self._batch_size and not self._stopping and time.monotonic() < window:
            left = min(self._wait, math.floor(window - time.monotonic()))
            found = self._receive(left, self._batch_size - len(batch))
            batch.update((message["MessageId"], message) for message in found)
        return list(batch.values()), deadline
