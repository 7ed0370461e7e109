"""The Fastly provider against the Fastly simulator: only the wire is simulated."""

from __future__ import annotations

import email.utils
import hashlib
import json
import math
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

import pytest
from kit.odd_keys import ODD_KEYS
from multicdn_providers.fastly import Fastly

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, TargetKind
from multicdn.provider import Call, Receipt, Secret, Target, capabilities
from multicdn.simulators import Origin, Pop, Request, Response, Server, Topology
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SITE = "https://www.acme.com"
CALL = Call(connect=1, read=5)
SOFT = Call(soft=True, connect=1, read=5)
STAGING = {"Simulator-Environment": "staging"}


@pytest.fixture
def cdn(origin: Origin) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url) as running:
        yield running


def provider(cdn: FastlySimulator, **options: object) -> Fastly:
    settings: dict[str, object] = {name: value for name, value in cdn.options().items() if name != "type"}
    secrets = {name: Secret.literal(value) for name, value in cdn.secrets().items()}
    return Fastly(**{**settings, **secrets, **options})


@pytest.fixture
def fastly(cdn: FastlySimulator) -> Fastly:
    return provider(cdn)


def purge_url(fastly: Fastly, call: Call = CALL) -> Receipt:
    receipt: Receipt = fastly.purge_urls([f"{SITE}/a"], call)
    return receipt


def purge_tag(fastly: Fastly, call: Call = CALL) -> Receipt:
    receipt: Receipt = fastly.purge_tags(["k"], call)
    return receipt


def purge_everything(fastly: Fastly, call: Call = CALL) -> Receipt:
    receipt: Receipt = fastly.purge_everything(call)
    return receipt


OPERATIONS = [purge_url, purge_tag, purge_everything]


class Operation(Protocol):
    def __call__(self, fastly: Fastly, call: Call = ...) -> Receipt: ...


PURGEABLE = {name: key for name, key in ODD_KEYS.items() if name != "dots"}  # no browser asks for those


@pytest.mark.parametrize("key", PURGEABLE.values(), ids=PURGEABLE)
def test_object_under_an_odd_key_is_purged_exactly(
    origin: Origin, cdn: FastlySimulator, fastly: Fastly, key: str
) -> None:
    url = f"{SITE}/{quote(key, safe='/~')}"
    origin.put(key, "old")
    assert cdn.fetch(url).body == b"old"
    origin.put(key, "new")
    assert cdn.fetch(url).body == b"old"
    fastly.purge_urls([url], CALL)
    assert cdn.fetch(url).body == b"new"
    assert cdn.calls[0].target == f"/purge/{url}"


@pytest.mark.parametrize("target", ["//a", "/a%2fb", "/a%2Fb", "/a?x=%2f&x=1&x=2", "/a+b", "/a'b", "/a?"])
def test_url_is_purged_as_it_was_cached(cdn: FastlySimulator, fastly: Fastly, target: str) -> None:
    cdn.fetch(SITE + target)
    assert cdn.fetch(SITE + target).cache == "HIT"
    fastly.purge_urls([SITE + target], CALL)
    assert cdn.fetch(SITE + target).cache == "MISS"


@pytest.mark.parametrize(
    "path",
    [
        *("/../../../../service/SU1/purge_all", "/%2E%2e/a", "/a/.%2e", "/./a", "/a/..?x=1", "/a/..\\b"),
        *("/..%2f..%2Fservice/SU1/purge_all", "/a%2F..%2Fb", "/a/..%5C..%5cb", "/a/..;/b", "/a%5c.", "/a/%2e%2e;x=1/b"),
    ],
)
def test_no_key_leads_out_of_the_path_of_a_purge(cdn: FastlySimulator, fastly: Fastly, path: str) -> None:
    """A proxy in between that resolves dot segments would make another call of it, with our token."""
    with pytest.raises(TargetsRefused, match=r"segment \. or \.\."):
        fastly.locate(Target(TargetKind.URL, SITE + path), Action.PURGE)
    with pytest.raises(TargetsRefused, match=r"segment \. or \.\."):  # as a job that comes from the queue, spelled
        fastly.purge_urls([SITE + path], CALL)
    assert cdn.calls == []


