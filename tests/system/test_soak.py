"""A short soak: all goes wrong at once for some seconds, and nothing is lost. ``bench/soak.py`` runs longer ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rig import soak
from rig.soak_model import SoakReport, SoakSettings

from multicdn.simulators import VENDORS
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = SoakSettings(uploads=1200, upload_seconds=3.0, fault_seconds=6.0, give_up_after=6)


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_the_healthy_vendor_is_left_alone(
    aws_program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROGRAM_VARIABLE, str(aws_program))
    report = soak.run(SETTINGS, print)
    print("\n".join(report.lines()))

    assert report.stderr == ""
    check_that_faults_were_shown(report)
    assert report.signs == []
    # What was given up is delivered once it is sent back.
    assert report.redriven > 0
    # The healthy vendor is asked once for each message, and again only for what a killed worker was at.
    asked = report.asked[SETTINGS.healthy]
    of_a_batch = SETTINGS.batch * asked / report.messages
    assert report.targets[SETTINGS.healthy] <= asked + report.kills * of_a_batch
    assert report.dead_lettered[SETTINGS.healthy] == 0


def check_that_faults_were_shown(report: SoakReport) -> None:
    """Else nothing would be shown."""
    assert report.uploads == SETTINGS.uploads
    assert report.messages > report.uploads
    assert report.expected > report.uploads
    assert report.kills > 0
    assert report.requeued > 0
    assert report.faults["outage"] > 0
    assert report.faults.total() - report.faults["outage"] > 20
    assert report.dead_lettered[SETTINGS.down] > 0
    assert report.calls.keys() == VENDORS.keys()
    assert all(report.calls.values())
