"""Others' notifications stay byte for byte; S3's overlap rule is known before S3 is asked."""

from __future__ import annotations

import copy
import json
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import installs
from kit.events import sdk_event_names

from multicdn.events import names
from multicdn.installer import diff
from multicdn.installer.notifications.merge import (
    EVENTBRIDGE,
    FUNCTIONS,
    QUEUES,
    TOPICS,
    Wanted,
    described,
    foreign,
    identity,
    is_ours,
    merged,
    ours,
    overlaps,
    same,
)
from multicdn.installer.notifications.prefixes import Covered, buckets, covered
from multicdn.installer.notifications.wanted import wanted_of
from multicdn.model import ChangeKind

CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED
SDK_NAMES = sdk_event_names()
EVENT_NAMES = [name for name in SDK_NAMES if not name.endswith("*")]
STACK = "multicdn"
ARN = "arn:aws:sqs:eu-west-1:123456789012:multicdn-Queue-1"
THEIRS = "arn:aws:sqs:eu-west-1:123456789012:theirs"
ALL = Covered("acme-site", "", (CREATED, REMOVED))
NEWS = Covered("acme-site", "news/", (CREATED,))


def entry(*events: str, prefix: str = "", suffix: str = "", **more: Any) -> dict[str, Any]:
    rules = [{"Name": name, "Value": value} for name, value in (("Prefix", prefix), ("Suffix", suffix)) if value]
    return {"Id": "x", "QueueArn": THEIRS, "Events": list(events), "Filter": {"Key": {"FilterRules": rules}}, **more}


_ids = st.one_of(
    st.text(max_size=30), st.just("multicdn.other.0123456789ab"), st.just("multicdn.multicdn.0123"), st.just("multicdn")
)
_names = st.sampled_from(["prefix", "Prefix", "suffix", "Suffix"])
_rules = st.lists(st.fixed_dictionaries({"Name": _names, "Value": st.text(max_size=10)}), max_size=2)


def _entries(arn: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    fields = {
        arn: st.text(min_size=1, max_size=20),
        "Events": st.lists(
            st.sampled_from(["s3:ObjectCreated:*", "s3:ObjectTagging:Put", "s3:Replication:*"]), min_size=1
        ),
    }
    optional = {"Id": _ids, "Filter": st.fixed_dictionaries({"Key": st.fixed_dictionaries({"FilterRules": _rules})})}
    return st.lists(st.fixed_dictionaries(fields, optional=optional), min_size=1, max_size=4)  # type: ignore[arg-type]


configurations = st.fixed_dictionaries(
    {},
    optional={
        QUEUES: _entries("QueueArn"),
        TOPICS: _entries("TopicArn"),
        FUNCTIONS: _entries("LambdaFunctionArn"),
        EVENTBRIDGE: st.just({}),
        "SomethingNewConfiguration": st.just({"Whatever": [1]}),
    },
)
wishes = st.builds(
    Wanted,
    st.sampled_from([QUEUES, FUNCTIONS]),
    st.lists(st.sampled_from([ALL, NEWS, Covered("acme-site", "a b/ü", (REMOVED,))]), unique=True).map(tuple),
    st.sampled_from([None, True]),
)


def as_bytes(configuration: Any) -> bytes:
    return json.dumps(configuration).encode()


@given(configurations, wishes)
def test_the_entries_of_others_stay_byte_for_byte(configuration: dict[str, Any], wanted: Wanted) -> None:
    before = copy.deepcopy(configuration)
    result = merged(configuration, wanted, STACK, ARN)
    assert as_bytes(configuration) == as_bytes(before)
    for kind in (QUEUES, TOPICS, FUNCTIONS):
        theirs = before.get(kind, [])
        assert as_bytes(result.get(kind, [])[: len(theirs)]) == as_bytes(theirs)
    assert result.get("SomethingNewConfiguration") == before.get("SomethingNewConfiguration")
    assert (EVENTBRIDGE in result) == (EVENTBRIDGE in before or bool(wanted.eventbridge))


@given(configurations, wishes)
def test_what_is_put_in_can_be_taken_out(configuration: dict[str, Any], wanted: Wanted) -> None:
    with_ours = merged(configuration, wanted, STACK, ARN)
    flag = False if wanted.eventbridge and EVENTBRIDGE not in configuration else None
    assert merged(with_ours, Wanted(eventbridge=flag), STACK, "") == configuration


@given(configurations, wishes)
def test_merging_twice_is_merging_once(configuration: dict[str, Any], wanted: Wanted) -> None:
    once = merged(configuration, wanted, STACK, ARN)
    assert merged(once, wanted, STACK, ARN) == once
    assert len(ours(once, STACK)) == len(wanted.parts)


@given(configurations, st.randoms())
def test_the_order_that_s3_returns_means_nothing(configuration: dict[str, Any], random: Any) -> None:
    other = copy.deepcopy(configuration)
    for kind in (QUEUES, TOPICS, FUNCTIONS):
        random.shuffle(other.get(kind, []))
        for item in other.get(kind, []):
            random.shuffle(item["Events"])
    assert same(configuration, other)


def test_a_changed_entry_is_seen() -> None:
    assert not same({QUEUES: [entry("s3:ObjectCreated:*")]}, {QUEUES: [entry("s3:ObjectCreated:Put")]})
    assert not same({QUEUES: [entry("s3:ObjectCreated:*")]}, {QUEUES: [entry("s3:ObjectCreated:*", prefix="a")]})
    assert not same({}, {EVENTBRIDGE: {}})
    assert same({QUEUES: [entry("s3:ObjectCreated:*", prefix="a")]}, {QUEUES: [_lower("s3:ObjectCreated:*", "a")]})


def _lower(event: str, prefix: str) -> dict[str, Any]:
    rules = [{"Name": "prefix", "Value": prefix}]
    return {"Id": "x", "QueueArn": THEIRS, "Events": [event], "Filter": {"Key": {"FilterRules": rules}}}


def test_the_answers_own_data_is_never_written_back() -> None:
    assert "ResponseMetadata" not in merged({"ResponseMetadata": {"HTTPStatusCode": 200}}, Wanted(), STACK, ARN)


def test_ids_are_the_same_in_every_run_and_on_every_machine() -> None:
    assert identity(STACK, ALL) == "multicdn.multicdn.0349f5efdcca"
    assert identity("shop", NEWS) == "multicdn.shop.a5dbb6564c4b"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (identity(STACK, ALL), True),
        (identity("multicdn-a", ALL), False),
        ("multicdn.multicdn.", False),
        ("multicdn-multicdn-0123456789ab", False),
        ("xmulticdn.multicdn.0123456789ab", False),
        ("multicdn.multicdn.0123456789ab.x", False),
        ("", False),
    ],
)
def test_ours_are_known_by_their_ids(name: str, expected: bool) -> None:
    assert is_ours({"Id": name}, STACK) is expected


