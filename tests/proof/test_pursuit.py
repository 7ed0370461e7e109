"""Vendors and edges that hang, break or say nothing, while purges are looked at."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from multicdn.aws.s3 import StoredObject
from multicdn.model import Action, Job, TargetKind
from multicdn.proof.ladder import decide
from multicdn.proof.pursuit import Pursuits
from multicdn.provider import Call, Confirm, Confirmation, Limits, Prove, PurgeUrls, Receipt, Seen, option
from multicdn.queue.message import Look, QueuedJob
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from multicdn.aws.s3 import Place

ACTS: dict[str, Callable[[str], Any]] = {}
"""What vendors do when they are asked, by endpoint."""


@dataclass(frozen=True, kw_only=True)
class Odd(PurgeUrls, Confirm, Prove):
    """A vendor that does what it is told to when it is asked."""

    endpoint: str = option(default="https://api.odd.example", help="base URL")
    url_limits = confirm_limits = Limits(targets=1)
    prove_limits = Limits(targets=1, parallel=8)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        raise AssertionError("nothing is purged here")

    def confirm(self, receipt: str, call: Call) -> Confirmation:
        found: Confirmation = ACTS[self.endpoint](receipt)
        return found

    def prove(self, url: str, call: Call) -> Sequence[Seen]:
        found: Sequence[Seen] = ACTS[self.endpoint](url)
        return found


class Slow(Odd):
    """One that may be asked once an hour."""

    confirm_limits = Limits(targets=1, calls_per_second=1 / 3600)


FRESH = [Seen(status=200, headers={"etag": '"new"'})]


def stored(places: Collection[Place], seconds: float) -> tuple[dict[Place, StoredObject | None], dict[Place, str]]:
    return {place: StoredObject("new") for place in places}, {}


@pytest.fixture
def over() -> Iterator[threading.Event]:
    """Lets what hangs go on, at the end."""
    event = threading.Event()
    yield event
    event.set()
    for thread in threading.enumerate():
        if thread.name.startswith(("multicdn-look", "multicdn-edge")):
            thread.join(5)


def pursuits(act: Callable[[str], Any], kind: type[Odd] = Odd) -> Pursuits:
    ACTS["https://api.odd.example"], ACTS["https://api.well.example"] = act, lambda _: FRESH
    providers = {"odd": kind(), "well": kind(endpoint="https://api.well.example")}
    return Pursuits(providers, {}, lambda bucket, key, name: Verify(), stored)


def look(*keys: str, name: str = "odd", receipt: str = "", age: float = 5.0) -> QueuedJob:
    urls = tuple(f"https://a.invalid/{key}" for key in keys)
    sequels = tuple(Sequel((Subject(url, "b", url),)) for url in urls)
    job = Job(name, Action.PURGE, TargetKind.URL, urls, (frozenset({"m"}),) * len(urls), sequels=sequels)
    at = time.time() - age
    receipts = (receipt,) if receipt else ()
    return QueuedJob(job, 0, at, look=Look(at, at, receipts, finished=0.0 if receipt else at, asked=not receipt))


def test_an_edge_that_hangs_costs_its_own_object_and_what_had_no_turn_is_not_told(over: threading.Event) -> None:
    def act(url: str) -> Any:
        if "hangs" in url:
            over.wait(20)
        return FRESH

    looks = [look("a", *(f"hangs{place}" for place in range(8)), "b"), look("c", name="well")]
    mine, others = pursuits(act).begin(looks, 20, each=0.3).findings()
    assert [verdict.state for verdict in others.verdicts.values()] == ["fresh"]
    known = {subject.url: verdict.state for subject, verdict in mine.verdicts.items() if "hangs" not in subject.key}
    assert known == {"https://a.invalid/a": "fresh"}, "the last one never had a turn"
    hung = [verdict for subject, verdict in mine.verdicts.items() if "hangs" in subject.key]
    assert {verdict.state for verdict in hung} == {"unknown"}
    assert {verdict.reason for verdict in hung} == {"no answer within 0.2 s"}


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), RuntimeError("x")])
def test_whatever_a_plugin_raises_costs_its_own_look(error: BaseException) -> None:
    def act(asked: str) -> Any:
        if asked == "r":
            raise error
        return FRESH

    first, second = pursuits(act).begin([look("a", receipt="r"), look("b")], 20).findings()
    assert first.finished, "its published time counts"
    assert not first.asked
    assert [verdict.state for verdict in second.verdicts.values()] == ["fresh"]


@pytest.mark.parametrize("said", [None, True, "done", {"done": True}])
def test_whatever_a_plugin_says_its_published_time_counts_unless_it_is_an_answer(said: object) -> None:
    [found] = pursuits(lambda _: said).begin([look("a", receipt="r", age=-60)], 20).findings()
    assert not found.finished
    assert "instead of a Confirmation" in found.reason


def test_what_hangs_for_ever_takes_no_more_threads_with_each_invocation(over: threading.Event) -> None:
    asked = pursuits(lambda _: over.wait(20))
    before = threading.active_count()
    for _ in range(6):
        [found] = asked.begin([look("a", receipt="r")], 0.15).findings()
    assert (found.finished, found.reason) == (False, "what it was asked before hangs still")
    assert threading.active_count() - before == 4
    [found] = asked.begin([look("a", receipt="r", age=301)], 0.15).findings()
    assert (found.finished, found.asked) == (True, False), "its published time counts"
    [found] = asked.begin([look("a", name="well")], 20).findings()
    assert [verdict.state for verdict in found.verdicts.values()] == ["fresh"], "that is the trouble of one instance"


def test_no_more_ask_a_vendor_at_once_than_its_plugin_bears(over: threading.Event) -> None:
    asking: list[int] = []

    def act(url: str) -> Any:
        asking.append(threading.active_count())
        over.wait(20)
        return FRESH

    asked = pursuits(act)
    for _ in range(2):
        [found] = asked.begin([look(*map(str, range(12)))], 20, each=0.2).findings()
        assert all(verdict.state == "unknown" for verdict in found.verdicts.values())
    assert len(asking) == 8, "those that hang count"


def test_a_vendor_that_is_asked_too_often_counts_as_finished_at_last() -> None:
    asked = pursuits(lambda _: Confirmation(done=False, reason="InProgress"), Slow)
    looks = [look("a", receipt="r", age=400), look("b", receipt="r"), look("c", receipt="r", age=301)]
    first, second, third = asked.begin(looks, 20).findings()
    assert (first.finished, first.reason) == (False, "InProgress")
    assert (second.finished, second.reason) == (False, "the vendor's rate allows the question only later")
    assert (third.finished, third.asked) == (True, False)
    [later] = decide(first, lambda bucket, key, name: Verify(), None, time.time()).decisions
    [again] = asked.begin([later.queued], 20).findings()
    assert not again.finished, "it has said not long ago that it isn't"


def test_a_question_that_nobody_could_wait_for_takes_no_turn_of_its_vendor() -> None:
    asked = pursuits(lambda _: Confirmation(done=False, reason="InProgress"), Slow)
    [unasked] = asked.begin([look("a", receipt="r")], 20, each=0.01).findings()
    assert not unasked.asked
    [found] = asked.begin([look("a", receipt="r")], 20).findings()
    assert found.reason == "InProgress"
