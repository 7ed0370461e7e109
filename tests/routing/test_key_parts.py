"""Folders, captures and host names that templates take from keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sample_plugins import Full, Plain

from multicdn.model import Change, ChangeKind, Target, TargetKind
from multicdn.routing.host_names import AllowedHosts, fault_of_pattern, is_host_name
from multicdn.routing.route import Also, Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

PROVIDERS = {"plain": Plain(), "full": Full(token=Secret.literal("x"), service="s")}

PREVIEWS: dict[str, Any] = {
    "urls": ("https://{first}.preview.example.org/{rest}",),
    "allowed_hosts": ("*.preview.example.org",),
    "index": "index.html",
}
CUSTOMERS: dict[str, Any] = {
    "urls": ("https://{first}/{rest}",),
    "allowed_hosts": ("acme.com", "*.acme.com", "müller.example"),
    "index": "index.html",
    "bare": True,
}


def router(**members: Any) -> Router:
    return Router([Route(**{"bucket": "b", "purge": ("full",), **members})], PROVIDERS)


def targets(key: str, **members: Any) -> set[Target]:
    found, failures = router(**members).demands([Change("b", key)])
    assert failures == []
    return {target for demand in found for target in demand.wants}


def texts(key: str, **members: Any) -> list[str]:
    return sorted(target.value for target in targets(key, **members))


def reasons(key: str, **members: Any) -> list[str]:
    found = router(**members).untargeted([Change("b", key)])
    return [reason for several in found.values() for _, reason in several]


@pytest.mark.parametrize(
    ("key", "members", "expected"),
    [
        # A folder for each preview: the case of the field.
        ("pr123/en/docs/index.html", PREVIEWS, ["https://pr123.preview.example.org/en/docs/",
         "https://pr123.preview.example.org/en/docs/index.html"]),
        ("PR123/app.js", PREVIEWS, ["https://pr123.preview.example.org/app.js"]),
        ("pr123/index.html", PREVIEWS, ["https://pr123.preview.example.org/",
         "https://pr123.preview.example.org/index.html"]),
        ("pr123/", PREVIEWS, ["https://pr123.preview.example.org/"]),
        ("sites/pr123/a.js", {**PREVIEWS, "prefix": "sites/"}, ["https://pr123.preview.example.org/a.js"]),
        # A folder for each customer, called as their host.
        ("acme.com/index.html", CUSTOMERS, ["https://acme.com/", "https://acme.com/index.html"]),
        ("www.acme.com/shop/index.html", CUSTOMERS, ["https://www.acme.com/shop", "https://www.acme.com/shop/",
         "https://www.acme.com/shop/index.html"]),
        # A version, of which CloudFront's origin path is made, and a language.
        ("v1.2.3/app.js", {"urls": ("https://cdn.example.org/{rest}",)}, ["https://cdn.example.org/app.js"]),
        ("en/a.html", {"urls": ("https://www.example.org/{rest}?lang={first}",)},
         ["https://www.example.org/a.html?lang=en"]),
        # By number.
        ("a/b/c/d.css", {"urls": ("https://x.example/{segment3}/{segment1}/{name}",)}, ["https://x.example/c/a/d.css"]),
        ("1/2/3/4/5/6/7/8/9/10/x", {"urls": ("https://x.example/{segment9}",)}, ["https://x.example/9"]),
        ("eu/acme/x.js", {"urls": ("https://{segment2}.{segment1}.example.org/{name}",),
         "allowed_hosts": ("*.eu.example.org",)}, ["https://acme.eu.example.org/x.js"]),
        # Beside the bucket and a port.
        ("pr1/a", {"urls": ("https://{first}.{bucket}.example.org:8443/{rest}",),
         "allowed_hosts": ("*.b.example.org",)}, ["https://pr1.b.example.org:8443/a"]),
        # Each value is escaped as in the key.
        ("a%b/ü.js", {"urls": ("https://x.example/{first}/{rest}",), "spellings": ("s3",)},
         ["https://x.example/a%25b/%C3%BC.js"]),
        ("a b/c d", {"urls": ("https://x.example/{first}|{rest}",), "spellings": ("s3", "plus")},
         ["https://x.example/a%20b|c%20d", "https://x.example/a+b|c+d"]),
        # Tags and prefixes, too, and hosts as a whole.
        ("acme/x.js", {"tags": ("customer-{first}",)}, ["customer-acme"]),
        ("acme/x.js", {"prefixes": ("https://x.example/{first}/",)}, ["https://x.example/acme/"]),
        ("pr1/x.js", {"hosts": ("{first}.example.org",), "allowed_hosts": ("*.example.org",)}, ["pr1.example.org"]),
        ("pr1/x.js", {"prefixes": ("https://{first}.example.org/",), "allowed_hosts": ("*.example.org",)},
         ["https://pr1.example.org/"]),
    ],
)  # fmt: skip
def test_what_templates_make_of_folders(key: str, members: dict[str, Any], expected: list[str]) -> None:
    assert texts(key, **members) == expected
    assert reasons(key, **members) == []


PAGES = r"(?P<host>[^/]+)/(?P<lang>[a-z]{2})/(?P<page>.*)"
PAGES_AT: dict[str, Any] = {
    "match": PAGES,
    "urls": ("https://{host}.example.org/{page}?l={lang}",),
    "allowed_hosts": ("*.example.org",),
    "index": "index.html",
    "strip": (".html",),
}


@pytest.mark.parametrize(
    ("key", "members", "expected"),
    [
        ("www/de/a/b.css", PAGES_AT, ["https://www.example.org/a/b.css?l=de"]),
        ("www/de/a/index.html", PAGES_AT, ["https://www.example.org/a/?l=de", "https://www.example.org/a/index.html?l=de",
         "https://www.example.org/a/index?l=de"]),
        ("www/de/index.html", PAGES_AT, ["https://www.example.org/?l=de", "https://www.example.org/index.html?l=de",
         "https://www.example.org/index?l=de"]),
        ("www/de/a b.html", {**PAGES_AT, "spellings": ("s3",)}, ["https://www.example.org/a%20b.html?l=de",
         "https://www.example.org/a%20b?l=de"]),
        # The pattern is about whole keys.
        ("www/deu/a", PAGES_AT, []),
        ("x/www/de/a", PAGES_AT, []),
        # A group that ends before the key does is no end of the URL's.
        ("a.v7.html", {"match": r"(?P<n>[^.]+)\.v(?P<v>\d+)\.html", "strip": (".html",),
         "urls": ("https://x.example/{n}", "https://x.example/{n}?v={v}")}, ["https://x.example/a",
         "https://x.example/a?v=7"]),
        ("d/index.html", {"match": r"(?P<d>[^/]+)/(?P<n>[^.]+)\.html", "index": "index.html",
         "urls": ("https://x.example/{d}/{n}",)}, ["https://x.example/d/index"]),
        ("a/line\nbreak", {"match": "(?P<a>[^/]+)/.*", "tags": ("{a}",)}, ["a"]),
        # A group that takes no part is empty.
        ("a", {"match": "(?:(?P<lang>[a-z]{2})/)?(?P<page>.*)", "urls": ("https://x.example/{lang}:{page}",)},
         ["https://x.example/:a"]),
        ("line\nbreak/x", {"match": "(?P<a>[^/]*)/(?P<b>.*)", "urls": ("https://x.example/{b}",)},
         ["https://x.example/x"]),
    ],
)  # fmt: skip
def test_what_templates_make_of_captures(key: str, members: dict[str, Any], expected: list[str]) -> None:
    assert texts(key, **members) == expected


def test_alternate_keys_are_taken_apart_as_well() -> None:
    also = (Also(keys=("*.png",), as_=("{first}/thumbs/{rest}", "thumb.webp")),)
    assert texts("pr1/a.png", **PREVIEWS, also=also) == [
        "https://pr1.preview.example.org/a.png",
        "https://pr1.preview.example.org/thumbs/a.png",
    ]


def test_an_alternate_key_that_the_pattern_does_not_match_has_no_captures() -> None:
    also = (Also(keys=("*.png",), as_=("{lang}.webp",)),)
    members = {"match": PAGES, "urls": ("https://x.example/{page}", "https://y.example/{key}"), "also": also}
    assert texts("www/de/a.png", **members) == [
        "https://x.example/a.png",
        "https://y.example/de.webp",
        "https://y.example/www/de/a.png",
    ]


@pytest.mark.parametrize(
    ("key", "members", "reason"),
    [
        ("robots.txt", PREVIEWS, "the key has no folder 1 below the route's prefix, for {first}"),
        ("/robots.txt", PREVIEWS, "the key has no folder 1 below the route's prefix, for {first}"),
        ("a/b", {"urls": ("https://x.example/{segment2}",)},
         "the key has no folder 2 below the route's prefix, for {segment2}"),
        ("a//b", {"urls": ("https://x.example/{segment2}",)},
         "the key has no folder 2 below the route's prefix, for {segment2}"),
        ("evil.com/a", CUSTOMERS, "the host evil.com, made from the key, isn't among the route's `allowed_hosts`"),
        ("a.b.acme.com/a", CUSTOMERS, "the host a.b.acme.com, made from the key, isn't among the route's "
         "`allowed_hosts`"),
        ("müller.example/a", CUSTOMERS, "'müller.example', made from the key, isn't the name of a host"),
        ("a b/x", PREVIEWS, "'a b.preview.example.org', made from the key, isn't the name of a host"),
        ("-a/x", PREVIEWS, "'-a.preview.example.org', made from the key, isn't the name of a host"),
        ("a_b/x", PREVIEWS, "'a_b.preview.example.org', made from the key, isn't the name of a host"),
        ("x@evil.com/x", PREVIEWS, "'x@evil.com.preview.example.org', made from the key, isn't the name of a host"),
        ("evil.com:80/x", PREVIEWS, "'evil.com:80.preview.example.org', made from the key, isn't the name of a host"),
        ("evil.com?/x", PREVIEWS, "'evil.com?.preview.example.org', made from the key, isn't the name of a host"),
        ("evil.com#/x", CUSTOMERS, "'evil.com#', made from the key, isn't the name of a host"),
        ("{first}/x", PREVIEWS, "'{first}.preview.example.org', made from the key, isn't the name of a host"),
        ("a" * 64 + "/x", PREVIEWS, None),
        ("x.pr1/x", {**PREVIEWS, "hosts": ("{first}.other.example",), "urls": ()},
         "the host x.pr1.other.example, made from the key, isn't among the route's `allowed_hosts`"),
        ("x", {"match": "(?P<h>.*)", "urls": ("https://{h}/a",), "allowed_hosts": ("acme.com",)},
         "the host x, made from the key, isn't among the route's `allowed_hosts`"),
        ("acme.com/evil", {"match": "(?P<h>.*)", "urls": ("https://{h}.acme.com/a",), "allowed_hosts": ("*.acme.com",)},
         "'acme.com/evil.acme.com', made from the key, isn't the name of a host"),
        ("v1/", {"prefixes": ("https://x.example/{rest}",)}, "it would be a whole host: write `allow_root: true`"),
    ],
)  # fmt: skip
def test_a_key_without_a_target_says_why(key: str, members: dict[str, Any], reason: str | None) -> None:
    assert targets(key, **members) == set()
    [found] = reasons(key, **members)
    if reason:
        assert found == reason
    else:
        assert len(found) < 200


def test_other_templates_of_the_route_are_used_all_the_same() -> None:
    members = {**PREVIEWS, "urls": (*PREVIEWS["urls"], "https://all.example.org/{key}"), "tags": ("{first}", "any")}
    assert texts("robots.txt", **members) == ["any", "https://all.example.org/robots.txt"]
    assert len(reasons("robots.txt", **members)) == 2


def test_a_change_that_the_route_does_not_listen_to_says_nothing() -> None:
    found = router(**PREVIEWS, on=(ChangeKind.CREATED,))
    assert found.untargeted([Change("b", "robots.txt", ChangeKind.REMOVED), Change("c", "robots.txt")]) == {}


@given(
    st.text(st.sampled_from("ab./:@?#%\\{}[] -_ü\x00\nA"), min_size=1, max_size=20),
    st.sampled_from(["https://{first}.ok.example/{rest}", "https://{first}/{rest}", "https://{g}.ok.example/x",
                     "https://{g}/{key}", "https://a.{g}.ok.example:81/{key}"]),
)  # fmt: skip
def test_no_key_makes_a_host_that_is_not_allowed(key: str, template: str) -> None:
    from urllib.parse import urlsplit

    members = {"match": r"(?P<g>.*)", "urls": (template,), "allowed_hosts": ("*.ok.example", "a.b")}
    allowed = AllowedHosts(members["allowed_hosts"])
    for url in texts(key, **members):
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert allowed.allows(parts.hostname)
        assert parts.port == (81 if ":81/" in template else None)
        assert (parts.username, parts.password) == (None, None)


@given(st.text(st.sampled_from("ab/. %+"), min_size=1, max_size=12))
def test_first_and_rest_add_up_to_the_path(key: str) -> None:
    members = {"urls": ("https://x.example/{first}/{rest}",), "spellings": ("s3",)}
    found = texts(key, **members)
    assert found in ([], texts(key, urls=("https://x.example/{path}",), spellings=("s3",)))
    assert bool(found) is ("/" in key and not key.startswith("/"))


# Names of hosts


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True), ("a-b.c1", True), ("xn--mller-kva.example", True), ("1.2.3.4", True), ("a" * 63 + ".b", True),
        ("", False), (".", False), ("a.", False), (".a", False), ("a..b", False), ("-a", False), ("a-", False),
        ("a-.b", False), ("A", False), ("a_b", False), ("a b", False), ("a\n", False), ("ä", False), ("a/b", False),
        ("*.a", False), ("a" * 64, False), ("a." * 126 + "a", True), ("a." * 126 + "aa", False), ("a:1", False),
    ],
)  # fmt: skip
def test_names_of_hosts(name: str, good: bool) -> None:
    assert is_host_name(name) is good


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("www.acme.com", ""), ("*.preview.example.org", ""), ("ACME.com", ""), ("localhost", ""),
        ("*", "'*' isn't a host name; write"), ("*.com", "'*.com' would be hosts of anybody; write a domain of yours"),
        ("a.*.com", "'a.*.com' isn't a host name"), ("*acme.com", "'*acme.com' isn't a host name"),
        ("https://acme.com", "'https://acme.com' isn't a host name"), ("acme.com:443", "'acme.com:443' isn't a host"),
        ("", "'' isn't a host name"), ("*.*.acme.com", "'*.*.acme.com' isn't a host name"),
        ("{first}.acme.com", "'{first}.acme.com' isn't a host name"),
    ],
)  # fmt: skip
def test_patterns_of_hosts(pattern: str, fault: str) -> None:
    found = fault_of_pattern(pattern)
    assert found.startswith(fault)
    assert bool(found) is bool(fault)


def test_a_star_is_one_label() -> None:
    allowed = AllowedHosts(["*.Acme.com", "WWW.x.example"])
    names: Sequence[str] = ("a.acme.com", "www.x.example", "acme.com", "a.b.acme.com", "xacme.com", "x.example", "")
    assert [allowed.allows(name) for name in names] == [True, True, False, False, False, False, False]
    assert not AllowedHosts(()).allows("")


def test_targets_are_those_of_the_kinds_asked_for() -> None:
    members = {**PREVIEWS, "tags": ("{first}",), "prefixes": ("https://{first}.preview.example.org/{dir}",)}
    assert {target.kind for target in targets("pr1/a/b", **members)} == {
        TargetKind.URL, TargetKind.TAG, TargetKind.PREFIX,
    }  # fmt: skip
