"""A short soak: all goes wrong at once for some seconds, and nothing is lost. ``bench/soak.py`` runs longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rig import soak

from multicdn.simulators import VENDORS
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = soak.Settings()


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_the_healthy_vendor_is_left_alone(
    aws_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, str(aws_program))
    ledger = soak.run(SETTINGS, print)
    print("\n".join(ledger.lines()))

    assert ledger.complaints == ""
    check_that_the_storm_was_one(ledger)
    assert ledger.lost == set()
    # What was given up is delivered once it is sent back.
    assert ledger.redriven > 0
    assert ledger.undone == set()
    assert ledger.left == (0, 0)
    # The healthy vendor is asked once for each message, and again only for what a killed worker was at.
    asked = ledger.asked[SETTINGS.healthy]
    of_a_batch = SETTINGS.batch * asked / ledger.messages
    assert ledger.targets[SETTINGS.healthy] <= asked + ledger.kills * of_a_batch
    assert ledger.in_dead_letters[SETTINGS.healthy] == 0


def check_that_the_storm_was_one(ledger: soak.Ledger) -> None:
    """Else nothing would be shown."""
    assert ledger.uploads == SETTINGS.uploads
    assert ledger.messages > ledger.uploads
    assert ledger.owed > ledger.uploads
    assert ledger.kills > 0
    assert ledger.requeued > 0
    assert ledger.faults["outage"] > 0
    assert ledger.faults.total() - ledger.faults["outage"] > 20
    assert ledger.in_dead_letters[SETTINGS.sick] > 0
    assert ledger.calls.keys() == VENDORS.keys()
    assert all(ledger.calls.values())
