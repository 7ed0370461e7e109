"""``multicdn config``: is the file right, how would an editor know, and what was it in the tool before this one?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from multicdn import config as config_file
from multicdn.authoring.schema import schema as make_schema
from multicdn.cli.render import counted
from multicdn.cli.terminal import say, say_text
from multicdn.config import text_file, yaml_source
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.authoring.from_globaldots import Conversion
    from multicdn.config import Config


@click.group()
def config() -> None:
    """Check the config file, print its JSON Schema, or convert that of another tool."""


@config.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--online", is_flag=True, help="Ask AWS whether the buckets exist, in this account and region.")
def check(files: tuple[Path, ...], *, online: bool) -> None:
    """Check each FILE, by default the one that the function would use.

    Every problem is listed with file and line, then what is legal but probably not meant, and packages that are missing
    here. Exit status 1 if there is a problem. Nothing is called, unless --online is given, and no secret is read.
    """
    plugins = Plugins()
    good = [_is_good(file, plugins, online=online) for file in files or (config_file.locate(),)]
    raise SystemExit(0 if all(good) else 1)


def _is_good(file: Path, plugins: Plugins, *, online: bool) -> bool:
    """Whether one file has no problem; says what there is to say of it."""
    from multicdn.authoring import extras

    try:
        loaded = config_file.load(file, plugins)
        _warn(loaded)
        if lacks := extras.lacking(loaded, plugins):
            say(f"{loaded.name}: {extras.told(lacks)} (warning)", err=True)
        if online:
            _check_buckets(file, loaded)
    except ConfigError as error:
        for problem in error.problems:
            say(problem, err=True)
        return False
    say(f"{loaded.name}: ok: {counted(len(loaded.providers), 'provider')}, {counted(len(loaded.routes), 'route')}")
    return True


def _check_buckets(file: Path, loaded: Config) -> None:
    """Ask AWS for the buckets of a config.

    Raises:
        ConfigError: some don't exist.
    """
    from multicdn.installer import bucket_check
    from multicdn.installer.organisation.forwarding import without_forwarded

    document = yaml_source.parse(text_file.decoded(file.read_bytes()), file.name)
    places: dict[str, str] = {}
    for place, route in enumerate(document.data["routes"]):
        for bucket in listed(route["bucket"]):
            at = document.at(("routes", place, "bucket"))
            places.setdefault(bucket, f"{at}: routes[{place}].bucket")
    own = without_forwarded(loaded.install, places)
    problems = [
        f"{places[bucket]}: {sentence}" for bucket, sentence in bucket_check.missing(own, loaded.install.region)
    ]
    if problems:
        raise ConfigError(problems)


@config.command()
def schema() -> None:
    """Print a JSON Schema of the config file for the providers that are installed.

    Name it in the first line of the file, and editors complete and check it:
    # yaml-language-server: $schema=./multicdn.schema.json
    """
    say_text(json.dumps(make_schema(Plugins()), indent=2))


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write here, to a new file, instead of to standard output."
)
def convert(file: Path, out: Path | None) -> None:
    """Convert FILE, the multicdn.config.yml of GlobalDots' s3-trigger-purge-cdn, into one of ours.

    Secrets become references. Standard error says which value to store where, and what could not be carried. Exit
    status 1 if FILE can't be converted. Nothing is called, and no secret is shown.
    """
    from multicdn.authoring.from_globaldots import convert as converted

    try:
        result = converted(_read(file), file.name)
        loaded = config_file.parse(result.text, (out or Path("result")).name, Plugins())
    except ConfigError as error:
        _fail(error.problems)
    if out is None:
        say_text(result.text, nl=False)
    else:
        _write(out, result.text)
    _explain(result)
    _warn(loaded)


def _read(file: Path) -> str:
    try:
        return text_file.decoded(file.read_bytes())
    except OSError as error:
        _fail([f"{file}: can't be read: {error.strerror}"])
    except text_file.NotTextError as error:
        _fail([f"{file}:{error.line}: {error.text}"])


def _write(file: Path, text: str) -> None:
    """Write a new file: over FILE itself, say, the only copy of its secrets would be lost."""
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        _fail([f"{file}: can't be written: {error.strerror}"])


def _explain(result: Conversion) -> None:
    say("To be stored, by `multicdn secret put ssm:NAME`:", err=True)
    for stored in result.secrets:
        say(f"  {stored.parameter}: {stored.source}", err=True)
    say("Not carried, or to be looked at:", err=True)
    for note in result.notes:
        say(f"  {note}", err=True)


def _warn(loaded: Config) -> None:
    for warning in loaded.warnings:
        say(f"{warning} (warning)", err=True)


def _fail(problems: Iterable[str]) -> NoReturn:
    for problem in problems:
        say(problem, err=True)
    raise SystemExit(1)
