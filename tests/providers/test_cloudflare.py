"""The Cloudflare provider against the simulated vendor: every kind, every fault, and the traps of the vendor's SDK."""

from __future__ import annotations

import dataclasses
import email.utils
import json
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest
from kit.odd_keys import ODD_KEYS
from multicdn_providers.cloudflare import Cloudflare

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, Target, TargetKind
from multicdn.provider import CAPABILITIES, Call, Secret, capabilities
from multicdn.simulators import ManualClock, Origin
from multicdn.simulators.cloudflare.api import PLANS, CloudflareSimulator, Environment, Zone, page, refusal
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators.kit.faults import Fault

PAGE = "https://www.acme.com/a.css"
CALL = Call(connect=2.0, read=2.0)
SOFT = Call(soft=True, connect=2.0, read=2.0)
HASTY = Call(connect=0.05, read=0.05)
ZONE = "023e105f4ecef8ad9ca31a8372d0c353"


@pytest.fixture
def cdn(origin: Origin) -> Iterator[CloudflareSimulator]:
    with CloudflareSimulator(origin.url) as running:
        yield running


def provider(cdn: CloudflareSimulator, **options: Any) -> Cloudflare:
    if "key" not in options:
        options = {"token": Secret.literal(cdn.token), **options}
    return Cloudflare(**{"endpoint": cdn.endpoint, "zone": cdn.zones[0].id, **options})


def legacy(cdn: CloudflareSimulator, **options: Any) -> Cloudflare:
    return provider(cdn, email=cdn.email, key=Secret.literal(cdn.key), **options)


def cache_status(cdn: CloudflareSimulator, url: str = PAGE, headers: dict[str, str] | None = None) -> str:
    return cdn.fetch(url, headers).headers["CF-Cache-Status"]


def error_of(configured: Cloudflare, call: Call = CALL) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        configured.purge_urls([PAGE, f"{PAGE}?v=1"], call)
    return caught.value


