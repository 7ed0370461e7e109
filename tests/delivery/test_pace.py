"""Pace makes nobody wait: the queue does, in few messages, and what comes together becomes one call."""

from __future__ import annotations

import json
import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest
from rig.paced_world import PacedWorld

if TYPE_CHECKING:
    from collections.abc import Sequence

PROVIDERS = {
    "images": {"type": "pixboost", "secret": "${env:SECRET}", "domain": "images.example.com"},
    "site": {"type": "cloudfront", "distribution": "E8F6HK73EP0LT"},
    "files": {"type": "fastly", "service": "SU1", "token": "${env:SECRET}"},
}
# Seconds that each call takes.
TAKES = {"images": 0.05, "site": 0.05, "files": 0.0}

# Five times the grace, and the call that was under way.
STRETCH = 5.0 + 0.06


class Called(NamedTuple):
    """A call of a vendor."""

    provider: str
    targets: tuple[str, ...]
    at: float


class Vendors:
    """A world, and what its vendors were asked."""

    def __init__(self, *names: str, functions: int = 2, batch: int = 1000, gather: float = 1.0) -> None:
        self.calls: list[Called] = []
        routes = [{"bucket": name, "urls": ["https://images.example.com/{key}"], "purge": [name]} for name in names]
        providers = {name: PROVIDERS[name] for name in names}
        text = json.dumps({"version": 1, "providers": providers, "routes": routes})
        self.world = PacedWorld(text, self._call, functions=functions, batch=batch, gather=gather)

    def _call(self, name: str, targets: Sequence[str], at: float) -> float:
        self.calls.append(Called(name, tuple(targets), at))
        return TAKES[name]

    def run(self, uploads: int, bucket: str, every: float = 0.0) -> None:
        """Upload, and go on until all is done."""
        for number in range(uploads):
            self.world.upload(bucket, f"{number}.png", number * every)
        self.world.run()

    def of(self, provider: str) -> list[Called]:
        """The calls of one vendor."""
        return [call for call in self.calls if call.provider == provider]

    def times(self, provider: str) -> Counter[str]:
        """How often each target was asked for."""
        return Counter(target for call in self.of(provider) for target in call.targets)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "a-secret-of-a-test")
    monkeypatch.setattr(logging.getLogger("multicdn"), "level", logging.ERROR)


def test_a_thousand_uploads_to_a_vendor_with_one_call_at_a_time_hold_no_invocation() -> None:
    vendors = Vendors("images")
    vendors.run(1000, "images")
    world = vendors.world
    assert len(vendors.times("images")) == 1000
    assert set(vendors.times("images").values()) == {1}
    assert max(took for _, took in world.invocations) <= STRETCH
    # 50 s of calls, in ten stretches of which each job waits for one: and nine messages, not a thousand.
    assert len(world.invocations) <= 11
    assert world.sent <= 10
    assert max(call.at for call in vendors.calls) <= 1.25 * 1000 * TAKES["images"]


def test_nor_do_they_in_one_invocation_after_the_other_where_each_brings_a_few() -> None:
    """Uploads for another vendor come meanwhile, and find a function free."""
    vendors, every = Vendors("images", "files", batch=10, gather=0.0), 2.0
    for number in range(20):
        vendors.world.upload("files", f"{number}.txt", every * number)
    vendors.run(400, "images", every=0.004)
    assert set(vendors.times("images").values()) == {1}
    lags = [call.at - every * number for number, call in enumerate(vendors.of("files"))]
    assert len(lags) == 20
    assert max(lags) <= STRETCH


def test_uploads_in_quick_succession_to_a_vendor_of_few_calls_share_them() -> None:
    vendors = Vendors("site", functions=1, batch=10, gather=0.0)
    vendors.run(20, "site", every=0.5)
    assert set(vendors.times("site").values()) == {1}
    # Two at once, as the vendor allows, and then one each four seconds with all that came meanwhile.
    assert len(vendors.of("site")) <= 6
    # Each waits once, in a message of its own; and nobody waits for it in a function.
    assert vendors.world.sent <= 18
    assert max(took for _, took in vendors.world.invocations) <= TAKES["site"] + 0.11


def test_a_backlog_of_a_vendor_of_few_calls_goes_in_few_of_them_however_small_the_batches_are() -> None:
    vendors = Vendors("site", batch=10, gather=0.0)
    vendors.run(600, "site")
    assert set(vendors.times("site").values()) == {1}
    assert len(vendors.of("site")) <= 8
    assert vendors.world.received <= 600 + 600 / 10 + 10
