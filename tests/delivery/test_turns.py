"""A vendor's turn that is booked and not used: whatever kept its call from being made, others get it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from kit.scripted_provider import ManualClock, Scripted, Seen, accept, delivery, demand, most, urls

from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.delivery.observer import Observer
from multicdn.errors import CallRefused, RetryLater
from multicdn.model import Receipt, Status
from multicdn.provider import Limits

if TYPE_CHECKING:
    from kit.scripted_provider import Hanging

    from multicdn.errors import ProviderError
    from multicdn.model import Outcome

PATIENCE = 10.0

# One call each hundred seconds; of two threads the second waits for its turn.
RARE = Limits(targets=1, calls_per_second=0.01, parallel=2)


class Vendor(ManualClock, Observer):
    """Its first call fails while another thread waits for its turn, and that one waits until it's known what follows.

    Args:
        limits: of its calls.
        error: what the first call ends with.
        takes: seconds that the first call takes.
        terms: of the deliveries.
    """

    def __init__(self, limits: Limits, error: ProviderError, takes: float = 0.0, **terms: Any) -> None:
        super().__init__()
        self.called: list[tuple[float, int]] = []
        self._error, self._takes = error, takes
        self._waits, self._known, self._lock = threading.Event(), threading.Event(), threading.Lock()
        acme = Scripted(limits=limits, answer=self._answer)
        self._delivery = Delivery({"acme": acme}, Terms(**terms), self, most, observer=self)

    def deliver(self, *targets: str) -> dict[str, Status]:
        """How each of the targets ended."""
        report = self._delivery.deliver([demand(targets)], 1000)
        return {target: outcome.status for outcome in report for target in outcome.job.targets}

    def sleep(self, seconds: float) -> None:
        """As where only the time of the invocation counts. Who waits second is the one whose call has failed."""
        until = self.now() + seconds
        if self._waits.is_set():
            self._known.set()
        self._waits.set()
        assert self._known.wait(PATIENCE)
        with self._lock:
            self.pass_(max(0.0, until - self.now()))

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """As where there is a grace."""
        self._waits.set()
        changed.wait_for(self._known.is_set, PATIENCE)

    def ended(self, outcome: Outcome) -> None:
        """What follows from the first call is that its job has ended."""
        if outcome.status is not Status.ACCEPTED:
            self._known.set()

    def _answer(self, seen: Seen) -> Receipt:
        self.called.append((self.now() - 1000.0, len(seen.targets)))
        if len(self.called) > 1:
            return accept(seen)
        assert self._waits.wait(PATIENCE)
        self.pass_(self._takes)
        raise self._error


def test_a_turn_of_what_a_refusal_stands_for_is_anothers() -> None:
    vendor = Vendor(RARE, CallRefused("no such zone", about="account"))
    first, second, third = urls(3)
    assert vendor.deliver(first, second) == {first: Status.REFUSED, second: Status.UNASKED}
    assert vendor.deliver(third) == {third: Status.ACCEPTED}
    assert vendor.called == [(0.0, 1), (100.0, 1)]


def test_a_call_uses_no_more_of_its_turn_than_the_targets_that_are_left() -> None:
    limits = Limits(targets=10, targets_per_second=1, parallel=2)
    vendor = Vendor(limits, CallRefused("not ours", about="host"))
    a, b, c = ([f"https://{host}.example/{number}" for number in range(15)] for host in "abc")
    ends = vendor.deliver(*a, *b[:5])
    assert [ends[url] for url in (a[0], a[10], b[0])] == [Status.REFUSED, Status.UNASKED, Status.ACCEPTED]
    vendor.deliver(*c[:10])
    assert vendor.called == [(0.0, 10), (10.0, 5), (15.0, 10)]


def test_a_turn_before_the_wait_that_the_vendor_asks_for_is_not_booked_beside_the_one_after_it() -> None:
    """Two targets in ten minutes, and one that waits for the next ten."""
    limits = Limits(targets=1, targets_per_second=2 / 600, target_window=600.0, parallel=2)
    vendor = Vendor(limits, RetryLater("throttled", 700.0))
    assert set(vendor.deliver(*urls(3)).values()) == {Status.ACCEPTED}
    assert vendor.called == [(0.0, 1), (0.0, 1), (700.5, 1), (700.5, 1)]


def test_a_turn_that_comes_while_the_breaker_is_open_is_anothers() -> None:
    vendor = Vendor(RARE, RetryLater("out of order"), 101.0, grace=1.0, prompt=200.0, read=200.0)
    assert set(vendor.deliver(*urls(2)).values()) == {Status.RETRY}
    vendor.pass_(11.0)
    assert set(vendor.deliver(*urls(1)).values()) == {Status.ACCEPTED}
    assert vendor.called == [(0.0, 1), (112.0, 1)]


class Prompt(ManualClock):
    """Waiting takes no time of this machine."""

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        self.pass_(seconds)


def test_no_turn_is_waited_for_that_comes_when_the_stretch_has_ended() -> None:
    clock = Prompt()
    moments: list[float] = []

    def answer(seen: Seen) -> Receipt:
        moments.append(clock.now() - 1000.0)
        return accept(seen)

    acme = Scripted(limits=Limits(targets=1, calls_per_second=2, burst=3), answer=answer)
    vendor = delivery(acme, clock=clock, grace=1.0)
    report = vendor.deliver([demand(urls(30))], 60)
    assert moments == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    assert clock.now() == 1004.5
    assert {outcome.status for outcome in report.undelivered} == {Status.PACED}
    clock.pass_(1.5)
    vendor.deliver([demand(urls(3))], 60)
    assert moments[12:] == [6.0, 6.0, 6.0]


def test_nor_one_that_does_so_because_of_what_was_used_before() -> None:
    clock = Prompt()
    acme = Scripted(limits=Limits(targets=1, calls_per_second=2))
    vendor = delivery(acme, clock=clock, grace=1.0)
    vendor.deliver([demand(urls(9))], 60)
    assert clock.now() == 1004.0
    vendor.deliver([demand(urls(9))], 60)
    # The first of them waits for its turn, and the next would have to for one that comes too late.
    assert (len(acme.calls), clock.now()) == (10, 1004.5)


def test_what_a_call_that_hangs_leaves_behind_holds_up_nobody(hanging: Hanging) -> None:
    limits = Limits(targets=10, calls_per_second=0.01, parallel=2, quota="account")
    vendor = delivery(
        Scripted(limits=limits, answer=hanging), Scripted(limits=limits), clock=Clock(), grace=0.2, prompt=0.2
    )
    vendor.deliver([demand(urls(20))], 1000)
    [outcome] = vendor.deliver([demand(urls(1), "bravo")], 1000)
    assert outcome.status is Status.PACED
    assert outcome.after is not None
    assert outcome.after <= 100
