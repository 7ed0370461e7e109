"""What a plan says of changes in behaviour: by what the config means, and never by what a secret is."""

from __future__ import annotations

import pytest

from multicdn.config import parse
from multicdn.installer import behaviour
from multicdn.installer.deployed_code import DeployedCode
from multicdn.plugins.discovery import Plugins

SITE = "site: {type: cloudfront, distribution: E8F6HK73EP0LT}"
FASTLY = 'fastly: {service: SU1Z0isxPaozGVKXdv0eY, token: "${ssm:/multicdn/fastly/token}"}'
NEWS = '{bucket: acme, prefix: news/, urls: ["https://www.acme.com/{key}"], purge: [fastly]}'
ALL = "{bucket: acme, tags: [all], purge: [site, fastly]}"


def text(*routes: str, providers: tuple[str, ...] = (SITE, FASTLY), more: str = "") -> str:
    blocks = "".join(f"\n  {provider}" for provider in providers)
    listed = "".join(f"\n  - {route}" for route in routes or (NEWS, ALL))
    return f"version: 1\nproviders:{blocks}\nroutes:{listed}\n{more}"


def fastly(options: str) -> str:
    """The provider with further options."""
    return FASTLY.replace("{service", f"{{{options}, service")


def said(old: str | bytes | None, new: str, before: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> list[str]:
    """The lines about one config after another."""
    content = old.encode() if isinstance(old, str) else old
    code = None if content is None else DeployedCode(content, before)
    return list(behaviour.section(code, parse(new, "new.yml", Plugins()), after))


def changed(old: str, new: str) -> list[str]:
    head, *lines = said(old, new)
    assert head == "Behaviour: changes"
    return [line.removeprefix("  ") for line in lines]


@pytest.mark.parametrize(
    "new",
    [
        text(),
        text(ALL, NEWS),
        text(providers=(FASTLY, SITE)),
        text(NEWS.replace("www.acme.com", "WWW.acme.com"), ALL),
        text(
            NEWS.replace("}", ", soft: null}", 1)
            if False
            else NEWS.replace("prefix", "on: [created, removed], prefix"),
            ALL,
        ),
        text(more="delivery: {give_up_after: 6h}\n"),
        text(more="x-mine: {a: 1}\ninstall: {memory: 1024}\n"),
        text().replace("version: 1", "# a comment\nversion: 1"),
    ],
    ids=["same", "order", "providers", "host", "default", "delivery", "elsewhere", "comment"],
)
def test_what_means_the_same_is_no_change(new: str) -> None:
    assert said(text(), new) == ["Behaviour: no change"]


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        (text(NEWS.replace("[fastly]", "[fastly, site]"), ALL),
         ["~ route acme/news/*", "    + purge: site",
          "    + cost at site: $0.005 for an object that changes (1 target)"]),
        (text(NEWS.replace("purge", "soft: true, purge"), ALL), ["~ route acme/news/*", "    + soft: true"]),
        (text(NEWS.replace("news/", "press/"), ALL), ["~ route acme/press/*", "    prefix: news/ -> press/"]),
        (text(NEWS), ["- route acme/*"]),
        (text(providers=(SITE, fastly("via: a.example, pulls_from: [site]"))),
         ["~ provider fastly", "    + via: a.example", "    + pulls_from: site"]),
        (text(NEWS.replace("purge", "verify: {sample: 5}, purge"), ALL),
         ["~ route acme/news/*", '    + verify: {"identity": "auto", "removed_as": [], "sample": 5, "urls": [], '
          '"within": "2m"}']),
        (text(NEWS, ALL, ALL.replace("acme", "shop")),
         ["+ route shop/*", "    tags: all", "    purge: site, fastly",
          "    cost at site: $0.005 for an object that changes (1 target)"]),
        (text(NEWS, ALL.replace("[all]", '[all, "{dir}"]')),
         ["~ route acme/*", "    + tags: {dir}",
          "    cost at site: $0.005 for an object that changes (1 target) -> "
          "$0.01 for an object that changes (2 targets)"]),
        (text(NEWS, ALL.replace("[site, fastly]", "[fastly, site]")),
         ["~ route acme/*", "    purge: in another order"]),
        (text(providers=(SITE, FASTLY.replace("/token", "/new"))),
         ["~ provider fastly", "    token: ${ssm:/multicdn/fastly/token} -> ${ssm:/multicdn/fastly/new}"]),
        (text(providers=(SITE, fastly("soft: true"))),
         ["~ provider fastly", "    + soft: true"]),
        (text(providers=(SITE, FASTLY, "other: {type: fastly, token: '${ssm:/o}', service: SU1Z0isxPaozGVKXdv0eY}")),
         ["+ provider other (fastly)", "    token: ${ssm:/o}", "    service: SU1Z0isxPaozGVKXdv0eY"]),
        (text(more="delivery: {give_up_after: 2d}\n"), ["~ delivery", "    + give_up_after: 2d"]),
        (text(more="install: {maximum_concurrency: 5}\n"),
         ["~ delivery", "    concurrency: 2 invocations share the vendors' rates -> "
                        "5 invocations share the vendors' rates"]),
    ],
)  # fmt: skip
def test_what_changes_is_said_by_what_it_is(new: str, lines: list[str]) -> None:
    assert changed(text(), new) == lines


