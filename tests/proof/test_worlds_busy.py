"""No false alarms where objects are written again while they are looked at; ``bench/proof.py`` has large numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.busy_site import Busy, compressing
from kit.tiers import Tiers

if TYPE_CHECKING:
    from kit.worlds_log import Told

    from multicdn.simulators import Origin

pytestmark = pytest.mark.slow

# Seconds beyond what the vendors publish; CloudFront is asked.
LATEST = {"fastly": 1.9, "cloudfront": 8.0}


@pytest.mark.parametrize(("chained", "uploads"), [(False, 100), (True, 50)], ids=["side by side", "chained"])
def test_nothing_is_told_as_stale_or_purged_again(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, told: Told, chained: bool, uploads: int
) -> None:
    vendors = {"cloudfront": "cloudfront", "fastly": "fastly"}
    with Tiers(monkeypatch, origin, vendors, chained=chained) as tiers:
        tiers.warp.sleep(monkeypatch)
        compressing(tiers)
        busy = Busy(tiers.world(), tiers, LATEST)
        busy.world.gather = 0.3
        busy.run(uploads)
        assert told.lines("stale", "unknown") == []
        assert {event for event, _ in told("fresh", "superseded")} == {"fresh", "superseded"}
        assert busy.old() == {}
        assert (busy.world.waiting, busy.world.letters) == ([], [])
