"""The Highwinds provider against the simulated API: its calls, its logins, its errors, and what its edge serves."""

from __future__ import annotations

import json
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import FakeClock, delivery, demand
from multicdn_providers.highwinds import Highwinds, api

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, Status, Target, TargetKind
from multicdn.provider import Call, Secret, SoftPurge, capabilities
from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.highwinds import HighwindsSimulator
from multicdn.simulators.kit import faults
from multicdn.testing._conformance.failure_cases import ODD_PATHS, REDIRECTS, TROUBLES, Trouble
from multicdn.testing._conformance.side_effects import everything_said, outside_work
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "https://www.acme.com"
TOKEN = "0123456789abcdef-long-lived-token"
PASSWORD = "pass w0rd+with/odd&characters=中"
SOFT = Call(soft=True, connect=1.0, read=2.0)
CALL = Call(connect=1.0, read=2.0)


@pytest.fixture
def cdn(origin: Origin, clock: ManualClock) -> Iterator[HighwindsSimulator]:
    with HighwindsSimulator(
        origin.url, token=TOKEN, password=PASSWORD, sub_accounts=["e5f6a7b8"], clock=clock
    ) as running:
        yield running


def provider_of(cdn: HighwindsSimulator, **options: object) -> Highwinds:
    fixed = {"endpoint": cdn.endpoint, "account": cdn.account, "token": Secret.literal(cdn.token)}
    return Highwinds(**{**fixed, **options})


def login_of(cdn: HighwindsSimulator, password: str = PASSWORD) -> Highwinds:
    return provider_of(cdn, token=None, user=cdn.user, password=Secret.literal(password))


def located(text: str, kind: TargetKind = TargetKind.URL) -> str:
    provider = Highwinds(endpoint="https://api.example.com", account="a", token=Secret.literal(TOKEN))
    [target] = provider.locate(Target(kind, text), Action.PURGE)
    assert target.kind is kind
    value: str = target.value
    return value


def purge(cdn: HighwindsSimulator, *urls: str, call: Call = CALL, **options: object) -> None:
    provider_of(cdn, **options).purge_urls([located(url) for url in urls], call)


def test_it_purges_urls_prefixes_and_hosts_hard_and_soft() -> None:
    assert {what.kind for what in capabilities(Highwinds)} == {TargetKind.URL, TargetKind.PREFIX, TargetKind.HOST}
    assert {what.action for what in capabilities(Highwinds)} == {Action.PURGE}
    assert issubclass(Highwinds, SoftPurge)


def test_its_end_is_dated() -> None:
    assert "2023" in Highwinds.retired
    assert "2024-06" in Highwinds.retired


def test_its_pace_is_a_hundred_urls_a_minute() -> None:
    provider = Highwinds(endpoint="http://127.0.0.1:1", account="a1b2c3d4", token=Secret.literal("token"))
    for limits in (provider.url_limits, provider.prefix_limits, provider.host_limits):
        assert (limits.targets, limits.targets_per_second) == (100, 100 / 60)
        assert limits.quota == "highwinds a1b2c3d4"


def test_without_an_endpoint_there_is_no_provider_and_no_socket() -> None:
    with outside_work() as seen, pytest.raises(TypeError, match="endpoint"):
        Highwinds(account="a1b2c3d4", token=Secret.literal(TOKEN))
    assert not seen


@pytest.mark.parametrize("endpoint", ["http://api.example.com", "api.example.com", ""])
def test_an_endpoint_in_clear_or_none_at_all_is_refused(endpoint: str) -> None:
    with outside_work() as seen, pytest.raises(ValueError, match="endpoint"):
        Highwinds(endpoint=endpoint, account="a1b2c3d4", token=Secret.literal(TOKEN))
    assert not seen


@pytest.mark.parametrize("user", ["", "ops"])
@pytest.mark.parametrize("password", [None, Secret.literal(PASSWORD)], ids=["no password", "password"])
@pytest.mark.parametrize("token", [None, Secret.literal(TOKEN)], ids=["no token", "token"])
def test_there_is_exactly_one_way_to_log_in(user: str, password: Secret | None, token: Secret | None) -> None:
    options = {
        "endpoint": "https://api.example.com",
        "account": "a",
        "user": user,
        "password": password,
        "token": token,
    }
    if bool(token) is not bool(user and password) and bool(user) is bool(password):
        Highwinds(**options)
    else:
        with pytest.raises(ValueError, match="token"):
            Highwinds(**options)


