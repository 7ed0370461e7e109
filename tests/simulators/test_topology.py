"""The places of a CDN: purges that take their time, POPs that differ, a shield, a CDN behind another one."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import pytest

from multicdn.simulators import VENDORS, Headers, ManualClock, Origin, Pop, Request, Topology, Url, load
from multicdn.simulators.cloudflare.api import CloudflareSimulator
from multicdn.simulators.cloudfront.api import CloudFrontSimulator, Distribution
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.topology import one_purge
from multicdn.simulators.pixboost import PixboostSimulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Make = Callable[..., FastlySimulator]

URL = "https://www.acme.com/a"


@pytest.fixture
def make(origin: Origin, clock: ManualClock) -> Iterator[Make]:
    running: list[FastlySimulator] = []

    def started(*pops: Pop, url: str = "", **settings: object) -> FastlySimulator:
        cdn = FastlySimulator(url or origin.url, clock=clock)
        cdn.topology = Topology(pops=pops or (Pop(),), **settings)  # type: ignore[arg-type]
        running.append(cdn.start())
        return cdn

    yield started
    for cdn in reversed(running):
        cdn.stop()


def purge(cdn: FastlySimulator, url: str = URL, **headers: str) -> None:
    client = Client(cdn.endpoint)
    try:
        answer = client.send("POST", f"/purge/{url}", {"Fastly-Key": cdn.token, **headers})
        assert answer.status == 200
    finally:
        client.close()


def seen(cdn: FastlySimulator, *pops: str) -> list[str]:
    return [cdn.fetch(URL, pop=pop).body.decode() for pop in pops or ("",)]


def rewrite(origin: Origin, cdn: FastlySimulator, *pops: str, **headers: str) -> None:
    """Let POPs cache old bytes of what has new ones."""
    origin.put("a", "old", headers)
    seen(cdn, *pops)
    origin.put("a", "new", headers)


def test_a_purge_has_its_effect_after_the_delay_that_it_set_out_with(
    origin: Origin, clock: ManualClock, make: Make
) -> None:
    cdn = make(purge_delay=5)
    rewrite(origin, cdn)
    purge(cdn)
    cdn.topology.purge_delay = 0
    clock.advance(4.9)
    assert seen(cdn) == ["old"]
    clock.advance(0.1)
    assert seen(cdn) == ["new"]
    origin.put("a", "newer")
    purge(cdn)
    assert seen(cdn) == ["newer"]


def test_a_soft_purge_counts_from_its_arrival(origin: Origin, clock: ManualClock, make: Make) -> None:
    cdn = make(purge_delay=5)
    rewrite(origin, cdn, **{"Cache-Control": "max-age=600, stale-while-revalidate=10"})
    purge(cdn, **{"Fastly-Soft-Purge": "1"})
    clock.advance(4)
    assert cdn.fetch(URL).cache == "HIT"
    clock.advance(10)  # 9 s after the arrival, which nobody had looked for
    assert [(got.cache, got.body) for got in (cdn.fetch(URL), cdn.fetch(URL))] == [("STALE", b"old"), ("HIT", b"new")]
    origin.put("a", "newer")
    purge(cdn, **{"Fastly-Soft-Purge": "1"})
    clock.advance(5 + 10)
    assert cdn.fetch(URL).body == b"newer"


def test_a_count_is_that_of_the_place_that_is_asked(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD"))
    origin.put("a", "old")
    seen(cdn, "FRA")
    cdn.fetch(URL + "b", pop="IAD")
    assert cdn.edge.purge_key("www.acme.com/a") == 1


def test_what_is_fetched_while_a_purge_is_on_its_way_is_dropped_too(
    origin: Origin, clock: ManualClock, make: Make
) -> None:
    cdn = make(purge_delay=5)
    purge(cdn)
    clock.advance(1)
    rewrite(origin, cdn)
    clock.advance(4)
    assert seen(cdn) == ["new"]


def test_pops_have_caches_addresses_and_delays_of_their_own(origin: Origin, clock: ManualClock, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD", delay=3), purge_delay=1)
    rewrite(origin, cdn, "FRA", "IAD")
    assert cdn.pop_url() == cdn.edge_url == cdn.pop_url("FRA") != cdn.pop_url("IAD")
    there = Client(cdn.pop_url("IAD"))
    answer = there.send("GET", "/a", {"Host": "www.acme.com"})
    there.close()
    assert (answer.headers["X-Cache"], answer.headers["X-Served-By"]) == ("HIT", "cache-iad1041-IAD")
    purge(cdn)
    states = []
    for _ in range(5):
        states.append(seen(cdn, "FRA", "IAD"))
        clock.advance(1)
    assert states == [["old", "old"], *[["new", "old"]] * 3, ["new", "new"]]
    assert cdn.cached(URL, pop="IAD") is not None
    with pytest.raises(KeyError):
        cdn.fetch(URL, pop="LHR")


def test_a_pop_that_never_had_it_asks_the_origin(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD"))
    rewrite(origin, cdn, "FRA")
    assert seen(cdn, "FRA", "IAD") == ["old", "new"]


def test_a_pop_ignores_its_first_purges_whatever_they_hold(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD", ignores=2))
    purge(cdn, "https://www.acme.com/other")  # the first one, though nothing is cached there
    rewrite(origin, cdn, "FRA", "IAD")
    purge(cdn)
    assert seen(cdn, "FRA", "IAD") == ["new", "old"]
    purge(cdn)
    assert seen(cdn, "IAD") == ["new"]


def test_one_call_is_one_purge_however_many_entries_it_is_about(origin: Origin, make: Make) -> None:
    cdn = make(Pop("IAD", ignores=1))
    for key in "ab":
        origin.put(key, "old")
        cdn.fetch(f"https://www.acme.com/{key}")
    with one_purge():
        assert [cdn.edge.purge_key(f"www.acme.com/{key}") for key in "ab"] == [1, 1]
    assert len(cdn.edge.cache) == 2
    cdn.edge.purge_where(lambda _entry: True)
    assert len(cdn.edge.cache) == 0


def test_a_pop_may_ignore_all_purges_until_it_is_told_otherwise(origin: Origin, make: Make) -> None:
    deaf = Pop("IAD", ignores=math.inf)
    cdn = make(Pop("FRA"), deaf)
    rewrite(origin, cdn, "FRA", "IAD")
    for _ in range(3):
        purge(cdn)
    assert seen(cdn, "FRA", "IAD") == ["new", "old"]
    deaf.ignores = 0
    purge(cdn)
    assert seen(cdn, "IAD") == ["new"]


def test_a_cdn_that_ignores_purges_does_so_everywhere(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD"), shield=Pop("AMS"))
    rewrite(origin, cdn, "FRA", "IAD")
    cdn.ignores_purges = True
    purge(cdn)
    assert seen(cdn, "FRA", "IAD") == ["old", "old"]
    cdn.ignores_purges = False
    purge(cdn)
    assert seen(cdn, "FRA", "IAD") == ["new", "new"]


def test_a_shield_that_is_purged_later_hands_out_old_bytes_until_a_second_purge(
    origin: Origin, clock: ManualClock, make: Make
) -> None:
    cdn = make(shield=Pop("AMS", delay=2))
    rewrite(origin, cdn)
    purge(cdn)
    clock.advance(1)
    assert (seen(cdn), cdn.fetch(URL).age) == (["old"], 1)
    clock.advance(100)
    assert seen(cdn) == ["old"]
    purge(cdn)
    assert seen(cdn) == ["new"]


def test_a_shield_that_is_purged_first_does_no_harm(origin: Origin, clock: ManualClock, make: Make) -> None:
    cdn = make(Pop("FRA", delay=2), shield=Pop("AMS"))
    rewrite(origin, cdn)
    purge(cdn)
    assert seen(cdn) == ["old"]
    clock.advance(2)
    assert seen(cdn) == ["new"]


def test_pops_share_what_the_shield_has(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD"), shield=Pop("AMS"))
    origin.put("a", "old", {"Surrogate-Key": "t"})
    asked = len(origin.requests)
    assert seen(cdn, "FRA", "IAD") == ["old", "old"]
    assert len(origin.requests) == asked + 1
    got = cdn.fetch(URL, pop="IAD")
    assert got.headers["X-Served-By"] == "cache-ams1041-AMS, cache-iad1041-IAD"
    assert "Surrogate-Key" not in got.headers
    assert cdn.edge.purge_tags(["t"], soft=False) == 1
    assert cdn.fetch(URL, pop="IAD").cache == "MISS"


def test_a_shield_may_be_one_of_the_pops(origin: Origin, make: Make) -> None:
    shield = Pop("AMS")
    cdn = make(Pop("FRA"), shield, shield=shield)
    assert cdn.topology.places == tuple(cdn.topology.pops)
    origin.put("a", "old")
    assert cdn.fetch(URL, pop="AMS").headers["X-Served-By"] == "cache-ams1041-AMS"
    assert [cdn.fetch(URL, pop=pop).cache for pop in ("FRA", "AMS")] == ["MISS", "HIT"]


def test_stale_bytes_of_a_shield_are_kept_as_fresh(origin: Origin, make: Make) -> None:
    """As polyfillpolyfill/polyfill-service#1983 saw it: a soft purge that looks as if it had done nothing."""
    cdn = make(shield=Pop("AMS"))
    cdn.edge.stale_while_revalidate = 600
    rewrite(origin, cdn)
    purge(cdn, **{"Fastly-Soft-Purge": "1"})
    assert [(got.cache, got.body) for got in (cdn.fetch(URL), cdn.fetch(URL))] == [("STALE", b"old"), ("HIT", b"old")]
    purge(cdn, **{"Fastly-Soft-Purge": "1"})
    assert [(got.cache, got.body) for got in (cdn.fetch(URL), cdn.fetch(URL))] == [("STALE", b"old"), ("HIT", b"new")]