@pytest.mark.parametrize("path", ["/a..b", "/...", "/.well-known/x", "/a/b..", "/a?to=/../b", "/a%2fb", "/a%5c.b"])
def test_dots_that_are_no_segments_are_purged(fastly: Fastly, path: str) -> None:
    target = Target(TargetKind.URL, SITE + path)
    assert fastly.locate(target, Action.PURGE) == (target,)


def test_star_is_an_ordinary_character(origin: Origin, cdn: FastlySimulator, fastly: Fastly) -> None:
    origin.put("images/a", "old")
    cdn.fetch(f"{SITE}/images/a")
    fastly.purge_urls([f"{SITE}/images/*"], CALL)
    assert cdn.fetch(f"{SITE}/images/a").cache == "HIT"


def test_receipts_hold_the_ids(cdn: FastlySimulator, fastly: Fastly) -> None:
    receipts = [purge_url(fastly), purge_tag(fastly), fastly.purge_tags(["a", "b"], CALL), purge_everything(fastly)]
    assert [receipt.id.partition("-")[0] for receipt in receipts] == ["4151", "4151", "4151", ""]
    assert [receipt.estimate for receipt in receipts] == [0.15, 0.15, 0.15, 20.0]
    assert "2 ids" in receipts[2].note
    assert [call.method for call in cdn.calls] == ["POST"] * 4


ODD_TAGS = ["a/b", "a%20b", "a+b?c#d", "quote'\"", "键", "*", "x" * 1024]


@pytest.mark.parametrize("tag", ODD_TAGS, ids=lambda tag: ascii(tag)[:20])
def test_odd_tag_is_purged_exactly(origin: Origin, cdn: FastlySimulator, fastly: Fastly, tag: str) -> None:
    origin.put("a", "old", {"Surrogate-Key": f"other {tag}"})
    origin.put("b", "old", {"Surrogate-Key": "other"})
    for name in "ab":
        cdn.fetch(f"{SITE}/{name}")
    fastly.purge_tags([tag], CALL)
    assert [cdn.fetch(f"{SITE}/{name}").cache for name in "ab"] == ["MISS", "HIT"]


def test_largest_batch_of_tags_is_one_call_in_the_body(cdn: FastlySimulator, fastly: Fastly) -> None:
    limits = fastly.tag_limits
    tags = [f"{number:03}" + "x" * ((limits.target_bytes or 0) - 3) for number in range(limits.targets)]
    fastly.purge_tags(tags, CALL)
    [call] = cdn.calls
    assert (call.target, call.items) == (f"/service/{cdn.service}/purge", 256)
    assert json.loads(call.body) == {"surrogate_keys": tags}


def test_longest_url_is_accepted_and_a_longer_one_refused(fastly: Fastly) -> None:
    longest = (SITE + "/" + "x" * 9000)[: fastly.url_limits.target_bytes]
    fastly.purge_urls([longest], CALL)
    with pytest.raises(TargetsRefused):
        fastly.purge_urls([longest + "x"], CALL)


SWR = {"Cache-Control": "max-age=60, stale-while-revalidate=600", "Surrogate-Key": "k"}


@pytest.mark.parametrize("call", [CALL, SOFT], ids=["hard", "soft"])
@pytest.mark.parametrize("kind", ["url", "tag"])
def test_soft_purge_lets_the_edge_serve_stale_and_hard_purge_does_not(
    origin: Origin, cdn: FastlySimulator, fastly: Fastly, kind: str, call: Call
) -> None:
    origin.put("a", "old", SWR)
    cdn.fetch(f"{SITE}/a")
    origin.put("a", "new", SWR)
    if kind == "url":
        fastly.purge_urls([f"{SITE}/a"], call)
    else:
        fastly.purge_tags(["k"], call)
    seen = [cdn.fetch(f"{SITE}/a") for _ in range(2)]
    expected = [("STALE", b"old"), ("HIT", b"new")] if call.soft else [("MISS", b"new"), ("HIT", b"new")]
    assert [(got.cache, got.body) for got in seen] == expected