def test_the_call_as_documented(cdn: HighwindsSimulator) -> None:
    purge(cdn, f"{SITE}/a.css", f"{SITE}/b.css?v=1", application="www.acme.com")
    [call] = cdn.calls
    assert (call.method, call.target, call.status, call.items) == ("POST", "/api/v1/accounts/a1b2c3d4/purge", 200, 2)
    assert call.headers["X-Application-Id"] == "www.acme.com"
    how = {"recursive": False, "purgeAllDynamic": True, "invalidateOnly": False}
    assert json.loads(call.body) == {
        "list": [{"url": "//www.acme.com/a.css", **how}, {"url": "//www.acme.com/b.css?v=1", **how}]
    }


def test_no_application_is_named_unless_configured(cdn: HighwindsSimulator) -> None:
    purge(cdn, f"{SITE}/a")
    assert "X-Application-Id" not in cdn.calls[0].headers


@pytest.mark.parametrize(
    ("account", "sub_account", "target"),
    [("a1b2c3d4", "e5f6a7b8", "/api/v1/accounts/e5f6a7b8/purge"), ("../x", "", "/api/v1/accounts/..%2Fx/purge")],
)
def test_the_account_in_the_path(cdn: HighwindsSimulator, account: str, sub_account: str, target: str) -> None:
    provider = provider_of(cdn, account=account, sub_account=sub_account)
    with nullcontext() if sub_account else pytest.raises(CallRefused, match="404"):
        provider.purge_urls(["//www.acme.com/a"], CALL)
    assert cdn.calls[0].target == target


def test_old_bytes_are_served_until_the_purge_whatever_the_scheme(cdn: HighwindsSimulator, origin: Origin) -> None:
    origin.put("a.css", "old")
    for scheme in ("http", "https"):
        cdn.fetch(f"{scheme}://www.acme.com/a.css")
    origin.put("a.css", "new")
    assert cdn.fetch(f"{SITE}/a.css").body == b"old"
    purge(cdn, f"{SITE}/a.css")
    assert {cdn.fetch(f"{scheme}://www.acme.com/a.css").body for scheme in ("http", "https")} == {b"new"}


@pytest.mark.parametrize(("call", "cache"), [(CALL, "MISS"), (SOFT, "REVALIDATED")], ids=["hard", "soft"])
@pytest.mark.parametrize(
    ("method", "target"),
    [("purge_urls", "//www.acme.com/d/a"), ("purge_prefixes", "//www.acme.com/d/"), ("purge_hosts", "www.acme.com")],
)
def test_hard_drops_and_soft_revalidates(
    cdn: HighwindsSimulator, origin: Origin, call: Call, cache: str, method: str, target: str
) -> None:
    origin.put("d/a", "same")
    cdn.fetch(f"{SITE}/d/a")
    getattr(provider_of(cdn), method)([target], call)
    assert cdn.fetch(f"{SITE}/d/a").cache == cache


@pytest.mark.parametrize(("all_dynamic", "cache"), [(True, "MISS"), (False, "HIT")])
def test_variants_by_query_go_too_unless_switched_off(cdn: HighwindsSimulator, all_dynamic: bool, cache: str) -> None:
    cdn.fetch(f"{SITE}/a")
    cdn.fetch(f"{SITE}/a?v=1")
    purge(cdn, f"{SITE}/a", purge_all_dynamic=all_dynamic)
    assert cdn.fetch(f"{SITE}/a").cache == "MISS"
    assert cdn.fetch(f"{SITE}/a?v=1").cache == cache


@pytest.mark.parametrize(
    ("kind", "text", "spelled"),
    [
        (TargetKind.URL, "https://www.acme.com/a?b=c", "//www.acme.com/a?b=c"),
        (TargetKind.URL, "HTTP://www.acme.com", "//www.acme.com/"),
        (TargetKind.PREFIX, "https://www.acme.com/a/", "//www.acme.com/a/"),
        (TargetKind.PREFIX, "https://www.acme.com", "//www.acme.com/"),
        (TargetKind.HOST, "www.acme.com", "www.acme.com"),
    ],
)
def test_targets_lose_their_scheme(kind: TargetKind, text: str, spelled: str) -> None:
    assert located(text, kind) == spelled


def test_a_prefix_that_ends_within_a_name_is_refused() -> None:
    with pytest.raises(TargetsRefused, match="slash") as caught:
        located("https://www.acme.com/img/a-", TargetKind.PREFIX)
    assert caught.value.targets == ("https://www.acme.com/img/a-",)


