"""Edges that don't do what their vendor has accepted: found, named, purged again, told; and healed when they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from kit.world import SITE

from multicdn.simulators import Pop, Response, Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.tiers import Tiers
    from kit.world import World
    from kit.worlds_log import Told

    from multicdn.simulators import Request

pytestmark = pytest.mark.slow

POPS = ("FRA", "IAD", "SYD")


def rewritten(tiers: Tiers, world: World, **headers: str) -> None:
    """An object that all POPs had cached has new bytes."""
    world.upload("a.css", "old", told=False, **headers)
    cached(tiers)
    world.upload("a.css", "new", **headers)


def cached(tiers: Tiers, url: str = f"{SITE}/a.css") -> list[str]:
    return [cdn.fetch(url, pop=pop.name).body.decode() for cdn in tiers.cdns.values() for pop in cdn.topology.pops]


def standing(tiers: Tiers, *pops: Pop, **settings: float | Pop) -> Topology:
    """Let the one CDN have these places."""
    [cdn] = tiers.cdns.values()
    cdn.stop()
    cdn.topology = Topology(pops=pops, **settings)  # type: ignore[arg-type]
    cdn.start()
    return cdn.topology


@pytest.mark.parametrize("vendor", ["fastly", "cloudfront"])
def test_a_pop_that_ignores_every_purge_is_found_named_and_told(
    chain: Callable[..., Tiers], told: Told, vendor: str
) -> None:
    """Fastly is asked what each POP serves; of CloudFront, that POP is looked at."""
    tiers = chain(cdn=vendor)
    deaf = Pop("IAD", ignores=math.inf)
    standing(tiers, Pop("FRA"), deaf, Pop("SYD"))
    world = tiers.world(options={} if vendor == "fastly" else {"cdn": {"via": tiers.cdns["cdn"].pop_url("IAD")}})
    rewritten(tiers, world)
    world.run(600)
    assert cached(tiers) == ["new", "old", "new"]
    assert told("fresh") == []
    *again, last = told.lines("stale")
    assert [line["state"] for line in again] == ["purged"] * 3
    assert last["state"] == "dead"
    assert "still stale at IAD" in last["reason"]
    assert "after 4 purges" in last["reason"]
    [letter] = world.letters
    assert letter.attributes["status"]["StringValue"] == "stale"
    assert "still stale at IAD" in letter.attributes["reason"]["StringValue"]
    assert world.waiting == []

    deaf.ignores = 0
    world.redrive()
    world.run(600)
    assert cached(tiers) == ["new"] * 3
    assert told("fresh") == [("fresh", "cdn")]
    assert (world.waiting, world.letters) == ([], [])


def test_a_pop_that_ignores_its_first_purge_is_purged_again(single: Tiers, told: Told) -> None:
    standing(single, Pop("FRA"), Pop("IAD", ignores=1))
    world = single.world()
    rewritten(single, world)
    world.run(600)
    assert cached(single) == ["new", "new"]
    assert told("stale", "fresh") == [("stale", "cdn"), ("fresh", "cdn")]
    assert told.lines("stale")[0]["pop"] == "IAD"
    assert (world.waiting, world.letters) == ([], [])


def test_where_soft_purges_are_not_enough_it_is_purged_hard(
    single: Tiers, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    [cdn] = single.cdns.values()
    whole, softness = cdn.api, list[bool]()

    def deaf_to_soft(request: Request) -> Response:
        if "/purge" not in request.target:
            return whole(request)
        softness.append(request.headers.get("Fastly-Soft-Purge") == "1")
        return Response.json({"status": "ok", "id": "108-1391560174-974124"}) if softness[-1] else whole(request)

    monkeypatch.setattr(cdn, "api", deaf_to_soft)
    world = single.world(route={"soft": True})
    rewritten(single, world)
    world.run(600)
    assert softness == [True, True, False]
    assert cached(single) == ["new"]
    assert told("stale", "fresh") == [("stale", "cdn"), ("stale", "cdn"), ("fresh", "cdn")]
    assert world.letters == []


def test_a_copy_that_the_purged_url_does_not_reach_is_purged_by_a_wider_spelling(
    chain: Callable[..., Tiers], told: Told
) -> None:
    """Pages ask for the object with a query string, which is in the cache key."""
    tiers = chain(cdn="cloudfront")
    asked = f"{SITE}/a.css?v=1"
    world = tiers.world(verify={"urls": [f"{SITE}/{{key}}?v=1"]})
    world.upload("a.css", "old", told=False)
    assert cached(tiers, asked) == ["old"]
    world.upload("a.css", "new")
    world.run(600)
    assert cached(tiers, asked) == ["new"]
    assert [line["state"] for line in told.lines("stale")] == ["purged"] * 3
    assert told("fresh") == [("fresh", "cdn")]
    purged = [call.body for call in tiers.cdns["cdn"].calls if call.method == "POST"]
    assert [b"*</Path>" in body for body in purged] == [False] * 3 + [True]
    assert world.letters == []


@pytest.mark.parametrize("again", ["", "5s"])
def test_a_second_purge_wins_the_race_against_the_shield(single: Tiers, told: Told, again: str) -> None:
    """The edge drops at once, and asks the shield, which has it for three seconds more."""
    standing(single, Pop("FRA"), shield=Pop("SHD", delay=3))
    world = single.world(options={"cdn": {"again": again}} if again else {})
    rewritten(single, world)
    world.invoke()
    assert cached(single) == ["old"], "the edge has it from the shield"
    world.run(600)
    assert cached(single) == ["new"]
    assert told("fresh") == [("fresh", "cdn")]
    assert bool(told("stale")) is not bool(again)
    assert (world.waiting, world.letters) == ([], [])


def test_an_edge_that_missed_a_purge_is_purged_again_under_all_urls_of_the_object(
    chain: Callable[..., Tiers], told: Told
) -> None:
    tiers = chain(fastly="fastly")
    pop = Pop("FRA")
    standing(tiers, pop)
    world = tiers.world(verify=True, route={"index": "index.html"})
    urls = [f"{SITE}/d/", f"{SITE}/d/index.html"]
    for body in ("old", "new"):
        world.upload("d/index.html", body, told=body == "new")
        tiers.origin.put("d/", body, {"Cache-Control": "max-age=86400"})
        assert [cached(tiers, url) for url in urls] == [["old"]] * 2
    pop.ignores = 2  # Fastly purges each URL by a call
    world.run(60)
    assert [cached(tiers, url) for url in urls] == [["new"]] * 2
