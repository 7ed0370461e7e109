"""Threads that wait for the next invocation: to start one takes as long as all that a call itself has to compute."""

from __future__ import annotations

import threading
import weakref
from contextvars import Context
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    # None ends the thread.
    _Works: TypeAlias = SimpleQueue[Callable[[], None] | None]


class Threads:
    """A thread for each name, which serves no other; one that hangs is left behind, and another one takes its place.

    They are daemons, so that one that hangs doesn't keep the process alive, and they end with what has them.
    """

    def __init__(self) -> None:
        self._idle = _Idle()
        weakref.finalize(self, self._idle.close)

    def start(self, name: str) -> None:
        """Have a thread of this name wait for work.

        Raises:
            RuntimeError: the process has too many.
        """
        self.run(name, lambda: None)

    def run(self, name: str, work: Callable[[], None]) -> None:
        """Let a thread of this name do some work, which raises nothing.

        Raises:
            RuntimeError: none can be started, since the process has too many.
        """
        waiting = self._idle.take(name)
        if waiting is None:
            waiting = _started(name, self._idle)
        waiting.works.put(work)


class _Waiting(NamedTuple):
    """A thread, and where it gets its work from."""

    thread: threading.Thread
    works: _Works


class _Idle:
    """The threads that wait, one of a name.

    No lock, since ``close`` may be called in the middle of anything: each step is one that nothing can come between.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._is_closed = False

    def take(self, name: str) -> _Waiting | None:
        """The thread of a name, if it waits. In a process that was forked meanwhile it doesn't live."""
        waiting = self._waiting.pop(name, None)
        return waiting if waiting is not None and waiting.thread.is_alive() else None

    def keep(self, name: str, waiting: _Waiting) -> bool:
        """Let a thread wait, unless one of its name does, or all of this is over."""
        if self._waiting.setdefault(name, waiting) is not waiting:
            return False
        return not self._is_closed or self._waiting.pop(name, None) is not waiting

    def close(self) -> None:
        """End the threads that wait now, and the others when they would."""
        self._is_closed = True
        while self._waiting:
            _, waiting = self._waiting.popitem()
            waiting.works.put(None)


def _started(name: str, idle: _Idle) -> _Waiting:
    works: _Works = SimpleQueue()
    thread = threading.Thread(target=_serve, args=(name, works, idle), name=f"multicdn-{name}", daemon=True)
    thread.start()
    return _Waiting(thread, works)


def _serve(name: str, works: _Works, idle: _Idle) -> None:
    me = _Waiting(threading.current_thread(), works)
    while (work := works.get()) is not None:
        Context().run(work)  # what a plugin leaves in a context variable is gone, as with its thread
        del work  # it would be kept for as long as this waits
        if not idle.keep(name, me):
            return
