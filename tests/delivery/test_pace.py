"""Pace makes nobody wait: the queue does, in few messages, and what comes together becomes one call."""

from __future__ import annotations

import json
import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from kit.scripted_provider import ManualClock, Scripted, Seen, accept, demand, most, urls
from multicdn_providers.pixboost import Pixboost
from rig.paced_world import PacedWorld

from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Run, Terms
from multicdn.delivery.pace import Pace
from multicdn.delivery.rate_limit import RateLimits
from multicdn.delivery.stretches import Stretches
from multicdn.model import Receipt, Status
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.model import Outcome, Target

PROVIDERS = {
    "images": {"type": "pixboost", "secret": "${env:SECRET}", "domain": "images.example.com"},
    "site": {"type": "cloudfront", "distribution": "E8F6HK73EP0LT"},
    "files": {"type": "fastly", "service": "SU1", "token": "${env:SECRET}"},
}
# Seconds that each call takes.
TAKES = {"images": 0.05, "site": 0.05, "files": 0.0}

# Five times the grace, and the call that was under way.
STRETCH = 5.0 + 0.06


class Called(NamedTuple):
    """A call of a vendor."""

    provider: str
    targets: tuple[str, ...]
    at: float


class Vendors:
    """A world, and what its vendors were asked."""

    def __init__(self, *names: str, functions: int = 2, batch: int = 1000, gather: float = 1.0) -> None:
        self.calls: list[Called] = []
        routes = [{"bucket": name, "urls": ["https://images.example.com/{key}"], "purge": [name]} for name in names]
        providers = {name: PROVIDERS[name] for name in names}
        text = json.dumps({"version": 1, "providers": providers, "routes": routes})
        self.world = PacedWorld(text, self._call, functions=functions, batch=batch, gather=gather)

    def _call(self, name: str, targets: Sequence[str], at: float) -> float:
        self.calls.append(Called(name, tuple(targets), at))
        return TAKES[name]

    def run(self, uploads: int, bucket: str, every: float = 0.0) -> None:
        """Upload, and go on until all is done."""
        for number in range(uploads):
            self.world.upload(bucket, f"{number}.png", number * every)
        self.world.run()

    def of(self, provider: str) -> list[Called]:
        """The calls of one vendor."""
        return [call for call in self.calls if call.provider == provider]

    def times(self, provider: str) -> Counter[str]:
        """How often each target was asked for."""
        return Counter(target for call in self.of(provider) for target in call.targets)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a-secret-of-a-test")
    monkeypatch.setattr(logging.getLogger("multicdn"), "level", logging.ERROR)


def test_a_thousand_uploads_to_a_vendor_with_one_call_at_a_time_hold_no_invocation() -> None:
    vendors = Vendors("images")
    vendors.run(1000, "images")
    world = vendors.world
    assert len(vendors.times("images")) == 1000
    assert set(vendors.times("images").values()) == {1}
    assert max(took for _, took in world.invocations) <= STRETCH
    # 50 s of calls, in ten stretches of which each job waits for one: and nine messages, not a thousand.
    assert len(world.invocations) <= 11
    assert world.sent <= 10
    assert max(call.at for call in vendors.calls) <= 1.25 * 1000 * TAKES["images"]


def test_nor_do_they_in_one_invocation_after_the_other_where_each_brings_a_few() -> None:
    """Uploads for another vendor come meanwhile, and find a function free."""
    vendors, every = Vendors("images", "files", batch=10, gather=0.0), 2.0
    for number in range(20):
        vendors.world.upload("files", f"{number}.txt", every * number)
    vendors.run(400, "images", every=0.004)
    assert set(vendors.times("images").values()) == {1}
    lags = [call.at - every * number for number, call in enumerate(vendors.of("files"))]
    assert len(lags) == 20
    assert max(lags) <= STRETCH


def test_uploads_in_quick_succession_to_a_vendor_of_few_calls_share_them() -> None:
    vendors = Vendors("site", functions=1, batch=10, gather=0.0)
    vendors.run(20, "site", every=0.5)
    assert set(vendors.times("site").values()) == {1}
    # Two at once, as the vendor allows, and then one each four seconds with all that came meanwhile.
    assert len(vendors.of("site")) <= 6
    # Each waits once, in a message of its own; and nobody waits for it in a function.
    assert vendors.world.sent <= 18
    assert max(took for _, took in vendors.world.invocations) <= TAKES["site"] + 0.11


def test_a_backlog_of_a_vendor_of_few_calls_goes_in_few_of_them_however_small_the_batches_are() -> None:
    vendors = Vendors("site", batch=10, gather=0.0)
    vendors.run(600, "site")
    assert set(vendors.times("site").values()) == {1}
    assert len(vendors.of("site")) <= 8
    assert vendors.world.received <= 600 + 600 / 10 + 10


