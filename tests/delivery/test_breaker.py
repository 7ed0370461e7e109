"""The circuit breaker: when it opens, for how long, and what closes it. The clock is a fake one."""

from __future__ import annotations

import json

import pytest
from kit.scripted_provider import FakeClock, most

from multicdn.delivery.breaker import Breaker, WatchedCall
from multicdn.errors import CallRefused, RetryLater, SecretError


class Bench:
    """A breaker, and calls that end as they are told after as long as they are told."""

    def __init__(self, **settings: float) -> None:
        self.clock = FakeClock()
        self.breaker = Breaker("fastly", self.clock, most, **settings)

    def admit(self, attempts: int = 0) -> WatchedCall:
        call = self.breaker.admit(self, self, attempts)
        assert call is not None
        return call

    def fail(self, seconds: float = 0.1, after: float | None = None) -> None:
        call = self.admit()
        self.clock.sleep(seconds)
        self.breaker.failed(call, "503", after)

    def answer(self, seconds: float = 0.1) -> None:
        call = self.admit()
        self.clock.sleep(seconds)
        self.breaker.answered(call)

    def open(self) -> None:
        for _ in range(3):
            self.fail(0.5)
        assert self.breaker.pause() == 10


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_three_failures_in_a_row_over_a_second_open_it(bench: Bench) -> None:
    bench.fail(0.5)
    bench.fail(0.5)
    assert bench.breaker.pause() == 0
    bench.fail(0.5)
    assert bench.breaker.pause() == 10
    assert bench.breaker.admit(bench, bench) is None
    assert bench.breaker.reason == "not called, since its circuit breaker is open: 503"


def test_many_failures_at_one_moment_do_not(bench: Bench) -> None:
    calls = [bench.admit() for _ in range(16)]
    bench.clock.sleep(0.2)
    for call in calls:
        bench.breaker.failed(call, "connection failed (Connection reset by peer)")
    assert bench.breaker.pause() == 0


def test_an_answer_between_two_failures_starts_the_count_anew(bench: Bench) -> None:
    for _ in range(5):
        bench.fail(0.6)
        bench.fail(0.6)
        bench.answer()
    assert bench.breaker.pause() == 0


def test_refusals_are_answers_and_a_secret_that_cannot_be_read_is_none(bench: Bench) -> None:
    def end(error: Exception) -> None:
        call = bench.admit()
        bench.clock.sleep(0.6)
        with pytest.raises(type(error)), bench.breaker.watch(call):
            raise error

    for error in (RetryLater("503"), RetryLater("503"), CallRefused("404"), RetryLater("503"), RetryLater("503")):
        end(error)
    assert bench.breaker.pause() == 0
    end(SecretError("out"))
    assert bench.breaker.pause() == 0
    end(RetryLater("503"))
    assert bench.breaker.pause() == 10


def test_no_answer_for_long_opens_it_at_once_and_it_rests_eight_times_as_long(bench: Bench) -> None:
    bench.fail(10.0)
    assert bench.breaker.pause() == 80


def test_the_wait_that_the_vendor_asks_for_counts(bench: Bench) -> None:
    bench.fail(1.0)
    bench.fail(1.0)
    bench.fail(1.0, after=120.0)
    assert bench.breaker.pause() == 120


def test_after_the_pause_one_probe_is_let_through_and_its_answer_closes_it(bench: Bench) -> None:
    bench.open()
    bench.clock.sleep(10)
    probe = bench.admit()
    assert (probe.probe, probe.limit) == (True, 2.0)
    assert bench.breaker.admit(bench, bench) is None
    assert bench.breaker.is_probed_by(bench)
    assert not bench.breaker.is_probed_by(object())
    bench.breaker.answered(probe)
    assert bench.breaker.pause() == 0
    assert not bench.admit().probe


def test_each_failed_probe_doubles_the_pause_up_to_five_minutes(bench: Bench) -> None:
    bench.open()
    pauses = []
    for _ in range(7):
        bench.clock.sleep(bench.breaker.pause())
        bench.fail()
        pauses.append(round(bench.breaker.pause()))
    assert pauses == [20, 40, 80, 160, 300, 300, 300]


def test_no_pause_is_longer_than_it_may_be_unless_the_vendor_asks_for_it() -> None:
    bench = Bench(longest_pause=4.0)
    bench.fail(10.0)
    assert bench.breaker.pause() == 4
    bench.clock.sleep(4)
    bench.fail(0.1, after=60.0)
    assert bench.breaker.pause() == pytest.approx(60)


def test_calls_under_way_beside_those_that_opened_it_make_the_pause_no_longer(bench: Bench) -> None:
    """Sixteen at once, as at Fastly: the pause was five minutes after one blip."""
    calls = [bench.admit() for _ in range(16)]
    for call in calls:
        bench.clock.sleep(0.25)
        bench.breaker.failed(call, "503")
    assert bench.breaker.pause() == 7  # ten, of which three have passed meanwhile
    bench.clock.sleep(7)
    bench.fail()
    assert bench.breaker.pause() == pytest.approx(20)


def test_invocations_that_give_up_side_by_side_open_it_once() -> None:
    bench = Bench(longest_pause=30.0)
    for run in range(5):
        bench.breaker.admit(bench, run)
    bench.clock.sleep(2.5)
    for run in range(5):
        bench.breaker.give_up(run)
    bench.clock.sleep(bench.breaker.pause())
    bench.breaker.dropped(bench.admit())
    bench.fail()
    assert bench.breaker.pause() == pytest.approx(20)


