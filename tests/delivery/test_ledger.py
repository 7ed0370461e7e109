"""Whatever vendors do: every target of every demand ends exactly once, and what is called accepted was accepted."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.scripted_provider import FakeClock, Finder, Scripted, Seen, accept, delivery, demand

from multicdn.delivery.ledger import Ledger
from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, SecretError, TargetsRefused
from multicdn.model import Action, Job, Outcome, Receipt, Status, Target, TargetKind
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from multicdn.routing.demand import Demand

NAMES = ("acme", "bravo", "charlie")
KINDS = (
    (Action.PURGE, TargetKind.URL, False),
    (Action.PURGE, TargetKind.URL, True),
    (Action.PURGE, TargetKind.TAG, False),
    (Action.PURGE, TargetKind.EVERYTHING, False),
    (Action.PRELOAD, TargetKind.URL, False),
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="multicdn")


def steps() -> st.SearchStrategy[str]:
    usual = ["accept", "busy", "throttled", "long wait", "one bad", "first bad", "all bad", "foreign", "call", "login"]
    return st.sampled_from([*usual, "secret", "bug", "none"])


def act(step: str, seen: Seen) -> Receipt:
    errors: dict[str, Exception] = {
        "busy": RetryLater("503"),
        "throttled": RetryLater("429", 2.0),
        "long wait": RetryLater("429", 500.0),
        "one bad": TargetsRefused("400"),
        "first bad": TargetsRefused("400", seen.targets[:1]),
        "all bad": TargetsRefused("400", seen.targets),
        "foreign": TargetsRefused("400", ["https://elsewhere/"]),
        "call": CallRefused("404"),
        "login": CredentialsRefused("401"),
        "secret": SecretError("${env:X}"),
        "bug": KeyError("zone"),
    }
    if step in errors:
        raise errors[step]
    return None if step == "none" else accept(seen)  # type: ignore[return-value]


class Vendor:
    """Acts out a script in any thread, and notes which targets it accepted."""

    def __init__(self, script: list[str], bad: set[str]) -> None:
        self._script: Iterator[str] = iter(script)
        self._bad = bad
        self.accepted: Counter[tuple[str, str]] = Counter()

    def __call__(self, seen: Seen) -> Receipt:
        step = next(self._script, "accept")
        if step == "accept" and self._bad & set(seen.targets):
            step = "one bad"
        receipt = act(step, seen)
        if receipt is not None:
            self.accepted.update((seen.method, target) for target in seen.targets or ("",))
        return receipt


# The ledger itself


def noted() -> tuple[Ledger, Job, list[Outcome]]:
    """A ledger with one open job, and what is told of its end."""
    told: list[Outcome] = []
    ledger = Ledger(told.append)
    job = Job("acme", Action.PURGE, TargetKind.URL, ("/1", "/2"), (frozenset(("m",)),) * 2)
    ledger.open([job])
    return ledger, job, told


def test_a_job_that_ends_twice_ended_as_it_did_first() -> None:
    ledger, job, told = noted()
    ledger.end(Outcome(job, Status.ACCEPTED))
    ledger.end(Outcome(job, Status.RETRY, "too late"))
    assert told == ledger.close() == [Outcome(job, Status.ACCEPTED)]


def test_what_ends_after_the_ledger_was_closed_counts_for_nothing() -> None:
    ledger, job, told = noted()
    outcomes = ledger.close()
    ledger.end(Outcome(job, Status.ACCEPTED))
    assert told == []
    assert ledger.close() == outcomes
    assert [outcome.status for outcome in outcomes] == [Status.RETRY]


def test_what_is_cut_after_the_ledger_was_closed_counts_as_it_was() -> None:
    ledger, job, _ = noted()
    outcomes = ledger.close()
    ledger.replace([job], job.halves(), [Outcome(job, Status.REJECTED, "too late")])
    assert ledger.close() == outcomes == [Outcome(job, Status.RETRY, outcomes[0].reason)]


# Delivery's use of it


@st.composite
def vendors(draw: st.DrawFn) -> Scripted:
    limits = Limits(
        targets=draw(st.integers(1, 6)),
        parallel=draw(st.integers(1, 3)),
        calls_per_second=draw(st.sampled_from([None, 0.1, 5.0])),
    )
    vendor = Vendor(draw(st.lists(steps(), max_size=12)), draw(st.sets(st.sampled_from("abcdefgh"))))
    return Scripted(limits=limits, limits_of_tags=Limits(targets=3), answer=vendor, spell=draw(spellings()))


def spellings() -> st.SearchStrategy[Callable[[Target], tuple[Target, ...]]]:
    def refused(target: Target) -> tuple[Target, ...]:
        if target.value == "a":
            raise TargetsRefused("never", ["a"])
        if target.value == "b":
            raise ValueError("bug")
        return (target,)

    return st.sampled_from([lambda target: (target,), refused])


@st.composite
def demands(draw: st.DrawFn, names: tuple[str, ...], buckets: tuple[str, ...] = ("site",)) -> list[Demand]:
    places = [(name, bucket, *what) for name in names for bucket in buckets for what in KINDS]
    found = []
    for name, bucket, action, kind, soft in draw(st.lists(st.sampled_from(places), unique=True, max_size=6)):
        values = [""] if kind is TargetKind.EVERYTHING else draw(st.lists(st.sampled_from("abcdefgh"), unique=True))
        if values:
            found.append(demand(values, name, action=action, kind=kind, bucket=bucket, soft=soft))
    return found


def wanted(all_demands: list[Demand]) -> Counter[tuple[str, Action, TargetKind, str]]:
    """What must end: a target wanted both soft and hard is one, by the hard purge."""
    return Counter(set(asked(all_demands)))


def asked(all_demands: list[Demand]) -> Counter[tuple[str, Action, TargetKind, str]]:
    return Counter((one.provider, one.action, target.kind, target.value) for one in all_demands for target in one.wants)


def ended(outcomes: Iterable[Outcome]) -> Counter[tuple[str, Action, TargetKind, str]]:
    return Counter(
        (outcome.job.provider, outcome.job.action, outcome.job.kind, target)
        for outcome in outcomes
        for target in outcome.job.targets
    )


def refused_both_ways(all_demands: list[Demand]) -> bool:
    """Whether a target that ``locate`` refuses is wanted soft and hard: then it is refused once for each."""
    return any(count > 1 and value in "ab" for (*_, value), count in asked(all_demands).items())


METHODS = {
    (Action.PURGE, TargetKind.URL): "purge_urls",
    (Action.PURGE, TargetKind.TAG): "purge_tags",
    (Action.PURGE, TargetKind.EVERYTHING): "purge_everything",
    (Action.PRELOAD, TargetKind.URL): "preload_urls",
}


@given(
    providers=st.tuples(vendors(), vendors(), vendors()),
    all_demands=demands(NAMES),
    seconds=st.sampled_from([0.1, 3.0, 40.0, 10_000.0]),
)
def test_every_target_ends_exactly_once(
    providers: tuple[Scripted, ...], all_demands: list[Demand], seconds: float
) -> None:
    report = delivery(*providers, tries=4).deliver(all_demands, seconds)
    assert wanted(all_demands) <= ended(report) <= asked(all_demands)
    if not refused_both_ways(all_demands):
        assert ended(report) == wanted(all_demands)


@given(provider=vendors(), all_demands=demands(NAMES[:1]), seconds=st.sampled_from([3.0, 40.0, 10_000.0]))
def test_accepted_is_what_the_vendor_accepted_once_and_within_its_limits(
    provider: Scripted, all_demands: list[Demand], seconds: float
) -> None:
    report = delivery(provider, tries=4).deliver(all_demands, seconds)
    told = Counter(
        (METHODS[outcome.job.action, outcome.job.kind], target)
        for outcome in report
        if outcome.status is Status.ACCEPTED
        for target in outcome.job.targets
    )
    assert isinstance(provider.answer, Vendor)
    accepted = provider.answer.accepted
    assert told <= accepted
    # With time to spare nobody is left behind in the middle of a call, and nothing is asked for twice.
    if seconds > 1000:
        assert told == accepted
    for seen in provider.calls:
        most = 3 if seen.method == "purge_tags" else provider.limits.targets
        assert len(seen.targets) <= most


@given(provider=vendors(), all_demands=demands(NAMES[:1]))
def test_calls_are_counted_once_and_messages_fail_exactly_if_something_was_not_accepted(
    provider: Scripted, all_demands: list[Demand]
) -> None:
    report = delivery(provider, tries=4).deliver(all_demands, 10_000)
    assert sum(outcome.calls for outcome in report) == len(provider.calls)
    open_ends = {f"m:{target}" for one in report if one.status is not Status.ACCEPTED for target in one.job.targets}
    assert report.failed_messages == open_ends


@given(
    parts=st.dictionaries(st.sampled_from(["east", "west"]), vendors()),
    trouble=st.dictionaries(st.sampled_from(["one", "two"]), st.sampled_from([RetryLater("x"), KeyError("x")])),
    all_demands=demands(NAMES[:1], ("one", "two")),
)
def test_with_discovery_every_target_ends_once_for_each_provider_found(
    parts: dict[str, Scripted], trouble: dict[str, Exception], all_demands: list[Demand]
) -> None:
    def find(bucket: str) -> dict[str, Scripted]:
        if bucket in trouble:
            raise trouble[bucket]
        return parts

    report = delivery(Finder(find=find), clock=FakeClock(), tries=3).deliver(all_demands, 10_000)
    expected = set()
    for one in all_demands:
        served = bool(parts) and one.bucket not in trouble
        names = [f"acme/{part}" for part in parts] if served else ["acme"]
        expected |= {(name, one.action, target.kind, target.value) for name in names for target in one.wants}
    assert set(ended(report)) == expected