@pytest.mark.parametrize(
    ("limits", "invocations"),
    [
        (Limits(targets=1, calls_per_second=0.5), 30),  # each turn is so far away that nobody waits for it
        (Limits(targets=1, calls_per_second=1.6), 30),  # each is nearer than the way through the queue is long
        (Limits(targets=1, calls_per_second=2), 6),  # five in a stretch
        (Limits(targets=1, calls_per_second=4), 3),
        (Limits(targets=1, calls_per_second=20), 1),
        (Limits(targets=1, calls_per_second=2, burst=20), 3),  # ten at once after ten seconds
    ],
)
def test_a_job_waits_once_where_each_takes_a_call(
    limits: Limits, invocations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pixboost, "url_limits", limits)
    vendors = Vendors("images")
    vendors.run(30, "images")
    assert set(vendors.times("images").values()) == {1}
    assert len(vendors.world.invocations) <= 1.4 * invocations
    assert vendors.world.sent <= 1.4 * invocations
    assert max(took for _, took in vendors.world.invocations) <= STRETCH
    least = 29 * 2 / (limits.calls_per_second or 1)  # each of two functions has half of the rate
    assert vendors.calls[-1].at <= 1.8 * least + 1


def test_what_is_left_of_ten_thousand_is_told_its_turn_anew_rather_than_in_ever_more_messages() -> None:
    """As many as SQS delays for a quarter of an hour, and as can be sent in the last second of an invocation."""
    stretches = Stretches()
    waits = [stretches.foresee(1.0, 0.0, cost=1.0, calls=5) for _ in range(1000)]
    assert Counter(waits).most_common(1)[0][0] == max(waits) == 1 + 20 * 5
    assert set(Counter(waits).values()) == {5, 1000 - 5 * 20}
    slow = Stretches()
    assert max(slow.foresee(1.0, 0.0, cost=100.0, calls=1) for _ in range(50)) == 900


def test_those_that_many_threads_put_off_come_back_by_the_stretch() -> None:
    run = Run(Terms(grace=1.0), ManualClock(), most, RateLimits(), 60.0)
    pace = Pace(run, "acme", "url_limits", Limits(targets=1, calls_per_second=4, parallel=32), 100)
    assert Counter(pace.told_apart(6.0) for _ in range(40)) == {6.0: 20, 12.0: 20}


def test_a_rest_gives_back_what_calls_have_used_up() -> None:
    stretches = Stretches()
    stretches.use(0.0, 4.0, calls=8, most=5.0)
    assert stretches.used(4.0) == (4.0, 0.5)
    assert stretches.used(4.5) == (1.5, 0.5)
    stretches.use(4.5, 14.5, calls=0, most=5.0)
    assert stretches.used(14.5) == (5.0, 0.5)
    assert stretches.used(15.5) == (0.0, 0.5)


@pytest.mark.parametrize("beside", [False, True])
def test_a_stretch_ends_where_nobody_else_is_at_work_and_not_before(beside: bool) -> None:
    clock, begun, done = ManualClock(), threading.Event(), threading.Event()

    def work(seen: Seen) -> Receipt:
        begun.set()
        assert done.wait(30)
        return accept(seen)

    def call(seen: Seen) -> Receipt:
        if beside:
            assert begun.wait(30)
        clock.pass_(1.0)
        if len(acme.calls) == 9:
            done.set()
        return accept(seen)

    acme = Scripted(limits=Limits(targets=1), answer=call)
    vendor = Delivery({"acme": acme, "bravo": Scripted(answer=work)}, Terms(grace=1.0, prompt=60.0), clock)
    report = vendor.deliver([demand(urls(9)), *([demand(urls(1), "bravo")] if beside else [])], 60)
    assert len(acme.calls) == (9 if beside else 5)
    assert {outcome.status for outcome in report.undelivered} == (set() if beside else {Status.PACED})


class Passing(ManualClock):
    """Waits for what another thread does before it passes."""

    def __init__(self) -> None:
        super().__init__()
        self.put_off = threading.Event()

    def ended(self, outcome: Outcome) -> None:
        """As an observer is told."""
        if outcome.status is Status.PACED:
            self.put_off.set()


def test_a_turn_is_told_from_the_end_of_the_invocation_on() -> None:
    clock = Passing()

    def answer(seen: Seen) -> Receipt:
        assert clock.put_off.wait(30)
        clock.pass_(2.0)
        return accept(seen)

    def spell(target: Target) -> tuple[Target, ...]:
        clock.pass_(0.5)
        return (target,)

    acme = Scripted(limits=Limits(targets=100, calls_per_second=0.25), spell=spell)
    bravo = Scripted(answer=answer)
    vendor = Delivery({"acme": acme, "bravo": bravo}, Terms(grace=0.2), clock, observer=clock)
    first, second, third = urls(3)
    vendor.deliver([demand([first])], 60)
    [waits] = vendor.deliver([demand([second])], 60)
    assert waits.after == 3.5
    clock.put_off.clear()
    report = vendor.deliver([demand([third]), demand([third], "bravo")], 60)
    assert [outcome.after for outcome in report.undelivered] == [1.0]
