"""Several workers in one process: while one waits for a vendor, another one takes the next batch."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from typing import TYPE_CHECKING

from multicdn.log import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.worker.worker import Worker


# Seconds in which a signal is seen at the latest, and between two lines about what is still waited for.
_GLANCE, _AGAIN = 0.5, 10.0

_STOPPING = "the batches at hand end first, in so many seconds at most; a second signal ends the process at once"


class Crew:
    """Workers on one queue, each with a thread of its own. Run as many crews as you like on one queue.

    Args:
        workers: the workers.
        queue_url: of their queue, for the log.
    """

    def __init__(self, workers: Sequence[Worker], queue_url: str) -> None:
        self._workers = workers
        for worker in workers[1:]:
            worker.turns = workers[0].turns
        self._queue_url = queue_url
        self._failures: list[Exception] = []
        self._tell_at = -math.inf
        #: The signal that stopped it; None where none did.
        self.stopped_by: signal.Signals | None = None

    def run(self) -> None:
        """Work until ``stop``. The batches under way are finished, and their messages deleted, before this returns.

        Raises:
            ValueError: the queue's visibility timeout is too short to gather messages.
        """
        emit(logging.INFO, "worker-started", queue=self._queue_url, batches=len(self._workers))
        # Daemons, since a second Ctrl-C is to end the process without them.
        threads = [threading.Thread(target=self._work, args=(worker,), daemon=True) for worker in self._workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            # A signal that another thread gets wakes nobody: Python's handlers run when the main thread does.
            while thread.is_alive():
                thread.join(_GLANCE)
                self._tell_stopping()
                for worker in self._workers:
                    worker.tell_busy()
        if self._failures:
            raise self._failures[0]
        emit(logging.INFO, "worker-stopped", queue=self._queue_url)

    def stop(self) -> None:
        """Let ``run`` return: soon where workers wait for messages, else after the batches under way."""
        for worker in self._workers:
            worker.stop()

    def stop_on(self, *signals: signal.Signals) -> None:
        """Stop at the first of these signals; a second one does what it did before. From the main thread only."""
        before = {number: signal.getsignal(number) for number in signals}

        def on_signal(number: int, _: object) -> None:
            signal.signal(number, before[signal.Signals(number)])
            self.stopped_by = signal.Signals(number)
            self.stop()

        for number in signals:
            signal.signal(number, on_signal)

    def _tell_stopping(self) -> None:
        """Say that a signal came, and now and then what is still waited for.

        Not in its handler, which may have interrupted a line of the log.
        """
        if self.stopped_by is None or time.monotonic() < self._tell_at:
            return
        self._tell_at = time.monotonic() + _AGAIN
        left = [seconds for worker in self._workers if (seconds := worker.busy_for()) is not None]
        emit(
            logging.INFO,
            "worker-stopping",
            signal=self.stopped_by.name,
            batches=len(left),
            seconds=round(max(left, default=0.0)),
            reason=_STOPPING if left else "no batch is at hand",
        )

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 - raised again where the others have ended
            self._failures.append(error)
            self.stop()
