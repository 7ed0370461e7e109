"""multicdn's commands as processes of their own: workers on one queue, which may be killed at any moment.

They are forked from a process that has imported all they need, since importing takes a second and a soak kills many.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.process import BaseProcess
    from types import TracebackType
    from typing import Self

    from multicdn.handler import Context

_FORKS = multiprocessing.get_context("forkserver")
_IMPORTED = ["boto3", "multicdn.cli.dlq", "multicdn.cli.worker", "multicdn.handler", "multicdn.worker.crew"]
_IMPORTED += [f"multicdn_providers.{name}" for name in ("akamai", "cloudflare", "cloudfront", "edgecast", "fastly")]

# Log lines of ours: a handler has been given so many messages of S3, beside those of our own; its time is over.
_BEGUN, _LIMIT = "soak-batch", "soak-limit"

# Seconds in which a worker starts, and in which a command that isn't a worker ends.
_START_SECONDS, _COMMAND_SECONDS = 30.0, 60.0
_POLL_INTERVAL = 0.05


class Command(NamedTuple):
    """A command of multicdn.

    Attributes:
        arguments: of ``multicdn``.
        environment: all of it.
        broken: pieces of Python that are run before the command, to break something on purpose.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    broken: Sequence[str] = ()


class _Running(NamedTuple):
    """A command under way, and the file of all that it writes."""

    process: BaseProcess
    output: Path

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace") if self.output.exists() else ""


class WorkerProcesses:
    """Workers. A context manager; all of them are gone at its end.

    As on Lambda, a worker whose handler hasn't returned by the end of its time is killed with all that it was at.

    Args:
        commands: one for each worker, which works on one batch at a time.

    Attributes:
        interrupted: messages of S3 that workers were at when ``kill`` ended them.
    """

    def __init__(self, commands: Sequence[Command]) -> None:
        self.interrupted = 0
        self._commands = commands
        self._workers: list[_Running] = []
        self._ended: list[_Running] = []
        self._numbers = itertools.count()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="multicdn-workers-")))
        self._workers = [self._start(command) for command in self._commands]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            for worker in self._workers:
                _kill(worker.process)

    def wait_until_started(self) -> None:
        """Wait until all poll the queue.

        Raises:
            TimeoutError: one doesn't; the text is what they wrote.
        """
        end = time.monotonic() + _START_SECONDS
        while self.count()["worker-started"] < len(self._commands):
            if time.monotonic() > end:
                raise TimeoutError(f"the workers have not started: {self.stderr()}")
            time.sleep(_POLL_INTERVAL)

    def kill(self, index: int) -> bool:
        """Kill a worker with SIGKILL, and start another in its place. False if it has hardly begun to run."""
        victim = self._workers[index]
        if not victim.text():
            return False
        _kill(victim.process)
        lines = list(_json_lines(victim.text()))
        if not _was_at_its_limit(lines):
            self.interrupted += _at_hand(lines)
        self._replace(index)
        return True

    def revive(self) -> None:
        """Start another worker in the place of each that has ended."""
        for index, worker in enumerate(self._workers):
            if not worker.process.is_alive():
                self._replace(index)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Read all log lines of all workers so far."""
        for worker in (*self._ended, *self._workers):
            yield from _json_lines(worker.text())

    def count(self) -> Counter[str]:
        """Count the log lines of each event, and of each state in which jobs ended."""
        lines = list(self.lines())
        return Counter(line["event"] for line in lines) + Counter(line["state"] for line in lines if "action" in line)

    @property
    def begun(self) -> int:
        """How many messages of S3 the workers have begun to handle, each counted as often as it came."""
        return sum(line["messages"] for line in self.lines() if line["event"] == _BEGUN)

    @property
    def ended_at_their_limit(self) -> int:
        """How many workers had to be killed since their time was over."""
        return self.count()[_LIMIT]

    def stderr(self) -> str:
        """Collect the output that isn't a log line: traces of crashes."""
        texts = (worker.text() for worker in (*self._ended, *self._workers))
        return "\n".join(line for text in texts for line in text.splitlines() if not line.startswith("{"))

    def _replace(self, index: int) -> None:
        self._ended.append(self._workers[index])
        self._workers[index] = self._start(self._commands[index])

    def _start(self, command: Command) -> _Running:
        return _start(command, self._folder / str(next(self._numbers)))


def run(command: Command) -> tuple[int, str]:
    """Run a command to its end, and return its exit status and all that it wrote.

    Raises:
        TimeoutError: it did not end.
    """
    with tempfile.TemporaryDirectory(prefix="multicdn-command-") as folder:
        running = _start(command, Path(folder, "output"))
        running.process.join(_COMMAND_SECONDS)
        status, text = running.process.exitcode, running.text()
        _kill(running.process)
    if status is None:
        raise TimeoutError(f"{' '.join(command.arguments)} has not ended:\n{text}")
    return status, text


def _start(command: Command, output: Path) -> _Running:
    _FORKS.set_forkserver_preload(_IMPORTED)
    process = _FORKS.Process(target=_serve, args=(command, str(output)), daemon=True)
    process.start()
    return _Running(process, output)


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join()


def _serve(command: Command, output: str) -> None:
    """Be the command. In a process of its own."""
    from multicdn.cli import main

    os.setsid()  # so that Ctrl-C reaches our parent alone, which ends us in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.environ.clear()
    os.environ.update(command.environment)
    for piece in command.broken:
        exec(piece, {})  # noqa: S102 - our own, of ``soak_breaks``
    _end_at_the_limit()
    sys.argv[1:] = command.arguments
    main(prog_name="multicdn")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _end_at_the_limit() -> None:
    """Let the handler run under Lambda's limit: when its time is over, its process is killed."""
    from multicdn import handler as module
    from multicdn.queue.message import MARK

    whole = module.handler

    def limited(event: Any, context: Context | None = None) -> dict[str, Any]:
        assert context is not None, "the worker gives one"
        _write(_BEGUN, messages=sum(f'"{MARK}"' not in record["body"] for record in event["Records"]))
        timer = threading.Timer(context.get_remaining_time_in_millis() / 1000, _die)
        timer.daemon = True
        timer.start()
        try:
            return whole(event, context)
        finally:
            timer.cancel()

    module.handler = limited


def _die() -> None:
    _write(_LIMIT)
    os.kill(os.getpid(), signal.SIGKILL)


def _write(event: str, **members: object) -> None:
    """One write, so that a line of another thread doesn't come in between."""
    os.write(1, json.dumps({"event": event, **members}).encode() + b"\n")


def _was_at_its_limit(lines: Sequence[Mapping[str, Any]]) -> bool:
    return any(line["event"] == _LIMIT for line in lines)


def _at_hand(lines: Sequence[Mapping[str, Any]]) -> int:
    """Messages of the batch that a worker had begun and not ended."""
    messages = 0
    for line in lines:
        if line["event"] == _BEGUN:
            messages = line["messages"]
        elif line["event"] in ("worker-batch", "worker-handler"):
            messages = 0
    return messages


def _json_lines(text: str) -> Iterator[dict[str, Any]]:
    """Parse lines that are whole: a worker that is killed may leave half a line."""
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict) and "event" in value:
                yield value
