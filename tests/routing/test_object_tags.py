"""Cache tags from the objects' own metadata: real botocore, and an S3 of ours on the wire."""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kit.s3 import S3, batch

from multicdn import config
from multicdn.aws.s3 import ObjectError, Objects
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.errors import TargetsRefused
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.plugins.discovery import Plugins
from multicdn.routing import object_tags
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.simulators import Origin
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("as_bundled")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with S3(monkeypatch) as found:
        yield found


# Values


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("product-7", ("product-7",)),
        ("a,b", ("a", "b")),
        ("a b", ("a", "b")),
        (" a ,  b\tc,", ("a", "b", "c")),
        ("a,a b,a", ("a", "b")),
        ("", ()),
        (" , ", ()),
        ("Product:7/x", ("Product:7/x",)),
    ],
)
def test_tags_are_separated_by_commas_and_blanks(value: str, tags: tuple[str, ...]) -> None:
    assert object_tags.split(value) == tags


# Asking S3


def read_tags(wanted: set[tuple[str, str, str]], seconds: float = 10) -> object_tags.ObjectTags:
    return object_tags.read(wanted, partial(Objects().metadata, seconds=seconds))


@pytest.mark.slow
def test_each_object_is_asked_once_and_says_all_its_tags(s3: S3) -> None:
    s3.put("b/a.css", cache_tag="css, all", other="x")
    s3.put("b/größe +%.css", cache_tag="odd")
    s3.put("c/a.css")
    wanted = {("b", "a.css", "cache-tag"), ("b", "a.css", "other"), ("b", "größe +%.css", "cache-tag"),
              ("c", "a.css", "cache-tag")}  # fmt: skip
    found = read_tags(wanted)
    assert found.failed == {}
    assert found.tags == {
        ("b", "a.css", "cache-tag"): ("css", "all"),
        ("b", "a.css", "other"): ("x",),
        ("b", "größe +%.css", "cache-tag"): ("odd",),
    }
    assert sorted(request.method for request in s3.requests) == ["HEAD"] * 3


@pytest.mark.slow
def test_object_that_is_gone_by_now_has_no_tags_and_is_no_failure(s3: S3) -> None:
    assert read_tags({("b", "gone", "cache-tag")}) == object_tags.ObjectTags({}, {})


@pytest.mark.slow
def test_refusal_fails_its_object_only(s3: S3) -> None:
    s3.put("b/good", cache_tag="t")
    s3.statuses["b/bad"] = 403
    found = read_tags({("b", "good", "cache-tag"), ("b", "bad", "cache-tag")})
    assert found.tags == {("b", "good", "cache-tag"): ("t",)}
    reason = "403 Forbidden: it takes s3:GetObject, and s3:ListBucket to tell that an object is gone"
    assert found.failed == {("b", "bad"): f"HeadObject of s3://b/bad: {reason}"}


@pytest.mark.slow
def test_slow_object_fails_alone_when_the_time_is_over(s3: S3) -> None:
    s3.put("b/good", cache_tag="t")
    found = read_tags({("b", "good", "cache-tag"), ("b", "slow", "cache-tag")}, 1)
    assert found.tags == {("b", "good", "cache-tag"): ("t",)}
    assert found.failed == {("b", "slow"): "no time was left to read its metadata"}


@pytest.mark.slow
def test_nothing_wanted_asks_nobody_and_imports_nothing(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    assert read_tags(set()) == object_tags.ObjectTags({}, {})
    assert s3.requests == []


def test_without_botocore_every_object_fails_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    found = read_tags({("b", "a", "cache-tag")})
    assert found.failed == {("b", "a"): "S3 needs botocore: pip install 'multicdn[aws]'"}


# Counting


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "expected", "calls"), [(5, 5, 1), (100, 100, 1), (200, 150, 3), (151, 150, 3)])
def test_unchanged_objects_are_counted_as_far_as_asked(s3: S3, limit: int, expected: int, calls: int) -> None:
    s3.page = 100
    for number in range(150):
        s3.put(f"b/d/{number:04}", age=60)
        s3.put(f"b/d/new/{number:04}", age=10)
    s3.put("b/other", age=60)
    assert Objects().unchanged("b", "d/", limit) == expected
    assert len(s3.requests) == calls


