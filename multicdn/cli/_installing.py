"""What the commands of ``multicdn install`` have in common: their options, and what to type after one of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from multicdn import config as config_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_P = ParamSpec("_P")
_R = TypeVar("_R")

_NEXT = (
    "`multicdn install test{options}` tells it of an upload, and follows that to the vendors.",
    "`multicdn logs -f{options}` follows what it does.",
    "`multicdn doctor --online{options}` looks whether all works that a purge needs.",
)

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and nothing else.")
yes = click.option("--yes", is_flag=True, help="Don't ask.")
unchecked = click.option(
    "--no-permission-check",
    "unchecked",
    is_flag=True,
    help="Don't ask beforehand what you may do, nor look for the secrets.",
)


def common(command: Callable[_P, _R]) -> Callable[_P, _R]:
    """Add the options that every command has."""
    for option in reversed((
        click.option(
            "--config",
            "config_path",
            default=config_file.locate,
            type=click.Path(dir_okay=False, path_type=Path),
            help="The config file; by default the one that MULTICDN_CONFIG names, or multicdn.config.yml.",
        ),
        click.option("--stack", default="", help="Name of the stack; wins over the config's install.stack."),
        click.option("--region", default="", help="Region; wins over the config's install.region."),
    )):  # fmt: skip
        command = option(command)
    return command


def what_next() -> Iterator[str]:
    """Lines on what to type once it is installed, with the options that say which installation, as they were typed."""
    context = click.get_current_context()
    names = {"config_path": "--config", "stack": "--stack", "region": "--region"}
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    options = "".join(f" {names[name]} {shlex.quote(str(context.params[name]))}" for name in given)
    return (line.format(options=options) for line in _NEXT)
