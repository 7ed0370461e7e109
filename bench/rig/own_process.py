"""A server in a process of its own, so that its work isn't counted with what is measured."""

from __future__ import annotations

import multiprocessing
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class OwnProcess:
    """A context manager; the process is killed at its end.

    Args:
        serve: run there with the arguments and the end of a pipe, into which it sends once how it is reached.
        arguments: its others.
    """

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve, args=(*arguments, there), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self.reached(self._here.recv())
        return self

    def reached(self, how: Any) -> None:
        """Take what the process sent."""
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()