def test_a_shield_is_asked_with_the_tag_that_is_held(origin: Origin, clock: ManualClock, make: Make) -> None:
    cdn = make(shield=Pop("AMS"))
    origin.put("a", "same", {"Cache-Control": "max-age=600"})
    seen(cdn)
    clock.advance(100)
    purge(cdn, **{"Fastly-Soft-Purge": "1"})
    got = cdn.fetch(URL)
    assert (got.cache, got.body, got.age) == ("REVALIDATED", b"same", 0)
    assert "If-None-Match" in origin.requests[-1].headers


def test_an_origin_without_an_answer_is_no_answer_of_the_shield_either(origin: Origin, make: Make) -> None:
    cdn = make(shield=Pop("AMS"))
    origin.stop()
    got = cdn.fetch(URL)
    assert (got.status, got.cache, got.headers["X-Served-By"]) == (502, "ERROR", "cache-fra1041-FRA")


def test_a_cdn_may_fetch_from_another_one(origin: Origin, clock: ManualClock, make: Make) -> None:
    site = Distribution("E1", aliases=("www.acme.com",))
    with CloudFrontSimulator(origin.url, distributions=(site,), clock=clock) as inner:
        outer = make(url=inner.edge_url, forwards_host=True)
        origin.put("a", "old", {"Cache-Control": "max-age=600"})
        assert inner.fetch(URL).cache == "MISS"
        clock.advance(60)
        got = outer.fetch(URL)
        assert (got.status, got.body, got.cache, got.age) == (200, b"old", "MISS", 60)
        assert (got.headers["X-Amz-Cf-Pop"], got.headers["X-Served-By"]) == ("FRA56-P1", "cache-fra1041-FRA")
        assert origin.requests[-1].headers["X-Forwarded-Host"] == "www.acme.com"
        assert inner.cached(URL) is not None
        clock.advance(539)
        assert (outer.fetch(URL).cache, outer.fetch(URL).age) == ("HIT", 599)
        clock.advance(1)
        assert outer.fetch(URL).cache == "REVALIDATED", "what it aged at the inner one counts"


