"""The CloudFront provider against the CloudFront simulator: botocore is real, only the wire is simulated."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import pytest
from kit.odd_keys import ODD_KEYS
from multicdn_providers.cloudfront import CloudFront
from multicdn_providers.cloudfront.client import Clients
from multicdn_providers.cloudfront.origins import path_in_bucket

from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, TargetsRefused
from multicdn.model import Action, Receipt, TargetKind
from multicdn.plugins.options import option_types
from multicdn.provider import Call, Confirmation, Target, capabilities, published
from multicdn.simulators import ManualClock, Origin, Request, Response, Server
from multicdn.simulators.cloudfront.api import CloudFrontSimulator, Distribution, Quotas, S3Origin, Tenant
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("as_bundled")

WWW = "https://www.acme.com"
SITE = "E8F6HK73EP0LT"
CALL = Call(connect=1, read=5, reference="r")
IMPATIENT = Call(connect=1, read=0.08, reference="r")
AS_ROUTING_DOES = "/!$&'()*,;=:@~"


@pytest.fixture(autouse=True)
def _no_credentials_but_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))


@pytest.fixture(scope="module")
def lasting() -> Iterator[tuple[Origin, CloudFrontSimulator, Clients]]:
    """An origin, a simulator and clients for the tests that come in dozens."""
    with (
        pytest.MonkeyPatch.context() as patch,
        Origin() as origin,
        CloudFrontSimulator(origin.url, limits=False) as cdn,
    ):
        for name, value in cdn.environment().items():
            patch.setenv(name, value)
        clients = Clients(cdn.endpoint, cdn.region)
        for call in (CALL, IMPATIENT, Call()):
            clients._fitting(call)
        yield origin, cdn, clients


@pytest.fixture
def steady(lasting: tuple[Origin, CloudFrontSimulator, Clients]) -> Iterator[tuple[CloudFrontSimulator, CloudFront]]:
    _, cdn, clients = lasting
    cdn.forget_calls()
    yield cdn, provider(cdn, clients=clients)
    cdn.faults.clear()


@pytest.fixture
def run(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., CloudFrontSimulator]]:
    """Start simulators, with their credentials in the environment."""
    started: list[CloudFrontSimulator] = []

    def start(**settings: Any) -> CloudFrontSimulator:
        cdn = CloudFrontSimulator(origin.url, **{"limits": False, **settings}).start()
        started.append(cdn)
        for name, value in cdn.environment().items():
            monkeypatch.setenv(name, value)
        return cdn

    yield start
    for cdn in started:
        cdn.stop()


@pytest.fixture
def cdn(run: Callable[..., CloudFrontSimulator]) -> CloudFrontSimulator:
    return run()


def provider(cdn: CloudFrontSimulator, **options: Any) -> CloudFront:
    settings: dict[str, Any] = {name: value for name, value in cdn.options().items() if name != "type"}
    return CloudFront(**{**settings, **options})


@pytest.fixture
def cloudfront(cdn: CloudFrontSimulator) -> CloudFront:
    return provider(cdn)


def url(value: str) -> Target:
    return Target(TargetKind.URL, value if "://" in value else WWW + value)


def prefix(value: str) -> Target:
    return Target(TargetKind.PREFIX, WWW + value)


def located(provider: CloudFront, target: Target) -> set[tuple[str, str]]:
    return {(one.kind.value, one.value) for one in provider.locate(target, Action.PURGE)}


def purge(provider: CloudFront, target: Target, call: Call = CALL) -> None:
    """Do what the core does with one target: locate it, then one call a kind."""
    spelled = provider.locate(target, Action.PURGE)
    methods = {TargetKind.URL: provider.purge_urls, TargetKind.PREFIX: provider.purge_prefixes}
    for kind in {one.kind for one in spelled}:
        methods[kind]([one.value for one in spelled if one.kind is kind], Call(reference=f"{call.reference}{kind}"))


def paths_sent(cdn: CloudFrontSimulator) -> list[str]:
    from xml.etree import ElementTree as ET

    bodies = [ET.fromstring(call.body) for call in cdn.calls if call.body]
    return [path.text or "" for body in bodies for path in body.iter() if path.tag.endswith("}Path")]


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "either distribution"),
        ({"distribution": "E1", "tenant": "dt_1"}, "either distribution"),
        ({"distribution": "d111.cloudfront.net"}, "ids look like"),
        ({"distribution": "Auto"}, "ids look like"),
        ({"distribution": "E1", "endpoint": "http://cloudfront.example.com"}, "in clear"),
    ],
)
def test_options_that_name_no_distribution_are_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CloudFront(**options)


def test_options_are_those_of_the_config_file() -> None:
    assert set(option_types(CloudFront)) == {"distribution", "tenant", "endpoint", "region", "widen"}
    assert CloudFront(**CloudFront.example).distribution
    assert [one.kind.value for one in capabilities(CloudFront)] == ["url", "prefix", "tag", "everything"]


@pytest.mark.parametrize(("key", "by"), [("a~1.txt", "/a*"), ("img/*", "/img/*"), ("docs/~user/x", "/docs/*")])
def test_a_wildcard_in_place_of_a_url_can_be_forbidden(key: str, by: str) -> None:
    url = Target(TargetKind.URL, f"https://www.acme.com/{key}")
    assert [t.value for t in CloudFront(distribution="E1").locate(url, Action.PURGE)] == [by]
    with pytest.raises(TargetsRefused, match="widen: false"):
        CloudFront(distribution="E1", widen=False).locate(url, Action.PURGE)
    plain = Target(TargetKind.URL, "https://www.acme.com/a.txt")
    assert CloudFront(distribution="E1", widen=False).locate(plain, Action.PURGE)


def test_botocore_is_imported_by_the_first_call_only() -> None:
    program = (
        "import sys; from multicdn_providers.cloudfront import CloudFront\n"
        "from multicdn.model import Action, Target, TargetKind\n"
        "CloudFront(distribution='E1').locate(Target(TargetKind.URL, 'https://a/b'), Action.PURGE)\n"
        "assert not {'boto3', 'botocore', 'requests'} & set(sys.modules), 'imported'"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("region", "endpoint", "signs_for"),
    [
        ("us-east-1", "https://cloudfront.amazonaws.com", "us-east-1"),
        ("eu-west-1", "https://cloudfront.amazonaws.com", "us-east-1"),
        ("cn-north-1", "https://cloudfront.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
        ("cn-northwest-1", "https://cloudfront.cn-northwest-1.amazonaws.com.cn", "cn-northwest-1"),
    ],
)
def test_default_endpoint_follows_the_region(
    monkeypatch: pytest.MonkeyPatch, region: str, endpoint: str, signs_for: str
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    sent: list[Any] = []

    def stop(request: Any, **_: object) -> None:
        sent.append(request)
        raise InterruptedError

    client = CloudFront(distribution="E1", region=region)._api._fitting(CALL)
    client.meta.events.register("before-send", stop)
    with pytest.raises(InterruptedError):
        client.list_distributions()
    assert sent[0].url == f"{endpoint}/2020-05-31/distribution"
    assert f"/{signs_for}/cloudfront/aws4_request" in sent[0].headers["Authorization"].decode()


@pytest.mark.parametrize(
    ("options", "partition", "statements"),
    [
        (
            {"distribution": "E1"},
            "aws",
            [
                (
                    ["CreateInvalidation", "GetInvalidation", "GetDistributionConfig"],
                    "arn:aws:cloudfront::123456789012:distribution/E1",
                )
            ],
        ),
        (
            {"distribution": "auto"},
            "aws-cn",
            [
                (
                    ["CreateInvalidation", "GetInvalidation", "GetDistributionConfig"],
                    "arn:aws-cn:cloudfront::123456789012:distribution/*",
                ),
                (["ListDistributions"], "*"),
            ],
        ),
        (
            {"tenant": "dt_1"},
            "aws",
            [
                (
                    [
                        "CreateInvalidationForDistributionTenant",
                        "GetInvalidationForDistributionTenant",
                        "GetDistributionTenant",
                    ],
                    "arn:aws:cloudfront::123456789012:distribution-tenant/dt_1",
                ),
                (["GetDistributionConfig"], "arn:aws:cloudfront::123456789012:distribution/*"),
            ],
        ),
    ],
)
def test_iam_statements_name_the_least(
    options: dict[str, str], partition: str, statements: list[tuple[list[str], str]]
) -> None:
    found = CloudFront(**options).iam_statements("123456789012", partition)
    assert all(one["Effect"] == "Allow" for one in found)
    assert [([action.removeprefix("cloudfront:") for action in one["Action"]], one["Resource"]) for one in found] == (
        statements
    )


# Spelling


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (url("/a/b.css"), {("url", "/a/b.css")}),
        (url("http://img.acme.org:8080/a"), {("url", "/a")}),
        (url("https://www.acme.com"), {("url", "/")}),
        (url("https://www.acme.com?a=1"), {("url", "/?a=1")}),
        (url("/"), {("url", "/")}),
        (url("/a?b=1&c=%2F%2B+x"), {("url", "/a?b=1&c=%2F%2B+x")}),
        (url("//a/../b"), {("url", "//a/../b")}),
        (url("/a%20b"), {("url", "/a%20b")}),
        (url("/a b"), {("url", "/a%20b")}),
        (url("/%E4%B8%AD"), {("url", "/%E4%B8%AD")}),
        (url("/中"), {("url", "/%E4%B8%AD")}),
        (url("/%2525"), {("url", "/%2525")}),
        (url("/100%"), {("url", "/100%25")}),
        (url("/%zz"), {("url", "/%25zz")}),
        (url('/<>"{}|\\^[]`'), {("url", "/%3C%3E%22%7B%7D%7C%5C%5E%5B%5D%60")}),
        (url("/a%23b"), {("url", "/a%23b")}),
        (url("/a%3Fb"), {("url", "/a%3Fb")}),
        (url("/a%2Fb"), {("url", "/a%2Fb")}),
        (url("/&,;=$@:!()'"), {("url", "/&,;=$@:!()'")}),
        # Plain to CloudFront, escaped by viewers: both.
        (url("/a%2Bb"), {("url", "/a%2Bb"), ("url", "/a+b")}),
        (url("/it%27s"), {("url", "/it%27s"), ("url", "/it's")}),
        (url("/st%2Ar"), {("url", "/st%2Ar"), ("url", "/st*r")}),
        # It ends in a star, so it is a wildcard whatever it was meant to be.
        (url("/star*"), {("prefix", "/star*")}),
        (url("/star%2A"), {("prefix", "/star*")}),
        (url("/star**"), {("prefix", "/star*")}),
        (url("/a?q=*"), {("prefix", "/a?q=*")}),
        (url("/dir/*"), {("prefix", "/dir/*")}),
        # A tilde can't be named.
        (url("/runtime~main.js"), {("prefix", "/runtime*")}),
        (url("/runtime%7Emain.js"), {("prefix", "/runtime*")}),
        (url("/runtime%7emain~2.js"), {("prefix", "/runtime*")}),
        (url("/home/~joe/a.html"), {("prefix", "/home/*")}),
        (url("/a?x=~1"), {("prefix", "/a?x=*")}),
        (prefix("/dir/"), {("prefix", "/dir/*")}),
        (prefix("/dir/*"), {("prefix", "/dir/*")}),
        (prefix("/di"), {("prefix", "/di*")}),
        (prefix("/a%20b/"), {("prefix", "/a%20b/*")}),
        (prefix("/a%2Bb/"), {("prefix", "/a%2Bb/*"), ("prefix", "/a+b/*")}),
        (prefix("/a/~joe/"), {("prefix", "/a/*")}),
        (Target(TargetKind.TAG, "product-7"), {("tag", "#product-7")}),
        (Target(TargetKind.TAG, "#!~"), {("tag", "##!~")}),
        (Target(TargetKind.TAG, "x" * 256), {("tag", "#" + "x" * 256)}),
        (Target(TargetKind.EVERYTHING, ""), {("everything", "")}),
    ],
    ids=lambda value: ascii(value.value)[:40] if isinstance(value, Target) else "",
)
def test_target_is_spelled_for_the_vendor(target: Target, expected: set[tuple[str, str]]) -> None:
    assert located(CloudFront(distribution="E1"), target) == expected


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (url("/~joe/a.html"), "tilde"),
        (url("/%7Ejoe"), "tilde"),
        (url("/*"), "whole distribution"),
        (url("/%2A"), "whole distribution"),
        (url("https://www.acme.com/**"), "whole distribution"),
        (prefix("/"), "whole distribution"),
        (prefix(""), "whole distribution"),
        (prefix("/*"), "whole distribution"),
        (prefix("/~joe/"), "tilde"),
        (Target(TargetKind.URL, "/a"), "not an absolute URL"),
        (Target(TargetKind.TAG, ""), "256 visible ASCII"),
        (Target(TargetKind.TAG, "two words"), "256 visible ASCII"),
        (Target(TargetKind.TAG, "a,b"), "256 visible ASCII"),
        (Target(TargetKind.TAG, "ü"), "256 visible ASCII"),
        (Target(TargetKind.TAG, "x\n"), "256 visible ASCII"),
        (Target(TargetKind.TAG, "x" * 257), "256 visible ASCII"),
        (Target(TargetKind.HOST, "www.acme.com"), "hosts"),
    ],
    ids=lambda value: ascii(value.value)[:40] if isinstance(value, Target) else "",
)
def test_target_that_would_purge_all_or_nothing_is_refused(target: Target, words: str) -> None:
    with pytest.raises(TargetsRefused, match=words):
        CloudFront(distribution="E1").locate(target, Action.PURGE)


def test_china_has_no_tags() -> None:
    with pytest.raises(TargetsRefused, match="China"):
        CloudFront(distribution="E1", region="cn-north-1").locate(Target(TargetKind.TAG, "t"), Action.PURGE)


# From a key to fresh bytes


# A tilde in the first directory would need /*, which is refused.
REACHABLE = {**ODD_KEYS, "tilde": "photos/tilde~.css"}


@pytest.mark.parametrize("key", REACHABLE.values(), ids=REACHABLE)
def test_object_under_an_odd_key_gets_fresh(
    lasting: tuple[Origin, CloudFrontSimulator, Clients], steady: tuple[CloudFrontSimulator, CloudFront], key: str
) -> None:
    origin, (cdn, cloudfront) = lasting[0], steady
    public = f"{WWW}/{quote(key, safe=AS_ROUTING_DOES)}"
    origin.put(key, "old")
    origin.put("zz", "old")
    assert cdn.fetch(public).body == cdn.fetch(f"{WWW}/zz").body == b"old"
    origin.put(key, "new")
    assert cdn.fetch(public).body == b"old"
    purge(cloudfront, url(public), Call(reference=key))
    assert cdn.fetch(public).body == b"new"
    assert cdn.fetch(f"{WWW}/zz").cache == "HIT"
    assert [call.status for call in cdn.calls] == [201]


def test_plus_is_purged_in_both_spellings(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    for spelling in ("/a%2Bb", "/a+b"):
        cdn.fetch(WWW + spelling)
    purge(cloudfront, url("/a%2Bb"))
    assert [cdn.fetch(WWW + spelling).cache for spelling in ("/a%2Bb", "/a+b")] == ["MISS", "MISS"]


def test_literal_star_at_the_end_purges_more_not_less(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    for target in ("/star*", "/star%2A", "/stars", "/sta"):
        cdn.fetch(WWW + target)
    purge(cloudfront, url("/star*"))
    caches = [cdn.fetch(WWW + target).cache for target in ("/star*", "/star%2A", "/stars", "/sta")]
    assert caches == ["MISS", "MISS", "MISS", "HIT"]


def test_prefix_drops_what_is_below_it(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    for target in ("/dir/a", "/dir/b/c", "/dir", "/dirt"):
        cdn.fetch(WWW + target)
    purge(cloudfront, prefix("/dir/"))
    assert [cdn.fetch(WWW + target).cache for target in ("/dir/a", "/dir/b/c", "/dir", "/dirt")] == [
        *("MISS", "MISS", "HIT", "HIT")
    ]


def test_everything_empties_the_distribution(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    for target in ("/", "/a", "/b?c"):
        cdn.fetch(WWW + target)
    receipt = cloudfront.purge_everything(CALL)
    assert paths_sent(cdn) == ["/*"]
    assert receipt.id
    assert [cdn.fetch(WWW + target).cache for target in ("/", "/a", "/b?c")] == ["MISS", "MISS", "MISS"]


def test_whole_batch_is_one_call(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    paths = [f"/{number}" for number in range(3000)]
    receipt = cloudfront.purge_urls(paths, CALL)
    assert receipt.id.startswith("I")
    assert receipt.estimate == 25.0
    assert [(call.items, call.status) for call in cdn.calls] == [(3000, 201)]
    assert paths_sent(cdn) == paths
    assert b"<CallerReference>r</CallerReference>" in cdn.calls[0].body


def test_full_batches_fit_the_quotas_of_the_vendor(run: Callable[..., CloudFrontSimulator]) -> None:
    cdn = run(limits=True, clock=ManualClock())
    cloudfront = provider(cdn)
    assert cloudfront.purge_urls([f"/{number}" for number in range(cloudfront.url_limits.targets)], CALL).id
    wildcards = [f"/{number}/*" for number in range(cloudfront.prefix_limits.targets)]
    assert cloudfront.purge_prefixes(wildcards, Call(reference="p")).id


def test_longest_path_that_the_limits_allow_is_accepted(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    longest = cloudfront.url_limits.target_bytes or 0
    assert cloudfront.purge_urls(["/" + "x" * (longest - 1)], CALL).id
    with pytest.raises(TargetsRefused):
        cloudfront.purge_urls(["/" + "x" * longest], Call(reference="other"))


# References


def test_repetition_makes_no_second_invalidation(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    first = cloudfront.purge_urls(["/a"], CALL)
    assert cloudfront.purge_urls(["/a"], CALL).id == first.id
    assert cloudfront.purge_urls(["/a"], Call(reference="other")).id != first.id


def test_call_without_a_reference_is_never_a_repetition(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    assert cloudfront.purge_urls(["/a"], Call()).id != cloudfront.purge_urls(["/a"], Call()).id


@pytest.mark.parametrize("code", ["InvalidationBatchAlreadyExists", "InvalidArgument"])
def test_used_reference_counts_as_done(cdn: CloudFrontSimulator, cloudfront: CloudFront, code: str) -> None:
    cdn.reference_error = code
    cloudfront.purge_urls(["/a"], CALL)
    receipt = cloudfront.purge_urls(["/b"], CALL)
    assert receipt.id == ""
    assert code in receipt.note


def test_lost_answer_is_found_again_by_its_reference(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cdn.faults.once(faults.lost())
    with pytest.raises(RetryLater):
        cloudfront.purge_urls(["/a"], CALL)
    receipt = cloudfront.purge_urls(["/a"], CALL)
    client = boto3.client("cloudfront", cdn.region, endpoint_url=cdn.endpoint)
    listed = client.list_invalidations(DistributionId=SITE)["InvalidationList"]["Items"]
    assert [one["Id"] for one in listed] == [receipt.id]


# Errors


def vendor_error(code: str, message: str = "Words of the vendor", kind: str = "Sender") -> str:
    space = "http://cloudfront.amazonaws.com/doc/2020-05-31/"
    told = f"<Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return f'<?xml version="1.0"?><ErrorResponse xmlns="{space}">{told}<RequestId>x</RequestId></ErrorResponse>'


ANSWERS: list[tuple[int, str, type[ProviderError], float | None]] = [
    (400, "Throttling", RetryLater, None),
    (400, "ThrottlingException", RetryLater, None),
    (400, "TooManyInvalidationsInProgress", RetryLater, 10.0),
    (429, "TooManyInvalidationsInProgress", RetryLater, 10.0),
    (503, "ServiceUnavailable", RetryLater, None),
    (500, "InternalFailure", RetryLater, None),
    (500, "SomethingNew", RetryLater, None),
    (429, "SomethingNew", RetryLater, None),
    (408, "RequestTimeout", RetryLater, None),
    (400, "InvalidArgument", TargetsRefused, None),
    (413, "BatchTooLarge", TargetsRefused, None),
    (404, "NoSuchDistribution", CallRefused, None),
    (400, "InconsistentQuantities", CallRefused, None),
    (400, "SomethingNew", CallRefused, None),
    (409, "SomethingNew", CallRefused, None),
    (403, "AccessDenied", CredentialsRefused, None),
    (403, "SignatureDoesNotMatch", CredentialsRefused, None),
    (403, "InvalidClientTokenId", CredentialsRefused, None),
    (403, "ExpiredToken", CredentialsRefused, None),
    (403, "MissingAuthenticationToken", CredentialsRefused, None),
]


@pytest.mark.parametrize(("status", "code", "meaning", "after"), ANSWERS)
def test_error_of_the_vendor_means(
    steady: tuple[CloudFrontSimulator, CloudFront],
    status: int,
    code: str,
    meaning: type[ProviderError],
    after: float | None,
) -> None:
    cdn, cloudfront = steady
    cdn.faults.always(faults.status(status, {}, vendor_error(code)))
    with pytest.raises(ProviderError) as caught:
        cloudfront.purge_urls(["/a"], CALL)
    assert type(caught.value) is meaning
    assert caught.value.reason == f"CreateInvalidation: {code}: Words of the vendor"
    assert getattr(caught.value, "after", None) == after
    assert getattr(caught.value, "targets", ()) == ()
    assert len(cdn.calls) == 1


ASKS: list[Callable[[CloudFront, Call], object]] = [
    lambda cloudfront, call: cloudfront.purge_urls(["/a"], call),
    lambda cloudfront, call: cloudfront.purge_tags(["#t"], call),
    lambda cloudfront, call: cloudfront.discover("acme-site", call),
]


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (faults.reset(), RetryLater),
        (faults.lost(), RetryLater),
        (faults.drop_after(0), RetryLater),
        (faults.drop_after(60), RetryLater),
        (faults.drop_after(500), RetryLater),
        (faults.garbage(), RetryLater),
        (faults.status(200, {}, "<html><br></html>"), RetryLater),
        (faults.status(201), RetryLater),
        (faults.status(200, {}, "{}"), RetryLater),
        (faults.status(500), RetryLater),
        (faults.status(503, {}, "<html><br>busy</html>"), RetryLater),
        (faults.status(502, {}, "<html><body>bad gateway</body></html>"), RetryLater),
        (faults.status(413), TargetsRefused),
        (faults.status(404, {}, "<html><body>no such page</body></html>"), RetryLater),
    ],
)
@pytest.mark.parametrize("ask", ASKS, ids=["purge", "tags", "discover"])
def test_trouble_on_the_way_means(
    steady: tuple[CloudFrontSimulator, CloudFront],
    ask: Callable[[CloudFront, Call], object],
    fault: faults.Fault,
    meaning: type[ProviderError],
) -> None:
    cdn, cloudfront = steady
    cdn.faults.always(fault)
    with pytest.raises(ProviderError) as caught:
        ask(cloudfront, CALL)
    assert type(caught.value) is meaning
    assert caught.value.reason
    assert len(cdn.calls) == 1


@pytest.mark.parametrize("ask", ASKS, ids=["purge", "tags", "discover"])
def test_silence_ends_with_the_time_of_the_call(
    steady: tuple[CloudFrontSimulator, CloudFront], ask: Callable[[CloudFront, Call], object]
) -> None:
    cdn, cloudfront = steady
    cdn.faults.always(faults.hang(30))
    with pytest.raises(RetryLater, match="ReadTimeoutError"):
        ask(cloudfront, IMPATIENT)
    assert len(cdn.calls) == 1


def test_closed_port_is_worth_another_try(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cdn.stop()
    with pytest.raises(RetryLater, match="EndpointConnectionError"):
        cloudfront.purge_urls(["/a"], CALL)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirect_is_not_followed(cdn: CloudFrontSimulator, cloudfront: CloudFront, status: int) -> None:
    seen: list[Request] = []

    def elsewhere(request: Request) -> Response:
        seen.append(request)
        return Response(200)

    with Server(elsewhere) as other:
        cdn.faults.always(faults.status(status, {"Location": f"{other.url}/2020-05-31/distribution"}))
        with pytest.raises(RetryLater):
            cloudfront.purge_urls(["/a"], CALL)
    assert seen == []


def test_throttled_when_called_too_often(run: Callable[..., CloudFrontSimulator]) -> None:
    cdn = run(limits=True, clock=ManualClock())
    cloudfront = provider(cdn)
    for number in range(8):
        cloudfront.purge_urls(["/a"], Call(reference=str(number)))
    with pytest.raises(RetryLater, match="Rate exceeded"):
        cloudfront.purge_urls(["/a"], CALL)
    assert [call.status for call in cdn.calls] == [201] * 8 + [400]


def test_open_wildcards_use_up_and_come_back(run: Callable[..., CloudFrontSimulator]) -> None:
    clock = ManualClock()
    cdn = run(limits=True, clock=clock, quotas=Quotas(calls_per_second=None, wildcards_per_second=None))
    cloudfront = provider(cdn)
    cloudfront.purge_prefixes([f"/{number}/*" for number in range(15)], CALL)
    late = Call(reference="late")
    with pytest.raises(RetryLater) as caught:
        cloudfront.purge_prefixes(["/more/*"], late)
    assert caught.value.after == 10.0
    clock.advance(25)
    assert cloudfront.purge_prefixes(["/more/*"], late).id


def test_refused_batch_names_no_target(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    with pytest.raises(TargetsRefused) as caught:
        cloudfront.purge_urls(["/good", "/b~d"], CALL)
    assert caught.value.targets == ()


def test_unknown_distribution(cdn: CloudFrontSimulator) -> None:
    with pytest.raises(CallRefused, match="NoSuchDistribution"):
        provider(cdn, distribution="ENONE").purge_urls(["/a"], CALL)


# Credentials


def test_expired_token(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cdn.expired = True
    with pytest.raises(CredentialsRefused, match="ExpiredToken"):
        cloudfront.purge_urls(["/a"], CALL)


def test_missing_permission_is_named(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cdn.allowed = frozenset({"GetDistributionConfig"})
    with pytest.raises(CredentialsRefused, match="cloudfront:CreateInvalidation"):
        cloudfront.purge_urls(["/a"], CALL)


def test_wrong_secret_shows_neither_secret_nor_token(
    cdn: CloudFrontSimulator, cloudfront: CloudFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "quite/another/secret")
    with pytest.raises(CredentialsRefused, match="SignatureDoesNotMatch") as caught:
        cloudfront.purge_urls(["/a"], CALL)
    shown = caught.value.reason + repr(cloudfront)
    assert "quite/another/secret" not in shown
    assert cdn.credentials.session_token not in shown


def test_no_credentials_at_all(cdn: CloudFrontSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in cdn.environment():
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsRefused, match="NoCredentialsError"):
        provider(cdn).purge_urls(["/a"], CALL)
    assert cdn.calls == []


def test_half_a_credential(cdn: CloudFrontSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(CredentialsRefused, match="PartialCredentialsError"):
        provider(cdn).purge_urls(["/a"], CALL)


def test_profile_that_is_not_there(cdn: CloudFrontSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(CredentialsRefused, match="ProfileNotFound"):
        provider(cdn).purge_urls(["/a"], CALL)


def test_clients_are_kept_for_whole_seconds(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    clients = cloudfront._api
    assert clients._fitting(Call(read=9.9)) is clients._fitting(Call(read=9.1))
    assert clients._fitting(Call(read=9.9)) is not clients._fitting(Call(read=8.9))
    limits = clients._fitting(Call(connect=2.7, read=9.9)).meta.config
    assert (limits.connect_timeout, limits.read_timeout) == (2.0, 9.0)


# Tags


def test_tag_drops_what_carries_it(origin: Origin, cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    origin.put("a", "1", {"x-amz-meta-cache-tag": "Product-7"})
    for target in ("/a", "/b"):
        cdn.fetch(WWW + target)
    (tag,) = cloudfront.locate(Target(TargetKind.TAG, "product-7"), Action.PURGE)
    assert cloudfront.purge_tags([tag.value], CALL).id
    assert [cdn.fetch(WWW + target).cache for target in ("/a", "/b")] == ["MISS", "HIT"]


def test_tag_header_is_looked_for_once(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    for reference in ("1", "2"):
        cloudfront.purge_tags(["#t"], Call(reference=reference))
    assert [call.method for call in cdn.calls] == ["GET", "POST", "POST"]


def test_distribution_that_keeps_no_tags_is_an_error_until_it_does(run: Callable[..., CloudFrontSimulator]) -> None:
    cdn = run(distributions=[Distribution("E1")])
    cloudfront = provider(cdn)
    with pytest.raises(CallRefused, match=r"CacheTagConfig\.HeaderName"):
        cloudfront.purge_tags(["#t"], CALL)
    assert [call.method for call in cdn.calls] == ["GET"]
    cdn.distributions["E1"] = Distribution("E1", tag_header="x-tag")
    assert cloudfront.purge_tags(["#t"], CALL).id


def test_preflight_needs_its_permission(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cdn.allowed = frozenset({"CreateInvalidation"})
    with pytest.raises(CredentialsRefused, match="cloudfront:GetDistributionConfig"):
        cloudfront.purge_tags(["#t"], CALL)


def test_old_botocore_that_knows_no_tags_still_purges_them(
    run: Callable[..., CloudFrontSimulator], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.loaders

    model = botocore.loaders.Loader().load_service_model("cloudfront", "service-2")
    old = json.loads(json.dumps(model))
    del old["shapes"]["DistributionConfig"]["members"]["CacheTagConfig"]
    folder = tmp_path / "cloudfront" / "2020-05-31"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(old))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    cdn = run(distributions=[Distribution("E1", tag_header="x-tag")])
    assert provider(cdn).purge_tags(["#t"], CALL).id
    assert [call.method for call in cdn.calls] == ["POST"]


# Tenants


@pytest.fixture
def shared(run: Callable[..., CloudFrontSimulator]) -> CloudFrontSimulator:
    template = Distribution("EMULTI", tenant_only=True, tag_header="x-amz-meta-cache-tag")
    tenants = [Tenant("dt_one", "EMULTI", ("one.acme.com",)), Tenant("dt_two", "EMULTI", ("two.acme.com",))]
    return run(distributions=[template], tenants=tenants)


def test_tenant_is_purged_alone(origin: Origin, shared: CloudFrontSimulator) -> None:
    one = provider(shared, distribution="", tenant="dt_one")
    origin.put("tagged", "1", {"x-amz-meta-cache-tag": "t"})
    urls = [f"https://{host}.acme.com/{path}" for host in ("one", "two") for path in ("a", "tagged")]
    for address in urls:
        shared.fetch(address)
    assert one.purge_urls(["/a"], CALL).id
    assert one.purge_tags(["#t"], Call(reference="tags")).id
    assert [shared.fetch(address).cache for address in urls] == ["MISS", "MISS", "HIT", "HIT"]


def test_unknown_tenant(shared: CloudFrontSimulator) -> None:
    one = provider(shared, distribution="", tenant="dt_none")
    with pytest.raises(CallRefused, match="EntityNotFound"):
        one.purge_urls(["/a"], CALL)
    with pytest.raises(CallRefused, match="EntityNotFound"):
        one.purge_tags(["#t"], CALL)


# Discovery

SPELLINGS = [
    "{}.s3.amazonaws.com",
    "{}.s3.eu-west-1.amazonaws.com",
    "{}.s3-eu-west-1.amazonaws.com",
    "{}.s3.dualstack.eu-west-1.amazonaws.com",
    "{}.s3-website-eu-west-1.amazonaws.com",
    "{}.s3-website.eu-central-1.amazonaws.com",
    "{}.s3-fips.us-gov-west-1.amazonaws.com",
    "{}.s3-accelerate.amazonaws.com",
    "{}.s3-accelerate.dualstack.amazonaws.com",
    "{}.s3.cn-north-1.amazonaws.com.cn",
    "{}.s3-website.cn-northwest-1.amazonaws.com.cn",
]
BUCKETS = ["a", "a.b", "b", "www.acme.com", "a.s3", "a.s3.eu-west-1", "s3", "s3.amazonaws.com", "a-s3-eu-west-1"]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("owner", BUCKETS)
def test_origin_is_its_own_bucket_and_no_other(spelling: str, owner: str) -> None:
    found = [bucket for bucket in BUCKETS if path_in_bucket(bucket, spelling.format(owner), "") is not None]
    assert found == [owner]


@pytest.mark.parametrize(
    ("domain", "path", "found"),
    [
        ("a.s3.amazonaws.com", "/site", "/site"),
        ("A.S3.Amazonaws.com", "", ""),
        ("s3.amazonaws.com", "/a", ""),
        ("s3.eu-west-1.amazonaws.com", "/a/site", "/site"),
        ("s3-eu-west-1.amazonaws.com", "/ab", None),
        ("s3.amazonaws.com", "", None),
        ("a.example.com", "", None),
        ("a.s3.amazonaws.com.example.com", "", None),
        ("a.s3.nowhere.amazonaws.com", "", None),
        ("xa.s3.amazonaws.com", "", None),
        ("a.elb.amazonaws.com", "", None),
    ],
)
def test_path_in_the_bucket(domain: str, path: str, found: str | None) -> None:
    assert path_in_bucket("a", domain, path) == found


def bucket_at(*paths: str) -> tuple[S3Origin, ...]:
    return tuple(S3Origin("acme-site.s3.eu-west-1.amazonaws.com", path) for path in paths)


def test_discovery_finds_what_serves_the_bucket(run: Callable[..., CloudFrontSimulator]) -> None:
    other = S3Origin("other.s3.amazonaws.com")
    cdn = run(
        distributions=[
            Distribution("EPLAIN", origins=bucket_at("")),
            Distribution("ESECOND", origins=(other, *bucket_at("/site", "/site", "/b"))),
            Distribution("ESTAGING", origins=bucket_at(""), staging=True),
            Distribution("EOFF", origins=bucket_at(""), enabled=False),
            Distribution("EOTHER", origins=(other,)),
            Distribution("EMULTI", origins=bucket_at(""), tenant_only=True),
        ]
    )
    auto = provider(cdn, distribution="auto")
    assert auto.discovers
    found = auto.discover("acme-site", CALL)
    assert {name: one.origin_paths for name, one in found.items()} == {
        "EPLAIN": ("",),
        "ESECOND": ("/site", "/b"),
        "ESTAGING": ("",),
    }
    assert [(one.distribution, one.discovers) for one in found.values()] == [(name, False) for name in found]
    assert auto.discover("nobody", CALL) == {}
    assert found["EPLAIN"].purge_urls(["/a"], CALL).id
    assert found["ESECOND"]._api is auto._api


def test_discovery_reads_all_pages(run: Callable[..., CloudFrontSimulator]) -> None:
    many = [Distribution(f"E{number}", origins=bucket_at("")) for number in range(230)]
    cdn = run(distributions=many)
    assert list(provider(cdn, distribution="auto").discover("acme-site", CALL)) == [one.id for one in many]
    assert len(cdn.calls) == 3


def test_discovery_with_one_page_lost_finds_nothing(run: Callable[..., CloudFrontSimulator]) -> None:
    cdn = run(distributions=[Distribution(f"E{number}", origins=bucket_at("")) for number in range(101)])
    cdn.faults.once(faults.garbage(), when=lambda request: "Marker" in request.query)
    auto = provider(cdn, distribution="auto")
    with pytest.raises(RetryLater):
        auto.discover("acme-site", CALL)
    assert len(auto.discover("acme-site", CALL)) == 101


def test_discovery_needs_its_permission(cdn: CloudFrontSimulator) -> None:
    cdn.allowed = frozenset({"CreateInvalidation"})
    with pytest.raises(CredentialsRefused, match="cloudfront:ListDistributions"):
        provider(cdn, distribution="auto").discover("acme-site", CALL)


@pytest.mark.parametrize(
    ("origin_paths", "target", "expected"),
    [
        ((), url("/site/a.css"), {("url", "/site/a.css")}),
        (("",), url("/site/a.css"), {("url", "/site/a.css")}),
        (("/site",), url("/site/a.css"), {("url", "/a.css")}),
        (("/site",), url("/site/"), {("url", "/")}),
        (("/site",), url("/sites/a.css"), {("url", "/sites/a.css")}),
        (("/site",), url("/other/a.css?b=1"), {("url", "/other/a.css?b=1")}),
        (("", "/site"), url("/site/a.css"), {("url", "/site/a.css"), ("url", "/a.css")}),
        (("/site", "/site/v2"), url("/site/v2/a"), {("url", "/v2/a"), ("url", "/a")}),
        (("/my site",), url("/my%20site/a"), {("url", "/a")}),
        (("/site",), prefix("/site/img/"), {("prefix", "/img/*")}),
        (("/site",), url("/site/~joe/x/"), None),
        (("/site",), prefix("/site/"), None),
    ],
)
def test_origin_path_is_cut_off(
    origin_paths: tuple[str, ...], target: Target, expected: set[tuple[str, str]] | None
) -> None:
    concrete = CloudFront(distribution="E1", origin_paths=origin_paths)
    if expected is None:
        with pytest.raises(TargetsRefused):
            concrete.locate(target, Action.PURGE)
    else:
        assert located(concrete, target) == expected


def test_object_behind_an_origin_path_gets_fresh(origin: Origin, run: Callable[..., CloudFrontSimulator]) -> None:
    cdn = run(distributions=[Distribution("E1", aliases=("www.acme.com",), origins=bucket_at("/site"))])
    origin.put("site/a.css", "old")
    assert cdn.fetch(f"{WWW}/a.css").body == b"old"
    origin.put("site/a.css", "new")
    (found,) = provider(cdn, distribution="auto").discover("acme-site", CALL).values()
    purge(found, url("/site/a.css"))
    assert cdn.fetch(f"{WWW}/a.css").body == b"new"


def test_receipt_of_each_method(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    asks: list[Callable[[Call], Receipt]] = [
        lambda call: cloudfront.purge_urls(["/a"], call),
        lambda call: cloudfront.purge_prefixes(["/a/*"], call),
        lambda call: cloudfront.purge_tags(["#a"], call),
        cloudfront.purge_everything,
    ]
    receipts = [ask(Call(reference=str(number))) for number, ask in enumerate(asks)]
    assert len({receipt.id for receipt in receipts}) == len(asks)
    assert paths_sent(cdn) == ["/a", "/a/*", "#a", "/*"]


# Whether an invalidation is completed


@pytest.mark.parametrize("kind", ["urls", "prefixes", "tags"])
def test_an_invalidation_is_in_progress_and_then_completed(run: Callable[..., CloudFrontSimulator], kind: str) -> None:
    clock = ManualClock()
    cdn = run(completed_after=20.0, clock=clock)
    targets = {"urls": ["/a&b"], "prefixes": ["/a*"], "tags": ["#t"]}[kind]
    receipt = getattr(provider(cdn), f"purge_{kind}")(targets, CALL)
    asking = provider(cdn)  # another process knows no more than the id
    assert asking.confirm(receipt.id, CALL) == Confirmation(done=False, reason="InProgress")
    clock.advance(20)
    assert asking.confirm(receipt.id, CALL) == Confirmation(done=True, reason="Completed")


def test_a_tenant_and_what_auto_found_are_asked_as_well(run: Callable[..., CloudFrontSimulator]) -> None:
    site = Distribution("E1", origins=(S3Origin("site.s3.amazonaws.com"),))
    cdn = run(
        distributions=[site, Distribution("EMULTI", tenant_only=True)],
        tenants=[Tenant("dt_one", "EMULTI", ("one.acme.com",))],
        completed_after=0.0,
    )
    tenant, auto = provider(cdn, distribution="", tenant="dt_one"), provider(cdn, distribution="auto")
    found = auto.discover("site", CALL)["E1"].purge_urls(["/a"], CALL)
    for asked, receipt in ((tenant, tenant.purge_urls(["/a"], CALL)), (auto.part("E1"), found)):
        assert asked.confirm(receipt.id, CALL).done


def test_an_invalidation_that_is_not_known_is_not_asked_for_again(cloudfront: CloudFront) -> None:
    with pytest.raises(TargetsRefused, match="NoSuchInvalidation"):
        cloudfront.confirm("INONE", CALL)


def test_lacking_the_right_to_ask_is_about_asking_alone(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    receipt = cloudfront.purge_urls(["/a"], CALL)
    cdn.allowed = frozenset({"CreateInvalidation"})
    with pytest.raises(CredentialsRefused, match="cloudfront:GetInvalidation") as caught:
        cloudfront.confirm(receipt.id, CALL)
    assert caught.value.about == "kind"


@pytest.mark.parametrize(
    "body", ["", "<Invalidation/>", "<html><body>Welcome</body></html>", "<Other><Id>1</Id></Other>"]
)
def test_an_answer_without_a_state_is_asked_for_later(
    cdn: CloudFrontSimulator, cloudfront: CloudFront, body: str
) -> None:
    cdn.faults.once(faults.status(200, {"Content-Type": "text/xml"}, body))
    with pytest.raises(RetryLater):
        cloudfront.confirm("I1", CALL)


@pytest.mark.parametrize(("bytes_of_items", "fits"), [(12_000_000, True), (20_000_000, False)])
def test_an_answer_may_be_as_long_as_the_largest_batch(
    cdn: CloudFrontSimulator, cloudfront: CloudFront, bytes_of_items: int, *, fits: bool
) -> None:
    body = f"<Invalidation><Id>I1</Id><Status>Completed</Status><Path>{'x' * bytes_of_items}</Path></Invalidation>"
    cdn.faults.once(faults.status(200, {"Content-Type": "text/xml"}, body))
    with nullcontext() if fits else pytest.raises(RetryLater):
        assert cloudfront.confirm("I1", CALL).done


def test_what_an_earlier_call_did_counts_as_finished_in_time(cdn: CloudFrontSimulator, cloudfront: CloudFront) -> None:
    cloudfront.purge_urls(["/a"], CALL)
    receipt = cloudfront.purge_urls(["/b"], CALL)  # the reference is that of another batch
    assert (receipt.id, published(cloudfront, TargetKind.URL, receipt)) == ("", (25.0, True))
