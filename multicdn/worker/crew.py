"""Several workers in one process: while one waits for a vendor, another one takes the next batch."""

from __future__ import annotations

import logging
import signal
import threading
from typing import TYPE_CHECKING

from multicdn.log import emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.worker.worker import Worker


# Seconds in which a signal is seen at the latest.
_GLANCE = 0.5


class Crew:
    """Workers on one queue, each with a thread of its own. Run as many crews as you like on one queue.

    Args:
        workers: the workers.
        queue_url: of their queue, for the log.
    """

    def __init__(self, workers: Sequence[Worker], queue_url: str) -> None:
        self._workers = workers
        self._queue_url = queue_url
        self._failures: list[Exception] = []
        self._told = False
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
        """Say once that a signal came. Not in its handler, which may have interrupted a line of the log."""
        if self.stopped_by is not None and not self._told:
            self._told = True
            remedy = "the batches at hand end first; a second signal ends the process at once"
            emit(logging.INFO, "worker-stopping", signal=self.stopped_by.name, reason=remedy)

    def _work(self, worker: Worker) -> None:
        try:
            worker.run()
        except Exception as error:  # noqa: BLE001 - raised again where the others have ended
            self._failures.append(error)
            self.stop()
