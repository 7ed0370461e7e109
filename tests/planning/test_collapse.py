"""When many URLs become a prefix, and when not: never dearer, never more harm than allowed, never outside the route."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.s3 import S3, batch
from kit.sample_plugins import Full, Plain

from multicdn import config
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.planning import collapse, planner
from multicdn.plugins.discovery import Plugins
from multicdn.routing.route import Also, Collapse, Route
from multicdn.routing.router import Router
from multicdn.secrets import Secret
from multicdn.simulators import Origin
from multicdn.simulators.cloudflare.api import CloudflareSimulator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand

A = "https://a.example"
CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED
CLASSES = Plugins()
CLOUDFRONT = CLASSES.provider_class("cloudfront")
CLOUDFLARE = CLASSES.provider_class("cloudflare")


def cloudfront(**options: Any) -> Provider:
    return CLOUDFRONT(distribution="E1", **options)  # type: ignore[call-arg]


def cloudflare() -> Provider:
    return CLOUDFLARE(zone="0" * 32, token=Secret.literal("x"))  # type: ignore[call-arg]


def route(**members: Any) -> Route:
    return Route(**{"bucket": "b", "urls": (f"{A}/{{key}}",), "purge": ("cdn",), **members})


class Bucket:
    """Counts the unchanged objects that it is made of, and remembers what was asked."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self.keys = set(keys)
        self.asked: list[tuple[str, int]] = []

    def count(self, bucket: str, prefix: str, limit: int) -> int | None:
        assert bucket == "b"
        self.asked.append((prefix, limit))
        return min(limit, self.below([prefix]))

    def below(self, directories: Iterable[str]) -> int:
        return len({key for key in self.keys for path in directories if key.startswith(path)})


def demands_of(provider: Provider, routes: Sequence[Route], changes: Iterable[Change]) -> list[Demand]:
    found, failures = Router(routes, {"cdn": provider}).demands(changes)
    assert failures == []
    return found


def collapsed(
    provider: Provider, one: Route, keys: Iterable[str], bucket: Bucket | None = None, kind: ChangeKind = CREATED
) -> tuple[set[Target], collapse.Decision]:
    keys = list(keys)
    bucket = bucket or Bucket()
    demands = demands_of(provider, [one], [Change("b", key, kind, cause=f"m-{key}") for key in keys])
    [after], [decision] = collapse.collapse(demands, {"cdn": provider}, bucket.count)
    assert decision.left <= decision.targets
    return set(after.wants), decision


def files(folder: str, number: int) -> list[str]:
    return [f"{folder}{each:05}.html" for each in range(number)]


def prefix(text: str) -> Target:
    return Target(TargetKind.PREFIX, f"{A}/{text}")


def test_directories_are_found_below_a_prefix_in_whatever_case() -> None:
    members = {"urls": (f"{A}/{{path}}",), "collapse": Collapse(over=2)}
    wants, decision = collapsed(cloudfront(), route(prefix="Docs/", ignore_case=True, **members), files("DOCS/d/", 5))
    assert (wants, decision.directories) == ({prefix("d/")}, ("DOCS/d/",))


# Never


def test_without_a_policy_nothing_is_collapsed_and_nobody_decides() -> None:
    provider, bucket = cloudfront(), Bucket(files("d/", 5000))
    demands = demands_of(provider, [route()], [Change("b", key) for key in files("d/", 5000)])
    assert collapse.collapse(demands, {"cdn": provider}, bucket.count) == (demands, [])
    assert bucket.asked == []


@pytest.mark.parametrize(
    ("provider", "members", "reason"),
    [
        (Plain(), {"collapse": Collapse(over=1)}, "Plain has no purge by prefix"),
        (
            Full(token=Secret.literal("x"), service="s"),
            {"collapse": Collapse(over=1), "soft": True},
            "Full has no soft purge by prefix",
        ),
        (cloudflare(), {"collapse": "budget"}, "Cloudflare charges nothing for a target"),
    ],
)
def test_provider_that_cannot_or_need_not_is_left_alone(
    provider: Provider, members: dict[str, Any], reason: str
) -> None:
    targets, decision = collapsed(provider, route(**members), files("d/", 1200))
    assert {target.kind for target in targets} == {TargetKind.URL}
    assert (decision.reason, decision.directories) == (reason, ())


# Over


