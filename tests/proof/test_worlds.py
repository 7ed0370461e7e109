"""CDNs behind one another: each is purged when the one that it fetches from has dropped, whatever goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.tier_rounds import rounds

from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from kit.tiers import Tiers
    from kit.worlds_log import Told

pytestmark = pytest.mark.slow

# What Fastly publishes.
IN_TIME = 0.15
LATE = 4.0


def up_to(seconds: float) -> Callable[[random.Random], float]:
    return lambda chance: chance.uniform(0, seconds)


def test_all_is_fresh_in_its_order(tiers: Tiers, told: Told) -> None:
    world = tiers.world()
    world.upload("a.css", "old", told=False)
    assert tiers.bodies("a.css") == {"inner": "old", "outer": "old"}
    world.upload("a.css", "new")
    world.run(60)
    assert tiers.bodies("a.css") == {"inner": "new", "outer": "new"}
    events = [(event, name) for name in ("inner", "outer") for event in ("accepted", "finished", "fresh")]
    assert told("accepted", "finished", "fresh") == events
    assert world.waiting == []
    assert world.letters == []


def pin(tiers: Tiers, *, pulls: bool) -> dict[str, str]:
    """The inner CDN is slow to drop, and clients ask the outer one meanwhile."""
    world = tiers.world(pulls=pulls, verify=False)
    tiers.cdns["inner"].topology.purge_delay = IN_TIME
    world.upload("a.css", "old", told=False)
    tiers.ask("a.css")
    world.upload("a.css", "new")
    world.invoke()
    tiers.ask("a.css")
    world.run(3600)
    return tiers.bodies("a.css")


def test_without_an_order_old_bytes_stay_for_ever(tiers: Tiers) -> None:
    assert pin(tiers, pulls=False) == {"inner": "new", "outer": "old"}


def test_with_it_they_do_not(tiers: Tiers) -> None:
    assert pin(tiers, pulls=True) == {"inner": "new", "outer": "new"}


@pytest.mark.parametrize(
    ("vendors", "verify", "latest", "numbers"),
    [
        (("fastly", "fastly"), False, IN_TIME, range(6)),
        (("fastly", "fastly"), True, LATE, range(20, 22)),
        (("cloudfront", "fastly"), False, LATE, range(30, 32)),
        (("fastly", "fastly", "fastly"), False, IN_TIME, range(40, 42)),
    ],
    ids=["two", "verified, beyond the published time", "CloudFront inside, which is asked", "three"],
)
def test_nothing_stays_old_under_faults_kills_and_duplicates(
    chain: Callable[..., Tiers],
    monkeypatch: pytest.MonkeyPatch,
    vendors: tuple[str, ...],
    verify: bool,
    latest: float,
    numbers: range,
) -> None:
    tiers = chain(**{f"tier{place}": vendor for place, vendor in enumerate(vendors)})
    tiers.warp.sleep(monkeypatch)
    shown: dict[str, int] = {}
    for number, found in zip(
        numbers, rounds(tiers, tiers.world(verify=verify), numbers, delays=up_to(latest)), strict=True
    ):
        assert (number, found.pinned, found.left) == (number, {}, 0)
        shown |= found.shown
    assert "killed" in shown
    assert len(shown) > 3


def outages(tiers: Tiers, name: str) -> None:
    tiers.cdns[name].faults.always(faults.status(503))


def test_a_sick_inner_one_does_not_hold_the_outer_for_ever(tiers: Tiers, told: Told) -> None:
    world = tiers.world(options={"outer": {"wait_at_most": "5m"}})
    world.upload("a.css", "old", told=False)
    tiers.ask("a.css")
    outages(tiers, "inner")
    world.upload("a.css", "new")
    world.run(295)
    assert purges(tiers, "outer") == 0
    world.run(10)
    assert purges(tiers, "outer") == 1, "however late the inner one is tried again"
    assert told("released") == [("released", "outer")]
    world.run(300)
    assert purges(tiers, "outer") == 1
    tiers.cdns["inner"].faults.clear()
    tiers.cdns["inner"].forget_calls()
    world.run(1200)
    assert (purges(tiers, "inner"), purges(tiers, "outer")) == (1, 2)
    assert tiers.bodies("a.css") == {"inner": "new", "outer": "new"}
    assert told("released") == [("released", "outer")]
    assert (world.waiting, world.letters) == ([], [])


def test_who_waits_for_one_that_is_given_up_is_purged(tiers: Tiers, told: Told) -> None:
    world = tiers.world(options={"outer": {"wait_at_most": "10m"}})
    tiers.cdns["inner"].faults.always(faults.status(400))  # it will never take it
    world.upload("a.css", "new")
    world.run(60)
    assert told("released") == [("released", "outer")]
    assert purges(tiers, "outer") == 1


def purges(tiers: Tiers, name: str) -> int:
    return sum("/purge" in call.target for call in tiers.cdns[name].calls)


def test_who_waits_for_fresh_is_purged_after_that(tiers: Tiers, told: Told) -> None:
    """By an option, the outer CDN waits for the proof, and not only for the vendor's word."""
    tiers.cdns["inner"].topology.pops[0].ignores = 1
    world = tiers.world(options={"outer": {"wait_for": "fresh"}})
    world.upload("a.css", "old", told=False)
    tiers.ask("a.css")
    world.upload("a.css", "new")
    world.run(60)
    assert told("finished", "stale", "fresh") == [
        *[("finished", "inner"), ("stale", "inner"), ("finished", "inner"), ("fresh", "inner")],
        *[("finished", "outer"), ("fresh", "outer")],
    ]
    assert (purges(tiers, "inner"), purges(tiers, "outer")) == (2, 1)
