"""A delivery from a person's machine: seen while it happens, and stopped by Ctrl-C without a lie about what is done."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from multicdn.cli import live
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.delivery.delivery import LINGER

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.delivery.delivery import Delivery
    from multicdn.model import Report
    from multicdn.oncall.board import Board

# Seconds between two looks at what is new.
_GLANCE = 0.1


class Delivered(NamedTuple):
    """How a delivery ended.

    Attributes:
        report: of all of it.
        interrupted: whether Ctrl-C ended it.
    """

    report: Report
    interrupted: bool = False


def watched(deliver: Callable[[], Report], delivery: Delivery, board: Board, *, verbose: bool = False) -> Delivered:
    """Deliver in another thread, and show here how far it is.

    The first Ctrl-C lets no further call begin, and waits for a moment for those under way.

    Args:
        deliver: calls ``deliver`` of the delivery.
        delivery: to be stopped.
        board: its observer.
        verbose: whether to show each answer.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C, at once.
    """
    working = _Working(deliver)
    with live.shown(board, verbose=verbose) as show:
        try:
            working.start()
            return Delivered(_waited_for(working, show))
        except KeyboardInterrupt:
            delivery.stop()
            board.stop()
        if working.ident is None:  # interrupted before it began: it ends as one of which nothing was called
            working.start()
        _tell_stopping(board)
        return Delivered(_waited_for(working, show), interrupted=True)


def _waited_for(working: _Working, show: live.Show) -> Report:
    while not working.ended.wait(_GLANCE):
        show()
    show()
    return working.result()


def _tell_stopping(board: Board) -> None:
    under_way = sum(standing.under_way for standing in board.standings())
    waiting = f"{counted(under_way, 'call')} under way {'has' if under_way == 1 else 'have'} {LINGER:g} s to end. "
    say(f"Interrupted: no further call begins. {waiting if under_way else ''}Ctrl-C again ends at once.", err=True)


class _Working(threading.Thread):
    """The thread that delivers. A daemon: at the second Ctrl-C nobody waits for it."""

    def __init__(self, deliver: Callable[[], Report]) -> None:
        super().__init__(name="multicdn-delivery", daemon=True)
        self.ended = threading.Event()
        self._deliver = deliver
        self._report: Report | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._report = self._deliver()
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self._error = error
        finally:
            self.ended.set()

    def result(self) -> Report:
        """How it ended.

        Raises:
            BaseException: whatever the delivery raised.
        """
        if self._report is None:
            raise self._error or AssertionError("it has ended")
        return self._report