def test_everything_is_purged_hard(origin: Origin, cdn: FastlySimulator, fastly: Fastly) -> None:
    for name in "ab":
        origin.put(name, "old", SWR)
        cdn.fetch(f"{SITE}/{name}")
    fastly.purge_everything(SOFT)
    assert [cdn.fetch(f"{SITE}/{name}").cache for name in "ab"] == ["MISS", "MISS"]
    assert "Fastly-Soft-Purge" not in cdn.calls[0].headers


def test_everything_is_not_softened_by_contract() -> None:
    assert Fastly.soft_kinds == {TargetKind.URL, TargetKind.TAG}


@pytest.mark.parametrize("operation", [purge_tag, purge_everything])
@pytest.mark.parametrize("environment", ["production", "staging"])
def test_environment_is_the_one_configured(
    origin: Origin, cdn: FastlySimulator, environment: str, operation: Operation
) -> None:
    origin.put("a", "old", {"Surrogate-Key": "k"})
    cdn.fetch(f"{SITE}/a")
    cdn.fetch(f"{SITE}/a", STAGING)
    operation(provider(cdn, environment=environment))
    after = {"production": cdn.fetch(f"{SITE}/a").cache, "staging": cdn.fetch(f"{SITE}/a", STAGING).cache}
    assert [name for name, cache in after.items() if cache == "MISS"] == [environment]


def test_urls_and_tags_are_located_as_they_are(fastly: Fastly) -> None:
    for target in (Target(TargetKind.URL, f"{SITE}/images/*"), Target(TargetKind.TAG, "a/b*")):
        assert fastly.locate(target, Action.PURGE) == (target,)


@pytest.mark.parametrize("tag", ["a b", "a\tb", "", "a\u00a0b"])
def test_tag_that_fastly_can_not_hold_is_refused(fastly: Fastly, tag: str) -> None:
    with pytest.raises(TargetsRefused, match="blanks") as refused:
        fastly.locate(Target(TargetKind.TAG, tag), Action.PURGE)
    assert refused.value.targets == (tag,)


def test_url_is_refused_for_staging_and_a_tag_is_not(cdn: FastlySimulator) -> None:
    staging = provider(cdn, environment="staging")
    with pytest.raises(TargetsRefused, match="production only"):
        staging.locate(Target(TargetKind.URL, f"{SITE}/a"), Action.PURGE)
    tag = Target(TargetKind.TAG, "k")
    assert staging.locate(tag, Action.PURGE) == (tag,)


def test_prefixes_hosts_and_preloading_are_not_offered() -> None:
    offered = {(found.action, found.kind) for found in capabilities(Fastly)}
    assert offered == {(Action.PURGE, kind) for kind in (TargetKind.URL, TargetKind.TAG, TargetKind.EVERYTHING)}


def raised_by(operation: Operation, fastly: Fastly) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        operation(fastly)
    assert fastly.token.reveal() not in caught.value.reason
    return caught.value


