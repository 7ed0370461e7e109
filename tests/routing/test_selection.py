"""Which keys a route picks: by their ends, by patterns, in whatever case."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sample_plugins import Full, Plain

from multicdn.model import Change, Target, TargetKind
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret

PROVIDERS = {"plain": Plain(), "full": Full(token=Secret.literal("x"), service="s")}


def route(**members: Any) -> Route:
    return Route(**{"bucket": "b", "urls": ("https://a.example/{key}",), "purge": ("plain",), **members})


def covers(members: dict[str, Any], key: str) -> bool:
    return bool(list(Router([route(**members)], PROVIDERS).matching("b", key)))


@pytest.mark.parametrize(
    ("members", "key", "matches"),
    [
        # The second route of the case: text beside pages, and nothing for pictures.
        ({"suffix": (".txt",)}, "pricing.txt", True),
        ({"suffix": (".txt",)}, "img/hero.png", False),
        ({"suffix": (".txt",)}, ".txt", True),
        ({"suffix": (".txt",)}, "a.txt/b", False),
        ({"suffix": (".txt",)}, "a.TXT", False),
        ({"suffix": (".txt", ".md")}, "a.md", True),
        ({"suffix": ("/index.html",)}, "docs/index.html", True),
        ({"suffix": ("/index.html",)}, "index.html", False),
        ({"include": ("*.html",)}, "a/b.html", True),
        ({"include": ("*.html",)}, "a/b.css", False),
        ({"include": ("*.html", "img/*")}, "img/a.png", True),
        ({"include": ("a?c",)}, "a/c", True),
        ({"include": ("[ab]*",)}, "c", False),
        ({"include": ("*",)}, "line\nbreak", True),
        # All that a route says must hold.
        ({"include": ("docs/*",), "suffix": (".html",)}, "docs/a.css", False),
        ({"include": ("docs/*",), "suffix": (".html",)}, "docs/a.html", True),
        ({"include": ("docs/*",), "exclude": ("*/draft*",)}, "docs/draft.html", False),
        ({"prefix": "docs/", "include": ("docs/*.html",)}, "docs/a.html", True),
        ({"prefix": "docs/", "include": ("*.html",)}, "a.html", False),
        ({"match": "[a-z]+/[0-9]+"}, "abc/123", True),
        ({"match": "[a-z]+/[0-9]+"}, "abc/123x", False),
        ({"match": "^[a-z]+/[0-9]+$"}, "abc/123", True),
        ({"match": "[a-z]+/[0-9]+"}, "abc/123\n", False),
        # In any case.
        ({"prefix": "Docs/", "ignore_case": True}, "DOCS/a", True),
        ({"prefix": "Docs/", "ignore_case": True}, "docs", False),
        ({"prefix": "Docs/", "ignore_case": True}, "x/docs/a", False),
        ({"prefix": "GRÖSSE/", "ignore_case": True}, "größe/a", False),
        ({"prefix": "Ö/", "ignore_case": True}, "ö/a", True),
        ({"suffix": (".HTM",), "ignore_case": True}, "a.htm", True),
        ({"suffix": (".htm",), "ignore_case": True}, "A.HTM", True),
        ({"include": ("*.Html",), "ignore_case": True}, "A.hTML", True),
        ({"exclude": ("*/TMP/*",), "ignore_case": True}, "a/tmp/b", False),
        ({"match": "[a-z]+", "ignore_case": True}, "ABC", True),
        ({"match": "[a-z]+"}, "ABC", False),
    ],
)
def test_route_covers_a_key(members: dict[str, Any], key: str, matches: bool) -> None:
    assert covers(members, key) is matches


LETTERS = st.sampled_from("aAbB/.*?ßİ")
TEXTS = st.text(LETTERS, max_size=4)
MANY = st.lists(st.text(LETTERS, min_size=1, max_size=4), max_size=2).map(tuple)


@given(st.text(LETTERS, max_size=8), TEXTS, MANY, MANY, MANY, st.booleans())
def test_a_key_is_covered_where_the_plain_definition_says_so(
    key: str, prefix: str, suffix: tuple[str, ...], include: tuple[str, ...], exclude: tuple[str, ...], fold: bool
) -> None:
    members: dict[str, Any] = {"prefix": prefix, "suffix": suffix, "include": include, "exclude": exclude}

    def same(text: str) -> str:
        return text.lower() if fold else text

    def like(pattern: str) -> bool:
        if not fold:
            return fnmatchcase(key, pattern)
        from fnmatch import translate

        return re.match(translate(pattern), key, re.IGNORECASE) is not None

    expected = (
        same(key[: len(prefix)]) == same(prefix)
        and (not suffix or any(same(key).endswith(same(end)) for end in suffix))
        and (not include or any(map(like, include)))
        and not any(map(like, exclude))
    )
    assert covers({**members, "ignore_case": fold}, key) is expected


def test_routes_of_both_kinds_are_found_beside_each_other() -> None:
    routes = [
        route(prefix="docs/"),
        route(prefix="DOCS/", ignore_case=True),
        route(),
        route(prefix="Do", ignore_case=True),
    ]
    found = list(Router(routes, PROVIDERS).matching("b", "docs/a"))
    assert found == [routes[2], routes[0], routes[3], routes[1]]
    assert list(Router(routes, PROVIDERS).matching("b", "Docs/a")) == [routes[2], routes[3], routes[1]]


@pytest.mark.parametrize(
    ("key", "urls"),
    [
        ("Docs/Index.html", ["https://a.example/Index.html"]),
        ("DOCS/index.html", ["https://a.example/", "https://a.example/index.html"]),
        ("docs/a b", ["https://a.example/a%20b", "https://a.example/a+b"]),
    ],
)
def test_the_path_is_what_comes_after_the_prefix_however_that_is_spelled(key: str, urls: list[str]) -> None:
    members = {"prefix": "docs/", "ignore_case": True, "index": "index.html", "urls": ("https://a.example/{path}",)}
    demands, _ = Router([route(**members, spellings=("s3", "plus"))], PROVIDERS).demands([Change("b", key)])
    assert sorted(target.value for demand in demands for target in demand.wants) == urls


def test_prefixes_that_share_letters_but_not_a_case_do_not_hide_each_other() -> None:
    """A prefix is looked up by its length, and lower case may be longer than upper case."""
    odd = route(prefix="İ/", ignore_case=True)
    assert list(Router([odd], PROVIDERS).matching("b", "İ/a")) == [odd]
    assert list(Router([odd], PROVIDERS).matching("b", "i/a")) == []


@pytest.mark.parametrize(
    ("prefix", "fold", "fixed"),
    [
        ("Docs/", False, "Docs/"), ("Docs/", True, ""), ("2026/Docs/", True, "2026/"), ("2026/", True, "2026/"),
        ("", True, ""), ("ß", True, ""), ("中/a", True, "中/"), ("-_.", True, "-_."),
    ],
)  # fmt: skip
def test_what_notifications_and_policies_can_say_of_a_prefix(prefix: str, fold: bool, fixed: str) -> None:
    assert route(prefix=prefix, ignore_case=fold).fixed_prefix == fixed


@given(st.text(st.sampled_from("aAiIİ\u0131ßẞ\u017fsK\u212akÖö/1"), max_size=6), st.text(LETTERS, max_size=3))
def test_every_key_that_is_covered_begins_with_what_they_say(prefix: str, rest: str) -> None:
    found = route(prefix=prefix, ignore_case=True)
    for key in {prefix + rest, prefix.lower() + rest, prefix.upper() + rest, prefix.swapcase() + rest}:
        if list(Router([found], PROVIDERS).matching("b", key)):
            assert key.startswith(found.fixed_prefix)


def test_alternates_of_a_key_in_another_case_are_below_the_prefix_too() -> None:
    from multicdn.routing.route import Also

    also = (Also(keys=("*.PNG",), as_=("{dir}{stem}@2x{ext}",)),)
    members = {"prefix": "img/", "ignore_case": True, "also": also, "urls": ("https://a.example/{path}",)}
    demands, _ = Router([route(**members)], PROVIDERS).demands([Change("b", "IMG/a.png")])
    assert {target.value for demand in demands for target in demand.wants} >= {"https://a.example/a.png"}


def test_a_route_for_texts_beside_one_for_pages_purges_nothing_for_pictures() -> None:
    routes = [
        route(urls=("https://app.example.org/{key}",), index="index.html", strip=(".html",)),
        route(urls=(), prefixes=("https://app.example.org/{dir}{stem}.txt",), suffix=(".txt",), purge=("full",)),
    ]
    for key, prefixes in (("img/hero.png", set()), ("pricing.txt", {"https://app.example.org/pricing.txt"})):
        demands, _ = Router(routes, PROVIDERS).demands([Change("b", key)])
        found = {target for demand in demands for target in demand.wants if target.kind is TargetKind.PREFIX}
        assert found == {Target(TargetKind.PREFIX, prefix) for prefix in prefixes}