def locate(configured: Cloudflare, kind: TargetKind, value: str) -> list[str]:
    found = configured.locate(Target(kind, value), Action.PURGE)
    assert {target.kind for target in found} == {kind}
    return [target.value for target in found]


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "no complete credentials"),
        ({"email": "ops@acme.com"}, "both `email` and `key`"),
        ({"key": Secret.literal("k")}, "both `email` and `key`"),
        ({"token": Secret.literal("t"), "key": Secret.literal("k")}, "ignores a token"),
        ({"token": Secret.literal("t"), "email": "ops@acme.com"}, "ignores a token"),
        ({"token": Secret.literal("t"), "zone": ""}, "zone '' is no id"),
        ({"token": Secret.literal("t"), "zone": "acme.com"}, "names aren't looked up"),
        ({"token": Secret.literal("t"), "environment": "a/b"}, "environment 'a/b' is no id"),
        ({"token": Secret.literal("t"), "urls_per_call": 101}, "plan free takes 1 to 100"),
        ({"token": Secret.literal("t"), "urls_per_call": 0}, "urls_per_call is 0"),
        ({"token": Secret.literal("t"), "plan": "enterprise", "urls_per_call": 501}, "1 to 500"),
        ({"token": Secret.literal("t"), "items_per_call": 101}, "items_per_call is 101"),
        ({"token": Secret.literal("t"), "endpoint": "http://api.cloudflare.com/client/v4"}, "in clear"),
    ],
)
def test_refuses_options_that_can_not_work(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Cloudflare(**{"zone": ZONE, **options})


@pytest.mark.parametrize("plan", PLANS)
def test_limits_are_those_of_the_plan(plan: Any) -> None:
    configured = Cloudflare(zone=ZONE, token=Secret.literal("t"), plan=plan)
    vendor = PLANS[plan]
    assert configured.url_limits.targets == vendor.urls_per_call
    assert configured.url_limits.targets_per_second == vendor.urls_per_second
    for limits in (configured.prefix_limits, configured.tag_limits, configured.host_limits):
        assert (limits.targets, limits.calls_per_second) == (100, vendor.calls_per_second)
    everything = configured.everything_limits
    assert (everything.targets, everything.calls_per_second) == (1, vendor.calls_per_second)


def test_sizes_can_be_set_lower_than_the_plan() -> None:
    configured = Cloudflare(zone=ZONE, token=Secret.literal("t"), urls_per_call=30, items_per_call=20)
    assert (configured.url_limits.targets, configured.tag_limits.targets) == (30, 20)


def test_options_convert_from_a_config_file() -> None:
    given = {"zone": ZONE, "token": "t", "plan": "pro", "variants": [{"Origin": "https://o.example"}], "soft": True}
    configured = msgspec.convert(given, Cloudflare, dec_hook=lambda _type, value: Secret.literal(value))
    assert (configured.plan, configured.soft, configured.endpoint) == (
        "pro",
        True,
        "https://api.cloudflare.com/client/v4",
    )
    with pytest.raises(msgspec.ValidationError, match="plan"):
        msgspec.convert({**given, "plan": "gold"}, Cloudflare, dec_hook=lambda _type, value: Secret.literal(value))


def test_purges_by_every_kind_and_preloads_nothing() -> None:
    assert capabilities(Cloudflare) == tuple(each for each in CAPABILITIES if each.action is Action.PURGE)


def test_every_option_is_explained() -> None:
    own = [field for field in dataclasses.fields(Cloudflare) if not field.metadata.get("help")]
    assert own == []


# Spelling

SPELLER = Cloudflare(zone=ZONE, token=Secret.literal("t"))


@pytest.mark.parametrize(
    ("kind", "value", "spelled"),
    [
        (TargetKind.URL, "https://www.acme.com/A%20b?v=1", "https://www.acme.com/A%20b?v=1"),
        (TargetKind.PREFIX, "https://www.acme.com/Blog/%C3%BC/", "www.acme.com/Blog/%C3%BC/"),
        (TargetKind.PREFIX, "http://WWW.Acme.com/blog/?a=/b#c", "www.acme.com/blog/"),
        (TargetKind.PREFIX, "https://www.acme.com", "www.acme.com/"),
        (TargetKind.PREFIX, "https://www.acme.com?a=/b", "www.acme.com/"),
        (TargetKind.PREFIX, "www.acme.com/a", "www.acme.com/a"),
        (TargetKind.PREFIX, "https://www.acme.com/a?to=http://b.example/", "www.acme.com/a"),
        (TargetKind.PREFIX, "https://www.acme.com" + "/a" * 31, "www.acme.com" + "/a" * 31),
        (TargetKind.HOST, "https://WWW.acme.com/a?b", "www.acme.com"),
        (TargetKind.HOST, "www.acme.com", "www.acme.com"),
        (TargetKind.TAG, "Product-1/blue:~!", "Product-1/blue:~!"),
        (TargetKind.TAG, "t" * 1024, "t" * 1024),
        (TargetKind.EVERYTHING, "", ""),
    ],
)
def test_spells_targets_as_the_vendor_knows_them(kind: TargetKind, value: str, spelled: str) -> None:
    assert locate(SPELLER, kind, value) == [spelled]


@pytest.mark.parametrize(
    ("path", "seen", "not_normalized"),
    [
        ("/%41%2d%7Eb", ["/A-~b"], ["/%41%2d%7Eb"]),
        ("/caf%c3%a9|^", ["/caf%C3%A9%7C%5E"], ["/caf%c3%a9|^"]),
        ("/[id]%5bid%5D", ["/[id]%5Bid%5D"], ["/[id]%5bid%5D"]),
        ("/it's%27(,%2c)@%40", ["/it's%27(,%2C)@%40"], ["/it's%27(,%2c)@%40"]),
        ('/"<>`{}', ["/%22%3C%3E%60%7B%7D"], ['/"<>`{}']),
        ("/a//b///c/", ["/a/b/c/"], ["/a/b/c/"]),
        ("/a//", ["/a/"], ["/a/"]),
        ("/a%2F%2Fb", ["/a%2F%2Fb"], ["/a%2F%2Fb"]),
        ("/a\\b", ["/a%5Cb", "/a/b"], ["/a\\b"]),
        ("/é", ["/%C3%A9"], ["/é"]),
        ("/100%", ["/100%"], ["/100%"]),
        ("/a?b=%c3//[|]", ["/a?b=%c3//[|]"], ["/a?b=%c3//[|]"]),
        ("", [""], [""]),
    ],
)
def test_urls_are_spelled_as_the_cache_sees_them(path: str, seen: list[str], not_normalized: list[str]) -> None:
    site = "https://www.acme.com"
    assert locate(SPELLER, TargetKind.URL, site + path) == [site + each for each in seen]
    plain = Cloudflare(zone=ZONE, token=Secret.literal("t"), url_normalization=False)
    assert locate(plain, TargetKind.URL, site + path) == [site + each for each in not_normalized]
    if "?" not in path and path:
        assert locate(SPELLER, TargetKind.PREFIX, site + path) == ["www.acme.com" + each for each in seen]


def test_variants_are_those_of_the_url_that_the_cache_sees() -> None:
    varied = Cloudflare(zone=ZONE, token=Secret.literal("t"), variants=({}, {"Origin": "https://o.example"}))
    files = [json.loads(value)["url"] for value in locate(varied, TargetKind.URL, "https://www.acme.com/a|b")]
    assert files == ["https://www.acme.com/a%7Cb"] * 2


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TargetKind.PREFIX, "https://www.acme.com" + "/a" * 32),
        (TargetKind.PREFIX, ""),
        (TargetKind.PREFIX, "https:///a"),
        (TargetKind.PREFIX, "/a"),
        (TargetKind.HOST, ""),
        (TargetKind.HOST, "https://"),
        (TargetKind.TAG, ""),
        (TargetKind.TAG, "two words"),
        (TargetKind.TAG, "a,b"),
        (TargetKind.TAG, "ü"),
        (TargetKind.TAG, "a\n"),
        (TargetKind.TAG, "t" * 1025),
    ],
)
def test_refuses_targets_that_the_vendor_has_no_word_for(kind: TargetKind, value: str) -> None:
    with pytest.raises(TargetsRefused) as caught:
        locate(SPELLER, kind, value)
    assert caught.value.targets == (value,)


