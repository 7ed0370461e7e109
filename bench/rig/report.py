"""The one table of all figures: on a terminal, on a page, and as an exit status."""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import platform
import ssl
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rig.figures import Bench, Figure

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "performance.md"

# Benches that a quick run measures with side by side.
_AT_ONCE = 3

_COLUMNS = ("figure", "ours", "floor", "ratio", "quartiles", "wall", "at most", "", "note")

_BEGIN, _END = "<!-- figures -->\n", "<!-- /figures -->"

#: What a bench is about, and its figures.
Part = tuple[str, list["Figure"]]


def measured(bench: Bench, *, quick: bool) -> Part:
    """Measure with one bench.

    Raises:
        ValueError: it has other rows than it says.
    """
    began = time.monotonic()
    found = list(bench.figures(quick=quick))
    if [figure.name for figure in found] != list(bench.ROWS):
        raise ValueError(f"{bench.TITLE}: {[figure.name for figure in found]} and not {list(bench.ROWS)}")
    print(f"{bench.TITLE}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return bench.TITLE, found


def run(names: Sequence[str], *, quick: bool) -> list[Part]:
    """Measure with modules of these names, each in a process of its own.

    Where it is to be quick, several at a time: most of them wait for others, and each takes the time of its processor.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_AT_ONCE if quick else 1, context, max_tasks_per_child=1) as pool:
        # The last first: these wait for clocks, and whatever takes its time of a processor has it meanwhile.
        futures = {name: pool.submit(_measured_by_name, name, quick=quick) for name in reversed(names)}
        return [futures[name].result() for name in names]


def _measured_by_name(name: str, *, quick: bool) -> Part:
    return measured(importlib.import_module(name), quick=quick)


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


def markdown(parts: Iterable[Part], *, quick: bool) -> str:
    """For a page: the machine, and the table."""
    how = ", by a quick run" if quick else ""
    lines = [f"| {' | '.join(_COLUMNS)} |", f"| {' | '.join('---' for _ in _COLUMNS)} |"]
    for title, found in parts:
        lines.append(f"| **{title}** |{' |' * (len(_COLUMNS) - 1)}")
        lines += [f"| {' | '.join(map(_escaped, cells(figure)))} |" for figure in found]
    return "\n".join([f"{machine()}{how}.", "", *lines, ""])


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")


def write(parts: Iterable[Part], *, quick: bool, page: Path = PAGE) -> None:
    """Put both between the marks of a page."""
    text = page.read_text(encoding="utf-8")
    head, _, rest = text.partition(_BEGIN)
    page.write_text(head + _BEGIN + markdown(parts, quick=quick) + _END + rest.partition(_END)[2], encoding="utf-8")


def rows(page: Path = PAGE) -> list[str]:
    """The first cells of the table that a page has, titles among them."""
    made = page.read_text(encoding="utf-8").partition(_BEGIN)[2].partition(_END)[0]
    found = [line.split("|")[1].strip().strip("*") for line in made.splitlines() if line.startswith("|")]
    return found[2:]


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
    return show([measured(bench, quick=parser.parse_args().quick)])
