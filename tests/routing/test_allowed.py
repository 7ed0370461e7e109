"""What a job from the queue may ask for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from multicdn_providers.cloudfront import CloudFront
from multicdn_providers.highwinds import Highwinds

from multicdn.model import Action, Job, TargetKind
from multicdn.routing.allowed import Allowed
from multicdn.routing.route import Route
from multicdn.secrets import Secret

URL, PREFIX, TAG = TargetKind.URL, TargetKind.PREFIX, TargetKind.TAG
HOST, EVERYTHING = TargetKind.HOST, TargetKind.EVERYTHING


def job(kind: TargetKind, target: str = "", provider: str = "www", bucket: str = "") -> Job:
    return Job(provider, Action.PURGE, kind, (target,), (frozenset(("m",)),), bucket=bucket)


def allowed(*routes: dict[str, Any], rewritten: bool = False) -> Allowed:
    plain = {"bucket": "b", "urls": ("https://www.acme.com:8443/{key}",), "purge": ("www",)}
    return Allowed([Route(**{**plain, **route}) for route in routes or ({},)], {}, rewritten=rewritten)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (URL, "https://www.acme.com/a"),
        (URL, "HTTPS://WWW.acme.com:8443/a"),
        (URL, "/a/b.css"),
        (URL, "//www.acme.com/a"),
        (URL, '{"url":"https://www.acme.com/a","headers":{"Origin":"x"}}'),
        (PREFIX, "www.acme.com/a/"),
        (PREFIX, "/a/*"),
        (PREFIX, "http://www.acme.com/a/*"),
        (TAG, "news"),
    ],
)
def test_what_a_route_could_ask_for_is_done_in_any_vendors_spelling(kind: TargetKind, target: str) -> None:
    assert allowed().refusal(job(kind, target)) == ""


@pytest.mark.parametrize(
    ("kind", "target", "reason"),
    [
        (URL, "https://other.example/a", "no route has anything at the host 'other.example'"),
        (URL, "https://www.acme.com@other.example/a", "no route has anything at the host 'other.example'"),
        (URL, '{"url":"https://other.example/a"}', "no route has anything at the host 'other.example'"),
        (PREFIX, "other.example/a/", "no route has anything at the host 'other.example'"),
        (HOST, "other.example", "no route has anything at the host 'other.example'"),
        (PREFIX, "https://www.acme.com/", "whole host"),
        (PREFIX, "www.acme.com", "whole host"),
        (PREFIX, "/*", "whole host"),
        (URL, "/*", "whole host"),
        (PREFIX, "http://www.acme.com/*/*", "whole host"),
        (PREFIX, "www.acme.com/a/../", "whole host"),
        (PREFIX, "/.//*", "whole host"),
        (PREFIX, "https://www.acme.com/?x", "whole host"),  # Cloudflare's prefixes have no query
        (PREFIX, "https://www.acme.com?x", "whole host"),
        (PREFIX, "https://www.acme.com/#x", "whole host"),
        (PREFIX, "/%2A*", "whole host"),
        (URL, "/%2A", "whole host"),
        (URL, "/%2a%2A*", "whole host"),
        (EVERYTHING, "", "no route with `everything: true` purges at www"),
    ],
)
def test_what_no_route_could_ask_for_is_refused(kind: TargetKind, target: str, reason: str) -> None:
    assert reason in allowed().refusal(job(kind, target))


def test_everything_is_for_the_provider_whose_route_says_so() -> None:
    found = allowed({}, {"everything": True, "purge": ("img",)})
    assert found.refusal(job(EVERYTHING, provider="img")) == ""
    assert found.refusal(job(EVERYTHING, provider="img/E1")) == ""
    assert found.refusal(job(EVERYTHING, provider="www"))


def test_a_whole_host_is_for_whom_a_route_allows_it() -> None:
    assert allowed({"allow_root": True}).refusal(job(PREFIX, "https://www.acme.com/")) == ""
    assert allowed({"prefixes": ("https://www.acme.com/",)}).refusal(job(PREFIX, "www.acme.com/")) == ""
    assert allowed({"hosts": ("www.acme.com",)}).refusal(job(HOST, "www.acme.com")) == ""


def test_hosts_that_only_a_plugin_knows_are_anybodys() -> None:
    target = job(URL, "https://other.example/a")
    assert allowed(rewritten=True).refusal(target) == ""
    assert allowed({"urls": ("https://{bucket}/{key}",)}).refusal(job(URL, "https://b/a")) == ""


@pytest.mark.parametrize(
    ("kind", "target", "refused"),
    [
        (URL, "https://pr1.preview.example.org/a", False),
        (URL, "https://PR1.preview.example.org:8443/a", False),
        (PREFIX, "pr1.preview.example.org/a/", False),
        (URL, "https://acme.com/a", False),
        (URL, "https://www.acme.com/a", False),
        # One label, and one is needed.
        (URL, "https://a.b.preview.example.org/a", True),
        (URL, "https://preview.example.org/a", True),
        (URL, "https://xpreview.example.org/a", True),
        (URL, "https://evil.example/preview.example.org", True),
        (URL, "https://pr1.preview.example.org@evil.example/a", True),
        (URL, "https://{first}.preview.example.org/a", True),
        (URL, "https://other.example/a", True),
        (HOST, "pr1.preview.example.org", False),
        (HOST, "evil.example", True),
    ],
)
def test_hosts_that_are_made_from_keys_are_those_that_the_route_allows(
    kind: TargetKind, target: str, refused: bool
) -> None:
    made = {
        "urls": ("https://{first}.preview.example.org/{rest}",),
        "allowed_hosts": ("*.preview.example.org", "ACME.com"),
    }
    assert bool(allowed({}, made).refusal(job(kind, target))) is refused


def test_a_purge_that_a_preload_takes_along_may_ask_for_no_more_either() -> None:
    preload = msgspec.structs.replace(job(URL, "https://www.acme.com/a"), action=Action.PRELOAD)
    assert allowed().refusal(preload) == ""
    assert "everything: true" in allowed().refusal(msgspec.structs.replace(preload, purges=(job(EVERYTHING),)))


def test_of_a_vendor_that_knows_paths_alone_two_slashes_begin_the_path_of_a_key_with_one() -> None:
    plain = Route(bucket="b", urls=("https://www.acme.com/{key}",), purge=("www",))
    of_paths = Allowed([plain], {"www": CloudFront(distribution="E8F6HK73EP0LT")})
    hw = Highwinds(account="a", endpoint="https://api.example", token=Secret.literal("s"))
    of_urls = Allowed([plain], {"www": hw})
    assert of_paths.refusal(job(URL, "//other.example/a")) == ""
    assert "whole host" in of_paths.refusal(job(URL, "//*"))
    assert "whole host" in of_paths.refusal(job(PREFIX, "//"))
    assert "no route has anything at" in of_urls.refusal(job(URL, "//other.example/a"))
