"""``multicdn history``: who changed this, when, why, and what became of it at each vendor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from multicdn.cli import _log, _stack, arguments, lists, render
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.terminal import say
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from multicdn.logbook.entries import LogEntry
    from multicdn.logbook.history import History, Step
    from multicdn.logbook.subject import AskedAbout

_WEEK = 7 * 86400.0

# Seconds that Logs Insights may not have seen yet: these are read line by line.
_RECENT = 300.0


class _Read(Struct):
    """What was looked at.

    Attributes:
        scanned: bytes that Logs Insights was paid for; 0 if it wasn't asked.
        dollars: what that costs about.
        complete: whether all was seen that it would have found.
    """

    scanned: float = 0.0
    dollars: float = 0.0
    complete: bool = True


@click.command()
@click.argument("what")
@_log.since_option("7d")
@click.option("--log", "file", metavar="FILE", help="Read this file, such as a worker's log; - for standard input.")
@arguments.config_option
@_stack.stack_option
@_stack.region_option
@as_json_option
def history(
    what: str,
    since: float | None,
    file: str | None,
    config_path: Path | None,
    stack: str,
    region: str,
    *,
    as_json: bool,
) -> None:
    """Say what became of an object: who changed it, when, and how each vendor took it.

    WHAT is an S3 URI (s3://bucket/key), or a public URL, which the routes of the config lead back to its objects. The
    log of the deployed function is searched by CloudWatch Logs Insights, which AWS charges for by the bytes that it
    looks at. Times are UTC. Exit status 1 if the log says nothing of it.
    """
    from multicdn.logbook import history as of_log

    subject, notes = _subject(what, config_path, region)
    read = _Read()
    entries: Iterable[LogEntry] = ()  # of what no route knows, the log has nothing that could be searched for
    if file:
        entries = _log.from_file(file, since)
    elif subject.objects or subject.targets:
        entries = _from_group(subject, since or _WEEK, read, stack, region, config_path)
    made = of_log.make(entries, subject)
    if as_json:
        say_json(_plain(what, subject, made, read))
    else:
        _show(what, subject, made, read, notes)
    raise SystemExit(0 if made.steps else 1)


def _subject(what: str, config_path: Path | None, region: str) -> tuple[AskedAbout, list[str]]:
    """What is asked about, and sentences about how it was found.

    Raises:
        UsageError: it is neither an object nor a URL.
        ConfigError: a URL can't be led back to objects.
    """
    from multicdn.logbook.subject import AskedAbout

    if not arguments.is_s3(what):
        if not arguments.is_web(what):
            raise click.UsageError(f"{what!r} is neither an S3 URI nor a URL; write s3://bucket/key")
        return _of_url(what, config_path, region)
    bucket, key = lists.split_s3(what)
    if not key:
        raise click.UsageError(f"{what} names no object; write s3://{bucket}/key")
    place = (bucket, key)
    try:
        loaded = arguments.load(config_path, region)
    except ConfigError as error:
        why = f"purges by hand of its URLs aren't known without the routes: {error.problems[0]}"
        return AskedAbout(frozenset((place,)), {}), [why]
    return AskedAbout(frozenset((place,)), _known_as(loaded, [place], ())), []


def _of_url(url: str, config_path: Path | None, region: str) -> tuple[AskedAbout, list[str]]:
    from multicdn.logbook.subject import AskedAbout
    from multicdn.oncall.explain import Explainer

    loaded = arguments.load(config_path, region)
    explainer = Explainer(loaded.config, loaded.places, loaded.plugins.hooks.urls)
    sources = explainer.sources(url)
    objects = list(dict.fromkeys((source.route.bucket, source.key) for source in sources if source.key))
    notes = list(render.sources(url, sources, [match.at for match in explainer.serving(url)]))
    return AskedAbout(frozenset(objects), _known_as(loaded, objects, (url,))), notes


def _known_as(
    loaded: arguments.Loaded, objects: Iterable[tuple[str, str]], urls: Iterable[str]
) -> dict[str, dict[str, frozenset[str]]]:
    from multicdn.oncall.known_as import known_as

    return known_as(loaded.config, objects, urls, loaded.plugins.hooks.urls)


def _from_group(
    subject: AskedAbout, since: float, read: _Read, stack: str, region: str, config_path: Path | None
) -> Iterator[LogEntry]:
    """Search for what is older than some minutes, and read what is newer, so that nothing is missed."""
    from multicdn.logbook import insights

    log = _log.installed(stack, region, config_path, "--log FILE")
    now = float(int(time.time()))
    recent, start = now - min(since, _RECENT), now - since
    older: Sequence[LogEntry] = ()
    with _log.told():
        if start < recent:
            found = insights.search(log.client, log.group.name, subject.query(), start, recent)
            read.scanned, read.dollars, read.complete = found.scanned, found.dollars, found.complete
            older = found.entries
        yield from older
        # Both ends count, here and there.
        both = {entry.text for entry in older if (entry.at or 0.0) >= recent}
        yield from (entry for entry in log.group.between(recent) if entry.text not in both)


def _show(what: str, subject: AskedAbout, made: History, read: _Read, notes: Iterable[str]) -> None:
    from multicdn.logbook import history as of_log
    from multicdn.logbook import words

    for note in notes:
        say(note, err=True)
    for line, entry in of_log.lines(made):
        say(line, colour=words.colour(entry) if entry else None)
    if not made.steps:
        first = next((f"s3://{bucket}/{key}" for bucket, key in sorted(subject.objects)), what)
        say(f"the log says nothing of {what} in this time; `multicdn explain {first}` says what a change would do")
    if not read.complete:
        say("there is more than Logs Insights gives at once; the oldest is missing: shorten --since", err=True)
    if read.scanned:
        say(f"Logs Insights looked at {read.scanned / 1e6:,.1f} MB of the log, for about ${read.dollars:.5f}", err=True)


def _plain(what: str, subject: AskedAbout, made: History, read: _Read) -> dict[str, Any]:
    from multicdn.logbook import history as of_log

    return {
        "asked": what,
        "objects": [f"s3://{bucket}/{key}" for bucket, key in sorted(subject.objects)],
        "steps": [_step(step) for step in made.steps],
        "ended": [
            {"provider": entry.provider, "action": str(entry.record.get("action")), "state": entry.state,
             "at": entry.at, "text": of_log.ended(entry)}
            for entry in made.last
        ],
        "scanned_bytes": read.scanned,
        "dollars": read.dollars,
        "complete": made.complete and read.complete,
    }  # fmt: skip


def _step(step: Step) -> dict[str, Any]:
    return {"at": step.at, "what": step.what, "text": step.text, "sure": step.sure, "record": step.entry.record}
