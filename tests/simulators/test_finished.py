"""What vendors say of a purge that they have accepted: done once it has got everywhere, and what each POP serves."""

from __future__ import annotations

import hashlib
import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from multicdn.simulators import Headers, ManualClock, Origin, Pop, Refused, Request, Topology
from multicdn.simulators.cloudfront.invalidations import Invalidations
from multicdn.simulators.edgecast import EdgecastSimulator
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.highwinds import HighwindsSimulator
from multicdn.simulators.kit.client import Client
from multicdn.simulators.kit.jobs import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = "https://www.acme.com/a"


def ask(cdn: Any, method: str, target: str, body: Any = None, **headers: str) -> Any:
    sent = b"" if body is None else json.dumps(body).encode()
    cdn.settle()
    return json.loads(cdn.api(Request(method, target, Headers(headers), sent)).body)


@pytest.mark.parametrize(("seconds", "delay"), [(0, 5), (10, 5), (10, 0)])
def test_a_request_has_ended_when_its_effect_is_everywhere(clock: ManualClock, seconds: float, delay: float) -> None:
    jobs = Jobs(clock, seconds, spread=lambda: delay)
    began, done = clock(), []
    work = jobs.submit("purge", ["a"], lambda: done.append(clock()))
    progress = []
    for _ in range(int(seconds + delay)):
        assert work.ended_at is None
        progress.append(jobs.progress(work))
        clock.advance(1)
        jobs.settle()
    assert progress == sorted(progress)
    assert progress[-1] < 1
    assert (work.ended_at, jobs.progress(work), done) == (began + seconds + delay, 1.0, [began + seconds])


def test_what_was_due_long_ago_ended_then(clock: ManualClock) -> None:
    jobs = Jobs(clock, 10, spread=lambda: 5.0)
    work = jobs.submit("purge", ["a"], lambda: None)
    clock.advance(100)
    jobs.settle()
    assert work.ended_at == work.begun_at + 15


def test_questions_are_not_enough_while_it_is_on_its_way(clock: ManualClock) -> None:
    jobs = Jobs(clock, polls=2, spread=lambda: 5.0)
    work = jobs.submit("purge", ["a"], lambda: None)
    jobs.find("purge", work.id)
    clock.advance(10)
    jobs.find("purge", work.id)
    assert (work.ended_at, jobs.progress(work) < 1) == (None, True)
    clock.advance(5)
    assert jobs.find("purge", work.id) is work
    assert work.ended_at is not None


@pytest.mark.parametrize(
    ("effective", "completed", "polls", "spread", "at"),
    [(0, 20, None, 0, 20), (0, 20, None, 30, 30), (10, 20, None, 30, 40), (0, 20, 1, 5, 5), (5, 2, None, 0, 5)],
)
def test_an_invalidation_is_completed_when_no_edge_waits_for_it(
    clock: ManualClock, effective: float, completed: float, polls: int | None, spread: float, at: float
) -> None:
    made = Invalidations(
        None,
        clock,
        effective_after=effective,
        completed_after=completed,
        completed_after_polls=polls,
        spread=lambda: spread,
    )
    one = made.create("E1", "ref", ("/a",))
    states = []
    for _ in range(int(at) + 1):
        made.due()
        states.append(made.status(made.find("E1", one.id)))
        clock.advance(1)
    assert states == ["InProgress"] * int(at) + ["Completed"]


def test_edgecast_and_highwinds_say_done_when_their_slowest_pop_has_it(origin: Origin, clock: ManualClock) -> None:
    slow = Topology(pops=(Pop("FRA"), Pop("IAD", delay=5)))
    edgecast, highwinds = EdgecastSimulator(origin.url, clock=clock), HighwindsSimulator(origin.url, clock=clock)
    edgecast.topology = highwinds.topology = slow
    base, token = "/v2/mcc/customers/1A2B/edge", {"Authorization": f"TOK: {edgecast.token}"}
    bulk = ask(edgecast, "PUT", f"{base}/bulkpurge", {"MediaPath": [URL], "MediaType": 3}, **token)["Id"]
    one = ask(edgecast, "PUT", f"{base}/purge", {"MediaPath": URL, "MediaType": 3}, **token)["Id"]
    accounts, bearer = "/api/v1/accounts/a1b2c3d4/purge", {"Authorization": f"Bearer {highwinds.token}"}
    purge = ask(highwinds, "POST", accounts, {"list": [{"url": URL}]}, **bearer)["id"]

    def said() -> list[object]:
        details = ask(edgecast, "GET", f"{base}/bulkpurge/{bulk}", **token)["Status_Details"]
        single = ask(edgecast, "GET", f"{base}/purge/{one}", **token)["CompleteDate"]
        progress = ask(highwinds, "GET", f"{accounts}/{purge}", **bearer)["progress"]
        return [details["Status"], single is not None, progress]

    assert said() == ["in-progress", False, 0.0]
    clock.advance(4)
    assert said() == ["in-progress", False, 0.8]
    clock.advance(1)
    assert said() == ["done", True, 1.0]


