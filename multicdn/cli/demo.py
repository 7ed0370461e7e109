"""``multicdn demo``: an upload to S3 becomes fresh bytes at every CDN, on this machine alone."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from multicdn import config
from multicdn.cli.terminal import visible_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from multicdn.simulators import Fetched
    from multicdn.testing.loopback.environment import LocalEnvironment

# What the demo uploads: ordinary objects, and keys with all the signs that break naive purgers.
_KEYS = (
    "index.html",
    "css/site.css",
    "docs/50% off #1 - 价格 ~v2+.html",
    "img/cats & 'dogs'?.png",
    "downloads/manual (v2+).pdf",
)
_TIMEOUT = 20.0
_POLL_INTERVAL = 0.005
_WIDTH = 200  # of a pipe or a log file, in which nobody wants a table folded, or lines around it


class EdgeResult(NamedTuple):
    """The answers of one edge, and the calls to its API.

    Attributes:
        warm, stale, purged: its answers for its objects: once cached, after the upload, after the purge.
        calls, targets: to its API for the purge.
        seconds: from an upload to fresh bytes, with the handler running; None if they never came.
    """

    warm: list[Fetched]
    stale: list[Fetched]
    purged: list[Fetched]
    calls: int
    targets: int
    seconds: float | None

    @property
    def is_fresh(self) -> bool:
        """True if it served the new bytes of every object, and of the last one too."""
        return _all(self.purged, b"version 2") and self.seconds is not None


@click.command()
@click.option(
    "--config",
    "config_file",
    default=config.locate,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The config to show, by default that of MULTICDN_CONFIG or multicdn.config.yml; simulators answer for its "
    "providers.",
)
def demo(config_file: Path) -> None:
    """See an upload reach every CDN, on this machine alone.

    Starts an AWS on loopback, a bucket with notifications to a queue, and for every provider of the config its API and
    a caching edge. That AWS is a program of its own, which is fetched once. Exit status 0 only if every edge serves the
    new bytes in the end.
    """
    from rich.console import Console

    from multicdn.testing.loopback import made
    from multicdn.testing.loopback.environment import LocalEnvironment
    from multicdn.testing.loopback.processes import StartError

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    _refuse_impossible(config_file)
    with contextlib.ExitStack() as stack:
        made.make_sure(console.print)
        console.print("Starting AWS on loopback, a bucket, a queue and the edges ...")
        try:
            local = stack.enter_context(LocalEnvironment(config_file))
        except (FileNotFoundError, StartError, ValueError) as error:
            raise click.ClickException(visible_lines(str(error))) from None
        results = _run(local, console)
        if not all(edge.is_fresh for edge in results.values()):
            console.print("The handler's log:", style="bold")
            console.print(visible_lines(local.worker_log()), markup=False, soft_wrap=True)
    for name, reason in local.left_out.items():
        console.print(f"{name} is left out: {reason}", markup=False)
    console.print(_table(local, results, boxed=console.is_terminal))
    fresh = sum(edge.is_fresh for edge in results.values())
    console.print(f"fresh at {fresh} of {len(results)} edges")
    raise SystemExit(0 if fresh == len(results) else 1)


def _refuse_impossible(file: Path) -> None:
    """Say what is wrong with the config, or isn't installed here, before anything is started.

    Raises:
        ConfigError, ExtraError: with the remedy.
    """
    from multicdn import extras
    from multicdn.plugins.discovery import Plugins

    plugins = Plugins()
    extras.refuse(extras.lacking(config.load(file, plugins), plugins))


def _run(local: LocalEnvironment, console: Console) -> dict[str, EdgeResult]:
    """Upload, fetch, purge and fetch again; return what each edge did."""
    bucket = local.buckets[0]
    urls = local.urls(bucket, _KEYS)
    _upload(local, bucket, b"version 1")
    _fetch(local, urls)
    warm = _fetch(local, urls)
    console.print(f"Uploaded version 1 of {len(_KEYS)} objects to s3://{bucket}, and the edges have cached them.")
    _upload(local, bucket, b"version 2")
    stale = _fetch(local, urls)
    console.print("Uploaded version 2. Nobody has told the edges. Now the handler starts on the queue ...")
    with local.worker("--batch-size", "1000", "--gather", "0.2"):
        local.wait_until_quiet(_TIMEOUT)
        calls = {name: list(edge.calls) for name, edge in local.edges.items()}
        purged = _fetch(local, urls)
        console.print("Purged. Once more, with the handler running, to see how long it takes ...")
        seconds = _time_to_fresh(local, bucket, urls, b"version 3")
    return {
        name: EdgeResult(warm[name], stale[name], purged[name], len(of), sum(call.items for call in of), seconds[name])
        for name, of in calls.items()
    }


def _upload(local: LocalEnvironment, bucket: str, version: bytes) -> None:
    for key in _KEYS:
        local.put(bucket, key, version)


def _fetch(local: LocalEnvironment, urls: Mapping[str, Mapping[str, str]]) -> dict[str, list[Fetched]]:
    """Fetch every object through every edge that serves it, as clients do."""
    return {name: [local.edges[name].fetch(url) for url in served.values()] for name, served in urls.items()}


def _time_to_fresh(
    local: LocalEnvironment, bucket: str, urls: Mapping[str, Mapping[str, str]], version: bytes
) -> dict[str, float | None]:
    """Upload an object of each edge, and ask that edge for it until it serves the new bytes."""
    chosen = {name: next(iter(served)) for name, served in urls.items() if served}
    began = {}
    for key in dict.fromkeys(chosen.values()):
        began[key] = time.monotonic()
        local.put(bucket, key, version)
    seconds: dict[str, float | None] = dict.fromkeys(urls)
    end = time.monotonic() + _TIMEOUT
    while any(seconds[name] is None for name in chosen) and time.monotonic() < end:
        for name in [name for name in chosen if seconds[name] is None]:
            if local.edges[name].fetch(urls[name][chosen[name]]).body == version:
                seconds[name] = time.monotonic() - began[chosen[name]]
        time.sleep(_POLL_INTERVAL)
    return seconds


def _table(local: LocalEnvironment, results: Mapping[str, EdgeResult], *, boxed: bool) -> object:
    from rich import box
    from rich.table import Table

    titles = ("edge", "before", "after the upload", "calls (targets)", "after the purge", "upload to fresh")
    table = Table(*titles, box=box.HEAVY_HEAD if boxed else None, pad_edge=boxed)
    for name, edge in results.items():
        table.add_row(
            local.edges[name].vendor,
            _verdict(edge.warm, b"version 1", "cached"),
            _verdict(edge.stale, b"version 2", "fresh?"),
            f"{edge.calls} ({edge.targets})",
            _verdict(edge.purged, b"version 2", "[green]fresh[/green]"),
            "[red]never[/red]" if edge.seconds is None else f"{edge.seconds:.3f} s",
        )
    return table


def _verdict(answers: list[Fetched], version: bytes, good: str) -> str:
    """Word what an edge served, and whether from its cache. A HIT after the purge was preloaded."""
    word = good if _all(answers, version) else "[red]stale[/red]"
    return f"{word} ({' '.join(sorted({answer.cache for answer in answers}))})"


def _all(answers: list[Fetched], version: bytes) -> bool:
    return bool(answers) and all(answer.body == version for answer in answers)