FAULTS = [
    ("429", faults.status(429), RetryLater),
    ("500", faults.status(500), RetryLater),
    ("503 with HTML", faults.status(503, {"Content-Type": "text/html"}, "<h1>Guru Meditation</h1>"), RetryLater),
    ("reset", faults.reset(), RetryLater),
    ("lost answer", faults.lost(), RetryLater),
    ("cut head", faults.drop_after(30), RetryLater),
    ("cut body", faults.drop_after(80), RetryLater),
    ("garbage", faults.garbage(), RetryLater),
    ("200 with a list", faults.status(200, body="[]"), RetryLater),
    ("200 with no confirmation", faults.status(200, body="{}"), RetryLater),
    ("200 with an error", faults.status(200, body='{"status": "error"}'), RetryLater),
    ("400", faults.status(400, body='{"msg": "Malformed purge request"}'), TargetsRefused),
    ("401", faults.status(401), CredentialsRefused),
    ("403", faults.status(403), CredentialsRefused),
    ("404", faults.status(404), RetryLater),
    ("413 of a gateway", faults.status(413, body="too large"), TargetsRefused),
    ("400 of a gateway", faults.status(400, body='{"message": "Bad Request"}'), RetryLater),
    ("401 of a gateway", faults.status(401, body='{"message": "Unauthorized"}'), RetryLater),
    ("403 of a gateway", faults.status(403, body="RBAC: access denied"), RetryLater),
    ("404 of a gateway", faults.status(404, body='{"message": "no Route matched with those values"}'), RetryLater),
    ("405", faults.status(405), TargetsRefused),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("fault", "error"), [(fault, error) for _, fault, error in FAULTS], ids=[row[0] for row in FAULTS]
)
def test_fault_becomes_the_error_of_the_contract(
    cdn: FastlySimulator, fastly: Fastly, operation: Operation, fault: faults.Fault, error: type[ProviderError]
) -> None:
    cdn.faults.once(fault)
    assert type(raised_by(operation, fastly)) is error
    assert len(cdn.calls) == 1
    operation(fastly)
    assert cdn.calls[-1].status == 200


@pytest.mark.parametrize("operation", OPERATIONS)
def test_hanging_call_ends_with_its_read_timeout(cdn: FastlySimulator, fastly: Fastly, operation: Operation) -> None:
    cdn.faults.once(faults.hang(60))
    with pytest.raises(RetryLater, match="no answer within"):
        operation(fastly, Call(connect=1, read=0.03))