def test_what_was_due_long_ago_got_everywhere_then(origin: Origin, clock: ManualClock) -> None:
    cdn = HighwindsSimulator(origin.url, clock=clock, seconds=10)
    cdn.topology = Topology(purge_delay=5)
    with cdn:
        origin.put("a", "old")
        cdn.fetch(URL)
        origin.put("a", "new")
        entry = {"list": [{"url": URL}]}
        ask(cdn, "POST", "/api/v1/accounts/a1b2c3d4/purge", entry, Authorization=f"Bearer {cdn.token}")
        clock.advance(15)
        assert cdn.fetch(URL).body == b"new"


@pytest.fixture
def fastly(origin: Origin, clock: ManualClock) -> Iterator[FastlySimulator]:
    cdn = FastlySimulator(origin.url, clock=clock)
    cdn.topology = Topology(pops=(Pop("FRA"), Pop("IAD", delay=5)))
    with cdn:
        yield cdn


def check(cdn: FastlySimulator, url: str = URL, **headers: str) -> Any:
    target = f"/content/edge_check?{urlencode({'url': url})}"
    return ask(cdn, "GET", target, None, **{"Fastly-Key": cdn.token, **headers})


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_edge_check_says_what_each_pop_serves(origin: Origin, clock: ManualClock, fastly: FastlySimulator) -> None:
    origin.put("a", "old")
    assert {each["hash"] for each in check(fastly)} == {md5("old")}
    origin.put("a", "new")
    fastly.edge.purge_key("www.acme.com/a")
    fra, iad = check(fastly)
    assert fra.keys() == {"pop", "server", "hash", "response_time", "request", "response"}
    assert [(each["pop"], each["hash"]) for each in (fra, iad)] == [("FRA", md5("new")), ("IAD", md5("old"))]
    assert (iad["server"], iad["request"]["headers"]["Host"]) == ("cache-iad1041-IAD", "www.acme.com")
    assert (iad["response"]["status"], iad["response"]["headers"]["ETag"]) == (200, f'"{md5("old")}"')
    clock.advance(5)
    assert {each["hash"] for each in check(fastly, "www.acme.com/a")} == {md5("new")}, "without a scheme it is http"


def test_edge_check_says_which_pop_hangs_and_what_is_too_large(origin: Origin, fastly: FastlySimulator) -> None:
    origin.put("a", "12345")
    fastly.topology.pops[1].hangs = True
    fastly.largest_checked = 4
    fra, iad = check(fastly)
    assert (fra["hash"], iad["hash"]) == ("warning-too-large-FRA", "error-timeout-IAD")
    assert iad["response"] == {"status": 0, "headers": {}}
    fastly.largest_checked = 5
    assert check(fastly)[0]["hash"] == md5("12345")


def test_edge_check_has_a_rate_of_its_own(fastly: FastlySimulator, clock: ManualClock) -> None:
    for _ in range(200):
        check(fastly)
    with pytest.raises(Refused) as refused:
        check(fastly)
    assert refused.value.response.status == 429
    clock.advance(3600)
    assert len(check(fastly)) == 2


@pytest.mark.parametrize(
    ("scope", "headers", "url", "status"),
    [
        ("", {"Fastly-Key": "another"}, URL, 401),
        ("global:read", {}, URL, 403),
        ("", {}, "", 400),
        ("", {}, "https://other.com/a", 404),
    ],
)
def test_edge_check_refuses(
    fastly: FastlySimulator, scope: str, headers: dict[str, str], url: str, status: int
) -> None:
    fastly.check_scope, fastly.hosts = scope, frozenset(("www.acme.com",))
    with pytest.raises(Refused) as refused:
        check(fastly, url, **headers)
    assert refused.value.response.status == status


def test_who_asks_a_pop_that_hangs_waits_until_it_is_stopped(fastly: FastlySimulator) -> None:
    fastly.topology.pops[1].hangs = True
    assert fastly.fetch(URL).status == 404
    client = Client(fastly.pop_url("IAD"))
    fastly._stopped.set()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.send("GET", "/a", {"Host": "www.acme.com"})
    client.close()