@pytest.mark.parametrize(
    ("keys", "over", "directories"),
    [
        (files("d/", 3), 3, set()),
        (files("d/", 4), 3, {"d/"}),
        (files("d/e/", 4), 3, {"d/e/"}),
        ([*files("d/e/", 4), *files("d/f/", 2)], 3, {"d/e/"}),
        ([*files("d/e/", 4), *files("d/f/", 4)], 3, {"d/e/", "d/f/"}),
        ([*files("d/e/", 4), *files("d/f/", 2), *files("d/g/", 2)], 3, {"d/"}),
        ([*files("d/e/", 2), *files("d/f/", 2)], 3, {"d/"}),
        ([*files("d/", 2), *files("e/", 2)], 3, set()),
        (files("", 9), 3, set()),
    ],
)
def test_directories_with_more_than_so_many_urls_are_purged_by_prefix_the_deepest_first(
    keys: list[str], over: int, directories: set[str]
) -> None:
    targets, decision = collapsed(cloudflare(), route(collapse=Collapse(over=over)), keys)
    assert set(decision.directories) == directories
    assert {target for target in targets if target.kind is TargetKind.PREFIX} == {prefix(path) for path in directories}
    left = [key for key in keys if not key.startswith(tuple(directories))]
    assert {target.value for target in targets if target.kind is TargetKind.URL} == {f"{A}/{key}" for key in left}
    assert (decision.left, decision.innocent) == (len(targets), None if directories else 0)


def test_harm_is_not_asked_for_unless_it_is_limited() -> None:
    bucket = Bucket(files("d/", 500))
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(over=3)), files("d/", 4), bucket)
    assert (decision.directories, decision.innocent, bucket.asked) == (("d/",), None, [])


@pytest.mark.parametrize(
    ("unchanged", "harm", "collapses"), [(8, 2.0, True), (9, 2.0, False), (0, 0.0, True), (1, 0.0, False)]
)
def test_harm_may_be_limited(unchanged: int, harm: float, collapses: bool) -> None:
    changed = files("d/", 4)
    bucket = Bucket(f"d/old-{number}" for number in range(unchanged))
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(over=3, harm=harm)), changed, bucket)
    assert decision.directories == (("d/",) if collapses else ())
    assert decision.innocent == (unchanged if collapses else 0)


def test_removed_objects_may_have_as_much_harm_as_created_ones() -> None:
    keys, rest = files("d/", 4), [f"d/old-{number}" for number in range(5)]
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(over=3, harm=1)), keys, Bucket(rest), REMOVED)
    assert decision.directories == ()
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(over=3, harm=1)), keys, Bucket(rest[:4]), REMOVED)
    assert (decision.directories, decision.innocent) == (("d/",), 4)


def test_unknown_harm_is_too_much() -> None:
    provider = cloudfront()
    demands = demands_of(provider, [route(collapse="budget")], [Change("b", key) for key in files("d/", 2000)])
    after, [decision] = collapse.collapse(demands, {"cdn": provider}, lambda *_: None)
    assert (len(after[0].wants), decision.directories) == (2000, ())


# Budget


def test_what_costs_nothing_is_not_collapsed() -> None:
    bucket = Bucket()
    _, decision = collapsed(cloudfront(), route(collapse="budget"), files("d/", 1000), bucket)
    assert (decision.directories, decision.dollars, bucket.asked) == ((), 0, [])
    assert decision.reason == "1000 targets are within the budget of 1000: collapsing would save nothing"


def test_what_is_over_the_free_thousand_is_collapsed_where_it_harms_least() -> None:
    changed = [*files("a/", 600), *files("b/", 600), *files("c/", 300)]
    bucket = Bucket([*(f"a/old-{number}" for number in range(500)), *(f"c/old-{number}" for number in range(10))])
    targets, decision = collapsed(cloudfront(), route(collapse="budget"), changed, bucket)
    assert decision.directories == ("b/",)
    assert (decision.targets, decision.left, decision.innocent, len(targets)) == (1500, 901, 0, 901)
    assert decision.dollars == pytest.approx(2.5)
    assert decision.reason == "1500 targets are over the budget of 1000; 901 are left"


def test_directories_with_too_much_unchanged_stay_and_cost() -> None:
    changed = files("a/", 1500)
    bucket = Bucket(f"a/old-{number}" for number in range(1501))
    _, decision = collapsed(cloudfront(), route(collapse="budget"), changed, bucket)
    assert (decision.directories, decision.dollars) == ((), 0)
    assert decision.reason == "1500 targets are over the budget of 1000, and all directories have too much unchanged"
    assert bucket.asked == [("a/", 1501)]


