"""``multicdn demo``: an upload to S3 becomes fresh bytes at every CDN, on this machine alone."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from multicdn import config
from multicdn.cli.terminal import visible_lines
from multicdn.logbook.entries import read
from multicdn.logbook.reached import reached

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from multicdn.logbook.reached import Reached
    from multicdn.simulators import Fetched
    from multicdn.testing.loopback.environment import LocalEnvironment

# What the demo uploads: ordinary objects, and keys with all the signs that break naive purgers.
_KEYS = (
    "about.html",
    "css/site.css",
    "docs/50% off #1 - 价格 v2+.html",
    "img/cats & 'dogs'?.png",
    "downloads/manual (v2+).pdf",
)
_LEGEND = (
    "Seconds from the upload until the vendor took the purge, until it says that it is done or its published time is "
    "over,\nuntil multicdn saw the new bytes there, and until all clients of the demo got them."
)
_TIMEOUT = 30.0
_POLL_INTERVAL = 0.1
_WIDTH = 200  # of a pipe or a log file, in which nobody wants a table folded, or lines around it


class EdgeResult(NamedTuple):
    """What became of an upload at one edge.

    Attributes:
        stale: its answers for its objects after an upload that nobody told it of.
        log: what the handler's log says of its purges; None if nothing.
        looked_at: keys of the objects whose new bytes the handler was to see there.
        clients: seconds until its clients got the new bytes of every object; None if they never did.
    """

    stale: list[Fetched]
    log: Reached | None
    looked_at: frozenset[str]
    clients: float | None

    @property
    def is_fresh(self) -> bool:
        """True if its clients got the new bytes; and the handler has seen them, wherever it was to look."""
        return self.clients is not None and self.is_proven

    @property
    def is_proven(self) -> bool:
        """True if nothing is left for the handler to see."""
        return self.looked_at <= (self.log.keys if self.log else set())


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
    new bytes in the end, and the handler has seen them wherever a route has `verify`.
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
    console.print(_LEGEND, soft_wrap=True)
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
    """Upload while nobody listens, and once more with the handler running; return what became of it at each edge."""
    bucket = local.buckets[0]
    urls = local.urls(bucket, _KEYS)
    _upload(local, bucket, b"version 1")
    _fetch(local, urls)
    local.forget_messages()
    console.print(f"Uploaded version 1 of {len(_KEYS)} objects to s3://{bucket}, and the edges have cached them.")
    _upload(local, bucket, b"version 2")
    stale = _fetch(local, urls)
    console.print("Uploaded version 2. Nobody has told the edges. Now the handler starts on the queue ...")
    with local.worker("--batch-size", "1000", "--gather", "0.2"):
        local.wait_for_worker(_TIMEOUT)
        local.wait_until_quiet(_TIMEOUT)
        local.forget_messages()  # what would follow version 2 would be told of together with version 3
        _fetch(local, urls)
        console.print("Purged. Once more, until every edge is seen to be fresh:")
        for line in _troubles(local):
            console.print(f"- {line}", markup=False)
        return _followed(local, urls, stale)


def _troubles(local: LocalEnvironment) -> list[str]:
    """Make an edge ignore a purge, where that is looked for; and say what is in the way of the upload."""
    vendors = [(_vendor(local, name), _vendor(local, inner)) for name, inner in local.tiers]
    lines = [f"{outer} fetches from {inner}, so it is purged when {inner} has finished." for outer, inner in vendors]
    alone = set(local.edges).difference(*local.tiers)
    if found := next((name for name in local.looked_at(local.buckets[0], _KEYS) if name in alone), None):
        local.edges[found].topology.pops[0].ignores = 1
        lines.append(f"{_vendor(local, found)} ignores its first purge, so it is purged again.")
    return lines


def _upload(local: LocalEnvironment, bucket: str, version: bytes) -> None:
    with ThreadPoolExecutor(len(_KEYS)) as pool:
        list(pool.map(lambda key: local.put(bucket, key, version), _KEYS))


def _fetch(local: LocalEnvironment, urls: Mapping[str, Mapping[str, str]]) -> dict[str, list[Fetched]]:
    """Fetch every object through every edge that serves it, as clients do."""
    return {name: [local.edges[name].fetch(url) for url in served.values()] for name, served in urls.items()}


def _followed(
    local: LocalEnvironment, urls: Mapping[str, Mapping[str, str]], stale: Mapping[str, list[Fetched]]
) -> dict[str, EdgeResult]:
    """Upload once more, and follow it until it is fresh everywhere by the handler's word and by our own look."""
    bucket, version = local.buckets[0], b"version 3"
    looked_at = local.looked_at(bucket, _KEYS)
    began, uploaded = time.monotonic(), time.time()
    _upload(local, bucket, version)
    clients: dict[str, float | None] = dict.fromkeys(urls)
    while True:
        for name in [name for name, seconds in clients.items() if seconds is None]:
            if _all([local.edges[name].fetch(url) for url in urls[name].values()], version):
                clients[name] = time.monotonic() - began
        log = reached(entry for entry in map(read, local.worker_log().splitlines()) if (entry.at or 0.0) >= uploaded)
        results = {
            name: EdgeResult(stale[name], log.get(name), looked_at.get(name, frozenset()), clients[name])
            for name in urls
        }
        if all(edge.is_fresh for edge in results.values()) or time.monotonic() - began > _TIMEOUT:
            return _at_last(local, urls, results, version)
        time.sleep(_POLL_INTERVAL)


def _at_last(
    local: LocalEnvironment,
    urls: Mapping[str, Mapping[str, str]],
    results: Mapping[str, EdgeResult],
    version: bytes,
) -> dict[str, EdgeResult]:
    """Look once more: what was fresh must have stayed so."""
    last = _fetch(local, urls)
    return {name: edge if _all(last[name], version) else edge._replace(clients=None) for name, edge in results.items()}


def _table(local: LocalEnvironment, results: Mapping[str, EdgeResult], *, boxed: bool) -> object:
    from rich import box
    from rich.table import Table

    titles = ("edge", "untold", "accepted", "finished", "fresh", "purges", "clients")
    table = Table(*titles, box=box.HEAVY_HEAD if boxed else None, pad_edge=boxed)
    for name, edge in results.items():
        log = edge.log
        table.add_row(
            _vendor(local, name),
            _verdict(edge.stale, b"version 2", "fresh?"),
            _seconds(log.accepted if log else None),
            _seconds(log.finished if log else None),
            _proven(edge),
            str(log.purges if log else 0),
            "[red]never[/red]" if edge.clients is None else _seconds(edge.clients),
        )
    return table


def _vendor(local: LocalEnvironment, name: str) -> str:
    return local.edges[name].vendor


def _proven(edge: EdgeResult) -> str:
    """When the handler had seen the new bytes of all that it was to look at."""
    if not edge.looked_at:
        return "not looked at"
    if not edge.is_proven:
        return "[red]no[/red]"
    return f"[green]{_seconds(edge.log.fresh if edge.log else None)}[/green]"


def _seconds(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f} s"


def _verdict(answers: list[Fetched], version: bytes, good: str) -> str:
    """Word what an edge served, and whether from its cache."""
    word = good if _all(answers, version) else "[red]stale[/red]"
    return f"{word} ({' '.join(sorted({answer.cache for answer in answers}))})"


def _all(answers: list[Fetched], version: bytes) -> bool:
    return bool(answers) and all(answer.body == version for answer in answers)
