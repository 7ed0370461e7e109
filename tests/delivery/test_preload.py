"""Preloads: after the purges, and only of what was purged."""

from __future__ import annotations

import json
import threading

import pytest
from kit.scripted_provider import Scripted, Seen, accept, delivery, demand, script, urls

from multicdn.delivery.clock import Clock
from multicdn.delivery.ledger import Ledger
from multicdn.errors import CallRefused, RetryLater, TargetsRefused
from multicdn.model import Action, Job, Receipt, Report, Status, Target, TargetKind
from multicdn.provider import Limits
from multicdn.queue.message import decode, encode
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.routing.demand import Demand

PRELOAD = Action.PRELOAD


class OtherVendor(Scripted):
    """Stands for no cache of the others."""


def endings(report: Report) -> dict[tuple[str, str, Action], Status]:
    return {
        (outcome.job.provider, target, outcome.job.action): outcome.status
        for outcome in report
        for target in outcome.job.targets
    }


def test_preloads_come_after_all_purges_of_the_provider() -> None:
    acme = Scripted(limits=Limits(targets=1))
    delivery(acme).deliver([demand(urls(3), action=PRELOAD), demand(urls(3))], 60)
    assert [seen.method for seen in acme.calls] == ["purge_urls"] * 3 + ["preload_urls"] * 3


def test_a_preload_alone_needs_no_purge() -> None:
    acme = Scripted()
    report = delivery(acme).deliver([demand(urls(2), action=PRELOAD)], 60)
    assert [seen.method for seen in acme.calls] == ["preload_urls"]
    assert report.undelivered == ()


