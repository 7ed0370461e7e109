"""Providers that stand for others, found out at run time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import FakeClock, Finder, Scripted, Seen, delivery, demand, ends, urls

from multicdn.delivery.clock import Clock
from multicdn.delivery.discovery import Discoveries
from multicdn.errors import CallRefused, CredentialsRefused, RetryLater, SecretError, TargetsRefused
from multicdn.model import Action, Receipt, Report, Status, Target
from multicdn.provider import Provider, Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def finding(found: Mapping[str, object]) -> Callable[[str], Mapping[str, Provider]]:
    """Answers for buckets by name: a mapping of providers, or an exception; a list is one answer after the other."""

    def find(bucket: str) -> Mapping[str, Provider]:
        answer = found[bucket]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]

    return find


def statuses(report: Report) -> dict[str, list[Status]]:
    return {f"{provider} {target}": found for (provider, target), found in ends(report).items()}


def test_each_provider_found_gets_every_target_under_a_name_of_its_own() -> None:
    east, west = Scripted(), Scripted()
    finder = Finder(find=finding({"acme-site": {"east": east, "west": west}}))
    report = delivery(finder).deliver([demand(["https://a/1"])], 60)
    assert statuses(report) == {
        "acme/east https://a/1": [Status.ACCEPTED],
        "acme/west https://a/1": [Status.ACCEPTED],
    }
    assert [len(east.calls), len(west.calls), len(finder.calls)] == [1, 1, 0]


def test_the_providers_found_do_not_share_their_trouble() -> None:
    def hopeless(seen: Seen) -> Receipt:
        raise CallRefused("no such distribution")

    finder = Finder(find=finding({"acme-site": {"east": Scripted(answer=hopeless), "west": Scripted()}}))
    report = delivery(finder).deliver([demand(["https://a/1"])], 60)
    assert statuses(report) == {
        "acme/east https://a/1": [Status.REFUSED],
        "acme/west https://a/1": [Status.ACCEPTED],
    }


def test_what_was_found_is_remembered_for_the_next_invocations_and_asked_anew_in_the_end() -> None:
    clock = FakeClock()
    finder = Finder(find=finding({"acme-site": {"east": Scripted()}}))
    deliver = delivery(finder, clock=clock).deliver
    deliver([demand(urls(1))], 60)
    clock.sleep(Discoveries.LIFETIME - 1)
    deliver([demand(urls(1))], 60)
    assert finder.asked == ["acme-site"]
    clock.sleep(2)
    deliver([demand(urls(1))], 60)
    assert finder.asked == ["acme-site", "acme-site"]


@pytest.mark.parametrize("trouble", [RetryLater("throttled", 1000.0), CallRefused("denied"), KeyError("Items"), {}])
def test_a_failed_discovery_is_not_remembered(trouble: object) -> None:
    finder = Finder(find=finding({"acme-site": [trouble, {"east": Scripted()}]}))
    deliver = delivery(finder).deliver
    assert deliver([demand(urls(1))], 60).failed_messages == {f"m:{urls(1)[0]}"}
    assert deliver([demand(urls(1))], 60).failed_messages == frozenset()


def test_a_discovery_is_retried_with_growing_waits() -> None:
    clock = FakeClock()
    busy = RetryLater("throttled")
    finder = Finder(find=finding({"acme-site": [busy, busy, busy, {"east": Scripted()}]}))
    report = delivery(finder, clock=clock, base=0.5).deliver([demand(urls(1))], 60)
    assert statuses(report) == {f"acme/east {urls(1)[0]}": [Status.ACCEPTED]}
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_discovery_gives_up_after_its_tries() -> None:
    finder = Finder(find=finding({"acme-site": RetryLater("throttled")}))
    report = delivery(finder, tries=3).deliver([demand(urls(2))], 600)
    assert finder.asked == ["acme-site"] * 3
    assert {tuple(found) for found in ends(report).values()} == {(Status.RETRY,)}


def test_a_discovery_that_must_wait_longer_than_there_is_time_says_how_long() -> None:
    clock = FakeClock()
    finder = Finder(find=finding({"acme-site": RetryLater("throttled", 90.0)}))
    [outcome] = delivery(finder, clock=clock).deliver([demand(urls(2))], 60)
    assert (outcome.status, outcome.reason, outcome.after) == (Status.RETRY, "throttled", 90.0)
    assert clock.slept == []


def test_a_discovery_is_not_begun_when_the_time_is_over() -> None:
    finder = Finder(find=finding({"acme-site": {"east": Scripted()}}))
    report = delivery(finder).deliver([demand(urls(1))], 0.1)
    assert finder.asked == []
    assert statuses(report) == {f"acme {urls(1)[0]}": [Status.RETRY]}


def test_finding_nothing_is_refused_and_names_the_bucket() -> None:
    finder = Finder(find=finding({"acme-site": {}}))
    [outcome] = delivery(finder).deliver([demand(urls(2))], 60)
    assert outcome.status is Status.REFUSED
    assert "acme-site" in outcome.reason
    assert finder.asked == ["acme-site"]


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (CallRefused("denied"), Status.REFUSED),
        (CredentialsRefused("expired"), Status.UNAUTHORIZED),
        (SecretError("${env:KEY}: missing"), Status.UNAUTHORIZED),
        (RetryLater("throttled", 1000.0), Status.RETRY),
        (TargetsRefused("an error that makes no sense here"), Status.REFUSED),
        (KeyError("Items"), Status.RETRY),
    ],
)
def test_of_two_buckets_the_failing_one_does_not_cost_the_other(trouble: object, status: Status) -> None:
    for order in (("bad", "good"), ("good", "bad")):
        east = Scripted()
        finder = Finder(find=finding({"bad": trouble, "good": {"east": east}}))
        wanted = [demand([f"https://{bucket}/1", f"https://{bucket}/2"], bucket=bucket) for bucket in order]
        report = delivery(finder).deliver(wanted, 60)
        assert statuses(report) == {
            "acme https://bad/1": [status],
            "acme https://bad/2": [status],
            "acme/east https://good/1": [Status.ACCEPTED],
            "acme/east https://good/2": [Status.ACCEPTED],
        }


def test_a_bucket_that_failed_ends_once_even_if_planning_for_the_other_runs_into_a_bug() -> None:
    def spell(target: Target) -> object:
        return 5  # not a sequence of targets

    broken = Scripted(spell=spell)  # type: ignore[arg-type]
    finder = Finder(find=finding({"bad": CallRefused("denied"), "good": {"east": broken}}))
    wanted = [demand(["https://bad/1"], bucket="bad"), demand(["https://good/1"], bucket="good")]
    report = delivery(finder).deliver(wanted, 60)
    assert statuses(report) == {"acme https://bad/1": [Status.REFUSED], "acme/east https://good/1": [Status.RETRY]}


def test_one_provider_found_for_two_buckets_gets_their_targets_in_one_call() -> None:
    east = Scripted()
    finder = Finder(find=finding({"one": {"east": east}, "two": {"east": east}}))
    wanted = [demand(["https://a/1"], bucket="one"), demand(["https://a/2"], bucket="two")]
    delivery(finder).deliver(wanted, 60)
    assert [seen.targets for seen in east.calls] == [("https://a/1", "https://a/2")]


def test_a_refused_credential_is_resolved_anew_once() -> None:
    handed: list[str] = []

    def resolve() -> str:
        handed.append(f"key-{len(handed) + 1}")
        return handed[-1]

    secret = Secret("${test:key}", resolve)

    def find(bucket: str) -> Mapping[str, Provider]:
        if secret.reveal() != "key-2":
            raise CredentialsRefused("expired")
        return {"east": Scripted()}

    finder = Finder(token=secret, find=find)
    report = delivery(finder).deliver([demand(urls(1))], 60)
    assert statuses(report) == {f"acme/east {urls(1)[0]}": [Status.ACCEPTED]}
    assert handed == ["key-1", "key-2"]


def test_a_discovery_that_hangs_leaves_the_other_providers_untouched() -> None:
    released = threading.Event()

    def find(bucket: str) -> Mapping[str, Provider]:
        released.wait(30)
        return {"east": Scripted()}

    finder = Finder(find=find)
    wanted = [demand(urls(2)), demand(urls(2), "bravo")]
    report = delivery(finder, Scripted(), clock=Clock()).deliver(wanted, 0.8)
    released.set()
    assert {name: found for (name, _), [found] in ends(report).items()} == {
        "acme": Status.RETRY,
        "bravo": Status.ACCEPTED,
    }


def test_preloads_go_to_the_providers_found_after_their_purges() -> None:
    order: list[str] = []

    def answer(seen: Seen) -> Receipt:
        order.append(seen.method)
        return Receipt()

    finder = Finder(find=finding({"acme-site": {"east": Scripted(answer=answer), "west": Scripted(answer=answer)}}))
    wanted = [demand(urls(1), action=Action.PRELOAD), demand(urls(1))]
    delivery(finder).deliver(wanted, 60)
    assert order == ["purge_urls", "purge_urls", "preload_urls", "preload_urls"]
