"""``multicdn config``: is the file right, how would an editor know, and what was it in the tool before this one?"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from multicdn import config as config_file
from multicdn.authoring.schema import schema as make_schema
from multicdn.cli._group import CommandGroup
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.render import counted
from multicdn.cli.terminal import say, say_text
from multicdn.config import text_file, yaml_source
from multicdn.errors import ConfigError
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.authoring.from_globaldots import Conversion
    from multicdn.config import Config


@click.group(cls=CommandGroup)
def config() -> None:
    """Check the config file, print its JSON Schema, or convert that of another tool."""


@config.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--online", is_flag=True, help="Ask AWS whether the buckets exist, in this account and region.")
@as_json_option
def check(files: tuple[Path, ...], *, online: bool, as_json: bool) -> None:
    """Check each FILE, by default the one that the function would use.

    Every problem is listed with file and line, then what is legal but probably not meant, and packages that are missing
    here. Exit status 1 if there is a problem. Nothing is called, unless --online is given, and no secret is read.
    """
    if as_json and len(files) > 1:
        raise click.UsageError("--json is for one file")
    plugins = Plugins()
    good = [_is_good(file, plugins, online=online, as_json=as_json) for file in files or (config_file.locate(),)]
    raise SystemExit(0 if all(good) else 1)


def _is_good(path: Path, plugins: Plugins, *, online: bool, as_json: bool) -> bool:
    """Whether one file has no problem; says what there is to say of it."""
    loaded, problems, warnings = None, list[str](), list[str]()
    try:
        loaded = config_file.load(path, plugins)
        warnings = [*loaded.warnings, *_missing_packages(loaded, plugins)]
        problems = _missing_buckets(path, loaded) if online else []
    except ConfigError as error:
        problems = [*error.problems]
    if as_json:
        say_json(_facts(path, loaded, problems, warnings))
        return not problems
    for line in (*(f"{warning} (warning)" for warning in warnings), *problems):
        say(line, err=True)
    if loaded and not problems:
        counts = f"{counted(len(loaded.providers), 'provider')}, {counted(len(loaded.routes), 'route')}"
        say(f"{loaded.name}: ok: {counts}")
    return not problems


def _facts(path: Path, loaded: Config | None, problems: Sequence[str], warnings: Sequence[str]) -> dict[str, Any]:
    return {
        "config": path.name,
        "ok": not problems,
        "problems": list(map(_placed, problems)),
        "warnings": list(map(_placed, warnings)),
        "providers": [{"name": name, "type": kind} for name, kind in loaded.types.items()] if loaded else None,
        "routes": len(loaded.routes) if loaded else None,
    }


def _placed(sentence: str) -> dict[str, Any]:
    """A sentence on a file, which may begin with its name and a line, in parts."""
    found = re.match(r"([^:]+):(\d+): ", sentence)
    if found is None:
        return {"file": None, "line": None, "message": sentence}
    return {"file": found[1], "line": int(found[2]), "message": sentence[found.end() :]}


def _missing_packages(loaded: Config, plugins: Plugins) -> list[str]:
    from multicdn import extras

    lacks = extras.lacking(loaded, plugins)
    return [f"{loaded.name}: {extras.told(lacks)}"] if lacks else []


def _missing_buckets(file: Path, loaded: Config) -> list[str]:
    from multicdn.installer import bucket_check
    from multicdn.installer.organisation.forwarding import without_forwarded

    document = yaml_source.parse(text_file.decoded(file.read_bytes()), file.name)
    places: dict[str, str] = {}
    for place, route in enumerate(document.data["routes"]):
        for bucket in listed(route["bucket"]):
            at = document.at(("routes", place, "bucket"))
            places.setdefault(bucket, f"{at}: routes[{place}].bucket")
    missing = bucket_check.missing(without_forwarded(loaded.install, places), loaded.install.region)
    return [f"{places[bucket]}: {sentence}" for bucket, sentence in missing]


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