# Purging


def purge(configured: Cloudflare, kind: TargetKind, value: str, call: Call) -> None:
    targets = locate(configured, kind, value)
    if kind is TargetKind.EVERYTHING:
        configured.purge_everything(call)
    else:
        method = {each.kind: each.method for each in capabilities(configured)}[kind]
        getattr(configured, method)(targets, call)


@pytest.mark.parametrize(
    ("kind", "value", "body"),
    [
        (TargetKind.URL, PAGE, {"files": [PAGE]}),
        (TargetKind.PREFIX, "https://www.acme.com/a", {"prefixes": ["www.acme.com/a"]}),
        (TargetKind.TAG, "Css", {"tags": ["Css"]}),
        (TargetKind.HOST, "www.acme.com", {"hosts": ["www.acme.com"]}),
        (TargetKind.EVERYTHING, "", {"purge_everything": True}),
    ],
)
@pytest.mark.parametrize(
    ("call", "changed", "operation", "expected"),
    [
        (CALL, True, "purge_cache", ("MISS", b"new")),
        (CALL, False, "purge_cache", ("MISS", b"old")),
        (SOFT, True, "invalidate_cache", ("EXPIRED", b"new")),
        (SOFT, False, "invalidate_cache", ("REVALIDATED", b"old")),
    ],
)
def test_the_edge_stops_serving_what_was_purged(
    cdn: CloudflareSimulator,
    origin: Origin,
    kind: TargetKind,
    value: str,
    body: dict[str, Any],
    call: Call,
    changed: bool,
    operation: str,
    expected: tuple[str, bytes],
) -> None:
    origin.put("a.css", "old", {"Cache-Tag": "css"})
    cdn.fetch(PAGE)
    if changed:
        origin.put("a.css", "new", {"Cache-Tag": "css"})
    assert cdn.fetch(PAGE).body == b"old"
    purge(provider(cdn), kind, value, call)
    fetched = cdn.fetch(PAGE)
    assert (fetched.headers["CF-Cache-Status"], fetched.body) == expected
    (made,) = cdn.calls
    assert (made.method, made.target) == ("POST", f"/client/v4/zones/{cdn.zones[0].id}/{operation}")
    assert json.loads(made.body) == body


@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_odd_keys_reach_the_cache_byte_for_byte(cdn: CloudflareSimulator, origin: Origin, key: str) -> None:
    url = "https://www.acme.com/" + quote(key, safe="/~")
    origin.put(key, "old")
    cdn.fetch(url)
    origin.put(key, "new")
    provider(cdn).purge_urls(locate(SPELLER, TargetKind.URL, url), CALL)
    assert json.loads(cdn.calls[0].body) == {"files": [url.replace("/a//b", "/a/b")]}
    assert cdn.fetch(url).body == b"new"