@pytest.mark.parametrize(
    ("trouble", "ended"), [(TargetsRefused("bad URL"), Status.REJECTED), (RetryLater("busy", 1000.0), Status.RETRY)]
)
def test_only_what_was_purged_is_loaded(trouble: Exception, ended: Status) -> None:
    bad, good = urls(2)

    def answer(seen: Seen) -> Receipt:
        if seen.method == "purge_urls" and bad in seen.targets:
            raise trouble
        return accept(seen)

    # The good one comes first, so that a wait for the bad one can't keep it from being purged.
    acme = Scripted(limits=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([demand([good, bad]), demand([good, bad], action=PRELOAD)], 60)
    found = endings(report)
    assert (found["acme", bad, Action.PURGE], found["acme", bad, PRELOAD]) == (ended, ended)
    assert all(bad not in seen.targets for seen in acme.calls if seen.method == "preload_urls")
    assert found["acme", good, Action.PURGE] is Status.ACCEPTED
    # A lane that was told to wait for longer than there is time loads nothing either.
    assert found["acme", good, PRELOAD] is (Status.ACCEPTED if ended is Status.REJECTED else Status.RETRY)


def test_a_target_whose_message_asked_for_another_purge_that_failed_is_not_loaded() -> None:
    """One message, purged by tag and loaded by URL: the load must not bring back what the tag still holds."""

    def answer(seen: Seen) -> Receipt:
        if seen.method == "purge_tags":
            raise TargetsRefused("bad tag")
        return accept(seen)

    acme = Scripted(answer=answer)
    by_tag, by_url = demand(["x"], kind=TargetKind.TAG), demand(["x"], action=PRELOAD)
    report = delivery(acme).deliver([by_tag, by_url], 60)
    assert [seen.method for seen in acme.calls] == ["purge_tags"]
    assert {outcome.status for outcome in report} == {Status.REJECTED}


def test_an_instance_that_only_loads_waits_until_the_others_have_purged() -> None:
    purging, loading = threading.Event(), threading.Event()
    order: list[str] = []

    def purge(seen: Seen) -> Receipt:
        purging.set()
        assert not loading.wait(0.05), "the load came before the purge had ended"
        order.append("purged")
        return accept(seen)

    def load(seen: Seen) -> Receipt:
        loading.set()
        order.append("loaded")
        return accept(seen)

    wanted = [demand(urls(1), action=PRELOAD), demand(urls(1), "bravo")]
    report = delivery(Scripted(answer=load), Scripted(answer=purge), clock=Clock()).deliver(wanted, 30)
    assert purging.is_set()
    assert order == ["purged", "loaded"]
    assert report.undelivered == ()


def test_an_instance_that_only_loads_does_not_wait_for_one_that_hangs() -> None:
    released = threading.Event()

    def hang(seen: Seen) -> Receipt:
        released.wait(30)
        return accept(seen)

    wanted = [demand(urls(1), action=PRELOAD), demand(urls(1), "bravo")]
    report = delivery(Scripted(), OtherVendor(answer=hang), clock=Clock()).deliver(wanted, 1.6)
    released.set()
    assert endings(report) == {
        ("acme", urls(1)[0], PRELOAD): Status.ACCEPTED,
        ("bravo", urls(1)[0], Action.PURGE): Status.RETRY,
    }


def test_an_instance_that_only_loads_does_not_wait_for_one_that_could_not_plan() -> None:
    """A wait for the purge that never comes would take half of the time."""
    loaded = threading.Event()

    class Unplannable(Scripted):
        def weigh(self, target: str) -> int:
            raise OverflowError("no scales today")

    def load(seen: Seen) -> Receipt:
        loaded.set()
        return accept(seen)

    wanted = [demand(urls(1), action=PRELOAD), demand(urls(1), "bravo")]
    unplannable = Unplannable(limits=Limits(targets=1, bytes=100))
    deliver = delivery(Scripted(answer=load), unplannable, clock=Clock()).deliver
    threading.Thread(target=deliver, args=(wanted, 1000), daemon=True).start()
    assert loaded.wait(10)


@pytest.mark.parametrize("trouble", [CallRefused("no such zone"), KeyError("bug")])
def test_an_instance_that_only_loads_does_so_although_another_failed_to_purge(trouble: Exception) -> None:
    acme, bravo = Scripted(), OtherVendor(answer=script(trouble))
    report = delivery(acme, bravo).deliver([demand(urls(1), action=PRELOAD), demand(urls(1), "bravo")], 60)
    assert endings(report)["acme", urls(1)[0], PRELOAD] is Status.ACCEPTED


def test_the_bug_of_a_provider_that_never_gets_to_purge_does_not_keep_the_loader_waiting() -> None:
    """A wait for the purge that never comes would take half of the time, and this test with it."""
    wanted = [demand(urls(1), action=PRELOAD), demand(urls(1), "nobody")]
    report = delivery(Scripted(), clock=Clock()).deliver(wanted, 1000)
    assert endings(report) == {
        ("acme", urls(1)[0], PRELOAD): Status.ACCEPTED,
        ("nobody", urls(1)[0], Action.PURGE): Status.REFUSED,
    }


# Over several invocations


def returned(report: Report) -> list[Job]:
    """What was not delivered, as it comes back from the queue: by way of its messages."""
    history = MessageHistory({}, {}, {})
    decisions = decide(report, history, RetryPolicy(), 1.8e9)
    bodies = [body for decision in decisions for body in encode(decision.queued)]
    return [decode(json.loads(body), f"back {place}").job for place, body in enumerate(bodies)]


def methods(provider: Scripted) -> list[str]:
    return [seen.method for seen in provider.calls]


def test_a_preload_that_comes_back_before_its_purge_takes_it_along() -> None:
    """The vendor asked for 600 seconds: the preload's message waits for as long, and purges first."""
    acme = Scripted(answer=script(RetryLater("busy", 600.0)))
    deliver = delivery(acme).deliver
    report = deliver([demand(urls(1)), demand(urls(1), action=PRELOAD)], 60)
    [waits] = [outcome.after for outcome in report if outcome.job.action is PRELOAD]
    assert waits is not None
    assert waits >= 600
    [preload] = [job for job in returned(report) if job.action is PRELOAD]
    acme.calls.clear()
    assert deliver([], 2000, [preload]).undelivered == ()
    assert methods(acme) == ["purge_urls", "preload_urls"]


def test_when_both_come_back_together_each_is_done_once_and_in_order() -> None:
    acme = Scripted(answer=script(RetryLater("busy", 600.0)))
    deliver = delivery(acme).deliver
    report = deliver([demand(urls(5)), demand(urls(5), action=PRELOAD)], 60)
    acme.calls.clear()
    assert deliver([], 2000, returned(report)).undelivered == ()
    assert [(seen.method, len(seen.targets)) for seen in acme.calls] == [("purge_urls", 5), ("preload_urls", 5)]


@pytest.mark.parametrize("kind", [TargetKind.TAG, TargetKind.EVERYTHING])
def test_a_preload_takes_a_purge_of_another_kind_along_too(kind: TargetKind) -> None:
    acme = Scripted(answer=script(RetryLater("busy", 600.0)))
    deliver = delivery(acme).deliver
    named = "" if kind is TargetKind.EVERYTHING else "news"
    purge = demand([named], kind=kind, soft=True)
    [want] = purge.wants.values()  # of the same message
    load = Demand("acme", PRELOAD, False, "acme-site", {Target(TargetKind.URL, urls(1)[0]): want})
    report = deliver([purge, load], 60)
    [preload] = [job for job in returned(report) if job.action is PRELOAD]
    assert [(part.kind, part.soft, part.targets) for part in preload.purges] == [(kind, True, (named,))]


def test_a_preload_goes_on_waiting_as_long_as_its_purge_fails() -> None:
    acme = Scripted(answer=script(*[RetryLater("busy", 600.0)] * 3))
    deliver = delivery(acme).deliver
    report = deliver([demand(urls(1)), demand(urls(1), action=PRELOAD)], 60)
    for _ in range(2):
        report = deliver([], 60, [job for job in returned(report) if job.action is PRELOAD])
    assert "preload_urls" not in methods(acme)
    assert [len(job.purges) for job in returned(report) if job.action is PRELOAD] == [1]


@pytest.mark.parametrize("loader", ["acme", "bravo"])
def test_a_preload_of_which_the_turn_never_came_takes_its_purge_along(loader: str) -> None:
    """Nothing was decided about the preload by the end, be its purge here or at another instance of its vendor."""
    let_go = threading.Event()

    def hang(seen: Seen) -> Receipt:
        let_go.wait(60)
        return accept(seen)

    def hang_before(target: Target) -> tuple[Target, ...]:
        let_go.wait(60)
        return (target,)

    vendors = Scripted(answer=hang), Scripted(spell=hang_before)
    try:
        report = delivery(*vendors, clock=Clock()).deliver(
            [demand(urls(2)), demand(urls(1), loader, action=PRELOAD)], 0.5
        )
    finally:
        let_go.set()
    [preload] = [job for job in returned(report) if job.action is PRELOAD]
    assert [(part.provider, part.targets) for part in preload.purges] == [("acme", (urls(1)[0],))]


def test_a_preload_that_a_plugins_bug_left_open_takes_its_purge_along() -> None:
    ledger = Ledger()
    jobs = [Job("acme", action, TargetKind.URL, (urls(1)[0],), (frozenset("m"),)) for action in Action]
    ledger.open(jobs)
    ledger.abandon("a bug")
    [preload] = [outcome.job for outcome in ledger.close() if outcome.job.action is PRELOAD]
    assert [part.action for part in preload.purges] == [Action.PURGE]


def test_a_preload_waits_for_the_end_of_its_purge_by_the_vendors_estimate() -> None:
    def answer(seen: Seen) -> Receipt:
        return Receipt(estimate=300.0 if seen.method == "purge_urls" and urls(1)[0] in seen.targets else 0.0)

    acme = Scripted(limits=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([demand(urls(2)), demand(urls(2), action=PRELOAD)], 60)
    found = endings(report)
    assert (found["acme", urls(2)[0], PRELOAD], found["acme", urls(2)[1], PRELOAD]) == (Status.PACED, Status.ACCEPTED)
    [put_off] = report.undelivered
    assert put_off.after == pytest.approx(300, abs=1)
    assert put_off.job.purges == ()


def test_an_instance_that_only_loads_does_not_load_what_another_of_its_vendor_could_not_purge() -> None:
    acme, bravo = Scripted(), Scripted(answer=script(*[RetryLater("busy", 600.0)]))
    deliver = delivery(acme, bravo).deliver
    report = deliver([demand(urls(1), action=PRELOAD), demand(urls(1), "bravo")], 60)
    assert acme.calls == []
    [preload] = [job for job in returned(report) if job.action is PRELOAD]
    assert [part.provider for part in preload.purges] == ["bravo"]
    bravo.calls.clear()
    assert deliver([], 2000, [preload]).undelivered == ()
    assert (methods(bravo), methods(acme)) == (["purge_urls"], ["preload_urls"])


def test_a_purge_that_is_rejected_costs_its_own_preload_alone() -> None:
    """The others of the same call wait for their purges, which the vendor may take yet."""
    bad, *others = urls(5)

    def answer(seen: Seen) -> Receipt:
        if seen.method == "purge_urls":
            raise TargetsRefused("bad URL") if bad in seen.targets else RetryLater("busy", 600.0)
        return accept(seen)

    acme = Scripted(limits_of_urls=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([demand(urls(5)), demand(urls(5), action=PRELOAD)], 60)
    found = endings(report)
    assert found["acme", bad, PRELOAD] is Status.REJECTED
    assert {found["acme", url, PRELOAD] for url in others} == {Status.RETRY}
    waiting = next(each.job for each in report if each.job.action is PRELOAD and each.status is Status.RETRY)
    assert sorted(target for purge in waiting.purges for target in purge.targets) == others


@pytest.mark.parametrize("scheme", ["https://", "http://", "//"])
def test_a_purge_that_is_rejected_costs_no_preload_of_another_that_came_back_with_it(scheme: str) -> None:
    """One message for many, as the queue has it, or for the spellings of one key: a URL says whose the bad purge is."""
    targets = urls(5)
    message = (frozenset("m"),) * 5
    purged = tuple(target.replace("https://", scheme) for target in targets)
    bad = purged[0]
    purge = Job("acme", Action.PURGE, TargetKind.URL, purged, message)
    preload = Job("acme", PRELOAD, TargetKind.URL, tuple(targets), message, purges=(purge,))

    def answer(seen: Seen) -> Receipt:
        if seen.method == "purge_urls" and bad in seen.targets:
            raise TargetsRefused("bad URL")
        return accept(seen)

    acme = Scripted(limits_of_urls=Limits(targets=1), answer=answer)
    report = delivery(acme).deliver([], 60, [preload])
    ended = [(each.job.action, each.job.targets) for each in report.undelivered]
    assert ended == [(Action.PURGE, (bad,)), (PRELOAD, (targets[0],))]
    assert [seen.targets for seen in acme.calls if seen.method == "preload_urls"] == [tuple(targets[1:])]
    refusing = Scripted(answer=script(CallRefused("no such zone", "account")))
    report = delivery(refusing).deliver([], 60, [preload])
    assert methods(refusing) == ["purge_urls"]
    assert [each.status for each in report] == [Status.REFUSED, Status.REJECTED]
