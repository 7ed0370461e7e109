"""What edges do to answers: packed, other pictures, without a tag, under keys that purges don't know."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from multicdn.simulators import Edge, Headers, ManualClock, Origin, Request, Response, Topology, Transforms
from multicdn.simulators.kit.transforms import conditional

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "www.acme.com"
GZIP = {"Accept-Encoding": "br;q=1.0, gzip;q=0.8"}
TAG = '"acbd18db4cc2f85cedef654fccc4a4d8"'  # MD5 of foo


@pytest.fixture
def edge(origin: Origin, clock: ManualClock) -> Iterator[Edge]:
    made = Edge(origin.url, clock=clock)
    made.join(Topology())
    yield made
    made.close()


def get(edge: Edge, target: str = "/a", **headers: str) -> Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return edge.handle(Request("GET", target, Headers({"Host": HOST, **fields})))


@pytest.mark.parametrize(
    ("form", "tag"),
    [("weak", f"W/{TAG}"), ("suffix", f'{TAG[:-1]}-gzip"')],
)
def test_compression_has_its_own_tag_and_cache_entry(origin: Origin, edge: Edge, form: str, tag: str) -> None:
    edge.topology.transforms.compression = form  # type: ignore[assignment]
    origin.put("a", "foo")
    packed, plain = get(edge, **GZIP), get(edge)
    assert (packed.headers["ETag"], packed.headers["Content-Encoding"]) == (tag, "gzip")
    assert gzip.decompress(packed.body) == b"foo"
    assert packed.body[4:8] == bytes(4), "the same bytes at any time"
    assert get(edge, If_None_Match=tag, **GZIP).status == 304
    assert (plain.headers["ETag"], plain.body) == (TAG, b"foo")
    assert "Content-Encoding" not in plain.headers
    assert [answer.headers["X-Cache"] for answer in (packed, plain)] == ["MISS", "MISS"]
    assert packed.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert [get(edge, **GZIP).headers["X-Cache"], get(edge).headers["X-Cache"]] == ["HIT", "HIT"]
    assert edge.purge_key(f"https://{HOST}/a") == 2, "a purge drops both"
    assert len(edge.cache) == 0


def test_packed_entry_is_revalidated_with_the_origins_tag(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms.compression = "suffix"
    origin.put("a", "foo")
    get(edge, **GZIP)
    edge.purge_key(f"https://{HOST}/a", soft=True)
    assert get(edge, **GZIP).headers["X-Cache"] == "REVALIDATED"
    assert origin.requests[-1].headers["If-None-Match"] == TAG


@pytest.mark.parametrize("accepted", ["", "br", "gzip;q=0", "gzip; q=0.0, br", "x-gzip"])
def test_who_does_not_take_gzip_gets_it_plain(accepted: str) -> None:
    assert Transforms(compression="weak").encoding(Headers({"Accept-Encoding": accepted})) == ""


@pytest.mark.parametrize("accepted", ["gzip", "GZIP", "deflate,gzip", "br, gzip ; q=0.5", "*"])
def test_who_takes_gzip_gets_it(accepted: str) -> None:
    assert Transforms(compression="weak").encoding(Headers({"Accept-Encoding": accepted})) == "gzip"
    assert Transforms().encoding(Headers({"Accept-Encoding": accepted})) == ""


@pytest.mark.parametrize("headers", [{"Content-Type": "image/png"}, {"Content-Encoding": "br"}])
def test_what_is_packed_already_is_left(origin: Origin, edge: Edge, headers: dict[str, str]) -> None:
    edge.topology.transforms.compression = "weak"
    origin.put("a", "foo", headers)
    answer = get(edge, **GZIP)
    assert (answer.body, answer.headers["ETag"]) == (b"foo", TAG)


def test_errors_are_left(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms = Transforms(compression="weak", pictures=True)
    assert "Content-Encoding" not in get(edge, "/absent", **GZIP).headers


def test_pictures_are_others_and_say_so(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms.pictures = True
    origin.put("a", "foo", {"Content-Type": "image/png"})
    origin.put("b.svg", "foo", {"Content-Type": "image/svg+xml"})
    first = get(edge)
    assert (first.body == b"foo", first.headers["ETag"] == TAG) == (False, False)
    assert first.headers["X-Image-Transformed"].startswith("3 to ")
    assert (first.headers["Content-Type"], get(edge).body) == ("image/webp", first.body)
    assert get(edge, "/b.svg").body == b"foo"
    origin.put("a", "bar", {"Content-Type": "image/png"})
    edge.purge_key(f"https://{HOST}/a")
    assert get(edge).headers["ETag"] != first.headers["ETag"]


def test_the_tag_may_be_stripped(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms.strips_etag = True
    origin.put("a", "foo", {"x-amz-meta-write": "7"})
    answer = get(edge)
    assert "ETag" not in answer.headers
    assert (answer.headers["x-amz-meta-write"], "Last-Modified" in answer.headers) == ("7", True)


def test_a_header_in_the_key_keeps_a_variant_from_the_purge(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms.key_by = ("Cookie",)
    origin.put("a", "old")
    get(edge)
    assert get(edge, Cookie="ab=1").headers["Vary"] == "Cookie"
    origin.put("a", "new")
    assert edge.purge_key(f"https://{HOST}/a") == 1
    assert [get(edge).body, get(edge, Cookie="ab=1").body, get(edge, Cookie="ab=2").body] == [b"new", b"old", b"new"]
    edge.purge_where(lambda entry: entry.url.target == "/a")
    assert get(edge, Cookie="ab=1").body == b"new", "a wider purge reaches it"


def test_vary_names_each_header_once(origin: Origin, edge: Edge) -> None:
    edge.topology.transforms = Transforms(compression="weak", key_by=("Cookie", "accept-encoding"))
    origin.put("a", "foo", {"Vary": "Origin, cookie"})
    assert get(edge).headers["Vary"] == "Origin, cookie, Accept-Encoding"


@pytest.mark.parametrize(
    ("asked", "status"),
    [(TAG, 304), (f"W/{TAG}", 304), (f'"x", {TAG}', 304), ("*", 304), ('"x"', 200), (TAG[1:-1], 200), ("", 200)],
)
def test_a_client_that_has_it_gets_304(origin: Origin, edge: Edge, asked: str, status: int) -> None:
    origin.put("a", "foo", {"Content-Type": "text/plain"})
    answer = get(edge, If_None_Match=asked)
    assert (answer.status, answer.body) == ((304, b"") if status == 304 else (200, b"foo"))
    assert answer.headers["ETag"] == TAG
    assert ("Content-Type" in answer.headers) == (status == 200)


def test_only_what_is_there_can_be_had_already() -> None:
    assert conditional(Response(404, {"ETag": TAG}), TAG).status == 404
    assert conditional(Response(200), "*").status == 200


def test_the_origin_answers_as_s3_does(clock: ManualClock) -> None:
    clock.now = 1_800_000_000.0
    with Origin(versioned=True, missing=403, clock=clock) as origin:
        edge = Edge(origin.url, clock=clock, negative_ttl=0)
        origin.put("a", "foo", {"x-amz-meta-write": "7"})
        headers = get(edge).headers
        first = headers["x-amz-version-id"]
        assert (headers["ETag"], headers["x-amz-meta-write"]) == (TAG, "7")
        assert headers["Last-Modified"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        origin.put("a", "foo")
        stored = origin.stored("a")
        assert stored is not None
        assert (len(first), stored.version == first) == (32, False)
        assert get(edge, "/absent").status == 403
        origin.put("parts", "foo", {"ETag": '"d41d8cd98f00b204e9800998ecf8427e-2"'})
        assert get(edge, "/parts").headers["ETag"] == '"d41d8cd98f00b204e9800998ecf8427e-2"'
        edge.close()


def test_a_bucket_without_versions_names_none(origin: Origin, edge: Edge) -> None:
    origin.put("a", "foo")
    assert "x-amz-version-id" not in get(edge).headers
    assert origin.stored("absent") is None
