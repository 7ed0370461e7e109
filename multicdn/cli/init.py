"""``multicdn init``: a first config file, by questions or by flags."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from multicdn.cli import _signals, completion
from multicdn.cli.terminal import say, say_text
from multicdn.config.checker import FILE_NAME
from multicdn.errors import ConfigError
from multicdn.steering import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.authoring.answers import Answers
    from multicdn.authoring.starter import Draft
    from multicdn.plugins.discovery import Plugins


@click.command()
@click.option("--bucket", default="", help="Bucket whose changes count.")
@click.option(
    "--domain", default="", help="Host name under which viewers see its objects, or the address of a page of theirs."
)
@click.option(
    "--vendor",
    "vendors",
    multiple=True,
    shell_complete=completion.types,
    help="Provider, as in `multicdn providers`; give it several times.",
)
@click.option("--set", "settings", multiple=True, metavar="VENDOR.OPTION=VALUE", help="Option of a vendor.")
@click.option("--prefix", default="", help="Only keys that begin so.")
@click.option("--region", default="", help="Region of the bucket; asked at a terminal: where the bucket is.")
@click.option("--account", default="", help="Account to install in; asked at a terminal: that of the credentials.")
@click.option("--kms-key", default="", help="ARN of the KMS key of the secrets, if that isn't AWS's own.")
@click.option(
    "--output", default=FILE_NAME, show_default=True, type=click.Path(dir_okay=False, path_type=Path), help="The file."
)
@click.option("--force", is_flag=True, help="Write over a file that exists.")
def init(
    bucket: str,
    domain: str,
    vendors: tuple[str, ...],
    settings: tuple[str, ...],
    prefix: str,
    region: str,
    account: str,
    kms_key: str,
    output: Path,
    *,
    force: bool,
) -> None:
    """Write a commented config file that passes the check.

    What isn't given by a flag is asked for, and asked again with the reason where an answer can't be right. Buckets and
    distributions are listed, region and account filled in, if AWS credentials are at hand. If you stop half-way, the
    command that goes on from there is printed.

    Without a terminal nothing is asked: then bucket, domain and at least one vendor must be given.
    """
    from multicdn.authoring.answers import Answers
    from multicdn.plugins.discovery import Plugins

    _refuse_output(output, force=force)
    more = (*(("--output", str(output)) if str(output) != FILE_NAME else ()), *(("--force",) if force else ()))
    answers = Answers(bucket, domain, prefix, region, account, kms_key, vendors, _parsed(settings, vendors), more)
    plugins = Plugins()
    text = _conversed(answers, plugins) if sys.stdin.isatty() else _taken(answers, plugins)
    _write(output, text, answers)
    _tell(output, text, answers.draft(), plugins)


def _refuse_output(output: Path, *, force: bool) -> None:
    """Say before the first question what would keep the file from being written after the last."""
    if output.exists() and not force:
        raise click.ClickException(f"{output} exists; --force writes over it, --output writes elsewhere")
    if not output.parent.is_dir():
        raise click.ClickException(
            f"{output}: there is no folder {output.parent}; make it, or write elsewhere: --output"
        )
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise click.ClickException(f"{output} can't be written: you may not; write elsewhere: --output")


def _parsed(settings: Sequence[str], vendors: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for setting in settings:
        where, equals, value = setting.partition("=")
        vendor, dot, option = where.partition(".")
        if not (equals and dot and option):
            # Its text may hold a secret.
            raise click.UsageError(f"--set {where}: write VENDOR.OPTION=VALUE")
        found.setdefault(vendor, {})[option] = value
    if stray := found.keys() - set(vendors):
        raise click.UsageError(f"--set {min(stray)}.…: there is no --vendor {min(stray)}")
    return found


class _Asker:
    """The terminal at which somebody sits."""

    def ask(self, question: str, default: str) -> str:
        """Ask; Enter alone gives the default."""
        return str(click.prompt(visible(question), default=default, show_default=bool(default)))

    def say(self, line: str) -> None:
        """Show a line."""
        say(line)


def _conversed(answers: Answers, plugins: Plugins) -> str:
    """Ask for what is open."""
    from multicdn.authoring.interview import Interview
    from multicdn.cli._surroundings import AwsAround

    try:
        return Interview(_Asker(), AwsAround(answers.region), plugins, answers).text()
    except (click.Abort, KeyboardInterrupt, EOFError):
        say("")
        _stop("Stopped; nothing was written.", answers, _signals.status())
    except ConfigError as error:
        _stop(str(error), answers)


def _stop(why: str, answers: Answers, status: int = 1) -> NoReturn:
    """Leave with what was answered so far."""
    say(why, err=True)
    say_text(f"To go on from here:  {answers.command()}", err=True)  # in one line, to be pasted
    raise SystemExit(status)


def _taken(answers: Answers, plugins: Plugins) -> str:
    """Take the flags alone."""
    from multicdn.authoring import starter
    from multicdn.authoring.site_host import NotAHostError, host_in

    for flag, given in (("--bucket", answers.bucket), ("--domain", answers.domain), ("--vendor", answers.vendors)):
        if not given:
            raise click.UsageError(f"{flag} is missing, and there is no terminal to ask at")
    try:
        host = host_in(answers.domain)
    except NotAHostError as error:
        raise ConfigError([f"--domain: {error}"]) from None
    if host.left_out:
        say(f"--domain: taken as {host.name}; {host.left_out} is left out (warning)", err=True)
    answers.domain = host.name
    return starter.written(answers.draft(), plugins)


def _write(output: Path, text: str, answers: Answers) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        _stop(f"{output} can't be written: {error.strerror}", answers)


def _tell(output: Path, text: str, draft: Draft, plugins: Plugins) -> None:
    from multicdn import config as config_file
    from multicdn import extras
    from multicdn.authoring import starter
    from multicdn.config.settings import Install
    from multicdn.installer.secret_references import put_command

    settings = Install(region=draft.region, kms_key=draft.kms_key)
    say(f"Wrote {output}.")
    loaded = config_file.parse(text, output.name, plugins)
    lacks = extras.lacking(loaded, plugins)
    for warning in (*loaded.warnings, *([extras.told(lacks)] if lacks else ())):
        say(f"{warning} (warning)", err=True)
    for reference, file in starter.stored_by_hand(draft, plugins):
        scheme, _, name = reference.partition(":")
        say_text(f"Store a secret:  {put_command(scheme, name, settings, file)}")
    elsewhere = f" --config {output}" if str(output) != FILE_NAME else ""
    say_text(f"Then:            multicdn secret check{elsewhere}")
    say_text(f"                 multicdn install plan{elsewhere}")
