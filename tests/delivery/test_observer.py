"""Whoever watches a delivery sees it happen, and changes nothing of it; whoever stops it learns what was called."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from kit.scripted_provider import FakeClock, Finder, Hanging, Scripted, Seen, accept, demand, most, script, urls

from multicdn.delivery import delivery as delivering
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.errors import CredentialsRefused, RetryLater, TargetsRefused
from multicdn.model import Receipt, Status
from multicdn.provider import Limits

if TYPE_CHECKING:
    from multicdn.model import Report
    from multicdn.provider import Provider

ONE = Limits(targets=1)


class Diary:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def planned(self, provider: str, jobs: Any, rejected: Any) -> None:
        self.told.append(("planned", provider, [len(job.targets) for job in jobs], len(rejected)))

    def calling(self, job: Any) -> None:
        self.told.append(("calling", job.targets))

    def answered(self, job: Any, seconds: float, said: Any) -> None:
        self.told.append(("answered", seconds, said.id if isinstance(said, Receipt) else str(said)))

    def waiting(self, provider: str, seconds: float, trouble: str) -> None:
        self.told.append(("waiting", seconds, trouble))

    def ended(self, outcome: Any) -> None:
        self.told.append(("ended", str(outcome.status), len(outcome.job.targets)))


class Raising:
    """Raises whatever it is told, as a bug of a screen would."""

    def __getattr__(self, name: str) -> Any:
        def tell(*_: object) -> None:
            raise SystemExit(name)

        return tell


def deliver(provider: Provider, count: int, observer: Any = None, **terms: Any) -> Report:
    made = Delivery({"acme": provider}, Terms(**terms), FakeClock(), most, observer)
    return made.deliver([demand(urls(count))], 60)


def test_it_is_told_of_each_call_each_wait_and_each_end() -> None:
    diary = Diary()
    deliver(Scripted(answer=script(RetryLater("503", 7.0))), 2, diary)
    both = tuple(urls(2))
    assert diary.told == [
        ("planned", "acme", [2], 0),
        ("calling", both),
        ("answered", 0.0, "503"),
        ("waiting", 7.5, "503"),
        ("calling", both),
        ("answered", 0.0, f"id-{both[0]}"),
        ("ended", "accepted", 2),
    ]


def test_a_wait_for_the_vendors_pace_is_no_trouble() -> None:
    diary = Diary()
    deliver(Scripted(limits=Limits(targets=1, calls_per_second=0.5)), 2, diary)
    assert [each[1:] for each in diary.told if each[0] == "waiting"] == [(2.0, "")]


def test_what_an_instance_stands_for_and_what_it_can_not_act_on_are_told() -> None:
    def spell(target: Any) -> Any:
        if target.value.endswith("1"):
            raise TargetsRefused("no such path")
        return (target,)

    diary = Diary()
    deliver(Finder(find=lambda _: {"E1": Scripted(spell=spell), "E2": Scripted()}), 2, diary)
    assert sorted(each for each in diary.told if each[0] == "planned") == [
        ("planned", "acme/E1", [1], 1),
        ("planned", "acme/E2", [2], 0),
    ]


def test_whoever_asks_in_vain_what_it_stands_for_is_seen_waiting() -> None:
    answers = iter([RetryLater("503", 4.0)])

    def find(_: str) -> Any:
        for error in answers:
            raise error
        return {"E1": Scripted()}

    diary = Diary()
    deliver(Finder(find=find), 1, diary)
    assert diary.told[:2] == [("waiting", 4.45, "503"), ("planned", "acme/E1", [1], 0)]


STEPS = [RetryLater("503"), CredentialsRefused("401"), TargetsRefused("bad", urls(1)), KeyError("zone")]


def test_an_observer_that_raises_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="multicdn")
    unobserved, observed = Scripted(answer=script(*STEPS)), Scripted(answer=script(*STEPS))
    assert deliver(unobserved, 6) == deliver(observed, 6, Raising())
    assert [seen.targets for seen in unobserved.calls] == [seen.targets for seen in observed.calls]


# Stopping


def stopping(made: Delivery, count: int, when: threading.Event) -> Report:
    """Deliver, and stop once something has happened."""

    def stop() -> None:
        when.wait(20)
        made.stop()

    threading.Thread(target=stop, daemon=True).start()
    return made.deliver([demand(urls(count))], 60)


def test_once_stopped_no_further_call_begins_and_those_under_way_still_count() -> None:
    calls = list[Seen]()

    def answer(seen: Seen) -> Receipt:
        calls.append(seen)
        if len(calls) == 3:
            made.stop()
            time.sleep(0.1)
        return accept(seen)

    made = Delivery({"acme": Scripted(limits=ONE, answer=answer)}, Terms(), Clock(), most)
    report = made.deliver([demand(urls(9))], 60)
    assert len(calls) == 3
    assert [outcome.status for outcome in report].count(Status.ACCEPTED) == 3
    assert {(outcome.reason, outcome.calls) for outcome in report.undelivered} == {
        ("not called before it was interrupted", 0)
    }
    assert len(report.outcomes) == 9


def test_what_hangs_is_waited_for_no_longer_than_said(hanging: Hanging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "LINGER", 0.02)
    called = threading.Event()

    def answer(seen: Seen) -> Receipt:
        called.set()
        return hanging(seen)

    made = Delivery({"acme": Scripted(limits=ONE, answer=answer)}, Terms(), Clock(), most)
    report = stopping(made, 2, called)
    assert [(outcome.reason, outcome.calls) for outcome in report] == [
        ("no answer before it was interrupted", 1),
        ("not called before it was interrupted", 0),
    ]


def test_what_hangs_at_its_second_try_has_no_answer_whatever_the_first_one_was(
    hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "LINGER", 0.02)
    seen, called = list[Seen](), threading.Event()

    def answer(call: Seen) -> Receipt:
        seen.append(call)
        if len(seen) == 1:
            raise RetryLater("503", 0.0)
        called.set()
        return hanging(call)

    made = Delivery({"acme": Scripted(answer=answer)}, Terms(base=0.0), Clock(), most)
    [outcome] = stopping(made, 1, called)
    assert (outcome.reason, outcome.calls) == ("no answer before it was interrupted", 2)


def test_what_waits_for_its_next_try_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait goes on in its thread, and comes to nothing."""
    monkeypatch.setattr(delivering, "LINGER", 60.0)
    waits, over, outlasted = threading.Event(), threading.Event(), list[bool]()

    class Waiting(Clock):
        def sleep(self, seconds: float) -> None:
            waits.set()
            outlasted.append(not over.wait(20))

    made = Delivery({"acme": Scripted(answer=script(RetryLater("503", 30.0)))}, Terms(), Waiting(), most)
    [outcome] = stopping(made, 1, waits)
    assert outlasted == []
    over.set()
    assert outcome.reason == "503; not tried again before it was interrupted"
    assert outcome.calls == 1


