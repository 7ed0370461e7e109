"""Jobs of earlier invocations, which come back from the queue and are merged with what is new."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.scripted_provider import Finder, Scripted, delivery, demand, ends, of, script, urls

from multicdn.errors import CallRefused, RetryLater, TargetsRefused
from multicdn.model import Action, Job, Status, Target, TargetKind
from multicdn.provider import Limits, Provider

if TYPE_CHECKING:
    from collections.abc import Mapping


def job(
    targets: list[str],
    provider: str = "acme",
    *,
    action: Action = Action.PURGE,
    kind: TargetKind = TargetKind.URL,
    soft: bool = False,
    reference: str = "ref",
    bucket: str = "",
) -> Job:
    causes = tuple(frozenset((f"back:{target}",)) for target in targets)
    return Job(provider, action, kind, tuple(targets), causes, soft, reference, bucket)


def found(providers: Mapping[str, Provider]) -> Finder:
    return Finder(find=lambda bucket: providers)


def test_what_came_back_and_what_is_new_share_a_call_and_targets_are_asked_for_once() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([demand(["https://a/1", "https://a/2"])], 60, [job(["https://a/0", "https://a/1"])])
    assert [sorted(seen.targets) for seen in acme.calls] == [["https://a/0", "https://a/1", "https://a/2"]]
    assert ends(report) == {("acme", f"https://a/{n}"): [Status.ACCEPTED] for n in range(3)}


def test_a_shared_target_that_fails_fails_the_messages_of_both() -> None:
    acme = Scripted(answer=script(TargetsRefused("bad URL")))
    report = delivery(acme).deliver([demand(["https://a/1"])], 60, [job(["https://a/1"])])
    assert report.failed_messages == {"m:https://a/1", "back:https://a/1"}


def test_a_job_that_comes_back_as_it_was_keeps_its_reference() -> None:
    acme = Scripted()
    delivery(acme).deliver([], 60, [job(urls(3), reference="as-before")])
    assert [seen.call.reference for seen in acme.calls] == ["as-before"]


def test_a_job_that_is_merged_with_something_new_has_a_reference_of_its_own() -> None:
    acme = Scripted()
    delivery(acme).deliver([demand(["https://a/new"])], 60, [job(urls(3), reference="as-before")])
    [seen] = acme.calls
    assert seen.call.reference not in ("", "as-before")


def test_targets_that_came_back_are_not_spelled_a_second_time() -> None:
    def spell(target: Target) -> tuple[Target, ...]:
        return (Target(target.kind, target.value.removeprefix("https://")),)

    acme = Scripted(spell=spell)
    report = delivery(acme).deliver([demand(["https://a/1"])], 60, [job(["a/0"]), job(["a/1"])])
    assert [sorted(seen.targets) for seen in acme.calls] == [["a/0", "a/1"]]
    assert of(report, Status.ACCEPTED) == ["a/0", "a/1"]


def test_a_job_that_could_not_be_spelled_before_is_spelled_now() -> None:
    def spell(target: Target) -> tuple[Target, ...]:
        return (Target(target.kind, target.value.removeprefix("https://")),)

    acme = Scripted(spell=spell)
    delivery(acme).deliver([], 60, [job(["https://a/1"], bucket="acme-site", reference="")])
    assert [seen.targets for seen in acme.calls] == [("a/1",)]


def test_a_target_that_locate_refused_is_asked_about_again_when_it_comes_back() -> None:
    """From the dead letters, after the config was mended."""
    refusals = [TargetsRefused("not in this zone")]

    def spell(target: Target) -> tuple[Target, ...]:
        if refusals:
            raise refusals.pop()
        return (Target(target.kind, target.value.removeprefix("https://")),)

    acme = Scripted(spell=spell)
    deliver = delivery(acme).deliver
    [rejected] = deliver([demand(["https://a/1"], soft=True)], 60)
    assert rejected.status is Status.REJECTED
    assert of(deliver([], 60, [rejected.job]), Status.ACCEPTED) == ["a/1"]
    assert [seen.call.soft for seen in acme.calls] == [True]


def test_a_target_that_a_part_could_not_spell_finds_its_way_back_to_it() -> None:
    bugs = [ValueError("bug")]

    def spell(target: Target) -> tuple[Target, ...]:
        if bugs:
            raise bugs.pop()
        return (target,)

    deliver = delivery(found({"east": Scripted(spell=spell)})).deliver
    [undelivered] = deliver([demand(urls(1))], 60)
    assert (undelivered.job.provider, undelivered.status) == ("acme/east", Status.RETRY)
    assert ends(deliver([], 60, [undelivered.job])) == {("acme/east", urls(1)[0]): [Status.ACCEPTED]}


def test_what_is_cut_off_by_the_end_of_the_time_can_be_given_back_as_it_is() -> None:
    acme = Scripted(limits=Limits(targets=1, calls_per_second=1))
    deliver = delivery(acme).deliver
    left = [outcome.job for outcome in deliver([demand(urls(30))], 10).undelivered]
    report = deliver([], 1000, left)
    assert of(report, Status.ACCEPTED) == sorted(target for one in left for target in one.targets)
    assert len(acme.calls) == 30


@pytest.mark.parametrize("seconds", [0.1, 60.0])
def test_a_job_of_a_provider_that_is_gone_from_the_config_is_refused(seconds: float) -> None:
    report = delivery(Scripted()).deliver([], seconds, [job(urls(2), "gone"), job(urls(1), "gone/east")])
    assert {name: status for (name, _), [status] in ends(report).items()} == {
        "gone": Status.REFUSED,
        "gone/east": Status.REFUSED,
    }


def test_a_job_that_its_provider_can_do_no_longer_is_refused_and_the_others_are_done() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([], 60, [job(["https://a/"], kind=TargetKind.PREFIX), job(urls(1))])
    assert ends(report) == {("acme", "https://a/"): [Status.REFUSED], ("acme", urls(1)[0]): [Status.ACCEPTED]}


def test_a_job_for_a_part_goes_to_that_part_alone_and_nobody_is_asked() -> None:
    east, west = Scripted(), Scripted()
    finder = found({"east": east, "west": west})
    report = delivery(finder).deliver([], 60, [job(urls(1), "acme/east")])
    assert ends(report) == {("acme/east", urls(1)[0]): [Status.ACCEPTED]}
    assert (len(east.calls), len(west.calls), finder.asked) == (1, 0, [])


def test_a_job_for_a_part_and_a_new_demand_share_a_call() -> None:
    east, west = Scripted(), Scripted()
    finder = found({"east": east, "west": west})
    report = delivery(finder).deliver([demand(["https://a/new"])], 60, [job(["https://a/old"], "acme/east")])
    assert [sorted(seen.targets) for seen in east.calls] == [["https://a/new", "https://a/old"]]
    assert [seen.targets for seen in west.calls] == [("https://a/new",)]
    assert Counter(status for all_ends in ends(report).values() for status in all_ends) == {Status.ACCEPTED: 3}


@pytest.mark.parametrize("part", ["gone", "", "../east"])
def test_a_job_for_a_part_that_cannot_be_made_is_refused_once(part: str) -> None:
    finder = found({"east": Scripted()})
    wanted = [job(urls(1), f"acme/{part}"), job(urls(1), "acme/east")]
    report = delivery(finder).deliver([], 60, wanted)
    assert ends(report) == {
        (f"acme/{part}", urls(1)[0]): [Status.REFUSED],
        ("acme/east", urls(1)[0]): [Status.ACCEPTED],
    }


def test_a_job_for_a_part_of_an_instance_that_stands_for_itself_now_is_refused() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([], 60, [job(urls(1), "acme/east"), job(urls(1))])
    assert ends(report) == {("acme/east", urls(1)[0]): [Status.REFUSED], ("acme", urls(1)[0]): [Status.ACCEPTED]}


def test_a_bucket_that_cannot_be_discovered_does_not_cost_the_jobs_that_came_back() -> None:
    east = Scripted()

    class Only(Finder):
        def part(self, name: str) -> Provider:
            return east

    def find(bucket: str) -> Mapping[str, Provider]:
        raise CallRefused("denied")

    report = delivery(Only(find=find)).deliver([demand(["https://a/new"])], 60, [job(["https://a/old"], "acme/east")])
    assert ends(report) == {
        ("acme", "https://a/new"): [Status.REFUSED],
        ("acme/east", "https://a/old"): [Status.ACCEPTED],
    }


def test_a_preload_that_came_back_follows_the_purges_of_now() -> None:
    acme = Scripted()
    wanted = [job(["https://a/old"], action=Action.PRELOAD), job(["https://a/old"])]
    delivery(acme).deliver([demand(["https://a/new"])], 60, wanted)
    assert [seen.method for seen in acme.calls] == ["purge_urls", "preload_urls"]


values = st.lists(st.sampled_from("abcdef"), unique=True, min_size=1)


@given(
    new=st.lists(values, max_size=2),
    back=st.lists(st.tuples(values, st.sampled_from(["", "bucket"])), max_size=4),
    troubles=st.lists(st.sampled_from([RetryLater("503"), TargetsRefused("400"), CallRefused("404")]), max_size=6),
)
def test_whatever_comes_back_every_target_ends_once_and_for_all_who_asked(
    new: list[list[str]], back: list[tuple[list[str], str]], troubles: list[Exception]
) -> None:
    acme = Scripted(limits=Limits(targets=2, parallel=2), answer=script(*troubles))
    returned = [job(one, bucket=bucket, reference=f"r{place}") for place, (one, bucket) in enumerate(back)]
    report = delivery(acme, tries=3).deliver([demand(one) for one in new], 10_000, returned)
    everything = {target for one in new for target in one} | {target for one, _ in back for target in one}
    assert ends(report).keys() == {("acme", target) for target in everything}
    assert all(len(all_ends) == 1 for all_ends in ends(report).values())
    asking = {f"m:{target}" for one in new for target in one} | {f"back:{target}" for one, _ in back for target in one}
    assert frozenset().union(*(outcome.job.messages for outcome in report)) == asking
