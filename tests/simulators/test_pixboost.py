"""The simulated Pixboost: invalidation, warm-up, and an edge that makes images of sources."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.pixboost import PixboostSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = "https://pictures.acme.com/a.png"


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin() as running:
        running.put("a.png", "old")
        yield running


@pytest.fixture
def cdn(origin: Origin) -> Iterator[PixboostSimulator]:
    with PixboostSimulator(origin.url, secret="secret", api_key="key") as running:
        yield running


def ask(cdn: PixboostSimulator, method: str, target: str, body: object = None) -> tuple[int, Any]:
    parts = urlsplit(cdn.endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        connection.request(method, target, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def warm(cdn: PixboostSimulator, images: object, auth: str = "secret") -> int:
    return ask(cdn, "POST", f"/api/2/img/warmup?auth={auth}", {"images": images})[0]


def test_images_come_from_the_path_of_their_source(cdn: PixboostSimulator, origin: Origin) -> None:
    origin.put("dir/b c.png", "bytes")
    assert cdn.fetch(cdn.image_url("https://pictures.acme.com/dir/b%20c.png")).body == b"bytes"
    assert cdn.fetch(cdn.image_url("alias/dir/b%20c.png")).body == b"bytes"
    assert [request.target for request in origin.requests] == ["/dir/b%20c.png"] * 2


@pytest.mark.parametrize("operation", ["resize", "fit", "optimise", "asis"])
def test_every_operation_is_cached_by_itself(cdn: PixboostSimulator, operation: str) -> None:
    small = cdn.image_url(SOURCE, operation, size="x100")
    assert [cdn.fetch(small).cache, cdn.fetch(small).cache] == ["MISS", "HIT"]
    assert cdn.fetch(cdn.image_url(SOURCE, operation, size="x200")).cache == "MISS"
    assert cdn.fetch(cdn.image_url(SOURCE, operation, size="x100", host="images.acme.com")).cache == "MISS"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://pixboost.com/", 404),
        (f"https://pixboost.com/api/2/img/{SOURCE}?auth=key", 404),
        (f"https://pixboost.com/api/2/img/{SOURCE}/rotate?auth=key", 404),
        (f"https://pixboost.com/api/2/img/{SOURCE}/fit?auth=other", 401),
        (f"https://pixboost.com/api/2/img/{SOURCE}/fit", 401),
    ],
)
def test_clients_get_images_only_and_only_with_the_key(cdn: PixboostSimulator, url: str, status: int) -> None:
    assert cdn.fetch(url).status == status


def test_a_cached_source_is_accepted_and_one_that_is_not_is_done(cdn: PixboostSimulator, origin: Origin) -> None:
    page = cdn.image_url(SOURCE)
    cdn.fetch(page)
    origin.put("a.png", "new")
    assert ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?auth=secret") == (202, {})
    assert cdn.fetch(page).body == b"new"
    assert ask(cdn, "DELETE", "/api/2/img/https://pictures.acme.com/b.png?auth=secret") == (200, {})


def test_an_accepted_invalidation_takes_its_time(origin: Origin) -> None:
    clock = ManualClock()
    with PixboostSimulator(origin.url, secret="secret", seconds=300, clock=clock) as cdn:
        page = cdn.image_url(SOURCE)
        cdn.fetch(page)
        ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?auth=secret")
        clock.advance(299)
        assert cdn.fetch(page).cache == "HIT"
        clock.advance(1)
        assert cdn.fetch(page).cache == "MISS"


@pytest.mark.parametrize("auth", ["", "other", "key", "secret%20", "Secret"])
def test_a_wrong_secret_is_unauthorized(cdn: PixboostSimulator, auth: str) -> None:
    assert ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?auth={auth}")[0] == 401
    assert warm(cdn, [cdn.image_url(SOURCE)], auth) == 401
    assert cdn.warmed == []


def test_an_unencoded_question_mark_in_the_source_hides_no_secret_but_a_hash_does(cdn: PixboostSimulator) -> None:
    assert ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?v=1?auth=secret")[0] == 200
    assert ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?v=1&oauth=secret")[0] == 401


def test_sources_that_are_not_configured_are_unauthorized(origin: Origin) -> None:
    with PixboostSimulator(origin.url, secret="secret", sources=["Pictures.acme.com", "alias"]) as cdn:
        targets = [
            SOURCE,
            "alias/a.png",
            "https://evil.com/a.png",
            "https://evil.com/https://pictures.acme.com.evil/a.png",
        ]
        seen = [ask(cdn, "DELETE", f"/api/2/img/{target}?auth=secret")[0] for target in targets]
        assert seen == [200, 200, 401, 401]
        assert cdn.fetch(cdn.image_url("https://evil.com/a.png")).status == 401


def test_a_warm_up_fetches_into_the_cache_and_is_recorded(cdn: PixboostSimulator) -> None:
    pages = [cdn.image_url(SOURCE, "resize", size="x100"), cdn.image_url(SOURCE, "fit", size="100x100")]
    assert warm(cdn, pages) == 202
    assert cdn.warmed == pages
    assert [cdn.fetch(page).cache for page in pages] == ["HIT", "HIT"]
    assert cdn.calls[0].items == 2


def test_a_warm_up_of_a_slightly_different_url_warms_nothing_for_the_page(cdn: PixboostSimulator) -> None:
    page = cdn.image_url("https://pictures.acme.com/a%2Fb.png")
    warm(cdn, [page.replace("%2F", "%2f"), "no url", "https://pixboost.com/elsewhere"])
    assert cdn.fetch(page).cache == "MISS"


@pytest.mark.parametrize("images", [[], None, "https://pixboost.com/a", [1], [["a"]], ["a"] * 21])
def test_warm_ups_that_are_not_as_documented_are_bad_requests(cdn: PixboostSimulator, images: object) -> None:
    assert warm(cdn, images) == 400


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/2/img/a?auth=secret", 405),
        ("POST", "/api/2/img/a?auth=secret", 405),
        ("DELETE", "/api/1/img/a?auth=secret", 404),
        ("DELETE", "/api/2/img/a", 404),
    ],
)
def test_there_is_nothing_else(cdn: PixboostSimulator, method: str, target: str, status: int) -> None:
    assert ask(cdn, method, target)[0] == status


def test_the_secret_is_masked_in_what_is_recorded(cdn: PixboostSimulator) -> None:
    ask(cdn, "DELETE", f"/api/2/img/{SOURCE}?auth=secret")
    assert cdn.calls[0].target == f"/api/2/img/{SOURCE}?auth=***"
    assert cdn.options() == {"type": "pixboost", "endpoint": cdn.endpoint}
    assert cdn.secrets() == {"secret": "secret"}