def test_a_prefix_purges_a_directory_with_its_queries_and_nothing_beside(cdn: HighwindsSimulator) -> None:
    inside = ["/d/a", "/d/a?v=1", "/d/e/f", "/d/"]
    outside = ["/d", "/da", "/c/d/a"]
    for path in inside + outside:
        cdn.fetch(SITE + path)
    provider_of(cdn).purge_prefixes([located(f"{SITE}/d/", TargetKind.PREFIX)], CALL)
    assert {path for path in inside + outside if cdn.fetch(SITE + path).cache == "MISS"} == set(inside)


def test_a_host_purges_all_of_it_and_no_other(cdn: HighwindsSimulator) -> None:
    for url in (f"{SITE}/", f"{SITE}/a/b?c", "https://cdn.acme.com/a/b"):
        cdn.fetch(url)
    provider_of(cdn).purge_hosts(["www.acme.com"], CALL)
    assert [cdn.fetch(url).cache for url in (f"{SITE}/", f"{SITE}/a/b?c", "https://cdn.acme.com/a/b")] == [
        "MISS",
        "MISS",
        "HIT",
    ]


@pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS)
def test_odd_keys_are_purged_exactly(cdn: HighwindsSimulator, path: str) -> None:
    cdn.fetch(SITE + path)
    cdn.fetch(SITE + path + "x")
    purge(cdn, SITE + path)
    assert cdn.fetch(SITE + path).cache == "MISS"
    assert cdn.fetch(SITE + path + "x").cache == "HIT"


def test_the_vendor_says_when_all_of_a_purge_is_done(origin: Origin) -> None:
    with HighwindsSimulator(origin.url, polls=4) as cdn:
        provider = provider_of(cdn)
        number = provider.purge_urls(["//www.acme.com/a"], CALL).id
        told = [provider.confirm(number, CALL) for _ in range(5)]
    assert [one.done for one in told] == [False, False, False, True, True]
    assert [one.reason for one in told[:2]] == ["progress 0.25", "progress 0.5"]


def test_an_unknown_purge_is_not_asked_for_again(cdn: HighwindsSimulator) -> None:
    with pytest.raises(TargetsRefused, match="404"):
        provider_of(cdn).confirm("a/b", CALL)
    assert cdn.calls[0].target == "/api/v1/accounts/a1b2c3d4/purge/a%2Fb"


@pytest.mark.parametrize("progress", ["null", '"1"', "true", "NaN", "-1", "100"])
def test_progress_that_is_no_share_is_asked_for_later(cdn: HighwindsSimulator, progress: str) -> None:
    cdn.faults.once(faults.status(200, body=f'{{"progress": {progress}}}'))
    with pytest.raises(RetryLater):
        provider_of(cdn).confirm("1", CALL)