def test_the_wrong_order_leaves_old_bytes_at_the_outer_cdn_and_the_right_one_does_not(
    origin: Origin, make: Make
) -> None:
    inner = make()
    outer = make(url=inner.edge_url, forwards_host=True)
    rewrite(origin, outer)
    purge(outer)
    assert seen(outer) == ["old"]
    purge(inner)
    assert (seen(inner), seen(outer)) == (["new"], ["old"])
    purge(outer)
    assert seen(outer) == ["new"]


def test_an_inner_cdn_answers_for_what_is_held_with_304(origin: Origin, clock: ManualClock, make: Make) -> None:
    inner = make()
    outer = make(url=inner.edge_url, forwards_host=True)
    origin.put("a", "same")
    seen(outer)
    clock.advance(30)
    purge(outer, **{"Fastly-Soft-Purge": "1"})
    assert [(got.cache, got.age) for got in (outer.fetch(URL), outer.fetch(URL))] == [("REVALIDATED", 30), ("HIT", 30)]


def test_an_inner_cdn_is_asked_as_a_client_asks(origin: Origin, make: Make) -> None:
    cdn = make(forwards_host=True)
    cdn.fetch("http://www.acme.com/a")
    asked = origin.requests[-1].headers
    assert (asked["Host"], asked["X-Forwarded-Proto"], "X-Forwarded-Host" in asked) == ("www.acme.com", "http", False)


