"""Several calls and several providers at once: parallel calls, hanging vendors, the end of the time."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import Finder, Hanging, ManualClock, Scripted, Seen, accept, delivery, demand, ends, of, urls

from multicdn.delivery.clock import Clock
from multicdn.delivery.lane import side_by_side
from multicdn.delivery.patience import Patience
from multicdn.errors import TargetsRefused
from multicdn.model import Action, Receipt, Status, Target, TargetKind
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds of an invocation in which one vendor hangs: enough for the others even on a busy machine.
SHORT = 0.8


class Meter:
    """A vendor that counts how many calls are under way, and waits until so many are."""

    def __init__(self, expected: int, seconds: float = 0.0) -> None:
        self.highest = 0
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()
        self._together = threading.Barrier(expected)

    def __call__(self, seen: Seen) -> Receipt:
        with self._lock:
            self._now += 1
            self.highest = max(self.highest, self._now)
        self._together.wait(10)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return accept(seen)


def wait_for_threads_to_end(before: set[threading.Thread]) -> None:
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before


# Calls at once


def test_as_many_calls_are_under_way_as_the_limits_allow_and_never_more() -> None:
    meter = Meter(4)
    acme = Scripted(limits=Limits(targets=1, parallel=4), answer=meter)
    report = delivery(acme, clock=Clock()).deliver([demand(urls(20))], 30)
    assert meter.highest == 4
    assert len(of(report, Status.ACCEPTED)) == 20


def test_one_call_at_a_time_unless_the_limits_say_otherwise() -> None:
    meter = Meter(1, seconds=0.002)
    report = delivery(Scripted(limits=Limits(targets=1), answer=meter)).deliver([demand(urls(10))], 30)
    assert meter.highest == 1
    assert len(of(report, Status.ACCEPTED)) == 10


def test_each_method_keeps_to_its_own_limit_of_calls_at_once() -> None:
    by_url, by_tag = Meter(4), Meter(1, seconds=0.005)

    def answer(seen: Seen) -> Receipt:
        return (by_tag if seen.method == "purge_tags" else by_url)(seen)

    acme = Scripted(limits=Limits(targets=1, parallel=4), limits_of_tags=Limits(targets=1), answer=answer)
    wanted = [demand(urls(8)), demand([f"tag-{n}" for n in range(8)], kind=TargetKind.TAG)]
    report = delivery(acme, clock=Clock()).deliver(wanted, 30)
    assert (by_url.highest, by_tag.highest) == (4, 1)
    assert len(of(report, Status.ACCEPTED)) == 16


def test_halves_are_worked_off_by_all_threads() -> None:
    """The second half must not wait for a thread that has ended because there was nothing else to do."""
    acme = Scripted(limits=Limits(targets=8, parallel=4))
    refused = threading.Event()

    def answer(seen: Seen) -> Receipt:
        if len(seen.targets) == 8 and not refused.is_set():
            refused.set()
            raise TargetsRefused("one of them")
        return accept(seen)

    object.__setattr__(acme, "answer", answer)
    report = delivery(acme, clock=Clock()).deliver([demand(urls(32))], 30)
    assert len(of(report, Status.ACCEPTED)) == 32
    assert sorted(len(seen.targets) for seen in acme.calls) == [4, 4, 8, 8, 8, 8]


def test_providers_are_called_side_by_side() -> None:
    together = threading.Barrier(3)

    def answer(seen: Seen) -> Receipt:
        together.wait(10)
        return accept(seen)

    providers = [Scripted(answer=answer) for _ in range(3)]
    wanted = [demand(urls(1), name) for name in ("acme", "bravo", "charlie")]
    report = delivery(*providers, clock=Clock()).deliver(wanted, 30)
    assert [outcome.status for outcome in report] == [Status.ACCEPTED] * 3


@pytest.mark.parametrize("discovered", [False, True])
def test_no_provider_waits_for_another_one_to_have_begun(discovered: bool) -> None:
    def spread() -> float:
        began: list[float] = []

        def answer(seen: Seen) -> Receipt:
            began.append(time.monotonic())
            return accept(seen)

        providers = {name: Scripted(answer=answer) for name in ("acme", "bravo", "charlie", "delta", "echo")}
        if discovered:
            deliver, wanted = delivery(Finder(find=lambda _: providers), clock=Clock()).deliver, [demand(urls(1))]
        else:
            deliver = delivery(*providers.values(), clock=Clock()).deliver
            wanted = [demand(urls(1), name) for name in providers]
        assert deliver(wanted, 30).undelivered == ()
        return max(began) - min(began)

    # A busy machine may be slow, even several times; but not each time.
    assert any(spread() < 0.1 for _ in range(20))


# Vendors that hang


def test_a_thread_that_has_ended_is_not_taken_for_one_at_work() -> None:
    """It would let the grace of the others stand still."""
    patience, both = Patience(ManualClock(), 1.0), threading.Barrier(2)

    def work() -> None:
        patience.busy(5.0)
        both.wait(10)

    side_by_side([work, work], patience.idle)
    assert patience.is_held_by_pace(), "nobody is at work"


def test_a_vendor_that_hangs_does_not_keep_the_process_alive(hanging: Hanging) -> None:
    before = set(threading.enumerate())
    acme = Scripted(limits=Limits(targets=1, parallel=2), answer=hanging)
    delivery(acme, clock=Clock()).deliver([demand(urls(4))], SHORT)
    left_behind = set(threading.enumerate()) - before
    assert len(left_behind) == 2
    assert all(thread.daemon for thread in left_behind)


def test_a_hanging_vendor_costs_the_others_nothing_and_is_undelivered_when_the_time_is_over(hanging: Hanging) -> None:
    acme, bravo, charlie = Scripted(answer=hanging), Scripted(), Scripted()
    wanted = [demand(urls(5), name) for name in ("acme", "bravo", "charlie")]
    report = delivery(acme, bravo, charlie, clock=Clock()).deliver(wanted, SHORT)
    assert {name: status for (name, _), [status] in ends(report).items()} == {
        "acme": Status.RETRY,
        "bravo": Status.ACCEPTED,
        "charlie": Status.ACCEPTED,
    }
    [hung] = report.undelivered
    assert (hung.reason, hung.calls) == ("no answer before the invocation's time was up", 1)
    assert hung.seconds > 0.0, "a call was made, and took its time"


def test_what_a_hanging_vendor_says_too_late_changes_nothing_and_leads_to_no_further_call(hanging: Hanging) -> None:
    before = set(threading.enumerate())
    acme = Scripted(limits=Limits(targets=1, parallel=2), answer=hanging)
    report = delivery(acme, clock=Clock()).deliver([demand(urls(10))], SHORT)
    assert len(of(report, Status.RETRY)) == 10
    made = len(acme.calls)
    hanging.release()
    wait_for_threads_to_end(before)
    assert len(acme.calls) == made <= 2
    assert len(of(report, Status.RETRY)) == 10


def test_a_vendor_that_hung_is_served_again_in_the_next_invocation(hanging: Hanging) -> None:
    calls: list[Seen] = []

    def answer(seen: Seen) -> Receipt:
        calls.append(seen)
        return hanging(seen) if len(calls) == 1 else accept(seen)

    acme = Scripted(answer=answer)
    deliver = delivery(acme, clock=Clock()).deliver
    assert of(deliver([demand(urls(1))], SHORT), Status.RETRY) == urls(1)
    assert of(deliver([demand(urls(1))], 30), Status.ACCEPTED) == urls(1)


def test_what_was_delivered_before_a_vendor_hung_counts(hanging: Hanging) -> None:
    def answer(seen: Seen) -> Receipt:
        return accept(seen) if seen.targets[0] in urls(3) else hanging(seen)

    acme = Scripted(limits=Limits(targets=1), answer=answer)
    report = delivery(acme, clock=Clock()).deliver([demand(urls(6))], SHORT)
    assert of(report, Status.ACCEPTED) == urls(3)
    assert of(report, Status.RETRY) == urls(6)[3:]


def test_a_plugin_that_hangs_while_it_spells_targets_is_undelivered_too(hanging: Hanging) -> None:
    def spell(target: Target) -> tuple[Target, ...]:
        hanging(Seen("locate", (target.value,), None))  # type: ignore[arg-type]
        return (target,)

    wanted = [demand(urls(2)), demand(urls(2), "bravo")]
    report = delivery(Scripted(spell=spell), Scripted(), clock=Clock()).deliver(wanted, SHORT)
    assert [ends(report)["acme", url] for url in urls(2)] == [[Status.RETRY]] * 2
    assert [ends(report)["bravo", url] for url in urls(2)] == [[Status.ACCEPTED]] * 2


def test_no_thread_is_left_when_all_vendors_answered() -> None:
    before = set(threading.enumerate())
    providers = [Scripted(limits=Limits(targets=1, parallel=8)) for _ in range(3)]
    wanted = [demand(urls(20), name) for name in ("acme", "bravo", "charlie")]
    delivery(*providers, clock=Clock()).deliver(wanted, 30)
    wait_for_threads_to_end(before)


# Threads that can't start


def without_threads(monkeypatch: pytest.MonkeyPatch, refuses: Callable[[threading.Thread], bool]) -> None:
    """Let the process have no thread left for some."""
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if refuses(thread):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)


def test_an_instance_whose_thread_can_not_start_costs_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    acme, bravo, charlie = Scripted(), Scripted(), Scripted()
    wanted = [demand(urls(5), name) for name in ("acme", "bravo", "charlie")]
    without_threads(monkeypatch, lambda thread: thread.name == "multicdn-bravo")
    report = delivery(acme, bravo, charlie, clock=Clock()).deliver(wanted, SHORT)
    assert {name: status for (name, _), [status] in ends(report).items()} == {
        "acme": Status.ACCEPTED,
        "bravo": Status.RETRY,
        "charlie": Status.ACCEPTED,
    }
    assert bravo.calls == []
    assert {outcome.reason for outcome in report.undelivered} == {
        "no thread could be started for it: the process has too many"
    }


def test_preloads_of_others_do_not_wait_for_an_instance_that_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    class OtherVendor(Scripted):
        """What it could not purge is in no cache of acme's."""

    acme, bravo = Scripted(), OtherVendor()
    wanted = [demand(urls(1), "acme", action=Action.PRELOAD), demand(urls(1), "bravo")]
    without_threads(monkeypatch, lambda thread: thread.name == "multicdn-bravo")
    began = time.monotonic()
    report = delivery(acme, bravo, clock=Clock()).deliver(wanted, 60)
    assert time.monotonic() - began < 20
    assert len(of(report, Status.ACCEPTED)) == 1


def test_a_lane_goes_on_with_the_threads_that_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = Scripted(limits=Limits(targets=1, parallel=4))
    without_threads(monkeypatch, lambda thread: not thread.name.startswith("multicdn-"))
    report = delivery(acme, clock=Clock()).deliver([demand(urls(12))], 10)
    assert len(of(report, Status.ACCEPTED)) == 12
