"""What goes to a terminal: names of objects, answers of vendors and the like can't steer it."""

from __future__ import annotations

import re

import click

from multicdn.errors import MulticdnError
from multicdn.log import STEERING

_STEERING = re.compile(f"[\x00-\x1f{STEERING}]")
_STEERING_BUT_LINES = re.compile(f"[\x00-\x09\x0b-\x1f{STEERING}]")


class SpokenErrors(click.Group):
    """Shows errors as sentences: our own, files that can't be used, packages that are missing and how to get them."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; no trace of what we raise on purpose reaches the screen."""
        try:
            return super().invoke(ctx)
        except MulticdnError as error:
            raise click.ClickException(visible_lines(str(error))) from error
        except ModuleNotFoundError as error:
            from multicdn.authoring import extras

            told = extras.of_import(error)
            if told is None:
                raise
            raise click.ClickException(told) from error
        except OSError as error:
            if error.filename is None:  # a pipe that was closed, for one, which click knows how to end with
                raise
            raise click.ClickException(visible_lines(f"{error.filename}: {error.strerror}")) from error
        except click.ClickException as error:
            # Final for type checkers; click has no other door to the text of its own errors.
            error.message = visible_lines(error.message)  # type: ignore[misc]
            raise


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