def test_the_receipt_has_the_id_of_the_vendor(cdn: CloudflareSimulator) -> None:
    receipt = provider(cdn).purge_urls([PAGE], CALL)
    assert len(bytes.fromhex(receipt.id)) == 16


def test_a_success_without_a_result_is_a_success(cdn: CloudflareSimulator) -> None:
    body = '{"success": true, "errors": [], "messages": [], "result": null}'
    cdn.faults.once(faults.status(200, {"Content-Type": "application/json"}, body))
    assert provider(cdn).purge_urls([PAGE], CALL).id == ""


def test_takes_as_many_urls_in_one_call_as_it_declares(origin: Origin) -> None:
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", plan="enterprise"),)) as cdn:
        configured = provider(cdn, plan="enterprise")
        urls = [f"{PAGE}?v={n}" for n in range(configured.url_limits.targets)]
        configured.purge_urls(urls, CALL)
        assert cdn.calls[0].items == 500


def test_one_environment_is_purged_alone(origin: Origin) -> None:
    origin.put("a.css", "old")
    staging = Environment("5d41402abc4b2a76b9719d911017c592", "Host", "staging.acme.com")
    other = "https://staging.acme.com/a.css"
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", environments=(staging,)),)) as cdn:
        configured = provider(cdn, environment=staging.ref)
        for call, expected in ((CALL, "MISS"), (SOFT, "REVALIDATED")):
            for url in (PAGE, other):
                cdn.fetch(url)
            configured.purge_everything(call)
            assert [cache_status(cdn), cache_status(cdn, other)] == ["HIT", expected]


def test_all_that_is_asked_of_the_sdk_is_in_a_bundle(origin: Origin) -> None:
    """A bundle leaves out most of the SDK; what is imported by now is what four ways of purging import."""
    staging = Environment("5d41402abc4b2a76b9719d911017c592", "Host", "staging.acme.com")
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", environments=(staging,)),)) as cdn:
        for options in ({}, {"environment": staging.ref}):
            for call in (CALL, SOFT):
                provider(cdn, **options).purge_tags(["a"], call)
    for package, taken in Cloudflare.bundled.items():
        used = {name.removeprefix(f"{package}.").partition(".")[0] for name in sys.modules if name.startswith(package)}
        folders = {name for name in used if hasattr(sys.modules.get(f"{package}.{name}"), "__path__")}
        assert folders == set(taken)


