"""What edges have cached, held against what S3 has now; and the trouble that their vendors can be put into."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from multicdn import config
from multicdn.local.edges import SimulatedEdges
from multicdn.local.objects import ObjectVersions
from multicdn.local.routes import Places
from multicdn.local.state import CachedUrl
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router
from multicdn.simulators import Entry, Headers, ManualClock, Request, Url
from multicdn.simulators.fastly.api import FastlySimulator

URL = "https://www.acme.com/docs/"
KEY = "site/docs/index.html"
CONFIG = """\
version: 1
providers:
  www: {type: fastly, endpoint: "http://127.0.0.1:9", service: SU1Z0isxPaozGVKXdv0eY, token: "${env:T}"}
routes:
  - bucket: acme-site
    prefix: site/
    index: index.html
    urls: ["https://www.acme.com/{path}"]
    tags: [all]
    purge: [www]
"""


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.cdn = FastlySimulator("http://127.0.0.1:9", clock=self.clock)
        loaded = config.parse(CONFIG, "c.yml", Plugins())
        self.places = Places(Router(loaded.routes, loaded.providers), {"www": self.cdn})
        self.objects = ObjectVersions()
        self.edges = SimulatedEdges({"www": self.cdn}, loaded.types, loaded.providers, self.places, self.objects)

    def cache(self, etag: str | None, *, seconds: float = 3600.0, **headers: str) -> None:
        now, url = self.clock(), Url.parse(URL)
        tagged = {"ETag": f'"{etag}"', **headers} if etag else headers
        entry = Entry(self.cdn.edge.cache_key(url), url, 200 if etag else 404, Headers(tagged), b"", now, now + seconds)
        self.cdn.edge.cache.store(entry, self.cdn.edge.cache.purges)

    def seen(self) -> CachedUrl:
        [provider] = self.edges.states([("acme-site", KEY, "created")], lambda _: "closed", self.clock())
        return {each.url: each for each in provider.edge}[URL]

    @property
    def fresh(self) -> bool | None:
        return self.edges.is_fresh("www", "acme-site", KEY)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_an_object_is_known_by_the_urls_of_its_routes(scene: Scene) -> None:
    place = scene.places.of("acme-site", KEY)
    assert set(place.urls["www"]) == {URL, f"{URL}index.html"} == place.public
    assert place.tags == {"all"}
    assert scene.places.of("acme-site", "elsewhere.html").urls == {}


def test_what_is_cached_is_fresh_until_the_object_changes(scene: Scene) -> None:
    assert scene.seen() == CachedUrl(URL, KEY, "none")
    assert scene.objects.changed("acme-site", KEY, "e1") == 1
    scene.cache("e1")
    scene.clock.advance(12)
    assert scene.seen() == CachedUrl(URL, KEY, "fresh", 1, 12)
    assert scene.fresh
    assert scene.objects.changed("acme-site", KEY, "e2") == 2
    assert scene.seen() == CachedUrl(URL, KEY, "stale", 1, 12)
    assert not scene.fresh


def test_looking_into_the_cache_is_no_request(scene: Scene) -> None:
    """Nothing is fetched for it: there is no origin here."""
    scene.cache("e1")
    assert [scene.seen().cache for _ in range(3)] == ["stale"] * 3
    assert scene.cdn.tally == (0, 0)


def test_a_soft_purge_shows_and_the_next_client_gets_new_bytes(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e2")
    scene.cache("e1")
    scene.cdn.edge.purge_key(scene.cdn.edge.cache_key(Url.parse(URL)), soft=True)
    assert scene.seen().cache == "soft"
    assert scene.fresh


def test_a_soft_purge_after_which_old_bytes_are_served_once_more_is_not_fresh(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e2")
    scene.cache("e1", **{"Cache-Control": "max-age=3600, stale-while-revalidate=30"})
    scene.cdn.edge.purge_key(scene.cdn.edge.cache_key(Url.parse(URL)), soft=True)
    assert (scene.seen().cache, scene.fresh) == ("soft", False)
    scene.clock.advance(31)
    assert scene.fresh


def test_a_cached_404_is_right_until_the_object_is_there(scene: Scene) -> None:
    scene.cache(None)
    assert scene.seen().cache == "fresh"
    scene.objects.changed("acme-site", KEY, "e1")
    assert scene.seen().cache == "stale"


def test_bytes_of_an_object_that_is_gone_are_stale(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e1")
    scene.cache("e1")
    scene.objects.changed("acme-site", KEY, None)
    assert (scene.seen().cache, scene.fresh) == ("stale", False)


def test_the_same_bytes_again_are_fresh(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e1")
    scene.cache("e1")
    scene.objects.changed("acme-site", KEY, "e1")
    assert (scene.seen().cache, scene.seen().version) == ("fresh", 2)


def test_a_change_that_did_not_happen_leaves_the_version_before(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e1")
    scene.cache("e1")
    scene.objects.changed("acme-site", KEY, "e2")
    scene.objects.forget("acme-site", KEY)
    assert (scene.seen().cache, scene.objects.next_version("acme-site", KEY)) == ("fresh", 2)


def test_what_no_url_leads_to_can_not_be_told(scene: Scene) -> None:
    assert scene.edges.is_fresh("www", "acme-site", "elsewhere.html") is None


def test_a_place_that_ignores_purges_keeps_what_it_has_though_all_is_accepted(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e2")
    scene.edges.fault("www", "ignore")
    assert scene.cdn.cached(URL) is None
    scene.cache("e1")
    edge = scene.cdn.edge
    key = edge.cache_key(Url.parse(URL))
    done = [edge.purge_key(key), edge.purge_key(key, soft=True), edge.purge_where(lambda _: True),
            edge.purge_where(lambda _: True, soft=True)]  # fmt: skip
    assert done == [1, 1, 1, 1]
    assert scene.seen().cache == "stale"
    scene.edges.fault("www", "none")
    assert scene.seen().cache == "stale", "what was ignored is lost"
    edge.purge_key(key)
    assert scene.seen().cache == "none"


def test_a_slow_vendor_drops_what_it_has_later_than_it_accepts(scene: Scene) -> None:
    scene.objects.changed("acme-site", KEY, "e2")
    scene.edges.fault("www", "slow")
    assert scene.cdn.cached(URL) is None
    scene.cache("e1")
    scene.cdn.edge.purge_key(scene.cdn.edge.cache_key(Url.parse(URL)))
    scene.clock.advance(7)
    assert scene.seen().cache == "stale"
    scene.clock.advance(2)
    assert scene.seen().cache == "none"
    scene.edges.fault("www", "none")
    scene.cache("e1")
    scene.cdn.edge.purge_key(scene.cdn.edge.cache_key(Url.parse(URL)))
    assert scene.seen().cache == "none"


@pytest.mark.parametrize(("fault", "status"), [("throttle", 429), ("outage", 503)])
def test_trouble_shows_at_the_api_until_it_is_switched_off(scene: Scene, fault: str, status: int) -> None:
    asked = Request("POST", "/service/x/purge_all")
    scene.edges.fault("www", fault)
    assert scene.cdn._answer(asked).status == status
    scene.edges.fault("www", "none")
    assert scene.cdn._answer(asked).status not in (429, 503)
    assert scene.cdn.tally.calls == 2


def test_one_trouble_takes_the_place_of_another(scene: Scene) -> None:
    scene.edges.fault("www", "ignore")
    scene.edges.fault("www", "outage")
    assert not scene.cdn.ignores_purges
    [provider] = scene.edges.states((), lambda _: "open", 0.0)
    assert (provider.fault, provider.breaker) == ("outage", "open")
    with pytest.raises(KeyError):
        scene.edges.fault("www", "flood")


def test_calls_count_for_ever_and_are_kept_for_a_while(scene: Scene) -> None:
    for _ in range(1100):
        scene.cdn._record(Request("POST", "/x"))
    scene.edges.trim()
    assert scene.cdn.calls == []
    [provider] = scene.edges.states((), lambda _: "closed", 0.0)
    assert provider.calls == 1100


def test_a_price_is_said_with_its_terms(scene: Scene) -> None:
    from multicdn.local.edges import _price
    from multicdn.provider import Price

    priced: Any = SimpleNamespace(price=Price(dollars=0.005, free=1000, page="https://example.com"))
    assert _price(priced, 20) == "up to $0.100 ($0.005 a target after the account's first 1,000 a month)"


def test_no_more_urls_are_shown_than_somebody_scrolls_through(scene: Scene) -> None:
    changed = [("acme-site", f"site/{number}.html", "created") for number in range(120)]
    [provider] = scene.edges.states(changed, lambda _: "closed", 0.0)
    assert len(provider.edge) == 100
    assert provider.edge[0].key == "site/0.html"
