"""The CloudFront simulator, driven by plain boto3 as AWS would be, and looked at from a client's side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from multicdn.simulators import ManualClock, Origin, Pop, Topology
from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator, Distribution, Quotas, S3Origin, Tenant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_cloudfront import CloudFrontClient

    from multicdn.simulators import ManualClock, Origin

WWW = "https://www.acme.com"
SITE = "E8F6HK73EP0LT"
SESSION = boto3.session.Session()  # a new one for each client would cost 70 ms a test
PATIENT = Quotas(calls_per_second=None)


@pytest.fixture
def cdn(origin: Origin, clock: ManualClock) -> Iterator[CloudFrontSimulator]:
    with CloudFrontSimulator(origin.url, clock=clock, quotas=PATIENT) as running:
        yield running


def client_of(cdn: CloudFrontSimulator, *, region: str = "us-east-1", **key: str) -> CloudFrontClient:
    known = cdn.credentials
    own = {
        "aws_access_key_id": known.access_key,
        "aws_secret_access_key": known.secret_key,
        "aws_session_token": known.session_token,
    }
    once = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    settings: dict[str, Any] = {"endpoint_url": cdn.endpoint, "config": once, **own, **key}
    client: CloudFrontClient = SESSION.client("cloudfront", region, **settings)
    return client


@pytest.fixture
def aws(cdn: CloudFrontSimulator) -> CloudFrontClient:
    return client_of(cdn)


def batch(*items: str, reference: str = "", quantity: int | None = None) -> Any:
    count = len(items) if quantity is None else quantity
    return {"Paths": {"Quantity": count, "Items": list(items)}, "CallerReference": reference or f"ref {items!r}"}


def invalidate(aws: CloudFrontClient, *items: str, reference: str = "", on: str = SITE) -> Any:
    return aws.create_invalidation(DistributionId=on, InvalidationBatch=batch(*items, reference=reference))


def refused(ask: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        ask()
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def cached(cdn: CloudFrontSimulator, *urls: str) -> None:
    for url in urls:
        cdn.fetch(url)
        assert cdn.fetch(url).cache == "HIT", url


# Operations, as boto3 sees them


def test_invalidation_is_created_read_and_listed(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    created = invalidate(aws, "/a&b", "/ü%20".replace("ü", "%C3%BC"), reference="r1")
    made = created["Invalidation"]
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert created["Location"].endswith(f"/2020-05-31/distribution/{SITE}/invalidation/{made['Id']}")
    assert made["Status"] == "InProgress"
    assert made["InvalidationBatch"] == batch("/a&b", "/%C3%BC%20", reference="r1")
    assert made["CreateTime"].timestamp() == cdn.clock()
    read = aws.get_invalidation(DistributionId=SITE, Id=made["Id"])["Invalidation"]
    assert read == made
    listed = aws.list_invalidations(DistributionId=SITE)["InvalidationList"]
    assert listed["Quantity"] == 1
    assert [one["Id"] for one in listed["Items"]] == [made["Id"]]


def test_empty_list_has_no_items(aws: CloudFrontClient) -> None:
    listed = aws.list_invalidations(DistributionId=SITE)["InvalidationList"]
    assert (listed["Quantity"], listed["IsTruncated"]) == (0, False)
    assert "Items" not in listed


def test_paginator_collects_all_invalidations(aws: CloudFrontClient) -> None:
    ids = [invalidate(aws, f"/{number}")["Invalidation"]["Id"] for number in range(7)]
    pages = list(
        aws.get_paginator("list_invalidations").paginate(DistributionId=SITE, PaginationConfig={"PageSize": 3})
    )
    assert [page["InvalidationList"]["Quantity"] for page in pages] == [3, 3, 1]
    found = [one["Id"] for page in pages for one in page["InvalidationList"]["Items"]]
    assert found == ids[::-1]


def test_distributions_come_in_pages_of_a_hundred_at_most(origin: Origin) -> None:
    many = [Distribution(f"E{number:05}", aliases=(f"{number}.acme.com",)) for number in range(205)]
    with CloudFrontSimulator(origin.url, distributions=many) as cdn:
        pages = list(client_of(cdn).get_paginator("list_distributions").paginate())
        assert [page["DistributionList"]["Quantity"] for page in pages] == [100, 100, 5]
        found = [one["Id"] for page in pages for one in page["DistributionList"]["Items"]]
        assert found == [one.id for one in many]
        answer = client_of(cdn).list_distributions(MaxItems="2")["DistributionList"]
        assert (answer["MaxItems"], answer["IsTruncated"], answer["Quantity"]) == (2, True, 2)
        assert answer["NextMarker"] == "E00001"


@pytest.mark.parametrize("wrong", [{"Marker": "nowhere"}, {"MaxItems": "many"}, {"MaxItems": "0"}])
def test_marker_and_page_size_are_checked(aws: CloudFrontClient, wrong: dict[str, str]) -> None:
    assert refused(lambda: aws.list_distributions(**wrong)) == ("InvalidArgument", 400)


def test_distribution_summary_tells_what_is_needed_to_choose(origin: Origin) -> None:
    one = Distribution(
        "E1",
        aliases=("www.acme.com",),
        origins=(S3Origin("a.s3.amazonaws.com"), S3Origin("b.s3.amazonaws.com", "/site")),
        enabled=False,
        staging=True,
        tag_header="x-tag",
    )
    with CloudFrontSimulator(origin.url, distributions=[one]) as cdn:
        (found,) = client_of(cdn).list_distributions()["DistributionList"]["Items"]
    assert (found["Enabled"], found["Staging"], found["ConnectionMode"]) == (False, True, "direct")
    assert found["Aliases"] == {"Quantity": 1, "Items": ["www.acme.com"]}
    assert [(o["DomainName"], o["OriginPath"]) for o in found["Origins"]["Items"]] == [
        ("a.s3.amazonaws.com", ""),
        ("b.s3.amazonaws.com", "/site"),
    ]
    assert "CacheTagConfig" not in found


def test_only_the_configuration_tells_the_tag_header(origin: Origin) -> None:
    two = [Distribution("E1", tag_header="x-tag"), Distribution("E2")]
    with CloudFrontSimulator(origin.url, distributions=two) as cdn:
        aws = client_of(cdn)
        assert aws.get_distribution_config(Id="E1")["DistributionConfig"]["CacheTagConfig"] == {"HeaderName": "x-tag"}
        assert "CacheTagConfig" not in aws.get_distribution_config(Id="E2")["DistributionConfig"]


def test_waiter_sees_completion_after_polls(origin: Origin) -> None:
    with CloudFrontSimulator(origin.url, completed_after_polls=3) as cdn:
        aws = client_of(cdn)
        made = invalidate(aws, "/a")["Invalidation"]["Id"]
        waiter = aws.get_waiter("invalidation_completed")
        waiter.wait(DistributionId=SITE, Id=made, WaiterConfig={"Delay": 0, "MaxAttempts": 5})
        assert [call.method for call in cdn.calls] == ["POST", "GET", "GET", "GET"]


def test_waiter_gives_up_before_completion(aws: CloudFrontClient) -> None:
    made = invalidate(aws, "/a")["Invalidation"]["Id"]
    with pytest.raises(WaiterError, match="Max attempts exceeded"):
        aws.get_waiter("invalidation_completed").wait(
            DistributionId=SITE, Id=made, WaiterConfig={"Delay": 0, "MaxAttempts": 3}
        )


def test_completion_comes_with_time(aws: CloudFrontClient, clock: ManualClock) -> None:
    made = invalidate(aws, "/a")["Invalidation"]["Id"]
    clock.advance(19)
    assert aws.get_invalidation(DistributionId=SITE, Id=made)["Invalidation"]["Status"] == "InProgress"
    clock.advance(1)
    assert aws.get_invalidation(DistributionId=SITE, Id=made)["Invalidation"]["Status"] == "Completed"


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda aws: invalidate(aws, "/a", on="ENONE"), "NoSuchDistribution"),
        (lambda aws: aws.get_distribution_config(Id="ENONE"), "NoSuchDistribution"),
        (lambda aws: aws.list_invalidations(DistributionId="ENONE"), "NoSuchDistribution"),
        (lambda aws: aws.get_invalidation(DistributionId=SITE, Id="INONE"), "NoSuchInvalidation"),
        (lambda aws: aws.get_distribution_tenant(Identifier="dt_none"), "EntityNotFound"),
        (lambda aws: aws.get_distribution_tenant_by_domain(Domain="none.acme.com"), "EntityNotFound"),
        (
            lambda aws: aws.create_invalidation_for_distribution_tenant(Id="dt_none", InvalidationBatch=batch("/a")),
            "EntityNotFound",
        ),
        (lambda aws: aws.get_distribution(Id="ENONE"), "NoSuchDistribution"),
        (lambda aws: aws.list_cache_policies(), "NoSuchResource"),
    ],
)
def test_what_does_not_exist_is_404(aws: CloudFrontClient, ask: Any, code: str) -> None:
    assert refused(lambda: ask(aws)) == (code, 404)


def test_modelled_errors_have_their_class(aws: CloudFrontClient) -> None:
    with pytest.raises(aws.exceptions.InvalidArgument, match="one or more invalid invalidation paths"):
        invalidate(aws, "no-slash")


# Authentication and authorisation


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ({"aws_secret_access_key": "not it"}, "SignatureDoesNotMatch"),
        ({"aws_access_key_id": "AKIASOMEBODYELSE"}, "InvalidClientTokenId"),
        ({"aws_session_token": "not it"}, "InvalidClientTokenId"),
        ({"region": "eu-west-1"}, "SignatureDoesNotMatch"),
    ],
)
def test_wrong_key_is_refused(cdn: CloudFrontSimulator, key: dict[str, str], code: str) -> None:
    assert refused(client_of(cdn, **key).list_distributions) == (code, 403)


def test_unsigned_call_is_refused(cdn: CloudFrontSimulator) -> None:
    from botocore import UNSIGNED

    unsigned: Any = client_of(cdn, config=Config(signature_version=UNSIGNED))  # type: ignore[arg-type]
    assert refused(unsigned.list_distributions) == ("MissingAuthenticationToken", 403)


def test_altered_body_does_not_match_its_signature(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    def alter(request: Any, **_: object) -> None:
        request.body = request.body.replace(b"/a", b"/b")

    aws.meta.events.register("before-send.cloudfront.CreateInvalidation", alter)
    assert refused(lambda: invalidate(aws, "/a")) == ("SignatureDoesNotMatch", 403)


def test_altered_query_does_not_match_its_signature(aws: CloudFrontClient) -> None:
    def alter(request: Any, **_: object) -> None:
        request.url = request.url.replace("MaxItems=1", "MaxItems=2")

    aws.meta.events.register("before-send.cloudfront.ListDistributions", alter)
    assert refused(lambda: aws.list_distributions(MaxItems="1")) == ("SignatureDoesNotMatch", 403)


def test_query_and_odd_path_are_signed_right(aws: CloudFrontClient) -> None:
    assert refused(lambda: aws.list_distributions(Marker="a b/%+ü~*", MaxItems="7")) == ("InvalidArgument", 400)
    assert refused(lambda: aws.get_distribution_config(Id="a b/%+ü~*")) == ("NoSuchDistribution", 404)


def test_expired_token(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    cdn.expired = True
    assert refused(aws.list_distributions) == ("ExpiredToken", 403)


@pytest.mark.parametrize(("skew", "accepted"), [(-290, True), (290, True), (-310, False), (310, False)])
def test_clock_may_be_five_minutes_off(
    cdn: CloudFrontSimulator, aws: CloudFrontClient, skew: float, accepted: bool
) -> None:
    cdn.skew = skew
    if accepted:
        assert aws.list_distributions()["DistributionList"]["Quantity"] == 1
    else:
        assert refused(aws.list_distributions) == ("SignatureDoesNotMatch", 403)


def test_permanent_key_needs_no_token(origin: Origin) -> None:
    key = AccessKey("AKIAPERMANENT", "secret-of-permanent")
    with CloudFrontSimulator(origin.url, credentials=key) as cdn:
        aws = client_of(cdn, aws_session_token="")
        assert aws.list_distributions()["DistributionList"]["Quantity"] == 1
        assert "AWS_SESSION_TOKEN" not in cdn.environment()


def test_environment_is_what_botocore_looks_for(cdn: CloudFrontSimulator, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in cdn.environment().items():
        monkeypatch.setenv(name, value)
    aws = boto3.session.Session().client("cloudfront", endpoint_url=cdn.endpoint)
    assert aws.list_distributions()["DistributionList"]["Quantity"] == 1


def test_only_allowed_actions(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    cdn.allowed = frozenset({"CreateInvalidation"})
    made = invalidate(aws, "/a")["Invalidation"]["Id"]
    assert refused(lambda: aws.get_invalidation(DistributionId=SITE, Id=made)) == ("AccessDenied", 403)
    assert refused(aws.list_distributions) == ("AccessDenied", 403)


def test_credentials_are_masked_in_the_record(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    aws.list_distributions()
    (call,) = cdn.calls
    assert call.headers["Authorization"] == call.headers["X-Amz-Security-Token"] == "***"
    assert cdn.credentials.session_token not in repr(call)


def test_calls_count_their_items(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    invalidate(aws, "/a", "/b", "#c")
    aws.list_distributions()
    assert [(call.method, call.items, call.status) for call in cdn.calls] == [("POST", 3, 201), ("GET", 0, 200)]


# Batches


@pytest.mark.parametrize(
    "bad",
    [
        *(
            "no-slash",
            "https://www.acme.com/a",
            "/til~de",
            "/a b",
            "/ü",
            "/a#b",
            "/a[1]",
            '/a"b',
            "/100%",
            "/a{b}",
            "/a|b",
        ),
        *("/" + "x" * 4000, "#", "#two words", "#a,b", "#" + "x" * 257, "#ü"),
    ],
)
def test_one_bad_item_refuses_all(cdn: CloudFrontSimulator, aws: CloudFrontClient, bad: str) -> None:
    cached(cdn, f"{WWW}/good")
    assert refused(lambda: invalidate(aws, "/good", bad)) == ("InvalidArgument", 400)
    assert cdn.fetch(f"{WWW}/good").cache == "HIT"


@pytest.mark.parametrize(
    "good", ["/", "/*", "/a*b", "/a&b;c=d,e+f$g@h:i!(j)'", "/%20%C3%BC", "/" + "x" * 3999, "#" + "!" * 256, "/%7Ea"]
)
def test_these_items_are_accepted(aws: CloudFrontClient, good: str) -> None:
    assert invalidate(aws, good)["Invalidation"]["InvalidationBatch"]["Paths"]["Items"] == [good]


def test_plain_quote_is_refused_where_the_switch_says_so(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    cdn.quotes_refused = True
    assert refused(lambda: invalidate(aws, "/it's")) == ("InvalidArgument", 400)


def test_quantity_must_be_right(aws: CloudFrontClient) -> None:
    wrong = batch("/a", "/b", quantity=3)
    ask = lambda: aws.create_invalidation(DistributionId=SITE, InvalidationBatch=wrong)  # noqa: E731
    assert refused(ask) == ("InconsistentQuantities", 400)


def test_empty_batch_is_refused(aws: CloudFrontClient) -> None:
    assert refused(lambda: invalidate(aws)) == ("InvalidArgument", 400)


def test_body_must_be_there_and_be_xml(aws: CloudFrontClient) -> None:
    body = b""

    def replace(params: Any, **_: object) -> None:
        params["body"] = body

    aws.meta.events.register("before-call.cloudfront.CreateInvalidation", replace)
    assert refused(lambda: invalidate(aws, "/a")) == ("MissingBody", 400)
    body = b"<InvalidationBatch"
    assert refused(lambda: invalidate(aws, "/a")) == ("MalformedXML", 400)


def test_batch_of_more_than_3000_is_too_large(aws: CloudFrontClient) -> None:
    paths = [f"/{number}" for number in range(3001)]
    assert refused(lambda: invalidate(aws, *paths, reference="r")) == ("BatchTooLarge", 413)


# Caller references


def test_same_batch_under_the_same_reference_is_the_same_invalidation(
    cdn: CloudFrontSimulator, aws: CloudFrontClient
) -> None:
    first = invalidate(aws, "/a", reference="r")["Invalidation"]
    cached(cdn, f"{WWW}/a")
    again = invalidate(aws, "/a", reference="r")["Invalidation"]
    assert again["Id"] == first["Id"]
    assert cdn.fetch(f"{WWW}/a").cache == "HIT"


def test_other_paths_under_a_used_reference(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    invalidate(aws, "/a", reference="r")
    assert refused(lambda: invalidate(aws, "/b", reference="r")) == ("InvalidationBatchAlreadyExists", 409)
    cdn.reference_error = "InvalidArgument"
    with pytest.raises(aws.exceptions.InvalidArgument, match="caller reference that was used"):
        invalidate(aws, "/b", reference="r")


def test_references_are_known_per_distribution(origin: Origin) -> None:
    with CloudFrontSimulator(origin.url, distributions=[Distribution("E1"), Distribution("E2")]) as cdn:
        aws = client_of(cdn)
        one = invalidate(aws, "/a", reference="r", on="E1")["Invalidation"]["Id"]
        assert invalidate(aws, "/b", reference="r", on="E2")["Invalidation"]["Id"] != one


# Quotas

TOO_MANY = ("TooManyInvalidationsInProgress", 400)


def quota(origin: Origin, clock: ManualClock, **quotas: Any) -> CloudFrontSimulator:
    none: dict[str, Any] = dict.fromkeys(
        ("items_per_second", "wildcards_per_second", "open_items", "open_wildcards", "calls_per_second")
    )
    return CloudFrontSimulator(origin.url, clock=clock, quotas=Quotas(**{**none, **quotas}))


def test_open_items_are_counted_until_they_are_completed(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, open_items=3) as cdn:
        aws = client_of(cdn)
        invalidate(aws, "/a", "/b")
        assert refused(lambda: invalidate(aws, "/c", "#d")) == TOO_MANY
        invalidate(aws, "/c", "/wild/*")
        clock.advance(20)
        invalidate(aws, "/c", "#d", "/e")


def test_open_wildcards_are_counted_apart(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, open_wildcards=15) as cdn:
        aws = client_of(cdn)
        invalidate(aws, *(f"/{number}/*" for number in range(15)))
        assert refused(lambda: invalidate(aws, "/more/*")) == TOO_MANY
        invalidate(aws, "/plain")
        clock.advance(20)
        invalidate(aws, "/more/*")


def test_items_a_second(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, items_per_second=150, items_burst=150) as cdn:
        aws = client_of(cdn)
        invalidate(aws, *(f"/{number}" for number in range(150)))
        assert refused(lambda: invalidate(aws, "/more")) == TOO_MANY
        clock.advance(0.5)
        invalidate(aws, *(f"/more/{number}" for number in range(75)))
        assert refused(lambda: invalidate(aws, "/more")) == TOO_MANY


def test_wildcards_a_second(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, wildcards_per_second=1, wildcards_burst=1) as cdn:
        aws = client_of(cdn)
        invalidate(aws, "/a/*")
        assert refused(lambda: invalidate(aws, "/b/*", "/plain")) == TOO_MANY
        clock.advance(1)
        invalidate(aws, "/b/*")


def test_calls_a_second_are_throttled(origin: Origin, clock: ManualClock) -> None:
    with CloudFrontSimulator(origin.url, clock=clock) as cdn:
        aws = client_of(cdn)
        for number in range(8):
            invalidate(aws, f"/{number}")
        assert refused(lambda: invalidate(aws, "/more")) == ("Throttling", 400)
        clock.advance(2)
        invalidate(aws, "/more")
        assert aws.list_distributions()["DistributionList"]["Quantity"] == 1


def test_refused_batch_leaves_its_reference_free(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, open_items=1) as cdn:
        aws = client_of(cdn)
        invalidate(aws, "/a")
        assert refused(lambda: invalidate(aws, "/b", reference="r")) == TOO_MANY
        clock.advance(20)
        assert invalidate(aws, "/c", reference="r")["Invalidation"]["Status"] == "InProgress"


def test_repeated_batch_uses_no_quota(origin: Origin, clock: ManualClock) -> None:
    with quota(origin, clock, open_items=1) as cdn:
        aws = client_of(cdn)
        first = invalidate(aws, "/a", reference="r")["Invalidation"]["Id"]
        assert invalidate(aws, "/a", reference="r")["Invalidation"]["Id"] == first


def test_without_limits_there_are_no_quotas(origin: Origin, clock: ManualClock) -> None:
    with CloudFrontSimulator(origin.url, clock=clock, limits=False) as cdn:
        aws = client_of(cdn)
        for number in range(30):
            invalidate(aws, f"/{number}/*")
        invalidate(aws, *(f"/{number}" for number in range(3001)), reference="r")


# What an invalidation reaches

CACHED = [
    "/a",
    "/a?v=1",
    "/a?v=2",
    "/A",
    "/ab",
    "/a/b",
    "/a/b/c",
    "/a%2Bb",
    "/a+b",
    "/til~de",
    "/til%7Ede",
    "/til",
    "/star*x",
    "/%E4%B8%AD",
    "/%e4%b8%ad",
    "/[x]|",
    "/%5Bx%5D%7C",
    "/%5bx%5d%7c",
]


@pytest.mark.parametrize(
    ("item", "gone"),
    [
        ("/a", {"/a"}),
        ("/a?v=1", {"/a?v=1"}),
        ("/a*", {"/a", "/a?v=1", "/a?v=2", "/ab", "/a/b", "/a/b/c", "/a%2Bb", "/a+b"}),
        ("/a/*", {"/a/b", "/a/b/c"}),
        ("/*", set(CACHED)),
        ("/a+b", {"/a+b"}),
        ("/a%2Bb", {"/a%2Bb"}),
        ("/til%7Ede", set()),
        ("/til%7E*", set()),
        ("/til*", {"/til~de", "/til%7Ede", "/til"}),
        ("/star*x", {"/star*x"}),
        ("/st*r*x", set()),
        ("/%2A", set()),
        ("/%E4%B8%AD", {"/%E4%B8%AD"}),
        ("/%5Bx%5D%7C", {"/[x]|", "/%5Bx%5D%7C"}),
        ("/%5Bx*", {"/[x]|", "/%5Bx%5D%7C"}),
    ],
)
def test_item_reaches_exactly(cdn: CloudFrontSimulator, aws: CloudFrontClient, item: str, gone: set[str]) -> None:
    cached(cdn, *(WWW + target for target in CACHED))
    invalidate(aws, item)
    assert {target for target in CACHED if cdn.fetch(WWW + target).cache != "HIT"} == gone


def test_old_bytes_are_served_until_the_invalidation(
    origin: Origin, cdn: CloudFrontSimulator, aws: CloudFrontClient
) -> None:
    origin.put("a.css", "old")
    cached(cdn, f"{WWW}/a.css")
    origin.put("a.css", "new")
    assert cdn.fetch(f"{WWW}/a.css").body == b"old"
    invalidate(aws, "/a.css")
    assert cdn.fetch(f"{WWW}/a.css").body == b"new"


def test_invalidation_takes_effect_after_a_while(origin: Origin, clock: ManualClock) -> None:
    with CloudFrontSimulator(origin.url, clock=clock, effective_after=5) as cdn:
        aws = client_of(cdn)
        origin.put("a", "old")
        cached(cdn, f"{WWW}/a")
        invalidate(aws, "/*")
        clock.advance(4)
        assert cdn.fetch(f"{WWW}/a").cache == "HIT"
        cached(cdn, f"{WWW}/later")
        clock.advance(1)
        assert cdn.fetch(f"{WWW}/a").cache == "MISS"
        assert cdn.fetch(f"{WWW}/later").cache == "HIT"


def test_invalidation_is_completed_when_its_slowest_pop_has_it(origin: Origin, clock: ManualClock) -> None:
    cdn = CloudFrontSimulator(origin.url, clock=clock, effective_after=5)
    cdn.topology = Topology(pops=(Pop("FRA"), Pop("IAD", delay=30)))
    with cdn:
        aws = client_of(cdn)
        for pop in ("FRA", "IAD"):
            cdn.fetch(f"{WWW}/a", pop=pop)
        made = invalidate(aws, "/a")["Invalidation"]["Id"]

        def status() -> str:
            return aws.get_invalidation(DistributionId=SITE, Id=made)["Invalidation"]["Status"]

        clock.advance(34)
        assert (status(), cdn.cached(f"{WWW}/a", pop="IAD") is None) == ("InProgress", False)
        clock.advance(1)
        assert (status(), cdn.cached(f"{WWW}/a", pop="IAD") is None) == ("Completed", True)


def test_invalidation_that_nobody_looked_at_got_everywhere_in_its_time(origin: Origin, clock: ManualClock) -> None:
    cdn = CloudFrontSimulator(origin.url, clock=clock, effective_after=5)
    cdn.topology = Topology(purge_delay=30)
    with cdn:
        cdn.fetch(f"{WWW}/a")
        invalidate(client_of(cdn), "/a")
        clock.advance(35)
        assert cdn.cached(f"{WWW}/a") is None


def test_scheme_and_host_are_not_in_the_key(cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    cached(cdn, "https://www.acme.com/a")
    assert cdn.fetch("http://www.acme.com/a").cache == "HIT"
    assert cdn.fetch("https://img.acme.com/a").cache == "HIT"
    assert cdn.fetch("https://acme.com/a").cache == "HIT"
    assert cdn.fetch("https://de8f6hk73ep0lt.cloudfront.net/a").cache == "HIT"
    assert cdn.fetch("https://www.example.org/a").status == 403
    assert cdn.fetch("https://a.b.acme.com/a").status == 403


def test_query_may_be_out_of_the_key(origin: Origin) -> None:
    site = Distribution("E1", aliases=("www.acme.com",), query_in_key=False)
    with CloudFrontSimulator(origin.url, distributions=[site]) as cdn:
        cdn.fetch(f"{WWW}/a?v=1")
        assert cdn.fetch(f"{WWW}/a?v=2").cache == "HIT"
        invalidate(client_of(cdn), "/a", on="E1")
        assert cdn.fetch(f"{WWW}/a?v=2").cache == "MISS"


def test_all_variants_of_a_path_go_together(origin: Origin) -> None:
    site = Distribution("E1", aliases=("www.acme.com",), headers_in_key=("Accept-Language",))
    with CloudFrontSimulator(origin.url, distributions=[site]) as cdn:
        german, french = {"Accept-Language": "de"}, {"Accept-Language": "fr"}
        cdn.fetch(f"{WWW}/a", german)
        assert cdn.fetch(f"{WWW}/a", french).cache == "MISS"
        assert [cdn.fetch(f"{WWW}/a", one).cache for one in (german, french)] == ["HIT", "HIT"]
        invalidate(client_of(cdn), "/a", on="E1")
        assert [cdn.fetch(f"{WWW}/a", one).cache for one in (german, french)] == ["MISS", "MISS"]


def test_distributions_cache_apart_and_are_chosen_by_host(origin: Origin) -> None:
    sites = [
        Distribution("E1", aliases=("*.acme.com",)),
        Distribution("E2", aliases=("img.acme.com",), origins=(S3Origin("b.s3.amazonaws.com", "/site"),)),
        Distribution("E3", aliases=("off.acme.org",), enabled=False),
    ]
    with CloudFrontSimulator(origin.url, distributions=sites) as cdn:
        origin.put("a", "whole bucket")
        origin.put("site/a", "below the origin path")
        assert cdn.fetch("https://www.acme.com/a").body == b"whole bucket"
        assert cdn.fetch("https://img.acme.com/a").body == b"below the origin path"
        assert cdn.fetch("https://off.acme.org/a").status == 403
        invalidate(client_of(cdn), "/a", on="E1")
        assert cdn.fetch("https://www.acme.com/a").cache == "MISS"
        assert cdn.fetch("https://img.acme.com/a").cache == "HIT"


def test_absence_is_cached_and_invalidated_too(origin: Origin, cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    assert cdn.fetch(f"{WWW}/a").status == 404
    origin.put("a", "now there")
    assert cdn.fetch(f"{WWW}/a").status == 404
    invalidate(aws, "/a")
    assert cdn.fetch(f"{WWW}/a").body == b"now there"


# Tags


def test_tag_reaches_all_that_carries_it_in_any_case(
    origin: Origin, cdn: CloudFrontSimulator, aws: CloudFrontClient
) -> None:
    origin.put("a", "1", {"x-amz-meta-cache-tag": "Product-7 , sale"})
    origin.put("b", "1", {"x-amz-meta-cache-tag": "product-77"})
    cached(cdn, f"{WWW}/a", f"{WWW}/a?v=1", f"{WWW}/b")
    invalidate(aws, "#product-7")
    assert [cdn.fetch(WWW + target).cache for target in ("/a", "/a?v=1", "/b")] == ["MISS", "MISS", "HIT"]


def test_tags_and_paths_share_a_batch(origin: Origin, cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    origin.put("a", "1", {"x-amz-meta-cache-tag": "t"})
    cached(cdn, f"{WWW}/a", f"{WWW}/b", f"{WWW}/c")
    invalidate(aws, "#t", "/b")
    assert [cdn.fetch(WWW + target).cache for target in ("/a", "/b", "/c")] == ["MISS", "MISS", "HIT"]


def test_only_fifty_tags_are_kept(origin: Origin, cdn: CloudFrontSimulator, aws: CloudFrontClient) -> None:
    origin.put("a", "1", {"x-amz-meta-cache-tag": ",".join(f"t{number}" for number in range(51))})
    cached(cdn, f"{WWW}/a")
    invalidate(aws, "#t50")
    assert cdn.fetch(f"{WWW}/a").cache == "HIT"
    invalidate(aws, "#t49")
    assert cdn.fetch(f"{WWW}/a").cache == "MISS"


def test_tag_without_a_header_configured_succeeds_and_purges_nothing(origin: Origin) -> None:
    with CloudFrontSimulator(origin.url, distributions=[Distribution("E1", aliases=("www.acme.com",))]) as cdn:
        origin.put("a", "1", {"x-amz-meta-cache-tag": "t"})
        cached(cdn, f"{WWW}/a")
        assert invalidate(client_of(cdn), "#t", on="E1")["Invalidation"]["Id"]
        assert cdn.fetch(f"{WWW}/a").cache == "HIT"


# Tenants


@pytest.fixture
def shared(origin: Origin) -> Iterator[CloudFrontSimulator]:
    template = Distribution("EMULTI", tenant_only=True, tag_header="x-amz-meta-cache-tag")
    tenants = [Tenant("dt_one", "EMULTI", ("one.acme.com",)), Tenant("dt_two", "EMULTI", ("two.acme.com",))]
    with CloudFrontSimulator(origin.url, distributions=[template], tenants=tenants, completed_after_polls=1) as running:
        yield running


def test_tenants_are_invalidated_one_by_one(shared: CloudFrontSimulator) -> None:
    aws = client_of(shared)
    cached(shared, "https://one.acme.com/a", "https://two.acme.com/a")
    made = aws.create_invalidation_for_distribution_tenant(Id="dt_one", InvalidationBatch=batch("/a"))
    assert "/distribution-tenant/dt_one/invalidation/" in made["Location"]
    assert shared.fetch("https://one.acme.com/a").cache == "MISS"
    assert shared.fetch("https://two.acme.com/a").cache == "HIT"
    name = made["Invalidation"]["Id"]
    aws.get_waiter("invalidation_for_distribution_tenant_completed").wait(
        DistributionTenantId="dt_one", Id=name, WaiterConfig={"Delay": 0, "MaxAttempts": 2}
    )
    listed = aws.list_invalidations_for_distribution_tenant(Id="dt_one")["InvalidationList"]
    assert [(one["Id"], one["Status"]) for one in listed["Items"]] == [(name, "Completed")]


def test_multi_tenant_distribution_itself_is_not_there(shared: CloudFrontSimulator) -> None:
    aws = client_of(shared)
    assert refused(lambda: invalidate(aws, "/a", on="EMULTI")) == ("NoSuchDistribution", 404)
    assert shared.fetch("https://demulti.cloudfront.net/a").status == 403
    (listed,) = aws.list_distributions()["DistributionList"]["Items"]
    assert listed["ConnectionMode"] == "tenant-only"


def test_tenants_are_found_by_id_domain_and_list(shared: CloudFrontSimulator) -> None:
    aws = client_of(shared)
    assert aws.get_distribution_tenant(Identifier="dt_two")["DistributionTenant"]["DistributionId"] == "EMULTI"
    found = aws.get_distribution_tenant_by_domain(Domain="two.acme.com")["DistributionTenant"]
    assert (found["Id"], [one["Domain"] for one in found["Domains"]]) == ("dt_two", ["two.acme.com"])
    first = aws.list_distribution_tenants(MaxItems=1)
    second = aws.list_distribution_tenants(MaxItems=1, Marker=first["NextMarker"])
    pages = (first, second)
    assert [one["Id"] for page in pages for one in page["DistributionTenantList"]] == ["dt_one", "dt_two"]
    assert "NextMarker" not in second
