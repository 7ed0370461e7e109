"""Akamai's simulator: its gateway against the vendor's own vectors, its API against the vendor's library as client."""

from __future__ import annotations

import calendar
import hashlib
import json
import time
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests
from akamai.edgegrid import EdgeGridAuth

from multicdn.simulators import Headers, ManualClock, Origin, Request
from multicdn.simulators.akamai.api import CP_CODE, STAGING, AkamaiSimulator, BucketSize
from multicdn.simulators.akamai.edgegrid import ApiClient, Authorization, Gateway, data_to_sign, signature, signing_key

if TYPE_CHECKING:
    from collections.abc import Iterator

_VECTORS = files("akamai.edgegrid") / "test"
KNOWN: dict[str, Any] = json.loads((_VECTORS / "testdata.json").read_text())
CASES: list[dict[str, Any]] = json.loads((_VECTORS / "testcases.json").read_text())
SIGNED_AT = calendar.timegm(time.strptime(KNOWN["timestamp"], "%Y%m%dT%H:%M:%S+0000"))

SITE = "https://www.acme.com"


@pytest.fixture
def cdn(origin: Origin) -> Iterator[AkamaiSimulator]:
    with AkamaiSimulator(origin.url, clock=ManualClock()) as running:
        yield running


def signer(cdn: AkamaiSimulator, **changed: str) -> EdgeGridAuth:
    return EdgeGridAuth(**{**cdn.secrets(), **changed})


def post(cdn: AkamaiSimulator, path: str, body: object, **settings: Any) -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = settings.pop("headers", {"Content-Type": "application/json"})
    auth = settings.pop("auth", None) or signer(cdn)
    method = settings.pop("method", "POST")
    return requests.request(method, cdn.endpoint + path, data=data, headers=headers, auth=auth, timeout=5, **settings)


def purge(cdn: AkamaiSimulator, what: str, *objects: str | int) -> requests.Response:
    return post(cdn, f"/ccu/v3/{what}", {"objects": list(objects)})


def vector_request(case: dict[str, Any], authorization: str = "") -> Request:
    given = case["request"]
    fields = {name: value for field in given.get("headers", ()) for name, value in field.items()}
    headers = Headers({"Host": urlsplit(KNOWN["base_url"]).netloc, **fields, "Authorization": authorization})
    return Request(given["method"], given["path"], headers, given.get("data", "").encode())


@pytest.mark.parametrize("case", CASES, ids=[case["testName"] for case in CASES])
def test_signature_agrees_with_the_vendors_vectors(case: dict[str, Any]) -> None:
    expected = Authorization.parse(case["expectedAuthorization"])
    signed = {"scheme": "https", "headers": KNOWN["headers_to_sign"], "max_body": KNOWN["max_body"]}
    request = vector_request(case)
    if "expectedDataToSign" in case:
        assert data_to_sign(request, "", **signed) == case["expectedDataToSign"]
    key = signing_key(KNOWN["client_secret"], KNOWN["timestamp"])
    assert signature(data_to_sign(request, expected.unsigned, **signed), key) == expected.signature


def test_there_are_all_fifteen_vectors() -> None:
    assert len(CASES) == 15


def test_signing_key_and_content_hash_agree_with_the_vendors_data() -> None:
    assert signing_key(KNOWN["client_secret"], KNOWN["timestamp"]) == KNOWN["sign_key_test"]
    data = data_to_sign(Request("POST", "/", Headers({"Host": "h"}), b"test_body"), "", scheme="https")
    assert data.split("\t")[5] == KNOWN["content_hash_test"]
    assert KNOWN["content_hash_test"] == b64encode(hashlib.sha256(b"test_body").digest()).decode()


def vendors_gateway(now: float, **changed: str) -> tuple[Gateway, Request]:
    """A gateway at some time, and a request that the vendor's library signed."""
    names = ("client_token", "client_secret", "access_token")
    client = ApiClient(**{**{name: KNOWN[name] for name in names}, **changed})
    case = next(case for case in CASES if case["testName"] == "POST inside limit")
    return Gateway(lambda: client, lambda: now, "https"), vector_request(case, case["expectedAuthorization"])


