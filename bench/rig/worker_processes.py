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

# The worker runs under a guard, which ends it with us; to kill it alone its own number must be known.
_PROGRAM = "import os, runpy; print(os.getpid(), flush=True); runpy.run_module('multicdn', run_name='__main__')"


class Crew:
    """Some workers. A context manager; all of them are gone at its end.

    Args:
        size: how many.
        arguments: of ``multicdn worker``.
        environment: whole environment of each.
    """

    def __init__(self, size: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self._size = size
        self._command = [sys.executable, "-c", _PROGRAM, "worker", *arguments]
        self._environment = environment
        self._workers: list[Process] = []
        self._gone: list[Process] = []

    def __enter__(self) -> Self:
        self._workers = [self._start() for _ in range(self._size)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.ExitStack() as stack:
            for process in (*self._workers, *self._gone):
                stack.callback(process.stop)

    def kill(self, place: int) -> bool:
        """Kill a worker with SIGKILL, and let another take its place. False if it has hardly begun to run."""
        victim = self._workers[place]
        number = _number_of(victim)
        if number is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
        self._gone.append(victim)
        self._workers[place] = self._start()
        return True

    def lines(self) -> Iterator[dict[str, Any]]:
        """All log lines of all workers so far."""
        for process in (*self._gone, *self._workers):
            yield from _json_lines(_written(process))

    def count(self) -> Counter[str]:
        """How often each event was logged."""
        return Counter(line["event"] for line in self.lines())

    def complaints(self) -> str:
        """What the workers wrote that isn't a log line: traces of crashes."""
        return "\n".join(line for process in (*self._gone, *self._workers) for line in _other_lines(_written(process)))

    def _start(self) -> Process:
        folder = Path(tempfile.mkdtemp(prefix="multicdn-worker-"))
        return Process(self._command, env=self._environment, folder=folder, grace=1.0)


def _written(process: Process) -> list[str]:
    return process.tail(lines=10**9).splitlines()


def _number_of(process: Process) -> int | None:
    first = _written(process)[0]
    return int(first) if first.isdigit() else None


def _json_lines(lines: list[str]) -> Iterator[dict[str, Any]]:
    """Lines that are whole: a worker that is killed may leave half a line."""
    for line in lines:
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and "event" in found:
                yield found


def _other_lines(lines: list[str]) -> Iterator[str]:
    for line in lines[1:]:
        if not line.startswith("{"):
            yield line
