"""The proof oracle of the soak: it finds what the outer CDN purged before the inner one had dropped it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from rig.proof_oracle import ProofOracle

from multicdn import config
from multicdn.model import Action, Job, Target, TargetKind
from multicdn.oncall.letters import Letter
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, capability
from multicdn.queue.message import QueuedJob
from multicdn.simulators import ManualClock, Origin, Topology, load
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = Target(TargetKind.URL, "https://downloads.acme.com/a.css")
CALL = Call(connect=1, read=5)
INNER, OUTER, DELAY = "edgecast", "highwinds", 4.0


class Chain:
    """One CDN in front of another, and the oracle of both."""

    def __init__(self, stack: contextlib.ExitStack, patch: pytest.MonkeyPatch) -> None:
        self.clock = ManualClock()
        origin = stack.enter_context(Origin())
        edges = {name: stack.enter_context(load(name)(origin.url, clock=self.clock)) for name in (INNER, OUTER)}
        edges[INNER].topology = Topology(purge_delay=DELAY)
        simulated = config_for(edges)
        for name, value in simulated.environment.items():
            patch.setenv(name, value)
        route = {"bucket": "b", "urls": ["https://downloads.acme.com/{key}"], "purge": [INNER, OUTER]}
        text = json.dumps({"version": 1, "providers": simulated.providers, "routes": [route]})
        self._providers = config.parse(text, "oracle.yml", Plugins()).providers
        self.oracle = ProofOracle(edges[INNER], edges[OUTER])
        self.oracle.upload(URL.value, "a.css", b"")

    def spelled(self, name: str) -> tuple[str, ...]:
        return tuple(each.value for each in self._providers[name].locate(URL, Action.PURGE))

    def purge(self, name: str) -> None:
        """Call a vendor, as the core does."""
        provider = self._providers[name]
        can = capability(provider, Action.PURGE, TargetKind.URL)
        assert can is not None
        getattr(provider, can.method)(self.spelled(name), CALL)

    def give_up(self, name: str) -> None:
        job = Job(name, Action.PURGE, TargetKind.URL, self.spelled(name), (frozenset(("m",)),))
        self.oracle.given_up([Letter("1", "r", "{}", name, "no", QueuedJob(job, 6, 0.0))])

    def early(self) -> tuple[list[str], int]:
        found = self.oracle.judged([])
        return list(found.early), found.in_turn


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chain]:
    with contextlib.ExitStack() as stack:
        yield Chain(stack, monkeypatch)


@pytest.mark.parametrize(("seconds", "found"), [(DELAY - 0.1, ([URL.value], 0)), (DELAY, ([], 1))])
def test_the_outer_cdn_waits_until_the_inner_ones_purge_has_its_effect(
    seconds: float, found: tuple[list[str], int], chain: Chain
) -> None:
    chain.purge(INNER)
    chain.clock.advance(seconds)
    chain.purge(OUTER)
    assert chain.early() == found


def test_the_outer_cdn_is_early_where_the_inner_one_comes_after_it(chain: Chain) -> None:
    chain.purge(OUTER)
    chain.clock.advance(DELAY)
    chain.purge(INNER)
    assert chain.early() == ([URL.value], 0)


def test_further_purges_come_at_any_time(chain: Chain) -> None:
    chain.purge(INNER)
    chain.clock.advance(DELAY)
    chain.purge(OUTER)
    chain.purge(INNER)
    chain.purge(OUTER)
    assert chain.early() == ([], 1)


@pytest.mark.parametrize("name", [INNER, OUTER])
def test_of_what_was_given_up_no_order_is_to_be_seen(name: str, chain: Chain) -> None:
    chain.give_up(name)
    chain.purge(INNER)
    chain.purge(OUTER)
    assert chain.early() == ([], 0)