@pytest.mark.parametrize("skew", [-30, 0, 30])
def test_gateway_lets_a_vector_in_within_thirty_seconds(skew: float) -> None:
    gateway, request = vendors_gateway(SIGNED_AT + skew)
    assert gateway.refusal(request) is None


@pytest.mark.parametrize("skew", [-31, 31])
def test_gateway_refuses_a_timestamp_that_is_further_off(skew: float) -> None:
    gateway, request = vendors_gateway(SIGNED_AT + skew)
    answer = gateway.refusal(request)
    assert answer is not None
    assert answer.status == 400
    assert json.loads(answer.body)["detail"] == "Invalid timestamp"


def test_gateway_takes_a_nonce_once() -> None:
    gateway, request = vendors_gateway(SIGNED_AT)
    assert gateway.refusal(request) is None
    again = gateway.refusal(request)
    assert again is not None
    assert again.status == 401


def test_gateway_forgets_a_nonce_that_no_timestamp_can_bring_back() -> None:
    gateway, request = vendors_gateway(SIGNED_AT)
    clock = ManualClock(SIGNED_AT)
    gateway._clock = clock
    assert gateway.refusal(request) is None
    clock.advance(61)
    gateway._is_new("another")
    assert gateway._nonces == {"another"}


@pytest.mark.parametrize("wrong", ["client_token", "client_secret", "access_token"])
def test_gateway_refuses_other_credentials(wrong: str) -> None:
    gateway, request = vendors_gateway(SIGNED_AT, **{wrong: "other"})
    answer = gateway.refusal(request)
    assert answer is not None
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], problem["title"]) == (401, 401, "Not authorized")
    assert "httpStatus" not in problem


@pytest.mark.parametrize("header", ["", "Bearer x", "EG1-HMAC-SHA256 client_token=a;signature=b"])
def test_gateway_refuses_a_malformed_header(cdn: AkamaiSimulator, header: str) -> None:
    url = f"{cdn.endpoint}/ccu/v3/delete/url"
    answer = requests.post(url, data=b"{}", headers={"Authorization": header}, timeout=5)
    assert (answer.status_code, answer.json()["status"]) == (400, 400)


def test_body_changed_after_signing_is_refused(cdn: AkamaiSimulator) -> None:
    url = f"{cdn.endpoint}/ccu/v3/delete/url"
    kind = {"Content-Type": "application/json"}
    prepared = requests.Request("POST", url, data=b'{"objects":["https://a.b/"]}', headers=kind, auth=signer(cdn))
    signed = prepared.prepare()
    signed.body = b'{"objects":["https://a.c/"]}'
    with requests.Session() as session:
        answer = session.send(signed, timeout=5)
    assert (answer.status_code, answer.json()["detail"]) == (401, "The signature does not match")


def test_delete_makes_the_edge_fetch_anew(origin: Origin, cdn: AkamaiSimulator) -> None:
    origin.put("a.css", "same")
    assert [cdn.fetch(f"{SITE}/a.css").cache for _ in range(2)] == ["MISS", "HIT"]
    answer = purge(cdn, "delete/url/production", f"{SITE}/a.css")
    assert answer.status_code == 201
    assert answer.json().keys() == {"httpStatus", "detail", "estimatedSeconds", "purgeId", "supportId"}
    assert answer.json()["estimatedSeconds"] == 5
    assert cdn.fetch(f"{SITE}/a.css").cache == "MISS"
    assert "If-None-Match" not in origin.requests[-1].headers


def test_invalidate_makes_the_edge_revalidate(origin: Origin, cdn: AkamaiSimulator) -> None:
    origin.put("a.css", "same")
    cdn.fetch(f"{SITE}/a.css")
    purge(cdn, "invalidate/url", f"{SITE}/a.css")
    assert [cdn.fetch(f"{SITE}/a.css").cache for _ in range(2)] == ["REVALIDATED", "HIT"]
    assert "If-None-Match" in origin.requests[-1].headers
    origin.put("a.css", "new")
    purge(cdn, "invalidate/url", f"{SITE}/a.css")
    assert cdn.fetch(f"{SITE}/a.css").body == b"new"


