"""How the ends of many jobs become few lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import click
import pytest
from kit.watching import Told

from multicdn.cli import _ends, _going_on, _group, main
from multicdn.model import Action, Job, Outcome, Receipt, Status, TargetKind
from multicdn.provider import Speed
from multicdn.secrets import Secret

BUSY = "POST https://api.fastly.com/purge/{}: 503: Service Unavailable"


def outcome(number: int, status: Status, reason: str = "", estimate: float | None = None) -> Outcome:
    url = f"https://www.acme.com/{number}"
    job = Job("www", Action.PURGE, TargetKind.URL, (url,), (frozenset(("m",)),))
    return Outcome(job, status, reason.format(url), Receipt(estimate=estimate), calls=1)


def headings(*outcomes: Outcome) -> list[str]:
    return [line for line in _ends.lines(outcomes, Action.PURGE) if not line.startswith(" ")]


def test_the_same_answer_to_forty_calls_is_one_line_with_their_number() -> None:
    lines = list(_ends.lines([outcome(number, Status.RETRY, BUSY) for number in range(40)], Action.PURGE))
    assert lines[0] == (
        "www: purge of 40 targets not done, may succeed later: POST https://api.fastly.com/purge/https://www.acme.com/0:"
        " 503: Service Unavailable (and 39 more like it)"
    )
    assert lines[1:] == [*(f"  https://www.acme.com/{number}" for number in range(10)), "  and 30 more"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("its turn comes in 3.2 s, too late", "its turn comes in 33.9 s, too late"),
        ("500: request 4f1c-8a2b-99e0-77d1 failed", "500: request 9a7c-8a2b-99e0-0001 failed"),
        ("500 at 10:15:04", "500 at 10:15:05"),
    ],
)
def test_what_varies_from_call_to_call_makes_no_line_of_its_own(one: str, other: str) -> None:
    assert headings(outcome(1, Status.RETRY, one), outcome(2, Status.RETRY, other)) == [
        f"www: purge of 2 targets not done, may succeed later: {one} (and 1 more like it)"
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (outcome(1, Status.RETRY, "HTTP 500"), outcome(2, Status.RETRY, "HTTP 503")),
        (outcome(1, Status.RETRY, "no"), outcome(2, Status.REJECTED, "no")),
        (outcome(1, Status.REFUSED, "zone abcd is unknown"), outcome(2, Status.REFUSED, "zone efgh is unknown")),
    ],
)
def test_what_a_person_would_tell_apart_stays_apart(one: Outcome, other: Outcome) -> None:
    assert len(headings(one, other)) == 2


def test_however_many_reasons_there_are_the_lines_are_few_and_the_most_frequent_come_first() -> None:
    odd = [outcome(number, Status.REJECTED, f"reason {chr(0x4E00 + number)}") for number in range(500)]
    lines = list(_ends.lines([*odd, *(outcome(number, Status.RETRY, BUSY) for number in range(2))], Action.PURGE))
    assert lines[0].startswith("www: purge of 2 targets not done")
    assert lines[-1] == "www: purge of 491 more targets not accepted, for 491 other reasons"
    assert len(lines) < 30


@pytest.mark.parametrize(
    ("estimate", "seconds", "said"),
    [
        (25.0, 5.0, ["  seen everywhere after about 5 s in 95 % of cases; the vendor calls it finished only later"]),
        (5.0, 5.0, []),
        (None, 5.0, []),
    ],
)
def test_two_figures_of_a_vendor_are_told_apart_in_words(
    estimate: float | None, seconds: float, said: list[str]
) -> None:
    speeds = {TargetKind.URL: Speed(seconds=seconds, page="p", share="95 %")}
    providers: Any = {"www": SimpleNamespace(speeds=speeds)}
    lines = _ends.lines([outcome(1, Status.ACCEPTED, estimate=estimate)], Action.PURGE, providers)
    assert [line for line in lines if "seen" in line] == said


CANARY = "canary-of-the-ends-0001"


def test_no_secret_that_a_vendor_repeats_or_a_person_has_typed_is_shown() -> None:
    Secret.literal(CANARY).reveal()
    said = f"403: no such token: {CANARY}"
    told = Told(www=2)
    told.fail("www", 0, reason=said)
    told.board.ended(outcome(1, Status.RETRY, said))
    context = click.Context(main)
    context.meta[_group.WORDS] = ("purge", "u", "--reason", f"new token {CANARY}")
    with context:
        to_go_on = list(_going_on.undelivered([outcome(1, Status.RETRY)]))
    assert to_go_on[0] == "To go on: multicdn purge u --reason 'new token [secret]' --provider www"
    shown = [told.board.standings(), told.board.answers(), _ends.as_json([outcome(1, Status.RETRY, said)])]
    assert repr(shown).count("no such token: [secret]") == 4
    assert CANARY not in repr(shown)
