"""What the tests of `multicdn explain`, `purge` and `preload` share: a config, and simulators that answer it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml
from click.testing import CliRunner

from multicdn.cli import main
from multicdn.simulators import Fetched, Origin, Simulator
from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone
from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator, Distribution, S3Origin
from multicdn.simulators.edgecast import EdgecastSimulator
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

WWW = "https://www.acme.com"
DOWNLOADS = "https://downloads.acme.com"
SITE, SECOND = "E8F6HK73EP0LT", "E2QWRUHEXAMPLE"

ROUTES: list[dict[str, Any]] = [
    {"bucket": "acme-site", "exclude": ["*.map"], "index": "index.html", "urls": [WWW + "/{key}"],
     "purge": ["site", "fastly", "cloudflare"]},
    {"bucket": "acme-site", "prefix": "news/", "on": ["created"], "soft": True, "tags": ["news"],
     "purge": ["fastly", "cloudflare"]},
    {"bucket": "acme-downloads", "urls": [DOWNLOADS + "/{key}"], "purge": ["edgecast"], "preload": ["edgecast"]},
]  # fmt: skip


@dataclass
class Scene:
    """Running simulators, and a config file that names them."""

    path: Path
    origin: Origin
    edges: dict[str, Simulator]
    environment: dict[str, str]
    last: Any = field(default=None)

    def run(self, *arguments: str, code: int = 0, stdin: str = "", **environment: str) -> str:
        """Run a command with this config, and return what it printed."""
        runner = CliRunner(env={**self.environment, **environment})
        result = runner.invoke(main, [*arguments, "--config", str(self.path)], input=stdin)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        self.last = result
        return result.stdout

    def calls(self) -> dict[str, int]:
        return {name: len(edge.calls) for name, edge in self.edges.items() if edge.calls}

    def warm(self, key: str, *names: str, site: str = WWW, **headers: str) -> None:
        """Let edges cache an object, and let S3 have a new version of it."""
        self.origin.put(key, "old", {"Cache-Control": "max-age=3600", **headers})
        for name in names:
            self.fetch(name, key, site)
            assert self.fetch(name, key, site).cache == "HIT"
        self.origin.put(key, "new", {"Cache-Control": "max-age=3600", **headers})

    def fetch(self, name: str, key: str, site: str = WWW) -> Fetched:
        return self.edges[name].fetch(f"{site}/{quote(key)}")

    def fresh(self, key: str, *names: str, site: str = WWW) -> list[str]:
        """Which of the edges serve the new bytes."""
        return [name for name in names if self.fetch(name, key, site).body == b"new"]


def make_edges(origin: Origin) -> dict[str, Simulator]:
    s3 = (S3Origin("acme-site.s3.us-east-1.amazonaws.com"),)
    site = Distribution(id=SITE, aliases=("www.acme.com",), origins=s3)
    second = Distribution(id=SECOND, aliases=("beta.acme.com",), origins=s3)
    keys = AccessKey("AKIDEXAMPLE", "secret-of-a-simulator")
    return {
        "site": CloudFrontSimulator(origin.url, distributions=(site, second), credentials=keys, limits=False),
        "fastly": FastlySimulator(origin.url),
        "cloudflare": CloudflareSimulator(origin.url, zones=(Zone("acme.com", id="0" * 32),)),
        "edgecast": EdgecastSimulator(origin.url, account="1A2B"),
    }


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin())
        edges = {name: stack.enter_context(edge) for name, edge in make_edges(origin).items()}
        found = config_for(edges)
        path = folder / "multicdn.config.yml"
        scene = Scene(path, origin, edges, {**found.environment, "AWS_REGION": "us-east-1"})
        write(path, found.providers)
        yield scene


def write(path: Path, providers: dict[str, Any], routes: list[dict[str, Any]] = ROUTES) -> None:
    content = {"version": 1, "providers": providers, "routes": routes}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


def providers_of(path: Path) -> dict[str, Any]:
    return dict(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)["providers"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with running(tmp_path) as found:
        yield found
