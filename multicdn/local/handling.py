"""The handler on the queue, in this process, and seen from inside: what comes in, how each job ends, what waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from multicdn.aws import sqs
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher, terms
from multicdn.events import envelopes
from multicdn.handler import RESERVE
from multicdn.queue.retry import DeadLetter
from multicdn.queue.sender import RetryQueue
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from multicdn.config import Config
    from multicdn.events.intake import Intake
    from multicdn.handler import Context
    from multicdn.model import Job, Outcome, Receipt
    from multicdn.plugins.discovery import Plugins
    from multicdn.proof.ladder import Note
    from multicdn.queue.retry import Decision
    from multicdn.testing.loopback.resources import Queue

    class Watcher(Protocol):
        """Is told what happens, from many threads."""

        def received(self, intake: Intake) -> None:
            """A batch has come."""

        def calling(self, job: Job) -> None:
            """A vendor is called for a job."""

        def ended(self, outcome: Outcome) -> None:
            """A job has ended."""

        def decided(self, decisions: Sequence[Decision]) -> None:
            """It was decided what waits in the queue, and what is given up."""

        def followed(self, notes: Sequence[Note]) -> None:
            """Something was found out about purges that are followed."""

        def over(self, intake: Intake) -> None:
            """The batch is done."""


# Seconds in which workers end.
_LONGEST_STOP = 3.0


class Handling:
    """Workers with the handler. A context manager.

    Args:
        config: the checked config.
        plugins: the installed ones.
        queue: to read, and where to put what waits.
        watcher: is told what happens.
    """

    def __init__(self, config: Config, plugins: Plugins, queue: Queue, watcher: Watcher) -> None:
        self._hooks = plugins.hooks
        self._queue = queue
        self._watcher = watcher
        self._delivery = Delivery(config.providers, terms(config, queued=True), observer=_Calls(watcher))
        self._client = sqs.client(queue.url)
        retry_queue = _WatchedQueue(self._client, queue, watcher)
        self._dispatcher = Dispatcher(config, plugins, self._delivery, lambda: retry_queue, queue.url)
        self._dispatcher.on_followed = watcher.followed
        # No gathering: whoever looks on wants to see each step.
        count = config.install.maximum_concurrency
        self._workers = [Worker(self._client, queue.url, self.handle) for _ in range(count)]
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Handling:
        for worker in self._workers:
            thread = threading.Thread(target=worker.run, name="multicdn-worker", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.stop()
        for thread in self._threads:
            thread.join(_LONGEST_STOP)

    def handle(self, event: dict[str, Any], context: Context) -> dict[str, Any]:
        """Do what ``multicdn.handler.handler`` does."""
        intake = envelopes.decode(event, self._hooks.read_event, self._queue.url)
        self._watcher.received(intake)
        try:
            seconds = context.get_remaining_time_in_millis() / 1000
            return self._dispatcher.dispatch(event, max(0.0, seconds - RESERVE), RESERVE)
        finally:
            self._watcher.over(intake)

    def breaker(self, instance: str) -> str:
        """Whether the circuit breaker of an instance is open or closed."""
        return "open" if instance in self._delivery.open_breakers else "closed"


class _Calls:
    """Takes from a delivery what a watcher wants to hear."""

    def __init__(self, watcher: Watcher) -> None:
        self.calling = watcher.calling
        self.ended = watcher.ended

    def planned(self, provider: str, jobs: Sequence[Job], rejected: Sequence[Outcome]) -> None:
        """Nothing is begun yet."""

    def answered(self, job: Job, seconds: float, said: Receipt | BaseException) -> None:
        """The job may go on."""

    def waiting(self, provider: str, seconds: float, trouble: str) -> None:
        """The job goes on."""


class _WatchedQueue(RetryQueue):
    def __init__(self, client: Any, queue: Queue, watcher: Watcher) -> None:
        super().__init__(client, queue.url, queue.dead_letter_url)
        self._watcher = watcher

    def carry_out(self, decisions: Sequence[Decision], seconds: float = 60.0) -> list[Decision]:
        # Told before they are sent: a message may come back before this returns.
        self._watcher.decided(decisions)
        return super().carry_out(decisions, seconds)


def is_dead(decision: Decision) -> bool:
    """Whether a job is given up."""
    return isinstance(decision, DeadLetter)
