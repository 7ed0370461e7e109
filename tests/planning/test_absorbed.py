"""What a prefix reaches anyway isn't asked for as well."""

from __future__ import annotations

import pytest
from multicdn_providers.cloudflare import Cloudflare
from multicdn_providers.cloudfront import CloudFront
from multicdn_providers.edgecast import Edgecast
from multicdn_providers.highwinds import Highwinds

from multicdn.model import Action, Job, Rank, Target, TargetKind
from multicdn.planning.planner import plan
from multicdn.provider import Provider, Secret
from multicdn.routing.demand import Demand, Want

SITE = "https://www.acme.com"
URL, PREFIX = TargetKind.URL, TargetKind.PREFIX
SECRET = Secret.literal("secret")

CLOUDFRONT = CloudFront(distribution="E8F6HK73EP0LT")
HIGHWINDS = Highwinds(endpoint="https://api.example.com", account="a1b2c3d4", token=SECRET)


def wanting(kind: TargetKind, *paths: str, soft: bool = False, action: Action = Action.PURGE) -> Demand:
    wants = {Target(kind, SITE + path): Want({f"m:{kind}:{path}"}, {"1"}) for path in paths}
    return Demand("cdn", action, soft, "acme-site", wants)


def asked(
    provider: Provider, *demands: Demand, returned: tuple[Job, ...] = ()
) -> dict[tuple[TargetKind, bool], set[str]]:
    """The targets of each kind, soft ones apart."""
    found: dict[tuple[TargetKind, bool], set[str]] = {}
    for job in plan("cdn", provider, demands).jobs:
        found.setdefault((job.kind, job.soft), set()).update(job.targets)
    return found


def test_a_url_below_a_prefix_is_not_paid_for_as_well() -> None:
    demands = wanting(PREFIX, "/d/"), wanting(URL, "/d/x.js", "/d/x.js?v=1", "/d/", "/d", "/e/x.js")
    assert asked(CLOUDFRONT, *demands) == {(PREFIX, False): {"/d/*"}, (URL, False): {"/d", "/e/x.js"}}


def test_who_asked_for_the_url_is_told_of_the_prefix() -> None:
    [job] = plan("cdn", CLOUDFRONT, [wanting(URL, "/d/x.js"), wanting(PREFIX, "/d/")]).jobs
    assert job.messages == {f"m:{URL}:/d/x.js", f"m:{PREFIX}:/d/"}


def test_a_prefix_below_another_is_not_paid_for_as_well() -> None:
    demands = wanting(PREFIX, "/d/e/", "/d/", "/d/e/f/", "/da/"), wanting(URL, "/d/e/f/x.js")
    assert asked(CLOUDFRONT, *demands) == {(PREFIX, False): {"/d/*", "/da/*"}}


def test_each_spelling_of_a_path_is_looked_at_by_itself() -> None:
    found = asked(CLOUDFRONT, wanting(PREFIX, "/it%27s/"), wanting(URL, "/it%27s/a+b"))
    assert found == {(PREFIX, False): {"/it%27s/*", "/it's/*"}}


@pytest.mark.parametrize("hard", [True, False])
def test_a_prefix_that_is_marked_stale_does_not_stand_for_what_must_be_dropped(hard: bool) -> None:
    found = asked(HIGHWINDS, wanting(PREFIX, "/d/", soft=True), wanting(URL, "/d/x", "/d/x?v=1", soft=not hard))
    site = "//www.acme.com"
    urls = {(URL, False): {f"{site}/d/x", f"{site}/d/x?v=1"}} if hard else {}
    assert found == {(PREFIX, True): {f"{site}/d/"}, **urls}


def test_what_is_dropped_by_prefix_is_not_marked_stale_before() -> None:
    found = asked(
        HIGHWINDS, wanting(PREFIX, "/d/"), wanting(URL, "/d/x", soft=True), wanting(PREFIX, "/d/e/", soft=True)
    )
    assert found == {(PREFIX, False): {"//www.acme.com/d/"}}


def test_the_page_of_a_directory_goes_with_the_directory() -> None:
    assert asked(HIGHWINDS, wanting(PREFIX, "/d/"), wanting(URL, "/d/")) == {(PREFIX, False): {"//www.acme.com/d/"}}


def test_what_was_in_vain_before_stays_by_itself() -> None:
    job = Job("cdn", Action.PURGE, URL, ("/d/x.js",), (frozenset(("old",)),), reference="r", rank=Rank.TRIED)
    found = plan("cdn", CLOUDFRONT, [wanting(PREFIX, "/d/")], [job]).jobs
    assert [(each.targets, each.reference == "r") for each in found] == [(("/d/*",), False), (("/d/x.js",), True)]


def test_what_waited_for_its_turn_alone_is_left_out() -> None:
    job = Job("cdn", Action.PURGE, URL, ("/d/x.js",), (frozenset(("old",)),), reference="r")
    [found] = plan("cdn", CLOUDFRONT, [wanting(PREFIX, "/d/")], [job]).jobs
    assert (found.targets, "old" in found.messages) == (("/d/*",), True)


@pytest.mark.parametrize(
    "provider",
    [
        # A rule may change a URL before it is cached: prefixes mean what comes after, URLs what comes before.
        Cloudflare(zone="023e105f4ecef8ad9ca31a8372d0c353", token=SECRET),
        # No word of the vendor on query strings below a wildcard.
        Edgecast(endpoint="https://api.example.com", account="1A2B", token=SECRET),
    ],
    ids=["cloudflare", "edgecast"],
)
def test_where_a_vendor_promises_less_both_are_asked_for(provider: Provider) -> None:
    found = asked(provider, wanting(PREFIX, "/d/"), wanting(URL, "/d/x.js"))
    assert {kind for kind, _ in found} == {PREFIX, URL}
