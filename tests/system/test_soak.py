"""Short soaks: all goes wrong at once for some seconds, and nothing is lost; and it is noticed if something is.

``bench/soak.py`` runs longer ones, and all breaks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest
from rig import soak, soak_breaks
from rig.soak_model import SMALL, SoakReport, SoakSettings

from multicdn.simulators import VENDORS

if TYPE_CHECKING:
    from multicdn.model import Target
    from multicdn.testing.loopback.aws import LoopbackAws

# The faults last longer than a worker has time.
BROKEN = dataclasses.replace(SMALL, uploads=300, upload_seconds=1.0, visibility=3, swallowed=3, within=6)


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


def lost(report: SoakReport, provider: str) -> set[Target]:
    """What was lost of what a vendor was to do."""
    return {each.target for each in report.lost if each.provider == provider}


Signs = Mapping[str, Callable[[SoakReport], object]]

# Several breaks at once, and how the report shows each.
OF_JOBS: Signs = {
    "removal marked stale @ fastly": lambda report: lost(report, "fastly"),
    "requeued messages thrown away @ highwinds": lambda report: lost(report, "highwinds"),
    "requeued job short of a target @ akamai": lambda report: lost(report, "akamai"),
    "lost answer counted as accepted @ pixboost": lambda report: lost(report, "pixboost"),
    "constant CallerReference @ cloudfront": lambda report: lost(report, "cloudfront"),
    "dead letter not sent @ cloudflare": lambda report: lost(report, "cloudflare"),
    "preload first": lambda report: report.hasty,
}
OF_ENDS: Signs = {
    "no second kept for the queue": lambda report: "messages returned" in str(report.signs),
    # What is lost by it may be done again, since messages come back.
    "halves of a batch with its CallerReference @ cloudfront": lambda report: report.mistaken,
    "preload though its purge has failed": lambda report: report.hasty,
    "dead letter deleted before it is sent back": lambda report: report.unmet,
}
OF_KILLS: Signs = {"message deleted before it is handled": lambda report: report.lost}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("settings", "signs"),
    [
        (dataclasses.replace(BROKEN, kills=0), OF_JOBS),
        (dataclasses.replace(BROKEN, kills=0, largest=20, visibility=4, fault_seconds=6.0), OF_ENDS),
        (dataclasses.replace(BROKEN, kills=12, down=""), OF_KILLS),
    ],
    ids=["of jobs", "of ends", "of kills"],
)
def test_a_soak_notices_what_is_broken(settings: SoakSettings, signs: Signs, aws: LoopbackAws) -> None:
    report = soak.run(dataclasses.replace(settings, broken=" + ".join(signs)), aws=aws)
    print("\n".join(report.lines()))
    assert report.stderr == ""
    assert [name for name, is_shown in signs.items() if not is_shown(report)] == []


def test_a_break_that_concerns_all_vendors_cannot_be_limited_to_one() -> None:
    with pytest.raises(ValueError, match="all vendors"):
        soak_breaks.code("no second kept for the queue @ fastly")