def test_a_wait_that_a_vendor_asks_for_meanwhile_counts(bench: Bench) -> None:
    late = bench.admit()
    bench.open()
    bench.breaker.failed(late, "429", after=50.0)
    assert bench.breaker.pause() == 50


@pytest.mark.parametrize("asked", [1e9, float("inf")])
def test_nobody_asks_for_more_than_an_hour(asked: float) -> None:
    """As a date in the year 2100 would, or a clock that is wrong: a process may live for months."""
    bench = Bench()
    bench.fail(5.0, after=asked)
    assert bench.breaker.pause() == 3600


def test_a_probe_that_never_ends_does_not_keep_it_open_for_ever(bench: Bench) -> None:
    """Its plugin has no time limit, and its invocation ended before it was late."""
    bench.open()
    bench.clock.sleep(10)
    bench.breaker.admit(bench, "an invocation")
    bench.clock.sleep(0.3)
    bench.breaker.give_up("an invocation")
    assert bench.breaker.admit(bench, "another") is None
    bench.clock.sleep(5)
    bench.answer()
    assert bench.breaker.pause() == 0


def test_up_to_a_half_of_the_pause_is_left_to_chance() -> None:
    breaker = Breaker("fastly", clock := FakeClock(), lambda _: 0.0)
    for _ in range(3):
        call = breaker.admit(clock, clock)
        assert call is not None
        clock.sleep(1)
        breaker.failed(call, "503")
    assert breaker.pause() == 5


def test_a_probe_that_ends_without_a_word_about_the_vendor_leaves_the_next_one_its_turn(bench: Bench) -> None:
    bench.open()
    bench.clock.sleep(10)
    bench.breaker.dropped(bench.admit())
    assert bench.admit().probe


def test_a_call_that_nobody_waits_for_counts_as_failed_and_its_late_end_as_nothing(bench: Bench) -> None:
    call = bench.admit()
    bench.clock.sleep(3)
    bench.breaker.give_up(bench)
    assert bench.breaker.pause() == 24
    bench.clock.sleep(7)
    bench.breaker.failed(call, "no answer within 10 s")
    assert bench.breaker.pause() == 17


def test_an_invocation_gives_up_its_own_calls_and_not_those_of_another_that_runs_beside_it() -> None:
    bench = Bench()
    bench.admit()
    bench.clock.sleep(2.5)
    bench.breaker.give_up("another")
    assert bench.breaker.pause() == 0
    bench.breaker.give_up(bench)
    assert bench.breaker.pause() > 0


def test_a_call_that_takes_no_longer_than_usual_is_not_given_up(bench: Bench) -> None:
    bench.admit()
    bench.clock.sleep(1.9)
    bench.breaker.give_up(bench)
    assert bench.breaker.pause() == 0


def test_a_slow_vendor_is_waited_for_when_its_answer_shows_how_slow_it_is(bench: Bench) -> None:
    late = bench.admit()
    bench.clock.sleep(3)
    bench.breaker.give_up(bench)
    bench.clock.sleep(2)
    bench.breaker.answered(late)
    bench.clock.sleep(bench.breaker.pause())
    probe = bench.admit()
    assert probe.limit == 7.5
    bench.clock.sleep(5)
    bench.breaker.answered(probe)
    assert bench.breaker.pause() == 40  # one call of 5 s in 45 s
    bench.clock.sleep(40)
    bench.answer(0.3)
    assert bench.breaker.pause() == 0


def test_the_first_answer_may_be_slow_since_an_sdk_may_have_been_imported(bench: Bench) -> None:
    bench.answer(6.0)
    assert bench.breaker.pause() == 0
    bench.answer(6.0)
    assert bench.breaker.pause() == 48


def test_first_calls_side_by_side_wait_for_the_same_import(bench: Bench) -> None:
    """On a busy machine the second of two opened it for half a minute."""
    first, second = bench.admit(), bench.admit()
    bench.clock.sleep(4.3)
    bench.breaker.answered(first)
    bench.breaker.answered(second)
    assert bench.breaker.pause() == 0


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 2), (1, 4), (2, 8), (3, 10), (5000, 10)])
def test_what_has_been_tried_in_vain_is_waited_for_longer(bench: Bench, attempts: int, seconds: float) -> None:
    """Else a process that is new each time would never learn that a vendor is only slow."""
    assert bench.admit(attempts).usual == seconds


def test_where_nothing_can_wait_elsewhere_it_never_opens() -> None:
    bench = Bench(enabled=False)
    for _ in range(20):
        bench.fail(10.0)
    assert bench.breaker.pause() == 0


def test_each_change_of_its_state_is_in_the_log(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "multicdn")
    bench.open()
    bench.clock.sleep(10)
    bench.fail()
    bench.clock.sleep(20)
    bench.answer()
    lines = [json.loads(record.message) for record in caplog.records]
    assert [(line["event"], line["provider"], line["state"]) for line in lines] == [
        ("breaker", "fastly", state) for state in ("open", "half-open", "open", "half-open", "closed")
    ]
    assert (lines[0]["reason"], lines[0]["failures"], lines[0]["seconds"]) == ("503", 3, 10.0)
