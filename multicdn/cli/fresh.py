"""``multicdn fresh``: which CDN is stale?"""

from __future__ import annotations

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from multicdn.cli import _log, _signals, arguments, completion, lists
from multicdn.cli._json import as_json_option, say_json
from multicdn.cli.progress import Progress
from multicdn.cli.render import counted
from multicdn.cli.table import table
from multicdn.cli.terminal import say, width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from multicdn.oncall.freshness import Probe
    from multicdn.proof.identity import Verdict

    Verdicts = Mapping[Probe, Sequence[Verdict]]

_STALE, _UNKNOWN = 1, 3

_HEAD = ("provider", "state", "age", "seen", "POP", "why")

# POPs with a line of their own, and digits that tell two digests apart.
_POPS, _DIGITS = 10, 8

# URLs in the command that purges again.
_URLS = 10

# Stands for a space while the lines of a cell are broken.
_UNBROKEN = "\N{WORD JOINER}"
_DIGEST = re.compile(r"[0-9a-f]{32}")


@click.command()
@click.argument("what", nargs=-1, required=True)
@arguments.config_option
@click.option(
    "--provider",
    "providers",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.instances,
    help="Only through this one; may be repeated.",
)
@click.option(
    "--wait",
    metavar="TIME",
    callback=_log.duration,
    help="Look again until all is fresh, for so long at most: 90s, 2m.",
)
@click.option("--region", default="", help="Region of buckets and secrets; wins over install.region.")
@as_json_option
def fresh(
    what: tuple[str, ...],
    config_path: Path | None,
    providers: tuple[str, ...],
    wait: float | None,
    region: str,
    *,
    as_json: bool,
) -> None:
    """Say which CDN serves old bytes of an object.

    WHAT is an S3 URI (s3://bucket/key) or a public URL. It is fetched through each provider whose routes purge it, at
    the provider's `via`, and compared with the object as it is in S3 now. Purges nothing.

    Exit status 0 if all is fresh, 1 if something is stale, 3 if something can't be told.
    """
    from multicdn.aws.s3 import Objects
    from multicdn.oncall import checkup, freshness, manual

    loaded = arguments.load(config_path, region)
    objects, urls = _read(what)
    try:
        asked = freshness.probes(loaded.config, loaded.plugins, loaded.places, objects, urls, providers)
    except manual.RequestError as error:
        raise click.UsageError(str(error)) from error
    verdicts: Verdicts = {}
    try:
        with checkup.silenced(), Progress(quiet=as_json or wait is None) as progress:
            progress.begin(f"Looking at {counted(len({each.url for each in asked}), 'URL')}")
            for verdicts, pause in freshness.outlooks(asked, loaded.config, Objects().stored, wait or 0.0):
                if pause is not None:
                    progress.say(f"{_sum(verdicts)}; next look in {pause:.0f} s")
    except KeyboardInterrupt:
        _interrupted(verdicts, as_json=as_json)
    status = _status(verdicts)
    _show(verdicts, status, as_json=as_json)
    raise SystemExit(status)


def _show(verdicts: Verdicts, status: int, *, as_json: bool) -> None:
    if as_json:
        say_json(_as_json(verdicts, status))
    else:
        for line in (*_lines(verdicts), *_after(verdicts)):
            say(line)


