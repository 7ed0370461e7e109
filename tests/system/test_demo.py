"""The demo, as a visitor runs it; and that it fails when an edge stays stale."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from multicdn.cli import demo as command
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "multicdn.config.yml"
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
    rows = {row.split()[0]: row for row in lines if row.split()[0] in VENDORS}
    assert set(rows) == set(VENDORS)
    assert all("stale (HIT)" in row and "fresh (" in row for row in rows.values())
    assert "fresh (HIT)" in rows["edgecast"], "it was preloaded"
    # Pixboost's preload waits for five minutes: that long a purge may take there.
    assert all("fresh (MISS)" in rows[vendor] for vendor in VENDORS if vendor != "edgecast")


def test_the_demo_runs_the_example_as_it_is_shipped(local: LocalEnvironment) -> None:
    """All that the environment adds to the config are endpoints."""
    import yaml

    shipped = yaml.load(EXAMPLE.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    played = yaml.load(local.config_path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    endpoints = {name: options.pop("endpoint") for name, options in played["providers"].items()}
    assert endpoints == {name: edge.endpoint for name, edge in local.edges.items()}
    for options in shipped["providers"].values():
        options.pop("endpoint", None)
    assert played == shipped


def test_an_edge_that_stays_stale_is_told_from_the_fresh_ones(
    local: LocalEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_TIMEOUT", 8.0)
    local.edges["fastly"].faults.always(faults.status(401, body=b'{"msg": "Provided credentials are missing"}'))
    results = command._run(local, Console(file=io.StringIO()))
    assert {name for name, edge in results.items() if not edge.is_fresh} == {"fastly"}
