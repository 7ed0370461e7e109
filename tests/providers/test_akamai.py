"""The Akamai provider against the Akamai simulator: only the wire is simulated."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from kit.odd_keys import ODD_KEYS
from multicdn_providers.akamai import Akamai

from multicdn import secrets
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, TargetKind
from multicdn.provider import Call, Receipt, Secret, Target, capabilities
from multicdn.routing import placeholders, url_templates
from multicdn.simulators import ManualClock, Origin, Request, Response, Server
from multicdn.simulators.akamai.api import CP_CODE, STAGING, AkamaiSimulator, BucketSize
from multicdn.simulators.akamai.edgegrid import ApiClient
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from pathlib import Path

SITE = "https://www.acme.com"
CALL = Call(connect=1, read=5)
SOFT = Call(soft=True, connect=1, read=5)
TOKENS = ("client_token", "client_secret", "access_token")


@pytest.fixture
def cdn(origin: Origin) -> Iterator[AkamaiSimulator]:
    with AkamaiSimulator(origin.url) as running:
        yield running


def provider(cdn: AkamaiSimulator, **changed: Any) -> Akamai:
    """A provider as the config makes it; an option that is changed to None is left out."""
    tokens = {name: Secret.literal(value) for name, value in cdn.secrets().items()}
    options: dict[str, Any] = {**cdn.options(), **tokens, **changed}
    options["cp_codes"] = tuple(options["cp_codes"])
    return Akamai(**{name: value for name, value in options.items() if name != "type" and value is not None})


@pytest.fixture
def akamai(cdn: AkamaiSimulator) -> Akamai:
    return provider(cdn)


def purge_url(akamai: Akamai, call: Call = CALL) -> Receipt:
    receipt: Receipt = akamai.purge_urls([f"{SITE}/a"], call)
    return receipt


def purge_tag(akamai: Akamai, call: Call = CALL) -> Receipt:
    receipt: Receipt = akamai.purge_tags(["k"], call)
    return receipt


def purge_everything(akamai: Akamai, call: Call = CALL) -> Receipt:
    receipt: Receipt = akamai.purge_everything(call)
    return receipt


Operation = Callable[..., Receipt]
OPERATIONS: list[Operation] = [purge_url, purge_tag, purge_everything]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that hang on it, shown or not."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def raised_by(operation: Operation, akamai: Akamai, call: Call = CALL) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        operation(akamai, call)
    return caught.value


# What goes out


def test_capabilities_are_what_fast_purge_has() -> None:
    offered = {(found.action, found.kind) for found in capabilities(Akamai)}
    assert offered == {(Action.PURGE, kind) for kind in (TargetKind.URL, TargetKind.TAG, TargetKind.EVERYTHING)}


@pytest.mark.parametrize(
    ("operation", "call", "target", "body"),
    [
        (purge_url, CALL, "/ccu/v3/delete/url/production", b'{"objects":["https://www.acme.com/a"]}'),
        (purge_url, SOFT, "/ccu/v3/invalidate/url/production", b'{"objects":["https://www.acme.com/a"]}'),
        (purge_tag, CALL, "/ccu/v3/delete/tag/production", b'{"objects":["k"]}'),
        (purge_tag, SOFT, "/ccu/v3/invalidate/tag/production", b'{"objects":["k"]}'),
        (purge_everything, CALL, "/ccu/v3/delete/cpcode/production", b'{"objects":[%d]}' % CP_CODE),
        (purge_everything, SOFT, "/ccu/v3/invalidate/cpcode/production", b'{"objects":[%d]}' % CP_CODE),
    ],
)
def test_call_is_the_documented_one(
    cdn: AkamaiSimulator, akamai: Akamai, operation: Operation, call: Call, target: str, body: bytes
) -> None:
    operation(akamai, call)
    [made] = cdn.calls
    assert (made.method, made.target, made.body, made.status) == ("POST", target, body, 201)
    assert made.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("operation", "prefix"), [(purge_url, "edup-"), (purge_tag, "edtp-"), (purge_everything, "edcp-")]
)
def test_receipt_holds_both_ids_and_the_estimate(akamai: Akamai, operation: Operation, prefix: str) -> None:
    receipt = operation(akamai)
    assert receipt.id.startswith(prefix)
    assert receipt.note.startswith(prefix)
    assert receipt.estimate == 5.0


@pytest.mark.parametrize("soft", [False, True], ids=["delete", "invalidate"])
@pytest.mark.parametrize("key", ODD_KEYS.values(), ids=ODD_KEYS)
def test_object_under_an_odd_key_is_purged_exactly(
    origin: Origin, cdn: AkamaiSimulator, akamai: Akamai, key: str, soft: bool
) -> None:
    url, *others = url_templates.expand([placeholders.parse(f"{SITE}/{{key}}")], "b", key, "")
    origin.put(key, "old")
    assert cdn.fetch(url).body == b"old"
    origin.put(key, "new")
    assert cdn.fetch(url).body == b"old"
    located = [akamai.locate(Target(TargetKind.URL, one), Action.PURGE)[0].value for one in (url, *others)]
    akamai.purge_urls(located, SOFT if soft else CALL)
    assert cdn.fetch(url).body == b"new"
    assert json.loads(cdn.calls[0].body) == {"objects": [url, *others]}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("network", ["production", "staging"])
def test_network_is_the_one_configured(
    origin: Origin, cdn: AkamaiSimulator, network: str, operation: Operation
) -> None:
    origin.put("a", "old", {"Edge-Cache-Tag": "k"})
    headers: dict[str, Mapping[str, str]] = {"production": {}, "staging": STAGING}
    for sent in headers.values():
        cdn.fetch(f"{SITE}/a", sent)
    operation(provider(cdn, network=network))
    caches = {name: cdn.fetch(f"{SITE}/a", sent).cache for name, sent in headers.items()}
    assert [name for name, cache in caches.items() if cache == "MISS"] == [network]


@pytest.mark.parametrize("tag", ["a", "A/b.c", "!#$%'+.^_`|~-", "a&b", "x" * 128])
def test_tag_is_purged_exactly(origin: Origin, cdn: AkamaiSimulator, akamai: Akamai, tag: str) -> None:
    origin.put("with", "old", {"Edge-Cache-Tag": f"other,{tag}"})
    origin.put("without", "old", {"Edge-Cache-Tag": "other"})
    for key in ("with", "without"):
        cdn.fetch(f"{SITE}/{key}")
    [located] = akamai.locate(Target(TargetKind.TAG, tag), Action.PURGE)
    akamai.purge_tags([located.value], CALL)
    assert [cdn.fetch(f"{SITE}/{key}").cache for key in ("with", "without")] == ["MISS", "HIT"]


def test_everything_is_all_of_the_cp_codes_and_no_more(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, cp_codes={"a.acme.com": 1, "b.acme.com": 2, "c.acme.com": 3}) as cdn:
        urls = [f"https://{letter}.acme.com/" for letter in "abc"]
        for url in urls:
            cdn.fetch(url)
        provider(cdn, cp_codes=(1, 3)).purge_everything(CALL)
        assert [cdn.fetch(url).cache for url in urls] == ["MISS", "HIT", "MISS"]


def test_everything_without_cp_codes_is_refused_with_the_remedy(cdn: AkamaiSimulator) -> None:
    error = raised_by(purge_everything, provider(cdn, cp_codes=()))
    assert type(error) is CallRefused
    assert "cp_codes" in error.reason
    assert cdn.calls == []


def test_account_key_is_sent_signed_and_not_shown(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, account_key="1-5C0YLB:1-8BYUX") as cdn:
        purge_url(provider(cdn))
        assert cdn.calls[0].target == "/ccu/v3/delete/url/production?accountSwitchKey=1-5C0YLB:1-8BYUX"
        cdn.faults.once(faults.status(500))
        assert "1-5C0YLB" not in raised_by(purge_url, provider(cdn)).reason


@pytest.mark.parametrize("key", ["a b&c=d#e", "é"])
def test_odd_account_key_stays_one_parameter(origin: Origin, key: str) -> None:
    with AkamaiSimulator(origin.url, account_key=key) as cdn:
        assert purge_url(provider(cdn)).id


def test_every_call_is_signed_anew(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    for _ in range(3):
        purge_url(akamai)
    assert [call.status for call in cdn.calls] == [201] * 3


def test_host_is_signed_as_it_is_sent(cdn: AkamaiSimulator) -> None:
    assert purge_url(provider(cdn, endpoint=cdn.endpoint.replace("127.0.0.1", "LocalHost"))).id


def test_endpoint_may_end_in_a_slash(cdn: AkamaiSimulator) -> None:
    purge_url(provider(cdn, endpoint=f"{cdn.endpoint}/"))
    assert cdn.calls[0].target == "/ccu/v3/delete/url/production"


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.0.0.1:1/", "https://127.0.0.1:1/"])
def test_without_an_endpoint_the_host_is_called_by_https(cdn: AkamaiSimulator, host: str) -> None:
    error = raised_by(purge_url, provider(cdn, endpoint=None, host=host))
    assert type(error) is RetryLater
    assert error.reason.startswith("POST https://127.0.0.1:1/ccu/v3/delete/url/production: ")


# Limits


def fill(akamai: Akamai, kind: str, make: Callable[[int], str]) -> list[str]:
    """As many targets as one call may have."""
    limits = akamai.url_limits if kind == "url" else akamai.tag_limits
    targets: list[str] = []
    size = limits.envelope
    while len(targets) < limits.targets and size + akamai.weigh(make(len(targets))) <= (limits.bytes or 0):
        targets.append(make(len(targets)))
        size += akamai.weigh(targets[-1])
    return targets


@pytest.mark.parametrize("kind", ["url", "tag"])
def test_largest_batch_is_accepted_and_fills_the_body(cdn: AkamaiSimulator, akamai: Akamai, kind: str) -> None:
    if kind == "url":
        akamai.purge_urls(fill(akamai, kind, lambda number: f'{SITE}/"{number}"'), CALL)
    else:
        akamai.purge_tags(fill(akamai, kind, lambda number: f"{number:0128}"), CALL)
    assert 49_800 < len(cdn.calls[0].body) <= 50_000


def test_batch_of_the_shortest_tags_is_limited_by_their_count(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    tags = fill(akamai, "tag", lambda number: f"{number:x}")
    assert len(tags) == 5_000
    akamai.purge_tags(tags, CALL)
    assert cdn.calls[0].items == 5_000


def test_paces_are_the_accounts_refill_rates(cdn: AkamaiSimulator) -> None:
    akamai = provider(cdn, cp_codes=(1, 2, 3, 4, 5))
    assert (akamai.url_limits.calls_per_second, akamai.url_limits.targets_per_second) == (50, 200)
    assert (akamai.tag_limits.target_bytes, akamai.tag_limits.targets_per_second) == (128, 500 / 60)
    assert akamai.everything_limits.calls_per_second == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (TargetKind.URL, f"{SITE}/é"),
        (TargetKind.URL, f"{SITE}/\u017f"),  # an s, where case is ignored
        (TargetKind.URL, "http\u017f://www.acme.com/a"),
        (TargetKind.URL, f"{SITE}/a b"),
        (TargetKind.URL, "/a.css"),
        (TargetKind.URL, "/L/512/6848/1h/www.acme.com/"),
        (TargetKind.URL, "www.acme.com/a"),
        (TargetKind.URL, "ftp://www.acme.com/a"),
        (TargetKind.URL, "https:///a"),
        (TargetKind.URL, ""),
        (TargetKind.TAG, ""),
        (TargetKind.TAG, "a b"),
        (TargetKind.TAG, "a,b"),
        (TargetKind.TAG, "ключ"),
        *((TargetKind.TAG, f"a{letter}") for letter in r"*@\{}:<>"),
    ],
)
def test_target_that_akamai_has_no_way_to_know_is_refused(akamai: Akamai, kind: TargetKind, value: str) -> None:
    with pytest.raises(TargetsRefused) as refused:
        akamai.locate(Target(kind, value), Action.PURGE)
    assert refused.value.targets == (value,)


# Options


def literal(**values: str) -> dict[str, Any]:
    return {name: Secret.literal(value) for name, value in values.items()}


ALL_TOKENS = literal(client_token="a", client_secret="b", access_token="c")
EDGERC = literal(edgerc="[default]")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "host, client_token, client_secret, access_token"),
        ({"host": "h.net", **literal(client_token="a")}, "give client_secret, access_token"),
        (ALL_TOKENS, "give host"),
        ({**EDGERC, "host": "h.net"}, "leave out host"),
        ({**EDGERC, **ALL_TOKENS}, "leave out client_token, client_secret, access_token"),
        ({**ALL_TOKENS, "host": "h.net", "section": "ccu"}, "section"),
        ({**ALL_TOKENS, "host": "http://h.net"}, "no host name"),
        ({**ALL_TOKENS, "host": "h.net/path"}, "no host name"),
        ({**ALL_TOKENS, "endpoint": "http://h.net"}, "in clear"),
        ({**ALL_TOKENS, "endpoint": "h.net"}, "absolute"),
        ({**EDGERC, "cp_codes": tuple(range(1, 302))}, "at most 300"),
        ({**EDGERC, "cp_codes": (0,)}, "positive"),
    ],
)
def test_options_that_can_not_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Akamai(**options)


@pytest.mark.parametrize("options", [EDGERC, {**ALL_TOKENS, "host": "h.net"}])
def test_defaults(options: dict[str, Any]) -> None:
    akamai = Akamai(**options)
    assert (akamai.endpoint, akamai.soft, akamai.network, akamai.section) == ("", False, "production", "default")


# .edgerc


def edgerc(cdn: AkamaiSimulator, section: str = "default", host: str = "h.net", **changed: str) -> str:
    values = {"host": host, **cdn.secrets(), **changed}
    return f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())


def with_edgerc(cdn: AkamaiSimulator, text: str, **options: Any) -> Akamai:
    tokens = dict.fromkeys(TOKENS)
    return provider(cdn, **tokens, edgerc=Secret.literal(text), **options)


READABLE: dict[str, Callable[[AkamaiSimulator], str]] = {
    "plain": edgerc,
    "slash after the host": lambda cdn: edgerc(cdn, host="h.net/"),
    "scheme before the host": lambda cdn: edgerc(cdn, host="https://H.net/"),
    "dashes": lambda cdn: edgerc(cdn).replace("client_", "client-").replace("access_", "access-"),
    "capitals": lambda cdn: edgerc(cdn).replace("client_secret", "Client_Secret"),
    "byte order mark": lambda cdn: "\ufeff" + edgerc(cdn),
    "carriage returns": lambda cdn: edgerc(cdn).replace("\n", "\r\n"),
    "comments": lambda cdn: "# mine\n; too\n" + edgerc(cdn),
    "max-body": lambda cdn: edgerc(cdn) + "max-body: 131072\nheaders_to_sign = None\n",
    "further sections": lambda cdn: edgerc(cdn, "other", client_token="x") + edgerc(cdn),
    "a percent sign elsewhere": lambda cdn: edgerc(cdn) + "note = 100% (%s)\n",
}


@pytest.mark.parametrize("text", READABLE.values(), ids=list(READABLE))
def test_edgerc_is_read(cdn: AkamaiSimulator, text: Callable[[AkamaiSimulator], str]) -> None:
    assert purge_url(with_edgerc(cdn, text(cdn))).id


@pytest.mark.parametrize("value", ["50%", "%(x)s", "a#b", "=a=", "a;b%%"])
def test_odd_characters_in_an_edgerc_are_the_values_own(origin: Origin, value: str) -> None:
    with AkamaiSimulator(origin.url, client_secret=value) as cdn:
        assert purge_url(with_edgerc(cdn, edgerc(cdn))).id


def test_section_of_the_edgerc_is_chosen(cdn: AkamaiSimulator) -> None:
    text = edgerc(cdn, client_token="of-somebody-else") + edgerc(cdn, "ccu")
    assert type(raised_by(purge_url, with_edgerc(cdn, text))) is CredentialsRefused
    assert purge_url(with_edgerc(cdn, text, section="ccu")).id


def test_edgerc_names_the_host() -> None:
    text = "[default]\nhost = 127.0.0.1:1/\nclient_token = a\nclient_secret = b\naccess_token = c\n"
    error = raised_by(purge_url, Akamai(edgerc=Secret.literal(text)))
    assert error.reason.startswith("POST https://127.0.0.1:1/ccu/v3/")


def test_account_key_may_stand_in_the_edgerc_and_the_option_wins(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, account_key="B-1") as cdn:
        in_file = with_edgerc(cdn, edgerc(cdn) + "account_key = B-1\n", account_key=None)
        assert purge_url(in_file).id
        overridden = with_edgerc(cdn, edgerc(cdn) + "account_key = B-2\n")
        assert purge_url(overridden).id


def test_edgerc_comes_from_a_file(cdn: AkamaiSimulator, tmp_path: Path) -> None:
    path = tmp_path / ".edgerc"
    path.write_text(edgerc(cdn), encoding="utf-8")
    reference = Secret(f"${{file:{path}}}", partial(secrets.resolve, "file", str(path)))
    assert purge_url(provider(cdn, **dict.fromkeys(TOKENS), edgerc=reference)).id


UNREADABLE: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda text: "", "no section"),
    "no section at all": (lambda text: text.replace("[default]\n", ""), "MissingSectionHeaderError"),
    "another section only": (lambda text: text.replace("[default]", "[other]"), "no section .default., only other"),
    "a line without a value": (lambda text: text + "s3cret-of-mine\n", "ParsingError"),
    "the same name twice": (lambda text: text + text.splitlines()[2] + "\n", "DuplicateOptionError"),
    "an empty token": (lambda text: text + "\n[x]\nhost = h.net\naccess_token =\n", "lacks .*access_token"),
    "a bad host": (lambda text: text.replace("h.net", '"https://h.net"'), "isn't a host name"),
}


@pytest.mark.parametrize(("change", "words"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_useless_edgerc_is_refused_without_showing_it(
    cdn: AkamaiSimulator, change: Callable[[str], str], words: str
) -> None:
    text = change(edgerc(cdn))
    section = "x" if "[x]" in text else "default"
    with pytest.raises(CredentialsRefused, match=words) as caught:
        purge_url(with_edgerc(cdn, text, section=section))
    shown = [repr(error) for error in chain(caught.value)]
    assert not [value for value in (*cdn.secrets().values(), "s3cret-of-mine") if any(value in one for one in shown)]
    assert cdn.calls == []


def test_renewed_edgerc_is_used_at_once(cdn: AkamaiSimulator) -> None:
    stored = edgerc(cdn)
    secret = Secret("${file:x}", lambda: stored)
    akamai = provider(cdn, **dict.fromkeys(TOKENS), edgerc=secret)
    purge_url(akamai)
    cdn.client = ApiClient("akab-renewed-token", "renewed-secret", "akab-renewed-access")
    assert type(raised_by(purge_url, akamai)) is CredentialsRefused
    stored = edgerc(cdn)
    secret.forget()
    assert purge_url(akamai).id


# Credentials


@pytest.mark.parametrize("wrong", TOKENS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_wrong_credentials_are_refused(cdn: AkamaiSimulator, wrong: str, operation: Operation) -> None:
    error = raised_by(operation, provider(cdn, **literal(**{wrong: "of-somebody-else"})))
    assert type(error) is CredentialsRefused
    assert "401" in error.reason


@pytest.mark.parametrize("value", ["", "abc\n", "abc def", "schlüssel"])
@pytest.mark.parametrize("name", TOKENS)
def test_credential_that_no_header_takes_is_refused_without_showing_it(
    cdn: AkamaiSimulator, name: str, value: str
) -> None:
    error = raised_by(purge_url, provider(cdn, **literal(**{name: value})))
    assert type(error) is CredentialsRefused
    assert name in error.reason
    assert not value.strip() or value.strip() not in " ".join(map(repr, chain(error)))
    assert cdn.calls == []


def test_rotated_credential_is_used_at_once(cdn: AkamaiSimulator) -> None:
    stored = cdn.client.client_secret
    secret = Secret("${env:X}", lambda: stored)
    akamai = provider(cdn, client_secret=secret)
    purge_url(akamai)
    cdn.client = ApiClient(cdn.client.client_token, "the-new-secret", cdn.client.access_token)
    assert type(raised_by(purge_url, akamai)) is CredentialsRefused
    stored = "the-new-secret"
    secret.forget()
    assert purge_url(akamai).id


@pytest.mark.parametrize("skew", [-60, 60])
def test_clock_that_is_off_is_no_fault_of_the_targets(origin: Origin, skew: float) -> None:
    with AkamaiSimulator(origin.url, wall_clock=lambda: time.time() + skew) as cdn:
        error = raised_by(purge_url, provider(cdn))
    assert type(error) is RetryLater
    assert "Invalid timestamp" in error.reason
    assert "clock" in error.reason


@pytest.mark.parametrize("operation", [purge_tag, purge_everything])
def test_missing_permission_is_a_matter_of_credentials(origin: Origin, operation: Operation) -> None:
    with AkamaiSimulator(origin.url, may_purge_tags=False, may_purge_cp_codes=False) as cdn:
        assert type(raised_by(operation, provider(cdn))) is CredentialsRefused
        purge_url(provider(cdn))


def signing_key(secret: str, header_time: float) -> str:
    stamp = time.strftime("%Y%m%dT%H:%M:%S+0000", time.gmtime(header_time))
    return base64.b64encode(hmac.new(secret.encode(), stamp.encode(), hashlib.sha256).digest()).decode()


def test_secrets_show_nowhere(cdn: AkamaiSimulator, caplog: pytest.LogCaptureFixture) -> None:
    echo = json.dumps({"httpStatus": 400, "title": "bad URL", "detail": f"you sent {cdn.secrets()}"})
    started = time.time()
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, "multicdn"):
        for akamai in (provider(cdn), with_edgerc(cdn, edgerc(cdn))):
            purge_url(akamai)
            cdn.faults.once(faults.status(400, body=echo))
            error = raised_by(purge_url, akamai)
            caplog.messages.append("".join(map(repr, chain(error))))
            shown = f"{akamai!r} {akamai} {caplog.text} {caplog.messages} {error.reason}"
            hidden = [*cdn.secrets().values(), *(signing_key(cdn.client.client_secret, started + n) for n in range(9))]
            assert "you sent" in error.reason
            assert not [value for value in hidden if value in shown]
    assert "connectionpool" in caplog.text


# Errors


def problem(status: int, title: str, detail: str = "", headers: Mapping[str, str] | None = None, **more: Any) -> Any:
    """A fault in the shape of Fast Purge."""
    value = {"httpStatus": status, "title": title, "detail": detail, "supportId": "x", "describedBy": "y", **more}
    return faults.status(status, {"Content-Type": "application/api-problem+json", **(headers or {})}, json.dumps(value))


def gateway(status: int, title: str, detail: str) -> faults.Fault:
    """A fault in the shape of the gateway."""
    value = {"type": "https://x/-/pep-authn/deny", "title": title, "status": status, "detail": detail, "instance": "i"}
    return faults.status(status, {"Content-Type": "application/problem+json"}, json.dumps(value))


FAULTS: dict[str, tuple[faults.Fault, type[ProviderError], float | None]] = {
    "408": (problem(408, "timeout"), RetryLater, None),
    "500": (problem(500, "internal error"), RetryLater, None),
    "503 with HTML": (faults.status(503, {"Content-Type": "text/html"}, "<h1>Sorry</h1>"), RetryLater, None),
    "503 with a wait": (faults.status(503, {"Retry-After": "7"}), RetryLater, 7.0),
    "504": (faults.status(504), RetryLater, None),
    "507": (problem(507, "insufficient storage"), RetryLater, 5.0),
    "507 with a longer wait": (problem(507, "x", headers={"Retry-After": "9"}), RetryLater, 9.0),
    "reset": (faults.reset(), RetryLater, None),
    "lost answer": (faults.lost(), RetryLater, None),
    "cut head": (faults.drop_after(30), RetryLater, None),
    "cut body": (faults.drop_after(450), RetryLater, None),
    "200 with HTML": (faults.garbage(), RetryLater, None),
    "201 with HTML": (faults.status(201, body="<html>Created</html>"), RetryLater, None),
    "201 with a list": (faults.status(201, body="[]"), RetryLater, None),
    "201 without an id": (faults.status(201, body='{"httpStatus": 201}'), RetryLater, None),
    "400 with HTML": (faults.status(400, body="<h1>Bad Request</h1>"), RetryLater, 5.0),
    "400 empty": (faults.status(400), RetryLater, 5.0),
    "400 malformed": (problem(400, "malformed JSON"), TargetsRefused, None),
    "400 invalid endpoint": (problem(400, "Invalid endpoint"), CredentialsRefused, None),
    "400 of the gateway": (gateway(400, "Bad request", "Invalid authorization header"), CredentialsRefused, None),
    "400 for the clock": (gateway(400, "Bad request", "Invalid timestamp"), RetryLater, None),
    "401": (gateway(401, "Not authorized", "The signature does not match"), CredentialsRefused, None),
    "403 of the gateway": (gateway(403, "Forbidden", "no grant"), CredentialsRefused, None),
    "403 with HTML": (faults.status(403, body="<h1>Access Denied</h1>"), RetryLater, None),
    "400 of somebody in between": (faults.status(400, body='{"message": "Bad Request"}'), RetryLater, 5.0),
    "401 of somebody in between": (faults.status(401, body='{"message": "Unauthorized"}'), RetryLater, None),
    "403 of somebody in between": (faults.status(403, body="RBAC: access denied"), RetryLater, None),
    "404": (problem(404, "not found"), CallRefused, None),
    "405": (faults.status(405), RetryLater, None),
    "410": (faults.status(410), RetryLater, None),
    "411": (faults.status(411), RetryLater, None),
    "413": (problem(413, "too large"), TargetsRefused, None),
    "415": (faults.status(415), RetryLater, None),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(("fault", "kind", "after"), FAULTS.values(), ids=list(FAULTS))
def test_trouble_becomes_the_error_that_says_what_to_do(
    cdn: AkamaiSimulator,
    akamai: Akamai,
    operation: Operation,
    fault: faults.Fault,
    kind: type[ProviderError],
    after: float | None,
) -> None:
    cdn.faults.once(fault)
    error = raised_by(operation, akamai)
    assert type(error) is kind
    assert getattr(error, "after", None) == after
    assert getattr(error, "targets", ()) == ()
    assert len(cdn.calls) == 1
    assert operation(akamai).id


@pytest.mark.usefixtures("whole_stack")
def test_an_answer_nested_too_deep_is_the_vendors_trouble(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    cdn.faults.once(faults.status(400, body="[" * 60_000))
    error = raised_by(purge_tag, akamai)
    assert isinstance(error, RetryLater)
    assert error.after == 5.0


@pytest.mark.parametrize("operation", OPERATIONS)
def test_hanging_call_ends_with_its_read_timeout(cdn: AkamaiSimulator, akamai: Akamai, operation: Operation) -> None:
    cdn.faults.once(faults.hang(60))
    error = raised_by(operation, akamai, Call(connect=1, read=0.03))
    assert type(error) is RetryLater
    assert "no answer within" in error.reason


def test_refused_connection_is_retried_later(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    purge_url(akamai)
    cdn.stop()
    assert type(raised_by(purge_url, akamai)) is RetryLater
    cdn.start()


REFRESH = "X-Ratelimit-Seconds-To-Refresh-Limit"
SHORT = {"rateLimit": 5000, "rateLimitCurrentRequestSize": 100, "rateLimitRemaining": 20}
PACE = {"X-Ratelimit-Limit-Per-Second": "50", "X-Ratelimit-Limit-Per-Second-Objects": "8"}


@pytest.mark.parametrize(
    ("headers", "more", "after"),
    [
        ({}, {}, 5.0),
        ({"Retry-After": "3"}, {}, 5.0),
        ({"Retry-After": "8"}, {}, 8.0),
        ({REFRESH: "0.02"}, {}, 0.02),
        ({f"{REFRESH}-Objects": "12.5"}, {}, 12.5),
        ({REFRESH: "0.02", f"{REFRESH}-Objects": "12.5"}, {}, 12.5),
        ({REFRESH: "0.000000"}, {}, 0.0),
        ({REFRESH: "soon"}, {}, 5.0),
        ({REFRESH: "nan"}, {}, 5.0),
        ({REFRESH: "-1"}, {}, 5.0),
        (PACE, SHORT, 10.0),
        (PACE, {**SHORT, "rateLimitRemaining": 99}, 5.0),
        ({**PACE, f"{REFRESH}-Objects": "600"}, SHORT, 10.0),
        ({**PACE, f"{REFRESH}-Objects": "2"}, SHORT, 2.0),
        ({**PACE, "X-Ratelimit-Limit-Per-Second-Objects": "0"}, SHORT, 5.0),
        ({}, SHORT, 5.0),
    ],
)
def test_wait_after_429_is_the_shortest_that_will_do(
    cdn: AkamaiSimulator, akamai: Akamai, headers: dict[str, str], more: dict[str, int], after: float
) -> None:
    cdn.faults.once(problem(429, "TAG Rate Limit exceeded", "", headers, **more))
    error = raised_by(purge_tag, akamai)
    assert isinstance(error, RetryLater)
    assert error.after == after


def test_429_without_a_readable_body_is_waited_for(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    cdn.faults.once(faults.status(429, body="<html>slow down</html>"))
    error = raised_by(purge_url, akamai)
    assert isinstance(error, RetryLater)
    assert error.after == 5.0


def test_wait_for_a_bucket_of_objects_is_long_enough(origin: Origin) -> None:
    clock = ManualClock()
    with AkamaiSimulator(origin.url, clock=clock, buckets={"tag": BucketSize(100, 2)}) as cdn:
        akamai = provider(cdn)
        tags = [str(number) for number in range(80)]
        akamai.purge_tags(tags, CALL)
        with pytest.raises(RetryLater) as caught:
            akamai.purge_tags(tags, CALL)
        assert caught.value.after == pytest.approx(30)
        clock.advance(caught.value.after or 0)
        assert akamai.purge_tags(tags, CALL).id


def test_request_bucket_has_a_pace_of_its_own(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, clock=ManualClock(), buckets={"requests": BucketSize(1, 0.1)}) as cdn:
        akamai = provider(cdn)
        purge_url(akamai)
        error = raised_by(purge_url, akamai)
    assert isinstance(error, RetryLater)
    assert error.after == pytest.approx(10)


def test_batch_that_exceeds_the_accounts_bucket_is_cut(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, buckets={"url": BucketSize(2, 200), "cpcode": BucketSize(0, 1)}) as cdn:
        akamai = provider(cdn)
        with pytest.raises(TargetsRefused, match="limit is 2") as caught:
            akamai.purge_urls([f"{SITE}/{number}" for number in range(3)], CALL)
        assert caught.value.targets == ()
        assert akamai.purge_urls([f"{SITE}/1", f"{SITE}/2"], CALL).id
        assert type(raised_by(purge_everything, akamai)) is CallRefused


def test_unauthorized_url_is_named_alone(origin: Origin) -> None:
    with AkamaiSimulator(origin.url, hosts=["www.acme.com"]) as cdn:
        foreign = "https://www.other.com/x?y=1"
        with pytest.raises(TargetsRefused, match="unauthorized arl") as caught:
            provider(cdn).purge_urls([f"{SITE}/a", foreign, f"{SITE}/b"], CALL)
    assert caught.value.targets == (foreign,)


@pytest.mark.parametrize("detail", ["contains non-ASCII character: {}", '"{}"', "<{}> is bad", "{} is bad", "{}"])
def test_bad_url_is_found_in_the_detail(cdn: AkamaiSimulator, akamai: Akamai, detail: str) -> None:
    bad = f"{SITE}/a?b='c'"
    cdn.faults.once(problem(400, "bad URL", detail.format(bad)))
    with pytest.raises(TargetsRefused) as caught:
        akamai.purge_urls([f"{SITE}/a", bad, f"{SITE}/a?b"], CALL)
    assert caught.value.targets == (bad,)


@pytest.mark.parametrize(
    ("title", "detail"),
    [
        ("bad URL hostname", "Invalid or malformed hostname"),
        ("bad URL", f"{SITE}/abc"),
        ("bad URL", f"see {SITE}/a."),
        ("bad URL", ""),
    ],
)
def test_bad_url_that_is_not_named_is_left_to_the_core(
    cdn: AkamaiSimulator, akamai: Akamai, title: str, detail: str
) -> None:
    cdn.faults.once(problem(400, title, detail))
    with pytest.raises(TargetsRefused) as caught:
        akamai.purge_urls([f"{SITE}/a", f"{SITE}/ab"], CALL)
    assert caught.value.targets == ()


def test_tag_is_not_taken_for_a_word_of_the_vendor(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    cdn.faults.once(problem(400, "bad tag", "the tag is bad"))
    with pytest.raises(TargetsRefused) as caught:
        akamai.purge_tags(["the", "tag"], CALL)
    assert caught.value.targets == ()
    cdn.faults.once(problem(400, "bad tag", "tag"))
    with pytest.raises(TargetsRefused) as caught:
        akamai.purge_tags(["the", "tag"], CALL)
    assert caught.value.targets == ("tag",)


def test_reason_holds_the_words_of_the_vendor(cdn: AkamaiSimulator, akamai: Akamai) -> None:
    cdn.faults.once(problem(500, "internal error", "try again"))
    reason = raised_by(purge_url, akamai).reason
    assert reason == f"POST {cdn.endpoint}/ccu/v3/delete/url/production: 500: try again; internal error"


@pytest.mark.parametrize("location", [None, "/elsewhere", "http://[", ""])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_neither_followed_nor_signed_for(
    cdn: AkamaiSimulator, akamai: Akamai, status: int, location: str | None
) -> None:
    strayed: list[Request] = []

    def elsewhere(request: Request) -> Response:
        strayed.append(request)
        return Response.json({"purgeId": "x"}, 201)

    with Server(elsewhere) as other:
        cdn.faults.once(faults.status(status, {"Location": f"{other.url}/x" if location is None else location}))
        error = raised_by(purge_url, akamai)
    assert type(error) is RetryLater
    assert strayed == []
    assert len(cdn.calls) == 1


# Pace


@pytest.mark.parametrize(
    ("buckets", "operation", "pauses"),
    [
        ({"requests": BucketSize(2, 0.5)}, purge_url, [0.0, 4.0]),
        ({"url": BucketSize(2, 0.5)}, purge_url, [0.0, 4.0]),
        ({"tag": BucketSize(2, 1 / 60)}, purge_tag, [0.0, 5.0]),  # full in two minutes, but there is room sooner
        ({"requests": BucketSize(1, 1), "url": BucketSize(1, 0.25)}, purge_url, [4.0]),
        ({"tag": BucketSize(1, 1)}, purge_url, [0.0]),
        ({}, purge_url, [0.0]),
    ],
)
def test_a_call_that_empties_a_bucket_asks_for_a_pause(
    origin: Origin, buckets: dict[str, BucketSize], operation: Operation, pauses: list[float]
) -> None:
    with AkamaiSimulator(origin.url, clock=ManualClock(), buckets=buckets) as cdn:
        akamai = provider(cdn)
        assert [operation(akamai).pause for _ in pauses] == pauses


def test_without_the_time_of_the_refresh_the_pause_is_that_after_a_429(akamai: Akamai, cdn: AkamaiSimulator) -> None:
    body = json.dumps({"httpStatus": 201, "purgeId": "edup-1", "supportId": "edup-1", "estimatedSeconds": 5})
    cdn.faults.always(faults.status(201, {"X-Ratelimit-Remaining-Objects": "0"}, body))
    assert purge_url(akamai).pause == 5.0


def test_an_account_whose_answers_have_no_rate_headers_needs_no_pause(origin: Origin) -> None:
    buckets = {"url": BucketSize(1, 1)}
    with AkamaiSimulator(origin.url, clock=ManualClock(), buckets=buckets, rate_headers=False) as cdn:
        assert purge_url(provider(cdn)).pause == 0
