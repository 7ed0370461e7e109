"""Purges and preloads while they happen: a line for each provider, drawn anew on a terminal, elsewhere now and then.

The texts are pure; what draws them is at the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from multicdn.cli.render import counted
from multicdn.cli.terminal import folded, say, width
from multicdn.steering import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.live import Live
    from rich.text import Text

    from multicdn.oncall.board import Board, Reply, Standing

# Seconds that a vendor may take, or that its pace may hold a call back, before that is worth a line of its own.
_LONG = 10.0

# Seconds between two lines about the same provider where nothing can be drawn over, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 600.0

# The space between a number and its unit, and what stands for it while lines are broken.
_UNIT, _UNBROKEN = re.compile(r"(?<=\d) (?=s\b)"), "\N{NO-BREAK SPACE}"

# With fewer targets than this a provider's tenths are not worth their lines.
_LEAST = 100
_TENTHS = 10

_NAMED = 3
_LONGEST_NAME = 40


class Show(Protocol):
    """Shows how far a delivery is; called a few times a second."""

    def __call__(self) -> None:
        """Look at the board, and show what is new."""


def doing(standing: Standing) -> str:
    """What a provider is doing, in words; empty where that goes without saying."""
    if standing.is_over:
        over = standing.phase or "done"
        return f"{standing.undone:,} not accepted: {standing.why}" if standing.undone else over
    undone = f"; {standing.undone:,} not accepted: {standing.why}" if standing.undone else ""
    return _doing(standing) + undone


def frame(standings: Sequence[Standing], columns: int | None, rows: int) -> list[tuple[str, str]]:
    """All providers, each in a line that fits, with its colour or none.

    Those that are done make room for the others where there are more than so many rows.
    """
    open_first = sorted(standings, key=lambda standing: standing.is_over and not standing.phase)
    shown = open_first[: max(1, rows - 1)] if len(standings) > rows else list(standings)
    cells = [_cells(standing) for standing in shown]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    lines = [
        (_fitted("  ".join([*map(str.ljust, row, widths), row[-1]]), columns), _colour(standing))
        for row, standing in zip(cells, shown, strict=True)
    ]
    if rest := open_first[len(shown) :]:
        over = sum(standing.is_over for standing in rest)
        lines.append((f"and {counted(len(rest), 'more provider')}, {over:,} of them done", ""))
    return lines


def told(answer: Reply) -> str:
    """One call and how it ended, in one line."""
    named = ", ".join(answer.targets[:_NAMED])
    more = f" and {len(answer.targets) - _NAMED:,} more" if len(answer.targets) > _NAMED else ""
    ms = f"{answer.seconds * 1000:,.0f} ms"
    how = answer.trouble or f"accepted{f', id {answer.id}' if answer.id else ''}"
    return f"{answer.provider}: {named}{more}: {how} ({ms})"


class News:
    """Which lines are worth printing where nothing can be drawn over: what is new and, ever more rarely, what lasts."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def lines(self, standings: Sequence[Standing], now: float) -> list[str]:
        """The lines to print now; at most some twenty a provider in ten minutes, however its vendor behaves."""
        return [f"{each.name}: {news}" for each in standings if (news := self._news(each, now))]

    def _news(self, standing: Standing, now: float) -> str:
        known = self._known.setdefault(standing.name, _Known())
        if standing.is_over:
            return ""
        far = f"{standing.accepted:,} of {standing.targets or 0:,}"
        if known.has_passed_a_tenth(standing):
            return f"{far}, {_doing(standing)}" if _is_telling(standing) else far
        if now < known.silent_until or not (_is_telling(standing) or known.told):
            return ""
        known.told = _is_telling(standing)
        known.be_silent(now)
        return f"{far}, {doing(standing)}" if known.told else f"{far}, goes on"


