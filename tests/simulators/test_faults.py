"""Faults of a simulator's API: each does what its name says, when it is told to."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from multicdn.simulators import Request, Response, Server
from multicdn.simulators.kit import faults
from multicdn.simulators.kit.faults import Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Api:
    """An API that counts what it did."""

    def __init__(self) -> None:
        self.done = 0
        self.faults = Faults()

    def work(self, _request: Request) -> Response:
        self.done += 1
        return Response(body=b"x" * 100)

    def answer(self, request: Request) -> Response:
        return self.faults.apply(request, self.work)


@contextmanager
def running(api: Api) -> Iterator[http.client.HTTPConnection]:
    with Server(api.answer) as server:
        connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=5)
        try:
            yield connection
        finally:
            api.faults.clear()
            connection.close()


def get(connection: http.client.HTTPConnection, path: str = "/") -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (faults.status(503, {"Retry-After": "1"}, "<h1>busy</h1>"), 503, b"<h1>busy</h1>"),
        (faults.status(429), 429, b""),
        (faults.garbage(), 200, b"It works!"),
    ],
)
def test_false_answer_leaves_the_work_undone(fault: Fault, status: int, body: bytes) -> None:
    api = Api()
    api.faults.once(fault)
    with running(api) as connection:
        got = get(connection)
        assert (got[0], body in got[1], api.done) == (status, True, 0)
        assert get(connection) == (200, b"x" * 100)


@pytest.mark.parametrize(
    ("fault", "done"), [(faults.reset(), 0), (faults.hang(0.01), 0), (faults.lost(), 1)], ids=["reset", "hang", "lost"]
)
def test_connection_is_reset_with_the_work_done_or_undone(fault: Fault, done: int) -> None:
    api = Api()
    api.faults.once(fault)
    with running(api) as connection, pytest.raises(ConnectionResetError):
        get(connection)
    assert api.done == done


def test_answer_breaks_off_after_some_bytes() -> None:
    api = Api()
    api.faults.once(faults.drop_after(60))
    with running(api) as connection, pytest.raises(http.client.IncompleteRead) as broken:
        get(connection)
    assert 0 < len(broken.value.partial) < 100


def test_slow_answer_is_right() -> None:
    api = Api()
    api.faults.once(faults.slow(0.01))
    with running(api) as connection:
        assert get(connection) == (200, b"x" * 100)


def telling(event: threading.Event) -> Callable[[Request], bool]:
    """Make a condition that is always true, and sets an event when it is asked."""

    def condition(_request: Request) -> bool:
        event.set()
        return True

    return condition


def test_clear_releases_what_hangs() -> None:
    api = Api()
    arrived = threading.Event()
    api.faults.always(faults.hang(60), when=telling(arrived))
    with running(api) as connection:
        connection.request("GET", "/")
        assert arrived.wait(5)
        api.faults.clear()
        with pytest.raises(ConnectionResetError):
            connection.getresponse()
        connection.close()
        assert get(connection)[0] == 200


def statuses(api: Api, count: int, path: str = "/") -> list[int]:
    return [api.answer(Request("GET", path)).status for _ in range(count)]


def test_once_counts_its_times_and_always_lasts() -> None:
    api = Api()
    api.faults.once(faults.status(500), times=2)
    assert statuses(api, 4) == [500, 500, 200, 200]
    api.faults.always(faults.status(503))
    assert statuses(api, 3) == [503, 503, 503]
    api.faults.clear()
    assert statuses(api, 1) == [200]


def test_oldest_rule_that_applies_wins() -> None:
    api = Api()
    api.faults.once(faults.status(500), when=lambda request: request.path == "/a")
    api.faults.once(faults.status(501))
    api.faults.always(faults.status(502))
    assert statuses(api, 1, "/b") == [501]
    assert statuses(api, 2, "/a") == [500, 502]


def test_sometimes_is_repeatable_and_near_its_probability() -> None:
    def run(seed: int) -> list[int]:
        api = Api()
        api.faults.sometimes(faults.status(500), 0.3, seed=seed)
        return statuses(api, 300)

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert 60 < run(1).count(500) < 120


def test_once_is_used_up_once_by_many_threads() -> None:
    api = Api()
    api.faults.once(faults.status(500), times=50)
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.extend(statuses(api, 50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen.count(500), seen.count(200)) == (50, 150)