def test_the_101st_url_within_a_minute_waits(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    provider = provider_of(cdn)
    provider.purge_urls([f"//www.acme.com/{number}" for number in range(99)], CALL)
    clock.advance(2)
    with pytest.raises(RetryLater, match="100 URLs") as caught:
        provider.purge_urls(["//www.acme.com/a", "//www.acme.com/b"], CALL)
    assert caught.value.after == 58.0
    provider.purge_urls(["//www.acme.com/a"], CALL)
    clock.advance(58)
    provider.purge_urls(["//www.acme.com/b"], CALL)


def test_150_keys_are_two_calls_of_which_none_is_refused(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    class Both(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            clock.advance(seconds)

    wanted = demand([f"{SITE}/{number}" for number in range(150)])
    report = delivery(provider_of(cdn), clock=Both()).deliver([wanted], 1000)
    assert {outcome.status for outcome in report} == {Status.ACCEPTED}
    assert [(call.status, call.items) for call in cdn.calls] == [(200, 100), (200, 50)]
    assert clock.now - 1_800_000_000 == pytest.approx(61, abs=0.1)


@pytest.mark.parametrize(
    ("headers", "words", "after"),
    [
        ({}, "limit exceeded. You may retry this request in 41 seconds.", 41.0),
        ({"Retry-After": "12"}, "limit exceeded. You may retry this request in 41 seconds.", 12.0),
        ({}, "limit exceeded", None),
    ],
)
def test_the_wait_may_stand_in_the_words_alone(
    cdn: HighwindsSimulator, headers: dict[str, str], words: str, after: float | None
) -> None:
    cdn.faults.once(faults.status(429, headers, json.dumps({"error": words, "code": 429})))
    with pytest.raises(RetryLater, match="limit exceeded") as caught:
        purge(cdn, f"{SITE}/a")
    assert caught.value.after == after


def refusal(status: int) -> Response:
    return Response.json({"error": "not today", "code": status}, status)


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name)
def test_troubles_of_the_login_become_the_same_errors(
    cdn: HighwindsSimulator, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    cdn.faults.once(trouble.fault(refusal), when=lambda request: request.target == "/auth/token")
    provider = login_of(cdn)
    caplog.set_level("DEBUG")
    with pytest.raises(CredentialsRefused if trouble.error is TargetsRefused else trouble.error) as caught:
        provider.purge_urls(["//www.acme.com/a"], CALL)
    assert PASSWORD not in everything_said(caught.value) + caplog.text + repr(provider)
    assert [call.target for call in cdn.calls] == ["/auth/token"]


def test_silence_at_the_login_is_tried_again_later(cdn: HighwindsSimulator) -> None:
    cdn.faults.once(faults.hang())
    with pytest.raises(RetryLater, match="no answer within"):
        login_of(cdn).purge_urls(["//www.acme.com/a"], Call(connect=1.0, read=0.05))


@pytest.mark.parametrize("status", REDIRECTS)
def test_the_password_follows_no_redirect(cdn: HighwindsSimulator, status: int) -> None:
    with RecordingVendor(Response.json({"access_token": "stolen"})) as elsewhere:
        cdn.faults.once(faults.status(status, {"Location": f"{elsewhere.endpoint}/auth/token"}))
        with pytest.raises(RetryLater, match="redirects are never followed"):
            login_of(cdn).purge_urls(["//www.acme.com/a"], CALL)
    assert elsewhere.calls == []


@pytest.mark.parametrize("body", ["{}", '{"error": "sorry", "code": 500}', '{"id": null}', "[]", ""])
def test_a_success_without_an_id_is_none(cdn: HighwindsSimulator, body: str) -> None:
    cdn.faults.once(faults.status(200, body=body))
    with pytest.raises(RetryLater):
        purge(cdn, f"{SITE}/a")


def test_a_repetition_after_a_lost_answer_is_accepted(cdn: HighwindsSimulator) -> None:
    cdn.fetch(f"{SITE}/a")
    cdn.faults.once(faults.lost())
    with pytest.raises(RetryLater):
        purge(cdn, f"{SITE}/a")
    purge(cdn, f"{SITE}/a")
    assert cdn.fetch(f"{SITE}/a").cache == "MISS"


def test_an_unknown_token_is_refused_after_one_call(cdn: HighwindsSimulator) -> None:
    with pytest.raises(CredentialsRefused, match="401"):
        purge(cdn, f"{SITE}/a", token=Secret.literal("expired-token"))
    assert len(cdn.calls) == 1


def test_one_login_serves_many_purges(cdn: HighwindsSimulator) -> None:
    provider = login_of(cdn)
    for number in range(3):
        provider.purge_urls([f"//www.acme.com/{number}"], CALL)
    assert cdn.logins == 1
    assert [call.status for call in cdn.calls] == [200] * 4


def test_a_token_is_replaced_before_its_end(
    cdn: HighwindsSimulator, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "time", SimpleNamespace(monotonic=clock))
    provider = login_of(cdn)
    for seconds, logins in ((0, 1), (3569, 1), (2, 2), (3000, 2)):
        clock.advance(seconds)
        provider.purge_urls(["//www.acme.com/a"], CALL)
        assert cdn.logins == logins
    assert {call.status for call in cdn.calls} == {200}


def test_tokens_that_are_never_taken_end_in_a_refusal(origin: Origin) -> None:
    with HighwindsSimulator(origin.url, password=PASSWORD, expires_in=0, clock=ManualClock()) as cdn:
        provider = login_of(cdn)
        for _ in range(2):
            with pytest.raises(CredentialsRefused):
                provider.purge_urls(["//www.acme.com/a"], CALL)
        assert cdn.logins == 4
        assert len(cdn.calls) == 8


def test_a_token_that_ended_early_is_replaced_once(cdn: HighwindsSimulator) -> None:
    provider = login_of(cdn)
    provider.purge_urls(["//www.acme.com/a"], CALL)
    cdn.revoke_logins()
    provider.purge_urls(["//www.acme.com/b"], CALL)
    assert cdn.logins == 2
    assert [call.status for call in cdn.calls] == [200, 200, 401, 200, 200]


def test_a_token_whose_life_is_over_at_the_vendor_is_replaced(cdn: HighwindsSimulator, clock: ManualClock) -> None:
    provider = login_of(cdn)
    number = provider.purge_urls(["//www.acme.com/a"], CALL).id
    clock.advance(3600)
    assert provider.confirm(number, CALL).done
    assert cdn.logins == 2


def test_a_wrong_password_is_refused_after_one_call(cdn: HighwindsSimulator) -> None:
    with pytest.raises(CredentialsRefused, match="401: 203"):
        login_of(cdn, "wrong-password").purge_urls(["//www.acme.com/a"], CALL)
    assert [call.target for call in cdn.calls] == ["/auth/token"]


@pytest.mark.parametrize("status", [400, 401, 422])
def test_a_login_that_fails_is_never_the_fault_of_the_targets(cdn: HighwindsSimulator, status: int) -> None:
    cdn.faults.once(faults.status(status))
    with pytest.raises(CredentialsRefused):
        login_of(cdn).purge_urls(["//www.acme.com/a"], CALL)


@pytest.mark.parametrize("answer", ['{"token_type": "bearer"}', '{"access_token": ""}', "[]"])
def test_a_login_without_a_token_is_tried_again_later(cdn: HighwindsSimulator, answer: str) -> None:
    cdn.faults.once(faults.status(200, body=answer))
    provider = login_of(cdn)
    with pytest.raises(RetryLater):
        provider.purge_urls(["//www.acme.com/a"], CALL)
    provider.purge_urls(["//www.acme.com/a"], CALL)


def test_a_token_without_an_end_is_kept(cdn: HighwindsSimulator) -> None:
    cdn.faults.once(faults.status(200, body=json.dumps({"access_token": TOKEN})))
    provider = login_of(cdn)
    for _ in range(2):
        provider.purge_urls(["//www.acme.com/a"], CALL)
    assert cdn.logins == 0
    assert len(cdn.calls) == 3


@pytest.mark.parametrize(
    "answer", ["no JSON {}", '{{"accessToken": "{}"}}', '{{"token": {{"value": "{}"}}}}', '["{}"]']
)
@pytest.mark.parametrize("status", [200, 400, 401, 500, 503])
def test_a_login_is_never_quoted(
    cdn: HighwindsSimulator, answer: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Its answer may hold a token that nobody has seen before, under whatever name."""
    bearer = "eyJ-THE-BEARER-TOKEN"
    cdn.faults.once(faults.status(status, body=answer.format(bearer)))
    caplog.set_level("DEBUG")
    with pytest.raises(ProviderError, match="isn't shown") as caught:
        login_of(cdn).purge_urls(["//www.acme.com/a"], CALL)
    assert bearer not in everything_said(caught.value) + caplog.text


def test_the_code_of_a_refused_login_is_shown(cdn: HighwindsSimulator) -> None:
    cdn.faults.once(faults.status(400, body='{"error": "invalid_grant", "error_description": "no hunter2"}'))
    with pytest.raises(CredentialsRefused, match=r"400: invalid_grant: \(the rest") as caught:
        login_of(cdn).purge_urls(["//www.acme.com/a"], CALL)
    assert "hunter2" not in str(caught.value)


def test_a_token_that_was_got_by_password_is_blacked_out(cdn: HighwindsSimulator) -> None:
    bearer = "eyJ-" + "a-token-nobody-configured"
    cdn.faults.once(faults.status(200, body=json.dumps({"access_token": bearer})))
    cdn.faults.always(faults.status(503, body=f"echo {bearer}"), when=lambda request: "purge" in request.target)
    with pytest.raises(RetryLater, match=r"echo \[secret\]"):
        login_of(cdn).purge_urls(["//www.acme.com/a"], CALL)


@pytest.mark.parametrize(
    ("target", "said"),
    [("/auth/token", "401: 203: .the rest"), ("/api/v1/accounts/a1b2c3d4/purge", "203: no .* and no")],
)
def test_secrets_that_the_vendor_repeats_are_not_shown(
    cdn: HighwindsSimulator, target: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    words = json.dumps({"error": f"no {PASSWORD} and no {TOKEN}", "code": 203})
    cdn.faults.always(faults.status(401, body=words), when=lambda request: request.target == target)
    provider = login_of(cdn)
    Secret.literal(TOKEN).reveal()
    caplog.set_level("DEBUG")
    with pytest.raises(ProviderError, match=said) as caught:
        provider.purge_urls(["//www.acme.com/a"], CALL)
    shown = everything_said(caught.value) + caplog.text + repr(provider)
    assert PASSWORD not in shown
    assert TOKEN not in shown