def test_no_process_is_started_to_find_out_what_this_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK would run uname for a header, and a process that has loaded it takes long to fork."""
    from cloudflare import _base_client

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(_base_client, "get_platform", lambda: pytest.fail("it starts a process"))
    _base_client.platform_headers.cache_clear()
    Cloudflare(zone=ZONE, token=Secret.literal("never-revealed")).prepare()


def test_an_environment_by_visitor_refuses_all_urls_at_once(origin: Origin) -> None:
    abroad = Environment("7d793037a0760186574b0282f2f435e7", "CF-IPCountry", "ES")
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", environments=(abroad,)),)) as cdn:
        error = error_of(provider(cdn, environment=abroad.ref))
    assert isinstance(error, TargetsRefused)
    assert error.targets == (PAGE, f"{PAGE}?v=1")


def test_variants_purge_each_url_once_for_each_set_of_headers(origin: Origin) -> None:
    origin.put("a.css", "old")
    seen = [{}, {"Origin": "https://o.example"}, {"CF-Device-Type": "mobile"}]
    with CloudflareSimulator(origin.url, key_headers=["CF-Device-Type"]) as cdn:
        configured = provider(cdn, variants=({}, {"CF-Device-Type": "mobile"}))
        for headers in seen:
            cdn.fetch(PAGE, headers)
        configured.purge_urls(locate(configured, TargetKind.URL, PAGE), CALL)
        assert cdn.calls[0].items == 2
        assert [cache_status(cdn, headers=headers) for headers in seen] == ["MISS", "HIT", "MISS"]


def test_calls_may_be_under_way_at_once(cdn: CloudflareSimulator) -> None:
    configured = provider(cdn)
    with ThreadPoolExecutor(configured.url_limits.parallel) as threads:
        receipts = list(threads.map(lambda n: configured.purge_urls([f"{PAGE}?{n}"], CALL), range(12)))
    assert len({receipt.id for receipt in receipts}) == 12


# The SDK's traps

FOREIGN = {
    "CLOUDFLARE_EMAIL": "somebody@else.example",
    "CLOUDFLARE_API_KEY": "c0ffee",
    "CLOUDFLARE_API_TOKEN": "token-of-somebody-else",
    "CLOUDFLARE_API_USER_SERVICE_KEY": "v1.0-somebody-else",
    "CLOUDFLARE_CUSTOM_HEADERS": "X-Foreign: yes\nX-Auth-Email: somebody@else.example\nAuthorization: Bearer stolen",
}


@pytest.mark.parametrize(("make", "ours"), [(provider, {"authorization"}), (legacy, {"x-auth-email", "x-auth-key"})])
def test_the_environment_of_the_sdk_changes_nothing(
    cdn: CloudflareSimulator, origin: Origin, monkeypatch: pytest.MonkeyPatch, make: Any, ours: set[str]
) -> None:
    with CloudflareSimulator(origin.url) as elsewhere:
        for name, value in {**FOREIGN, "CLOUDFLARE_BASE_URL": elsewhere.endpoint}.items():
            monkeypatch.setenv(name, value)
        make(cdn).purge_urls([PAGE], CALL)
        assert elsewhere.calls == []
    sent = {name.lower() for name in cdn.calls[0].headers}
    assert sent & {"authorization", "x-auth-email", "x-auth-key", "x-auth-user-service-key", "x-foreign"} == ours
    assert cdn.violations == []


@pytest.mark.parametrize("fault", [faults.status(500), faults.status(429), faults.status(408), faults.reset()])
def test_the_sdk_does_not_retry_by_itself(cdn: CloudflareSimulator, fault: Fault) -> None:
    cdn.faults.once(fault)
    error_of(provider(cdn))
    assert len(cdn.calls) == 1


def test_importing_the_plugin_imports_no_http_library() -> None:
    program = (
        "import sys, multicdn_providers.cloudflare as plugin; "
        "plugin.Cloudflare(zone='z', token=plugin.Secret.literal('t')); "
        "print(*{'cloudflare', 'httpx', 'requests', 'pydantic'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Trouble


# A date is made when the vendor answers: tests are collected long before they run.
IN_AN_HOUR = "in an hour"


def dated(headers: dict[str, str]) -> dict[str, str]:
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    return {name: date if value == IN_AN_HOUR else value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("headers", "after"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "0.5"}, 0.5),
        ({"Retry-After": "tomorrow"}, None),
        ({"Retry-After": IN_AN_HOUR}, pytest.approx(3600, abs=120)),
        ({"Ratelimit": '"default";r=0;t=42', "Ratelimit-Policy": '"default";q=1200;w=300'}, 42.0),
        ({"Ratelimit": '"default";r=0;t=42', "Retry-After": "9"}, 9.0),
        ({"Ratelimit": '"default";r=0'}, None),
    ],
)
@pytest.mark.parametrize(
    "make", [lambda headers: refusal(429, 971, "slow down", headers), lambda h: page(503, headers=h)]
)
def test_waits_as_long_as_it_is_asked_to(
    cdn: CloudflareSimulator, make: Any, headers: dict[str, str], after: float | None
) -> None:
    cdn.faults.once(make(dated(headers)))
    error = error_of(provider(cdn))
    assert isinstance(error, RetryLater)
    assert error.after == after


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.status(500), RetryLater),
        (page(502), RetryLater),
        (page(503), RetryLater),
        (page(429), RetryLater),
        (refusal(503, 10000, "Authentication error"), RetryLater),
        (faults.status(408), RetryLater),
        (faults.garbage(), RetryLater),
        (faults.status(200), RetryLater),
        (faults.status(200, {"Content-Type": "application/json"}, "[]"), RetryLater),
        (faults.status(200, {"Content-Type": "application/json"}, "null"), RetryLater),
        (faults.status(200, {"Content-Type": "application/json"}, '{"success": "true"}'), RetryLater),
        (faults.status(200, {"Content-Type": "application/json"}, '{"success": false, "errors": null}'), RetryLater),
        (faults.reset(), RetryLater),
        (faults.lost(), RetryLater),
        (faults.drop_after(0), RetryLater),
        (faults.drop_after(60), RetryLater),
        (faults.drop_after(120), RetryLater),
        (refusal(200, 971, "throttle"), RetryLater),
        (refusal(200, 424242, "what nobody has seen"), TargetsRefused),
        (refusal(200, 1016, "Unable to purge any url"), TargetsRefused),
        (refusal(200, 1082, "not in this zone"), TargetsRefused),
        (refusal(200, 10000, "Authentication error"), CredentialsRefused),
        (refusal(200, 7003, "Could not route"), CallRefused),
        (refusal(400, 10429, "rate limited"), RetryLater),
        (refusal(400, 1083, "purge rate limit reached"), RetryLater),
        (refusal(400, 1082, "not in this zone"), TargetsRefused),
        (refusal(400, 424242, "what nobody has seen"), TargetsRefused),
        (page(413), TargetsRefused),
        (refusal(400, 1012, "Request must contain"), CallRefused),
        (refusal(400, 6003, "Invalid request headers"), CredentialsRefused),
        (refusal(400, 7003, "Could not route"), CallRefused),
        (refusal(404, 7000, "No route"), CallRefused),
        (page(404), RetryLater),
        (page(405), RetryLater),
        (refusal(401, 10000, "Authentication error"), CredentialsRefused),
        (refusal(403, 10000, "Authentication error"), CredentialsRefused),
        (refusal(403, 10502, "too many"), CredentialsRefused),
        (page(403), RetryLater),
        (faults.status(302, {"Location": "https://elsewhere.example/"}), RetryLater),
        (faults.status(304), RetryLater),
    ],
)
def test_every_fault_says_what_to_do_next(
    cdn: CloudflareSimulator, fault: Fault, expected: type[ProviderError]
) -> None:
    cdn.faults.once(fault)
    configured = provider(cdn)
    error = error_of(configured)
    assert type(error) is expected
    assert error.reason.startswith(f"POST {cdn.endpoint}/zones/{cdn.zones[0].id}/purge_cache: ")
    assert configured.purge_urls([PAGE], CALL).id


def test_a_401_that_passes_passes(cdn: CloudflareSimulator) -> None:
    cdn.faults.once(refusal(401, 10000, "Authentication error"))
    configured = provider(cdn)
    assert type(error_of(configured)) is CredentialsRefused
    assert configured.purge_urls([PAGE], CALL).id


def test_the_words_of_the_vendor_are_in_the_reason(cdn: CloudflareSimulator) -> None:
    error = error_of(provider(cdn, zone="0" * 32))
    assert type(error) is CallRefused
    assert ": 404: 7003: Could not route to" in error.reason


def answering(*errors: tuple[int, str]) -> Fault:
    found = [{"code": code, "message": message} for code, message in errors]
    body = json.dumps({"success": False, "errors": found, "messages": [], "result": None})
    return faults.status(400, {"Content-Type": "application/json"}, body)


STRANGE = (1082, "Unable to purge www.other.example. You can only purge files for this zone.")
COMPANION = (1016, "One or more cache purge errors")


@pytest.mark.parametrize("errors", [(STRANGE, COMPANION), (COMPANION, STRANGE), (STRANGE,)])
def test_a_host_of_another_zone_is_named_whatever_stands_beside_it(
    cdn: CloudflareSimulator, errors: tuple[tuple[int, str], ...]
) -> None:
    cdn.faults.once(answering(*errors))
    bad = [f"https://www.other.example/{number}" for number in range(3)]
    with pytest.raises(TargetsRefused, match="1082") as caught:
        provider(cdn).purge_urls([PAGE, *bad], CALL)
    assert caught.value.targets == tuple(bad)


def test_a_page_full_of_paths_takes_no_longer_to_look_through_for_many_targets(cdn: CloudflareSimulator) -> None:
    """64 KiB of them took half a minute for the 500 URLs of a call, in which no other vendor was called."""
    said = "/a" * 30_000
    cdn.faults.once(answering((1, said)))
    begun = time.thread_time()
    configured = provider(cdn, plan="enterprise")
    with pytest.raises(TargetsRefused):
        configured.purge_urls([f"https://www.acme.com/a?{number}" for number in range(500)], CALL)
    assert time.thread_time() - begun < 2
    cdn.faults.once(answering((1, f"Unable to purge {PAGE}. " + said)))
    with pytest.raises(TargetsRefused) as caught:
        configured.purge_urls([PAGE, "https://www.acme.com/a"], CALL)
    assert caught.value.targets == (PAGE,)


def test_an_error_that_is_not_in_cloudflares_envelope_is_not_cloudflares(cdn: CloudflareSimulator) -> None:
    """A gateway's: it was a dead letter at once."""
    for status in (400, 401, 403, 404):
        body = json.dumps({"code": status, "message": "no Route matched with those values"})
        cdn.faults.once(faults.status(status, {"Content-Type": "application/json"}, body))
        with pytest.raises(RetryLater):
            provider(cdn).purge_urls([PAGE], CALL)


