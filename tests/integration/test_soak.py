"""A short soak: all goes wrong at once for some seconds, and nothing is lost. ``bench/soak.py`` runs longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from multicdn.simulators import VENDORS
from multicdn.testing import soak
from multicdn.testing.aws import PROGRAM_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = soak.Settings()


@pytest.fixture(scope="module")
def ledger(aws_program: Path) -> soak.Ledger:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROGRAM_VARIABLE, str(aws_program))
        found = soak.run(SETTINGS, print)
    print("\n".join(found.lines()))
    return found


@pytest.mark.timeout(240)
def test_nothing_is_lost(ledger: soak.Ledger) -> None:
    assert ledger.lost == set()
    assert ledger.owed > SETTINGS.uploads


def test_what_was_given_up_is_delivered_once_it_is_sent_back(ledger: soak.Ledger) -> None:
    assert ledger.redriven > 0
    assert ledger.undone == set()
    assert ledger.left == (0, 0)


def test_the_storm_was_one(ledger: soak.Ledger) -> None:
    assert ledger.uploads == SETTINGS.uploads
    assert ledger.messages > ledger.uploads
    assert ledger.kills > 0
    assert ledger.parked > 0
    assert ledger.faults["outage"] > 0
    assert ledger.faults.total() - ledger.faults["outage"] > 50
    assert ledger.in_letters[SETTINGS.sick] > 0
    assert ledger.calls.keys() == VENDORS.keys()
    assert all(ledger.calls.values())


def test_the_healthy_vendor_sees_no_extra_calls_from_the_sick_one(ledger: soak.Ledger) -> None:
    """It is asked once for each message. Only what a killed worker was at is asked for again."""
    asked = ledger.asked[SETTINGS.healthy]
    of_a_batch = SETTINGS.batch * asked / ledger.messages
    assert ledger.targets[SETTINGS.healthy] <= asked + ledger.kills * of_a_batch
    assert ledger.in_letters[SETTINGS.healthy] == 0


def test_no_worker_ended_by_itself(ledger: soak.Ledger) -> None:
    assert ledger.complaints == ""
