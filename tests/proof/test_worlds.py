"""From an upload to fresh at every edge, through the queue: two tiers, edges that stay stale, and kills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kit.stage import lines
from kit.warp import Warp
from kit.world import SITE, World

from multicdn.simulators import Origin, Topology
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  inner: {{type: fastly, endpoint: "{inner}", service: S1, token: "${{env:FASTLY_TOKEN}}", via: "{inner_edge}"}}
  outer: {{type: fastly, endpoint: "{outer}", service: S1, token: "${{env:FASTLY_TOKEN}}", via: "{outer_edge}"{pulls}}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [outer, inner]
    {verify}
"""


class TwoTiers:
    """An origin, an inner CDN, an outer one that fetches from it, and clients that never rest."""

    def __init__(
        self, patch: pytest.MonkeyPatch, origin: Origin, inner: FastlySimulator, outer: FastlySimulator
    ) -> None:
        self.patch, self.origin, self.inner, self.outer = patch, origin, inner, outer
        self.warp = Warp(patch)

    def world(self, *, pulls: str = ", pulls_from: [inner]", verify: str = "verify: true") -> World:
        text = CONFIG.format(
            inner=self.inner.endpoint,
            outer=self.outer.endpoint,
            inner_edge=self.inner.edge_url,
            outer_edge=self.outer.edge_url,
            pulls=pulls,
            verify=verify,
        )
        return World(self.patch, self.warp, self.origin, text)

    def bodies(self, key: str) -> tuple[str, str]:
        return tuple(cdn.fetch(f"{SITE}/{key}").body.decode() for cdn in (self.inner, self.outer))  # type: ignore[return-value]


@pytest.fixture
def tiers(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> Iterator[TwoTiers]:
    with FastlySimulator(origin.url) as inner, FastlySimulator(inner.edge_url) as outer:
        outer.topology = Topology(forwards_host=True)
        monkeypatch.setenv("FASTLY_TOKEN", inner.token)
        yield TwoTiers(monkeypatch, origin, inner, outer)


def events(logged: pytest.LogCaptureFixture, *names: str) -> list[Any]:
    return [line for line in lines(logged) if line["event"] in names]


def test_all_is_fresh_in_its_order(tiers: TwoTiers, logged: pytest.LogCaptureFixture) -> None:
    world = tiers.world()
    world.upload("a.css", "old", told=False)
    assert tiers.bodies("a.css") == ("old", "old")
    world.upload("a.css", "new")
    world.run(60)
    assert tiers.bodies("a.css") == ("new", "new")
    told = [(line["event"], line["provider"]) for line in events(logged, "accepted", "finished", "fresh")]
    assert told == [(event, name) for name in ("inner", "outer") for event in ("accepted", "finished", "fresh")]
    assert world.waiting == []
    assert world.letters == []
