"""When a deploy is over, by times alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multicdn.planning.settling import Moment, Ruling, ended, settled

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = "s3://acme-site/deploy/done.json"


def at(*times: float, message: str = "m1", waited: bool = True) -> list[Moment]:
    return [Moment(time, time, message, waited) for time in times]


def settle(
    hand: Iterable[Moment], now: float, elsewhere: float | None = None, quiet: float = 20.0, most: float = 600.0
) -> list[Ruling]:
    return settled(list(hand), quiet, most, lambda: elsewhere, now)


def unasked() -> float | None:
    raise AssertionError("S3 is asked though the changes at hand say enough")


def untils(rulings: list[Ruling]) -> list[float | None]:
    return [ruling.until for ruling in rulings]


@pytest.mark.parametrize(
    ("now", "until"), [(1000.0, 1020.0), (1000.5, 1020.0), (1019.9, 1020.0), (1020.0, None), (1300.0, None)]
)
def test_one_change_waits_until_it_was_quiet(now: float, until: float | None) -> None:
    assert untils(settle(at(1000.0), now)) == [until]


def test_moments_lie_on_a_grid_that_all_messages_share() -> None:
    assert untils(settle(at(1001.2), 1002.0) + settle(at(1003.4), 1004.0)) == [1025.0, 1025.0]
    assert untils(settle(at(1001.2), 1002.0, quiet=4.0)) == [1006.0], "finer, where less is waited for"
    assert untils(settle(at(1003.4), 1024.0)) == [1025.0], "quiet, but others come back on the grid"


def test_s3_says_whether_it_is_quiet_and_is_asked_only_where_that_matters() -> None:
    assert untils(settle(at(1000.0), 1020.0, elsewhere=1013.0)) == [1035.0]
    assert untils(settle(at(1000.0), 1020.0, elsewhere=900.0)) == [None]
    assert untils(settled(at(1000.0), 20.0, 600.0, unasked, 1010.0)) == [1020.0]


def test_a_clock_that_is_ahead_holds_nothing_for_ever() -> None:
    assert untils(settle(at(1000.0), 1020.0, elsewhere=9999.0)) == [1040.0]


def test_after_the_longest_wait_it_is_purged_though_changes_still_come() -> None:
    hand = at(*range(1000, 1600, 10))
    rulings = settle(hand, 1600.0)
    assert untils(rulings) == [None] * 60
    assert all(ruling.late for ruling in rulings)
    assert untils(settle(at(1000.0, 1590.0), 1595.0)) == [1600.0, 1600.0], "sooner than quiet would be"


def test_a_message_of_long_ago_takes_no_deploy_along_that_goes_on() -> None:
    old, new = settle(at(100.0, 1000.0), 1010.0)
    assert (old.until, old.late, new.until) == (None, True, 1020.0)


def test_several_messages_meet_before_they_are_purged_and_only_once() -> None:
    hand = [*at(1000.0), *at(1000.0, message="m2")]
    assert untils(settle(hand, 1020.5)) == [1025.0, 1025.0]
    assert untils(settle(hand, 1025.5)) == [None, None], "whoever else has a part, this one waits no longer"
    assert untils(settle(at(1000.0, 1001.0), 1026.0)) == [None, None], "one message has met all others"


@pytest.mark.parametrize(
    ("uploaded", "until"),
    [(None, 1110.0), (900.0, 1110.0), (1000.0, None), (999.0, None), (998.0, 1110.0), (1100.0, None)],
)
def test_a_change_waits_for_the_object_that_comes_last(uploaded: float | None, until: float | None) -> None:
    """S3 says whole seconds of an object: what was uploaded within the same is taken for earlier."""
    assert untils(ended(at(1000.4), KEY, lambda: (uploaded, ""), 3600.0, 1105.0)) == [until]


def test_what_came_now_waits_for_those_that_wait_already_and_s3_isnt_asked() -> None:
    def unasked() -> tuple[float | None, str]:
        raise AssertionError

    assert untils(ended(at(1000.0, waited=False), KEY, unasked, 3600.0, 1001.0)) == [1010.0]


def test_changes_of_the_next_deploy_wait_while_those_of_the_last_are_purged() -> None:
    assert untils(ended(at(1000.0, 1050.0), KEY, lambda: (1010.0, ""), 3600.0, 1055.0)) == [None, 1060.0]


def test_a_deploy_that_never_ends_is_given_up_and_says_so() -> None:
    [ruling] = ended(at(1000.0), KEY, lambda: (None, ""), 3600.0, 4600.0)
    assert (ruling.given_up, ruling.reason) == (
        True, f"the deploy never ended: {KEY} was not uploaded since",
    )  # fmt: skip
    [ruling] = ended(at(1000.0), KEY, lambda: (None, "HeadObject: 403 Forbidden"), 3600.0, 4600.0)
    assert ruling.reason == "the deploy never ended: HeadObject: 403 Forbidden"
    [ruling] = ended(at(1000.0), KEY, lambda: (4590.0, ""), 3600.0, 4600.0)
    assert not ruling.given_up, "it ended at the last moment"
