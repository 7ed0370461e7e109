"""What a file is told about words that nobody here knows: ours for them, never their opposite."""

from __future__ import annotations

import itertools

import pytest
from kit.sample_plugins import installed

from multicdn import config
from multicdn.config.synonyms import _BY_PLACE, suggestion
from multicdn.errors import ConfigError, did_you_mean
from multicdn.model import ChangeKind
from multicdn.routing.route import Route
from multicdn.routing.tiers import Tier

ROUTE = Route.__struct_fields__
ON = tuple(kind.value for kind in ChangeKind)


def told(member: str) -> str:
    text = f"""\
version: 1
providers: {{full: {{token: "${{env:T}}", service: s}}}}
routes:
  - {{bucket: app-web, {member}, urls: ["https://a.example/{{key}}"], purge: [full]}}
"""
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "c.yml", installed())
    [problem] = caught.value.problems
    return problem.removeprefix("c.yml:4: routes[0].")


@pytest.mark.parametrize("name", ["only", "filter", "pattern", "includes"])
def test_who_picks_keys_is_not_led_to_leave_them_out(name: str) -> None:
    """Case 10: `include` was told to be `exclude`, and `only` to be `on`."""
    assert told(f"{name}: ['*.html']") == f"{name}: unknown member {name!r}; write 'include'"
    assert did_you_mean("include", set(ROUTE) - {"include"}).startswith(" (known: ")


@pytest.mark.parametrize(
    ("word", "ours"),
    [
        ("ignore", "exclude"), ("skip", "exclude"), ("folder", "prefix"), ("origin-path", "prefix"), ("Path", "prefix"),
        ("bucket_name", "bucket"), ("events", "on"), ("url_template", "urls"), ("providers", "purge"),
        ("invalidate", "purge"), ("warmup", "preload"), ("prefetch", "preload"), ("surrogate_keys", "tags"),
        ("suffixes", "suffix"), ("extensions", "suffix"), ("regex", "match"), ("buckets", "bucket"),
        ("case_insensitive", "ignore_case"), ("proof", "verify"),
        ("default_root_object", "index"), ("trailing_slash", "bare"), ("clean_urls", "strip"), ("variants", "also"),
    ],
)  # fmt: skip
def test_a_word_of_another_tool_is_told_ours(word: str, ours: str) -> None:
    assert suggestion(word, ROUTE, "member") == f"; write {ours!r}"


@pytest.mark.parametrize(
    ("word", "ours"), [("upstream", "pulls_from"), ("depends-on", "pulls_from"), ("edge", "via"), ("repeat", "again")]
)
def test_a_word_for_where_a_cdn_stands_is_told_ours(word: str, ours: str) -> None:
    assert suggestion(word, ["token", *Tier.__struct_fields__], "option") == f"; write {ours!r}"


@pytest.mark.parametrize("word", ["host", "domain", "hostname", "base_url"])
def test_who_names_a_host_is_not_led_to_purge_it_whole(word: str) -> None:
    text = "such as https://www.example.com/{key}; `hosts` purges all of a host at any change"
    assert suggestion(word, ROUTE, "member") == f"; write 'urls', {text}"


@pytest.mark.parametrize("word", ["enabled", "disabled", "region", "ttl", "priority", "retries"])
def test_what_there_is_not_is_said_with_what_to_do(word: str) -> None:
    assert suggestion(word, ROUTE, "member").startswith("; there is none: ")


def test_hard_is_soft_the_other_way_round() -> None:
    assert suggestion("hard", ROUTE, "member") == "; write 'soft', with the opposite value: `soft: false` drops at once"


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("s3:ObjectCreated:*", "created"), ("s3:ObjectRemoved:Delete", "removed"), ("Object Deleted", "removed"),
        ("put", "created"), ("delete", "removed"), ("updated", "created"), ("LifecycleExpiration:Delete", "removed"),
    ],
)  # fmt: skip
def test_names_of_events_are_told_the_kind_of_change(word: str, kind: str) -> None:
    assert told(f'on: ["{word}"]') == f"on[0]: unknown value {word!r}; write {kind!r}"


def test_a_word_has_one_meaning_and_none_of_ours() -> None:
    for place, meanings in _BY_PLACE.items():
        words = list(itertools.chain.from_iterable(meaning.words.split() for meaning in meanings))
        assert len(words) == len(set(words)), place
    ours = {member for meaning in _BY_PLACE["member"] for member in meaning.members}
    assert ours <= set(ROUTE)
    assert not ours & {word for meaning in _BY_PLACE["member"] for word in meaning.words.split()}


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("include", ["exclude"]), ("includes", ["exclude"]), ("enable", ["disable"]), ("disabled", ["enabled"]),
        ("disallow_root", ["allow_root"]), ("unpurge", ["purge"]), ("no_collapse", ["collapse"]), ("nosoft", ["soft"]),
        ("nonproduction", ["production"]), ("non-production", ["production"]), ("preproduction", ["production"]),
        ("online", ["offline"]), ("insecure", ["secure"]), ("not_strip", ["strip"]), ("postload", ["preload"]),
    ],
)  # fmt: skip
def test_the_opposite_is_never_meant(word: str, known: list[str]) -> None:
    assert did_you_mean(word, known) == f" (known: {known[0]})"
    assert did_you_mean(known[0], [word]) == f" (known: {word})"


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("exlude", ["exclude", "index"], "exclude"), ("prload", ["preload"], "preload"), ("indx", ["index"], "index"),
        ("disabel", ["disable"], "disable"), ("notes", ["note"], "note"), ("produciton", ["production"], "production"),
        ("include_", ["include"], "include"), ("onn", ["on"], "on"), ("unles", ["unless"], "unless"),
    ],
)  # fmt: skip
def test_a_slip_is_still_told(word: str, known: list[str], meant: str) -> None:
    assert did_you_mean(word, known) == f"; did you mean {meant!r}?"


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        (".defaults", "; what is yours begins with x-: write 'x-defaults'"),
        ("_site", "; what is yours begins with x-: write 'x-site'"),
        ("X-Site", "; what is yours begins with x-: write 'x-Site'"),
        ("x_site", "; what is yours begins with x-: write 'x-site'"),
        ("anchors", "; there is none: what is shared stands under a name that begins with x-, such as x-defaults"),
    ],
)
def test_a_place_for_anchors_is_told_where_to_be(word: str, remedy: str) -> None:
    assert suggestion(word, ("version", "providers", "routes"), "file") == remedy