def test_once_stopped_nobody_is_asked_any_more_what_it_stands_for() -> None:
    def find(_: str) -> Any:
        made.stop()
        raise RetryLater("503")

    finder = Finder(find=find)
    made = Delivery({"acme": finder}, Terms(), FakeClock(), most)
    [outcome] = made.deliver([demand(urls(2))], 60)
    assert len(finder.asked) == 1
    assert outcome.reason in ("503", "no answer before it was interrupted", "not called before it was interrupted")


def test_a_delivery_that_is_stopped_beforehand_calls_nobody() -> None:
    acme = Scripted()
    made = Delivery({"acme": acme}, Terms(), FakeClock(), most)
    made.stop()
    [outcome] = made.deliver([demand(urls(2))], 60)
    assert (outcome.status, outcome.reason) == (Status.RETRY, "not called before it was interrupted")
    assert acme.calls == []


def test_a_call_that_was_let_in_as_it_was_stopped_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    acme = Scripted()
    made = Delivery({"acme": acme}, Terms(), FakeClock(), most)
    breaker = made._breakers.of("acme")
    admit = breaker.admit

    def admitted(*args: Any) -> Any:
        made.stop()
        return admit(*args)

    monkeypatch.setattr(breaker, "admit", admitted)
    made.deliver([demand(urls(1))], 60)
    assert acme.calls == []
    assert breaker._calls == []


@pytest.mark.parametrize("ends", ["the invocation's time was up", "the time was up (--timeout 60)"])
def test_why_something_was_not_done_in_time_is_in_the_words_of_who_reads_it(hanging: Hanging, ends: str) -> None:
    made = Delivery({"acme": Scripted(limits=ONE, answer=hanging)}, Terms(ends=ends), Clock(), most)
    report = made.deliver([demand(urls(2))], 0.3)
    assert [outcome.reason for outcome in report] == [f"no answer before {ends}", f"not called before {ends}"]
    slow = Scripted(limits=Limits(targets=1, calls_per_second=0.01))
    report = Delivery({"acme": slow}, Terms(ends=ends), FakeClock(), most).deliver([demand(urls(2))], 60)
    assert [outcome.reason for outcome in report.undelivered] == [f"its turn comes in 100.0 s, not before {ends}"]
