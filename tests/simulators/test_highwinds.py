"""The simulated Highwinds: its routes, its limit, its types, and how its edge forgets."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest

from multicdn.simulators.highwinds import HighwindsSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import ManualClock, Origin

SITE = "https://www.acme.com"
ACCOUNT = "/api/v1/accounts/a1b2c3d4"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def cdn(origin: Origin, clock: ManualClock) -> Iterator[HighwindsSimulator]:
    with HighwindsSimulator(origin.url, clock=clock, sub_accounts=["e5f6a7b8"], expires_in=600) as running:
        yield running


def send(
    cdn: HighwindsSimulator, method: str, target: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, str | None]:
    parts = urlsplit(cdn.endpoint)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
    try:
        text = body if isinstance(body, str) else json.dumps(body)
        connection.request(method, target, text, headers or {"Authorization": f"Bearer {cdn.token}"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.getheader("Retry-After")
    finally:
        connection.close()


def log_in(cdn: HighwindsSimulator, **changes: str) -> tuple[int, Any]:
    form = {"grant_type": "password", "username": cdn.user, "password": cdn.password, **changes}
    return send(cdn, "POST", "/auth/token", urlencode(form), FORM)[:2]


def purge(cdn: HighwindsSimulator, url: object, **how: object) -> tuple[int, Any]:
    return send(cdn, "POST", f"{ACCOUNT}/purge", {"list": [{"url": url, **how}]})[:2]


def survivors(cdn: HighwindsSimulator, *urls: str) -> list[str]:
    return [url for url in urls if cdn.fetch(url).cache == "HIT"]


def test_a_password_gets_a_token_for_a_while(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    status, answer = log_in(cdn)
    assert status == 200
    assert {name: type(value) for name, value in answer.items()} == {
        "access_token": str,
        "token_type": str,
        "expires_in": int,
        "refresh_token": str,
    }
    bearer = {"Authorization": f"Bearer {answer['access_token']}"}
    assert send(cdn, "GET", "/api/v1/users/me", headers=bearer)[0] == 200
    clock.advance(600)
    assert send(cdn, "GET", "/api/v1/users/me", headers=bearer)[0] == 401


def test_withdrawn_logins_are_unauthorized_and_the_long_lived_token_is_not(cdn: HighwindsSimulator) -> None:
    bearer = {"Authorization": f"Bearer {log_in(cdn)[1]['access_token']}"}
    cdn.revoke_logins()
    assert send(cdn, "GET", "/api/v1/users/me", headers=bearer)[0] == 401
    assert send(cdn, "GET", "/api/v1/users/me")[0] == 200


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"password": "wrong"}, 401, 203),
        ({"username": "wrong"}, 401, 203),
        ({"grant_type": "client_credentials"}, 400, 400),
    ],
)
def test_bad_credentials(cdn: HighwindsSimulator, change: dict[str, str], status: int, code: int) -> None:
    seen, answer = log_in(cdn, **change)
    assert (seen, answer["code"]) == (status, code)
    assert answer["error"]
    assert cdn.logins == 0


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer other", "bearer {}", "Basic {}"])
def test_other_credentials_are_unauthorized(cdn: HighwindsSimulator, given: str) -> None:
    headers = {"Authorization": given.format(cdn.token)}
    assert send(cdn, "POST", f"{ACCOUNT}/purge", {"list": [{"url": "//a.com/"}]}, headers)[0] == 401


def test_who_am_i_and_sub_accounts(cdn: HighwindsSimulator) -> None:
    assert send(cdn, "GET", "/api/v1/users/me")[1] == {"accountHash": "a1b2c3d4", "id": 4711}
    assert send(cdn, "GET", f"{ACCOUNT}/subaccounts")[1] == {"list": [{"accountHash": "e5f6a7b8"}]}
    assert send(cdn, "GET", "/api/v1/accounts/e5f6a7b8/subaccounts")[1] == {"list": []}


def test_a_password_gets_a_long_lived_token(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    body = {"password": cdn.password, "application": "www.acme.com"}
    status, answer, _ = send(cdn, "POST", f"{ACCOUNT}/users/4711/tokens", body)
    assert status == 200
    clock.advance(1e9)
    bearer = {"Authorization": f"Bearer {answer['token']}"}
    assert send(cdn, "GET", "/api/v1/users/me", headers=bearer)[0] == 200


@pytest.mark.parametrize(
    ("user", "body", "status"),
    [
        (4711, {"password": "wrong", "application": "a"}, 401),
        (4712, {"password": "simulated-password", "application": "a"}, 401),
        (4711, {"password": "simulated-password"}, 400),
        (4711, "no json", 401),
    ],
)
def test_a_long_lived_token_needs_password_and_application(
    cdn: HighwindsSimulator, user: int, body: object, status: int
) -> None:
    assert send(cdn, "POST", f"{ACCOUNT}/users/{user}/tokens", body)[0] == status


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("POST", "/api/v1/accounts/ffffffff/purge", 404),
        ("POST", f"{ACCOUNT}/evict", 404),
        ("GET", f"{ACCOUNT}/purge/00000099", 404),
        ("GET", f"{ACCOUNT}/purge", 405),
        ("DELETE", f"{ACCOUNT}/purge/1", 405),
        ("GET", "/auth/token", 404),
    ],
)
def test_what_is_not_there_is_not_found(cdn: HighwindsSimulator, method: str, target: str, status: int) -> None:
    assert send(cdn, method, target, {"list": [{"url": "//a.com/"}]})[0] == status


@pytest.mark.parametrize(
    "body",
    [
        "no json",
        [],
        {},
        {"list": []},
        {"list": {}},
        {"list": ["//www.acme.com/a"]},
        {"list": [{"url": 7}]},
        {"list": [{}]},
        {"list": [{"url": "www.acme.com/a"}]},
        {"list": [{"url": "//www.acme.com/a", "recursive": "false"}]},
        {"list": [{"url": "//www.acme.com/a", "purgeAllDynamic": 1}]},
        {"list": [{"url": "//www.acme.com/a", "invalidateOnly": None}]},
        {"list": [{"url": "//www.acme.com/a"}, {"url": "//www.acme.com/b", "recursive": "true"}]},
    ],
)
def test_bodies_that_are_not_as_documented_purge_nothing(cdn: HighwindsSimulator, body: object) -> None:
    cdn.fetch(f"{SITE}/a")
    assert send(cdn, "POST", f"{ACCOUNT}/purge", body)[0] == 400
    assert survivors(cdn, f"{SITE}/a")


def test_one_url_too_many_refuses_the_whole_request(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    full = {"list": [{"url": f"//www.acme.com/{number}"} for number in range(100)]}
    assert send(cdn, "POST", f"{ACCOUNT}/purge", full)[0] == 200
    cdn.fetch(f"{SITE}/a")
    clock.advance(1.5)
    status, answer, wait = send(cdn, "POST", f"{ACCOUNT}/purge", {"list": [{"url": "//www.acme.com/a"}]})
    assert (status, answer["code"], wait) == (429, 429, "59")
    assert "in 59 seconds" in answer["error"]
    assert survivors(cdn, f"{SITE}/a")
    clock.advance(58.5)
    assert purge(cdn, "//www.acme.com/a")[0] == 200


def test_the_limit_is_for_one_account_and_can_be_switched_off(origin: Origin) -> None:
    full = {"list": [{"url": f"//www.acme.com/{number}"} for number in range(100)]}
    with HighwindsSimulator(origin.url, sub_accounts=["e5f6a7b8"]) as cdn:
        assert send(cdn, "POST", f"{ACCOUNT}/purge", full)[0] == 200
        assert send(cdn, "POST", "/api/v1/accounts/e5f6a7b8/purge", full)[0] == 200
    with HighwindsSimulator(origin.url, limits=False) as cdn:
        assert [send(cdn, "POST", f"{ACCOUNT}/purge", full)[0] for _ in range(3)] == [200] * 3


@pytest.mark.parametrize(
    ("url", "how", "purged"),
    [
        ("//www.acme.com/d/a", {}, {"http:/d/a", "https:/d/a"}),
        ("http://www.acme.com/d/a", {}, {"http:/d/a"}),
        ("https://www.acme.com/d/a", {"purgeAllDynamic": True}, {"https:/d/a", "https:/d/a?v=1"}),
        ("https://www.acme.com/d/a?v=1", {}, {"https:/d/a?v=1"}),
        ("https://www.acme.com/d/a", {"recursive": True}, {"https:/d/a", "https:/d/a?v=1"}),
        ("https://www.acme.com/d/", {"recursive": True}, {"https:/d/a", "https:/d/a?v=1", "https:/d/e/f"}),
        ("https://www.acme.com/d", {"recursive": True}, {"https:/d/a", "https:/d/a?v=1", "https:/d/e/f"}),
        ("https://www.acme.com/d/", {}, set()),
        (
            "//www.acme.com/",
            {"recursive": True},
            {"http:/d/a", "https:/d/a", "https:/d/a?v=1", "https:/d/e/f", "https:/dx"},
        ),
        ("//other.com/", {"recursive": True}, set()),
    ],
)
def test_what_a_purge_covers(cdn: HighwindsSimulator, url: str, how: dict[str, bool], purged: set[str]) -> None:
    cached = ["http:/d/a", "https:/d/a", "https:/d/a?v=1", "https:/d/e/f", "https:/dx"]
    urls = {name: name.replace(":", "://www.acme.com", 1) for name in cached}
    for public in urls.values():
        cdn.fetch(public)
    assert purge(cdn, url, **how)[0] == 200
    assert {name for name, public in urls.items() if cdn.fetch(public).cache != "HIT"} == purged


def test_invalidate_only_expires_and_the_default_deletes(cdn: HighwindsSimulator, origin: Origin) -> None:
    origin.put("a", "same")
    cdn.fetch(f"{SITE}/a")
    purge(cdn, "//www.acme.com/a", invalidateOnly=True)
    assert cdn.fetch(f"{SITE}/a").cache == "REVALIDATED"
    purge(cdn, "//www.acme.com/a")
    assert cdn.fetch(f"{SITE}/a").cache == "MISS"


def test_accepted_is_not_done(origin: Origin, clock: ManualClock) -> None:
    with HighwindsSimulator(origin.url, clock=clock, seconds=10) as cdn:
        cdn.fetch(f"{SITE}/a")
        number = purge(cdn, "//www.acme.com/a")[1]["id"]
        clock.advance(4)
        assert send(cdn, "GET", f"{ACCOUNT}/purge/{number}")[1] == {"progress": 0.4}
        assert survivors(cdn, f"{SITE}/a")
        clock.advance(6)
        assert send(cdn, "GET", f"{ACCOUNT}/purge/{number}")[1] == {"progress": 1.0}
        assert not survivors(cdn, f"{SITE}/a")


def test_progress_can_rise_with_every_question(origin: Origin) -> None:
    with HighwindsSimulator(origin.url, polls=2) as cdn:
        cdn.fetch(f"{SITE}/a")
        number = purge(cdn, "//www.acme.com/a")[1]["id"]
        seen = [send(cdn, "GET", f"{ACCOUNT}/purge/{number}")[1]["progress"] for _ in range(3)]
        assert seen == [0.5, 1.0, 1.0]
        assert not survivors(cdn, f"{SITE}/a")


def test_its_options_make_a_config_and_its_record_has_no_secrets(cdn: HighwindsSimulator) -> None:
    assert cdn.options() == {"type": "highwinds", "endpoint": cdn.endpoint, "account": "a1b2c3d4"}
    log_in(cdn)
    send(cdn, "POST", f"{ACCOUNT}/users/4711/tokens", {"password": cdn.password, "application": "a"})
    purge(cdn, "//www.acme.com/a")
    assert cdn.password not in repr(cdn.calls)
    assert cdn.token not in repr(cdn.calls)
