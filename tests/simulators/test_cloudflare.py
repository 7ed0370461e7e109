"""The simulated Cloudflare keeps to the vendor's contract: credentials, bodies, limits, and what a purge changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from multicdn.simulators import Url
from multicdn.simulators.cloudflare.api import CloudflareSimulator, Environment, Zone, page, refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import ManualClock, Origin
    from multicdn.simulators.cloudflare.edge import Normalization

ACME = Zone("acme.com")
SHOP = Zone("shop.example")
PAGE = "https://www.acme.com/a.css"
LIMITED = "token-limited-to-one-zone"


@pytest.fixture
def cdn(origin: Origin, clock: ManualClock) -> Iterator[CloudflareSimulator]:
    tokens = {LIMITED: ["shop.example"]}
    with CloudflareSimulator(origin.url, zones=(ACME, SHOP), limited_tokens=tokens, clock=clock) as running:
        yield running


def call(
    cdn: CloudflareSimulator,
    body: object = None,
    *,
    path: str = f"/zones/{ACME.id}/purge_cache",
    method: str = "POST",
    headers: dict[str, str] | None = None,
) -> requests.Response:
    credentials = {"Authorization": f"Bearer {cdn.token}"} if headers is None else headers
    return requests.request(method, cdn.endpoint + path, json=body, headers=credentials, timeout=5)


def purge(cdn: CloudflareSimulator, zone: Zone = ACME, *, operation: str = "purge_cache", **selector: object) -> None:
    answer = call(cdn, selector, path=f"/zones/{zone.id}/{operation}")
    assert answer.json()["success"] is True, answer.text


def error_of(answer: requests.Response) -> tuple[int, int]:
    envelope = answer.json()
    assert envelope["success"] is False
    assert envelope["result"] is None
    return answer.status_code, envelope["errors"][0]["code"]


def status_of(cdn: CloudflareSimulator, url: str = PAGE, **headers: str) -> str:
    fetched = cdn.fetch(url, {name.replace("_", "-"): value for name, value in headers.items()})
    return fetched.headers["CF-Cache-Status"]


def test_success_has_the_envelope_and_an_id_of_32_hexadecimal_digits(cdn: CloudflareSimulator) -> None:
    answer = call(cdn, {"files": [PAGE]})
    envelope = answer.json()
    assert answer.status_code == 200
    assert (envelope["success"], envelope["errors"], envelope["messages"]) == (True, [], [])
    assert len(bytes.fromhex(envelope["result"]["id"])) == 16


KEY = "5151515151515151515151515151515151515"


@pytest.mark.parametrize(
    ("headers", "expected", "chained"),
    [
        ({}, (401, 10000), None),
        ({"Authorization": "Bearer of-another-account"}, (401, 10000), None),
        ({"Authorization": "Bearer two words"}, (400, 6003), 6111),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, (400, 6003), 6111),
        ({"Authorization": f"Bearer {LIMITED}"}, (403, 10000), None),
        ({"X-Auth-Email": "ops@acme.com", "X-Auth-Key": "short"}, (400, 6003), 6103),
        ({"X-Auth-Email": "nobody", "X-Auth-Key": KEY}, (400, 6003), 6102),
        ({"X-Auth-Email": "other@acme.com", "X-Auth-Key": KEY}, (401, 10000), None),
    ],
)
def test_refuses_credentials(
    cdn: CloudflareSimulator, headers: dict[str, str], expected: tuple[int, int], chained: int | None
) -> None:
    answer = call(cdn, {"files": [PAGE]}, headers=headers)
    assert error_of(answer) == expected
    chain = answer.json()["errors"][0].get("error_chain", [{"code": None}])
    assert chain[0]["code"] == chained


@pytest.mark.parametrize(
    ("headers", "zone"),
    [
        ({"X-Auth-Email": "ops@acme.com", "X-Auth-Key": KEY}, ACME),
        ({"Authorization": f"Bearer {LIMITED}"}, SHOP),
    ],
)
def test_accepts_a_legacy_key_and_a_token_of_the_zone(
    cdn: CloudflareSimulator, headers: dict[str, str], zone: Zone
) -> None:
    answer = call(cdn, {"purge_everything": True}, path=f"/zones/{zone.id}/purge_cache", headers=headers)
    assert answer.json()["success"] is True
    assert cdn.violations == []


def test_records_a_token_that_arrives_together_with_a_key(cdn: CloudflareSimulator) -> None:
    call(cdn, {"files": [PAGE]}, headers={"Authorization": f"Bearer {cdn.token}", "X-Auth-Email": "a@b.example"})
    assert len(cdn.violations) == 1


def test_the_record_of_calls_shows_no_credentials(cdn: CloudflareSimulator) -> None:
    call(cdn, {"files": [PAGE, PAGE]}, headers={"X-Auth-Email": "ops@acme.com", "X-Auth-Key": KEY})
    call(cdn, {"tags": ["a", "b", "c"]})
    assert [made.items for made in cdn.calls] == [2, 3]
    shown = repr(cdn.calls)
    assert not [secret for secret in (KEY, "ops@acme.com", cdn.token) if secret in shown]


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", f"/zones/{'0' * 32}/purge_cache", (404, 7003)),
        ("POST", "/zones/acme.com/purge_cache", (400, 7003)),
        ("POST", f"/zones/{ACME.id}/environments/staging/purge_cache", (404, 7003)),
        ("POST", f"/zones/{ACME.id}/purge", (404, 7000)),
        ("GET", f"/zones/{ACME.id}/purge_cache", (404, 7000)),
        ("DELETE", f"/zones/{ACME.id}/invalidate_cache", (404, 7000)),
    ],
)
def test_refuses_unknown_zones_environments_and_routes(
    cdn: CloudflareSimulator, method: str, path: str, expected: tuple[int, int]
) -> None:
    assert error_of(call(cdn, {"purge_everything": True}, path=path, method=method)) == expected


def test_old_clients_may_purge_with_delete(cdn: CloudflareSimulator) -> None:
    assert call(cdn, {"files": [PAGE]}, method="DELETE").json()["success"] is True


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([], None),
        ({}, 1012),
        ({"files": [PAGE], "tags": ["a"]}, 1012),
        ({"purge_everything": False}, 1013),
        ({"purge_everything": True, "note": "x"}, 1013),
        ({"files": []}, 1014),
        ({"files": PAGE}, 1014),
        ({"files": ["https://www.other.example/a"]}, 1082),
        ({"files": ["https://notacme.com/a"]}, 1082),
        ({"files": ["/a.css"]}, 1082),
        ({"files": ["www.acme.com/a.css"]}, 1082),
        ({"files": [PAGE, {"headers": {"Origin": "https://a.example"}}]}, 1082),
        ({"tags": ["two words"]}, None),
        ({"tags": ["ü"]}, None),
        ({"tags": [""]}, None),
        ({"tags": ["t" * 1025]}, None),
        ({"hosts": ["https://www.acme.com"]}, None),
        ({"hosts": ["www.acme.com/a"]}, None),
        ({"hosts": ["www.other.example"]}, None),
        ({"prefixes": ["https://www.acme.com/a/"]}, None),
        ({"prefixes": ["www.acme.com/a?b"]}, None),
        ({"prefixes": ["www.acme.com/a#b"]}, None),
        ({"prefixes": ["www.other.example/a"]}, None),
        ({"prefixes": ["www.acme.com" + "/a" * 32]}, None),
    ],
)
def test_refuses_a_wrong_body_and_purges_nothing(
    cdn: CloudflareSimulator, origin: Origin, body: object, code: int | None
) -> None:
    origin.put("a.css", "old")
    cdn.fetch(PAGE)
    status, given = error_of(call(cdn, body))
    assert status == 400
    assert given == (code or given)
    assert status_of(cdn) == "HIT"


@pytest.mark.parametrize(
    ("plan", "kind", "most"),
    [("free", "files", 100), ("enterprise", "files", 500), ("free", "tags", 100), ("enterprise", "tags", 100)],
)
def test_takes_as_many_items_as_the_plan_allows(origin: Origin, plan: str, kind: str, most: int) -> None:
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", plan=plan),)) as cdn:
        items = [f"{PAGE}?{n}" if kind == "files" else f"tag-{n}" for n in range(most + 1)]
        assert call(cdn, {kind: items[:most]}).status_code == 200
        assert call(cdn, {kind: items}).status_code == 400


def test_can_enforce_the_old_limit_of_thirty(origin: Origin) -> None:
    with CloudflareSimulator(origin.url, most_items=30) as cdn:
        assert call(cdn, {"files": [PAGE] * 30}).status_code == 200
        assert call(cdn, {"files": [PAGE] * 31}).status_code == 400


def test_the_free_plan_has_a_bucket_of_25_calls_and_5_more_a_minute(
    cdn: CloudflareSimulator, clock: ManualClock
) -> None:
    for _ in range(25):
        purge(cdn, tags=["a"])
    refused = call(cdn, {"prefixes": ["www.acme.com/a/"]}, path=f"/zones/{ACME.id}/invalidate_cache")
    assert error_of(refused) == (429, 971)
    assert refused.headers["Retry-After"] == "12"
    clock.advance(12)
    purge(cdn, hosts=["www.acme.com"])
    assert error_of(call(cdn, {"tags": ["a"]})) == (429, 971)


def test_urls_have_a_pace_of_their_own(cdn: CloudflareSimulator, clock: ManualClock) -> None:
    for _ in range(8):
        purge(cdn, files=[PAGE] * 100)
    assert error_of(call(cdn, {"files": [PAGE]})) == (429, 971)
    purge(cdn, tags=["a"])
    clock.advance(1)
    purge(cdn, files=[PAGE] * 100)


def test_zones_of_an_account_share_the_limits_of_their_plan(origin: Origin, clock: ManualClock) -> None:
    zones = (ACME, SHOP, Zone("pro.example", plan="pro"), Zone("other.example", account="other"))
    with CloudflareSimulator(origin.url, zones=zones, clock=clock) as cdn:
        for _ in range(25):
            purge(cdn, purge_everything=True)
        answers = [call(cdn, {"tags": ["a"]}, path=f"/zones/{zone.id}/purge_cache").status_code for zone in zones]
        assert answers == [429, 429, 200, 200]


def test_limits_can_be_switched_off(origin: Origin) -> None:
    with CloudflareSimulator(origin.url, limits=False) as cdn:
        assert {call(cdn, {"tags": ["a"]}).status_code for _ in range(30)} == {200}


SELECTORS: list[dict[str, Any]] = [
    {"files": [PAGE]},
    {"files": ["https://WWW.Acme.com/a.css"]},
    {"files": [{"url": PAGE, "headers": {}}]},
    {"tags": ["CSS"]},
    {"hosts": ["www.acme.com"]},
    {"prefixes": ["www.acme.com/a"]},
    {"purge_everything": True},
]


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize(
    ("operation", "changed", "expected"),
    [
        ("purge_cache", True, ("MISS", b"new")),
        ("purge_cache", False, ("MISS", b"old")),
        ("invalidate_cache", True, ("EXPIRED", b"new")),
        ("invalidate_cache", False, ("REVALIDATED", b"old")),
    ],
)
def test_serves_old_bytes_until_told_to_stop(
    cdn: CloudflareSimulator,
    origin: Origin,
    selector: dict[str, Any],
    operation: str,
    changed: bool,
    expected: tuple[str, bytes],
) -> None:
    origin.put("a.css", "old", {"Cache-Tag": "x, ,css,y"})
    assert [status_of(cdn), status_of(cdn)] == ["MISS", "HIT"]
    if changed:
        origin.put("a.css", "new", {"Cache-Tag": "css"})
    assert cdn.fetch(PAGE).body == b"old"
    purge(cdn, operation=operation, **selector)
    fetched = cdn.fetch(PAGE)
    assert (fetched.headers["CF-Cache-Status"], fetched.body) == expected
    assert "Cache-Tag" not in fetched.headers
    assert status_of(cdn) == "HIT"


@pytest.mark.parametrize(
    "selector",
    [
        {"files": ["http://www.acme.com/a.css"]},
        {"files": [f"{PAGE}?v=1"]},
        {"files": ["https://acme.com/a.css"]},
        {"files": ["https://www.acme.com/A.css"]},
        {"files": ["https://www.acme.com/a%2Ecss"]},
        {"files": ["https://www.acme.com/*"]},
        {"tags": ["cs"]},
        {"hosts": ["acme.com"]},
        {"prefixes": ["www.acme.com/A"]},
        {"prefixes": ["www.acme.com/a.css/"]},
    ],
)
def test_a_purge_of_something_else_leaves_the_page(
    cdn: CloudflareSimulator, origin: Origin, selector: dict[str, Any]
) -> None:
    origin.put("a.css", "old", {"Cache-Tag": "css"})
    cdn.fetch(PAGE)
    purge(cdn, **selector)
    assert status_of(cdn) == "HIT"


def test_a_prefix_has_any_query_and_no_other_zone(cdn: CloudflareSimulator, origin: Origin) -> None:
    origin.put("blog/1", "x", {"Cache-Tag": "t"})
    urls = ["https://www.acme.com/blog/1", "https://www.acme.com/blog/1?p=2", "https://shop.example/blog/1"]
    for url in urls:
        cdn.fetch(url)
    purge(cdn, prefixes=["WWW.acme.com/blog/"])
    assert [status_of(cdn, url) for url in urls] == ["MISS", "MISS", "HIT"]
    purge(cdn, tags=["t"])
    purge(cdn, purge_everything=True)
    assert status_of(cdn, urls[2]) == "HIT"


def test_headers_in_the_cache_key_make_variants_of_their_own(origin: Origin) -> None:
    origin.put("a.css", "old")
    with CloudflareSimulator(origin.url, key_headers=["CF-Device-Type"]) as cdn:
        variants = [{}, {"Origin": "https://o.example"}, {"CF_Device_Type": "mobile"}]
        assert [status_of(cdn, **variant) for variant in variants] == ["MISS"] * 3
        purge(cdn, files=[PAGE])
        assert [status_of(cdn, **variant) for variant in variants] == ["MISS", "HIT", "HIT"]
        purge(cdn, files=[{"url": PAGE, "headers": {"cf-device-type": "mobile"}}])
        assert [status_of(cdn, **variant) for variant in variants] == ["HIT", "HIT", "MISS"]
        purge(cdn, prefixes=["www.acme.com/"])
        assert [status_of(cdn, **variant) for variant in variants] == ["MISS"] * 3


@pytest.mark.parametrize(
    ("normalization", "paths", "objects"),
    [
        ("cloudflare", ["/caf%C3%A9", "/caf%c3%a9", "/c%61f%C3%A9", "//caf%C3%A9", "\\caf%C3%A9"], 1),
        ("rfc3986", ["/a%5Cb", "/a%5cb", "/a\\b", "//a%5Cb"], 1),
        ("rfc3986", ["/a|", "/a%7C", "/a%7c"], 1),
        ("off", ["/a|", "/a%7C", "/a%7c", "//a|"], 3),
        ("cloudflare", ["/[1]", "/%5B1%5D", "/[1%5d", "/%5b1%5d"], 3),
        ("cloudflare", ["/a?b=%7c", "/a?b=|", "/%61?b=|"], 2),
    ],
)
def test_the_cache_sees_normalized_urls(
    origin: Origin, normalization: Normalization, paths: list[str], objects: int
) -> None:
    with CloudflareSimulator(origin.url, normalization=normalization) as cdn:
        edge = cdn.edge
        assert len({edge.cache_key(Url("https", "www.acme.com", path)) for path in paths}) == objects


def test_what_is_purged_is_compared_with_what_the_cache_sees(cdn: CloudflareSimulator, origin: Origin) -> None:
    origin.put("a|b", "x", {"Cache-Control": "max-age=3600"})
    sent, seen = "https://www.acme.com/a|b", "https://www.acme.com/a%7Cb"
    assert [status_of(cdn, sent), status_of(cdn, seen)] == ["MISS", "HIT"]
    purge(cdn, files=[sent])
    assert status_of(cdn, sent) == "HIT"
    purge(cdn, files=[seen])
    assert status_of(cdn, sent) == "MISS"
    purge(cdn, prefixes=["www.acme.com/a%7C"])
    assert status_of(cdn, sent) == "MISS"


def test_stale_windows_count_from_the_invalidation(
    cdn: CloudflareSimulator, origin: Origin, clock: ManualClock
) -> None:
    origin.put("a.css", "old", {"Cache-Control": "max-age=600, stale-while-revalidate=30"})
    cdn.fetch(PAGE)
    clock.advance(300)
    origin.put("a.css", "new")
    purge(cdn, files=[PAGE], operation="invalidate_cache")
    clock.advance(29)
    updating = cdn.fetch(PAGE)
    assert (updating.headers["CF-Cache-Status"], updating.body) == ("UPDATING", b"old")
    assert cdn.fetch(PAGE).body == b"new"


def test_a_stale_answer_replaces_an_error_for_as_long_as_the_origin_allowed(origin: Origin, clock: ManualClock) -> None:
    origin.put("a.css", "old", {"Cache-Control": "max-age=600, stale-if-error=30"})
    with CloudflareSimulator(origin.url, clock=clock) as cdn:
        cdn.fetch(PAGE)
        purge(cdn, files=[PAGE], operation="invalidate_cache")
        origin.stop()
        clock.advance(29)
        kept = cdn.fetch(PAGE)
        assert (kept.status, kept.headers["CF-Cache-Status"], kept.body) == (200, "STALE", b"old")
        clock.advance(1)
        assert cdn.fetch(PAGE).status == 502


def test_a_missing_page_is_remembered_for_three_minutes(
    cdn: CloudflareSimulator, origin: Origin, clock: ManualClock
) -> None:
    assert cdn.fetch(PAGE).status == 404
    origin.put("a.css", "new")
    clock.advance(179)
    assert cdn.fetch(PAGE).status == 404
    clock.advance(1)
    assert cdn.fetch(PAGE).status == 200


def test_what_may_not_be_cached_bypasses_the_cache(cdn: CloudflareSimulator, origin: Origin) -> None:
    origin.put("a.css", "x", {"Cache-Control": "no-store"})
    assert [status_of(cdn), status_of(cdn)] == ["BYPASS", "BYPASS"]


STAGING = Environment("5d41402abc4b2a76b9719d911017c592", "Host", "staging.acme.com")
ABROAD = Environment("7d793037a0760186574b0282f2f435e7", "CF-IPCountry", "ES")
VERSIONED = Zone("acme.com", plan="enterprise", environments=(STAGING, ABROAD))


@pytest.fixture
def versioned(origin: Origin) -> Iterator[CloudflareSimulator]:
    origin.put("a.css", "old")
    with CloudflareSimulator(origin.url, zones=(VERSIONED,)) as running:
        for _ in range(2):
            environments(running)
        yield running


def environments(cdn: CloudflareSimulator) -> list[str]:
    """How production, staging and abroad answer."""
    staging = status_of(cdn, "https://staging.acme.com/a.css")
    return [status_of(cdn), staging, status_of(cdn, CF_IPCountry="ES")]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("", ["MISS", "MISS", "MISS"]),
        (f"/environments/{STAGING.ref}", ["HIT", "MISS", "HIT"]),
        (f"/environments/{ABROAD.ref}", ["HIT", "HIT", "MISS"]),
    ],
)
def test_a_zone_has_all_environments_and_an_environment_only_itself(
    versioned: CloudflareSimulator, where: str, expected: list[str]
) -> None:
    assert call(versioned, {"purge_everything": True}, path=f"/zones/{VERSIONED.id}{where}/purge_cache").ok
    assert environments(versioned) == expected


def test_an_environment_by_visitor_can_not_be_purged_by_url(versioned: CloudflareSimulator) -> None:
    path = f"/zones/{VERSIONED.id}/environments/{ABROAD.ref}/invalidate_cache"
    assert error_of(call(versioned, {"files": [PAGE]}, path=path)) == (400, 1136)
    assert call(versioned, {"prefixes": ["www.acme.com/"]}, path=path).ok
    assert environments(versioned) == ["HIT", "HIT", "REVALIDATED"]


def test_environments_are_listed_with_their_ids(versioned: CloudflareSimulator) -> None:
    listed = call(versioned, method="GET", path=f"/zones/{VERSIONED.id}/environments").json()["result"]
    assert [each["ref"] for each in listed["environments"]] == [STAGING.ref, ABROAD.ref]


def test_zones_are_found_by_name_as_far_as_the_token_reaches(cdn: CloudflareSimulator) -> None:
    def found(name: str, **headers: str) -> list[str]:
        answer = call(cdn, method="GET", path=f"/zones?name={name}", headers=headers or None)
        return [zone["id"] for zone in answer.json()["result"]]

    assert found("acme.com") == [ACME.id]
    assert found("nowhere.example") == []
    assert found("acme.com", Authorization=f"Bearer {LIMITED}") == []
    assert found("shop.example", Authorization=f"Bearer {LIMITED}") == [SHOP.id]


def test_faults_speak_the_envelope_or_html(cdn: CloudflareSimulator) -> None:
    cdn.faults.once(refusal(200, 1016, "Unable to purge any url"))
    assert error_of(call(cdn, {"files": [PAGE]})) == (200, 1016)
    cdn.faults.once(page(429))
    limited = call(cdn, {"files": [PAGE]})
    assert limited.status_code == 429
    assert limited.headers["Content-Type"].startswith("text/html")
    cdn.faults.once(refusal(401, 10000, "Authentication error"))
    assert error_of(call(cdn, {"files": [PAGE]})) == (401, 10000)
    assert call(cdn, {"files": [PAGE]}).ok