def test_a_host_is_named_for_urls_with_headers_too(cdn: CloudflareSimulator) -> None:
    varied = provider(cdn, variants=({}, {"Origin": "https://www.acme.com"}))
    bad = [target.value for target in varied.locate(Target(TargetKind.URL, "https://www.other.example/"), Action.PURGE)]
    good = [target.value for target in varied.locate(Target(TargetKind.URL, PAGE), Action.PURGE)]
    with pytest.raises(TargetsRefused) as caught:
        varied.purge_urls([*good, *bad], CALL)
    assert caught.value.targets == tuple(bad)


def test_a_url_or_a_path_that_the_text_names_is_the_one_that_is_refused(cdn: CloudflareSimulator) -> None:
    """cloudflare/cloudflare-docs#25277; the shorter path is the end of the longer one."""
    urls = [f"https://www.acme.com{path}" for path in ("/path/to/image.jpg", "/image.jpg", "/path/to/image.jpg.bak")]
    for text in ("Unable to purge/path/to/image.jpg, which is an invalid URL.", f"Unable to purge {urls[0]}"):
        cdn.faults.once(answering((424242, text), COMPANION))
        with pytest.raises(TargetsRefused) as caught:
            provider(cdn).purge_urls(urls, CALL)
        assert caught.value.targets == (urls[0],)


