"""The share of a processor that a small function has: its process is stopped once it has used it up in a period."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType
    from typing import Self

#: docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: one processor at this many megabytes, in proportion.
_WHOLE = 1769

_PERIOD = 0.02

# Seconds that are left to a process while it is watched: waking up sooner isn't to be had.
_SHORTEST = 0.0005


def share_of(megabytes: int) -> float:
    """Of one processor, for a function with so much memory."""
    return megabytes / _WHOLE


def processor_seconds(pid: int) -> float:
    """What all threads of a process have had so far, ended ones among them: clock_getcpuclockid(3), to the µs."""
    return time.clock_gettime((~pid << 3) | 2)


class ProcessorShare:
    """Keeps a process, and not what it started, to a share of one processor. A context manager.

    It is Linux's bandwidth control by signals: in each period the process runs until it has used its quota, and what
    it took too much of is owed. A process that waits uses nothing and isn't stopped.

    Args:
        process: that runs.
        share: of one processor.
    """

    def __init__(self, process: subprocess.Popen[Any], share: float) -> None:
        self._process = process
        self._quota = share * _PERIOD
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _keep(self) -> None:
        used = processor_seconds(self._process.pid)
        left, ends = self._quota, time.perf_counter() + _PERIOD
        try:
            while not self._over.is_set():
                now = processor_seconds(self._process.pid)
                left, used = left - (now - used), now
                if left <= 0:
                    self._process.send_signal(signal.SIGSTOP)
                    self._over.wait(max(0.0, ends - time.perf_counter()))
                else:
                    self._over.wait(min(max(left, _SHORTEST), max(0.0, ends - time.perf_counter())))
                if time.perf_counter() >= ends:
                    left, ends = min(left + self._quota, self._quota), ends + _PERIOD
                    if left > 0:
                        self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGCONT)
        except OSError:
            return  # it has ended