def test_budget_of_ones_own_holds_for_vendors_without_a_price() -> None:
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(budget=10)), files("a/", 20))
    assert (decision.directories, decision.left, decision.dollars) == (("a/",), 1, 0)


def test_budget_is_shared_by_the_routes_of_a_vendor() -> None:
    provider = cloudfront()
    routes = [route(prefix="fixed/"), route(prefix="x/", collapse="budget"), route(prefix="y/", collapse="budget")]
    keys = [*files("fixed/", 800), *files("x/a/", 150), *files("y/a/", 150)]
    _, decisions = collapse.collapse(
        demands_of(provider, routes, [Change("b", key) for key in keys]), {"cdn": provider}, Bucket().count
    )
    assert [(decision.left, decision.directories) for decision in decisions] == [(150, ()), (1, ("y/a/",))]


def test_no_more_wildcards_than_cloudfront_has_in_progress() -> None:
    changed = [key for number in range(40) for key in files(f"d{number:02}/", 100)]
    targets, decision = collapsed(cloudfront(), route(collapse="budget"), changed)
    assert len(decision.directories) == 15
    assert len(targets) == 15 + 25 * 100
    targets, decision = collapsed(cloudfront(), route(collapse=Collapse(over=50)), changed)
    assert len(decision.directories) == 15
    assert decision.reason.endswith("25 others are more than the vendor takes at once")


def test_a_parent_takes_the_place_of_its_directories_where_the_quota_is_used_up() -> None:
    changed = [key for number in range(40) for key in files(f"d/{number:02}/", 100)]
    targets, decision = collapsed(cloudfront(), route(collapse="budget"), changed)
    assert (targets, decision.directories) == ({prefix("d/")}, ("d/",))


# What a prefix covers


def test_two_hosts_of_a_distribution_are_one_path_and_two_prefixes_elsewhere() -> None:
    urls = (f"{A}/{{key}}", "https://b.example/x/{key}")
    one = route(urls=urls, collapse=Collapse(over=3))
    targets, decision = collapsed(cloudflare(), one, files("d/", 4))
    assert targets == {prefix("d/"), Target(TargetKind.PREFIX, "https://b.example/x/d/")}
    assert (decision.targets, decision.left) == (8, 2)
    _, decision = collapsed(
        cloudfront(), route(urls=(urls[0], "https://b.example/{key}"), collapse=one.collapse), files("d/", 4)
    )
    assert (decision.targets, decision.left) == (4, 1)


def test_directory_without_its_slash_is_not_below_its_own_prefix() -> None:  # "dir/*" covers neither
    one = route(index="index.html", bare=True, collapse=Collapse(over=2))
    targets, _ = collapsed(cloudflare(), one, ["d/e/index.html", "d/e/a", "d/e/b"])
    assert targets == {prefix("d/e/"), Target(TargetKind.URL, f"{A}/d/e")}


def test_urls_that_do_not_lie_in_the_directory_stay() -> None:
    one = route(urls=(f"{A}/{{key}}", f"{A}/thumb/{{name}}", f"{A}/q?of={{key}}"), collapse=Collapse(over=5))
    targets, _ = collapsed(cloudflare(), one, ["d/a", "d/b", "d/c", "d/e", "d/f", "d/g"])
    assert prefix("d/") in targets
    assert Counter(target.kind for target in targets) == {TargetKind.PREFIX: 1, TargetKind.URL: 12}


def test_queries_and_other_keys_below_the_directory_go_with_it() -> None:
    also = Also(keys=("*.png",), as_=("{dir}{stem}@2x.png",))
    urls = (f"{A}/{{key}}", f"{A}/{{key}}?w=9")
    one = route(urls=urls, also=(also,), spellings=("s3",), collapse=Collapse(over=7))
    targets, decision = collapsed(cloudflare(), one, ["d/a.png", "d/b.png"])
    assert (targets, decision.targets) == ({prefix("d/")}, 8)


def test_spellings_of_a_directory_are_all_purged() -> None:
    targets, _ = collapsed(cloudflare(), route(collapse=Collapse(over=3)), ["a b/c", "a b/d", "a b/e"])
    assert targets == {prefix("a%20b/"), prefix("a+b/")}


