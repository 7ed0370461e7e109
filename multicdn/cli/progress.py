"""Progress of long commands, on standard error: live on a terminal, plain lines elsewhere, nothing for programs."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from typing import TYPE_CHECKING

from multicdn.cli.terminal import folded, say, width
from multicdn.steering import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

    from rich.status import Status

_LINES = 10
# Where nobody knows how much there is, a line for each so many.
_UNKNOWN_STEP = 1000


class Progress:
    """A context manager. ``begin`` names a step, ``say`` tells what happens within it.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._status: Status | None = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def begin(self, step: str) -> None:
        """Name the step that begins."""
        if self._status is not None:
            self._status.update(step)
        self._print(f"{step} ...")

    def say(self, text: str) -> None:
        """Tell what happened within the step."""
        self._print(f"  {text}")

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to a question."""
        if self._status is not None:
            self._status.stop()
        yield
        if self._status is not None:
            self._status.start()

    def _print(self, line: str) -> None:
        if self._status is not None:
            shown = folded(visible(line), width(err=True))
            self._status.console.print(shown, markup=False, highlight=False, soft_wrap=True)
        elif not self._quiet:
            say(line, err=True)


@contextlib.contextmanager
def bar(label: str, total: int | None, *, least: int = 100) -> Iterator[Callable[[int], None]]:
    """Show how far a piece of work is: a bar on a terminal, a line for each tenth elsewhere.

    Args:
        label: names the work, such as ``purging``.
        total: number of things to do; None where that shows only as it goes.
        least: with fewer things than this nothing is shown but on a terminal.

    Returns:
        The function to call, from any thread, with how many more things are done.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as LiveProgress

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with LiveProgress(*columns, console=Console(stderr=True), transient=True) as live:
            yield functools.partial(live.advance, live.add_task(label, total=total))
    else:
        yield _lines(label, total, least)


def _lines(label: str, total: int | None, least: int) -> Callable[[int], None]:
    if total is not None and total < least:
        return lambda _: None
    step, of = (_UNKNOWN_STEP, "") if total is None else (max(1, total // _LINES), f" of {total:,}")
    done = 0
    lock = threading.Lock()

    def advance(number: int) -> None:
        nonlocal done
        with lock:
            before, done = done, done + number
            if before // step < done // step:
                say(f"{label}: {done:,}{of}", err=True)

    return advance