@pytest.mark.slow
def test_what_would_take_too_long_to_list_is_not_counted(s3: S3) -> None:
    s3.page = 10
    for number in range(250):
        s3.put(f"b/d/{number:03}")
    assert Objects().unchanged("b", "d/", 5) == 0
    s3.put("b/d/one-more")
    assert Objects().unchanged("b", "d/", 5) is None
    assert len(s3.requests) == 50


@pytest.mark.slow
def test_listing_that_is_refused_says_so(s3: S3) -> None:
    s3.statuses["b"] = 403
    with pytest.raises(ObjectError, match=r"ListObjectsV2 of s3://b/d/: AccessDenied Access Denied"):
        Objects().unchanged("b", "d/", 10)


# Routing


def route(**members: Any) -> Route:
    return Route(**{"bucket": "b", "tags_from": "x-amz-meta-Cache-Tag", "purge": ("fastly",), **members})


def router(*routes: Route) -> Router:
    text = """
version: 1
providers: {fastly: {token: "${env:T}", service: s}}
routes: [{bucket: b, tags: [t], purge: [fastly]}]
"""
    return Router(routes, config.parse(text, "c.yml", Plugins()).providers)


@pytest.mark.parametrize(
    ("members", "change", "asked"),
    [
        ({}, Change("b", "k"), {("b", "k", "cache-tag")}),
        ({"tags_from": "surrogate"}, Change("b", "k"), {("b", "k", "surrogate")}),
        ({}, Change("b", "k", ChangeKind.REMOVED), set()),
        ({}, Change("stranger", "k"), set()),
        ({"prefix": "p/"}, Change("b", "k"), set()),
        ({"on": (ChangeKind.REMOVED,)}, Change("b", "k"), set()),
        ({"tags_from": ""}, Change("b", "k"), set()),
        ({"exclude": ("k",)}, Change("b", "k"), set()),
    ],
)
def test_only_created_objects_of_routes_that_want_it_are_asked(
    members: dict[str, Any], change: Change, asked: set[tuple[str, str, str]]
) -> None:
    assert router(route(**members)).tagged([change]) == asked


def test_tags_of_an_object_are_purged_by_the_routes_that_want_them() -> None:
    routes = route(tags=("{stem}",)), route(tags_from="other"), route(tags_from="", tags=("all",))
    tags = {("b", "k.x", "cache-tag"): ("t1", "t2"), ("b", "l", "cache-tag"): ("no",)}
    [demand], _ = router(*routes).demands([Change("b", "k.x")], tags)
    assert {target.value for target in demand.wants} == {"k", "t1", "t2", "all"}
    assert {target.kind for target in demand.wants} == {TargetKind.TAG}


# From the event to the edge

TEXT = """
version: 1
providers:
  fastly: {{endpoint: "{fastly}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
routes:
  - {{bucket: acme-site, tags_from: cache-tag, urls: ["https://www.acme.com/{{key}}"], purge: [fastly]}}
"""


