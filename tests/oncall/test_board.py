"""What a board says of a delivery, as it is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.watching import WWW, Told

from multicdn.errors import CallRefused, RetryLater, SecretError, TargetsRefused
from multicdn.model import Receipt, Status

if TYPE_CHECKING:
    from multicdn.oncall.board import Standing


def only(told: Told) -> Standing:
    [standing] = told.board.standings()
    return standing


def test_what_is_foretold_stands_there_before_anything_happens() -> None:
    told = Told(site=2, auto=None)
    assert [(each.name, each.targets, each.is_over) for each in told.board.standings()] == [
        ("site", 2, False),
        ("auto", None, False),
    ]


def test_what_an_instance_stands_for_takes_its_place() -> None:
    told = Told(auto=None)
    told.plan("auto/E1", 3)
    told.plan("auto/E2", 4)
    assert [(each.name, each.targets) for each in told.board.standings()] == [("auto/E1", 3), ("auto/E2", 4)]


def test_a_trouble_lasts_from_the_first_failure_to_the_next_acceptance() -> None:
    told = Told(www=3)
    told.fail("www", 0)
    told.now += 8
    told.fail("www", 1, reason="429")
    told.board.waiting("www", 4.0, "429")
    standing = only(told)
    assert (standing.trouble, standing.troubled, standing.wait, standing.calls) == ("429", 8.0, 4.0, 2)
    told.accept("www", 0, seconds=0)
    assert (only(told).trouble, only(told).troubled, only(told).wait) == ("", 0.0, 0.0)


def test_of_several_that_wait_the_first_to_call_counts_and_a_wait_that_is_over_is_none() -> None:
    told = Told(www=3)
    told.board.waiting("www", 9.0, "")
    told.board.waiting("www", 4.0, "")
    told.board.waiting("www", 20.0, "")
    assert only(told).wait == 4.0
    told.now += 5
    assert only(told).wait == 0.0
    told.board.waiting("www", 3.0, "")
    assert only(told).wait == 3.0


@pytest.mark.parametrize(
    ("said", "trouble"),
    [
        (RetryLater("503"), "503"),
        (RetryLater("POST https://api.acme.test/purge: 503: (empty body)"), "503"),
        (TargetsRefused("bad URL"), ""),
        (CallRefused("no such zone"), ""),
        (SecretError("${env:X} is empty"), ""),
        (KeyError("zone"), ""),
    ],
)
def test_only_what_may_pass_is_trouble(said: Exception, trouble: str) -> None:
    told = Told(www=1)
    job = told.job("www", 0)
    told.board.calling(job)
    assert only(told).under_way == 1
    told.board.answered(job, 0.2, said)
    assert (only(told).trouble, only(told).under_way) == (trouble, 0)


def test_each_answer_is_told_once() -> None:
    told = Told(www=2)
    told.accept("www", 0)
    told.fail("www", 1, reason="503")
    accepted, failed = told.board.answers()
    assert (accepted.targets, accepted.id, accepted.trouble) == ((f"{WWW}/0",), "0-1729", "")
    assert (failed.provider, failed.id, failed.trouble, failed.seconds) == ("www", "", "503", 0.2)
    assert told.board.answers() == []


def test_answers_that_nobody_looks_at_and_pages_of_vendors_are_bounded() -> None:
    told = Told(www=1)
    for number in range(10_005):
        told.fail("www", number)
    assert len(told.board.answers()) == 10_000
    told.fail("www", 0, reason="x" * 1_000_000)
    assert len(only(told).trouble) == 201
    job = told.job("www", 0)
    told.board.answered(job, 0.1, Receipt("i" * 1_000_000))
    assert len(told.board.answers()[-1].id) == 200


def test_it_is_over_when_all_have_ended_however_they_did() -> None:
    told = Told(www=3)
    told.accept("www", 0, 2)
    assert not only(told).is_over
    told.end("www", 2, reason="bad URL")
    standing = only(told)
    assert (standing.is_over, standing.accepted, standing.undone, standing.why) == (True, 2, 1, "bad URL")
    assert [outcome.status for outcome in told.board.outcomes()] == [Status.ACCEPTED, Status.REJECTED]


def test_a_purge_that_is_made_once_more_adds_its_targets() -> None:
    told = Told(www=2)
    told.plan("www", 2)
    told.accept("www", 0, 2)
    told.plan("www", 1)
    (standing,) = told.board.standings()
    assert (standing.accepted, standing.targets, standing.is_over) == (2, 3, False)
    told.accept("www", 0)
    assert told.board.standings()[0].is_over
    assert [len(told.board.outcomes(since)) for since in (0, 1, 2)] == [2, 1, 0]


def test_a_provider_says_how_far_it_is_and_lines_are_told_once() -> None:
    told = Told(www=1)
    told.board.phase("www", "waits for site")
    told.board.tell("www: waits")
    assert told.board.standings()[0].phase == "waits for site"
    assert [told.board.lines(), told.board.lines()] == [["www: waits"], []]
