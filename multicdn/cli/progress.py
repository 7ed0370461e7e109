"""What a long command is doing: a live line on a terminal, plain lines elsewhere, nothing for programs."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from rich.status import Status


class Progress:
    """A context manager. ``begin`` names a step, ``say`` tells what happens within it.

    Args:
        quiet: say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty()
        self._status: Status | None = None
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._live:
            from rich.console import Console

            self._status = self._stack.enter_context(Console(stderr=True).status(""))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._status = None

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
            self._status.console.print(line, markup=False, highlight=False, soft_wrap=True)
        elif not self._quiet:
            click.echo(line, err=True)
