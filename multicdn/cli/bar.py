"""How far a long piece of work is: a bar on a terminal, a line for each tenth elsewhere. Both on standard error."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from rich.progress import Progress, TaskID

_LINES = 10
# Where nobody knows how much there is, a line for each so many.
_UNKNOWN_STEP = 1000


class Bar:
    """A context manager; ``advance`` may be called from any thread.

    Args:
        what: is being done, such as ``purging``.
        total: how many things there are; None where that shows only as it goes.
        least: with fewer things than this nothing is shown but on a terminal.
    """

    def __init__(self, what: str, total: int | None, *, least: int = 100) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._lock = threading.Lock()
        self._silent = total is not None and total < least
        self._step = max(1, total // _LINES) if total is not None else _UNKNOWN_STEP
        self._live: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._live = _live()
            self._live.start()
            self._task = self._live.add_task(self._what, total=self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def advance(self, number: int) -> None:
        """Say that so many more are done."""
        with self._lock:
            before, self._done = self._done, self._done + number
            if self._live is not None and self._task is not None:
                self._live.update(self._task, completed=self._done)
            elif not self._silent and before // self._step < self._done // self._step:
                of = f" of {self._total:,}" if self._total is not None else ""
                click.echo(f"{self._what}: {self._done:,}{of}", err=True)


def _live() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
