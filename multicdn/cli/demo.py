"""``multicdn demo``: an upload to S3 becomes fresh bytes at every CDN, on this machine alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from multicdn.simulators import Fetched, Simulator
    from multicdn.testing.stage import Stage

# What the demo uploads: a page, a style sheet, and a key with all the signs that break naive purgers.
_KEYS = ("index.html", "css/site.css", "docs/50% off #1 - 价格 ~v2+.html")
_PATIENCE = 20.0
_POLL = 0.005
_WIDTH = 110  # of a log file, in which nobody wants a table folded


class Seen(NamedTuple):
    """What the edges served at one moment."""

    bodies: Mapping[str, tuple[bytes, ...]]
    caches: Mapping[str, tuple[str, ...]]

    def all_serve(self, edge: str, version: bytes) -> bool:
        """Whether an edge serves a version of everything."""
        return all(version in body for body in self.bodies[edge])


@click.command()
@click.option(
    "--config",
    "config_file",
    default="multicdn.config.yml",
    show_default=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The config to show; its providers are answered by simulators.",
)
def demo(config_file: Path) -> None:
    """See an upload reach every CDN, on this machine alone.

    Starts an AWS on loopback, a bucket with notifications to a queue, and for every provider of the config its API and
    a caching edge. Exit status 0 only if every edge serves the new bytes in the end.
    """
    from rich.console import Console

    from multicdn.testing.stage import Stage

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH
    try:
        stage = Stage(config_file)
    except (FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    console.print("Starting AWS on loopback, a bucket, a queue and the edges ...")
    with stage:
        fresh = _play(stage, console)
    console.print(f"fresh at {fresh} of {len(stage.edges)} edges")
    raise SystemExit(0 if fresh == len(stage.edges) else 1)


def _play(stage: Stage, console: Console) -> int:
    """Play the scenes, print the table, and return how many edges are fresh at the end."""
    bucket = stage.buckets[0]
    _upload(stage, bucket, b"version 1")
    _look(stage)
    warm = _look(stage)
    console.print(f"Uploaded version 1 of {len(_KEYS)} objects to s3://{bucket}, and every edge has cached them.")
    _upload(stage, bucket, b"version 2")
    stale = _look(stage)
    console.print("Uploaded version 2. Nobody has told the edges. Now the handler starts on the queue ...")
    with stage.worker("--batch-size", "1000", "--gather", "0.2"):
        quiet = stage.wait_until_quiet(_PATIENCE)
        purged = _look(stage)
        calls = {name: _calls(edge) for name, edge in stage.edges.items()}
        console.print("Purged. Once more, with the handler running, to see how long it takes ...")
        times = _time_to_fresh(stage, bucket, b"version 3")
    console.print(_table(stage, warm, stale, purged, calls, times))
    if not quiet or any(value is None for value in times.values()):
        console.print("The handler's log:", style="bold")
        console.print(stage.worker_log(), markup=False, soft_wrap=True)
    return sum(value is not None and purged.all_serve(name, b"version 2") for name, value in times.items())


def _upload(stage: Stage, bucket: str, version: bytes) -> None:
    for key in _KEYS:
        stage.put(bucket, key, version + b" of " + key.encode())


def _url(key: str) -> str:
    return "https://www.acme.com/" + quote(key, safe="/~")


def _look(stage: Stage) -> Seen:
    """Fetch everything through every edge once, as clients do."""
    answers: dict[str, list[Fetched]] = {
        name: [edge.fetch(_url(key)) for key in _KEYS] for name, edge in stage.edges.items()
    }
    return Seen(
        {name: tuple(answer.body for answer in found) for name, found in answers.items()},
        {name: tuple(answer.cache for answer in found) for name, found in answers.items()},
    )


def _calls(edge: Simulator) -> tuple[int, int]:
    """Calls made to a vendor's API, and the targets in them."""
    return len(edge.calls), sum(call.items for call in edge.calls)


def _time_to_fresh(stage: Stage, bucket: str, version: bytes) -> dict[str, float | None]:
    """Upload one object and ask every edge for it until it serves the new bytes; seconds for each, or None."""
    began = time.monotonic()
    stage.put(bucket, _KEYS[0], version)
    times: dict[str, float | None] = dict.fromkeys(stage.edges)
    while None in times.values() and time.monotonic() - began < _PATIENCE:
        for name in [name for name, value in times.items() if value is None]:
            if stage.edges[name].fetch(_url(_KEYS[0])).body == version:
                times[name] = time.monotonic() - began
        time.sleep(_POLL)
    return times


def _table(
    stage: Stage,
    warm: Seen,
    stale: Seen,
    purged: Seen,
    calls: Mapping[str, tuple[int, int]],
    times: Mapping[str, float | None],
) -> object:
    from rich.table import Table

    table = Table("edge", "before", "after the upload", "calls (targets)", "after the purge", "upload to fresh")
    for name, edge in stage.edges.items():
        table.add_row(
            edge.vendor,
            _said(warm, name, b"version 1"),
            _said(stale, name, b"version 2", otherwise="[red]stale[/red]"),
            "{} ({})".format(*calls[name]),
            _said(purged, name, b"version 2", otherwise="[red]stale[/red]", good="[green]fresh[/green]"),
            "[red]never[/red]" if times[name] is None else f"{times[name]:.3f} s",
        )
    return table


def _said(seen: Seen, edge: str, version: bytes, *, good: str = "cached", otherwise: str = "?") -> str:
    word = good if seen.all_serve(edge, version) else otherwise
    return f"{word} ({' '.join(sorted(set(seen.caches[edge])))})"
