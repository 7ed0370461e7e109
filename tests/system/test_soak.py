"""Short soaks: all goes wrong at once for some seconds, and nothing is lost; and it is noticed if something is.

``bench/soak.py`` runs longer ones, and all breaks.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from rig import soak
from rig.soak_model import SMALL, SoakReport

from multicdn.simulators import VENDORS

if TYPE_CHECKING:
    from multicdn.testing.loopback.aws import LoopbackAws

# Nobody is out, so nothing has to be given up before all is done. The faults last longer than a worker has time.
BRIEF = dataclasses.replace(SMALL, uploads=250, upload_seconds=1.0, fault_seconds=4.0, kills=0, visibility=3, down="")


@pytest.mark.timeout(240)
def test_nothing_is_lost_and_the_healthy_vendor_is_left_alone(aws: LoopbackAws) -> None:
    report = soak.run(SMALL, print, aws)
    print("\n".join(report.lines()))

    assert report.stderr == ""
    check_that_faults_were_shown(report)
    # Nothing lost or left; no preload before its purge; no message handled twice, and no call of the healthy vendor
    # repeated, but for what a killed worker was at.
    assert report.signs == []
    # What was given up is delivered once it is sent back.
    assert report.redriven > 0
    assert report.dead_lettered[SMALL.healthy] == 0


def check_that_faults_were_shown(report: SoakReport) -> None:
    """Else nothing would be shown."""
    assert report.uploads == SMALL.uploads
    assert report.messages > report.uploads
    assert report.expected > report.uploads
    assert report.kills > 0
    assert report.requeued > 0
    assert report.faults["outage"] > 0
    assert report.faults["silence"] > 0
    assert report.faults.total() - report.faults["outage"] > 5
    assert report.dead_lettered[SMALL.down] > 0
    assert report.calls.keys() == VENDORS.keys()
    assert all(report.calls.values())


@pytest.mark.timeout(120)
def test_a_soak_notices_what_is_broken(aws: LoopbackAws) -> None:
    """Three breaks at once, each of which has a sign of its own."""
    signs = {
        "removal marked stale": "lost",
        "preload first": "preloaded before their purge",
        "no second kept for the queue": "messages returned",
    }
    report = soak.run(dataclasses.replace(BRIEF, broken=" + ".join(signs)), aws=aws)
    assert report.stderr == ""
    assert [sign for sign in signs.values() if not any(sign in found for found in report.signs)] == []
