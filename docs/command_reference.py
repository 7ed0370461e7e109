"""Every command with its arguments and options, as the program itself describes them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

import click
from reference import plain, table

from multicdn.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD = """# Every command

All commands with their options, as `-h` shows them. What holds for all of them, their exit statuses and what they print
as JSON: [commands.md](commands.md).
"""


def page() -> str:
    """The page of all commands."""
    top = click.Context(main, info_name="multicdn", **main.context_settings)
    return "".join((_HEAD, *(part for context in _all(top) for part in _command(context))))


def _all(context: click.Context) -> Iterator[click.Context]:
    """The commands that do something, in the order of their names; groups only hold them."""
    command = context.command
    if not isinstance(command, click.Group):
        yield context
        return
    for name in sorted(command.list_commands(context)):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield from _all(click.Context(below, info_name=name, parent=context))


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    pieces = command.collect_usage_pieces(context)
    yield f"\n## {context.command_path}\n\n```text\n{' '.join((context.command_path, *pieces))}\n```\n\n"
    yield f"{plain(_text(command.help or ''))}\n"
    rows = [row for param in command.get_params(context) if (row := _option(param, context))]
    if rows:
        yield "\n" + table(["option", "means"], rows)


def _text(help_: str) -> str:
    """A help text as paragraphs; what click is told not to wrap is a block of its own."""
    paragraphs = inspect.cleandoc(help_).split("\n\n")
    return "\n\n".join(
        f"```text\n{paragraph.removeprefix(chr(8)).strip(chr(10))}\n```"
        if paragraph.startswith("\b")
        else " ".join(paragraph.split())
        for paragraph in paragraphs
    )


def _option(param: click.Parameter, context: click.Context) -> list[str]:
    """Its names with what they take, and its help; nothing for arguments, which the usage has, and for ``-h``."""
    if not isinstance(param, click.Option) or param.hidden or "--help" in param.opts:
        return []
    record = param.get_help_record(context)
    if record is None:
        return []
    names, text = record
    return [f"`{names}`", plain(text)]