def test_limits_and_prices_that_an_option_changes_are_said() -> None:
    zone = "cf: {type: cloudflare, token: '${ssm:/t}', zone: 023e105f4ecef8ad9ca31a8372d0c353, plan: %s}"
    route = '{bucket: acme, urls: ["https://www.acme.com/{key}"], purge: [cf]}'
    old, new = (text(route, providers=(zone % plan,)) for plan in ("business", "enterprise"))
    lines = changed(old, new)
    assert lines[:2] == ["~ provider cf (cloudflare)", "    plan: business -> enterprise"]
    assert [line for line in lines if line.startswith("    limits of purge_urls: ") and " -> " in line]


def test_a_provider_with_a_price_says_it_when_it_comes() -> None:
    lines = changed(text(NEWS, providers=(FASTLY,)), text())
    assert lines[0] == "+ provider site (cloudfront)"
    assert "    price: $0.005 a target, after 1,000 free ones a month of the account" in lines


def test_a_list_of_buckets_is_a_route_of_each() -> None:
    both = ALL.replace("acme", "[acme, shop]")
    assert changed(text(both), text(ALL)) == ["- route shop/*"]


def test_the_first_time_everything_comes() -> None:
    head, *lines = said(None, text(more="install: {maximum_concurrency: 5}\n"))
    assert head == "Behaviour:"
    assert [line for line in lines if line.strip()[0] in "+-~"] == [
        "  + provider site (cloudfront)",
        "  + provider fastly",
        "  + route acme/news/*",
        "  + route acme/*",
    ]


def test_packages_in_other_versions_are_said() -> None:
    lines = said(text(), text(), ("idna==3.1", "old==1", "same==1"), ("idna==3.2", "new==2", "same==1"))
    assert lines == [
        "Behaviour: changes",
        "  ~ package idna: 3.1 -> 3.2",
        "  ~ package new: none -> 2",
        "  ~ package old: 1 -> none",
    ]


# What this version can't check


@pytest.mark.parametrize(
    ("old", "lines"),
    [
        (text(providers=(SITE, FASTLY, "acme: {type: gone, key: '${ssm:/a}', list: [1, 2]}")),
         ["- provider acme (gone)"]),
        (text(providers=(SITE, FASTLY.replace("token:", "old_name:"))),
         ["~ provider fastly", "    - old_name: ${ssm:/multicdn/fastly/token}",
          "    + token: ${ssm:/multicdn/fastly/token}"]),
        (text(NEWS.replace("bucket: acme", "bucket: [acme]"), ALL, more="gone: 1\ndelivery: {give_up_after: 1h}\n"),
         ["~ delivery", "    - give_up_after: 1h"]),
    ],
)  # fmt: skip
def test_a_deployed_config_that_is_wrong_today_is_compared_as_it_is_written(old: str, lines: list[str]) -> None:
    assert changed(old, text()) == lines


@pytest.mark.parametrize(
    ("old", "why"),
    [
        (b"hello", "it isn't one"),
        (b"\x00\x01", "it isn't one"),
        (b"[1, 2]", "it isn't one"),
        (b"providers: 5\nroutes: x", "it isn't one"),
        (b"providers: {a: [1]}\nroutes: [{}]", "it isn't one"),
        (b"a: [b", "the deployed config:2: not valid YAML"),
    ],
)
def test_what_is_no_config_at_all_is_said(old: bytes, why: str) -> None:
    head, line = said(old, text())
    assert head == "Behaviour: changes"
    assert line.startswith(f"  ~ the deployed config can't be read: {why}")


def test_what_could_not_be_read_is_said_in_its_place() -> None:
    lines = list(behaviour.section(None, parse(text(), "c", Plugins()), (), "s3://b/k is gone"))
    assert lines == ["Behaviour: what changes can't be said: s3://b/k is gone"]


# What isn't shown, and how much at most


def test_no_password_in_a_url_is_shown() -> None:
    lines = changed(text(), text(providers=(SITE, fastly("endpoint: 'https://me:hunter2@api.acme.example'"))))
    assert lines == ["~ provider fastly", "    + endpoint: https://…@api.acme.example"]


def test_no_more_than_a_few_screens_are_shown() -> None:
    buckets = ", ".join(f"shop-{place}" for place in range(80))
    lines = said(text(), text(NEWS, ALL, ALL.replace("acme", f"[{buckets}]")))
    assert len(lines) == 202
    assert lines[-1] == "  … and 120 lines more; `multicdn install config` prints what is deployed"
