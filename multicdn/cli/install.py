"""``multicdn install``: plan, apply, status, destroy, template. The file ``install.py`` is the same door."""

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli import _installing
from multicdn.cli._group import CommandGroup
from multicdn.cli.terminal import say, say_file, say_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from multicdn.installer.sessions import Session
    from multicdn.installer.steps import InstallPlan


@click.group(cls=CommandGroup)
def install() -> None:
    """Install in AWS, change, look, remove.

    Everything is one CloudFormation stack; the buckets' notifications are merged with what others have in them. What is
    made, and what you must be allowed to do: https://github.com/multicdn/multicdn/blob/main/docs/install.md
    """


@install.command()
@_installing.common
@_installing.as_json
@_installing.unchecked
def plan(config_path: Path, stack: str, region: str, *, as_json: bool, unchecked: bool) -> None:
    """Show what apply would do. Changes nothing."""
    from multicdn.cli.progress import Progress
    from multicdn.installer import run

    with tempfile.TemporaryDirectory(prefix="multicdn-") as work, Progress(quiet=as_json) as progress:
        session = _sign_in(config_path, stack, region, progress.say)
        run.wait(session, progress.say)
        made = _make_plan(session, Path(work), progress.begin, unchecked=unchecked)
    _show(made, as_json=as_json)


@install.command()
@_installing.common
@_installing.yes
@_installing.as_json
@_installing.unchecked
def apply(config_path: Path, stack: str, region: str, *, yes: bool, as_json: bool, unchecked: bool) -> None:
    """Install, or change what is installed. Shows the plan and asks first.

    Run it as often as you like: what is as it should be is left alone, what is missing is made. If a first installation
    fails for what won't pass by itself, what there is of it is taken away again.
    """
    from multicdn.cli.progress import Progress
    from multicdn.installer import run
    from multicdn.installer.notifications.prefixes import buckets

    with tempfile.TemporaryDirectory(prefix="multicdn-") as work, Progress(quiet=as_json) as progress:
        session = _sign_in(config_path, stack, region, progress.say)
        run.wait(session, progress.say)
        made = _make_plan(session, Path(work), progress.begin, unchecked=unchecked)
        if not as_json:
            with progress.paused():
                _show(made, as_json=False)
                _ask("Do this?", needed=bool(made.steps), yes=yes)
        elif made.steps and not yes:
            raise click.UsageError("--json asks nothing; add --yes")
        run.apply(session, made, progress.begin, progress.say)
        current = run.status(session)
    if as_json:
        say_text(json.dumps({"changed": bool(made.steps), **_plain_plan(made), "status": _plain(current)}, indent=2))
    elif made.steps:
        named = buckets(session.file.config.routes) if session.file else session.buckets
        say(f"Done. Upload something to {' or '.join(named)}.")
        for line in _installing.what_next():
            say(line)


@install.command("test")
@click.argument("what", required=False)
@_installing.common
@click.option("--timeout", default=120.0, show_default=True, type=click.FloatRange(1, 3600), help="Seconds to wait.")
@_installing.yes
@_installing.as_json
def test_(
    what: str | None, config_path: Path, stack: str, region: str, timeout: float, *, yes: bool, as_json: bool
) -> None:
    """Try what is installed: tell it of an upload, and follow that to the vendors. Says what it costs, and asks first.

    WHAT is an object, s3://bucket/key, which isn't touched: it is purged once at each provider that the routes name for
    it. By default one of those with the fewest targets. Exit status 1 if not all of them have accepted in time.
    """
    from multicdn.cli import _trial

    if as_json and not yes:
        raise click.UsageError("--json asks nothing; add --yes")
    session = _sign_in(config_path, stack, region, partial(say, err=True))
    raise SystemExit(_trial.run(session, what, timeout, yes=yes, as_json=as_json))


@install.command()
@_installing.common
@_installing.as_json
def status(config_path: Path, stack: str, region: str, *, as_json: bool) -> None:
    """Show what is installed, from which config, and what waits in the queues. Exit status 1 if nothing is."""
    from multicdn.installer import run
    from multicdn.installer.status import lines

    session = _sign_in_to_look(config_path, stack, region)
    current = run.status(session)
    if as_json:
        say_text(json.dumps(_plain(current), indent=2))
    else:
        for line in lines(current, session.file.sha256 if session.file else ""):
            say(line)
    raise SystemExit(0 if current.status else 1)


@install.command()
@_installing.common
@_installing.yes
@_installing.as_json
@click.option("--drop-messages", is_flag=True, help="Delete the dead-letter queue even if there are messages in it.")
def destroy(config_path: Path, stack: str, region: str, *, yes: bool, as_json: bool, drop_messages: bool) -> None:
    """Remove everything of ours, and nothing else. Works after a failed installation too.

    Entries of others in the buckets' notifications stay. A dead-letter queue with messages in it stays as well, unless
    told otherwise.
    """
    from multicdn.cli.progress import Progress
    from multicdn.installer import run
    from multicdn.installer.apply import execute

    with Progress(quiet=as_json) as progress:
        session = _sign_in_to_look(config_path, stack, region)
        run.wait(session, progress.say)
        made = run.plan_removal(session, drop_messages=drop_messages)
        if not as_json:
            with progress.paused():
                _show(made, as_json=False)
                _ask("Remove this?", needed=bool(made.steps), yes=yes)
        elif made.steps and not yes:
            raise click.UsageError("--json asks nothing; add --yes")
        # What stays, after all, is said to programs as well.
        execute(made, session.account, progress.begin, partial(say, err=True) if as_json else progress.say)
    if as_json:
        say_text(json.dumps({"changed": bool(made.steps), **_plain_plan(made)}, indent=2))


