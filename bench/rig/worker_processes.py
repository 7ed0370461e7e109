"""Workers as processes, to be killed at any moment: ``multicdn worker`` on one queue."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multicdn.testing.loopback.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

# The worker runs under a supervisor, which ends it with us; to kill it alone its own process id must be known.
_PROGRAM = """
import os, runpy
print(os.getpid(), flush=True)
exec(os.environ.pop("SOAK_BREAK", ""), {})
runpy.run_module('multicdn', run_name='__main__')
"""


class WorkerProcesses:
    """A fixed number of workers. A context manager; all of them are gone at its end.

    Args:
        size: their number.
        arguments: of ``multicdn worker``.
        environment: whole environment of each.
        broken: Python that each runs before it starts, to break something on purpose.
    """

    def __init__(self, size: int, arguments: Sequence[str], environment: Mapping[str, str], broken: str = "") -> None:
        self._size = size
        self._command = [sys.executable, "-c", _PROGRAM, "worker", *arguments]
        self._environment = {**environment, "SOAK_BREAK": broken}
        self._workers: list[Process] = []
        self._killed: list[Process] = []

    def __enter__(self) -> Self:
        self._workers = [self._start() for _ in range(self._size)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for process in (*self._workers, *self._killed):
                stack.callback(process.stop)

    def kill(self, index: int) -> bool:
        """Kill a worker with SIGKILL, and start another in its place. False if it has hardly begun to run."""
        victim = self._workers[index]
        pid = _pid_of(victim)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self._killed.append(victim)
        self._workers[index] = self._start()
        return True

    def lines(self) -> Iterator[dict[str, Any]]:
        """Read all log lines of all workers so far."""
        for process in (*self._killed, *self._workers):
            yield from _json_lines(_output(process))

    def count(self) -> Counter[str]:
        """Count the log lines of each event."""
        return Counter(line["event"] for line in self.lines())

    def stderr(self) -> str:
        """Collect the output that isn't a log line: traces of crashes."""
        return "\n".join(line for process in (*self._killed, *self._workers) for line in _other_lines(_output(process)))

    def _start(self) -> Process:
        folder = Path(tempfile.mkdtemp(prefix="multicdn-worker-"))
        return Process(self._command, env=self._environment, folder=folder, grace=1.0)


def _output(process: Process) -> list[str]:
    return process.tail(lines=10**9).splitlines()


def _pid_of(process: Process) -> int | None:
    first = _output(process)[0]
    return int(first) if first.isdigit() else None


def _json_lines(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Parse lines that are whole: a worker that is killed may leave half a line."""
    for line in lines:
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict) and "event" in value:
                yield value


def _other_lines(lines: list[str]) -> Iterator[str]:
    for line in lines[1:]:
        if not line.startswith("{"):
            yield line