@pytest.mark.slow
def test_tag_of_an_uploaded_object_drops_the_pages_that_carry_it(
    s3: S3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, logger="multicdn")
    with Origin() as origin, FastlySimulator(origin.url) as fastly:
        monkeypatch.setenv("FASTLY_TOKEN", fastly.token)
        loaded = config.parse(TEXT.format(fastly=fastly.endpoint), "c.yml", Plugins())
        dispatcher = Dispatcher(loaded, Plugins(), Delivery(loaded.providers, Terms(tries=2, base=0.01)))
        origin.put("shoes", "old", {"Surrogate-Key": "product-7", "Cache-Control": "max-age=600"})
        origin.put("product.json", "old", {"Cache-Control": "max-age=600"})
        origin.put("forbidden", "old", {"Cache-Control": "max-age=600"})
        for key in ("shoes", "product.json", "forbidden"):
            assert fastly.fetch(f"https://www.acme.com/{key}").body == b"old"
            origin.put(key, "new")
        s3.put("acme-site/product.json", cache_tag="product-7")
        s3.statuses["acme-site/forbidden"] = 403
        reply = dispatcher.dispatch(batch("product.json", "forbidden"), 30)
        assert reply == {"batchItemFailures": [{"itemIdentifier": "m-forbidden"}]}
        assert fastly.fetch("https://www.acme.com/shoes").body == b"new"
        assert fastly.fetch("https://www.acme.com/product.json").body == b"new"
        # What could be purged without its tags was.
        assert fastly.fetch("https://www.acme.com/forbidden").body == b"new"
    assert "HeadObject of s3://acme-site/forbidden: 403 Forbidden" in caplog.text


# One vocabulary in the spelling of four vendors, with the rules of each

PROVIDERS = """
version: 1
providers:
  cloudfront: {distribution: E1}
  cloudflare: {zone: 023e105f4ecef8ad9ca31a8372d0c353, token: "${env:T}"}
  fastly: {service: s, token: "${env:T}"}
  akamai: {edgerc: "${env:T}"}
routes: [{bucket: b, tags: [t], purge: [cloudfront, cloudflare, fastly, akamai]}]
"""
ALL = ("cloudfront", "cloudflare", "fastly", "akamai")


@pytest.mark.parametrize(
    ("tag", "takers"),
    [
        ("product-7", ALL),
        ("Product_7", ALL),
        ("a/b.c", ALL),
        ("a:b", ("cloudfront", "cloudflare", "fastly")),
        ("a@b", ("cloudfront", "cloudflare", "fastly")),
        ("a,b", ("fastly",)),
        ("a b", ()),
        ("a\tb", ()),
        ("größe", ("fastly",)),
        ("", ()),
        ("x" * 128, ALL),
        ("x" * 129, ("cloudfront", "cloudflare", "fastly")),
        ("x" * 256, ("cloudfront", "cloudflare", "fastly")),
        ("x" * 257, ("cloudflare", "fastly")),
        ("x" * 1024, ("cloudflare", "fastly")),
        ("x" * 1025, ()),
    ],
)
def test_tag_reaches_the_vendors_whose_objects_can_carry_it(tag: str, takers: tuple[str, ...]) -> None:
    found = []
    for name, provider in config.parse(PROVIDERS, "c.yml", Plugins()).providers.items():
        try:
            [spelled] = provider.locate(Target(TargetKind.TAG, tag), Action.PURGE)
        except TargetsRefused:
            continue
        longest = provider.tag_limits.target_bytes  # type: ignore[attr-defined]
        if longest is None or len(spelled.value.encode()) <= longest:
            assert spelled == Target(TargetKind.TAG, f"#{tag}" if name == "cloudfront" else tag)
            found.append(name)
    assert tuple(found) == takers


class _Odd:
    """A client of S3 whose answer has no metadata for one key, and breaks for another."""

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, object]:  # noqa: N803 - as boto3 has them
        if Key == "broken":
            raise KeyError("Metadata")
        return {"Metadata": {"Cache-Tag": "news"}} if Key == "good" else {}


def test_whatever_goes_wrong_with_one_object_costs_that_object_alone() -> None:
    objects = Objects()
    objects.__dict__["_client"] = _Odd()
    found, failed = objects.metadata([("b", "good"), ("b", "broken"), ("b", "none")], 5.0)
    assert found == {("b", "good"): {"cache-tag": "news"}, ("b", "none"): {}}
    assert failed == {("b", "broken"): "KeyError: 'Metadata'"}
