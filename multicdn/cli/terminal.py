"""What goes to a terminal: names of objects, answers of vendors and the like can't steer it."""

from __future__ import annotations

import re

import click

from multicdn.log import STEERING

_STEERING = re.compile(f"[\x00-\x1f{STEERING}]")
_STEERING_BUT_LINES = re.compile(f"[\x00-\x09\x0b-\x1f{STEERING}]")


def visible(text: str) -> str:
    r"""A line in which nothing steers a terminal: such characters show as JSON writes them, ``\u001b``."""
    return _STEERING.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """The same for a text whose lines are ours."""
    return _STEERING_BUT_LINES.sub(_escaped, text)


def say(line: str, *, err: bool = False, colour: str | None = None) -> None:
    """Print a line."""
    click.echo(click.style(visible(line), fg=colour) if colour else visible(line), err=err)


def say_text(text: str, *, nl: bool = True) -> None:
    """Print a text of several lines; JSON stays JSON with the same content."""
    click.echo(visible_lines(text), nl=nl)


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