def test_what_is_loaded_is_loaded_at_each_pop(origin: Origin, make: Make) -> None:
    cdn = make(Pop("FRA"), Pop("IAD"))
    origin.put("a", "foo")
    cdn.edge.prefetch(Url.parse(URL))
    assert [cdn.fetch(URL, pop=pop).cache for pop in ("FRA", "IAD")] == ["HIT", "HIT"]


def test_files_of_one_call_are_one_purge(origin: Origin, clock: ManualClock) -> None:
    cdn = CloudflareSimulator(origin.url, clock=clock)
    cdn.topology = Topology(pops=(Pop("IAD", ignores=1),))
    body = json.dumps({"files": [f"https://www.acme.com/{key}" for key in "ab"]}).encode()
    call = Request(
        "POST",
        f"/client/v4/zones/{cdn.zones[0].id}/purge_cache",
        Headers({"Authorization": f"Bearer {cdn.token}"}),
        body,
    )
    with cdn:
        for key in "ab":
            cdn.fetch(f"https://www.acme.com/{key}")
        left = []
        for _ in range(2):
            assert cdn._answer(call).status == 200
            left.append(len(cdn.edge.cache))
    assert left == [2, 0]


def test_images_that_only_another_pop_has_are_dropped_there(origin: Origin, clock: ManualClock) -> None:
    cdn = PixboostSimulator(origin.url, clock=clock)
    cdn.topology = Topology(pops=(Pop("FRA"), Pop("IAD")))
    source = "https://www.acme.com/a.jpg"
    with cdn:
        origin.put("a.jpg", "foo")
        assert cdn.fetch(cdn.client_url(source), pop="IAD").status == 200
        assert cdn._answer(Request("DELETE", f"/api/2/img/{source}?auth={cdn.secret}")).status == 202
        assert cdn.cached(cdn.client_url(source), pop="IAD") is None


@pytest.mark.parametrize(
    ("vendor", "header", "value"),
    [
        ("akamai", "Akamai-Request-BC", "n=IAD"),
        ("cloudflare", "CF-RAY", "-IAD"),
        ("cloudfront", "X-Amz-Cf-Pop", "IAD56-P1"),
        ("edgecast", "Server", "ECAcc (iad/4CB5)"),
        ("fastly", "X-Served-By", "cache-iad1041-IAD"),
        ("highwinds", "X-HW", ".iad1."),
        ("pixboost", "X-Served-By", "IAD"),
    ],
)
def test_answers_name_their_pop_as_the_vendor_does(vendor: str, header: str, value: str) -> None:
    edge = load(vendor)("http://127.0.0.1:9").edge
    assert value in edge.at(Pop("IAD")).named(Headers())[header]
    assert vendor in VENDORS


def test_an_edge_that_is_made_late_has_the_same_places(origin: Origin, clock: ManualClock) -> None:
    late = (Distribution("E1", aliases=("a.com",)), Distribution("E2", aliases=("b.com",)))
    cdn = CloudFrontSimulator(origin.url, distributions=late, clock=clock)
    cdn.topology = Topology(pops=(Pop("FRA"), Pop("IAD")))
    with cdn:
        origin.put("a", "old")
        assert cdn.fetch("https://b.com/a", pop="IAD").headers["X-Amz-Cf-Pop"] == "IAD56-P1"
        assert cdn.cached("https://b.com/a", pop="IAD") is not None
        assert cdn.cached("https://b.com/a") is None


def test_places_must_be_told_apart() -> None:
    with pytest.raises(ValueError, match="name of its own: FRA, FRA"):
        Topology(pops=(Pop(), Pop()))
    with pytest.raises(ValueError, match="none"):
        Topology(pops=())
    with pytest.raises(ValueError, match="of its own"):
        Topology(shield=Pop("FRA"))


def test_the_longest_delay_is_that_of_the_slowest_place() -> None:
    places = Topology(pops=(Pop("FRA"), Pop("IAD", delay=3)), shield=Pop("AMS", delay=2), purge_delay=10)
    assert places.longest_delay == 13
