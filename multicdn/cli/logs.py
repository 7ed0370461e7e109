"""``multicdn logs``: what the deployed function, or a worker, writes into its log, for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from multicdn.cli import _log, _stack, _unknown, arguments, completion
from multicdn.cli.render import counted
from multicdn.cli.terminal import say, say_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from multicdn.logbook.entries import LogEntry
    from multicdn.logbook.wanted import LogFilter

_HOUR = 3600.0


@click.command()
@click.argument("file", required=False, shell_complete=completion.files)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is logged from now on, until Ctrl-C.")
@_log.since_option("1h")
@click.option(
    "--provider", "providers", multiple=True, metavar="NAME", shell_complete=completion.instances,
    help="Only what is about this provider; may be repeated.",
)  # fmt: skip
@click.option(
    "--key", "keys", multiple=True, metavar="GLOB",
    help="Only what names such a key, s3://bucket/key or target, with * and ?; may be repeated.",
)  # fmt: skip
@click.option(
    "--outcome", "outcomes", multiple=True, metavar="WORD", shell_complete=completion.outcomes,
    help="Only this event or state, such as dead; may be repeated.",
)  # fmt: skip
@arguments.config_option
@_stack.stack_option
@_stack.region_option
@click.option("--json", "as_json", is_flag=True, help="Print the records as they stand in the log, a line each.")
def logs(file: str | None, *, follow: bool, since: float | None, as_json: bool, **options: Any) -> None:
    """Show the log of the deployed function, or follow it.

    FILE is a log that was written elsewhere, such as by `multicdn worker` in a container; - is standard input:
    `docker logs -f worker 2>&1 | multicdn logs -`. Times are UTC.
    """
    from multicdn.logbook import wanted

    if file and file != _log.STANDARD_INPUT and follow:  # a pipe is followed anyway
        raise click.UsageError(f"a file isn't followed: tail -f {file} | multicdn logs -")
    chosen = wanted.LogFilter(options["providers"], options["keys"], options["outcomes"])
    _check(chosen)
    _unknown.warn(chosen.providers, options["config_path"])
    where = (options["stack"], options["region"], options["config_path"])
    found = _log.from_file(file, since) if file else _from_group(*where, chosen, since or _HOUR, follow=follow)
    shown, hidden = _show(found, chosen, as_json=as_json)
    if not shown:
        say(f"the log has nothing{' like that' if chosen != wanted.LogFilter() else ''} in this time", err=True)
    if hidden:
        say(f"{counted(hidden, 'record')} of large batches may be about it: they name only the first keys", err=True)


def _check(chosen: LogFilter) -> None:
    """Refuse what no line can have, before anything is read.

    Raises:
        UsageError: there is no such outcome.
    """
    from multicdn.logbook import outcomes, wanted

    try:
        wanted.check(chosen.outcomes, outcomes.KNOWN)
    except wanted.FilterError as error:
        raise click.UsageError(str(error)) from None


def _from_group(
    stack: str, region: str, config_path: Path | None, chosen: LogFilter, since: float, *, follow: bool
) -> Iterator[LogEntry]:
    log = _log.installed(stack, region, config_path, "FILE")
    start = time.time() - since
    if follow:
        say(f"Following {log.group.name} in {log.region}; Ctrl-C ends it.", err=True)
    with _log.told():
        yield from log.group.follow(start, chosen.pattern) if follow else log.group.between(start, None, chosen.pattern)


def _show(found: Iterable[LogEntry], chosen: LogFilter, *, as_json: bool) -> tuple[int, int]:
    """Show what is wanted, as it comes; how many lines that were, and how many others might be wanted."""
    from multicdn.logbook import words

    shown = hidden = 0
    for entry in found:
        if not words.is_shown(entry):
            continue
        if not chosen.takes(entry):
            if as_json or not chosen.may_take(entry):
                hidden += chosen.may_take(entry)
                continue
            say(f"{words.line(entry)}; may be about it, since not all is named")
            shown += 1
        elif not as_json:
            say(words.line(entry), colour=words.colour(entry))
            shown += 1
        elif entry.record:
            say_text(entry.text)
            shown += 1
    return shown, hidden