def test_refused_connection_is_retried_later(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.stop()
    assert type(raised_by(purge_url, fastly)) is RetryLater
    cdn.start()


def in_seconds(seconds: float) -> dict[str, Callable[[], dict[str, str]]]:
    """Ways to ask for a wait; called late, since two of them name a moment."""
    return {
        "integer": lambda: {"Retry-After": str(int(seconds))},
        "float": lambda: {"Retry-After": f"{seconds:.2f}"},
        "http date": lambda: {"Retry-After": email.utils.formatdate(time.time() + seconds, usegmt=True)},
        "epoch": lambda: {"Fastly-RateLimit-Reset": str(int(time.time() + seconds))},
        "epoch before retry-after": lambda: {
            "Fastly-RateLimit-Reset": str(int(time.time() + seconds)),
            "Retry-After": "1",
        },
    }


@pytest.mark.parametrize("way", in_seconds(120))
@pytest.mark.parametrize("status", [429, 503])
def test_wait_is_read_from_the_answer(cdn: FastlySimulator, fastly: Fastly, way: str, status: int) -> None:
    cdn.faults.once(faults.status(status, in_seconds(120)[way]()))
    error = raised_by(purge_url, fastly)
    assert isinstance(error, RetryLater)
    assert error.after == pytest.approx(120, abs=30)


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Fastly-RateLimit-Reset": "later"}])
def test_no_wait_is_made_up(cdn: FastlySimulator, fastly: Fastly, headers: dict[str, str]) -> None:
    cdn.faults.once(faults.status(429, headers))
    error = raised_by(purge_url, fastly)
    assert isinstance(error, RetryLater)
    assert error.after is None


def test_limit_of_the_vendor_becomes_a_wait(origin: Origin) -> None:
    with FastlySimulator(origin.url, urls_per_hour=1) as cdn:
        fastly = provider(cdn)
        purge_url(fastly)
        error = raised_by(purge_url, fastly)
        assert isinstance(error, RetryLater)
        assert error.after == pytest.approx(3600, abs=30)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_token_does_not_follow_a_redirect(
    cdn: FastlySimulator, fastly: Fastly, operation: Operation, status: int
) -> None:
    strayed: list[Request] = []

    def elsewhere(request: Request) -> Response:
        strayed.append(request)
        return Response.json({"status": "ok", "k": "1"})

    with Server(elsewhere) as other:
        cdn.faults.once(faults.status(status, {"Location": f"{other.url}/purge"}))
        assert type(raised_by(operation, fastly)) is RetryLater
    assert strayed == []


@pytest.mark.parametrize("operation", OPERATIONS)
def test_expired_token_is_refused_and_a_renewed_one_is_used_at_once(cdn: FastlySimulator, operation: Operation) -> None:
    stored = {"token": cdn.token}
    token = Secret("${env:TOKEN}", lambda: stored["token"])
    fastly = provider(cdn, token=token)
    operation(fastly)
    cdn.tokens = {"renewed-token": cdn.tokens[cdn.token]}
    assert type(raised_by(operation, fastly)) is CredentialsRefused
    stored["token"] = "renewed-token"
    token.forget()
    operation(fastly)


def test_token_without_the_scope_for_everything_is_refused_for_that_alone(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.tokens = {cdn.token: frozenset(("purge_select",))}
    purge_url(fastly)
    purge_tag(fastly)
    assert type(raised_by(purge_everything, fastly)) is CredentialsRefused


@pytest.mark.parametrize("operation", [purge_tag, purge_everything])
def test_unknown_service_refuses_the_call(cdn: FastlySimulator, operation: Operation) -> None:
    error = raised_by(operation, provider(cdn, service="no/such?service"))
    assert type(error) is CallRefused
    assert cdn.calls[0].target.startswith("/service/no%2Fsuch%3Fservice/purge")


def test_host_that_fastly_does_not_serve_is_refused_by_target(origin: Origin) -> None:
    with FastlySimulator(origin.url, hosts=["static.acme.com"]) as cdn:
        assert type(raised_by(purge_url, provider(cdn))) is TargetsRefused


@pytest.mark.parametrize("shape", ["legacy", "problem", "jsonapi"])
def test_reason_holds_the_words_of_the_vendor(origin: Origin, shape: str) -> None:
    with FastlySimulator(origin.url, hosts=["static.acme.com"], error_shape=shape) as cdn:  # type: ignore[arg-type]
        reason = raised_by(purge_url, provider(cdn)).reason
    assert "Cannot find service" in reason
    assert "404" in reason


def test_defaults_and_repr(cdn: FastlySimulator) -> None:
    fastly = Fastly(token=Secret.literal("t0ken-value"), service="abc")
    assert (fastly.endpoint, fastly.soft, fastly.environment) == ("https://api.fastly.com", False, "production")
    assert "t0ken" not in repr(fastly)
    assert list(fastly.secrets()) == [fastly.token]


def test_endpoint_in_clear_is_refused() -> None:
    with pytest.raises(ValueError, match="in clear"):
        Fastly(token=Secret.literal("t0ken-value"), service="abc", endpoint="http://api.fastly.com")


def test_folder_can_not_be_imported_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.util import module_from_spec, spec_from_file_location

    import multicdn_providers

    spec = spec_from_file_location("providers", multicdn_providers.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match="import multicdn_providers"):
        spec.loader.exec_module(module_from_spec(spec))


@pytest.mark.parametrize("target", ["/ü", "/x y", "/x#y"])
def test_url_that_is_not_encoded_is_refused_without_a_call(cdn: FastlySimulator, fastly: Fastly, target: str) -> None:
    with pytest.raises(TargetsRefused):
        fastly.purge_urls([SITE + target], CALL)
    assert cdn.calls == []


def test_token_that_the_vendor_repeats_is_not_in_the_reason(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.faults.once(faults.status(401, body=f"unknown token {cdn.token}"))
    assert "unknown token" in raised_by(purge_url, fastly).reason


def test_redirect_to_no_host_at_all_is_not_followed_either(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.faults.once(faults.status(302, {"Location": "http://["}))
    assert type(raised_by(purge_url, fastly)) is RetryLater


def test_a_host_of_no_service_is_the_targets_matter_and_one_that_forbids_purging_its_own(origin: Origin) -> None:
    """fastly/fastly-php#53 and alphagov/govuk-cdn-config#148."""
    with FastlySimulator(origin.url, hosts=["www.acme.com", "assets.acme.com"]) as cdn:
        cdn.forbidding.add("assets.acme.com")
        fastly = provider(cdn)
        with pytest.raises(TargetsRefused, match="Cannot find service"):
            fastly.purge_urls(["https://shop.acme.com/"], CALL)
        with pytest.raises(CredentialsRefused, match="VCL of this host may forbid FASTLYPURGE") as caught:
            fastly.purge_urls(["https://assets.acme.com/"], CALL)
        assert caught.value.about == "host"


def test_a_scope_or_a_service_that_is_missing_is_about_the_kind(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.tokens = {cdn.token: frozenset(("purge_select",))}
    error = raised_by(purge_everything, fastly)
    assert isinstance(error, CredentialsRefused)
    assert error.about == "kind"
    unknown = raised_by(purge_tag, provider(cdn, service="nosuchservice"))
    assert isinstance(unknown, CallRefused)
    assert unknown.about == "kind"


# Pace


def test_a_call_that_uses_up_the_budget_asks_for_a_pause_until_it_is_renewed(origin: Origin) -> None:
    with FastlySimulator(origin.url, calls_per_hour=2) as cdn:
        fastly = provider(cdn)
        assert purge_everything(fastly).pause == 0
        assert 3590 < purge_everything(fastly).pause <= 3600
        with pytest.raises(RetryLater) as caught:
            purge_everything(fastly)
        assert 3590 < (caught.value.after or 0) <= 3601


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({}, 0, 0),
        ({"Fastly-RateLimit-Remaining": "0"}, 0, 0),
        ({"Fastly-RateLimit-Remaining": "0", "Fastly-RateLimit-Reset": "soon"}, 0, 0),
        ({"Fastly-RateLimit-Remaining": "0", "Fastly-RateLimit-Reset": "1000000000"}, 0, 0),
        ({"Fastly-RateLimit-Remaining": "0", "Retry-After": "7"}, 7, 7),
        ({"Fastly-RateLimit-Remaining": "3", "Fastly-RateLimit-Reset": "{in_a_minute}"}, 0, 0),
        ({"Fastly-RateLimit-Remaining": "0", "Fastly-RateLimit-Reset": "{in_a_minute}"}, 50, 60),
    ],
)
def test_the_rate_headers_are_read_after_every_kind_of_purge(
    cdn: FastlySimulator,
    fastly: Fastly,
    operation: Operation,
    headers: dict[str, str],
    least: float,
    most: float,
) -> None:
    sent = {name: value.format(in_a_minute=int(time.time()) + 60) for name, value in headers.items()}
    body = json.dumps({"status": "ok", "id": "1-2-3", "k": "1-2-3"})
    cdn.faults.always(faults.status(200, sent, body))
    assert least <= operation(fastly).pause <= most


# What each POP serves


def test_the_pop_that_ignores_a_purge_is_named(origin: Origin) -> None:
    pops = (Pop("FRA"), Pop("IAD", ignores=math.inf), Pop("NRT", hangs=True))
    simulator = FastlySimulator(origin.url)
    simulator.topology = Topology(pops)
    with simulator as cdn:
        fastly = provider(cdn)
        for text in ("old", "new"):
            origin.put("a", text)
            fastly.purge_urls([f"{SITE}/a"], CALL)
            seen = {one.pop: one for one in fastly.prove(f"{SITE}/a", CALL)}
    old, new = (hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (b"old", b"new"))
    assert {pop: one.md5 for pop, one in seen.items()} == {"FRA": new, "IAD": old, "NRT": ""}
    assert seen["IAD"].headers["etag"] == f'"{old}"'
    assert (seen["NRT"].status, seen["NRT"].reason) == (0, "the content took too long to download")


def test_edge_checks_need_more_than_the_right_to_purge(cdn: FastlySimulator, fastly: Fastly) -> None:
    cdn.check_scope = "global"
    with pytest.raises(CredentialsRefused, match="at least an engineer") as caught:
        fastly.prove(f"{SITE}/a", CALL)
    assert caught.value.about == "kind"
    assert purge_url(fastly).id