@pytest.mark.parametrize("status", [200, 400])
def test_the_companion_alone_lets_one_bad_target_be_looked_for_and_is_not_final(
    cdn: CloudflareSimulator, status: int
) -> None:
    cdn.faults.always(refusal(status, *COMPANION))
    with pytest.raises(TargetsRefused):
        provider(cdn).purge_urls([PAGE, f"{PAGE}2"], CALL)
    with pytest.raises(RetryLater):
        provider(cdn).purge_urls([PAGE], CALL)


@pytest.mark.parametrize(
    ("fault", "about"),
    [
        (refusal(401, 10000, "Authentication error"), "account"),
        (refusal(403, 10000, "Authentication error"), "account"),
        (refusal(404, 7003, "Could not route"), "account"),
        (refusal(400, 1107, "Only enterprise zones can purge by tag"), "kind"),
        (refusal(403, 424242, "what nobody has seen"), None),
    ],
)
def test_a_refusal_says_what_it_is_about(cdn: CloudflareSimulator, fault: Fault, about: str | None) -> None:
    cdn.faults.once(fault)
    error = error_of(provider(cdn))
    assert isinstance(error, CallRefused)
    assert error.about == about


@pytest.mark.parametrize("kind", ["token", "key"])
def test_credentials_of_nobody_are_refused(cdn: CloudflareSimulator, kind: str) -> None:
    stranger: dict[str, dict[str, Any]] = {
        "token": {"token": Secret.literal("token-of-nobody")},
        "key": {"email": cdn.email, "key": Secret.literal("0" * 37)},
    }
    assert type(error_of(provider(cdn, **stranger[kind]))) is CredentialsRefused


def test_silence_ends_at_the_limit_of_the_call(cdn: CloudflareSimulator) -> None:
    cdn.faults.once(faults.hang(30))
    error = error_of(provider(cdn), HASTY)
    assert type(error) is RetryLater
    assert error.reason.endswith("no answer within 0.1 s")


def test_a_slow_answer_is_one_within_the_limit(cdn: CloudflareSimulator) -> None:
    cdn.faults.once(faults.slow(0.05))
    assert provider(cdn).purge_urls([PAGE], CALL).id


def test_nobody_listening_is_a_passing_trouble(cdn: CloudflareSimulator) -> None:
    configured = provider(cdn)
    cdn.stop()
    error = error_of(configured)
    assert type(error) is RetryLater
    assert "connection failed" in error.reason


