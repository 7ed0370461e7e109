"""``multicdn config``: is the file right, and how would an editor know?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from multicdn import config as config_file
from multicdn.errors import ConfigError
from multicdn.plugins import Plugins
from multicdn.schema import schema as make_schema


@click.group()
def config() -> None:
    """Check the config file, or print its JSON Schema."""


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(file: Path | None) -> None:
    """Check FILE, by default the one that the function would use.

    Every problem is listed with file and line, then what is legal but probably not meant. Exit status 1 if there is a
    problem. Nothing is called, and no secret is read.
    """
    try:
        loaded = config_file.load(file)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(1) from None
    for warning in loaded.warnings:
        click.echo(f"{warning} (warning)", err=True)
    click.echo(f"{loaded.name}: ok: {_counted(loaded.providers, 'provider')}, {_counted(loaded.routes, 'route')}")


@config.command()
def schema() -> None:
    """Print a JSON Schema of the config file for the providers that are installed.

    Name it in the first line of the file, and editors complete and check it:
    # yaml-language-server: $schema=./multicdn.schema.json
    """
    click.echo(json.dumps(make_schema(Plugins()), indent=2))


def _counted(things: object, name: str) -> str:
    number = len(things)  # type: ignore[arg-type]
    return f"{number} {name}{'' if number == 1 else 's'}"
