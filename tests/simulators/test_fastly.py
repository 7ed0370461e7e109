"""The Fastly simulator against what is known of Fastly, asked by a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from multicdn.simulators import Headers, ManualClock, Origin
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

ID = re.compile(r"4151-\d{10}-\d+")
SITE = "https://www.acme.com"
STAGING = {"Simulator-Environment": "staging"}


@pytest.fixture
def fastly(origin: Origin, clock: ManualClock) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url, clock=clock) as running:
        yield running


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = Headers(response.getheaders())
        self.body = response.read()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    base: str, target: str, headers: dict[str, str] | None = None, body: bytes | str = b"", method: str = "POST"
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(base).port or 0, timeout=5)
    try:
        connection.request(method, target, body, headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def call(
    fastly: FastlySimulator, target: str, headers: dict[str, str] | None = None, body: bytes | str = b""
) -> Answer:
    return ask(fastly.endpoint, target, {"Fastly-Key": fastly.token, **(headers or {})}, body)


def batch(fastly: FastlySimulator, keys: list[str], headers: dict[str, str] | None = None) -> Answer:
    return call(fastly, f"/service/{fastly.service}/purge", headers, json.dumps({"surrogate_keys": keys}))


def warm(origin: Origin, fastly: FastlySimulator, keys: str = "", headers: dict[str, str] | None = None) -> None:
    """Cache the old object and put a new one behind it."""
    origin.put("a", "old", {"Surrogate-Key": keys, **(headers or {})})
    assert fastly.fetch(f"{SITE}/a").body == b"old"
    origin.put("a", "new", {"Surrogate-Key": keys, **(headers or {})})
    assert fastly.fetch(f"{SITE}/a").body == b"old"


@pytest.mark.parametrize(
    "spelled", ["https://www.acme.com/a", "http://www.acme.com/a", "www.acme.com/a", "WWW.acme.com/a"]
)
def test_url_purge_covers_both_schemes_however_it_is_spelled(
    origin: Origin, fastly: FastlySimulator, spelled: str
) -> None:
    warm(origin, fastly)
    answer = call(fastly, f"/purge/{spelled}")
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert ID.fullmatch(answer.json["id"])
    assert fastly.fetch("http://www.acme.com/a").body == b"new"


@pytest.mark.parametrize("other", ["/A", "//a", "/a?", "/a?x=1", "/*", "/a*", "/", "/%61"])
def test_url_purge_touches_its_exact_url_only(origin: Origin, fastly: FastlySimulator, other: str) -> None:
    warm(origin, fastly)
    assert call(fastly, f"/purge/{SITE}{other}").status == 200
    assert fastly.fetch(f"{SITE}/a").cache == "HIT"


@pytest.mark.parametrize("target", ["//a//b", "/a%2fb", "/a%2Fb", "/a/../b", "/a?x=%2f&x=1", "/*"])
def test_url_purge_keeps_the_rest_of_the_target_raw(fastly: FastlySimulator, target: str) -> None:
    fastly.fetch(SITE + target)
    assert fastly.fetch(SITE + target).cache == "HIT"
    assert call(fastly, f"/purge/{SITE}{target}").status == 200
    assert fastly.fetch(SITE + target).cache == "MISS"


@pytest.mark.parametrize(
    "raw", ["https%3A%2F%2Fwww.acme.com%2Fa", "www.acme.com%2fa", "", "https://", "a/" + "x" * 8192]
)
def test_malformed_url_is_refused_in_the_legacy_shape(fastly: FastlySimulator, raw: str) -> None:
    fastly.error_shape = "jsonapi"
    answer = call(fastly, f"/purge/{raw}")
    assert (answer.status, answer.json) == (400, {"msg": "Malformed purge request"})


def test_batch_answers_a_flat_map_and_purges_each_key(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, "one two")
    answer = batch(fastly, ["two", "unknown", "two"])
    assert list(answer.json) == ["two", "unknown"]
    assert all(ID.fullmatch(value) for value in answer.json.values())
    assert len(set(answer.json.values())) == 2
    assert (answer.headers["Fastly-Surrogate-Key-Count"], answer.headers["Fastly-Instant-Rate"]) == ("3", "3")
    assert "Fastly-RateLimit-Remaining" not in answer.headers
    assert fastly.fetch(f"{SITE}/a").body == b"new"


def test_batch_may_be_in_a_header(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, "one two")
    answer = call(fastly, f"/service/{fastly.service}/purge", {"Surrogate-Key": "zero two"})
    assert list(answer.json) == ["zero", "two"]
    assert fastly.fetch(f"{SITE}/a").body == b"new"
    assert fastly.calls[0].items == 2


def test_one_key_in_the_path_is_taken_raw(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, "a/b%20c")
    assert call(fastly, f"/service/{fastly.service}/purge/a%2Fb%2520c").json["status"] == "ok"
    assert fastly.fetch(f"{SITE}/a").body == b"old"
    assert ID.fullmatch(call(fastly, f"/service/{fastly.service}/purge/a/b%20c").json["id"])
    assert fastly.fetch(f"{SITE}/a").body == b"new"


def test_keys_are_utf8_and_objects_cached_without_a_key_stay(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, "键")
    origin.put("b", "untagged")
    fastly.fetch(f"{SITE}/b")
    assert batch(fastly, ["键"]).json.keys() == {"键"}
    assert fastly.fetch(f"{SITE}/a").body == b"new"
    assert fastly.fetch(f"{SITE}/b").cache == "HIT"


@pytest.mark.parametrize(
    ("keys", "status"),
    [
        ([f"k{number}" for number in range(256)], 200),
        ([f"k{number}" for number in range(257)], 400),
        (["x" * 1024], 200),
        (["x" * 1025], 400),
        (["中" * 341], 200),
        (["中" * 342], 400),
        ([f"{number:03}" + "x" * 1021 for number in range(256)], 200),
        ([], 400),
    ],
    ids=["256", "257", "1024 bytes", "1025 bytes", "1023 bytes", "1026 bytes", "largest batch", "none"],
)
def test_limits_of_a_batch(fastly: FastlySimulator, keys: list[str], status: int) -> None:
    assert batch(fastly, keys).status == status


@pytest.mark.parametrize("body", ["", "{", "[]", "{}", '{"surrogate_keys": "k"}', '{"surrogate_keys": [1]}'])
def test_batch_with_another_body_is_refused(fastly: FastlySimulator, body: str) -> None:
    answer = call(fastly, f"/service/{fastly.service}/purge", body=body)
    assert (answer.status, fastly.calls[0].items) == (400, 0)


@pytest.mark.parametrize(("count", "status"), [(68, 200), (69, 400)])
def test_headers_above_69_kb_are_refused(fastly: FastlySimulator, count: int, status: int) -> None:
    keys = " ".join("x" * 1023 for _ in range(count))
    assert call(fastly, f"/service/{fastly.service}/purge", {"Surrogate-Key": keys}).status == status


def test_keys_beyond_16_kb_of_a_response_header_do_not_count(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, "first " + " ".join("x" * 1000 for _ in range(17)) + " last")
    batch(fastly, ["last"])
    assert fastly.fetch(f"{SITE}/a").cache == "HIT"
    batch(fastly, ["first"])
    assert fastly.fetch(f"{SITE}/a").cache == "MISS"


def test_purge_all_empties_the_service_and_has_no_id(
    origin: Origin, fastly: FastlySimulator, clock: ManualClock
) -> None:
    warm(origin, fastly)
    answer = call(fastly, f"/service/{fastly.service}/purge_all")
    assert answer.json == {"status": "ok"}
    assert answer.headers["Fastly-RateLimit-Remaining"] == "999"
    assert answer.headers["Fastly-RateLimit-Reset"] == str(int(clock()) + 3600)
    assert fastly.fetch(f"{SITE}/a").body == b"new"


SWR = {"Cache-Control": "max-age=60, stale-while-revalidate=600"}


def test_soft_purge_of_a_url_serves_stale_once(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, headers=SWR)
    call(fastly, f"/purge/{SITE}/a", {"Fastly-Soft-Purge": "0"})
    stale, fresh = fastly.fetch(f"{SITE}/a"), fastly.fetch(f"{SITE}/a")
    assert [(stale.cache, stale.body), (fresh.cache, fresh.body)] == [("STALE", b"old"), ("HIT", b"new")]


def test_soft_purge_of_keys_without_stale_while_revalidate_revalidates(origin: Origin, fastly: FastlySimulator) -> None:
    origin.put("a", "same", {"Surrogate-Key": "k"})
    fastly.fetch(f"{SITE}/a")
    batch(fastly, ["k"], {"Fastly-Soft-Purge": "1"})
    assert fastly.fetch(f"{SITE}/a").cache == "REVALIDATED"


def test_purge_all_is_hard_even_if_asked_to_be_soft(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, headers=SWR)
    assert call(fastly, f"/service/{fastly.service}/purge_all", {"Fastly-Soft-Purge": "1"}).status == 200
    assert fastly.fetch(f"{SITE}/a").cache == "MISS"
    assert "Fastly-Soft-Purge" in fastly.calls[0].headers


def operations(service: str) -> list[tuple[str, str]]:
    return [
        (f"/service/{service}/purge", '{"surrogate_keys": ["k"]}'),
        (f"/service/{service}/purge/k", ""),
        (f"/service/{service}/purge_all", ""),
    ]


@pytest.mark.parametrize("operation", [0, 1, 2])
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_environments_are_purged_apart(
    origin: Origin, fastly: FastlySimulator, operation: int, environment: str
) -> None:
    warm(origin, fastly, "k")
    fastly.fetch(f"{SITE}/a", STAGING)
    assert fastly.fetch(f"{SITE}/a", STAGING).cache == "HIT"
    target, body = operations(fastly.service)[operation]
    assert call(fastly, target, {"Fastly-Purge-Environment": environment}, body).status == 200
    after = {"production": fastly.fetch(f"{SITE}/a").cache, "staging": fastly.fetch(f"{SITE}/a", STAGING).cache}
    assert [name for name, cache in after.items() if cache == "MISS"] == [environment]


def test_url_purge_does_not_know_environments(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly)
    fastly.fetch(f"{SITE}/a", STAGING)
    call(fastly, f"/purge/{SITE}/a", {"Fastly-Purge-Environment": "staging"})
    assert (fastly.fetch(f"{SITE}/a", STAGING).cache, fastly.fetch(f"{SITE}/a").cache) == ("HIT", "MISS")


def test_unknown_environment_is_refused(fastly: FastlySimulator) -> None:
    assert batch(fastly, ["k"], {"Fastly-Purge-Environment": "test"}).status == 400


@pytest.mark.parametrize("key", [None, "", "wrong"])
def test_missing_or_wrong_token_is_401_everywhere(fastly: FastlySimulator, key: str | None) -> None:
    headers = {} if key is None else {"Fastly-Key": key}
    targets = [target for target, _ in operations(fastly.service)] + [f"/purge/{SITE}/a"]
    assert [ask(fastly.endpoint, target, headers).status for target in targets] == [401] * 4


def test_token_without_a_scope_is_403(fastly: FastlySimulator) -> None:
    fastly.tokens = {fastly.token: frozenset(("purge_select",))}
    statuses = [call(fastly, target, body=body).status for target, body in operations(fastly.service)]
    assert statuses == [200, 200, 403]


@pytest.mark.parametrize(
    "target", ["/service/other/purge_all", "/service/other/purge", "/purge", "/", "/service//purge_all"]
)
def test_unknown_service_or_route_is_404(fastly: FastlySimulator, target: str) -> None:
    assert call(fastly, target).status == 404


def test_route_with_another_method_is_404(fastly: FastlySimulator) -> None:
    headers = {"Fastly-Key": fastly.token}
    assert ask(fastly.endpoint, f"/service/{fastly.service}/purge_all", headers, method="GET").status == 404
    assert ask(fastly.endpoint, f"/service/{fastly.service}/purge/all", headers).status == 200


def test_host_that_is_not_served_is_404(origin: Origin) -> None:
    with FastlySimulator(origin.url, hosts=["WWW.acme.com"]) as fastly:
        assert [call(fastly, f"/purge/{host}/a").status for host in ("www.acme.com", "acme.com")] == [200, 404]


@pytest.mark.parametrize(
    ("shape", "kind", "members"),
    [
        ("legacy", "application/json", {"msg", "detail"}),
        ("problem", "application/problem+json", {"title", "detail", "status"}),
        ("jsonapi", "application/vnd.api+json", {"errors"}),
    ],
)
def test_three_shapes_of_error(fastly: FastlySimulator, shape: Any, kind: str, members: set[str]) -> None:
    fastly.error_shape = shape
    answer = call(fastly, "/service/other/purge_all")
    assert (answer.headers["Content-Type"], set(answer.json)) == (kind, members)


def test_direct_purge_needs_no_token_unless_it_is_required(origin: Origin, fastly: FastlySimulator) -> None:
    headers = {"Host": "www.acme.com"}
    warm(origin, fastly)
    answer = ask(fastly.edge_url, "/a", headers, method="PURGE")
    assert (answer.status, answer.json["status"], fastly.fetch(f"{SITE}/a").body) == (200, "ok", b"new")
    fastly.purge_requires_auth = True
    assert ask(fastly.edge_url, "/a", headers, method="PURGE").status == 401
    assert ask(fastly.edge_url, "/a", {**headers, "Fastly-Key": fastly.token}, method="PURGE").status == 200
    assert ask(fastly.edge_url, "/a", headers, method="BAN").status == 405


@pytest.mark.parametrize("operation", ["url", "keys", "all"])
def test_limits_are_apart_and_say_when_they_end(origin: Origin, clock: ManualClock, operation: str) -> None:
    with FastlySimulator(origin.url, clock=clock, urls_per_hour=2, keys_per_hour=2, calls_per_hour=2) as fastly:
        target, body = {
            "url": (f"/purge/{SITE}/a", ""),
            "keys": (f"/service/{fastly.service}/purge", '{"surrogate_keys": ["k"]}'),
            "all": (f"/service/{fastly.service}/purge_all", ""),
        }[operation]
        assert [call(fastly, target, body=body).status for _ in range(3)] == [200, 200, 429]
        refused = call(fastly, target, body=body)
        assert float(refused.headers["Fastly-RateLimit-Reset"]) >= clock() + 3600
        others = [
            other for other in (f"/purge/{SITE}/b", f"/service/{fastly.service}/purge/k") if other[:9] != target[:9]
        ]
        assert all(call(fastly, other).status == 200 for other in others)
        clock.now = float(refused.headers["Fastly-RateLimit-Reset"])
        assert call(fastly, target, body=body).status == 200


def test_limits_can_be_off(origin: Origin) -> None:
    with FastlySimulator(origin.url, limits=False, urls_per_hour=1) as fastly:
        assert [call(fastly, f"/purge/{SITE}/a").status for _ in range(3)] == [200] * 3


def test_surrogate_headers_are_for_fastly_alone(origin: Origin, fastly: FastlySimulator, clock: ManualClock) -> None:
    headers = {"Surrogate-Key": "k", "Surrogate-Control": "max-age=100", "Cache-Control": "no-store"}
    origin.put("a", "old", headers)
    assert not any(name.startswith("Surrogate") for name in fastly.fetch(f"{SITE}/a").headers)
    clock.advance(99)
    assert fastly.fetch(f"{SITE}/a").cache == "HIT"
    clock.advance(1)
    assert fastly.fetch(f"{SITE}/a").cache == "REVALIDATED"


def test_stale_while_revalidate_of_surrogate_control_wins(origin: Origin, fastly: FastlySimulator) -> None:
    warm(origin, fastly, headers={**SWR, "Surrogate-Control": "max-age=60, stale-while-revalidate=0"})
    call(fastly, f"/purge/{SITE}/a", {"Fastly-Soft-Purge": "1"})
    assert fastly.fetch(f"{SITE}/a").cache == "MISS"


def test_options_configure_a_provider(origin: Origin) -> None:
    with FastlySimulator(origin.url, service="abc", token="t0ken-value", environment="staging") as fastly:
        expected = {"type": "fastly", "endpoint": fastly.endpoint, "service": "abc", "environment": "staging"}
        assert fastly.options() == expected
        assert fastly.secrets() == {"token": "t0ken-value"}
        call(fastly, f"/purge/{SITE}/a")
        assert "t0ken" not in repr(fastly.calls)
