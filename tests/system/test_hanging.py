"""A vendor that hangs costs the six others nothing: from a message of S3 to the queue and back, with all seven."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit.queues import Line, Queues
from moto import mock_aws

from multicdn.simulators import VENDORS, Origin, load
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Simulator

SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")

# Seconds of the invocation in which one vendor hangs: enough for the others even on a busy machine.
SHORT = 2.0
KEYS = [f"{number}.css" for number in range(20)]
URL = "https://www.acme.com/{key}"

# One without an SDK and one with each of the two that have threads, pools and time limits of their own.
SICK = ["fastly", "cloudflare", "cloudfront"]


class Seven:
    """All vendors, and a handler that purges all of them."""

    def __init__(self, edges: dict[str, Simulator], line: Line) -> None:
        self.edges = edges
        self.line = line

    def publish(self, keys: list[str]) -> None:
        """Let every edge cache old bytes, and S3 tell of new ones."""
        for simulator in self.edges.values():
            for key in keys:
                simulator.fetch(simulator.client_url(URL.format(key=key)))
        self.line.queues.upload(*keys)

    def cached(self, name: str) -> int:
        """How many of the objects an edge still serves from its cache, fresh."""
        urls = [self.edges[name].client_url(URL.format(key=key)) for key in KEYS]
        return sum(self.edges[name].fetch(url).cache == "HIT" for url in urls)

    def purges(self) -> dict[str, tuple[int, int]]:
        """Calls and targets at each vendor."""
        return {name: (len(each.calls), sum(call.items for call in each.calls)) for name, each in self.edges.items()}

    def forget(self) -> None:
        for simulator in self.edges.values():
            simulator.forget_calls()


@pytest.fixture
def seven(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seven]:
    with mock_aws(), contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin())
        for key in KEYS:
            origin.put(key, key, {"Cache-Control": "max-age=3600"})
        edges = {vendor: stack.enter_context(load(vendor)(origin.url)) for vendor in VENDORS}
        found = config_for(edges)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        route: dict[str, Any] = {"bucket": "acme-site", "urls": [URL], "purge": list(VENDORS)}
        text = json.dumps({"version": 1, "providers": found.providers, "routes": [route]})
        seven = Seven(edges, Line(Queues(SESSION.client("sqs")), text))
        # SDKs are imported, and AWS's descriptions read, before anything hangs.
        seven.line.queues.upload("warm-up.css")
        seven.line.step()
        seven.forget()
        yield seven


def test_without_trouble_each_vendor_takes_the_fewest_calls(seven: Seven) -> None:
    seven.publish(KEYS)
    assert seven.line.step() == []
    assert seven.purges() == {name: expected(name) for name in VENDORS}
    assert seven.line.queues.left() == 0


def expected(name: str) -> tuple[int, int]:
    """Calls and targets for the keys: Fastly and Pixboost take one URL a call."""
    return (len(KEYS) if name in ("fastly", "pixboost") else 1), len(KEYS)


@pytest.mark.parametrize("sick", SICK)
def test_the_six_others_are_delivered_with_no_extra_call_and_the_rest_when_it_comes_back(
    seven: Seven, sick: str
) -> None:
    seven.publish(KEYS)
    seven.edges[sick].faults.always(faults.hang())
    seven.line.seconds = SHORT
    assert seven.line.step() == []
    others = [name for name in VENDORS if name != sick]
    assert {name: seven.purges()[name] for name in others} == {name: expected(name) for name in others}
    assert {name: seven.cached(name) for name in VENDORS} == {**dict.fromkeys(others, 0), sick: len(KEYS)}
    messages = Counter(body["provider"] for body in sent(seven))
    assert set(messages) == {sick}
    assert messages[sick] <= 2  # what was called, and what was not

    seven.edges[sick].faults.clear()
    seven.forget()
    seven.line.seconds = 30.0
    assert seven.line.step() == []
    nothing = dict.fromkeys(others, (0, 0))
    assert seven.purges() == {**nothing, sick: expected(sick)}
    assert seven.cached(sick) == 0
    assert (seven.line.queues.left(), seven.line.queues.left(seven.line.queues.dlq)) == (0, 0)


def sent(seven: Seven) -> list[dict[str, Any]]:
    return [json.loads(entry["MessageBody"]) for entry in seven.line.queues.sent]