def test_only_an_invalidated_object_is_served_while_the_origin_is_down(origin: Origin, cdn: AkamaiSimulator) -> None:
    for key in ("soft", "hard"):
        origin.put(key, "old")
        cdn.fetch(f"{SITE}/{key}")
    purge(cdn, "invalidate/url", f"{SITE}/soft")
    purge(cdn, "delete/url", f"{SITE}/hard")
    origin.stop()
    served = [cdn.fetch(f"{SITE}/{key}") for key in ("soft", "hard")]
    assert [(got.status, got.cache) for got in served] == [(200, "STALE"), (502, "ERROR")]


@pytest.mark.parametrize(
    ("cached", "purged", "gone"),
    [
        ("https://www.acme.com/a", "http://www.acme.com/a", True),
        ("http://www.acme.com/a", "https://WWW.acme.com/a", True),
        ("https://www.acme.com/a", "/L/512/6848/1h/www.acme.com/a", True),
        ("https://www.acme.com/a?x=1", "https://www.acme.com/a", False),
        ("https://www.acme.com/a?x=1", "https://www.acme.com/a?x=1", True),
        ("https://www.acme.com/a", "https://www.acme.com/A", False),
        ("https://www.acme.com/a/b", "https://www.acme.com/a/*", False),
        ("https://www.acme.com/a%2fb", "https://www.acme.com/a%2Fb", False),
        ("https://www.acme.com/a", "https://img.acme.com/a", False),
    ],
)
def test_url_is_purged_as_it_was_cached(cdn: AkamaiSimulator, cached: str, purged: str, gone: bool) -> None:
    cdn.fetch(cached)
    assert purge(cdn, "delete/url", purged).status_code == 201
    assert (cdn.fetch(cached).cache == "MISS") is gone


def test_staging_and_production_are_apart(origin: Origin, cdn: AkamaiSimulator) -> None:
    origin.put("a", "old")
    url = f"{SITE}/a"
    for headers in ({}, STAGING):
        assert [cdn.fetch(url, headers).cache for _ in range(2)] == ["MISS", "HIT"]
    purge(cdn, "delete/url/staging", url)
    assert (cdn.fetch(url).cache, cdn.fetch(url, STAGING).cache) == ("HIT", "MISS")
    purge(cdn, "delete/url", url)
    assert (cdn.fetch(url).cache, cdn.fetch(url, STAGING).cache) == ("MISS", "HIT")


def test_tags_are_case_sensitive_and_hidden_from_clients(origin: Origin, cdn: AkamaiSimulator) -> None:
    for key, tags in {"a": "Red, blue", "b": "red"}.items():
        origin.put(key, "x", {"Edge-Cache-Tag": tags})
        assert "Edge-Cache-Tag" not in cdn.fetch(f"{SITE}/{key}").headers
    purge(cdn, "delete/tag/production", "red", "BLUE")
    assert (cdn.fetch(f"{SITE}/a").cache, cdn.fetch(f"{SITE}/b").cache) == ("HIT", "MISS")
    purge(cdn, "invalidate/tag", "blue")
    assert cdn.fetch(f"{SITE}/a").cache == "REVALIDATED"


def test_a_304_does_not_update_tags(origin: Origin, cdn: AkamaiSimulator) -> None:
    origin.put("a", "x")
    cdn.fetch(f"{SITE}/a")
    origin.put("a", "x", {"Edge-Cache-Tag": "late"})
    purge(cdn, "invalidate/url", f"{SITE}/a")
    assert cdn.fetch(f"{SITE}/a").cache == "REVALIDATED"
    purge(cdn, "delete/tag", "late")
    assert cdn.fetch(f"{SITE}/a").cache == "HIT"


def test_cp_code_purges_its_hosts(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, cp_codes={"img.acme.com": 777}) as cdn:
        urls = ("https://img.acme.com/a", "https://www.acme.com/a")
        for url in urls:
            cdn.fetch(url)
        assert purge(cdn, "delete/cpcode", 777).status_code == 201
        assert [cdn.fetch(url).cache for url in urls] == ["MISS", "HIT"]
        assert purge(cdn, "delete/cpcode", CP_CODE, 777).status_code == 201
        assert [cdn.fetch(url).cache for url in urls] == ["MISS", "MISS"]