def test_an_entry_without_id_is_somebody_elses() -> None:
    assert not is_ours({}, STACK)


# S3: configurations that could both match one event are refused, whatever their destination.
@pytest.mark.parametrize(
    ("part", "theirs", "event"),
    [
        (ALL, entry("s3:ObjectCreated:*"), "s3:ObjectCreated:*"),
        (ALL, entry("s3:ObjectCreated:Put"), "s3:ObjectCreated:*"),
        (ALL, entry("s3:ObjectRemoved:DeleteMarkerCreated"), "s3:ObjectRemoved:*"),
        (ALL, entry("s3:LifecycleExpiration:Delete"), "s3:LifecycleExpiration:*"),
        (ALL, entry("s3:ObjectCreated:Put", suffix=".jpg"), "s3:ObjectCreated:*"),
        (ALL, entry("s3:ObjectCreated:Put", prefix="in/", suffix=".jpg"), "s3:ObjectCreated:*"),
        (ALL, entry("s3:ObjectTagging:*", "s3:ObjectCreated:Copy"), "s3:ObjectCreated:*"),
        (NEWS, entry("s3:ObjectCreated:*"), "s3:ObjectCreated:*"),
        (NEWS, entry("s3:ObjectCreated:*", prefix="n"), "s3:ObjectCreated:*"),
        (NEWS, entry("s3:ObjectCreated:*", prefix="news/2026/"), "s3:ObjectCreated:*"),
        (NEWS, entry("s3:ObjectCreated:*", prefix="news/", suffix="/index.html"), "s3:ObjectCreated:*"),
        (Covered("b", "a b=/", (CREATED,)), entry("s3:ObjectCreated:*", prefix="a+b%3D/c"), "s3:ObjectCreated:*"),
        # none of these overlap
        (ALL, entry("s3:ObjectTagging:*", "s3:ObjectAcl:Put", "s3:ReducedRedundancyLostObject"), ""),
        (ALL, entry("s3:ObjectRestore:*", "s3:LifecycleTransition", "s3:IntelligentTiering"), ""),
        (NEWS, entry("s3:ObjectRemoved:*"), ""),
        (NEWS, entry("s3:ObjectCreated:*", prefix="old/"), ""),
        (NEWS, entry("s3:ObjectCreated:*", prefix="new/"), ""),
        (NEWS, entry("s3:ObjectCreatedX:*"), ""),
    ],
)
def test_overlaps_are_found(part: Covered, theirs: dict[str, Any], event: str) -> None:
    found = overlaps({QUEUES: [theirs]}, Wanted(parts=(part,)), STACK)
    assert [overlap.event for overlap in found] == ([event] if event else [])
    assert all(overlap.foreign == THEIRS for overlap in found)


