"""An invocation that only waits ends soon, and what was not done in it is told apart: tried in vain, or not yet due."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from kit.scripted_provider import (
    Finder,
    Hanging,
    ManualClock,
    Scripted,
    Seen,
    accept,
    delivery,
    demand,
    ends,
    of,
    script,
    urls,
)

from multicdn.delivery.clock import Clock
from multicdn.delivery.patience import Patience
from multicdn.errors import RetryLater
from multicdn.model import Action, Receipt, Status
from multicdn.provider import Limits

if TYPE_CHECKING:
    from multicdn.delivery.delivery import Delivery
    from multicdn.provider import Provider

# Far longer than any of these tests may take.
FUNCTION = 60.0
PATIENT = 20.0


def impatient(*providers: Provider, grace: float = 0.2, prompt: float = 0.2, **terms: float) -> Delivery:
    return delivery(*providers, clock=Clock(), grace=grace, prompt=prompt, **terms)


def test_a_hanging_vendor_does_not_hold_the_invocation_to_its_end(hanging: Hanging) -> None:
    began = time.monotonic()
    report = impatient(Scripted(answer=hanging), Scripted()).deliver(
        [demand(urls(1), "acme"), demand(urls(1), "bravo")], FUNCTION
    )
    assert time.monotonic() - began < PATIENT
    assert [ended.status for ended in report if ended.job.provider == "bravo"] == [Status.ACCEPTED]
    [left] = report.undelivered
    assert left.status is Status.RETRY


def test_nor_do_all_vendors_when_all_hang(hanging: Hanging) -> None:
    began = time.monotonic()
    report = impatient(*[Scripted(answer=hanging)] * 3).deliver(
        [demand(urls(1), name) for name in ("acme", "bravo", "charlie")], FUNCTION
    )
    assert time.monotonic() - began < PATIENT
    assert [ended.status for ended in report] == [Status.RETRY] * 3


def test_nor_one_that_hangs_while_it_is_found_out_what_an_instance_stands_for(hanging: Hanging) -> None:
    def find(bucket: str) -> dict[str, Provider]:
        hanging(Seen("find", (bucket,), None))  # type: ignore[arg-type]
        return {}

    began = time.monotonic()
    vendor = impatient(Finder(find=find))
    [ended] = vendor.deliver([demand(urls(1))], FUNCTION)
    assert time.monotonic() - began < PATIENT
    assert ended.status is Status.RETRY
    [ended] = vendor.deliver([demand(urls(1))], FUNCTION)
    assert "circuit breaker is open" in ended.reason


def test_the_next_invocation_does_not_call_a_vendor_that_hangs(hanging: Hanging) -> None:
    acme = Scripted(answer=hanging)
    vendor = impatient(acme)
    vendor.deliver([demand(urls(1))], FUNCTION)
    [ended] = vendor.deliver([demand(urls(1))], FUNCTION)
    assert len(acme.calls) == 1
    assert (ended.status, ended.calls) == (Status.RETRY, 0)
    assert "circuit breaker is open: no answer after" in ended.reason
    assert ended.after is not None
    assert 0 < ended.after <= 80


def test_a_vendor_at_work_is_waited_for_however_long_it_takes() -> None:
    """Thirty calls of 50 ms, two at a time: each of them is work, though together they outlast the grace."""

    def answer(seen: Seen) -> Receipt:
        time.sleep(0.05)
        return accept(seen)

    report = impatient(Scripted(limits=Limits(targets=1, parallel=2), answer=answer), prompt=2.0).deliver(
        [demand(urls(30))], FUNCTION
    )
    assert len(of(report, Status.ACCEPTED)) == 30


def test_a_call_that_computes_is_no_wait_since_it_may_import_an_sdk() -> None:
    def answer(seen: Seen) -> Receipt:
        until = time.thread_time() + 1.0
        while time.thread_time() < until:
            sum(range(1000))
        return accept(seen)

    # A grace of which a busy machine gives this thread a part.
    report = impatient(Scripted(answer=answer), grace=0.5, prompt=0.5).deliver([demand(urls(1))], FUNCTION)
    assert [ended.status for ended in report] == [Status.ACCEPTED]


def test_nor_is_a_first_call_that_waits_for_what_another_thread_imports() -> None:
    """As in a worker, of whose batches two meet a vendor's SDK at once."""
    imported = threading.Event()

    def load() -> None:
        until = time.thread_time() + 0.8
        while time.thread_time() < until:
            sum(range(1000))
        imported.set()

    def answer(seen: Seen) -> Receipt:
        assert imported.wait(30)
        return accept(seen)

    threading.Thread(target=load, daemon=True).start()
    report = impatient(Scripted(answer=answer)).deliver([demand(urls(1))], FUNCTION)
    assert [ended.status for ended in report] == [Status.ACCEPTED]


def test_while_another_vendor_is_at_work_a_wait_costs_nothing() -> None:
    """The paced one gets its turns while the other one works, which it does for longer than the waits take."""
    paced = Scripted(limits=Limits(targets=1, calls_per_second=4))

    def answer(seen: Seen) -> Receipt:
        time.sleep(0.1)
        return accept(seen)

    busy = Scripted(limits=Limits(targets=1), answer=answer)
    report = impatient(paced, busy, grace=0.4, prompt=2.0).deliver(
        [demand(urls(3), "acme"), demand(urls(15), "bravo")], FUNCTION
    )
    assert {ended.status for ended in report} == {Status.ACCEPTED}