BAD_CALLS = {
    "malformed JSON": ("url", b"{", 400),
    "no object": ("url", {"objects": []}, 400),
    "a further member": ("url", {"objects": [f"{SITE}/a"], "hostname": "x"}, 400),
    "a list": ("url", [f"{SITE}/a"], 400),
    "a path": ("url", {"objects": ["/a.css"]}, 400),
    "a number as URL": ("url", {"objects": [1]}, 400),
    "a blank": ("url", {"objects": [f"{SITE}/a b"]}, 400),
    "a letter outside ASCII": ("url", {"objects": [f"{SITE}/é"]}, 400),
    "a bad host": ("url", {"objects": ["https://a_b!/x"]}, 400),
    "a CP code as text": ("cpcode", {"objects": [str(CP_CODE)]}, 400),
    "a CP code of somebody else": ("cpcode", {"objects": [1]}, 403),
    "a tag with a star": ("tag", {"objects": ["a*"]}, 400),
    "a tag that is too long": ("tag", {"objects": ["a" * 129]}, 400),
}


@pytest.mark.parametrize(("kind", "body", "status"), BAD_CALLS.values(), ids=list(BAD_CALLS))
def test_bad_body_is_refused_in_the_shape_of_fast_purge(
    cdn: AkamaiSimulator, kind: str, body: object, status: int
) -> None:
    answer = post(cdn, f"/ccu/v3/delete/{kind}", body)
    assert (answer.status_code, answer.json()["httpStatus"]) == (status, status)
    assert answer.headers["Content-Type"] == "application/api-problem+json"
    assert {"title", "detail", "supportId", "describedBy"} < answer.json().keys()


@pytest.mark.parametrize(
    ("path", "settings", "status"),
    [
        ("/ccu/v3/delete/url/", {}, 404),
        ("/ccu/v3/remove/url", {}, 404),
        ("/ccu/v3/delete/host", {}, 404),
        ("/ccu/v3/purges/1", {}, 404),
        ("/ccu/v3/delete/url", {"method": "PUT"}, 405),
        ("/ccu/v3/delete/url", {"headers": {"Content-Type": "text/plain"}}, 415),
        ("/ccu/v3/delete/url", {"headers": {"Content-Type": "application/json", "Expect": "100-continue"}}, 417),
    ],
)
def test_wrong_calls_are_refused(cdn: AkamaiSimulator, path: str, settings: dict[str, Any], status: int) -> None:
    assert post(cdn, path, {"objects": [f"{SITE}/a"]}, **settings).status_code == status


def test_one_bad_object_refuses_all(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, hosts=["www.acme.com"]) as cdn:
        good, foreign, relative = f"{SITE}/good", "https://www.other.com/x", "relative"
        cdn.fetch(good)
        answer = purge(cdn, "delete/url", good, foreign)
        assert (answer.status_code, answer.json()["title"]) == (403, "unauthorized arl")
        assert answer.json()["detail"] == foreign
        answer = purge(cdn, "delete/url", good, relative)
        assert (answer.status_code, answer.json()["title"], answer.json()["detail"]) == (400, "bad URL", relative)
        assert cdn.fetch(good).cache == "HIT"


@pytest.mark.parametrize(("size", "status"), [(50_000, 201), (50_001, 413)])
def test_body_may_have_fifty_thousand_bytes(cdn: AkamaiSimulator, size: int, status: int) -> None:
    frame = json.dumps({"objects": [f"{SITE}/"]})
    body = frame.replace(f"{SITE}/", f"{SITE}/{'a' * (size - len(frame))}").encode()
    assert len(body) == size
    assert post(cdn, "/ccu/v3/delete/url", body).status_code == status


def test_request_bucket_is_shared_by_all_kinds_and_refills(origin: Origin) -> None:
    clock = ManualClock()
    with AkamaiSimulator(origin.url, clock=clock, buckets={"requests": BucketSize(2, 50)}) as cdn:
        assert [purge(cdn, "delete/tag", "t").status_code for _ in range(2)] == [201, 201]
        refused = purge(cdn, "delete/url", f"{SITE}/a")
        assert (refused.status_code, refused.json()["title"]) == (429, "Rate Limit exceeded")
        assert refused.headers["X-Ratelimit-Remaining-Objects"] == "10000"
        clock.advance(0.03)
        assert purge(cdn, "delete/url", f"{SITE}/a").status_code == 201


