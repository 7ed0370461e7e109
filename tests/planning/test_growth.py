"""Nothing between the event and the queue grows faster than its input: operations are counted, not times."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.delivery.ledger import Ledger
from multicdn.model import Action, Change, Job, Outcome, Report, Status, Target, TargetKind
from multicdn.planning import planner
from multicdn.planning.collapse import collapse
from multicdn.provider import Call, Limits, PurgePrefixes, PurgeTags, PurgeUrls, Receipt, option
from multicdn.queue import retry
from multicdn.queue.retry import MessageHistory, RetryPolicy
from multicdn.routing.demand import Demand, Want
from multicdn.routing.route import Collapse, Route
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, kw_only=True)
class Covering(PurgeUrls, PurgePrefixes):
    """A vendor whose prefixes reach all below."""

    prefix_ending = "*"
    endpoint: str = option(default="https://api.acme.example", help="base URL")
    url_limits = prefix_limits = Limits(targets=1000)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt()

    purge_prefixes = purge_urls


@dataclass(frozen=True, kw_only=True)
class Acme(PurgeUrls, PurgePrefixes, PurgeTags):
    """A vendor that takes what it is asked."""

    endpoint: str = option(default="https://api.acme.example", help="base URL")
    url_limits = prefix_limits = tag_limits = Limits(targets=1000)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return Receipt()

    purge_prefixes = purge_tags = purge_urls


class Counted(frozenset[str]):
    """Ids of messages that count how many are copied where two of them are put together."""

    copied = 0

    def __or__(self, other: Any) -> Counted:  # type: ignore[override]
        joined = Counted(frozenset(self).union(other))
        Counted.copied += len(joined)
        return joined

    __ror__ = __or__


def operations(act: Callable[[], object]) -> int:
    """Calls of functions, Python's own and C's."""
    count = 0

    def profile(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def returned(number: int) -> list[Job]:
    """Jobs of one tag, from a message each."""
    return [
        Job("acme", Action.PURGE, TargetKind.TAG, ("news",), (Counted((f"m{n}",)),), reference=f"r{n}")
        for n in range(number)
    ]


def test_thousands_of_returned_jobs_of_one_tag_are_joined_once() -> None:
    """20,000 of them cost 314 microseconds each, and of different targets 8."""
    Counted.copied = 0
    [job] = planner.plan("acme", Acme(), [], returned(20_000)).jobs
    assert (job.targets, len(job.messages)) == (("news",), 20_000)
    assert Counted.copied <= 20_000


def collapsing(keys: Sequence[str], **policy: Any) -> Callable[[], Any]:
    route = Route(bucket="b", urls=("https://www.acme.com/{key}",), purge=("acme",), collapse=Collapse(**policy))
    provider = Acme()
    demands, _ = Router([route], {"acme": provider}).demands([Change("b", key, cause="m") for key in keys])
    return lambda: collapse(demands, {"acme": provider}, lambda *_: 0)


def folders(number: int) -> list[str]:
    return [f"f{n}/{name}" for n in range(number) for name in ("a", "b")]


def deep(number: int) -> list[str]:
    """Keys of 500 folders, of which no two share more than the first."""
    return [f"x/{n}/" + "d/" * 498 + "f" for n in range(number)]


def comb(number: int) -> list[str]:
    """Two keys in every folder of one long path."""
    return ["d/" * depth + name for depth in range(1, number + 1) for name in ("a", "b")]


@pytest.mark.parametrize("policy", [{"over": 1}, {"budget": 1}], ids=str)
@pytest.mark.parametrize(("keys", "size"), [(folders, 400), (deep, 60), (comb, 100)], ids=["folders", "deep", "comb"])
def test_collapsing_grows_no_faster_than_the_keys(
    keys: Callable[[int], list[str]], size: int, policy: dict[str, Any]
) -> None:
    """25,000 folders took 35 s, 2,000 keys of 500 folders 37 s."""
    few, many = (operations(collapsing(keys(number), **policy)) for number in (size, 4 * size))
    assert many < 5 * few


def test_deep_keys_take_no_more_memory_than_a_few_times_their_own() -> None:
    """2,000 keys of 500 folders took 691 MB."""
    keys = deep(300)
    act = collapsing(keys, over=1)
    tracemalloc.start()
    try:
        act()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 * sum(map(len, keys))


def test_a_vendor_that_takes_no_deep_prefix_is_asked_for_a_wider_one_in_the_same_folder() -> None:
    class Shallow(Acme):
        def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
            if target.kind is TargetKind.PREFIX and target.value.count("/") > 31:
                from multicdn.errors import TargetsRefused

                raise TargetsRefused("too deep")
            return (target,)

    keys = ["a/" + "d/" * 100 + name for name in "fgh"]
    route = Route(bucket="b", urls=("https://www.acme.com/{key}",), purge=("acme",), collapse=Collapse(over=1))
    demands, _ = Router([route], {"acme": Shallow()}).demands([Change("b", key, cause="m") for key in keys])
    [demand], _ = collapse(demands, {"acme": Shallow()}, lambda *_: 0)
    [target] = demand.wants
    assert target.kind is TargetKind.PREFIX
    assert 4 < target.value.count("/") <= 31


def test_to_look_for_urls_below_thousands_of_prefixes_takes_time_that_grows_with_their_number() -> None:
    def work(number: int) -> Callable[[], object]:
        wanted = [
            *(Target(TargetKind.PREFIX, f"/{'d' * (n % 50)}/{n}/*") for n in range(number)),
            *(Target(TargetKind.URL, f"/{'d' * (n % 50)}/{n}/x") for n in range(number)),
        ]
        demand = Demand("acme", Action.PURGE, False, "b", {target: Want({"m"}, {"1"}) for target in wanted})
        return lambda: planner.plan("acme", Covering(), [demand])

    assert operations(work(4000)) < 5 * operations(work(1000))


def undelivered(number: int, preload_targets: int = 20) -> Callable[[], Any]:
    """What is left of as many uploads at a vendor that takes one purge a call, and hung."""
    targets = [(f"https://www.acme.com/{n}", frozenset((f"m{n}",))) for n in range(number)]

    def job(action: Action, part: Sequence[tuple[str, frozenset[str]]]) -> Job:
        return Job("acme", action, TargetKind.URL, *map(tuple, zip(*part, strict=True)))  # type: ignore[arg-type]

    ledger = Ledger()
    ledger.open(job(Action.PURGE, [one]) for one in targets)
    ledger.open(
        job(Action.PRELOAD, targets[place : place + preload_targets]) for place in range(0, number, preload_targets)
    )
    return lambda: retry.decide(Report(tuple(ledger.close())), MessageHistory({}, {}, {}), RetryPolicy(), 0.0)


def test_preloads_that_wait_do_not_each_look_at_all_purges() -> None:
    """10,000 uploads took ten seconds, at the very end of a function's time."""
    assert operations(undelivered(1000)) < 2.5 * operations(undelivered(500))


def test_preloads_of_one_message_take_its_purges_along_once() -> None:
    """Each of them took all: the next time they had twenty times as many to be written and sent."""
    urls = tuple(f"https://www.acme.com/{n}" for n in range(1000))
    message = (frozenset("m"),) * 1000
    purge = Job("acme", Action.PURGE, TargetKind.URL, urls, message)
    loads = [
        Job("acme", Action.PRELOAD, TargetKind.URL, urls[n : n + 20], message[:20], purges=(purge,))
        for n in range(0, 1000, 20)
    ]
    report = Report(tuple(Outcome(job, Status.RETRY, "not purged") for job in loads))
    [decision] = retry.decide(report, MessageHistory({}, {}, {}), RetryPolicy(), 0.0)
    assert decision.queued.job.targets == urls
    assert decision.queued.job.purges == (purge,)