def test_our_own_old_entries_are_no_overlap() -> None:
    before = merged({}, Wanted(parts=(ALL,)), STACK, ARN)
    assert overlaps(before, Wanted(parts=(NEWS,)), STACK) == []
    assert overlaps(before, Wanted(parts=(NEWS,)), "another") != []


@pytest.mark.parametrize("kind", [QUEUES, TOPICS, FUNCTIONS])
def test_overlaps_are_found_in_every_kind(kind: str) -> None:
    assert len(overlaps({kind: [entry("s3:ObjectCreated:*")]}, Wanted(parts=(ALL,)), STACK)) == 1


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([{}], [("", "created removed")]),
        ([{"prefix": "a/"}, {"prefix": "a/b/"}], [("a/", "created removed")]),
        ([{"prefix": "a/"}, {"prefix": "ab"}], [("a/", "created removed"), ("ab", "created removed")]),
        ([{"prefix": "a/", "on": "[created]"}, {"on": "[removed]"}], [("", "removed"), ("a/", "created")]),
        ([{"on": "[removed, created, created]"}, {"prefix": "x"}], [("", "created removed")]),
        ([{"prefix": '"img/*.png"'}], [("img/", "created removed")]),
        # Filters compare letter by letter.
        ([{"prefix": "2026/Docs/", "ignore_case": "true"}], [("2026/", "created removed")]),
        ([{"prefix": "Docs/", "ignore_case": "true"}, {"prefix": "img/"}], [("", "created removed")]),
        ([{"prefix": "a/", "suffix": "[.txt, .md]"}], [("a/", "created removed")]),
    ],
)
def test_routes_are_covered_by_the_fewest_prefixes(
    routes: list[dict[str, str]], expected: list[tuple[str, str]]
) -> None:
    lines = "".join(
        f"\n  - {{bucket: b, {installs.PURGE}, {', '.join(f'{key}: {value}' for key, value in route.items())}}}"
        for route in routes
    )
    found = covered(installs.config(routes=lines).routes)
    assert [(part.prefix, " ".join(part.kinds)) for part in found] == expected
    events = [(event, part.prefix) for part in found for event in part.events]
    assert not [
        1
        for one in events
        for other in events
        if one is not other and one[0] == other[0] and other[1].startswith(one[1])
    ]


def test_each_bucket_of_a_route_is_covered() -> None:
    lines = f"\n  - {{bucket: [one-site, two-site], prefix: a/, on: [created], {installs.PURGE}}}"
    lines += f"\n  - {{bucket: two-site, {installs.PURGE}}}"
    config = installs.config(routes=lines)
    assert buckets(config.routes) == ("one-site", "two-site")
    assert covered(config.routes) == (
        Covered("one-site", "a/", (CREATED,)),
        Covered("two-site", "", (CREATED, REMOVED)),
    )
    assert wanted_of(config, "one-site").parts == (Covered("one-site", "a/", (CREATED,)),)


@pytest.mark.parametrize(
    ("prefix", "spelled"),
    [("assets/", "assets/"), ("a b/", "a+b/"), ("x=1&y", "x%3D1%26y"), ("ü~", "%C3%BC%7E"), ("a+b", "a%2Bb")],
)
def test_a_prefix_is_spelled_as_filters_want_it(prefix: str, spelled: str) -> None:
    assert Covered("b", prefix, (CREATED,)).filter_value == spelled


def test_an_entry_reads_well() -> None:
    assert (
        described(QUEUES, entry("s3:ObjectCreated:*", prefix="a/", suffix=".x")) == f"ObjectCreated:* a/….x -> {THEIRS}"
    )


def test_the_diff_shows_ours_and_counts_theirs() -> None:
    before = {QUEUES: [entry("s3:ObjectTagging:*")]}
    after = merged(before, Wanted(parts=(NEWS,), eventbridge=True), STACK, ARN)
    assert list(diff.notifications(before, after, STACK)) == [
        f"+ ObjectCreated:* news/… -> {ARN}",
        "+ tell EventBridge of all events of the bucket",
        "  1 of others, untouched",
    ]
    assert next(diff.notifications(after, before, STACK)).startswith("- ObjectCreated:*")
    assert foreign(after, STACK) == {**before, EVENTBRIDGE: {}}


# What is subscribed to


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_the_bucket_tells_of_what_a_route_is_on_and_of_nothing_else(kind: ChangeKind) -> None:
    [part] = covered(installs.config(routes=f"\n  - {{bucket: acme-site, on: [{kind}], {installs.PURGE}}}").routes)
    told = {name for name in EVENT_NAMES for asked in part.events if fnmatchcase(name, asked)}
    assert told == {name for name in EVENT_NAMES if names.meaning(name.removeprefix("s3:")) is kind}
    assert set(part.events) <= set(SDK_NAMES)
