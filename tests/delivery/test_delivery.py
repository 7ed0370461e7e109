"""One provider: what delivery does with each error of the contract."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import FakeClock, Scripted, Seen, accept, delivery, demand, ends, of, script, urls

from multicdn.errors import (
    CallRefused,
    CredentialsRefused,
    ProviderError,
    RetryLater,
    SecretError,
    TargetsRefused,
)
from multicdn.model import Action, Rank, Receipt, Status, Target, TargetKind
from multicdn.provider import Limits, Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from kit.scripted_provider import Answer


def refuse(*bad: str, named: bool = False) -> Answer:
    """A vendor that refuses a whole call for one bad target in it, and may say for which."""

    def answer(seen: Seen) -> Receipt:
        found = [target for target in seen.targets if target in bad]
        if found:
            raise TargetsRefused("bad URL", found if named else ())
        return accept(seen)

    return answer


# Success


def test_accepted_batches_carry_the_vendors_receipt_and_the_number_of_calls() -> None:
    acme = Scripted(limits=Limits(targets=2))
    report = delivery(acme).deliver([demand(urls(3))], 60)
    assert [(outcome.status, outcome.calls, outcome.receipt.id) for outcome in report] == [
        (Status.ACCEPTED, 1, f"id-{urls(3)[0]}"),
        (Status.ACCEPTED, 1, f"id-{urls(3)[2]}"),
    ]
    assert [seen.targets for seen in acme.calls] == [tuple(urls(3)[:2]), tuple(urls(3)[2:])]
    assert report.undelivered == ()
    assert report.failed_messages == frozenset()


def test_nothing_to_do_is_an_empty_report() -> None:
    assert delivery(Scripted()).deliver([], 60).outcomes == ()


def test_everything_is_one_call_without_targets() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([demand([""], kind=TargetKind.EVERYTHING)], 60)
    assert [(seen.method, seen.targets) for seen in acme.calls] == [("purge_everything", ())]
    assert [outcome.status for outcome in report] == [Status.ACCEPTED]


def test_everything_refused_is_rejected_after_one_call() -> None:
    acme = Scripted(answer=script(TargetsRefused("not in your plan")))
    report = delivery(acme).deliver([demand([""], kind=TargetKind.EVERYTHING)], 60)
    assert [(outcome.status, outcome.calls) for outcome in report] == [(Status.REJECTED, 1)]


def test_soft_and_hard_go_out_in_calls_of_their_own() -> None:
    acme = Scripted()
    delivery(acme).deliver([demand(["https://a/1"], soft=True), demand(["https://a/2"])], 60)
    assert sorted((seen.targets, seen.call.soft) for seen in acme.calls) == [
        (("https://a/1",), True),
        (("https://a/2",), False),
    ]


def test_the_same_batch_keeps_its_reference_in_every_try_and_another_batch_has_another() -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(RetryLater("busy")))
    delivery(acme).deliver([demand(urls(2))], 60)
    references = {seen.targets: seen.call.reference for seen in acme.calls}
    assert len(acme.calls) == 3
    assert len({(seen.targets, seen.call.reference) for seen in acme.calls}) == 2
    assert len(set(references.values())) == 2


def test_no_call_may_take_longer_than_there_is_time() -> None:
    acme = Scripted()
    delivery(acme, connect=3.0, read=10.0).deliver([demand(urls(1))], 2.0)
    delivery(acme, connect=3.0, read=10.0).deliver([demand(urls(1))], 60.0)
    assert [(seen.call.connect, seen.call.read) for seen in acme.calls] == [(2.0, 2.0), (3.0, 10.0)]


# RetryLater


def test_waits_grow_from_try_to_try_up_to_the_longest() -> None:
    clock = FakeClock()
    acme = Scripted(answer=script(*[RetryLater("busy")] * 7))
    report = delivery(acme, clock=clock, tries=8, base=0.5, longest=4.0).deliver([demand(urls(1))], 600)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]
    assert [(outcome.status, outcome.calls) for outcome in report] == [(Status.ACCEPTED, 8)]
    assert report.outcomes[0].seconds == pytest.approx(sum(clock.slept))


def test_each_wait_is_drawn_at_random_from_zero_to_its_bound() -> None:
    bounds: list[float] = []

    def jitter(bound: float) -> float:
        bounds.append(bound)
        return bound / 4

    clock = FakeClock()
    acme = Scripted(answer=script(*[RetryLater("busy")] * 3))
    delivery(acme, clock=clock, jitter=jitter, base=0.5).deliver([demand(urls(1))], 600)
    assert bounds == [0.5, 1.0, 2.0]
    assert clock.slept == [0.125, 0.25, 0.5]


def test_without_a_jitter_of_its_own_delivery_draws_different_waits() -> None:
    from multicdn.delivery.delivery import Delivery
    from multicdn.delivery.invocation import Terms

    clock = FakeClock()
    acme = Scripted(answer=script(*[RetryLater("busy")] * 7))
    Delivery({"acme": acme}, Terms(base=1.0), clock).deliver([demand(urls(1))], 600)
    assert len(set(clock.slept)) == 7
    assert all(wait <= 2.0**tried for tried, wait in enumerate(clock.slept))


@pytest.mark.parametrize("jitter", [lambda most: 0.0, lambda most: most / 2, lambda most: most])
@pytest.mark.parametrize("after", [0.5, 7.0, 59.0])
def test_the_vendors_wait_is_never_undercut(after: float, jitter: Callable[[float], float]) -> None:
    clock = FakeClock()
    acme = Scripted(answer=script(RetryLater("throttled", after), RetryLater("throttled", after)))
    report = delivery(acme, clock=clock, jitter=jitter).deliver([demand(urls(1))], 600)
    assert len(clock.slept) == 2
    assert all(after <= wait <= max(1.0, after + 0.5) for wait in clock.slept)
    assert of(report, Status.ACCEPTED) == urls(1)


def test_a_vendor_that_asks_for_no_wait_at_all_still_gets_a_growing_one() -> None:
    clock = FakeClock()
    acme = Scripted(answer=script(*[RetryLater("busy", 0.0)] * 5))
    delivery(acme, clock=clock, base=0.5).deliver([demand(urls(1))], 600)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("after", [100.0, 3600.0, float("inf")])
def test_a_wait_beyond_the_time_left_ends_the_job_at_once_and_says_how_long(after: float) -> None:
    clock = FakeClock()
    acme = Scripted(answer=script(RetryLater("throttled", after)))
    [outcome] = delivery(acme, clock=clock).deliver([demand(urls(1))], 30)
    assert (outcome.status, outcome.reason, outcome.calls, outcome.throttled) == (Status.RETRY, "throttled", 1, 1)
    assert outcome.after is not None
    assert outcome.after >= after
    assert clock.slept == []


def test_no_other_batch_is_sent_to_a_vendor_that_asked_for_a_wait_beyond_the_time_left() -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(RetryLater("throttled", 3600)))
    report = delivery(acme).deliver([demand(urls(50))], 30)
    assert len(acme.calls) == 1
    assert of(report, Status.RETRY) == sorted(urls(50))
    assert all((outcome.after or 0) >= 3600 for outcome in report)


def test_a_wait_holds_back_the_whole_lane() -> None:
    clock = FakeClock()
    times: list[float] = []
    answer = script(RetryLater("throttled", 10.0))

    def timed(seen: Seen) -> Receipt:
        times.append(clock.now())
        return answer(seen)

    report = delivery(Scripted(limits=Limits(targets=1), answer=timed), clock=clock).deliver([demand(urls(3))], 60)
    assert [time >= 1010.0 for time in times] == [False, True, True, True]
    assert of(report, Status.ACCEPTED) == urls(3)


def test_tries_are_counted_for_each_batch() -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(*[RetryLater("busy")] * 5))
    report = delivery(acme, tries=3).deliver([demand(urls(2))], 600)
    # Both fail in turn: the first with its third try, the second after two of its own.
    assert sorted((outcome.status, outcome.calls) for outcome in report) == [(Status.ACCEPTED, 3), (Status.RETRY, 3)]


def test_a_target_that_always_fails_does_not_keep_the_others_from_being_delivered() -> None:
    poison = urls(40)[0]

    def answer(seen: Seen) -> Receipt:
        if poison in seen.targets:
            raise RetryLater("500")
        return accept(seen)

    acme = Scripted(limits=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([demand(urls(40))], 10)
    assert of(report, Status.RETRY) == [poison]
    assert of(report, Status.ACCEPTED) == sorted(urls(40)[1:])


def test_when_the_time_is_over_nothing_is_called() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([demand(urls(2))], 0.2)
    assert acme.calls == []
    assert of(report, Status.RETRY) == urls(2)


# TargetsRefused


def calls_to_find(bad: set[int], first: int = 0, last: int = 100) -> int:
    """Calls that halving takes: one for a batch, and both halves where a bad one is in it."""
    if last - first == 1 or bad.isdisjoint(range(first, last)):
        return 1
    middle = first + (last - first) // 2
    return 1 + calls_to_find(bad, first, middle) + calls_to_find(bad, middle, last)


@pytest.mark.parametrize("bad", [0, 1, 50, 63, 99])
def test_a_batch_is_halved_down_to_the_bad_target(bad: int) -> None:
    acme = Scripted(answer=refuse(urls(100)[bad]))
    report = delivery(acme).deliver([demand(urls(100))], 60)
    assert of(report, Status.REJECTED) == [urls(100)[bad]]
    assert of(report, Status.ACCEPTED) == sorted(set(urls(100)) - {urls(100)[bad]})
    assert len(acme.calls) == calls_to_find({bad})
    assert sum(outcome.calls for outcome in report) == len(acme.calls)
    assert report.failed_messages == {f"m:{urls(100)[bad]}"}


def test_two_bad_targets_among_a_hundred_are_both_found() -> None:
    bad = [urls(100)[10], urls(100)[90]]
    acme = Scripted(answer=refuse(*bad))
    report = delivery(acme).deliver([demand(urls(100))], 60)
    assert of(report, Status.REJECTED) == sorted(bad)
    assert len(of(report, Status.ACCEPTED)) == 98
    assert all(len(all_ends) == 1 for all_ends in ends(report).values())
    assert len(acme.calls) == calls_to_find({10, 90}) == 25
    assert sum(outcome.calls for outcome in report) == len(acme.calls)


def test_named_targets_are_left_out_in_one_more_call() -> None:
    bad = (urls(100)[3], urls(100)[77])
    acme = Scripted(answer=refuse(*bad, named=True))
    report = delivery(acme).deliver([demand(urls(100))], 60)
    assert len(acme.calls) == 2
    assert of(report, Status.REJECTED) == sorted(bad)
    assert len(of(report, Status.ACCEPTED)) == 98
    assert sum(outcome.calls for outcome in report) == 2


def test_when_all_targets_are_named_no_further_call_is_made() -> None:
    acme = Scripted(answer=refuse(*urls(5), named=True))
    report = delivery(acme).deliver([demand(urls(5))], 60)
    assert len(acme.calls) == 1
    assert of(report, Status.REJECTED) == urls(5)


def test_a_named_target_that_was_not_in_the_call_makes_the_batch_be_halved() -> None:
    acme = Scripted(answer=script(TargetsRefused("bad URL", ["https://elsewhere/"])))
    report = delivery(acme).deliver([demand(urls(4))], 60)
    assert [len(seen.targets) for seen in acme.calls] == [4, 2, 2]
    assert of(report, Status.ACCEPTED) == urls(4)


@pytest.mark.parametrize("count", [100, 3000])
def test_a_vendor_that_refuses_everything_is_not_asked_for_each_target(count: int) -> None:
    acme = Scripted(limits=Limits(targets=count), answer=refuse(*urls(count)))
    report = delivery(acme).deliver([demand(urls(count))], 600)
    assert len(acme.calls) <= 64
    assert of(report, Status.RETRY) == sorted(urls(count))
    assert {outcome.job.rank for outcome in report} == {Rank.ALONE}


@pytest.mark.parametrize("bad", [0, 1, 17, 49])
@pytest.mark.parametrize("count", [50, 3000])
def test_one_bad_target_is_found_wherever_it_stands(count: int, bad: int) -> None:
    acme = Scripted(limits=Limits(targets=count), answer=refuse(urls(count)[bad]))
    report = delivery(acme).deliver([demand(urls(count))], 600)
    assert of(report, Status.REJECTED) == [urls(count)[bad]]
    assert len(of(report, Status.ACCEPTED)) == count - 1
    assert len(acme.calls) <= 2 * count.bit_length() + 1


def test_halves_have_references_of_their_own_that_are_the_same_in_the_next_invocation() -> None:
    def references() -> list[str]:
        acme = Scripted(answer=refuse(urls(4)[0]))
        delivery(acme).deliver([demand(urls(4))], 60)
        return [seen.call.reference for seen in acme.calls]

    first = references()
    assert len(set(first)) == len(first) == 5
    assert references() == first


def test_targets_refused_by_locate_are_rejected_without_a_call() -> None:
    def spell(target: Target) -> tuple[Target, ...]:
        if target.value.endswith("/1"):
            raise TargetsRefused("no such thing here", [target.value])
        return (target,)

    acme = Scripted(spell=spell)
    report = delivery(acme).deliver([demand(urls(3))], 60)
    assert of(report, Status.REJECTED) == [urls(3)[1]]
    assert [seen.targets for seen in acme.calls] == [(urls(3)[0], urls(3)[2])]
    assert report.failed_messages == {f"m:{urls(3)[1]}"}


# CallRefused and CredentialsRefused


def test_what_a_refusal_stands_for_is_not_asked_and_says_why() -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(CallRefused("no such zone", "account")))
    report = delivery(acme).deliver([demand(urls(20))], 60)
    assert len(acme.calls) == 1
    assert len(of(report, Status.REFUSED)) == 1
    assert len(of(report, Status.UNASKED)) == 19
    assert {outcome.reason for outcome in report} == {"no such zone", "not asked, because no such zone"}


def test_a_refusal_of_all_that_there_is_stops_the_preloads_too() -> None:
    acme = Scripted(answer=script(CallRefused("no such zone", "account")))
    wanted = [demand(["https://a/1"]), demand(["https://a/2"], action=Action.PRELOAD)]
    report = delivery(acme).deliver(wanted, 60)
    assert len(acme.calls) == 1
    assert [outcome.status for outcome in report] == [Status.REFUSED, Status.UNASKED]


def rotating(valid: str, *values: str) -> tuple[Secret, list[str]]:
    """A secret that resolves to one value after the other, and the values handed out."""
    handed: list[str] = []
    left = list(values)

    def resolve() -> str:
        handed.append(left.pop(0) if len(left) > 1 else left[0])
        return handed[-1]

    return Secret("${test:token}", resolve), handed


def check_token(secret: Secret, valid: str) -> Answer:
    def answer(seen: Seen) -> Receipt:
        if secret.reveal() != valid:
            raise CredentialsRefused("401: bad token")
        return accept(seen)

    return answer


def test_a_rotated_secret_is_resolved_anew_and_the_job_goes_through() -> None:
    secret, handed = rotating("new", "old-value", "new-value")
    acme = Scripted(token=secret, answer=check_token(secret, "new-value"))
    report = delivery(acme).deliver([demand(urls(3))], 60)
    assert of(report, Status.ACCEPTED) == urls(3)
    assert handed == ["old-value", "new-value"]
    assert len(acme.calls) == 2


def test_a_secret_that_stays_refused_is_resolved_anew_only_once() -> None:
    secret, handed = rotating("new", "old-value")
    acme = Scripted(token=secret, limits=Limits(targets=1), answer=check_token(secret, "new-value"))
    report = delivery(acme).deliver([demand(urls(10))], 60)
    assert (len(of(report, Status.UNAUTHORIZED)), len(of(report, Status.UNASKED))) == (1, 9)
    assert handed == ["old-value", "old-value"]
    assert len(acme.calls) == 2


def test_calls_under_way_while_the_secret_is_renewed_do_not_count_as_refused_twice() -> None:
    """Four calls go out with the old secret at once; the refusal of the last must not stop the lane."""
    secret, handed = rotating("new", "old-value", "new-value")
    together = threading.Barrier(4)

    def answer(seen: Seen) -> Receipt:
        token = secret.reveal()
        if token == "old-value":
            together.wait(10)
            raise CredentialsRefused("401: bad token")
        return accept(seen)

    acme = Scripted(token=secret, limits=Limits(targets=1, parallel=4), answer=answer)
    report = delivery(acme).deliver([demand(urls(4))], 60)
    assert of(report, Status.ACCEPTED) == urls(4)
    assert handed == ["old-value", "new-value"]


def test_a_secret_that_cannot_be_resolved_refuses_the_lane_and_is_named() -> None:
    def answer(seen: Seen) -> Receipt:
        raise SecretError("${ssm:/acme/token}: no such parameter")

    acme = Scripted(limits=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([demand(urls(3))], 60)
    assert len(acme.calls) == 1
    assert (of(report, Status.UNAUTHORIZED), of(report, Status.UNASKED)) == (urls(1), urls(3)[1:])
    why = "${ssm:/acme/token}: no such parameter"
    assert [outcome.reason for outcome in report] == [why, *[f"not asked, because {why}"] * 2]


# Bugs of plugins


@pytest.mark.parametrize(
    "bug",
    [
        KeyError("zone"),
        RuntimeError("boom"),
        AssertionError(),
        ProviderError("raised the root class"),
        RetryLater("busy", "soon"),  # type: ignore[arg-type]
        StopIteration(),
    ],
    ids=lambda bug: type(bug).__name__,
)
def test_a_bug_in_a_plugin_costs_its_batch_and_no_other(bug: Exception, caplog: pytest.LogCaptureFixture) -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(bug))
    bravo = Scripted()
    report = delivery(acme, bravo).deliver([demand(urls(3)), demand(urls(3), "bravo")], 60)
    assert [ends(report)["acme", url] for url in urls(3)] == [[Status.RETRY], [Status.ACCEPTED], [Status.ACCEPTED]]
    assert [ends(report)["bravo", url] for url in urls(3)] == [[Status.ACCEPTED]] * 3
    [outcome] = report.undelivered
    assert outcome.reason.startswith("bug in the plugin: ")
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("answer", [None, True, {"id": "1"}, "ok"])
def test_an_answer_that_is_no_receipt_is_a_bug_and_not_a_success(answer: object) -> None:
    acme = Scripted(answer=lambda seen: answer)  # type: ignore[arg-type,return-value]
    report = delivery(acme).deliver([demand(urls(2))], 60)
    assert of(report, Status.RETRY) == urls(2)
    assert "instead of a Receipt" in report.outcomes[0].reason
    assert len(acme.calls) == 1


def test_a_bug_in_locate_costs_the_target_and_no_other(caplog: pytest.LogCaptureFixture) -> None:
    def spell(target: Target) -> tuple[Target, ...]:
        if target.value.endswith("/1"):
            raise ValueError("Invalid IPv6 URL")
        return (target,)

    report = delivery(Scripted(spell=spell)).deliver([demand(urls(3))], 60)
    assert of(report, Status.RETRY) == [urls(3)[1]]
    assert of(report, Status.ACCEPTED) == [urls(3)[0], urls(3)[2]]
    assert "Invalid IPv6 URL" in caplog.text


def test_a_locate_that_makes_a_kind_the_provider_lacks_leaves_everything_of_it_undelivered() -> None:
    acme = Scripted(spell=lambda target: (Target(TargetKind.PREFIX, target.value),))
    report = delivery(acme, Scripted()).deliver([demand(urls(2)), demand(urls(2), "bravo")], 60)
    assert [ends(report)["acme", url] for url in urls(2)] == [[Status.RETRY]] * 2
    assert [ends(report)["bravo", url] for url in urls(2)] == [[Status.ACCEPTED]] * 2


def test_a_provider_that_does_not_exist_is_undelivered_and_the_others_are_not() -> None:
    report = delivery(Scripted()).deliver([demand(urls(1), "nobody"), demand(urls(1))], 60)
    assert ends(report) == {("nobody", urls(1)[0]): [Status.REFUSED], ("acme", urls(1)[0]): [Status.ACCEPTED]}


def test_calls_that_are_throttled_are_counted_once_however_the_batch_is_cut() -> None:
    """Three waits, and it is halved; the halves are taken."""
    acme = Scripted(answer=script(*[RetryLater("429", 1.0)] * 3))
    report = delivery(acme).deliver([demand(urls(4))], 600)
    assert (len(report.outcomes), sum(each.calls for each in report), sum(each.throttled for each in report)) == (
        2,
        5,
        3,
    )
    busy = delivery(Scripted(answer=script(RetryLater("503"), RetryLater("503")))).deliver([demand(urls(1))], 60)
    assert [each.throttled for each in busy] == [0], "who asks for no wait has not throttled"
