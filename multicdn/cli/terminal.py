"""What goes to a terminal: names of objects, answers of vendors and the like can't steer it."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

import click

from multicdn.steering import STEERING, escaped, visible

_STEERING_BUT_LINES = re.compile(f"[\x00-\x09\x0b-\x1f{STEERING}]")


def visible_lines(text: str) -> str:
    """A text of which nothing steers a terminal, and whose lines are ours."""
    return _STEERING_BUT_LINES.sub(escaped, text)


def width(*, err: bool = False) -> int | None:
    """Columns of the terminal that is written to; None for a pipe or a file, in which lines are as long as they are.

    Args:
        err: standard error instead of standard output.
    """
    stream = sys.stderr if err else sys.stdout
    return shutil.get_terminal_size().columns if stream.isatty() else None


def folded(line: str, columns: int | None, taken: int = 0) -> str:
    """A line as several that fit, broken between words alone; what goes on stands two columns to the right.

    Args:
        line: without control characters.
        columns: that there are; None for any number.
        taken: columns of the first line in which something stands already.
    """
    if columns is None or taken + len(line) <= columns:
        return line
    indent = " " * (len(line) - len(line.lstrip(" ")) + 2)
    whole = textwrap.wrap(
        line,
        columns,
        initial_indent=" " * taken,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return "\n".join(whole)[taken:]


def say(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line; on a terminal it is folded between words."""
    shown = folded(visible(line), width(err=err))
    click.echo(click.style(shown, fg=colour) if colour else shown, err=err)


def say_text(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print a text of several lines, none of them folded; JSON stays JSON with the same content."""
    click.echo(visible_lines(text), nl=nl, err=err)


def say_file(content: bytes) -> None:
    """Print a file byte by byte; on a terminal as a text, since a byte could steer that."""
    if sys.stdout.isatty():
        say_text(content.decode(errors="replace"), nl=False)
    else:
        click.echo(content, nl=False)
