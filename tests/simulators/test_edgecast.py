"""The simulated Edgecast: its routes, its limits, and how its edge forgets."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.edgecast import EdgecastSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "https://www.acme.com"
EDGE = "/v2/mcc/customers/1A2B/edge"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_800_000_000.0)


@pytest.fixture
def cdn(origin: Origin, clock: ManualClock) -> Iterator[EdgecastSimulator]:
    with EdgecastSimulator(origin.url, clock=clock, seconds=60) as running:
        yield running


def ask(cdn: EdgecastSimulator, method: str, target: str, body: object = None, **headers: str) -> tuple[int, Any]:
    parts = urlsplit(cdn.endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        sent = {"Authorization": f"TOK:{cdn.token}", **headers}
        connection.request(method, target, body if isinstance(body, str) else json.dumps(body), sent)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def submit(cdn: EdgecastSimulator, operation: str, path: object, media_type: object = 3) -> tuple[int, Any]:
    return ask(cdn, "PUT", f"{EDGE}/{operation}", {"MediaPath": path, "MediaType": media_type})


@pytest.mark.parametrize("spelling", ["TOK:{}", "TOK: {}", "tok:{}", "Tok:  {}"])
def test_the_word_before_the_token_may_be_spelled_freely(cdn: EdgecastSimulator, spelling: str) -> None:
    body = {"MediaPath": f"{SITE}/a", "MediaType": 3}
    assert ask(cdn, "PUT", f"{EDGE}/purge", body, Authorization=spelling.format(cdn.token))[0] == 200


@pytest.mark.parametrize("given", ["", "TOK:other", "Bearer {}", "{}", "TOK:{}x"])
def test_other_credentials_are_unauthorized(cdn: EdgecastSimulator, given: str) -> None:
    body = {"MediaPath": f"{SITE}/a", "MediaType": 3}
    assert ask(cdn, "PUT", f"{EDGE}/purge", body, Authorization=given.format(cdn.token))[0] == 401
    assert cdn.token not in repr(cdn.calls)


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("PUT", "/v2/mcc/customers/FFFF/edge/purge", 404),
        ("PUT", "/v2/mcc/customers/1A2B/edge/evict", 404),
        ("PUT", "/v3/mcc/customers/1A2B/edge/purge", 404),
        ("GET", f"{EDGE}/purge/00000099", 404),
        ("GET", f"{EDGE}/purge", 405),
        ("POST", f"{EDGE}/purge", 405),
    ],
)
def test_what_is_not_there_is_not_found(cdn: EdgecastSimulator, method: str, target: str, status: int) -> None:
    assert ask(cdn, method, target, {"MediaPath": f"{SITE}/a", "MediaType": 3})[0] == status


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("purge", "no json"),
        ("purge", {}),
        ("purge", []),
        ("purge", {"MediaPath": [f"{SITE}/a"], "MediaType": 3}),
        ("bulkpurge", {"MediaPath": f"{SITE}/a", "MediaType": 3}),
        ("bulkpurge", {"MediaPath": [], "MediaType": 3}),
        ("bulkpurge", {"MediaPath": [f"{SITE}/a", 7], "MediaType": 3}),
        ("bulkpurge", {"MediaPath": [f"{SITE}/a", "/b"], "MediaType": 3}),
        ("load", {"MediaPath": "www.acme.com/a", "MediaType": 3}),
        ("purge", {"MediaPath": f"{SITE}/a", "MediaType": 2}),
        ("purge", {"MediaPath": f"{SITE}/a", "MediaType": "3"}),
        ("purge", {"MediaPath": f"{SITE}/a", "MediaType": 3.0}),
        ("purge", {"MediaPath": f"{SITE}/a"}),
    ],
)
def test_bodies_that_are_not_as_documented_are_bad_requests(
    cdn: EdgecastSimulator, operation: str, body: object
) -> None:
    assert ask(cdn, "PUT", f"{EDGE}/{operation}", body)[0] == 400


@pytest.mark.parametrize("media_type", [3, 8, 14])
def test_each_platform_that_lived_is_known(cdn: EdgecastSimulator, media_type: int) -> None:
    assert submit(cdn, "purge", f"{SITE}/a", media_type)[0] == 200


def test_status_of_a_single_request(cdn: EdgecastSimulator, clock: ManualClock) -> None:
    number = submit(cdn, "purge", f"{SITE}/a")[1]["Id"]
    begun = {
        "AccountNumber": "1A2B",
        "CompleteDate": None,
        "Id": number,
        "InDate": "2027-01-15 08:00",
        "MediaPath": f"{SITE}/a",
        "MediaTypeId": 3,
        "Regions": [],
    }
    assert ask(cdn, "GET", f"{EDGE}/purge/{number}") == (200, begun)
    clock.advance(60)
    assert ask(cdn, "GET", f"{EDGE}/purge/{number}") == (200, {**begun, "CompleteDate": "2027-01-15 08:01"})


def test_status_of_a_bulk_request(cdn: EdgecastSimulator, clock: ManualClock) -> None:
    number = submit(cdn, "bulkload", [f"{SITE}/a", f"{SITE}/b"])[1]["Id"]
    begun = {"Count": 2, "Status": "in-progress", "Created_at": "01/15/2027 08:00:00 AM", "Completed_at": None}
    assert ask(cdn, "GET", f"{EDGE}/bulkload/{number}") == (200, {"Status_Details": begun})
    clock.advance(60)
    done = {**begun, "Status": "done", "Completed_at": "01/15/2027 08:01:00 AM"}
    assert ask(cdn, "GET", f"{EDGE}/bulkload/{number}") == (200, {"Status_Details": done})


def test_the_status_of_a_request_stands_under_its_own_operation_only(cdn: EdgecastSimulator) -> None:
    number = submit(cdn, "purge", f"{SITE}/a")[1]["Id"]
    assert ask(cdn, "GET", f"{EDGE}/load/{number}")[0] == 404
    assert ask(cdn, "GET", f"{EDGE}/bulkpurge/{number}")[0] == 404


def test_requests_can_end_after_some_questions(origin: Origin) -> None:
    with EdgecastSimulator(origin.url, polls=3) as cdn:
        number = submit(cdn, "bulkpurge", [f"{SITE}/a"])[1]["Id"]
        seen = [ask(cdn, "GET", f"{EDGE}/bulkpurge/{number}")[1]["Status_Details"]["Status"] for _ in range(4)]
    assert seen == ["in-progress", "in-progress", "done", "done"]


def test_accepted_is_not_done(cdn: EdgecastSimulator, origin: Origin, clock: ManualClock) -> None:
    origin.put("a", "old")
    cdn.fetch(f"{SITE}/a")
    origin.put("a", "new")
    submit(cdn, "purge", f"{SITE}/a")
    assert cdn.fetch(f"{SITE}/a").body == b"old"
    clock.advance(59)
    assert cdn.fetch(f"{SITE}/a").body == b"old"
    clock.advance(1)
    assert cdn.fetch(f"{SITE}/a").body == b"new"


def test_every_element_counts_until_it_is_done_and_loads_apart_from_purges(
    cdn: EdgecastSimulator, clock: ManualClock
) -> None:
    urls = [f"{SITE}/{number}" for number in range(49)]
    assert submit(cdn, "bulkpurge", urls)[0] == 200
    assert submit(cdn, "purge", f"{SITE}/49")[0] == 200
    status, answer = submit(cdn, "purge", f"{SITE}/50")
    assert status == 400
    assert "50 concurrent" in answer["Message"]
    assert submit(cdn, "bulkload", [*urls, f"{SITE}/49"])[0] == 200
    assert submit(cdn, "load", f"{SITE}/50")[0] == 400
    clock.advance(60)
    assert submit(cdn, "bulkpurge", [*urls, f"{SITE}/49"])[0] == 200


def test_more_than_the_limit_at_once_never_fits(cdn: EdgecastSimulator) -> None:
    assert submit(cdn, "bulkpurge", [f"{SITE}/{number}" for number in range(51)])[0] == 400


def test_limits_can_be_switched_off(origin: Origin, clock: ManualClock) -> None:
    with EdgecastSimulator(origin.url, clock=clock, seconds=60, limits=False) as cdn:
        assert submit(cdn, "bulkpurge", [f"{SITE}/{number}" for number in range(51)])[0] == 200


@pytest.mark.parametrize(
    ("wildcard", "matched"),
    [
        ("/*", {"/a.flv", "/p/gala1.flv", "/p/gala2.fla", "/p/x.mp4", "/p/noext", "/p/q/gala3.flv"}),
        ("/p/*", {"/p/gala1.flv", "/p/gala2.fla", "/p/x.mp4", "/p/noext", "/p/q/gala3.flv"}),
        ("/p/*.*", {"/p/gala1.flv", "/p/gala2.fla", "/p/x.mp4"}),
        ("/p/gala*.fl*", {"/p/gala1.flv", "/p/gala2.fla"}),
        ("/p/gala1.flv", {"/p/gala1.flv"}),
        ("/p", set()),
    ],
)
def test_wildcards(origin: Origin, wildcard: str, matched: set[str]) -> None:
    paths = ["/a.flv", "/p/gala1.flv", "/p/gala2.fla", "/p/x.mp4", "/p/noext", "/p/q/gala3.flv"]
    with EdgecastSimulator(origin.url) as cdn:
        for path in paths:
            cdn.fetch(SITE + path)
        submit(cdn, "purge", SITE + wildcard)
        assert {path for path in paths if cdn.fetch(SITE + path).cache != "HIT"} == matched


def test_a_purge_ignores_the_scheme_and_a_load_does_not(origin: Origin) -> None:
    with EdgecastSimulator(origin.url) as cdn:
        submit(cdn, "load", "http://www.acme.com/a")
        assert cdn.fetch("http://www.acme.com/a").cache == "HIT"
        assert cdn.fetch(f"{SITE}/a").cache == "MISS"
        submit(cdn, "purge", "http://www.acme.com/a")
        assert cdn.fetch(f"{SITE}/a").cache != "HIT"


def test_a_purge_hits_all_names_of_the_same_asset(origin: Origin) -> None:
    hosts = {"www.acme.com": "acme", "cdn.acme.com": "acme", "www.other.com": "other"}
    with EdgecastSimulator(origin.url, hosts=hosts) as cdn:
        for host in hosts:
            cdn.fetch(f"https://{host}/a")
        submit(cdn, "purge", "http://cdn.acme.com/a")
        assert [cdn.fetch(f"https://{host}/a").cache == "HIT" for host in hosts] == [False, False, True]


def test_a_purge_is_for_one_platform(origin: Origin) -> None:
    with EdgecastSimulator(origin.url, platform="small") as cdn:
        cdn.fetch(f"{SITE}/a")
        submit(cdn, "purge", f"{SITE}/a", 3)
        assert cdn.fetch(f"{SITE}/a").cache == "HIT"
        submit(cdn, "purge", f"{SITE}/a", 8)
        assert cdn.fetch(f"{SITE}/a").cache != "HIT"


def test_a_purge_invalidates_so_that_unchanged_bytes_are_revalidated_at_once(origin: Origin) -> None:
    with EdgecastSimulator(origin.url) as cdn:
        origin.put("a", "same", {"Cache-Control": "max-age=60, stale-while-revalidate=600"})
        cdn.fetch(f"{SITE}/a")
        submit(cdn, "purge", f"{SITE}/a")
        assert cdn.fetch(f"{SITE}/a").cache == "REVALIDATED"


def test_its_options_make_a_config(cdn: EdgecastSimulator) -> None:
    assert cdn.options() == {"type": "edgecast", "endpoint": cdn.endpoint, "account": "1A2B", "platform": "large"}
    assert cdn.secrets() == {"token": cdn.token}