def test_everyone_who_asked_for_a_url_asks_for_the_prefix() -> None:
    provider = cloudflare()
    demands = demands_of(
        provider,
        [route(collapse=Collapse(over=2))],
        [Change("b", f"d/{n}", cause=f"m{n}", sequencer=f"{n}") for n in range(3)],
    )
    [after], _ = collapse.collapse(demands, {"cdn": provider}, Bucket().count)
    [job] = planner.plan("cdn", provider, [after]).jobs
    assert job.targets == ("a.example/d/",)
    assert job.messages == {"m0", "m1", "m2"}
    assert after.wants[prefix("d/")].marks == {"0", "1", "2"}


def test_what_was_bought_earlier_in_the_month_leaves_less_for_nothing() -> None:
    provider, spent = cloudfront(), {CLOUDFRONT: 400}
    found = []
    for _ in range(3):
        demands = demands_of(provider, [route(collapse="budget")], [Change("b", key) for key in files("d/", 350)])
        _, [decision] = collapse.collapse(demands, {"cdn": provider}, Bucket().count, spent)
        found.append((decision.left, decision.dollars))
    # 250, then 249 of the thousand are left.
    assert found == [(350, 0), (1, pytest.approx(100 * 0.005)), (1, pytest.approx(101 * 0.005))]
    assert spent == {CLOUDFRONT: 752}


# Never too wide


@pytest.mark.parametrize(
    ("members", "keys", "directories"),
    [
        ({"prefix": "s/"}, files("s/", 4), ("s/",)),
        ({"prefix": "s/", "urls": (f"{A}/{{path}}",)}, files("s/", 4), ()),
        ({"prefix": "s/", "urls": (f"{A}/{{path}}",), "allow_root": True}, files("s/", 4), ("s/",)),
        ({"prefix": "s/", "urls": (f"{A}/x/{{path}}",)}, files("s/", 4), ("s/",)),
        ({"prefix": "s/t"}, files("s/t", 4), ()),
        ({"prefix": "s/t"}, files("s/te/", 4), ("s/te/",)),
        ({"prefix": "s/t"}, [*files("s/te/", 2), *files("s/to/", 2)], ()),
        ({}, files("", 4), ()),
        ({}, files("/", 4), ()),  # Cloudflare merges slashes
        ({"prefix": "s", "urls": (f"{A}/{{path}}",)}, files("s/", 4), ()),
        ({"allow_root": True}, files("", 4), ("",)),
        ({"urls": (f"{A}/x/{{key}}",)}, files("", 4), ("",)),
    ],
)
def test_no_directory_is_wider_than_the_route_or_a_whole_host(
    members: dict[str, Any], keys: list[str], directories: tuple[str, ...]
) -> None:
    _, decision = collapsed(cloudflare(), route(collapse=Collapse(over=3), **members), keys)
    assert decision.directories == directories


def test_cloudfront_is_never_told_to_empty_the_distribution() -> None:
    one = route(collapse=Collapse(over=3), allow_root=True)
    targets, decision = collapsed(cloudfront(), one, files("", 10))
    assert (len(targets), decision.directories) == (10, ())


# For any deploy: never dearer, no more harm than allowed, everything still purged, nothing outside the route

