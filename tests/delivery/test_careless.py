"""Whatever a careless plugin does in a call costs its own jobs, and is named: no thread and no process ends."""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from kit.scripted_provider import Scripted, Seen, delivery, demand, ends, urls

from multicdn.errors import RetryLater, TargetsRefused
from multicdn.model import Receipt, Status, Target
from multicdn.provider import Limits, Secret

if TYPE_CHECKING:
    from collections.abc import Callable


class Panic(BaseException):
    """As pyo3's PanicException, which is no Exception."""


class Mute(Exception):
    """An exception that has no text."""

    def __str__(self) -> str:
        raise KeyError("text")


def raising(make: Callable[[], BaseException]) -> Callable[[Seen], Any]:
    def answer(_: Seen) -> Any:
        raise make()

    return answer


ODD = {
    "SystemExit": raising(lambda: SystemExit(1)),
    "a panic": raising(lambda: Panic("index out of bounds")),
    "GeneratorExit": raising(GeneratorExit),
    "an error without a text": raising(Mute),
    "None": lambda _: None,
    "a pause of text": lambda _: Receipt(pause="soon"),  # type: ignore[arg-type]
    "a pause of None": lambda _: Receipt(pause=None),  # type: ignore[arg-type]
    "an endless pause": lambda _: Receipt(pause=float("inf")),
    "no number": lambda _: Receipt(pause=float("nan")),
    "an id of bytes": lambda _: Receipt(id=b"x"),  # type: ignore[arg-type]
    "a note of half a surrogate": lambda _: Receipt(note="\ud800"),
    "an estimate of text": lambda _: Receipt(estimate="soon"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_whatever_a_call_hands_over_costs_its_batch_alone_and_is_named(
    answer: Callable[[Seen], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "multicdn")
    first, second = urls(2)
    acme = Scripted(limits=Limits(targets=1), answer=lambda seen: answer(seen) if first in seen.targets else Receipt())
    report = delivery(acme, Scripted()).deliver([demand(urls(2)), demand(urls(2), "bravo")], 60)
    found = ends(report)
    assert [found["acme", url] for url in (first, second)] == [[Status.RETRY], [Status.ACCEPTED]]
    assert [found["bravo", url] for url in (first, second)] == [[Status.ACCEPTED]] * 2
    [outcome] = report.undelivered
    assert outcome.reason.startswith("bug in the plugin: ")
    assert [json.loads(record.message)["event"] for record in caplog.records] == ["plugin-bug"]


@pytest.mark.parametrize("reason", [None, b"no", 7, ["a"]], ids=repr)
@pytest.mark.parametrize("error", [RetryLater, TargetsRefused])
def test_a_reason_that_is_no_text_is_shown_as_what_it_is(error: Any, reason: Any) -> None:
    assert error(reason).reason == str(error(reason)) == repr(reason)


def test_an_error_that_was_never_given_a_reason_has_one() -> None:
    class Careless(TargetsRefused):
        def __init__(self) -> None:
            """Forget what the base needs."""

    assert Careless().reason == "(no reason was given)"
    assert Careless().targets == ()
    assert TargetsRefused("no", "https://a/b").targets == ("https://a/b",)
    assert TargetsRefused("no", None).targets == ()  # type: ignore[arg-type]


def test_a_reason_that_is_a_whole_page_is_cut_and_holds_no_part_of_a_secret() -> None:
    """Each of thousands was blacked out and logged whole, for longer than the function had."""
    secret = "s3cr3t-" * 40
    Secret.literal(secret).reveal()
    page = "x" * 1900 + secret + "<p>" * 50_000
    acme = Scripted(answer=raising(lambda: RetryLater(page, 600.0)), spell=raising_for("b", TargetsRefused(page)))
    report = delivery(acme).deliver([demand(["https://a/a", "https://a/b"])], 60)
    for outcome in report:
        assert outcome.reason == "x" * 1900 + "[secret]" + ("<p>" * 50)[:92] + "…"
    assert {outcome.status for outcome in report} == {Status.RETRY, Status.REJECTED}


def raising_for(ending: str, error: Exception) -> Callable[[Target], tuple[Target, ...]]:
    def spell(target: Target) -> tuple[Target, ...]:
        if target.value.endswith(ending):
            raise error
        return (target,)

    return spell


def test_a_plugin_that_fails_on_each_of_thousands_is_shown_with_its_trace_a_few_times(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A trace takes more time than a call does, and the other vendors wait for the processor."""
    acme = Scripted(limits=Limits(targets=1), answer=raising(lambda: SystemExit(1)))
    report = delivery(acme).deliver([demand(urls(500))], 60)
    assert len([outcome for outcome in report if outcome.reason == "bug in the plugin: SystemExit: 1"]) == 500
    assert [json.loads(record.message)["event"] for record in caplog.records] == ["plugin-bug"] * 3


def test_a_plugin_that_wants_thousands_of_calls_at_once_leaves_threads_for_the_others() -> None:
    """A function has 1,024 of them."""
    most, barrier = 64, threading.Semaphore(0)
    of_earlier_tests = set(threading.enumerate())  # which may end meanwhile

    def answer(_: Seen) -> Receipt:
        peaks.append(len(set(threading.enumerate()) - of_earlier_tests))
        if len(peaks) >= most:
            barrier.release(most)
        barrier.acquire(timeout=5)
        return Receipt()

    peaks: list[int] = []
    report = delivery(Scripted(limits=Limits(targets=1, parallel=5000), answer=answer)).deliver([demand(urls(300))], 60)
    assert report.undelivered == ()
    assert most <= max(peaks) <= most + 1


class Whimsical(Scripted):
    """Its limits are fine until it was called."""

    @property
    def url_limits(self) -> Limits:
        if self.calls:
            raise SystemExit(2)
        return Limits(targets=1, parallel=2)


def test_limits_are_not_asked_for_between_two_calls() -> None:
    acme = Whimsical()
    report = delivery(acme).deliver([demand(urls(5))], 60)
    assert {outcome.status for outcome in report} == {Status.ACCEPTED}
    assert len(acme.calls) == 5