def _interrupted(verdicts: Verdicts, *, as_json: bool) -> NoReturn:
    """Show what the last look has found, and end at once: Python would wait for edges that are silent."""
    status = _signals.status()
    if verdicts:
        _show(verdicts, status, as_json=as_json)
    say("Interrupted.", err=True)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _read(what: Iterable[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Objects and URLs.

    Raises:
        UsageError: a word is neither.
    """
    objects, urls = [], []
    for word in what:
        if arguments.is_web(word):
            urls.append(word)
            continue
        if not arguments.is_s3(word):
            raise click.UsageError(f"{word!r} is neither an S3 URI nor a URL; write s3://bucket/key")
        bucket, key = lists.split_s3(word)
        if not key:
            raise click.UsageError(f"{word} names no object; write s3://{bucket}/key")
        objects.append((bucket, key))
    return objects, urls


def _states(verdicts: Verdicts) -> dict[str, int]:
    """How many probes have which answer; that of several POPs is their worst."""
    from multicdn.proof.look import together

    counts = dict.fromkeys(("fresh", "stale", "superseded", "unknown"), 0)
    for found in verdicts.values():
        counts[together(found).state] += 1
    return counts


def _status(verdicts: Verdicts) -> int:
    counts = _states(verdicts)
    if counts["stale"]:
        return _STALE
    return 0 if counts["fresh"] == len(verdicts) else _UNKNOWN


def _sum(verdicts: Verdicts) -> str:
    counts = _states(verdicts)
    others = [f"{number:,} {state}" for state, number in counts.items() if number and state != "fresh"]
    return ", ".join([f"{counts['fresh']:,} of {len(verdicts):,} fresh", *others])


def _lines(verdicts: Verdicts) -> Iterator[str]:
    """A table for each URL."""
    urls: dict[tuple[str, str, str], list[Probe]] = {}
    for probe in verdicts:
        urls.setdefault((probe.url, probe.bucket, probe.key), []).append(probe)
    columns = width()
    for (url, bucket, key), probes in urls.items():
        yield url
        expected = next((each.expected for probe in probes for each in verdicts[probe] if each.expected), "")
        yield f"  s3://{bucket}/{key}{f': {_named(expected)}' if expected else ''}"
        rows = [row for probe in probes for row in _rows(probe, verdicts[probe])]
        yield from (f"  {line.replace(_UNBROKEN, ' ')}" for line in table(_HEAD, rows, columns and columns - 2))
        unplaced = [probe.provider for probe in probes if not probe.via]
        if unplaced and len(probes) > 1:
            stand = "stand" if len(unplaced) > 1 else "stands"
            yield f"  no `via` says where {' and '.join(unplaced)} {stand}: DNS decided whom this asked"
        yield ""


def _rows(probe: Probe, verdicts: Sequence[Verdict]) -> Iterator[tuple[str, ...]]:
    """A row for each POP that is stale, and one for all others of a state."""
    name = probe.provider
    if len(verdicts) == 1:
        yield _row(name, verdicts[0], verdicts[0].pop)
        return
    for state in ("stale", "superseded", "unknown", "fresh"):
        alike = [verdict for verdict in verdicts if verdict.state == state]
        single = alike[:_POPS] if state == "stale" else []
        yield from (_row(name, verdict, verdict.pop) for verdict in single)
        if rest := alike[len(single) :]:
            yield _row(name, rest[0], counted(len(rest), "more POP" if single else "POP"))


def _row(name: str, verdict: Verdict, pop: str) -> tuple[str, ...]:
    age = "" if verdict.age is None else f"{verdict.age:,.0f} s"
    seen = _brief(_undated(verdict)).replace(" ", _UNBROKEN)
    return name, verdict.state, age, seen, pop, verdict.reason


def _undated(verdict: Verdict) -> str:
    return verdict.seen if verdict.age is None else verdict.seen.removesuffix(f", {verdict.age:.0f} s old")


def _named(expected: str) -> str:
    """What S3 has: an identity, or no object, for which statuses are expected."""
    return f"not in S3, so {expected} is expected" if expected[:1].isdigit() else _brief(expected)


def _brief(identity: str) -> str:
    return _DIGEST.sub(lambda digest: f"{digest[0][:_DIGITS]}…", identity)


def _after(verdicts: Verdicts) -> Iterator[str]:
    """What all of it comes to, and what to do."""
    from multicdn.proof.look import together

    yield _sum(verdicts)
    stale = [probe for probe, found in verdicts.items() if together(found).state == "stale"]
    if stale:
        urls = shlex.join(list(dict.fromkeys(probe.url for probe in stale))[:_URLS])
        names = "".join(f" --provider {name}" for name in dict.fromkeys(probe.provider for probe in stale))
        yield f"to purge again: multicdn purge {urls}{names}"


def _as_json(verdicts: Verdicts, status: int) -> dict[str, Any]:
    return {
        "exit_status": status,
        "looks": [
            {
                "url": probe.url,
                "object": f"s3://{probe.bucket}/{probe.key}",
                "provider": probe.provider,
                "via": probe.via or None,
                "edges": [
                    {
                        "state": verdict.state,
                        "reason": verdict.reason,
                        "seen": _undated(verdict),
                        "expected": verdict.expected,
                        "age_seconds": verdict.age,
                        "pop": verdict.pop,
                    }
                    for verdict in found
                ],
            }
            for probe, found in verdicts.items()
        ],
    }
