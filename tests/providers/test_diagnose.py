"""What the vendors say to ``multicdn doctor``, against their simulators: rights missing, wrong ids, all states."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from multicdn_providers.akamai import Akamai
from multicdn_providers.cloudflare import Cloudflare
from multicdn_providers.cloudfront import CloudFront
from multicdn_providers.edgecast import Edgecast
from multicdn_providers.fastly import Fastly
from multicdn_providers.highwinds import Highwinds
from multicdn_providers.pixboost import Pixboost

from multicdn.diagnosis import Health, Usage, hosts_beside
from multicdn.errors import CredentialsRefused, RetryLater
from multicdn.model import Action, TargetKind
from multicdn.provider import Call, Provider, Secret
from multicdn.simulators import Origin, Simulator
from multicdn.simulators.akamai.api import AkamaiSimulator, BucketSize
from multicdn.simulators.cloudflare.api import CloudflareSimulator, Environment, Zone
from multicdn.simulators.cloudfront.api import CloudFrontSimulator, Distribution, S3Origin, Tenant
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.highwinds import HighwindsSimulator
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CALL = Call(connect=1, read=5)
TOKEN = "simulated-long-lived-token"
OTHER = "simulated-other-token-0002"


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """One origin for all: nothing is fetched here."""
    with Origin() as running:
        yield running.url


def use(*kinds: str, hosts: Iterable[str] = ("www.acme.com",), buckets: Iterable[str] = ("acme-site",)) -> Usage:
    asks = frozenset((Action.PURGE, TargetKind(kind)) for kind in kinds or ("url",))
    return Usage(asks=asks, hosts=tuple(hosts), buckets=tuple(buckets))


def provider(cls: type[Provider], cdn: Simulator, **changed: Any) -> Provider:
    secrets = {name: Secret.literal(value) for name, value in cdn.secrets().items()}
    options = {name: value for name, value in {**cdn.options(), **secrets, **changed}.items() if name != "type"}
    return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in options.items()})


def said(asked: Provider, wanted: Usage, call: Call | None = CALL) -> list[str]:
    """Each finding as ``state: text``; nothing is bad without a remedy."""
    found = list(asked.diagnose(wanted, call))
    assert all(one.remedy for one in found if one.state in (Health.FAILED, Health.WARNING))
    return [f"{one.state}: {one.text}" for one in found]


def bad(lines: Iterable[str]) -> list[str]:
    return [line for line in lines if line.startswith(("failed", "warning"))]


@pytest.mark.parametrize(
    ("host", "served", "is_beside"),
    [
        ("www.acme.com", ["WWW.acme.com"], False),
        ("img.acme.com", ["*.acme.com"], False),
        ("a.img.acme.com", ["*.acme.com"], False),
        ("IMG.acme.com", ["*.Acme.com"], False),
        ("notacme.com", ["*.acme.com"], True),
        ("com", ["*.acme.com", "*."], True),
        ("acme.com", ["*.acme.com"], True),
        ("acme.com", [], True),
    ],
)
def test_a_host_is_served_by_its_name_or_by_a_star(host: str, served: list[str], is_beside: bool) -> None:
    assert list(hosts_beside([host], served)) == [host] * is_beside


def said_by_whom_nobody_knows(asked: Provider) -> list[str]:
    """What is said when something in between answers, and the last of it."""
    found: list[str] = []
    try:
        found += [f"{one.state}: {one.text}" for one in asked.diagnose(use("url", "tag", "everything"), CALL)]
    except RetryLater as error:
        found.append(f"later: {error.reason}")
    return found


ODD = {
    "a page": faults.status(200, {"Content-Type": "text/html"}, "<html><h1>Sign in to the hotel's network</h1>"),
    "nothing": faults.status(200),
    "no content": faults.status(204),
    "an empty object": faults.status(200, body="{}"),
    "a list": faults.status(200, body="[]"),
    "a word": faults.status(200, body='"ok"'),
    "other members": faults.status(200, body='{"success": true, "result": null, "scope": ["global"], "services": 5}'),
    "others' members": faults.status(200, body='{"success": true, "result": {"status": "ok"}, "accountHash": null}'),
    "deep": faults.status(200, body="[" * 100_000),
    "elsewhere": faults.status(302, {"Location": "https://login.example/"}),
    "a gateway's page": faults.status(403, {"Content-Type": "text/html"}, "<html>Blocked by the proxy</html>"),
    "too many": faults.status(429, body='{"title": "Too many", "httpStatus": 429}'),
    "out": faults.status(503, body="<html>Service unavailable</html>"),
    "gone": faults.reset(),
}


@pytest.fixture(scope="module")
def vendors(nowhere: str, account: CloudFrontSimulator) -> Iterator[list[tuple[Provider, Simulator]]]:
    """One of each, and CloudFront in its three ways; made once, since clients cost more than what they ask."""
    simulators: dict[type[Provider], Simulator] = {
        Fastly: FastlySimulator(nowhere),
        Cloudflare: CloudflareSimulator(nowhere),
        Akamai: AkamaiSimulator(nowhere),
        Highwinds: HighwindsSimulator(nowhere, token=TOKEN),
    }
    first = CloudFront(distribution=SITE, endpoint=account.endpoint)
    acting = (first, replace(first, distribution="auto"), replace(first, distribution="", tenant="dt_one"))
    with ExitStack() as running:
        made = [(provider(cls, running.enter_context(cdn)), cdn) for cls, cdn in simulators.items()]
        yield [*made, *((replace(one, clients=first._api), account) for one in acting)]


@pytest.mark.parametrize("odd", [*ODD])
@pytest.mark.usefixtures("cloudfront")
def test_what_answers_in_the_vendors_place_proves_nothing(vendors: list[tuple[Provider, Simulator]], odd: str) -> None:
    """Neither that all is well, nor that the token, the zone or the account are wrong: ask again later."""
    for asked, cdn in vendors:
        cdn.faults.clear()
        cdn.faults.always(ODD[odd])
        [only] = said_by_whom_nobody_knows(asked)
        assert only.startswith("later: "), asked


# Fastly


@pytest.mark.parametrize(
    ("scopes", "kinds", "line"),
    [
        ("purge_select", ["url"], "ok: GET /tokens/self: the token is accepted, with scope purge_select"),
        ("global", ["url", "everything"], "ok: GET /tokens/self: the token is accepted, with scope global"),
        ("purge_select", ["tag", "everything"], "it lacks purge_all"),
        ("purge_all", ["url"], "it lacks purge_select"),
        ("global:read", ["tag"], "it lacks purge_select"),
        ("purge_all", ["everything"], "ok: GET /tokens/self"),
    ],
)
def test_fastly_tells_which_scope_lacks(nowhere: str, scopes: str, kinds: list[str], line: str) -> None:
    with FastlySimulator(nowhere) as cdn:
        cdn.tokens[cdn.token] = frozenset(scopes.split())
        first = said(provider(Fastly, cdn), use(*kinds))[0]
    assert line in first
    assert first.startswith("failed" if "lacks" in line else "ok")


def test_fastly_tells_the_service_and_the_end_of_a_token(nowhere: str) -> None:
    with FastlySimulator(nowhere) as cdn:
        asked = provider(Fastly, cdn)
        assert "isn't provable without purging: the token can't read" in said(asked, use())[-1]
        cdn.tokens[cdn.token] = frozenset(("global",))
        assert said(asked, use())[-1] == f"ok: GET /service/{cdn.service}: it is www.acme.com"
        assert "opens no service NOSUCH" in bad(said(provider(Fastly, cdn, service="NOSUCH"), use()))[0]
        cdn.limited[cdn.token] = ["OTHER"]
        assert bad(said(asked, use())) == [f"failed: the token is limited to other services than {cdn.service}: OTHER"]
        cdn.limited[cdn.token] = [cdn.service]
        assert not bad(said(asked, use()))
        for days, is_soon in ((3, True), (300, False)):
            cdn.expiring[cdn.token] = (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")
            assert bool(bad(said(asked, use()))) is is_soon
        with pytest.raises(CredentialsRefused):
            said(provider(Fastly, cdn, token=Secret.literal(OTHER)), use())
        cdn.faults.always(faults.status(503))
        with pytest.raises(RetryLater):
            said(asked, use())


# Cloudflare


def test_cloudflare_tells_zone_plan_and_token(nowhere: str) -> None:
    with CloudflareSimulator(nowhere, zones=(Zone("acme.com", plan="pro"),)) as cdn:
        asked = provider(Cloudflare, cdn)
        zone = cdn.zones[0].id
        assert said(asked, use()) == [
            f"ok: GET /zones/{zone}: the credentials open the zone acme.com",
            "ok: the zone's plan is pro, by which purges are paced",
            "ok: GET /user/tokens/verify: the token is active",
            "unknown: that they may purge (Cache Purge) isn't provable without purging: other rights open the zone too",
        ]
        assert (
            "not in the zone acme.com: www.other.com, notacme.com"
            in bad(said(asked, use(hosts=["www.other.com", "acme.com", "notacme.com"])))[0]
        )
        faster, slower = (bad(said(provider(Cloudflare, cdn, plan=plan), use())) for plan in ("business", "free"))
        assert faster[0].startswith("failed: the zone's plan is pro, and purges are paced for business")
        assert slower[0].startswith("warning: the zone's plan is pro, and purges are paced for free")
        cdn.account_owned = True
        assert "ok: GET /accounts/acme/tokens/verify: the token is active" in said(asked, use())
        cdn.standing = "expired"
        assert bad(said(asked, use())) == ["failed: GET /accounts/acme/tokens/verify: the token is expired"]
        assert not cdn.violations


def test_cloudflare_tells_what_the_credentials_do_not_open(nowhere: str) -> None:
    zones = (Zone("acme.com"), Zone("other.com"))
    with CloudflareSimulator(nowhere, zones=zones, limited_tokens={OTHER: ["other.com"]}) as cdn:
        limited = bad(said(provider(Cloudflare, cdn, token=Secret.literal(OTHER)), use()))
        assert [line.partition(" (")[0].partition(": GET")[0] for line in limited] == [
            f"failed: the credentials don't open the zone {zones[0].id}"
        ]
        wrong = bad(said(provider(Cloudflare, cdn, token=Secret.literal("wrong-token-0003")), use()))
        assert wrong[0] == "failed: GET /user/tokens/verify: the token isn't accepted"
        [missing] = bad(said(provider(Cloudflare, cdn, zone="f" * 32), use()))
        assert missing.startswith(f"failed: there is no zone {'f' * 32}")
        by_key = provider(Cloudflare, cdn, token=None, email=cdn.email, key=Secret.literal(cdn.key))
        assert not bad(said(by_key, use()))
        cdn.faults.always(faults.status(502))
        with pytest.raises(RetryLater):
            said(by_key, use())


def test_cloudflare_tells_whether_the_environment_is_there(nowhere: str) -> None:
    zone = Zone("acme.com", environments=(Environment("staging-ref", "x-env", "staging"),))
    with CloudflareSimulator(nowhere, zones=(zone,)) as cdn:
        assert not bad(said(provider(Cloudflare, cdn, environment="staging-ref"), use()))
        assert bad(said(provider(Cloudflare, cdn, environment="gone"), use())) == [
            f"failed: GET /zones/{cdn.zones[0].id}/environments: there is no environment gone"
        ]


def envelope(result: Any = None, **error: Any) -> str:
    return json.dumps({"success": not error, "result": result, "errors": [error] if error else [], "messages": []})


@pytest.mark.parametrize(
    ("answer", "lines"),
    [
        (faults.status(200, body=envelope({"status": "active"})), []),
        (
            faults.status(200, body=envelope({"status": "active", "expires_on": "2020-01-01T00:00:00Z"})),
            ["failed: the token ended on 2020-01-01T00:00:00Z"],
        ),
        (
            faults.status(200, body=envelope({"status": "disabled"})),
            ["failed: GET /user/tokens/verify: the token is d"],
        ),
        # Neither a user's nor an account's, and the zone is open all the same.
        (
            faults.status(401, body=envelope(code=1000, message="Invalid API Token")),
            ["unknown: whether the token ends some day can't be looked at"],
        ),
    ],
)
def test_cloudflare_tells_of_the_token(nowhere: str, answer: Any, lines: list[str]) -> None:
    with CloudflareSimulator(nowhere) as cdn:
        cdn.faults.always(answer, when=lambda request: request.path.endswith("/verify"))
        found = said(provider(Cloudflare, cdn), use())
    wrong = [line for line in found if not line.startswith("ok")][:-1]
    assert [line.startswith(start) for line, start in zip(wrong, lines, strict=True)] == [True] * len(lines)


def test_cloudflare_tells_a_token_for_other_addresses_from_a_bad_one(nowhere: str) -> None:
    """The function has other addresses than whoever asks: nothing is known of it then."""
    with CloudflareSimulator(nowhere) as cdn:
        elsewhere = envelope(code=9109, message="Cannot use the access token from location: 192.0.2.7")
        cdn.faults.always(faults.status(403, body=elsewhere))
        [line] = said(provider(Cloudflare, cdn), use())
    assert line.startswith("unknown: the token isn't for calls from here")
    assert "192.0.2.7" in line


def test_a_zone_of_an_international_name_is_that_of_its_hosts(nowhere: str) -> None:
    with CloudflareSimulator(nowhere) as cdn:
        zone = {"name": "bücher.example", "status": "active", "plan": {"legacy_id": "free"}}
        for hosts, is_beside in ((["www.xn--bcher-kva.example"], False), (["xn--bcher-kva.example.org"], True)):
            cdn.faults.once(faults.status(200, body=envelope(zone)))
            found = bad(said(provider(Cloudflare, cdn, plan="free"), use(hosts=hosts)))
            assert any("not in the zone" in line for line in found) is is_beside


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        ({"legacy_id": "partners"}, "unknown: the zone's plan is partners, and purges are paced for free"),
        (None, "unknown: the zone's plan is not told, and purges are paced for free"),
        ("pro", "unknown: the zone's plan is not told, and purges are paced for free"),
    ],
)
def test_a_plan_that_nobody_knows_is_not_passed_over(nowhere: str, plan: Any, line: str) -> None:
    with CloudflareSimulator(nowhere) as cdn:
        asked = provider(Cloudflare, cdn, plan="free")
        zone = {"name": "acme.com", "status": "active", "plan": plan}
        cdn.faults.once(faults.status(200, body=envelope(zone)))
        assert line in said(asked, use())


@pytest.mark.parametrize(
    ("variants", "kinds", "warns"),
    [
        ((), ["url"], True),
        (({"CF-Device-Type": "mobile"},), ["url"], True),
        (({}, {"Origin": "https://www.acme.com"}), ["url"], False),
        (({}, {"origin": "https://www.acme.com"}), ["url"], False),
        ((), ["tag", "prefix"], False),
    ],
)
def test_cloudflare_warns_of_origin_in_the_cache_key(variants: Any, kinds: list[str], warns: bool) -> None:
    asked = Cloudflare(zone="z", token=Secret.literal(TOKEN), variants=variants)
    lines = said(asked, use(*kinds), None)
    assert ["Origin" in line for line in lines] == [True] * warns


# CloudFront

SITE, SHARED = "E8F6HK73EP0LT", "E2SHARED"
BUCKET = (S3Origin("acme-site.s3.eu-west-1.amazonaws.com"),)
ELSEWHERE = (S3Origin("origin.acme.com"),)


@pytest.fixture(scope="module")
def account(nowhere: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudFrontSimulator]:
    distributions = (
        Distribution(SITE, aliases=("www.acme.com",), tag_header="x-amz-meta-cache-tag"),
        Distribution("E1OFF", origins=BUCKET, enabled=False),
        Distribution(SHARED, origins=BUCKET, tenant_only=True),
        Distribution("E3ALIAS", aliases=("*.acme.com",), origins=ELSEWHERE),
        Distribution("E4OTHER", aliases=("www.else.com",), origins=ELSEWHERE),
    )
    tenants = (Tenant("dt_one", SHARED, ("one.acme.com",)), Tenant("dt_two", "E4OTHER", ("two.acme.com",)))
    with (
        pytest.MonkeyPatch.context() as patch,
        CloudFrontSimulator(nowhere, distributions=distributions, tenants=tenants, limits=False) as cdn,
    ):
        for name, value in {**cdn.environment(), "AWS_CONFIG_FILE": str(tmp_path_factory.getbasetemp() / "no")}.items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield cdn


@pytest.fixture
def cloudfront(account: CloudFrontSimulator) -> Iterator[CloudFrontSimulator]:
    yield account
    account.allowed, account.expired = None, False
    account.faults.clear()


@pytest.mark.parametrize(
    ("options", "wanted", "lines"),
    [
        ({"distribution": SITE}, use("url", "tag"), []),
        ({"distribution": "E1OFF"}, use(hosts=()), ["failed: GetDistribution: E1OFF is disabled: it serves nothing"]),
        (
            {"distribution": SHARED},
            use(),
            [f"failed: GetDistribution: {SHARED} is multi-tenant: it can't be invalidated itself"],
        ),
        ({"distribution": "E9"}, use(), ["failed: there is no distribution E9 in this account"]),
        ({"distribution": "E4OTHER"}, use("tag", hosts=()), ["failed: E4OTHER keeps no cache tags"]),
        ({"distribution": SITE}, use(hosts=["img.acme.com"]), [f"warning: {SITE} doesn't serve img.acme.com"]),
        ({"distribution": "E3ALIAS"}, use(hosts=["img.acme.com"]), []),
        ({"tenant": "dt_one", "distribution": ""}, use(hosts=["one.acme.com"]), []),
        ({"tenant": "dt_one", "distribution": ""}, use(), ["warning: dt_one doesn't serve www.acme.com"]),
        ({"tenant": "dt_one", "distribution": ""}, use("tag", hosts=()), ["failed: dt_one keeps no cache tags"]),
        ({"tenant": "dt_9", "distribution": ""}, use(), ["failed: there is no tenant dt_9 in this account"]),
    ],
)
def test_cloudfront_tells_what_it_acts_on(
    cloudfront: CloudFrontSimulator, options: dict[str, str], wanted: Usage, lines: list[str]
) -> None:
    found = said(provider(CloudFront, cloudfront, **options), wanted)
    assert len(bad(found)) == len(lines)
    assert all(line.startswith(start) for line, start in zip(bad(found), lines, strict=True))
    assert "isn't provable without an invalidation" in found[-1]


def test_auto_tells_what_it_finds_and_what_it_passes_over_and_why(cloudfront: CloudFrontSimulator) -> None:
    assert said(provider(CloudFront, cloudfront, distribution="auto"), use())[:-1] == [
        f"ok: ListDistributions: auto stands for {SITE} (www.acme.com) before acme-site",
        "warning: auto passes over E1OFF, which has acme-site as origin: it is disabled",
        f"warning: auto passes over {SHARED}, which has acme-site as origin: it is multi-tenant",
        "warning: auto passes over E3ALIAS, which serves www.acme.com: its origins are origin.acme.com",
        "ok: auto passes over 2 with other origins: E3ALIAS, E4OTHER",
        "warning: auto passes over the tenant dt_one (one.acme.com), whose distribution has the bucket as origin",
    ]
    beside = bad(said(provider(CloudFront, cloudfront, distribution="auto"), use(hosts=["www.acme.com", "acme.org"])))
    assert "warning: nothing that auto stands for serves acme.org, of the routes" in beside
    nothing = bad(said(provider(CloudFront, cloudfront, distribution="auto"), use(buckets=["other"], hosts=())))
    assert nothing == [
        "failed: ListDistributions: auto stands for nothing before other: no enabled distribution has it as origin"
    ]


def test_cloudfront_without_rights_or_credentials(cloudfront: CloudFrontSimulator) -> None:
    cloudfront.allowed = frozenset(("ListDistributions",))
    auto, one = (provider(CloudFront, cloudfront, distribution=name) for name in ("auto", SITE))
    assert any(line.startswith("unknown: the tenants of") for line in said(auto, use()))
    assert said(one, use())[0].startswith("unknown: can't be looked at with your rights: GetDistribution: AccessDenied")
    cloudfront.allowed = frozenset(("GetDistribution",))
    lines = said(one, use("tag"))
    assert not bad(lines)
    tenant = provider(CloudFront, cloudfront, distribution="", tenant="dt_one")
    for asked, operation in ((auto, "ListDistributions"), (tenant, "GetDistributionTenant")):
        [first, _] = asked.diagnose(use("tag"), CALL)
        assert (first.state, first.remedy.startswith(f"ask for cloudfront:{operation}, ")) == (Health.UNKNOWN, True)
    cloudfront.expired = True
    with pytest.raises(CredentialsRefused, match="ExpiredToken"):
        said(auto, use())


# Akamai


def test_akamai_tells_the_budget_of_each_kind(nowhere: str) -> None:
    with AkamaiSimulator(nowhere, buckets={"url": BucketSize(500, 20)}) as cdn:
        lines = said(provider(Akamai, cdn), use("url", "tag", "everything"))
        assert [line.partition(":")[0] for line in lines] == [
            "ok",
            "warning",
            "unknown",
            "ok",
            "unknown",
            "ok",
            "unknown",
        ]
        assert lines[0].endswith("the credentials are accepted, for production; 500 objects are left of the budget")
        assert lines[1] == "warning: this account takes 20 url objects a second, and purges are paced for 200"
        assert not [call for call in cdn.calls if "rate-limit-status" not in call.target]
        with pytest.raises(CredentialsRefused):
            said(provider(Akamai, cdn, client_secret=Secret.literal("d3Jvbmc=")), use())
        cdn.faults.once(faults.status(201, body="{}"))
        with pytest.raises(RetryLater, match="no budget in the headers"):
            said(provider(Akamai, cdn), use())
        cdn.faults.once(faults.status(405, body='{"title": "Method not allowed", "httpStatus": 405}'))
        assert said(provider(Akamai, cdn), use())[0].startswith(
            "unknown: POST /ccu/v3/rate-limit-status/url isn't there"
        )
        cdn.rate_limit_status = False
        assert said(provider(Akamai, cdn), use("tag")) == [
            "unknown: POST /ccu/v3/rate-limit-status/tag isn't there, and nothing else is harmless: "
            "not provable without purging"
        ]
        cdn.faults.always(faults.status(503))
        with pytest.raises(RetryLater):
            said(provider(Akamai, cdn), use())


# Those without a call that proves more


def test_highwinds_tells_whose_the_token_is(nowhere: str) -> None:
    with HighwindsSimulator(nowhere, token=TOKEN) as cdn:
        assert said(provider(Highwinds, cdn), use())[0].startswith("ok: GET /api/v1/users/me")
        other = bad(said(provider(Highwinds, cdn, account="ffffffff"), use()))
        assert other == [f"failed: GET /api/v1/users/me: the credentials are of account {cdn.account}"]
        with pytest.raises(CredentialsRefused):
            said(provider(Highwinds, cdn, token=Secret.literal(OTHER)), use())


@pytest.mark.parametrize(
    "asked",
    [
        Edgecast(endpoint="https://edgecast.example.com", account="1A2B", token=Secret.literal(TOKEN)),
        Pixboost(secret=Secret.literal(TOKEN)),
    ],
    ids=["edgecast", "pixboost"],
)
def test_where_nothing_is_harmless_that_is_said(asked: Provider) -> None:
    [line] = said(asked, use())
    assert line.startswith("unknown: not provable without purging")
    assert said(asked, use(), None) == []