def test_a_turn_that_comes_after_the_grace_is_not_waited_for_and_each_job_is_told_its_own() -> None:
    """CloudFront at its defaults: a call each four seconds for a process, after a burst of one."""
    acme = Scripted(limits=Limits(targets=1, calls_per_second=0.25))
    vendor = impatient(acme)
    report = vendor.deliver([demand(urls(4))], FUNCTION)
    assert of(report, Status.ACCEPTED) == urls(1)
    assert {status for (_, url), each in ends(report).items() if url != urls(1)[0] for status in each} == {Status.PACED}
    assert [round(ended.after or 0) for ended in report.undelivered] == [4, 8, 12]
    assert [ended.calls for ended in report.undelivered] == [0, 0, 0]

    # What was only foretold is not booked: whoever comes when it is due is called. But what else waits comes after it.
    report = vendor.deliver([demand(urls(1))], FUNCTION)
    assert [round(ended.after or 0) for ended in report.undelivered] == [16]


def test_what_is_new_joins_those_that_wait_for_their_turn_and_does_not_overtake_them() -> None:
    """Else each upload would take the turn of the one before, which would come back in vain for ever."""
    clock = ManualClock()
    acme = Scripted(limits=Limits(targets=100, calls_per_second=0.25))
    vendor = delivery(acme, clock=clock, grace=0.2)
    first, second, third, fourth = urls(4)
    vendor.deliver([demand([first])], FUNCTION)
    [put_off] = vendor.deliver([demand([second])], FUNCTION)
    clock.pass_(4.5)
    [new] = vendor.deliver([demand([third])], FUNCTION)
    assert (new.status, new.after) == (Status.PACED, 3.0)
    [done] = vendor.deliver([demand([fourth])], FUNCTION, [put_off.job], {"acme": 1})
    assert (done.status, len(done.job.targets)) == (Status.ACCEPTED, 2)


def test_a_turn_for_which_nobody_comes_is_not_kept_for_long() -> None:
    clock = ManualClock()
    acme = Scripted(limits=Limits(targets=100, calls_per_second=0.25))
    vendor = delivery(acme, clock=clock, grace=0.2)
    for url in urls(2):
        vendor.deliver([demand([url])], FUNCTION)
    clock.pass_(8.0)
    [done] = vendor.deliver([demand(urls(1))], FUNCTION)
    assert done.status is Status.ACCEPTED


def test_where_a_call_takes_one_target_what_is_new_need_not_stand_behind_what_waits() -> None:
    clock = ManualClock()
    acme = Scripted(limits=Limits(targets=1, calls_per_second=0.25))
    vendor = delivery(acme, clock=clock, grace=0.2)
    vendor.deliver([demand(urls(9))], FUNCTION)
    clock.pass_(4.5)
    [done] = vendor.deliver([demand(urls(1))], FUNCTION)
    assert done.status is Status.ACCEPTED


def test_waits_between_tries_use_up_the_grace_and_the_reason_is_the_vendors() -> None:
    acme = Scripted(answer=script(*[RetryLater("503: over capacity")] * 50))
    began = time.monotonic()
    [ended] = impatient(acme, grace=1.0).deliver([demand(urls(1))], FUNCTION)
    assert time.monotonic() - began < PATIENT
    assert ended.status is Status.RETRY
    assert "503: over capacity" in ended.reason
    assert 1 <= len(acme.calls) <= 8


def test_a_vendor_that_is_out_is_asked_once_for_each_pause_and_told_from_one_that_is_well() -> None:
    acme = Scripted(answer=script(*[RetryLater("503")] * 50))
    vendor = impatient(acme, Scripted(), grace=30.0)
    for _ in range(5):
        vendor.deliver([demand(urls(1), "acme"), demand(urls(1), "bravo")], FUNCTION)
    calls = len(acme.calls)
    assert calls <= 8
    report = vendor.deliver([demand(urls(20), "acme"), demand(urls(1), "bravo")], FUNCTION)
    assert len(acme.calls) == calls
    assert [ended.status for ended in report] == [Status.RETRY, Status.ACCEPTED]


def test_a_batch_that_a_vendor_never_admits_at_once_gets_through_in_parts_over_many_invocations() -> None:
    clock = ManualClock()

    def answer(seen: Seen) -> Receipt:
        if len(seen.targets) > 8:
            raise RetryLater("429: too many", after=5.0)
        return accept(seen)

    vendor = delivery(Scripted(answer=answer), clock=clock, grace=0.01)
    left, done = [demand(urls(64))], set[str]()
    for _ in range(60):
        report = vendor.deliver(left, FUNCTION)
        done |= set(of(report, Status.ACCEPTED))
        left = [demand(of(report, Status.RETRY))]
        if not left[0].wants:
            break
        clock.pass_(300.0)
    assert done == set(urls(64))


def test_a_preload_does_not_wait_for_a_vendor_that_hangs(hanging: Hanging) -> None:
    began = time.monotonic()
    report = impatient(Scripted(answer=hanging), Scripted()).deliver(
        [demand(urls(1), "acme"), demand(urls(1), "bravo", action=Action.PRELOAD)], FUNCTION
    )
    assert time.monotonic() - began < PATIENT
    assert len(list(report)) == 2


def test_without_a_grace_an_invocation_waits_as_long_as_there_is_time() -> None:
    acme = Scripted(limits=Limits(targets=1, calls_per_second=4))
    report = delivery(acme, clock=Clock()).deliver([demand(urls(4))], FUNCTION)
    assert len(of(report, Status.ACCEPTED)) == 4


def test_the_grace_is_for_all_waits_together() -> None:
    patience = Patience(Clock(), 0.3)
    slept = [patience.sleep(0.1) for _ in range(4)]
    assert slept[0]
    assert not slept[3]


def test_a_wait_that_would_be_in_vain_is_not_begun() -> None:
    patience = Patience(Clock(), 0.3)
    began = time.monotonic()
    assert not patience.sleep(PATIENT)
    assert time.monotonic() - began < PATIENT / 2
