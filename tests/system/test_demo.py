"""The demo, as a visitor runs it; and that it fails when an edge stays stale."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from multicdn.cli import demo as command
from multicdn.logbook.reached import Reached
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "multicdn.config.yml"
SMALL = """\
version: 1
providers:
  cloudflare: {zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${env:CLOUDFLARE_TOKEN}", via: b.example}
  fastly: {service: SU1Z0isxPaozGVKXdv0eY, token: "${env:FASTLY_TOKEN}", via: a.example}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [cloudflare, fastly], verify: true}
"""
VENDORS = ("akamai", "cloudflare", "cloudfront", "edgecast", "fastly", "highwinds", "pixboost")


@pytest.fixture(scope="module")
def local(aws_program: Path) -> Iterator[LocalEnvironment]:
    with LocalEnvironment(EXAMPLE) as started:
        yield started


def demo(config: Path) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "multicdn", "demo", "--config", str(config)]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)


@pytest.mark.usefixtures("aws_program")
def test_every_edge_is_stale_then_fresh_and_the_last_line_says_so() -> None:
    run = demo(EXAMPLE)
    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    assert lines[-1] == "fresh at 7 of 7 edges"
    rows = {row.split()[0]: re.split(r"  +", row.strip()) for row in lines if row.split()[0] in VENDORS and "  " in row}
    assert set(rows) == set(VENDORS)
    assert all(row[1] == "stale (HIT)" for row in rows.values())
    seconds = {vendor: row[2:5] for vendor, row in rows.items() if vendor != "pixboost"}
    for vendor, (accepted, finished, fresh) in seconds.items():
        assert number(accepted) <= number(finished) <= number(fresh), vendor
    assert number(seconds["fastly"][0]) >= number(seconds["cloudfront"][1]), "it fetches from there"
    assert {vendor: row[5] for vendor, row in rows.items()} == dict.fromkeys(VENDORS, "1") | {"cloudflare": "2"}
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("```text\n")[2].partition("```")[0]
    assert words(shown) in words(run.stdout)
    # No route looks there: its purges take five minutes.
    assert rows["pixboost"][4] == "not looked at"


def words(text: str) -> str:
    """A text without its numbers of seconds, and the spaces that depend on them."""
    return " ".join(re.sub(r"\d+\.\d\d s", "N s", text).split())


def number(cell: str) -> float:
    return float(cell.removesuffix(" s"))


def test_the_demo_runs_the_example_as_it_is_shipped(local: LocalEnvironment) -> None:
    """All that the environment changes in the config is where the CDNs are."""
    import yaml

    shipped = yaml.load(EXAMPLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    played = yaml.load(local.config_path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    endpoints = {name: options.pop("endpoint") for name, options in played["providers"].items()}
    assert endpoints == {name: edge.endpoint for name, edge in local.edges.items()}
    for options in shipped["providers"].values():
        options.pop("endpoint", None)
    vias = {name: options["via"] for name, options in played["providers"].items()}
    assert vias == {name: edge.edge_url for name, edge in local.edges.items()}
    for options in (*shipped["providers"].values(), *played["providers"].values()):
        options.pop("via", None)
    assert played == shipped


def test_an_edge_that_stays_stale_is_told_from_the_fresh_ones(
    aws_program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del aws_program
    monkeypatch.setattr(command, "_TIMEOUT", 6.0)
    file = tmp_path / "c.yml"
    file.write_text(SMALL, encoding="utf-8")
    with LocalEnvironment(file) as local:
        local.edges["fastly"].faults.always(faults.status(401, body=b'{"msg": "Provided credentials are missing"}'))
        results = command._run(local, Console(file=io.StringIO()))
    assert {name for name, edge in results.items() if not edge.is_fresh} == {"fastly"}
    log = results["cloudflare"].log
    assert log is not None
    assert log.purges == 2


@pytest.mark.parametrize(
    ("seen", "clients", "fresh"),
    [({"a"}, 1.0, True), (set(), 1.0, False), ({"a"}, None, False), (None, 1.0, False)],
)
def test_both_multicdn_and_the_clients_must_have_seen_the_new_bytes(
    seen: set[str] | None, clients: float | None, *, fresh: bool
) -> None:
    log = None if seen is None else Reached()
    if log and seen:
        log.keys |= seen
    assert command.EdgeResult([], log, frozenset({"a"}), clients).is_fresh is fresh
    assert command.EdgeResult([], None, frozenset(), clients).is_fresh is (clients is not None)