FOLDERS = st.sampled_from(["", "p/", "p/a/", "p/a/x/", "p/a/y/", "p/b/", "p/b c/", "q/"])
KEYS = st.builds(lambda folder, name: folder + name, FOLDERS, st.sampled_from([f"k{number}" for number in range(12)]))
POLICIES = st.one_of(
    st.builds(lambda over, harm: Collapse(over=over, harm=harm), st.integers(1, 6), st.none() | st.floats(0, 3)),
    st.builds(lambda budget, harm: Collapse(budget=budget, harm=harm), st.integers(0, 20), st.none() | st.floats(0, 3)),
)


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.sampled_from([cloudfront(), cloudflare()]), POLICIES, st.sampled_from(["", "p/", "p/a"]), st.booleans(),
    st.sets(KEYS, min_size=1), st.sets(KEYS), st.sets(KEYS),
)  # fmt: skip
def test_collapsing_is_never_dearer_never_does_more_harm_and_never_misses(
    provider: Provider, policy: Collapse, start: str, root: bool, created: set[str], removed: set[str], others: set[str]
) -> None:
    removed -= created
    bucket = Bucket(others - removed - created)
    changes = [Change("b", key) for key in created] + [Change("b", key, REMOVED) for key in removed]
    one = route(collapse=policy, prefix=start, allow_root=root)
    before = demands_of(provider, [one], changes)
    after, decisions = collapse.collapse(before, {"cdn": provider}, bucket.count)
    jobs = [planner.plan("cdn", provider, demands).jobs for demands in (before, after)]
    old, new = ([target for job in made for target in job.targets] for made in jobs)
    assert len(new) <= len(old)
    assert len(jobs[1]) <= len(jobs[0]) + 1  # one call for URLs may become one for URLs and one for prefixes
    for decision in decisions:
        assert decision.left == len(new)
        harm = policy.harm if policy.harm is not None else 1.0 if policy.budget is not None else None
        for path in decision.directories:
            assert path.startswith(start)
            changed = {key for key in created | removed if key.startswith(path)}
            if harm is not None:
                assert bucket.below([path]) <= harm * len(changed)
        if harm is not None:
            assert decision.innocent == bucket.below(decision.directories)
        assert policy.budget is None or not decision.directories or decision.targets > policy.budget
    prefixes = [target.value for demand in after for target in demand.wants if target.kind is TargetKind.PREFIX]
    urls = {target.value for demand in after for target in demand.wants if target.kind is TargetKind.URL}
    assert all(len(unquote(text)) > len(f"{A}/{start}") - 1 and (root or text != f"{A}/") for text in prefixes)
    for demand in before:
        for target in demand.wants:
            assert target.value in urls or target.value.startswith(tuple(prefixes))


# From the event to the edge


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    with S3(monkeypatch) as found:
        yield found


TEXT = """
version: 1
providers:
  cf: {{type: cloudflare, endpoint: "{endpoint}", zone: {zone}, token: "${{env:CF_TOKEN}}"}}
routes:
  - {{bucket: acme-site, urls: ["https://acme.com/{{key}}"], purge: [cf], collapse: {{over: 3, harm: 1}}}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(("unchanged", "dropped"), [(4, True), (5, False)])
def test_deploy_is_purged_by_prefix_if_the_bucket_says_that_little_else_is_there(
    s3: S3, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, unchanged: int, dropped: bool
) -> None:
    caplog.set_level(logging.INFO, logger="multicdn")
    keys = [f"d/{number}" for number in range(4)]
    others = [f"d/old-{number}" for number in range(unchanged)]
    for key in keys:
        s3.put(f"acme-site/{key}")
    for key in others:
        s3.put(f"acme-site/{key}", age=60)
    with Origin() as origin, CloudflareSimulator(origin.url) as edge:
        monkeypatch.setenv("CF_TOKEN", edge.token)
        [zone] = edge.zones
        site = f"https://{zone.name}"
        text = TEXT.format(endpoint=edge.endpoint, zone=zone.id).replace("https://acme.com", site)
        loaded = config.parse(text, "c.yml", Plugins())
        for key in keys + others:
            origin.put(key, "old", {"Cache-Control": "max-age=600"})
            edge.fetch(f"{site}/{key}")
            origin.put(key, "new")
        dispatcher = Dispatcher(loaded, Plugins(), Delivery(loaded.providers, Terms(tries=2, base=0.01)))
        assert dispatcher.dispatch(batch(*keys), 30) == {"batchItemFailures": []}
        assert {edge.fetch(f"{site}/{key}").body for key in keys} == {b"new"}
        assert {edge.fetch(f"{site}/{key}").body for key in others} == {b"new" if dropped else b"old"}
    lines = [json.loads(record.message) for record in caplog.records if record.name == "multicdn"]
    told = [(line["targets"], line["left"], line["directories"]) for line in lines if line["event"] == "collapse"]
    assert told == ([(4, 1, ["d/"])] if dropped else [])


def test_only_purges_are_collapsed() -> None:
    provider = Full(token=Secret.literal("x"), service="s")
    one = route(preload=("cdn",), collapse=Collapse(over=2))
    demands = demands_of(provider, [one], [Change("b", key) for key in files("d/", 4)])
    after, _ = collapse.collapse(demands, {"cdn": provider}, Bucket().count)
    assert {(demand.action, len(demand.wants)) for demand in after} == {(Action.PURGE, 1), (Action.PRELOAD, 4)}