@install.command()
@_installing.common
@click.option("--policy", is_flag=True, help="Print the IAM policy for whoever installs instead. Asks AWS who you are.")
def template(config_path: Path, stack: str, region: str, *, policy: bool) -> None:
    """Print the CloudFormation template, for a pipeline of your own.

    It fits any account and region, unless the config names ARNs. An alias of a KMS key is looked up in AWS.
    """
    from multicdn.installer import permissions, run, sessions
    from multicdn.installer.organisation import kms_keys

    file = sessions.read(config_path, stack, region)
    if policy or kms_keys.unresolved(file.config.install):
        session = sessions.with_key_arns(sessions.sign_in(file))
        file, account = session.file or file, session.account
    if policy:
        made = permissions.policy(file.config.install, account.id, account.region, account.partition, file.buckets)
        say(permissions.where_it_fits(made), err=True)
    else:
        made = run.template(file)
    say_text(json.dumps(made, indent=2))


@install.command()
@_installing.common
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write it there instead of printing it."
)
def config(config_path: Path, stack: str, region: str, *, output: Path | None) -> None:
    """Print the config file that the deployed function has.

    It comes as it was written, comments and all. Of secrets it has references, and no values.
    """
    from multicdn.installer import run

    content = run.deployed_config(_sign_in_to_look(config_path, stack, region))
    if output is None:
        say_file(content)
        return
    try:
        with output.open("xb") as opened:
            opened.write(content)
    except FileExistsError:
        raise click.ClickException(f"{output} is there already; nothing was written") from None
    except OSError as error:
        raise click.ClickException(f"{output} can't be written: {error.strerror}") from None
    say(f"Wrote {output}.", err=True)


@install.command()
@_installing.common
@_installing.as_json
def instructions(config_path: Path, stack: str, region: str, *, as_json: bool) -> None:
    """Print what others have to do: owners of buckets elsewhere, whoever makes roles or runs the network.

    It is made from the config and from who you are. Nothing else is asked of AWS but for KMS keys by their alias.
    """
    from multicdn.installer import sessions
    from multicdn.installer.organisation import instructions as made

    file = sessions.read(config_path, stack, region)
    session = sessions.with_key_arns(sessions.sign_in(file))
    handouts = made.instructions((session.file or file).config, session.account)
    if as_json:
        say_text(json.dumps(_plain(handouts), indent=2))
        return
    for line, document in made.text(handouts):
        say(line)
        if document is not None:
            say_text(json.dumps(document, indent=2))
    if not handouts:
        say("Nobody else has to do anything.")


@install.command()
@_installing.common
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def bundle(config_path: Path, stack: str, region: str, file: Path) -> None:
    """Write the function's code to FILE, a zip archive, for a pipeline of your own. Asks nothing of AWS."""
    from multicdn.cli.progress import Progress
    from multicdn.installer import run, sessions

    with tempfile.TemporaryDirectory(prefix="multicdn-") as work, Progress() as progress:
        progress.begin("building the code for Lambda")
        made = run.bundle(sessions.read(config_path, stack, region), Path(work))
        try:
            file.write_bytes(made.path.read_bytes())
        except OSError as error:
            raise click.ClickException(f"{file} can't be written: {error.strerror}") from error
    say(f"{file}: {made.size / 1e6:.1f} MB, {made.sha256[:12]}")


def _sign_in(config_path: Path, stack: str, region: str, tell: Callable[[str], None]) -> Session:
    from multicdn.installer import sessions

    return sessions.sign_in(sessions.read(config_path, stack, region), tell)


def _sign_in_to_look(config_path: Path, stack: str, region: str) -> Session:
    from multicdn.installer import sessions

    return sessions.sign_in_to_look(config_path, partial(say, err=True), stack, region)


def _make_plan(session: Session, work: Path, begin: Callable[[str], None], *, unchecked: bool) -> InstallPlan:
    from multicdn.installer import run

    return run.make_plan(session, work, begin, check_permissions=not unchecked)


def _show(made: InstallPlan, *, as_json: bool) -> None:
    if as_json:
        say_text(json.dumps({"changed": bool(made.steps), **_plain_plan(made)}, indent=2))
        return
    for line in made.lines:
        say(line, colour=_colour(line))
    for warning in made.warnings:
        say(f"{warning} (warning)", err=True)


def _colour(line: str) -> str | None:
    return {"+": "green", "-": "red", "~": "yellow"}.get(line.strip()[:1])


def _ask(question: str, *, needed: bool, yes: bool) -> None:
    if needed and not yes and not click.confirm(question):
        raise click.Abort


def _plain_plan(made: InstallPlan) -> dict[str, Any]:
    return {"steps": list(map(str, made.steps)), "plan": list(made.lines), "warnings": list(made.warnings)}


def _plain(value: object) -> Any:
    import msgspec

    return msgspec.to_builtins(value)
