"""SIGTERM and SIGHUP end a command as Ctrl-C does: what is held is given back, and what was done is said.

A CI job that is cancelled gets the one, a command whose terminal is closed the other.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

# Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

# In the ``meta`` of a context: the signal that came.
_CAME = "multicdn.signal"


@contextlib.contextmanager
def obeyed(context: click.Context) -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at these signals, unless they are to be ignored, as ``nohup`` has it."""
    if threading.current_thread() is not threading.main_thread():  # where Python lets nobody set a handler
        yield
        return

    def came(number: int, _: object) -> None:
        context.meta[_CAME] = number
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    chosen = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in chosen:
        signal.signal(number, came)
    try:
        yield
    finally:
        for number in chosen:
            signal.signal(number, before[number])


def status() -> int:
    """The exit status of what was interrupted, as shells count: 128 and the number of the signal; else of SIGINT."""
    context = click.get_current_context(silent=True)
    return 128 + int(context.meta.get(_CAME, signal.SIGINT) if context else signal.SIGINT)
