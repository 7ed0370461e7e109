"""The Edgecast provider against the simulated API: its calls, its errors, and what its edge then serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from multicdn_providers.edgecast import Edgecast

from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, TargetsRefused
from multicdn.model import Action, Target, TargetKind
from multicdn.provider import Call, Secret, capabilities
from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.edgecast import EdgecastSimulator
from multicdn.simulators.kit import faults
from multicdn.testing._conformance.failure_cases import ODD_PATHS
from multicdn.testing._conformance.side_effects import everything_said, outside_work

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE = "https://www.acme.com"
TOKEN = "5fa3c1d0-cafe-4b1d-9f00-d15ea5edbeef"
CALL = Call(connect=1.0, read=2.0)


@pytest.fixture
def cdn(origin: Origin) -> Iterator[EdgecastSimulator]:
    with EdgecastSimulator(origin.url, token=TOKEN) as running:
        yield running


def provider_of(cdn: EdgecastSimulator, **options: object) -> Edgecast:
    fixed = {"endpoint": cdn.endpoint, "account": cdn.account, "token": Secret.literal(cdn.token)}
    return Edgecast(**{**fixed, **options})


def located(url: str, kind: TargetKind = TargetKind.URL, action: Action = Action.PURGE) -> list[str]:
    provider = Edgecast(endpoint="https://api.example.com", account="1A2B", token=Secret.literal(TOKEN))
    found = provider.locate(Target(kind, url), action)
    assert {target.kind for target in found} == {kind}
    return [target.value for target in found]


def purge(cdn: EdgecastSimulator, *urls: str) -> str:
    paths = [path for url in urls for path in located(url)]
    receipt: str = provider_of(cdn).purge_urls(paths, CALL).id
    return receipt


def test_it_purges_urls_and_prefixes_and_preloads() -> None:
    assert [(what.action, what.kind) for what in capabilities(Edgecast)] == [
        (Action.PURGE, TargetKind.URL),
        (Action.PURGE, TargetKind.PREFIX),
        (Action.PRELOAD, TargetKind.URL),
    ]


def test_its_end_is_dated() -> None:
    assert "2025-01-15" in Edgecast.retired


def test_without_an_endpoint_there_is_no_provider_and_no_socket() -> None:
    with outside_work() as seen, pytest.raises(TypeError, match="endpoint"):
        Edgecast(account="1A2B", token=Secret.literal(TOKEN))
    assert not seen


@pytest.mark.parametrize("endpoint", ["http://api.example.com", "api.example.com", "ftp://api.example.com", ""])
def test_an_endpoint_in_clear_or_none_at_all_is_refused(endpoint: str) -> None:
    with outside_work() as seen, pytest.raises(ValueError, match="endpoint"):
        Edgecast(endpoint=endpoint, account="1A2B", token=Secret.literal(TOKEN))
    assert not seen


def test_a_single_url_goes_to_the_single_route(cdn: EdgecastSimulator) -> None:
    assert purge(cdn, f"{SITE}/a.css").startswith("purge/")
    [call] = cdn.calls
    assert (call.method, call.target) == ("PUT", "/v2/mcc/customers/1A2B/edge/purge")
    assert json.loads(call.body) == {"MediaPath": "http://www.acme.com/a.css", "MediaType": 3}


def test_several_urls_go_into_one_bulk_call(cdn: EdgecastSimulator) -> None:
    urls = [f"{SITE}/{number}" for number in range(50)]
    assert purge(cdn, *urls).startswith("bulkpurge/")
    [call] = cdn.calls
    assert (call.target, call.items, call.status) == ("/v2/mcc/customers/1A2B/edge/bulkpurge", 50, 200)
    assert json.loads(call.body)["MediaPath"][49] == "http://www.acme.com/49"


@pytest.mark.parametrize(("platform", "media_type"), [("flash", 2), ("large", 3), ("small", 8), ("adn", 14)])
def test_each_platform_has_its_number(cdn: EdgecastSimulator, platform: str, media_type: int) -> None:
    cdn.faults.always(faults.status(500))
    with pytest.raises(RetryLater):
        provider_of(cdn, platform=platform).purge_urls(["http://www.acme.com/a"], CALL)
    assert json.loads(cdn.calls[0].body)["MediaType"] == media_type


def test_old_bytes_are_served_until_the_purge(cdn: EdgecastSimulator, origin: Origin) -> None:
    origin.put("a.css", "old")
    cdn.fetch(f"{SITE}/a.css")
    origin.put("a.css", "new")
    assert cdn.fetch(f"{SITE}/a.css").body == b"old"
    purge(cdn, f"{SITE}/a.css")
    assert cdn.fetch(f"{SITE}/a.css").body == b"new"


def test_another_platform_keeps_its_bytes(cdn: EdgecastSimulator, origin: Origin) -> None:
    origin.put("a.css", "old")
    cdn.fetch(f"{SITE}/a.css")
    provider_of(cdn, platform="adn").purge_urls(["http://www.acme.com/a.css"], CALL)
    assert cdn.fetch(f"{SITE}/a.css").cache == "HIT"


def test_http_and_https_are_one_purge_and_two_loads() -> None:
    assert located("https://www.acme.com/a") == located("http://www.acme.com/a") == ["http://www.acme.com/a"]
    for url in ("https://www.acme.com/a*", "http://www.acme.com/a*"):
        assert located(url, action=Action.PRELOAD) == [url]


@pytest.mark.parametrize(
    ("prefix", "wildcards"),
    [
        ("https://www.acme.com/img/", ["http://www.acme.com/img/*"]),
        ("https://www.acme.com", ["http://www.acme.com/*"]),
        ("https://www.acme.com/img/a-", ["http://www.acme.com/img/a-*", "http://www.acme.com/img/a-*/*"]),
        ("https://www.acme.com/a*b/", ["http://www.acme.com/a%2Ab/*"]),
    ],
)
def test_a_prefix_becomes_wildcards(prefix: str, wildcards: list[str]) -> None:
    assert located(prefix, TargetKind.PREFIX) == wildcards


def test_a_prefix_purges_all_levels_below_it_and_nothing_beside(cdn: EdgecastSimulator, origin: Origin) -> None:
    inside = ["/img/a-1.png", "/img/a-b/c/2.png", "/img/a-"]
    outside = ["/img/b.png", "/a-1.png", "/img/x/a-1.png"]
    for path in inside + outside:
        origin.put(path[1:], "old")
        cdn.fetch(SITE + path)
        origin.put(path[1:], "new")
    provider_of(cdn).purge_prefixes(located(f"{SITE}/img/a-", TargetKind.PREFIX), CALL)
    assert {path for path in inside + outside if cdn.fetch(SITE + path).body == b"new"} == set(inside)


def test_a_star_in_a_key_is_no_wildcard(cdn: EdgecastSimulator, origin: Origin) -> None:
    for key in ("a*b", "aXb", "dir/*", "dir/deep/c"):
        origin.put(key, "old")
        cdn.fetch(f"{SITE}/{key}")
        origin.put(key, "new")
    purge(cdn, f"{SITE}/a*b", f"{SITE}/dir/*")
    fresh = {key for key in ("a*b", "aXb", "dir/*", "dir/deep/c") if cdn.fetch(f"{SITE}/{key}").body == b"new"}
    assert fresh == {"a*b", "dir/*"}


@pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS)
@pytest.mark.parametrize("others", [0, 1], ids=["single", "bulk"])
def test_odd_keys_are_purged_exactly(cdn: EdgecastSimulator, path: str, others: int) -> None:
    cdn.fetch(SITE + path)
    cdn.fetch(SITE + path + "x")
    purge(cdn, SITE + path, *[f"{SITE}/other"] * others)
    assert cdn.fetch(SITE + path).cache != "HIT"
    assert cdn.fetch(SITE + path + "x").cache == "HIT"


@pytest.mark.parametrize("path", ODD_PATHS.values(), ids=ODD_PATHS)
def test_what_is_preloaded_is_a_hit_for_the_first_client(cdn: EdgecastSimulator, path: str) -> None:
    assert provider_of(cdn).preload_urls([SITE + path], CALL).id.startswith("load/")
    assert cdn.fetch(SITE + path).cache == "HIT"


def test_a_preload_is_for_one_scheme_only(cdn: EdgecastSimulator, origin: Origin) -> None:
    origin.put("a", "bytes")
    receipt = provider_of(cdn).preload_urls([f"{SITE}/a", f"{SITE}/b"], CALL)
    assert receipt.id.startswith("bulkload/")
    assert cdn.fetch(f"{SITE}/a").cache == "HIT"
    assert cdn.fetch("http://www.acme.com/a").cache == "MISS"


@pytest.mark.parametrize("count", [1, 2], ids=["single", "bulk"])
@pytest.mark.parametrize("method", ["purge_urls", "preload_urls"])
def test_the_vendor_says_when_a_request_is_done(origin: Origin, count: int, method: str) -> None:
    clock = ManualClock()
    with EdgecastSimulator(origin.url, seconds=90, clock=clock) as cdn:
        provider = provider_of(cdn)
        receipt = getattr(provider, method)([f"{SITE}/{number}" for number in range(count)], CALL)
        first = provider.confirm(receipt.id, CALL)
        assert (first.done, first.failed, first.reason) == (False, False, "in-progress" if count > 1 else "")
        clock.advance(90)
        assert provider_of(cdn).confirm(receipt.id, CALL).done


def test_an_unknown_request_is_not_asked_for_again(cdn: EdgecastSimulator) -> None:
    with pytest.raises(TargetsRefused, match="404"):
        provider_of(cdn).confirm("purge/unknown", CALL)


@pytest.mark.parametrize("receipt", ["", "1234", "edge/1234", "purge/", "purge/..", "bulkpurge/1/../../2"])
def test_what_is_no_id_is_never_sent(cdn: EdgecastSimulator, receipt: str) -> None:
    with pytest.raises(TargetsRefused, match="no id"):
        provider_of(cdn).confirm(receipt, CALL)
    assert not cdn.calls


@pytest.mark.parametrize("receipt", ["purge/1", "bulkload/1"])
@pytest.mark.parametrize("body", ["{}", '{"Status_Details": null}', '{"Status_Details": {"Status": 1}}', "[]", "<p>"])
def test_a_state_that_cannot_be_read_is_asked_for_later(cdn: EdgecastSimulator, receipt: str, body: str) -> None:
    cdn.faults.once(faults.status(200, body=body))
    with pytest.raises(RetryLater):
        provider_of(cdn).confirm(receipt, CALL)


def test_a_full_account_is_tried_again_later(origin: Origin) -> None:
    clock = ManualClock()
    with EdgecastSimulator(origin.url, seconds=90, clock=clock) as cdn:
        provider = provider_of(cdn)
        provider.purge_urls([f"http://www.acme.com/{number}" for number in range(50)], CALL)
        with pytest.raises(RetryLater, match="400") as caught:
            provider.purge_urls(["http://www.acme.com/50"], CALL)
        assert caught.value.after
        provider.preload_urls([f"{SITE}/50"], CALL)  # loads are counted by themselves
        clock.advance(90)
        provider.purge_urls(["http://www.acme.com/50"], CALL)


def test_a_400_without_words_refuses_the_targets_and_names_none(origin: Origin) -> None:
    with EdgecastSimulator(origin.url, seconds=90, explains=False) as cdn:
        provider = provider_of(cdn)
        provider.purge_urls([f"http://www.acme.com/{number}" for number in range(50)], CALL)
        with pytest.raises(TargetsRefused) as caught:
            provider.purge_urls(["http://www.acme.com/50", "http://www.acme.com/51"], CALL)
        assert caught.value.targets == ()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("You reached the limit of 50 concurrent purge requests", RetryLater),
        ("too many outstanding requests", RetryLater),
        ("purge limit reached", RetryLater),
        ("MediaPath exceeds 2048 characters, the limit for a path", TargetsRefused),
        ("Invalid MediaPath: http://www.acme.com/concurrency", TargetsRefused),
        ("", TargetsRefused),
    ],
)
def test_the_words_of_a_400_decide(cdn: EdgecastSimulator, words: str, error: type[Exception]) -> None:
    cdn.faults.once(faults.status(400, body=json.dumps({"Message": words})))
    with pytest.raises(error):
        provider_of(cdn).purge_urls(["http://www.acme.com/a"], CALL)


@pytest.mark.parametrize(("status", "error"), [(403, CredentialsRefused), (404, CallRefused)])
def test_the_words_of_other_statuses_do_not(cdn: EdgecastSimulator, status: int, error: type[Exception]) -> None:
    cdn.faults.once(faults.status(status, body='{"Message": "too many outstanding requests"}'))
    with pytest.raises(error):
        provider_of(cdn).purge_urls(["http://www.acme.com/a"], CALL)


def test_a_host_of_somebody_else_is_refused(origin: Origin) -> None:
    with (
        EdgecastSimulator(origin.url, hosts={"www.acme.com": "acme"}) as cdn,
        pytest.raises(TargetsRefused, match=r"evil\.com"),
    ):
        provider_of(cdn).purge_urls(["http://evil.com/a"], CALL)


def test_a_repetition_after_a_lost_answer_is_accepted(cdn: EdgecastSimulator, origin: Origin) -> None:
    origin.put("a", "old")
    cdn.fetch(f"{SITE}/a")
    origin.put("a", "new")
    cdn.faults.once(faults.lost())
    with pytest.raises(RetryLater):
        purge(cdn, f"{SITE}/a")
    purge(cdn, f"{SITE}/a")
    assert cdn.fetch(f"{SITE}/a").body == b"new"


@pytest.mark.parametrize("body", ["{}", '{"Id": null}', "[]", "null", ""])
def test_a_success_without_an_id_is_none(cdn: EdgecastSimulator, body: str) -> None:
    cdn.faults.once(faults.status(200, {"Content-Type": "application/json"}, body))
    with pytest.raises(RetryLater):
        provider_of(cdn).purge_urls(["http://www.acme.com/a"], CALL)


def test_an_unknown_token_is_refused(cdn: EdgecastSimulator) -> None:
    with pytest.raises(CredentialsRefused, match="401"):
        provider_of(cdn, token=Secret.literal("expired-token")).purge_urls(["http://www.acme.com/a"], CALL)


def test_an_unknown_account_refuses_the_call(cdn: EdgecastSimulator) -> None:
    with pytest.raises(CallRefused, match="404"):
        provider_of(cdn, account="../9Z").purge_urls(["http://www.acme.com/a"], CALL)
    assert cdn.calls[0].target == "/v2/mcc/customers/..%2F9Z/edge/purge"


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}…"], ids=["line break", "foreign character"])
def test_a_token_that_no_header_takes_is_refused_and_not_shown(
    cdn: EdgecastSimulator, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    provider = provider_of(cdn, token=Secret.literal(token))
    caplog.set_level("DEBUG")
    with pytest.raises(CredentialsRefused, match="line break") as caught:
        provider.purge_urls(["http://www.acme.com/a"], CALL)
    assert TOKEN not in everything_said(caught.value) + caplog.text + repr(provider)
    assert cdn.calls == []