@pytest.mark.parametrize(
    ("kind", "title", "objects"),
    [
        ("url", "URL Rate Limit exceeded", [f"{SITE}/{number}" for number in range(3)]),
        ("tag", "TAG Rate Limit exceeded", ["a", "b", "c"]),
        ("cpcode", "CPCODE Rate Limit exceeded", [CP_CODE] * 3),
    ],
)
def test_refused_for_its_objects_a_call_consumes_nothing(
    origin: Origin, kind: str, title: str, objects: list[Any]
) -> None:
    clock = ManualClock()
    with AkamaiSimulator(origin.url, clock=clock, buckets={kind: BucketSize(4, 2)}) as cdn:
        assert purge(cdn, f"delete/{kind}", *objects).headers["X-Ratelimit-Remaining-Objects"] == "1"
        refused = purge(cdn, f"delete/{kind}", *objects)
        assert refused.status_code == 429
        said = refused.json()
        assert (said["title"], said["rateLimit"], said["rateLimitRemaining"]) == (title, 4, 1)
        assert said["rateLimitCurrentRequestSize"] == 3
        assert refused.headers["X-Ratelimit-Remaining"] == "99"
        assert not any("Refresh" in name for name in refused.headers)
        assert purge(cdn, f"delete/{kind}", objects[0]).status_code == 201
        clock.advance(1.5)
        assert purge(cdn, f"delete/{kind}", *objects).status_code == 201


def test_answers_tell_the_state_of_both_buckets(cdn: AkamaiSimulator) -> None:
    headers = purge(cdn, "delete/tag", "a", "b", "c", "d", "e").headers
    told = {name.removeprefix("X-Ratelimit-"): value for name, value in headers.items() if "Ratelimit" in name}
    assert told == {
        "Limit": "100",
        "Limit-Per-Second": "50",
        "Remaining": "99",
        "Seconds-To-Refresh-Limit": "0.020000",
        "Limit-Objects": "5000",
        "Limit-Per-Second-Objects": "8.33333",
        "Remaining-Objects": "4995",
        "Seconds-To-Refresh-Limit-Objects": "0.600000",
    }
    cdn.rate_headers = False
    assert not any("Ratelimit" in name for name in purge(cdn, "delete/tag", "a").headers)


def test_rate_limit_status_takes_nothing_and_can_be_absent(cdn: AkamaiSimulator) -> None:
    answer = post(cdn, "/ccu/v3/rate-limit-status/url", b"")
    assert answer.status_code == 201
    assert (answer.headers["X-Ratelimit-Remaining"], answer.headers["X-Ratelimit-Remaining-Objects"]) == (
        "100",
        "10000",
    )
    cdn.rate_limit_status = False
    assert post(cdn, "/ccu/v3/rate-limit-status/url", b"").status_code == 404


def test_limits_can_be_switched_off(origin: Origin) -> None:
    with AkamaiSimulator(
        origin.url, limits=False, buckets={"requests": BucketSize(1, 1), "tag": BucketSize(1, 1)}
    ) as cdn:
        assert [purge(cdn, "delete/tag", "a", "b").status_code for _ in range(3)] == [201] * 3


@pytest.mark.parametrize(
    ("query", "status"), [("", 403), ("?accountSwitchKey=B-1:2", 201), ("?accountSwitchKey=C", 403)]
)
def test_sites_of_a_customer_need_the_account_switch_key(origin: Origin, query: str, status: int) -> None:
    with AkamaiSimulator(origin.url, account_key="B-1:2") as cdn:
        assert post(cdn, f"/ccu/v3/delete/url{query}", {"objects": [f"{SITE}/a"]}).status_code == status


@pytest.mark.parametrize(("kind", "item"), [("tag", "a"), ("cpcode", CP_CODE)])
def test_tags_and_cp_codes_need_a_permission(origin: Origin, kind: str, item: str | int) -> None:
    with AkamaiSimulator(origin.url, may_purge_tags=False, may_purge_cp_codes=False) as cdn:
        assert purge(cdn, f"delete/{kind}", item).status_code == 403


def test_calls_are_recorded_without_credentials(cdn: AkamaiSimulator) -> None:
    purge(cdn, "delete/tag", "a", "b")
    [call] = cdn.calls
    assert (call.items, call.status, call.target) == (2, 201, "/ccu/v3/delete/tag")
    assert not [value for value in cdn.secrets().values() if value in repr(call)]
