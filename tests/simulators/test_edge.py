"""Origin, cache and edge: old bytes are served until they are purged, and not a request longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multicdn.simulators import Edge, Headers, ManualClock, Origin, Request, Response, Url
from multicdn.simulators.kit.cache import Cache, Entry, cache_control, time_to_live

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "www.acme.com"


@pytest.fixture
def edge(origin: Origin, clock: ManualClock) -> Iterator[Edge]:
    made = Edge(origin.url, clock=clock, ttl=100, negative_ttl=10)
    yield made
    made.close()


def get(
    edge: Edge, target: str, scheme: str = "https", host: str = HOST, method: str = "GET"
) -> tuple[str, int, bytes]:
    response = edge.handle(Request(method, target, Headers({"Host": host, "X-Forwarded-Proto": scheme})))
    return response.headers.get("X-Cache", ""), response.status, response.body


def key(target: str) -> str:
    return f"https://{HOST}{target}"


def test_old_bytes_are_served_until_the_purge(origin: Origin, edge: Edge) -> None:
    origin.put("a", "old")
    assert get(edge, "/a") == ("MISS", 200, b"old")
    origin.put("a", "new")
    assert get(edge, "/a") == ("HIT", 200, b"old")
    assert edge.cache.drop(key("/a")) == 1
    assert get(edge, "/a") == ("MISS", 200, b"new")
    assert edge.cache.drop(key("/other")) == 0


def test_removed_object_is_served_until_the_purge_and_then_its_404_is_cached(
    origin: Origin, edge: Edge, clock: ManualClock
) -> None:
    origin.put("a", "old")
    get(edge, "/a")
    origin.remove("a")
    assert get(edge, "/a") == ("HIT", 200, b"old")
    edge.cache.drop(key("/a"))
    assert get(edge, "/a")[:2] == ("MISS", 404)
    origin.put("a", "back")
    assert get(edge, "/a")[:2] == ("HIT", 404)
    clock.advance(11)
    assert get(edge, "/a") == ("MISS", 200, b"back")


def test_negative_caching_can_be_off(origin: Origin, clock: ManualClock) -> None:
    edge = Edge(origin.url, clock=clock, negative_ttl=0)
    assert [get(edge, "/a")[0] for _ in range(2)] == ["MISS", "MISS"]
    edge.close()


def test_age_grows_and_the_lifetime_ends(origin: Origin, edge: Edge, clock: ManualClock) -> None:
    origin.put("a", "old", {"Cache-Control": "max-age=60"})
    get(edge, "/a")
    clock.advance(59)
    response = edge.handle(Request("GET", "/a", Headers({"Host": HOST})))
    assert (response.headers["X-Cache"], response.headers["Age"]) == ("HIT", "59")
    origin.put("a", "new", {"Cache-Control": "max-age=60"})
    clock.advance(1)
    assert get(edge, "/a") == ("MISS", 200, b"new")


def test_expired_entry_is_revalidated_with_its_etag(origin: Origin, edge: Edge) -> None:
    origin.put("a", "same")
    get(edge, "/a")
    edge.cache.expire(key("/a"), edge.clock())
    assert get(edge, "/a") == ("REVALIDATED", 200, b"same")
    assert "If-None-Match" in origin.requests[-1].headers
    assert get(edge, "/a")[0] == "HIT"


def test_revalidated_entry_takes_the_new_headers(origin: Origin, edge: Edge, clock: ManualClock) -> None:
    origin.put("a", "same", {"Cache-Control": "max-age=60"})
    get(edge, "/a")
    origin.put("a", "same", {"Cache-Control": "max-age=5"})
    edge.cache.expire(key("/a"), clock())
    get(edge, "/a")
    clock.advance(5)
    assert get(edge, "/a")[0] == "REVALIDATED"


def test_soft_purged_entry_is_replaced_if_the_origin_changed(origin: Origin, edge: Edge) -> None:
    origin.put("a", "old")
    get(edge, "/a")
    origin.put("a", "new")
    edge.cache.expire(key("/a"), edge.clock())
    assert get(edge, "/a") == ("MISS", 200, b"new")


def test_stale_is_served_once_within_the_grace(origin: Origin, edge: Edge, clock: ManualClock) -> None:
    headers = {"Cache-Control": "max-age=60, stale-while-revalidate=30"}
    origin.put("a", "old", headers)
    get(edge, "/a")
    origin.put("a", "new", headers)
    edge.cache.expire(key("/a"), clock())
    clock.advance(29)
    assert get(edge, "/a") == ("STALE", 200, b"old")
    assert get(edge, "/a") == ("HIT", 200, b"new")


def test_stale_is_not_served_after_the_grace(origin: Origin, edge: Edge, clock: ManualClock) -> None:
    origin.put("a", "old", {"Cache-Control": "max-age=60, stale-while-revalidate=30"})
    get(edge, "/a")
    origin.put("a", "new")
    clock.advance(90)
    assert get(edge, "/a") == ("MISS", 200, b"new")


@pytest.mark.parametrize("control", ["private", "no-store", "max-age=0"])
def test_uncacheable_answer_is_not_kept_nor_the_stale_one_before_it(
    origin: Origin, edge: Edge, clock: ManualClock, control: str
) -> None:
    origin.put("a", "old", {"Cache-Control": "max-age=60, stale-while-revalidate=600"})
    get(edge, "/a")
    origin.put("a", "new", {"Cache-Control": control})
    edge.cache.expire(key("/a"), clock())
    assert get(edge, "/a") == ("STALE", 200, b"old")
    assert [get(edge, "/a") for _ in range(2)] == [("MISS", 200, b"new")] * 2


def test_stopped_origin_gives_502_for_a_miss_and_hits_go_on(origin: Origin, edge: Edge) -> None:
    origin.put("a", "old")
    get(edge, "/a")
    origin.stop()
    assert get(edge, "/a") == ("HIT", 200, b"old")
    assert get(edge, "/b")[:2] == ("ERROR", 502)


@pytest.mark.parametrize("other", ["/a?x=1", "/a?", "/A", "//a", "/a/"])
def test_urls_that_differ_in_a_byte_are_kept_apart(origin: Origin, edge: Edge, other: str) -> None:
    origin.put("a", "old")
    assert get(edge, "/a")[0] == "MISS"
    assert get(edge, other)[0] == "MISS"
    edge.cache.drop(key(other))
    assert get(edge, "/a")[0] == "HIT"


def test_scheme_and_host_are_part_of_the_default_key(origin: Origin, edge: Edge) -> None:
    origin.put("a", "old")
    seen = [get(edge, "/a")[0], get(edge, "/a", scheme="http")[0], get(edge, "/a", host="acme.com")[0]]
    assert seen == ["MISS", "MISS", "MISS"]


def test_head_fills_the_cache_and_other_methods_are_refused(origin: Origin, edge: Edge) -> None:
    origin.put("a", "old")
    assert get(edge, "/a", method="HEAD")[0] == "MISS"
    assert get(edge, "/a")[0] == "HIT"
    assert get(edge, "/a", method="PUT")[1] == 405


def test_target_without_a_slash_or_with_raw_bytes_is_refused(edge: Edge) -> None:
    assert [get(edge, target)[1] for target in ("*", "/\xe9")] == [400, 400]


def test_origin_with_a_path_gets_it_before_the_raw_target(origin: Origin, clock: ManualClock) -> None:
    origin.put("bucket/a//b c", "deep")
    edge = Edge(origin.url + "/bucket", clock=clock)
    assert get(edge, "/a//b%20c") == ("MISS", 200, b"deep")
    assert origin.requests[-1].target == "/bucket/a//b%20c"
    edge.close()


def test_answer_fetched_before_a_purge_is_not_kept_after_it(origin: Origin, clock: ManualClock) -> None:
    class PurgedMeanwhile(Edge):
        def ttl(self, status: int, headers: Headers) -> float:
            self.cache.drop(key("/a"))
            return super().ttl(status, headers)

    origin.put("a", "old")
    edge = PurgedMeanwhile(origin.url, clock=clock)
    assert get(edge, "/a") == ("MISS", 200, b"old")
    assert len(edge.cache) == 0
    edge.close()


@pytest.mark.parametrize(
    ("target", "stored"),
    [
        ("/a%20b%2Bc", "a b+c"),
        ("/a+b", "a+b"),
        ("/%E4%B8%AD", "中"),
        ("/%2525", "%25"),
        ("/a%2Fb", "a/b"),
        ("/a?x", "a"),
        ("//a", "/a"),
    ],
)
def test_origin_decodes_the_path_once(origin: Origin, edge: Edge, target: str, stored: str) -> None:
    origin.put(stored, "here")
    assert get(edge, target)[1:] == (200, b"here")


def test_origin_decodes_plus_as_s3_does_and_appends_an_index_if_told_to(clock: ManualClock) -> None:
    with Origin(plus_is_space=True, index="index.html") as origin:
        origin.put("a b", "space")
        origin.put("docs/index.html", "index")
        edge = Edge(origin.url, clock=clock)
        assert [get(edge, target)[2] for target in ("/a+b", "/docs/")] == [b"space", b"index"]
        edge.close()


def test_origin_refuses_writes(origin: Origin, edge: Edge) -> None:
    answer = edge._origin.send("DELETE", "/a", {})
    assert answer.status == 405


def entry(name: str, *tags: str) -> Entry:
    return Entry(name, Url("https", HOST, f"/{name}"), 200, Headers(), b"", 0.0, 50.0, frozenset(tags))


def test_cache_drops_and_expires_what_matches_and_counts_it() -> None:
    cache = Cache()
    for made in (entry("a", "t"), entry("b", "t", "u"), entry("c")):
        assert cache.store(made, cache.purges)
    assert cache.expire_where(lambda found: "u" in found.tags, now=7.0) == 1
    assert [found.key for found in cache.entries if found.is_stale(7.0)] == ["b"]
    assert cache.expire("absent", 7.0) == 0
    assert cache.drop_where(lambda found: "t" in found.tags) == 2
    assert [found.key for found in cache.entries] == ["c"]
    assert cache.get("a") is None


def test_expiring_never_prolongs_a_life() -> None:
    cache = Cache()
    cache.store(entry("a"), cache.purges)
    cache.expire("a", now=80.0)
    assert cache.entries[0].fresh_until == 50.0


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("max-age=60", 60),
        ("Max-Age=60, s-maxage=5", 5),
        ('max-age="30"', 30),
        ("public", 9),
        ("private, max-age=60", 0),
        ("no-store", 0),
        ("", 9),
    ],
)
def test_lifetime_is_read_from_cache_control(control: str, seconds: float) -> None:
    assert time_to_live({"Cache-Control": control}, 9) == seconds


def test_directives_without_a_number_have_zero() -> None:
    assert cache_control({"Cache-Control": "Public, max-age=5"}) == {"public": 0, "max-age": 5}


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("HTTPS://WWW.Acme.com/A%20b?x#y", Url("https", "www.acme.com", "/A%20b?x")),
        ("http://a:81", Url("http", "a:81", "/")),
        ("https://a?x=1", Url("https", "a", "/?x=1")),
        ("https://a//b/../c", Url("https", "a", "//b/../c")),
    ],
)
def test_url_keeps_its_target_raw(text: str, url: Url) -> None:
    assert Url.parse(text) == url


@pytest.mark.parametrize("text", ["", "/a", "www.acme.com/a", "ftp://a/b", "https:///a"])
def test_url_that_is_not_absolute_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an absolute URL"):
        Url.parse(text)


def test_visible_headers_can_be_fewer_than_those_stored(origin: Origin, clock: ManualClock) -> None:
    class Shy(Edge):
        def visible(self, headers: Headers) -> dict[str, str]:
            return {name: value for name, value in headers.items() if name != "X-Tag"}

    origin.put("a", "old", {"X-Tag": "t", "X-Seen": "s"})
    edge = Shy(origin.url, clock=clock)
    response: Response = edge.handle(Request("GET", "/a", Headers({"Host": HOST})))
    assert "X-Tag" not in response.headers
    assert response.headers["X-Seen"] == "s"
    assert edge.cache.entries[0].headers["X-Tag"] == "t"
    edge.close()