@dataclass
class _Known:
    """What was printed of a provider: how many tenths, whether the last line was about what holds it up."""

    tenths: int = 0
    told: bool = False
    pause: float = _FIRST_PAUSE
    silent_until: float = 0.0

    def has_passed_a_tenth(self, standing: Standing) -> bool:
        if standing.targets is None or standing.targets < _LEAST:
            return False
        before, self.tenths = self.tenths, standing.accepted * _TENTHS // standing.targets
        return before < self.tenths

    def be_silent(self, now: float) -> None:
        self.silent_until = now + self.pause
        self.pause = min(_LONGEST_PAUSE, 2 * self.pause)


def _cells(standing: Standing) -> tuple[str, ...]:
    """Name, how far, calls, and words: ``fastly  12 of 40  14 calls  503 for 12 s, next try in 4 s``."""
    of = "" if standing.targets is None else f" of {standing.targets:,}"
    name = standing.name if len(standing.name) <= _LONGEST_NAME else f"{standing.name[: _LONGEST_NAME - 1]}…"
    return visible(name), f"{standing.accepted:,}{of}", counted(standing.calls, "call"), visible(doing(standing))


def _fitted(line: str, columns: int | None) -> str:
    """A line folded between words, and not between a number and its unit."""
    return folded(_UNIT.sub(_UNBROKEN, line), columns).replace(_UNBROKEN, " ")


def _doing(standing: Standing) -> str:
    if standing.stopped and not standing.under_way:
        return f"stopped: {standing.trouble}" if standing.trouble else "stopped"
    if standing.trouble:
        next_try = f"next try in {_seconds(standing.wait)}" if standing.wait else "tries again"
        return f"{standing.trouble} for {_seconds(standing.troubled)}, {next_try}"
    if standing.under_way:
        return f"no answer yet for {_seconds(standing.calling)}" if standing.calling >= 1 else "calls"
    if standing.wait:
        return f"at the vendor's pace, next call in {_seconds(standing.wait)}"
    if standing.phase:
        return standing.phase
    if standing.targets is None:
        return "finds out what it stands for"
    return "calls" if standing.calls else "begins"


def _is_telling(standing: Standing) -> bool:
    """Whether something holds a provider up that a person wants to know of."""
    return bool(standing.trouble) or standing.calling >= _LONG or standing.wait >= _LONG


def _seconds(seconds: float) -> str:
    return f"{max(1, round(seconds)):,} s"


def _colour(standing: Standing) -> str:
    if standing.is_over:
        return "red" if standing.undone else "" if standing.phase else "green"
    return "yellow" if standing.trouble else ""


@contextlib.contextmanager
def shown(board: Board, *, verbose: bool = False) -> Iterator[Show]:
    """Show on standard error how far a delivery is, for as long as the context lasts.

    Args:
        board: of the delivery.
        verbose: whether each answer of a vendor is a line of its own.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        news = News()
        yield lambda: _print(board, news, verbose=verbose)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True, redirect_stdout=False) as live:
        yield lambda: _draw(board, live, verbose=verbose)


def _print(board: Board, news: News, *, verbose: bool) -> None:
    for answer in board.answers() if verbose else ():
        say(told(answer), err=True)
    for line in board.lines():
        say(line, err=True)
    for news_line in news.lines(board.standings(), board.now()):
        say(news_line, err=True)


def _draw(board: Board, live: Live, *, verbose: bool) -> None:
    answers = map(told, board.answers() if verbose else ())
    for line in (*answers, *board.lines()):
        live.console.print(_fitted(visible(line), width(err=True)), markup=False, highlight=False, soft_wrap=True)
    size = shutil.get_terminal_size()
    live.update(picture(frame(board.standings(), size.columns, size.lines - 2)), refresh=True)


def picture(lines: Sequence[tuple[str, str]]) -> Text:
    """Lines with their colours, for rich."""
    from rich.text import Text

    return Text("\n").join(Text(text, style=colour) for text, colour in lines)
