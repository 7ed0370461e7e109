"""In how many ways a key is spelled, and that they are those of real clients."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import web_clients
from kit.sample_plugins import Full
from kit.spelling_table import all_vendors, plans, table

from multicdn.model import Change, TargetKind
from multicdn.routing import spellings
from multicdn.routing.allowed import Allowed
from multicdn.routing.route import Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret

DOCS = (Path(__file__).parents[2] / "docs" / "config.md").read_text(encoding="utf-8")
TABLE = Path(__file__).parents[1] / "data" / "spellings.txt"
PLAIN = st.text(st.sampled_from("azAZ09/._-~"), max_size=12)
SIGNS = st.text(st.sampled_from("ab/.~ +[]|^'(),:@&;=$!*é中%?#\"<>`{}\\\x08\r-_"), min_size=1, max_size=8)


def forms(key: str, *clients: spellings.ClientName) -> list[str]:
    return [spell(key) for spell in (spellings.of(key, clients) if clients else spellings.of(key))]


def test_the_golden_table_is_what_is_purged_and_sent() -> None:
    """Made anew by ``python tests/data/record_spellings.py``."""
    assert table() == TABLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", web_clients.KEYS)
def test_every_form_that_a_client_sends_is_a_spelling(key: str) -> None:
    assert set(web_clients.sent(key)) <= set(forms(key))


@given(SIGNS)
@example("it's+ [a]@é^")
def test_no_form_is_missing_below_the_bound(key: str) -> None:
    found = forms(key)
    assert len(set(found)) == len(found) <= spellings.MOST
    missing = set(web_clients.sent(key)) - set(found)
    assert not missing or len(found) == spellings.MOST


@given(PLAIN)
def test_a_plain_key_has_one_spelling(key: str) -> None:
    assert spellings.is_plain(key)
    assert forms(key) == [key]


@given(SIGNS, SIGNS)
def test_pieces_are_spelled_as_the_whole(one: str, other: str) -> None:
    for spell in spellings.of(one + other):
        assert spell(one) + spell(other) == spell(one + other)


@given(SIGNS, st.sampled_from(sorted(web_clients.CLIENTS)))
@settings(max_examples=100)
def test_all_forms_fold_to_one_but_for_plus(key: str, client: str) -> None:
    form = web_clients.CLIENTS[client](key)
    if form is None:
        return
    folded = {spellings.folded(f"https://a/{text}").replace("%2B", "+").replace("%20", "+") for text in forms(key)}
    assert folded == {spellings.folded(f"https://a/{form}").replace("%2B", "+").replace("%20", "+")}


@pytest.mark.parametrize(
    ("url", "folded"),
    [
        ("https://a/%61%2d%7E", "https://a/a-~"),
        ("https://a/%5bid%5D", "https://a/%5Bid%5D"),
        ("https://a/it%27s%2c", "https://a/it's,"),
        ("https://a/b%2Fc", "https://a/b/c"),
        ("https://a/100%", "https://a/100%"),
        ("https://a/%zz[1]", "https://a/%zz[1]"),
        ("https://a/%FF", "https://a/%FF"),
        ("https://a/[1]?a=[1]#[1]", "https://a/%5B1%5D?a=[1]#[1]"),
        ("https://a", "https://a"),
        ("no url [1]", "no url [1]"),
    ],
)
def test_folded(url: str, folded: str) -> None:
    assert spellings.folded(url) == folded


def test_a_template_keeps_its_braces() -> None:
    assert spellings.folded("https://a/%40x/{key}[1]?{stem}", template=True) == "https://a/@x/{key}%5B1%5D?{stem}"


def test_names_and_clients_agree() -> None:
    assert get_args(spellings.ClientName) == tuple(spellings.CLIENTS)
    assert {*spellings.CLIENTS} - {*spellings.LIKELY} == {"form"}


def purged(key: str, **members: Any) -> dict[TargetKind, set[str]]:
    provider = Full(token=Secret.literal("x"), service="s")
    route = Route(**{"bucket": "b", "urls": ("https://a/{key}",), "purge": ("cdn",), **members})
    [demand] = Router([route], {"cdn": provider}).demands([Change("b", key)])[0]
    found: dict[TargetKind, set[str]] = {}
    for target in demand.wants:
        found.setdefault(target.kind, set()).add(target.value)
    return found


@pytest.mark.parametrize(
    ("key", "members", "urls"),
    [
        ("[a] 1", {"spellings": ("browser",)}, {"https://a/[a]%201"}),
        ("[a] 1", {"spellings": ("rfc3986", "plus")}, {"https://a/%5Ba%5D%201", "https://a/%5Ba%5D+1"}),
        ("a 1(b)", {"spellings": ("form",)}, {"https://a/a+1%28b%29"}),
        ("é 1", {"spellings": ("go-template",)}, {"https://a/%c3%a9%201"}),
        ("[a]/index.html", {"index": "index.html", "spellings": ("browser",)}, {"https://a/[a]/index.html", "https://a/[a]/"}),
        ("[a].jpg", {"urls": ("https://a/{dir}{stem}.webp",)}, {"https://a/%5Ba%5D.webp", "https://a/[a].webp"}),
        ("p [1]/a|b", {"prefix": "p [1]/", "urls": ("https://a/{path}",)}, {"https://a/a%7Cb", "https://a/a|b", "https://a/a%7cb"}),
    ],
)  # fmt: skip
def test_a_route_names_the_spellings(key: str, members: dict[str, Any], urls: set[str]) -> None:
    assert purged(key, **members)[TargetKind.URL] == urls


@pytest.mark.parametrize("key", [*web_clients.KEYS, "/lead.css"])
def test_each_spelling_may_come_back_from_the_queue(key: str) -> None:
    allowed = Allowed(all_vendors().routes, all_vendors().providers)
    jobs = [job for plan in plans(key).values() for job in plan.jobs]
    assert jobs
    assert [allowed.refusal(job) for job in jobs if allowed.refusal(job)] == []


def test_the_documented_spellings_are_those_of_the_code() -> None:
    [example] = re.findall(r"^\| `spellings` \| who spells so \| `(.*)` \|$", DOCS, re.MULTILINE)
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \| [^|]+ \| `?([^`|]+)`? \|$", DOCS, re.MULTILINE))
    wordy = ("go-segment", "older-browser", "raw")
    assert {name: rows[name] for name in spellings.CLIENTS if name not in wordy} == {
        name: forms(example, name)[0] for name in spellings.CLIENTS if name not in wordy
    }
    assert all(f"| `{name}` |" in DOCS for name in wordy)


def test_prefixes_are_spelled_and_tags_are_not() -> None:
    found = purged("[a]/é", urls=(), prefixes=("https://a/{dir}",), tags=("{dir}{name}",))
    assert found == {
        TargetKind.PREFIX: {"https://a/%5Ba%5D/", "https://a/[a]/"},
        TargetKind.TAG: {"%5Ba%5D/%C3%A9"},
    }


def test_signs_without_number_are_spelled_and_not_all_of_them_kept() -> None:
    every = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x20000))))
    tracemalloc.start()
    try:
        [form] = forms(every, "rfc3986")
        kept = tracemalloc.get_traced_memory()[0] - len(form)
    finally:
        tracemalloc.stop()
    assert form == quote(every)
    assert kept < 5_000_000
