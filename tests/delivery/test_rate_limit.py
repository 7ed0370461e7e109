"""How fast calls follow each other: the vendor's limits, its budgets, and the waits that it asks for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.scripted_provider import FakeClock, Scripted, Seen, accept, delivery, demand, of, script, urls

from multicdn.delivery.rate_limit import SlidingWindow, TokenBucket
from multicdn.errors import RetryLater
from multicdn.model import Receipt, Status, TargetKind
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Callable


def started(limits: Limits, count: int, invocations: int = 1, concurrency: int = 1) -> list[float]:
    """The moments at which calls of one target start, in seconds since the first."""
    clock = FakeClock()
    moments: list[float] = []

    def answer(seen: Seen) -> Receipt:
        moments.append(clock.now())
        return accept(seen)

    deliver = delivery(Scripted(limits=limits, answer=answer), clock=clock, concurrency=concurrency).deliver
    for _ in range(invocations):
        deliver([demand(urls(count))], 1000)
    return [moment - moments[0] for moment in moments]


@pytest.mark.parametrize(
    ("limits", "concurrency", "gap"),
    [
        (Limits(targets=1, calls_per_second=2), 1, 0.5),
        (Limits(targets=1, calls_per_second=2), 4, 2.0),
        (Limits(targets=1, targets_per_second=4), 1, 0.25),
        (Limits(targets=1, targets_per_second=4, calls_per_second=2), 1, 0.5),
        (Limits(targets=1), 4, 0.0),
    ],
)
def test_calls_keep_the_distance_that_the_limits_and_the_concurrency_ask_for(
    limits: Limits, concurrency: int, gap: float
) -> None:
    assert started(limits, 4, concurrency=concurrency) == [0.0, gap, 2 * gap, 3 * gap]


def test_a_full_batch_of_targets_takes_its_share_of_the_pace() -> None:
    assert started(Limits(targets=10, targets_per_second=5), 20) == [0.0, 2.0]


def test_the_pace_is_kept_from_one_invocation_to_the_next() -> None:
    assert started(Limits(targets=1, calls_per_second=2), 2, invocations=2) == [0.0, 0.5, 1.0, 1.5]


def test_calls_that_are_never_made_do_not_slow_the_next_invocation() -> None:
    clock = FakeClock()
    acme = Scripted(limits=Limits(targets=1, calls_per_second=1))
    deliver = delivery(acme, clock=clock).deliver
    first = deliver([demand(urls(500))], 10)
    assert len(of(first, Status.ACCEPTED)) == 10
    clock.sleep(10)
    second = deliver([demand(of(first, Status.PACED))], 10)
    assert len(of(second, Status.ACCEPTED)) == 10
    assert len(acme.calls) == 20


def test_a_job_whose_turn_comes_too_late_says_when() -> None:
    acme = Scripted(limits=Limits(targets=1, calls_per_second=0.01))
    report = delivery(acme).deliver([demand(urls(2))], 60)
    [late] = report.undelivered
    assert (late.status, late.after, late.calls) == (Status.PACED, 100.0, 0)


def test_providers_of_one_vendor_have_a_pace_each() -> None:
    clock = FakeClock()
    slow = Limits(targets=1, calls_per_second=1)
    report = delivery(Scripted(limits=slow), Scripted(limits=slow), clock=clock).deliver(
        [demand(urls(1)), demand(urls(1), "bravo")], 60
    )
    assert len(report.outcomes) == 2
    assert clock.slept == []


def test_a_call_that_waits_for_its_turn_still_heeds_a_wait_that_the_vendor_asks_for_meanwhile() -> None:
    turn, pause = 1.0, 30.0
    waiting, throttled, decided = threading.Event(), threading.Event(), threading.Event()

    class Gate(FakeClock):
        """Time stands still for the throttled one until the one that waited for its turn calls, or waits again."""

        def sleep(self, seconds: float) -> None:
            if seconds <= turn:
                waiting.set()
                assert throttled.wait(10)
            elif throttled.is_set():
                decided.set()
            else:
                throttled.set()
                assert decided.wait(10)
            super().sleep(seconds)

    clock = Gate()
    moments: list[float] = []
    first = script(RetryLater("throttled", pause))

    def answer(seen: Seen) -> Receipt:
        moments.append(clock.now())
        assert waiting.wait(10)
        if throttled.is_set():
            decided.set()
        return first(seen)

    acme = Scripted(limits=Limits(targets=1, calls_per_second=1 / turn, parallel=2), answer=answer)
    report = delivery(acme, clock=clock).deliver([demand(urls(2))], 600)
    assert len(of(report, Status.ACCEPTED)) == 2
    assert moments[0] == 1000.0
    assert all(moment >= 1000.0 + pause for moment in moments[1:])


def test_calls_after_a_quiet_time_may_follow_each_other_as_far_as_the_vendor_lets_them() -> None:
    assert started(Limits(targets=1, calls_per_second=2, burst=3), 5) == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert started(Limits(targets=1, targets_per_second=2, target_burst=3), 5) == [0.0, 0.0, 0.0, 0.5, 1.0]


def test_a_burst_is_shared_by_the_invocations_that_run_at_once() -> None:
    assert started(Limits(targets=1, calls_per_second=2, burst=4), 4, concurrency=2) == [0.0, 0.0, 1.0, 2.0]


def test_where_both_calls_and_targets_are_limited_neither_goes_too_fast() -> None:
    """A large batch has to wait for its targets; the small one after it still has to wait for its turn as a call."""
    clock = FakeClock()
    moments: list[float] = []

    def answer(seen: Seen) -> Receipt:
        moments.append(clock.now() - 1000.0)
        return accept(seen)

    limits = Limits(targets=100, targets_per_second=10, calls_per_second=0.5)
    delivery(Scripted(limits=limits, answer=answer), clock=clock).deliver([demand(urls(201))], 1000)
    assert moments == [0.0, 10.0, 12.0]


def test_calls_that_wait_too_long_for_their_targets_do_not_use_up_the_turns_of_calls() -> None:
    clock = FakeClock()
    acme = Scripted(limits=Limits(targets=10, targets_per_second=1, calls_per_second=1))
    deliver = delivery(acme, clock=clock).deliver
    assert len(deliver([demand(urls(500))], 5).undelivered) == 49
    clock.sleep(10)
    deliver([demand(urls(10))], 5)
    assert len(acme.calls) == 2


@pytest.mark.parametrize(("quota", "moments"), [("", [0.0, 0.0]), ("account", [0.0, 2.0])])
def test_methods_and_instances_with_one_budget_share_its_pace(quota: str, moments: list[float]) -> None:
    limits = Limits(targets=100, calls_per_second=0.5, quota=quota)
    for wanted in (
        [demand(urls(1)), demand(["a-tag"], kind=TargetKind.TAG)],
        [demand(urls(1)), demand(urls(1), "bravo")],
    ):
        clock = FakeClock()
        providers = [Scripted(limits=limits, limits_of_tags=limits) for _ in range(2)]
        delivery(*providers, clock=clock).deliver(wanted, 60)
        assert clock.now() - 1000.0 == moments[-1]


def test_a_vendor_whose_budget_is_used_up_is_left_alone_for_as_long_as_it_says() -> None:
    clock = FakeClock()
    acme = Scripted(limits=Limits(targets=1), answer=script(Receipt("first", pause=40.0)))
    report = delivery(acme, clock=clock).deliver([demand(urls(3))], 60)
    assert clock.slept == [40.0]
    assert len(of(report, Status.ACCEPTED)) == 3


def test_a_pause_beyond_the_time_left_leaves_the_rest_for_later() -> None:
    acme = Scripted(limits=Limits(targets=1), answer=script(Receipt("first", pause=400.0)))
    report = delivery(acme).deliver([demand(urls(3))], 60)
    assert len(acme.calls) == 1
    assert [outcome.after for outcome in report.undelivered] == [400.0, 400.0]


@pytest.mark.parametrize("throttled", [2, 3, 7])
def test_a_batch_that_is_throttled_again_and_again_is_halved(throttled: int) -> None:
    acme = Scripted(answer=script(*[RetryLater("429", 1.0)] * throttled))
    report = delivery(acme, tries=20).deliver([demand(urls(8))], 1000)
    assert len(of(report, Status.ACCEPTED)) == 8
    assert {len(seen.targets) for seen in acme.calls} == ({8} if throttled < 3 else {8, 4})
    assert sum(outcome.calls for outcome in report) == len(acme.calls)


def test_a_vendor_that_admits_small_batches_only_gets_everything_in_the_end() -> None:
    def answer(seen: Seen) -> Receipt:
        if len(seen.targets) > 3:
            raise RetryLater("429", 0.5)
        return accept(seen)

    report = delivery(Scripted(answer=answer), tries=8).deliver([demand(urls(12))], 1000)
    assert len(of(report, Status.ACCEPTED)) == 12


def test_a_lane_in_which_one_batch_after_the_other_fails_waits_longer_and_longer() -> None:
    clock = FakeClock()
    acme = Scripted(limits=Limits(targets=1), answer=script(*[RetryLater("503")] * 5))
    delivery(acme, clock=clock, base=0.5).deliver([demand(urls(5))], 1000)
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_pace_of_nothing_never_waits() -> None:
    bucket = TokenBucket(0.0, 1.0)
    bucket.book(100, 0.0)
    assert bucket.start(100, 0.0) == 0.0


def test_a_pace_fills_up_to_its_burst_and_no_further() -> None:
    bucket = TokenBucket(2.0, 4.0)
    bucket.book(4, 100.0)
    assert bucket.start(1, 100.0) == 100.5
    assert bucket.start(4, 1000.0) == 1000.0
    bucket.book(4, 1000.0)
    assert bucket.start(4, 1000.0) == 1002.0


def test_within_any_window_there_are_no_more_targets_than_it_holds() -> None:
    limits = Limits(targets=2, targets_per_second=0.1, target_window=60.0)
    assert started(limits, 15) == [0.0, 0.0, 0.0, 61.0, 61.0, 61.0, 122.0, 122.0]
    assert started(limits, 6, concurrency=3) == [0.0, 61.0, 122.0]


def test_a_window_frees_what_it_holds_in_the_order_of_use() -> None:
    window = SlidingWindow(100, 59.0)
    window.book(60, 0.0)
    window.book(40, 20.0)
    assert [window.start(amount, 30.0) for amount in (1, 60, 61, 100, 500)] == [60.0, 60.0, 80.0, 80.0, 80.0]
    window.book(1, 60.0)
    assert window.start(1, 30.0) == 60.0
    assert window.start(100, 30.0) == 120.0


def test_who_asks_about_a_later_moment_and_books_nothing_frees_nothing() -> None:
    """A lane whose vendor wants a long wait asks so, and another instance of the same account goes on."""
    window = SlidingWindow(100, 59.0)
    window.book(100, 1000.0)
    assert window.start(1, 5000.0) == 5000.0
    assert window.start(1, 1001.0) == 1060.0


def test_what_is_smaller_does_not_slip_in_before_what_is_booked() -> None:
    window = SlidingWindow(100, 59.0)
    window.book(40, 0.0)
    window.book(70, 60.0)
    assert window.start(30, 10.0) == 60.0
    window.give_back(70, 60.0)
    assert window.start(60, 10.0) == 10.0


def test_a_call_larger_than_the_window_uses_up_as_many_as_it_takes() -> None:
    window = SlidingWindow(25, 59.0)
    window.book(100, 0.0)
    assert window.start(25, 1.0) == 240.0
    window.give_back(100, 0.0)
    assert window.start(25, 1.0) == 1.0


@pytest.mark.parametrize(
    "make", [lambda: TokenBucket(1.0, 10.0), lambda: SlidingWindow(10, 59.0)], ids=["bucket", "window"]
)
@given(
    booked=st.lists(st.tuples(st.integers(1, 25), st.integers(0, 30)), min_size=1, max_size=8),
    place=st.integers(0, 7),
    used=st.integers(0, 24),
)
def test_what_is_given_back_leaves_no_trace_and_what_others_have_booked_stands(
    make: Callable[[], TokenBucket | SlidingWindow], booked: list[tuple[int, int]], place: int, used: int
) -> None:
    """Of a booking in the midst of others, all or a part."""
    given, whole, now = place % len(booked), make(), 0.0
    moments = []
    for amount, pause in booked:
        now += pause
        moments.append(whole.start(amount, now))
        whole.book(amount, moments[-1])
    used = min(used, booked[given][0] - 1)
    whole.give_back(booked[given][0], moments[given], used)
    fresh = make()
    for number, ((amount, _), at) in enumerate(zip(booked, moments, strict=True)):
        if left := used if number == given else amount:
            fresh.book(left, at)
    for amount in (1, 10, 25):
        for at in (now, now + 7.0, now + 70.0):
            assert whole.start(amount, at) == pytest.approx(fresh.start(amount, at))


def test_a_booking_too_old_to_be_remembered_is_given_back_all_the_same() -> None:
    bucket = TokenBucket(1.0, 1.0)
    for number in range(3000):
        bucket.book(1, float(number))
    for number in reversed(range(3000)):
        bucket.give_back(1, float(number))
    assert bucket.start(1, 0.0) == 0.0


def test_a_call_larger_than_the_burst_waits_for_a_full_bucket_and_is_paid_for_afterwards() -> None:
    bucket = TokenBucket(1.0, 2.0)
    assert bucket.start(10, 0.0) == 0.0
    bucket.book(10, 0.0)
    assert bucket.start(1, 0.0) == 9.0
