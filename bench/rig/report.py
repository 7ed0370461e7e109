"""The one table of all figures: on a terminal, on a page, and as an exit status."""

from __future__ import annotations

import argparse
import os
import platform
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rig.figures import Bench, Figure

_ROOT = Path(__file__).parents[2]
_COLUMNS = ("figure", "ours", "floor", "ratio", "quartiles", "wall", "at most", "", "note")

Part = tuple[str, list["Figure"]]


def run(benches: Sequence[Bench], *, quick: bool) -> list[Part]:
    """Measure with each of them, and say meanwhile how far it is.

    Raises:
        ValueError: a bench has other rows than it says.
    """
    parts = []
    for bench in benches:
        began = time.monotonic()
        found = list(bench.figures(quick=quick))
        if [figure.name for figure in found] != list(bench.ROWS):
            raise ValueError(f"{bench.TITLE}: {[figure.name for figure in found]} and not {list(bench.ROWS)}")
        print(f"{bench.TITLE}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        parts.append((bench.TITLE, found))
    return parts


def table(parts: Iterable[Part]) -> Table:
    """For a terminal."""
    shown = Table(title="Each figure beside its floor in the same run", show_lines=False)
    for column in _COLUMNS:
        is_text = column in ("figure", "", "note")
        shown.add_column(column, justify="left" if is_text else "right", no_wrap=column != "note")
    for title, found in parts:
        shown.add_row(f"[bold]{title}[/bold]")
        for figure in found:
            shown.add_row(*cells(figure), style="red" if figure.is_missed else "")
        shown.add_section()
    return shown


def cells(figure: Figure) -> list[str]:
    """A figure as the texts of its row."""
    return [
        figure.name,
        f"{_number(figure.ours)} {figure.unit}".strip(),
        _number(figure.floor),
        _ratio(figure.ratio),
        f"{_ratio(figure.low)} to {_ratio(figure.high)}" if figure.low != figure.high else "",
        "" if figure.wall is None else _ratio(figure.wall),
        "" if figure.limit is None else f"{figure.limit:g}",
        figure.verdict,
        figure.note,
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.1g}"


def markdown(parts: Iterable[Part]) -> str:
    """For a page: a table for each bench, and the machine."""
    lines = [f"{machine()}.", ""]
    head = [f"| {' | '.join(_COLUMNS)} |", f"| {' | '.join('---' for _ in _COLUMNS)} |"]
    for title, found in parts:
        lines += [f"**{title}**", "", *head, *(f"| {' | '.join(cells(figure))} |" for figure in found), ""]
    return "\n".join(lines)


def machine() -> str:
    """What was measured on, when, and at which commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    said = f"{_cores()} cores of {_processor()}, Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} at commit {commit or 'unknown'}: {said}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def status(parts: Iterable[Part]) -> int:
    """The exit status: 1 if a figure is over its limit."""
    return int(any(figure.is_missed for _, found in parts for figure in found))


def show(parts: Sequence[Part]) -> int:
    """Print the table and what is missed, and return the exit status."""
    wide = None if sys.stdout.isatty() else 200
    Console(width=wide).print(table(parts))
    every = [figure for _, found in parts for figure in found]
    print(f"{sum(figure.is_missed for figure in every)} of {len(every)} figures are over their limits.")
    return status(parts)


def main(bench: Bench, about: str | None) -> int:
    """The command line of one bench alone."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same rows in seconds: noisier")
    return show(run([bench], quick=parser.parse_args().quick))
