"""The log that a command reads: that of an installation, or a file or pipe with what a worker in a container wrote."""

from __future__ import annotations

import re
import sys
import time
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from multicdn.cli import _stack
from multicdn.logbook.group import LogGroup
from multicdn.routing.durations import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from multicdn.logbook.entries import LogEntry

_DURATION = re.compile("[1-9][0-9]{0,8}[smhd]")

# CloudWatch keeps nothing for longer: ten years.
_LONGEST = 3653 * 86400.0

STANDARD_INPUT = "-"


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds of a duration.

    Raises:
        BadParameter: it is none.
    """
    del context, parameter
    if value is None:
        return None
    if not _DURATION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no length of time: write 30s, 15m, 6h or 2d")
    return min(seconds(value), _LONGEST)


def since_option(default: str) -> Callable[[Any], Any]:
    """How far back to look; in files, by default, all of it."""
    text = f"How far back to look: 15m, 6h, 2d. [default: {default}; of a file, all]"
    return click.option("--since", metavar="TIME", callback=duration, help=text)


class InstalledLog(Struct, frozen=True):
    """The log of an installation."""

    group: LogGroup
    client: Any
    region: str


def installed(stack: str, region: str, config_path: Path | None, instead: str) -> InstalledLog:
    """Find the log group of an installation.

    Raises:
        UsageError, ClickException, InstallError: as ``_stack.find``.
    """
    found = _stack.find(stack, region, config_path, instead, "log")
    name = found.output("LogGroupName", f"; name another stack, or use {instead}")
    client = found.client("logs")
    return InstalledLog(LogGroup(client, name), client, found.region)


def told() -> AbstractContextManager[None]:
    """Show what AWS refuses as a sentence that names the right that is missing."""
    from multicdn.installer.errors import translated

    return translated("reading the log", "logs")


def from_file(name: str, since: float | None) -> Iterator[LogEntry]:
    """The lines of a file, or of standard input as they come.

    Raises:
        UsageError: it can't be read.
    """
    from multicdn.logbook import entries

    start = None if since is None else time.time() - since
    if name == STANDARD_INPUT:
        yield from _young(entries.lines(sys.stdin.buffer), start)
        return
    try:
        with open(name, "rb") as opened:  # noqa: PTH123 - may be a pipe of the shell's: <(...)
            yield from _young(entries.lines(opened), start)
    except OSError as error:
        raise click.UsageError(f"{name}: can't be read: {error.strerror}") from None


def _young(found: Iterator[LogEntry], start: float | None) -> Iterator[LogEntry]:
    return (entry for entry in found if start is None or entry.at is None or entry.at >= start)
