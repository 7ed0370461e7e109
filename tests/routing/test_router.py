"""Which routes a change matches, and what the providers are to do for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.sample_plugins import Full, Imagined, Plain, Warmer

from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.routing.route import Also, Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret
from multicdn.sequel import is_newer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.routing.demand import Demand

CREATED, REMOVED, ACCESS = ChangeKind.CREATED, ChangeKind.REMOVED, ChangeKind.ACCESS
PURGE, PRELOAD = Action.PURGE, Action.PRELOAD
URL, PREFIX, TAG, HOST, EVERYTHING = (
    TargetKind.URL,
    TargetKind.PREFIX,
    TargetKind.TAG,
    TargetKind.HOST,
    TargetKind.EVERYTHING,
)

PROVIDERS = {
    "plain": Plain(),
    "full": Full(token=Secret.literal("x"), service="s"),
    "softly": Full(token=Secret.literal("x"), service="s", soft=True),
    "imagined": Imagined(soft=True),
    "warmer": Warmer(),
}

# Provider, action and softness -> targets.
Orders = dict[tuple[str, Action, bool], set[Target]]


def url(text: str) -> Target:
    return Target(URL, f"https://a.example/{text}")


def route(**members: Any) -> Route:
    defaults: dict[str, Any] = {"bucket": "b", "urls": ("https://a.example/{key}",), "purge": ("plain",)}
    return Route(**{**defaults, **members})


def router(*routes: Route, hook: Any = None) -> Router:
    return Router(routes, PROVIDERS, hook)


def demands(routes: Sequence[Route], *changes: Change) -> list[Demand]:
    found, failures = router(*routes).demands(changes)
    assert failures == []
    return found


def orders(routes: Sequence[Route], *changes: Change) -> Orders:
    found = demands(routes, *changes)
    places = [(demand.provider, demand.action, demand.soft, demand.bucket) for demand in found]
    assert len(places) == len(set(places))
    return {(demand.provider, demand.action, demand.soft): set(demand.wants) for demand in found}


def purged(routes: Sequence[Route], *changes: Change) -> set[str]:
    """Paths of all URLs that any provider is to purge."""
    return {
        target.value.removeprefix("https://a.example/")
        for (_, action, _), targets in orders(routes, *changes).items()
        for target in targets
        if action is PURGE
    }


# Keys are bytes, and none is taken for another


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("docs/", {"docs/"}),
        ("cafe\u0301.html", {"cafe%CC%81.html"}),
        ("caf\u00e9.html", {"caf%C3%A9.html"}),
        ("album\r\b\b/KM+004.jpg", {"album%0D%08%08/KM%2B004.jpg", "album%0D%08%08/KM+004.jpg"}),
        ("//a//b/", {"//a//b/"}),
    ],
)
def test_odd_key_has_its_own_url(key: str, paths: set[str]) -> None:
    assert paths <= purged((route(),), Change("b", key))


# Which routes match


@pytest.mark.parametrize(
    ("members", "key", "matches"),
    [
        ({}, "any/key", True),
        ({"prefix": "assets/"}, "assets/a.css", True),
        ({"prefix": "assets/"}, "assets/", True),
        ({"prefix": "assets/"}, "assets", False),
        ({"prefix": "assets/"}, "other/assets/a.css", False),
        ({"prefix": "assets/"}, "Assets/a.css", False),
        ({"prefix": "ass"}, "assets/a.css", True),
        ({"prefix": "/"}, "a", False),
        ({"prefix": "assets/*"}, "assets/a.css", False),
        ({"prefix": "größe/"}, "größe/a", True),
        ({"bucket": "other"}, "a", False),
        ({"exclude": ("*.map",)}, "a.map", False),
        ({"exclude": ("*.map",)}, "dir/sub/a.map", False),
        ({"exclude": ("*.map",)}, "a.map.js", True),
        ({"exclude": ("*.MAP",)}, "a.map", True),
        ({"exclude": ("*.map", "tmp/*")}, "tmp/deep/a", False),
        ({"exclude": ("*.map", "tmp/*")}, "x/tmp/a", True),
        ({"exclude": ("a?c",)}, "abc", False),
        ({"exclude": ("a?c",)}, "a/c", False),
        ({"exclude": ("[ab].txt",)}, "a.txt", False),
        ({"exclude": ("[!ab].txt",)}, "a.txt", True),
        ({"exclude": ("a",)}, "ab", True),
        ({"exclude": ("a", "ab")}, "ab", False),
        ({"exclude": ("a.b",)}, "axb", True),
        ({"exclude": ("*",)}, "line\nbreak", False),
        ({"exclude": ("*.map",)}, "a.map\n", True),
        ({"exclude": ("",)}, "a", True),
    ],
)
def test_route_covers_a_key(members: dict[str, Any], key: str, matches: bool) -> None:
    routes = (route(**members),)
    assert bool(demands(routes, Change("b", key))) is matches
    assert list(router(*routes).matching("b", key)) == (list(routes) if matches else [])


def test_bucket_without_a_route_is_nobodys() -> None:
    assert demands((route(),), Change("stranger", "k")) == []
    assert list(router().matching("b", "k")) == []


def test_every_matching_route_applies() -> None:
    routes = (
        route(),
        route(prefix="a/", purge=("full",)),
        route(prefix="a/b/", urls=("https://b.example/{path}",)),
        route(prefix="a/c/", urls=("https://never.example/",)),
        route(bucket="other", urls=("https://never.example/",)),
    )
    assert orders(routes, Change("b", "a/b/c")) == {
        ("plain", PURGE, False): {url("a/b/c"), Target(URL, "https://b.example/c")},
        ("full", PURGE, False): {url("a/b/c")},
    }
    assert list(router(*routes).matching("b", "a/b/c")) == list(routes[:3])


def test_matching_routes_do_not_depend_on_what_happened() -> None:
    assert list(router(route(on=(REMOVED,))).matching("b", "k")) == [route(on=(REMOVED,))]


def test_same_target_of_two_routes_is_wanted_once() -> None:
    [demand] = demands((route(), route(prefix="a", urls=("https://a.example/{key}",))), Change("b", "a", cause="m"))
    assert list(demand.wants) == [url("a")]
    assert demand.wants[url("a")].causes == {"m"}


def test_provider_named_twice_is_told_once() -> None:
    [demand] = demands((route(purge=("plain", "plain")),), Change("b", "a"))
    assert list(demand.wants) == [url("a")]


def test_same_key_in_two_buckets_is_two_demands() -> None:
    found = demands((route(), route(bucket="c", urls=("https://c.example/{key}",))), Change("b", "k"), Change("c", "k"))
    assert [(demand.bucket, list(demand.wants)) for demand in found] == [
        ("b", [url("k")]),
        ("c", [Target(URL, "https://c.example/k")]),
    ]


PREFIXES = st.lists(st.text("ab/", max_size=4), max_size=8)


@given(PREFIXES, st.text("ab/", min_size=1, max_size=6))
def test_matching_agrees_with_the_plain_definition(prefixes: list[str], key: str) -> None:
    routes = [route(prefix=prefix) for prefix in prefixes]
    found = [one.prefix for one in router(*routes).matching("b", key)]
    assert sorted(found) == sorted(prefix for prefix in prefixes if key.startswith(prefix))


# What is asked for


@pytest.mark.parametrize(
    ("members", "targets"),
    [
        ({}, {url("d/k.x")}),
        ({"tags": ("{stem}", "all")}, {url("d/k.x"), Target(TAG, "k"), Target(TAG, "all")}),
        ({"urls": (), "prefixes": ("https://a.example/{dir}",)}, {Target(PREFIX, "https://a.example/d/")}),
        ({"urls": (), "hosts": ("a.example",)}, {Target(HOST, "a.example")}),
        ({"urls": (), "everything": True}, {Target(EVERYTHING, "")}),
        ({"urls": ("https://a.example/{key}", "https://a.example/{dir}{name}")}, {url("d/k.x")}),
    ],
)
def test_targets_of_a_change(members: dict[str, Any], targets: set[Target]) -> None:
    routes = (route(purge=("full",), **members),)
    assert orders(routes, Change("b", "d/k.x")) == {("full", PURGE, False): targets}


def test_a_tag_has_one_spelling_since_no_client_writes_it() -> None:
    [demand] = demands((route(urls=(), tags=("k-{key}",), purge=("full",)),), Change("b", "a b+c"))
    assert set(demand.wants) == {Target(TAG, "k-a%20b%2Bc")}


@pytest.mark.parametrize("member", ["tags", "hosts"])
def test_template_that_is_empty_for_a_key_never_means_everything(member: str) -> None:
    members = {"urls": (), member: ("{dir}",), "purge": ("full",)}
    found = orders((route(**members),), Change("b", "at-the-root"))
    assert [target for targets in found.values() for target in targets] == []


def test_index_document_is_purged_as_its_folder_too() -> None:
    assert purged((route(index="index.html"),), Change("b", "d/index.html")) == {"d/index.html", "d/"}


def test_many_changes_of_one_target_keep_all_their_causes() -> None:
    changes = [Change("b", f"k{number}", cause=f"m{number}") for number in range(50)]
    [demand] = demands((route(urls=(), tags=("all",), purge=("full",)),), *changes)
    assert demand.wants[Target(TAG, "all")].causes == {f"m{number}" for number in range(50)}


# Soft and hard


@pytest.mark.parametrize(
    ("provider", "soft", "expected"),
    [
        ("full", None, False),
        ("full", True, True),
        ("full", False, False),
        ("softly", None, True),
        ("softly", True, True),
        ("softly", False, False),
        ("plain", None, False),
        ("imagined", None, False),
    ],
)
def test_route_decides_on_softness_else_the_provider(provider: str, soft: bool | None, expected: bool) -> None:
    assert orders((route(purge=(provider,), soft=soft),), Change("b", "k")) == {(provider, PURGE, expected): {url("k")}}


@pytest.mark.parametrize("order", [("1", "2"), ("2", "1")], ids=["removed first to arrive", "created first to arrive"])
def test_what_was_removed_is_dropped_though_it_was_created_again_in_the_same_batch(order: tuple[str, str]) -> None:
    made = {"1": Change("b", "k", REMOVED, sequencer="1"), "2": Change("b", "k", CREATED, sequencer="2")}
    other = Change("b", "other", CREATED, sequencer="3")
    found = orders((route(purge=("softly",), preload=("warmer",)),), *(made[each] for each in order), other)
    assert found[("softly", PURGE, False)] == {url("k")}
    assert found[("softly", PURGE, True)] == {url("other")}
    assert found[("warmer", PRELOAD, False)] == {url("k"), url("other")}


def test_a_route_that_does_not_listen_to_removals_stays_soft() -> None:
    changes = Change("b", "k", REMOVED, sequencer="1"), Change("b", "k", CREATED, sequencer="2")
    assert set(orders((route(purge=("softly",), on=(CREATED,)),), *changes)) == {("softly", PURGE, True)}


@pytest.mark.parametrize(("provider", "soft"), [("softly", None), ("softly", True), ("full", True)])
def test_removed_object_is_dropped_even_where_purges_are_soft(provider: str, soft: bool | None) -> None:
    routes = (route(purge=(provider,), soft=soft),)
    assert orders(routes, Change("b", "k", REMOVED)) == {(provider, PURGE, False): {url("k")}}
    assert orders(routes, Change("b", "new"), Change("b", "gone", REMOVED)) == {
        (provider, PURGE, True): {url("new")},
        (provider, PURGE, False): {url("gone")},
    }


# Preloading


def test_created_object_is_purged_and_preloaded() -> None:
    assert orders((route(preload=("warmer", "full")),), Change("b", "k")) == {
        ("plain", PURGE, False): {url("k")},
        ("warmer", PRELOAD, False): {url("k")},
        ("full", PRELOAD, False): {url("k")},
    }


def test_removed_object_is_never_preloaded() -> None:
    assert orders((route(preload=("warmer",)),), Change("b", "k", REMOVED)) == {("plain", PURGE, False): {url("k")}}


def test_only_urls_are_preloaded() -> None:
    everything = {"prefixes": ("https://a.example/",), "tags": ("t",), "hosts": ("a.example",), "everything": True}
    found = orders((route(purge=("full",), preload=("full",), soft=False, **everything),), Change("b", "k"))
    assert found[("full", PRELOAD, False)] == {url("k")}
    assert len(found[("full", PURGE, False)]) == 5


def test_preload_is_never_soft() -> None:
    found = orders((route(purge=("softly",), preload=("softly",), soft=True),), Change("b", "k"))
    assert set(found) == {("softly", PURGE, True), ("softly", PRELOAD, False)}


# Of several changes of one key the newest decides


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        # Sequencers are right-padded with zeros and compared as text.
        ("0065B", "0065A", True),
        ("0065A", "0065B", False),
        ("0065A", "0065A", True),
        ("0065A0", "0065A", True),
        ("0065A", "0065A0", True),
        ("0065A1", "0065A", True),
        ("0065A", "0065A1", False),
        ("0066", "0065FFFFFF", True),
        ("0065FFFFFF", "0066", False),
        # A longer number isn't a newer one.
        ("1", "0999", True),
        ("0999", "1", False),
        # Digits come before letters in either case.
        ("0065a", "00659", True),
        ("0065a", "0065B", False),
        ("0065b", "0065A", True),
        ("0065A", "0065a", True),
    ],
)
def test_newest_sequencer(new: str, old: str, expected: bool) -> None:
    # The times say the opposite, and are not asked.
    times = ("2026-01-01", "2026-01-02") if expected else ("2026-01-02", "2026-01-01")
    assert (
        is_newer(Change("b", "k", sequencer=new, time=times[0]), Change("b", "k", sequencer=old, time=times[1]))
        is expected
    )


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ("2026-11-23T09:00:00.124Z", "2026-11-23T09:00:00.123Z", True),
        ("2026-11-23T09:00:00.123Z", "2026-11-23T09:00:00.124Z", False),
        ("2026-11-23T09:00:00.123Z", "2026-11-23T09:00:00.123Z", True),
        ("2026-11-23T09:00:00.123Z", "2026-11-23T09:00:00Z", True),
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00.123Z", False),
        ("2026-11-23T09:00:01Z", "2026-11-23T09:00:00.999Z", True),
        ("", "2026-11-23T09:00:00Z", True),
        ("2026-11-23T09:00:00Z", "", True),
        ("", "", True),
    ],
)
@pytest.mark.parametrize("sequencers", [("", ""), ("01", ""), ("", "01")])
def test_newest_time_without_sequencers_else_the_order_of_arrival(
    new: str, old: str, expected: bool, sequencers: tuple[str, str]
) -> None:
    first, second = (
        Change("b", "k", sequencer=sequencers[0], time=new),
        Change("b", "k", sequencer=sequencers[1], time=old),
    )
    assert is_newer(first, second) is expected


HEX = st.text("0123456789ABCDEFabcdef", min_size=1, max_size=18)


@given(st.lists(HEX, min_size=1, max_size=6))
def test_newest_of_several_is_the_same_in_every_order(sequencers: list[str]) -> None:
    width = max(map(len, sequencers))
    newest = max(sequencer.upper().ljust(width, "0") for sequencer in sequencers)
    for arrival in (sequencers, sequencers[::-1]):
        changes = [Change("b", "k", sequencer=sequencer, cause=sequencer) for sequencer in arrival]
        [demand] = demands((route(),), *changes)
        [cause] = demand.wants[url("k")].causes
        assert cause.upper().ljust(width, "0") == newest


@pytest.mark.parametrize("swapped", [False, True])
def test_newest_change_decides_whether_to_drop_or_to_preload(swapped: bool) -> None:
    routes = (route(purge=("softly",), preload=("warmer",)),)
    created, removed = Change("b", "k", CREATED, sequencer="1"), Change("b", "k", REMOVED, sequencer="2")
    arrival = [removed, created] if swapped else [created, removed]
    assert orders(routes, *arrival) == {("softly", PURGE, False): {url("k")}}
    again = Change("b", "k", CREATED, sequencer="3")
    assert orders(routes, again, *arrival) == {
        ("softly", PURGE, False): {url("k")},
        ("warmer", PRELOAD, False): {url("k")},
    }


def test_only_the_newest_message_is_behind_its_target() -> None:
    changes = [Change("b", "k", sequencer=str(number), cause=f"m{number}") for number in (2, 3, 1)]
    [demand] = demands((route(),), *changes)
    assert demand.wants[url("k")].causes == {"m3"}


def test_sequencers_of_different_keys_are_not_compared() -> None:
    assert purged((route(),), Change("b", "new", sequencer="9"), Change("b", "old", sequencer="1")) == {"new", "old"}


def test_route_decides_among_the_changes_that_it_listens_to() -> None:
    routes = (route(on=(CREATED,), preload=("warmer",)), route(on=(REMOVED,), purge=("full",)))
    changes = Change("b", "k", CREATED, sequencer="1"), Change("b", "k", REMOVED, sequencer="2")
    assert orders(routes, *changes) == {
        ("plain", PURGE, False): {url("k")},
        ("full", PURGE, False): {url("k")},
    }


@pytest.mark.parametrize(
    ("on", "kind", "matches"),
    [
        ((CREATED,), CREATED, True),
        ((CREATED,), REMOVED, False),
        ((REMOVED,), CREATED, False),
        ((REMOVED,), REMOVED, True),
        ((CREATED, REMOVED), CREATED, True),
        ((CREATED, REMOVED), REMOVED, True),
        ((CREATED, REMOVED), ACCESS, False),
        ((CREATED, ACCESS), ACCESS, True),
        ((ACCESS,), CREATED, False),
    ],
)
def test_route_acts_on_its_kinds_of_change_only(on: tuple[ChangeKind, ...], kind: ChangeKind, matches: bool) -> None:
    assert bool(demands((route(on=on),), Change("b", "k", kind))) is matches


# Of what is gone, no preload; of what has changed, no purge is lost


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("created", "removed", "gone"),
    [
        pytest.param({"sequencer": "0066FD0C9A"}, {"sequencer": "0066FD0C9B"}, True, id="removed later"),
        pytest.param({"sequencer": "0066FD0C9B"}, {"sequencer": "0066FD0C9A"}, False, id="created later"),
        pytest.param({"time": "2026-10-02T07:15:04.201Z"}, {"time": "2026-10-02T07:15:05Z"}, True, id="by time"),
        pytest.param({"time": "2026-10-02T07:15:05Z"}, {"time": "2026-10-02T07:15:04.999Z"}, False, id="by time, back"),
        pytest.param(
            {"time": "2026-10-02T07:15:04Z"}, {"time": "2026-10-02T07:15:04.201Z"}, True, id="no milliseconds"
        ),
        pytest.param({"time": "2026-10-02T07:15:04.201Z"}, {"time": "2026-10-02T07:15:04Z"}, True, id="same second"),
        pytest.param(
            {"sequencer": "1", "time": "2026-10-02T07:15:04Z"}, {"time": "2026-10-02T07:15:04Z"}, True, id="mixed"
        ),
        pytest.param({}, {}, True, id="nobody knows"),
    ],
)
@pytest.mark.parametrize("on", [(CREATED,), (CREATED, REMOVED), (CREATED, REMOVED, ACCESS)])
def test_what_is_gone_is_purged_and_not_preloaded(
    created: dict[str, str], removed: dict[str, str], gone: bool, on: tuple[ChangeKind, ...], swapped: bool
) -> None:
    arrival = [Change("b", "k", CREATED, cause="m1", **created), Change("b", "k", REMOVED, cause="m2", **removed)]
    found = orders((route(on=on, purge=("softly",), preload=("warmer",)),), *arrival[:: -1 if swapped else 1])
    preloads = {order for order in found if order[1] is PRELOAD}
    assert bool(preloads) is not gone or (not preloads and not created)
    assert {target for order, targets in found.items() if order not in preloads for target in targets} == {url("k")}
    # Whoever doesn't listen to removals has its purge as soft as ever.
    assert [order[2] for order in found if order not in preloads] == [on == (CREATED,)]


def test_removal_that_was_dealt_with_before_still_says_that_the_object_is_gone() -> None:
    """It comes back for a part of another route alone."""
    routes = (route(on=(CREATED,), preload=("warmer",)), route(urls=(), tags=("t",), purge=("full",)))
    made = router(*routes)
    [other] = [part for part in made._buckets["b"].parts if part.endswith(":tags")]
    changes = (
        Change("b", "k", REMOVED, sequencer="2", cause="back"),
        Change("b", "k", CREATED, sequencer="1", cause="m"),
    )
    found, _ = made.demands(changes, None, {"back": frozenset((other,))})
    asked = {
        (demand.provider, demand.action): {cause for want in demand.wants.values() for cause in want.causes}
        for demand in found
    }
    assert asked == {("plain", PURGE): {"m"}, ("full", PURGE): {"back"}}


def test_upload_that_comes_again_before_its_removal_is_not_preloaded() -> None:
    again = [Change("b", "k", CREATED, sequencer="1", cause=cause) for cause in ("m1", "m3")]
    removal = Change("b", "k", REMOVED, sequencer="2", cause="m2")
    found = orders((route(on=(CREATED,), preload=("warmer",)),), again[0], removal, again[1])
    assert set(found) == {("plain", PURGE, False)}


def test_key_that_is_stale_with_another_and_gone_is_purged_and_not_preloaded() -> None:
    also = (Also(keys=("*.jpg",), as_=("{dir}{stem}.webp", "{dir}{stem}.avif")),)
    changes = (Change("b", "k.jpg", CREATED, sequencer="1"), Change("b", "k.webp", REMOVED, sequencer="2"))
    for order in (changes, changes[::-1]):
        found = orders((route(preload=("warmer",), also=also),), *order)
        assert found["plain", PURGE, False] == {url("k.jpg"), url("k.webp"), url("k.avif")}
        assert found["warmer", PRELOAD, False] == {url("k.jpg"), url("k.avif")}


def test_other_keys_and_buckets_are_not_gone_with_one() -> None:
    routes = (route(preload=("warmer",)), route(bucket="c", preload=("warmer",)))
    changes = [Change("b", "k", REMOVED, sequencer="2"), Change("c", "k", sequencer="1"), Change("b", "other")]
    found = [demand for demand in demands(routes, *changes) if demand.action is PRELOAD]
    assert {(demand.bucket, target) for demand in found for target in demand.wants} == {
        ("c", url("k")),
        ("b", url("other")),
    }


@given(st.permutations([CREATED, REMOVED, ACCESS, CREATED, REMOVED]), st.randoms(use_true_random=False))
def test_preload_follows_the_last_upload_or_removal_in_every_order(kinds: list[ChangeKind], random: Any) -> None:
    changes = [Change("b", "k", kind, sequencer=str(place)) for place, kind in enumerate(kinds)]
    last = [kind for kind in kinds if kind is not ACCESS][-1]
    random.shuffle(changes)
    found = orders((route(on=(CREATED,), preload=("warmer",)),), *changes)
    assert (("warmer", PRELOAD, False) in found) is (last is CREATED)
    assert found["plain", PURGE, False] == {url("k")}


# Who may read it


def test_change_of_access_drops_and_preloads_nothing() -> None:
    routes = (route(on=(CREATED, ACCESS), purge=("softly",), preload=("warmer",)),)
    assert orders(routes, Change("b", "k", ACCESS)) == {("softly", PURGE, False): {url("k")}}
    closed, newer = Change("b", "k", ACCESS, sequencer="1"), Change("b", "k", CREATED, sequencer="2")
    assert orders(routes, closed, newer) == {
        ("softly", PURGE, False): {url("k")},
        ("warmer", PRELOAD, False): {url("k")},
    }


def test_change_of_access_is_heard_by_nobody_who_does_not_ask_for_it() -> None:
    assert orders((route(),), Change("b", "k", ACCESS)) == {}


@pytest.mark.parametrize(("kind", "on", "acts"), [(ACCESS, (ACCESS,), True), (ACCESS, (CREATED,), False)])
def test_whether_any_route_acts_on_a_change(kind: ChangeKind, on: tuple[ChangeKind, ...], acts: bool) -> None:
    made = router(route(on=on, prefix="d/"))
    assert made.acts_on(Change("b", "d/k", kind)) is acts
    assert made.covers(Change("b", "d/k", kind))
    assert not made.acts_on(Change("b", "k", kind))


# What tells one change from the next


@pytest.mark.parametrize(
    ("change", "mark"),
    [
        (Change("b", "k", etag="e", version="v", sequencer="S", time="t", cause="m"), "S"),
        (Change("b", "k", etag="e", version="v", time="t", cause="m"), "t v e"),
        (Change("b", "k", etag="e", cause="m"), "e"),
        (Change("b", "k", time="t"), "t"),
        (Change("b", "k", cause="m"), "m"),
        (Change("b", "k"), ""),
    ],
)
def test_mark_is_the_best_identity_that_a_change_has(change: Change, mark: str) -> None:
    [demand] = demands((route(),), change)
    assert demand.wants[url("k")].marks == {mark}


def test_target_of_several_keys_carries_the_marks_of_all() -> None:
    [demand] = demands(
        (route(urls=(), tags=("all",), purge=("full",)),),
        Change("b", "k", sequencer="9"),
        Change("b", "l", sequencer="1"),
    )
    assert demand.wants[Target(TAG, "all")].marks == {"9", "1"}


# The hook of plugins that rewrite URLs


def test_hook_adds_to_and_replaces_urls_and_nothing_else() -> None:
    seen: list[tuple[str, tuple[str, ...]]] = []

    def hook(change: Change, urls: Sequence[str]) -> Sequence[str]:
        seen.append((change.key, tuple(urls)))
        return [*urls, "https://a.example/extra"] if change.key == "more" else ["https://a.example/other"]

    routes = (
        route(tags=("t",), purge=("full",), preload=("warmer",)),
        route(bucket="b", urls=(), tags=("u",), purge=("full",)),
    )
    found, failures = router(*routes, hook=hook).demands([Change("b", "more"), Change("b", "instead")])
    assert failures == []
    urls = {url("more"), url("extra"), url("other")}
    assert {demand.action: set(demand.wants) for demand in found} == {
        PURGE: {*urls, Target(TAG, "t"), Target(TAG, "u")},
        PRELOAD: urls,
    }
    assert seen == [("more", ("https://a.example/more",)), ("instead", ("https://a.example/instead",))]


def test_hook_may_drop_all_urls() -> None:
    found, failures = router(route(tags=("t",), purge=("full",)), hook=lambda change, urls: []).demands(
        [Change("b", "k")]
    )
    assert failures == []
    assert [list(demand.wants) for demand in found] == [[Target(TAG, "t")]]


def test_hook_that_fails_costs_its_change_only() -> None:
    def hook(change: Change, urls: Sequence[str]) -> Sequence[str]:
        if change.key == "bad":
            raise LookupError("no such page")
        return urls

    changes = [Change("b", key, cause=f"m-{key}") for key in ("a", "bad", "c")]
    found, failures = router(route(), hook=hook).demands(changes)
    assert [set(demand.wants) for demand in found] == [{url("a"), url("c")}]
    [failure] = failures
    assert failure.change is changes[1]
    assert failure.reason == "a plugin failed on its URLs: LookupError: no such page"
    assert {part.partition(":")[2] for part in failure.missing} == {"urls"}


def test_hook_that_fails_halfway_leaves_nothing_of_its_change_behind() -> None:
    def hook(change: Change, urls: Sequence[str]) -> Any:
        yield from urls
        raise LookupError

    found, failures = router(route(), hook=hook).demands([Change("b", "k")])
    assert (found, len(failures)) == ([], 1)


def test_change_that_no_route_matches_never_reaches_the_hook() -> None:
    def hook(change: Change, urls: Sequence[str]) -> Sequence[str]:
        raise AssertionError(change)

    assert router(route(prefix="x"), hook=hook).demands([Change("b", "k"), Change("c", "k")]) == ([], [])


# Nothing is dropped


CHANGES = st.lists(
    st.builds(
        Change,
        bucket=st.sampled_from(["b", "c"]),
        key=st.sampled_from(["a", "d/a", "d/index.html", "x y", "d/"]),
        kind=st.sampled_from([CREATED, REMOVED]),
        sequencer=st.sampled_from(["1", "2", "2F", "3"]),
        cause=st.sampled_from(["m1", "m2", "m3"]),
    ),
    max_size=12,
)


@given(CHANGES)
def test_every_changed_key_is_purged_by_every_provider_of_its_routes(changes: list[Change]) -> None:
    routes = (route(purge=("plain", "softly")), route(prefix="d/", purge=("full",), index="index.html"))
    found = orders(routes, *changes)
    spelled = {"x y": {"x%20y", "x+y"}}
    for change in changes:
        if change.bucket == "b":
            for key in spelled.get(change.key, {change.key}):
                assert url(key) in found[("plain", PURGE, False)]
                assert any(url(key) in found.get(("softly", PURGE, soft), ()) for soft in (True, False))
    below = {change.key for change in changes if change.bucket == "b" and change.key.startswith("d/")}
    expected = {url(key) for key in below} | ({url("d/")} if "d/index.html" in below else set())
    assert found.get(("full", PURGE, False), set()) == expected


def test_scheme_and_host_are_sent_as_browsers_send_them_and_the_rest_as_written() -> None:
    written = route(
        urls=("HTTPS://WWW.Acme.com:8443/Docs/{key}?V=A",),
        prefixes=("Https://CDN.Acme.com/Docs/",),
        hosts=("Static.ACME.com",),
        purge=("full",),
    )
    [demand] = demands([written], Change("b", "A.css", CREATED))
    assert set(demand.wants) == {
        Target(URL, "https://www.acme.com:8443/Docs/A.css?V=A"),
        Target(PREFIX, "https://cdn.acme.com/Docs/"),
        Target(HOST, "static.acme.com"),
    }


def test_a_hooks_urls_are_sent_as_browsers_send_them_too() -> None:
    def hook(_change: Change, urls: Sequence[str]) -> list[str]:
        return [*urls, "HTTPS://Other.Example/A", "https://A.example/x"]

    found, _ = router(route(), hook=hook).demands([Change("b", "x", CREATED)])
    assert set(found[0].wants) == {url("x"), Target(URL, "https://other.example/A")}
