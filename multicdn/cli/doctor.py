"""``multicdn doctor``: whether purges would work, from the config file to the vendors, and what to do where not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from multicdn import config as config_file
from multicdn import extras
from multicdn.cli import aws_region
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.arguments import config_option
from multicdn.cli.render import counted
from multicdn.cli.terminal import say
from multicdn.diagnosis import Finding, Health, failed
from multicdn.oncall import checkup, local_checks, vendor_checks
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from multicdn.config import Config
    from multicdn.oncall.checkup import Line, Look

_COLOURS = {Health.OK: "green", Health.WARNING: "yellow", Health.FAILED: "red"}
_WIDTH = max(map(len, Health))


@click.command()
@config_option
@click.option(
    "--online", is_flag=True, help="Read the secrets, and ask AWS and each vendor, by calls that purge nothing."
)
@click.option("--stack", default="", help="Name of the stack; wins over the config's install.stack.")
@click.option("--region", default="", help="Region; wins over the config's install.region.")
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="Seconds for all checks together.",
)
@as_json_option
def doctor(config_path: Path | None, stack: str, region: str, *, online: bool, timeout: float, as_json: bool) -> None:
    """Look whether purges would work: config, plugins, AWS, secrets, vendors. Changes nothing.

    A line for each thing that was looked at: ok, warning, FAILED with what to do, or unknown. Exit status 1 if one has
    FAILED.
    """
    path = config_path or config_file.locate()
    plugins = Plugins()
    loaded, said = local_checks.config(path, plugins)
    looks = {"config": lambda: said, **_offline(loaded, plugins)}
    if online and loaded is not None:
        looks |= _online(loaded, path, stack, region)
        aws_region.use(region or loaded.install.region)
    with checkup.silenced():
        lines = checkup.examine(looks, timeout)
        _show(lines, path, online=online, as_json=as_json)
    raise SystemExit(1 if any(line.state is Health.FAILED for line in lines) else 0)


def _offline(loaded: Config | None, plugins: Plugins) -> dict[str, Look]:
    looks: dict[str, Look] = {"plugins": partial(local_checks.plugins_of, plugins, loaded)}
    if loaded is not None:
        looks["extras"] = partial(local_checks.packages, plugins, loaded)
        looks |= vendor_checks.offline(loaded)
    return looks


def _online(loaded: Config, path: Path, stack: str, region: str) -> dict[str, Look]:
    from multicdn.installer import sessions
    from multicdn.installer.deployed import installation
    from multicdn.installer.errors import InstallError

    try:
        file = sessions.read(path, stack, region)
    except InstallError as error:
        raise click.UsageError(str(error)) from error
    looks = {**installation.checks(file), **vendor_checks.online(loaded)}
    return {name: partial(_with_packages, look) for name, look in looks.items()}


def _with_packages(look: Look) -> Iterator[Finding]:
    """A check; where an SDK is missing it says how to get that."""
    try:
        yield from look()
    except ModuleNotFoundError as error:
        told = extras.of_import(error)
        if told is None:
            raise
        what, _, command = told.partition(": ")
        yield failed(what, command)


def _show(lines: Sequence[Line], path: Path, *, online: bool, as_json: bool) -> None:
    counts = {state: sum(line.state is state for line in lines) for state in Health}
    if as_json:
        import msgspec

        about = {"config": str(path), "online": online, "counts": counts}
        say_json({**about, "checks": msgspec.to_builtins(lines)})
        return
    for line in lines:
        shown = line.state.upper() if line.state is Health.FAILED else line.state
        say(f"{shown:<{_WIDTH}}  {line.check}: {line.text}", colour=_COLOURS.get(line.state))
        if line.remedy:
            say(f"{'':<{_WIDTH}}    -> {line.remedy}")
    total = ", ".join(f"{number:,} {state}" for state, number in counts.items() if number)
    say(f"{counted(len(lines), 'line')}: {total}{'' if online else '; --online asks AWS and the vendors, too'}")