def test_an_answer_lost_on_the_way_may_be_asked_for_again(cdn: CloudflareSimulator, origin: Origin) -> None:
    origin.put("a.css", "old")
    cdn.fetch(PAGE)
    cdn.faults.once(faults.lost())
    configured = provider(cdn)
    assert type(error_of(configured)) is RetryLater
    assert cache_status(cdn) == "MISS"
    configured.purge_urls([PAGE], CALL)
    assert cache_status(cdn) == "MISS"


def test_the_pace_of_the_plan_is_told_by_the_vendor(origin: Origin) -> None:
    clock = ManualClock()
    with CloudflareSimulator(origin.url, clock=clock) as cdn:
        configured = provider(cdn)
        for _ in range(25):
            configured.purge_tags(["a"], CALL)
        with pytest.raises(RetryLater, match="971") as caught:
            configured.purge_hosts(["www.acme.com"], SOFT)
        assert caught.value.after == 12.0
        clock.advance(12)
        configured.purge_prefixes(["www.acme.com/a"], CALL)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_follow_no_redirect(cdn: CloudflareSimulator, origin: Origin, status: int) -> None:
    with CloudflareSimulator(origin.url) as elsewhere:
        cdn.faults.once(faults.status(status, {"Location": elsewhere.endpoint + "/zones"}))
        error = error_of(provider(cdn))
        assert type(error) is RetryLater
        assert "redirects are never followed" in error.reason
        assert elsewhere.calls == []


# Secrets


def test_a_rotated_token_is_used_at_once(cdn: CloudflareSimulator) -> None:
    stored = [cdn.token]
    token = Secret("${env:TOKEN}", lambda: stored[-1])
    configured = provider(cdn, token=token)
    configured.purge_urls([PAGE], CALL)
    cdn.token = "another-token-after-the-rotation"
    stored.append(cdn.token)
    assert type(error_of(configured)) is CredentialsRefused
    token.forget()
    assert configured.purge_urls([PAGE], CALL).id


def echo(request: Any, *_: object) -> Any:
    """A fault that repeats all of its request, far into the body, once plain and once escaped."""
    headers = "; ".join(f"{name}: {value}" for name, value in request.headers.items())
    body = json.dumps({"errors": [{"code": 1, "message": headers}]}).replace("-", "\\u002d")
    return faults.status(400, {}, body)(request, lambda _: None, None)  # type: ignore[arg-type, return-value]


def refused_html(request: Any, *_: object) -> Any:
    text = "x" * 270 + " ".join(request.headers.get(name, "") for name in CloudflareSimulator.credential_headers)
    return page(502, text)(request, lambda _: None, None)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("make", [provider, legacy])
@pytest.mark.parametrize(
    "fault",
    [
        echo,
        refused_html,
        faults.reset(),
        faults.hang(30),
        faults.status(302),
        refusal(200, 1, "no"),
        faults.status(401),
    ],
)
def test_no_secret_is_in_any_exception(cdn: CloudflareSimulator, make: Any, fault: Fault) -> None:
    cdn.faults.once(fault)
    error = error_of(make(cdn), Call(connect=2.0, read=0.1))
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error) + repr(vars(error))
    assert not [secret for secret in (cdn.token, cdn.key, cdn.email, cdn.token[:20]) if secret in shown]
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("value", ["secret-with-line-break\n", "", "secret with spaces", "secret-with-ü"])
@pytest.mark.parametrize("name", ["token", "key"])
def test_a_credential_that_no_header_takes_is_refused_unseen(cdn: CloudflareSimulator, name: str, value: str) -> None:
    options = {name: Secret.literal(value), **({"email": cdn.email} if name == "key" else {})}
    error = error_of(provider(cdn, **options))
    assert type(error) is CredentialsRefused
    assert f"the {name}" in error.reason
    shown = "".join(traceback.format_exception(error))
    assert "secret-with" not in shown
    assert "secret with" not in shown
    assert cdn.calls == []


def test_no_secret_is_in_the_text_of_the_provider(cdn: CloudflareSimulator) -> None:
    shown = repr(provider(cdn)) + repr(legacy(cdn))
    assert cdn.token not in shown
    assert cdn.key not in shown
    assert [len(list(make(cdn).secrets())) for make in (provider, legacy)] == [1, 1]
