"""Buckets, suffixes, patterns, captures and hosts of routes, as a config file has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.sample_plugins import installed

from multicdn import config
from multicdn.errors import ConfigError

if TYPE_CHECKING:
    from multicdn.config import Config
    from multicdn.routing.route import Route

HEAD = "version: 1\nproviders:\n  full: {token: '${env:T}', service: s}\nroutes:\n"


def parse(*routes: str) -> Config:
    lines = "".join(f"  - {{{route}, purge: [full]}}\n" for route in routes)
    return config.parse(HEAD + lines, "c.yml", installed())


def routes(*texts: str) -> tuple[Route, ...]:
    return parse(*texts).routes


def problems(*texts: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(*texts)
    return list(caught.value.problems)


URL = "urls: ['https://a.example/{key}']"


@pytest.mark.parametrize(
    ("written", "buckets"),
    [
        ("one-site", ["one-site"]),
        ("[one-site]", ["one-site"]),
        ("[one-site, two-site]", ["one-site", "two-site"]),
        ("[two-site, one-site, two-site]", ["two-site", "one-site"]),
        ("&b [one-site, two-site]", ["one-site", "two-site"]),
    ],
)
def test_a_list_of_buckets_makes_a_route_of_each(written: str, buckets: list[str]) -> None:
    found = routes(f"bucket: {written}, {URL}, tags: [x]")
    assert [route.bucket for route in found] == buckets
    assert {route.tags for route in found} == {("x",)}


def test_buckets_that_are_wrong_are_told_each_and_all_else_once() -> None:
    assert problems(f"bucket: ['s3://one-site', two-site, three-site/], index: a/b, {URL}") == [
        "c.yml:5: routes[0].bucket: 's3://one-site' is a URI: write `bucket: one-site`",
        "c.yml:5: routes[0].index: is the name of a file, without slashes, such as index.html",
        *problems(f"bucket: three-site/, {URL}"),
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[]", "expected a list of length >= 1"),
        ("{a: b}", "expected a text or a list, got a mapping"),
        ("[[a]]", "expected a text, got a list"),
    ],
)
def test_buckets_that_are_no_list_of_texts(written: str, message: str) -> None:
    [problem] = problems(f"bucket: {written}, {URL}")
    assert problem.startswith("c.yml:5: routes[0].bucket")
    assert problem.endswith(message)


def test_the_same_route_twice_is_told_with_its_line_whatever_the_buckets() -> None:
    one = f"bucket: [one-site, two-site], {URL}"
    assert parse(one, f"bucket: two-site, {URL}").warnings == (
        "c.yml:6: routes[1]: is the same as the route at c.yml:5, and does nothing more",
    )
    assert parse(one, f"bucket: three-site, {URL}").warnings == ()


@pytest.mark.parametrize(
    ("written", "suffixes"), [(".txt", (".txt",)), ("[.txt]", (".txt",)), ("[.txt, .md]", (".txt", ".md"))]
)
def test_a_suffix_is_a_text_or_a_list(written: str, suffixes: tuple[str, ...]) -> None:
    [route] = routes(f"bucket: one-site, suffix: {written}, {URL}")
    assert route.suffix == suffixes


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ("suffix: ''", "suffix: is empty: leave it out for all keys"),
        ("suffix: [.txt, '']", "suffix: is empty: leave it out for all keys"),
        ("suffix: []", "suffix: expected a list of length >= 1"),
        ("suffix: '*.txt'", "suffix: '*.txt' begins with a *, which stands for itself: write '.txt'"),
        ("include: []", "include: expected a list of length >= 1"),
        ("include: '*.txt'", "include: expected a list, got a text"),
        ("match: '(a+)+b'", "match: has a group that isn't taken here, '(a+)+b...'; write (?P<name>...) for a "
         "placeholder, its name in small letters, and (?:...) for other groups (https://github.com/multicdn/multicdn/blob/main/docs/config.md#parts-of-keys)"),
        ("match: '(?P<name>.*)'", "match: {name} is a placeholder already: give the group another name"),
        ("match: '(?P<first>.*)'", "match: {first} is a placeholder already: give the group another name"),
        ("allowed_hosts: ['*'], urls: ['https://{first}/{rest}']",
         "allowed_hosts[0]: '*' isn't a host name; write www.example.com, or *.example.com for any one label before "
         "it"),
        ("ignore_case: perhaps", "ignore_case: expected true or false, got a text"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_member(members: str, problem: str) -> None:
    url = "" if "urls:" in members else f", {URL}"
    assert problems(f"bucket: one-site, {members}{url}") == [f"c.yml:5: routes[0].{problem}"]


@pytest.mark.parametrize(
    ("member", "text", "problem"),
    [
        # The case of the field, with what is to be done.
        ("urls", "https://{dir}.preview.example.org/{name}", "'https://{dir}.preview.example.org/{name}' has {dir} in "
         "its host name, which no host can hold: is the slash before it missing? Else write {first} for the first "
         "folder, or a group of `match`"),
        ("urls", "https://{rest}/a", "'https://{rest}/a' has {rest} in its host name, which no host can hold: is the "
         "slash before it missing? Else write {first} for the first folder, or a group of `match`"),
        ("urls", "https://{first}.preview.example.org/{rest}", "'https://{first}.preview.example.org/{rest}' makes a "
         "host name of keys: name those that it may make under `allowed_hosts`, such as *.preview.example.com for any "
         "one label"),
        ("prefixes", "https://{segment2}.example.org/", "'https://{segment2}.example.org/' makes a host name of keys: "
         "name those that it may make under `allowed_hosts`, such as *.preview.example.com for any one label"),
        ("hosts", "{first}.example.org", "'{first}.example.org' makes a host name of keys: name those that it may make "
         "under `allowed_hosts`, such as *.preview.example.com for any one label"),
        ("urls", "https://a.example:{first}/{rest}", "'https://a.example:{first}/{rest}' has a placeholder in place of "
         "a port or a user: write those out"),
        ("urls", "https://{first}@a.example/{rest}", None),
        ("urls", "https://a.example/{customer}/{key}", "unknown placeholder {customer}; known: {key}, {path}, {dir}, "
         "{name}, {stem}, {ext}, {bucket}, {first}, {rest}, {segment1} to {segment9}"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template(member: str, text: str, problem: str | None) -> None:
    found = problems(f"bucket: one-site, {member}: ['{text}']")
    assert found[0].startswith(f"c.yml:5: routes[0].{member}[0]: ")
    if problem:
        assert found == [f"c.yml:5: routes[0].{member}[0]: {problem}"]


@pytest.mark.parametrize(
    "members",
    [
        "urls: ['https://{first}.preview.example.org/{rest}'], allowed_hosts: ['*.preview.example.org']",
        "match: '(?P<host>[^/]+)/(?P<page>.*)', urls: ['https://{host}/{page}'], allowed_hosts: [acme.com]",
        "match: '(?P<lang>[a-z]{2})/.*', tags: ['{lang}'], prefixes: ['https://a.example/{lang}/']",
        "hosts: ['{first}.example.org'], allowed_hosts: ['*.example.org']",
        "urls: ['https://a.example/{segment9}/{rest}']",
        "urls: ['https://{bucket}.example.org/{key}']",
        "suffix: .html, include: ['*.html'], exclude: ['draft*'], ignore_case: true, urls: ['https://a.example/{key}']",
    ],
)
def test_what_is_right(members: str) -> None:
    assert parse(f"bucket: one-site, {members}").warnings == ()


def test_allowed_hosts_that_nothing_asks_for_are_a_warning() -> None:
    assert parse(f"bucket: one-site, allowed_hosts: [a.example], {URL}").warnings == (
        "c.yml:5: routes[0].allowed_hosts: does nothing: no template makes a host name of keys",
    )


def test_a_stage_in_a_name_says_what_to_do() -> None:
    stage = "is a reference, and this option is no secret: write its value"
    stage += "; where stages differ in it, write a file for each"
    assert problems("bucket: 'shop-web-${env:STAGE}', urls: ['https://${env:STAGE}.example.org/{key}']")[0] == (
        f"c.yml:5: routes[0].bucket: ${{env:STAGE}} {stage}"
    )


@pytest.mark.parametrize("pattern", ["(?P<a>[^/]+)/.*", "(?P<a>a|b)"])
def test_a_pattern_is_checked_with_the_case_that_it_is_used_with(pattern: str) -> None:
    assert routes(f"bucket: one-site, match: '{pattern}', ignore_case: true, tags: ['{{a}}']")


# Waiting for whole deploys


@pytest.mark.parametrize(
    ("written", "waits_for"),
    [
        ("settle: {quiet: 20s}", "until no change came for 20s, 15m after the first at most"),
        ("settle: {quiet: 15m, most: 2h}", "until no change came for 15m, 2h after the first at most"),
        ("settle: {quiet: 60s, most: 1m}", "until no change came for 60s, 1m after the first at most"),
        ("after: deploy/done.json", "until s3://acme-site/deploy/done.json is uploaded after it"),
        ("after: 'a b[1]中'", "until s3://acme-site/a b[1]中 is uploaded after it"),
        ("after: ''", ""),
        ("prefix: a/", ""),
    ],
)
def test_a_route_may_wait_for_a_whole_deploy(written: str, waits_for: str) -> None:
    [route] = routes(f"bucket: acme-site, {URL}, {written}")
    assert (route.waits_for, route.waits) == (waits_for, bool(waits_for))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("settle: 20s", "settle: expected a mapping or nothing, got a text"),
        ("settle: {most: 20s}", "missing required field"),
        ("settle: {quiet: 20}", "settle.quiet: expected"),
        ("settle: {quiet: 16m, most: 20m}", "quiet 16m is more than SQS can delay a message: 15m at most"),
        ("settle: {quiet: 60s, most: 59s}", "most 59s is shorter than quiet 60s: it would never be quiet for so long"),
        ("settle: {quiet: 20s, least: 2s}", "least"),
        ("settle: {quiet: 20s}, after: a", "settle: goes without `after`"),
        ("after: 's3://acme-site/a'", "after: is a key in the route's own bucket"),
        ("after: 'https://www.acme.com/a'", "after: is a key in the route's own bucket"),
        ("after: 'deploy/*.json'", "it has neither wildcards nor placeholders"),
        ("after: '{dir}done.json'", "it has neither wildcards nor placeholders"),
        ("after: deploy/", "and no folder"),
        (f"after: '{'中' * 342}'", "has more than 1,024 bytes"),
        ("after: [a]", "after: expected a text, got a list"),
        ("debounce: 20s", "write 'settle', such as {quiet: 20s}"),
        ("wait_for: a", "write 'after', the key that is uploaded last"),
    ],
)
def test_what_is_wrong_with_waiting_is_said(written: str, message: str) -> None:
    [problem] = problems(f"bucket: acme-site, {URL}, {written}")
    assert message in problem


def test_a_last_key_that_begins_with_a_slash_is_a_warning() -> None:
    [warning] = parse(f"bucket: acme-site, {URL}, after: /deploy/done.json").warnings
    assert warning == "c.yml:5: routes[0].after: begins with a slash, which keys rarely do"


@pytest.mark.parametrize(("written", "name"), [("settle: {quiet: 20s}", "settle"), ("after: a", "after")])
def test_without_a_queue_no_route_can_wait(written: str, name: str) -> None:
    text = (
        f"{HEAD}  - {{bucket: [one-site, two-site], {URL}, {written}, purge: [full]}}\ninstall: {{trigger: direct}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yml", installed())
    assert list(caught.value.problems) == [
        f"c.yml:5: routes[0].{name}: needs a queue in which changes wait, and `trigger: direct` has none; write "
        f"`trigger: queue` under `install`, or leave `{name}` out"
    ]
    assert config.parse(text.replace("direct", "eventbridge"), "c.yml", installed()).routes
