"""A delivery from a person's machine: seen while it happens, and stopped by Ctrl-C without a lie about what is done."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

from multicdn.cli import _ends, live
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.delivery.delivery import LINGER, Delivery
from multicdn.delivery.invocation import Terms
from multicdn.oncall.background import BackgroundDelivery
from multicdn.oncall.board import Board
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.cli._options import CommonOptions
    from multicdn.config import Config
    from multicdn.model import Action, Report
    from multicdn.oncall.preview import Preview
    from multicdn.routing.demand import Demand

# Seconds for which vendors are tried, beyond those that their own pace takes.
_PATIENCE = 600.0

# Seconds between two looks at what is new.
_GLANCE = 0.1


class Stoppable(Protocol):
    """What can be told to begin nothing more."""

    def stop(self) -> None:
        """Begin nothing more; from any thread."""


class Runner(Stoppable, Protocol):
    """What delivers, and does more than that."""

    def run(self, demands: Iterable[Demand]) -> Report:
        """Deliver."""


class Delivered(NamedTuple):
    """How a delivery ended.

    Attributes:
        report: of all of it.
        interrupted: whether Ctrl-C ended it.
    """

    report: Report
    interrupted: bool = False


def delivered(
    config: Config,
    demands: Iterable[Demand],
    action: Action,
    foretold: Sequence[Preview],
    settings: CommonOptions,
    runner: Callable[[Delivery, Board], Runner] | None = None,
) -> Delivered:
    """Deliver, and show on standard error how far it is.

    Args:
        config: the checked config.
        demands: what is to be done.
        action: of all of them.
        foretold: what that comes to.
        settings: time, and details.
        runner: makes what delivers, and does more than that; else it is the delivery alone.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C, once it is said what had ended.
    """
    seconds = time_for(settings.timeout, foretold)
    terms = Terms(concurrency=config.concurrency, ends=f"the time was up (--timeout {seconds:g})")
    board = Board({each.name: each.targets if each.exact else None for each in foretold}, time.monotonic)
    delivery = Delivery(config.providers, terms, observer=board)
    running = runner(delivery, board) if runner else None
    deliver = (lambda: running.run(demands)) if running else (lambda: delivery.deliver(demands, seconds))
    try:
        with _log(verbose=settings.verbose):
            return watched(deliver, running or delivery, board, verbose=settings.verbose)
    except KeyboardInterrupt:
        for line in _ends.lines(board.outcomes(), action):
            say(redact(line), err=True)
        say("The rest isn't known: what was being called may be done.", err=True)
        raise


def time_for(said: float | None, foretold: Iterable[Preview]) -> float:
    """Seconds after which vendors are given up: as said, or what their own pace takes and some minutes."""
    return said or _PATIENCE + max((preview.seconds for preview in foretold), default=0.0)


@contextlib.contextmanager
def _log(*, verbose: bool) -> Iterator[None]:
    """Show the log's warnings, and traces of plugins, only to who wants details: the report says what matters."""
    silent, logger = logging.NullHandler(), logging.getLogger("multicdn")
    if not verbose:
        logger.addHandler(silent)
    try:
        yield
    finally:
        logger.removeHandler(silent)


def watched(deliver: Callable[[], Report], delivery: Stoppable, board: Board, *, verbose: bool = False) -> Delivered:
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
    working = BackgroundDelivery(deliver, "delivery")
    with live.shown(board, verbose=verbose) as show:
        try:
            working.begin()
            return Delivered(_waited_for(working, show))
        except KeyboardInterrupt:
            delivery.stop()
            board.stop()
        working.begin()  # where it was interrupted before: it ends as one of which nothing was called
        _tell_stopping(board)
        return Delivered(_waited_for(working, show), interrupted=True)


def _waited_for(working: BackgroundDelivery, show: live.Show) -> Report:
    while not working.ended.wait(_GLANCE):
        show()
    show()
    return working.report


def _tell_stopping(board: Board) -> None:
    under_way = sum(standing.under_way for standing in board.standings())
    waiting = f"{counted(under_way, 'call')} under way {'has' if under_way == 1 else 'have'} {LINGER:g} s to end. "
    say(f"Interrupted: no further call begins. {waiting if under_way else ''}Ctrl-C again ends at once.", err=True)
