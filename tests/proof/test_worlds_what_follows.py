"""What comes after a purge, and what a deploy waits for: preloads, warming, ``settle`` and ``after``, with proofs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.world import SITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.tiers import Tiers
    from kit.worlds_log import Told

pytestmark = pytest.mark.slow


def test_a_preload_follows_fresh(chain: Callable[..., Tiers], told: Told) -> None:
    """The edge ignores its first purge: a preload after that would have loaded what is wanted gone."""
    tiers = chain(cdn="edgecast")
    cdn = tiers.cdns["cdn"]
    cdn.topology.pops[0].ignores = 1
    world = tiers.world(route={"preload": ["cdn"]})
    world.upload("a.css", "old", told=False)
    tiers.ask("a.css")
    world.upload("a.css", "new")
    world.run(900)
    assert [(line["event"], line["action"]) for line in told.lines("accepted", "stale", "fresh")] == [
        *[("accepted", "purge"), ("stale", "purge"), ("accepted", "purge"), ("fresh", "purge")],
        ("accepted", "preload"),
    ]
    assert tiers.bodies("a.css") == {"cdn": "new"}
    assert (world.waiting, world.letters) == ([], [])


def test_a_cdn_without_preload_is_warmed_through_its_own_host_at_the_origins_pace(single: Tiers, told: Told) -> None:
    [cdn] = single.cdns.values()
    warm = {"type": "warm", "via": cdn.edge_url, "of": "cdn", "requests_per_second": 2}
    world = single.world(route={"preload": ["warm"]}, others={"warm": warm}, verify={"sample": 1})
    single.warp.sleep(single.patch)
    keys = [f"{place}.css" for place in range(6)]
    for key in keys:
        world.upload(key, "new")
    world.run(900)
    assert all(cdn.cached(f"{SITE}/{key}") for key in keys)
    order = [(line["event"], line["provider"]) for line in told.lines("fresh", "accepted")]
    assert order.index(("fresh", "cdn")) < order.index(("accepted", "warm"))
    times = sorted(cdn.cached(f"{SITE}/{key}").stored_at for key in keys)
    assert times[-1] - times[0] >= 2 - 0.5
    assert (world.waiting, world.letters) == ([], [])


def test_warming_goes_through_both_tiers_once_the_outer_one_is_fresh(tiers: Tiers, told: Told) -> None:
    outer = tiers.cdns["outer"]
    warm = {"type": "warm", "via": outer.edge_url}
    world = tiers.world(route={"preload": ["warm"]}, others={"warm": warm})
    world.upload("a.css", "new")
    world.run(900)
    order = told("fresh", "accepted")
    assert order == [
        *[("accepted", "inner"), ("fresh", "inner"), ("accepted", "outer"), ("fresh", "outer")],
        ("accepted", "warm"),
    ]


def test_a_deploy_that_settles_is_proven_when_it_is_whole(tiers: Tiers, told: Told) -> None:
    world = tiers.world(route={"settle": {"quiet": "20s"}})
    for number in range(4):
        world.upload(f"{number}.css", "old", told=False)
        tiers.ask(f"{number}.css")
    for number in range(4):
        world.upload(f"{number}.css", "new")
        world.run(10)
    assert told("accepted", "fresh") == []
    world.run(300)
    for event in ("accepted", "fresh"):
        for name in ("inner", "outer"):
            lines = [line for line in told.lines(event) if line["provider"] == name]
            assert sum(line["targets"] for line in lines) == 4, "each object once"
    assert [tiers.bodies(f"{number}.css") for number in range(4)] == [{"inner": "new", "outer": "new"}] * 4
    assert (world.waiting, world.letters) == ([], [])


def test_a_deploy_waits_for_its_last_object(tiers: Tiers, told: Told) -> None:
    world = tiers.world(route={"after": "done.json"})
    for number in range(3):
        world.upload(f"{number}.css", "old", told=False)
        tiers.ask(f"{number}.css")
    for number in range(3):
        world.upload(f"{number}.css", "new")
        world.run(30)
    assert told("accepted") == []
    world.upload("done.json", "{}")
    world.run(300)
    assert set(told("accepted", "fresh")) == {
        (event, name) for event in ("accepted", "fresh") for name in ("inner", "outer")
    }
    assert [tiers.bodies(f"{number}.css") for number in range(3)] == [{"inner": "new", "outer": "new"}] * 3
    assert (world.waiting, world.letters) == ([], [])
