"""Whatever a careless plugin does in a call costs its own jobs, and is named: no thread and no process ends."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from kit.scripted_provider import Scripted, Seen, delivery, demand, ends, urls

from multicdn.errors import RetryLater, TargetsRefused
from multicdn.model import Receipt, Status
from multicdn.provider import Limits

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
