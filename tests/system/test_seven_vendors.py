"""All seven vendors at once: as few calls as their limits allow, and one vendor's trouble stays its own."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import FakeClock

from multicdn import config
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.model import Change, Report, Status
from multicdn.plugins.discovery import Plugins
from multicdn.routing.router import Router
from multicdn.simulators import Origin
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.simulators import SimulatorSettings, simulator_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config
    from multicdn.simulators import Simulator
    from multicdn.simulators.kit.faults import Fault

SITE = "https://www.acme.com"
OPTIONS = {
    "akamai": {"host": "akab-x.luna.akamaiapis.net"},
    "cloudflare": {"zone": "023e105f4ecef8ad9ca31a8372d0c353"},
    "cloudfront": {"distribution": "E8F6HK73EP0LT"},
    "edgecast": {"account": "1A2B"},
    "fastly": {"service": "SU1Z0isxPaozGVKXdv0eY"},
    "highwinds": {"account": "a1b2c3d4"},
    "pixboost": {"domain": "images.acme.com"},
}
AWS = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret-of-a-simulator"}


class Seven:
    """A simulator of each vendor, and a config that purges all of them."""

    def __init__(self, origin: Origin, vendors: dict[str, Simulator], loaded: Config) -> None:
        self.origin = origin
        self.vendors = vendors
        self.config = loaded

    def deliver(self, keys: list[str], seconds: float, delivery: Delivery) -> Report:
        changes = [Change("acme-site", key, sequencer=f"{place:016X}") for place, key in enumerate(keys)]
        demands, failures = Router(self.config.routes, self.config.providers).demands(changes)
        assert failures == []
        return delivery.deliver(demands, seconds)

    def calls(self) -> dict[str, int]:
        return {name: len(vendor.calls) for name, vendor in self.vendors.items()}

    def bodies(self, keys: list[str]) -> set[bytes]:
        """What the edges serve for these keys; Pixboost's serves images alone, under URLs of its own."""
        edges = [cdn for name, cdn in self.vendors.items() if name != "pixboost"]
        return {cdn.fetch(f"{SITE}/{key}").body for cdn in edges for key in keys}

    def accepted(self, report: Report) -> dict[str, int]:
        counts = dict.fromkeys(self.vendors, 0)
        for outcome in report:
            if outcome.status is Status.ACCEPTED:
                counts[outcome.job.provider] += len(outcome.job.targets)
        return counts


@pytest.fixture
def seven(running: Seven) -> Seven:
    """All seven, well, and without a call yet."""
    for vendor in running.vendors.values():
        vendor.faults.clear()
        vendor.forget_calls()
    return running


@pytest.fixture(scope="module")
def running() -> Iterator[Seven]:
    with pytest.MonkeyPatch.context() as monkeypatch, contextlib.ExitStack() as stack:
        for name, value in AWS.items():
            monkeypatch.setenv(name, value)
        origin = stack.enter_context(Origin())
        vendors, blocks = {}, []
        for vendor, options in OPTIONS.items():
            settings = SimulatorSettings(origin.url, "acme-site", options, [f"{SITE}/{{key}}"], AWS, limits=False)
            simulator = simulator_for(vendor, settings)
            vendors[vendor] = stack.enter_context(simulator)
            blocks.append(block(vendor, options, simulator, monkeypatch))
        route = f"  - {{bucket: acme-site, urls: ['{SITE}/{{key}}'], purge: [{', '.join(OPTIONS)}]}}"
        text = "version: 1\nproviders:\n" + "".join(blocks) + f"routes:\n{route}\n"
        yield Seven(origin, vendors, config.parse(text, "seven.yml", Plugins()))


def block(vendor: str, options: dict[str, str], simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> str:
    lines = {**options, "endpoint": simulator.endpoint}
    for option, value in simulator.secrets().items():
        if vendor == "highwinds" and option != "token":
            continue
        monkeypatch.setenv(f"{vendor}_{option}".upper(), value)
        lines[option] = f"${{env:{vendor.upper()}_{option.upper()}}}"
    return f"  {vendor}:\n" + "".join(f"    {name}: {value}\n" for name, value in lines.items())


def minimum(keys: list[str]) -> dict[str, int]:
    """Calls for these keys by the vendors' documented limits."""
    weights = [len(f"{SITE}/{key}") + 3 for key in keys]
    room = 50_000 - len('{"objects":[]}')
    return {
        "akamai": math.ceil(len(keys) / (room // max(weights))),
        "cloudflare": math.ceil(len(keys) / 100),
        "cloudfront": math.ceil(len(keys) / 3000),
        "edgecast": math.ceil(len(keys) / 50),
        "fastly": len(keys),
        "highwinds": math.ceil(len(keys) / 100),
        "pixboost": len(keys),
    }


# Two vendors take one URL a call, and each call costs the simulators a millisecond. What the core makes of 10,000 URLs,
# and of the 3,000 that CloudFront takes, is in test_ten_thousand.py.
DEPLOY = 301


def test_a_deploy_takes_each_vendor_the_fewest_calls_and_every_edge_is_fresh(seven: Seven) -> None:
    keys = [f"assets/{number:05}.css" for number in range(DEPLOY)]
    sample = keys[:: DEPLOY // 10]
    for body in ("old", "new"):
        for key in sample:
            seven.origin.put(key, body, {"Cache-Control": "max-age=3600"})
        assert seven.bodies(sample) == {b"old"}
    report = seven.deliver(keys, 1e6, Delivery(seven.config.providers, clock=FakeClock()))
    assert report.undelivered == ()
    assert seven.calls() == minimum(keys)
    assert seven.accepted(report) == dict.fromkeys(OPTIONS, DEPLOY)
    assert seven.bodies(sample) == {b"new"}


TROUBLES = {
    "refused": lambda: faults.status(403, body=b'{"detail": "no"}'),
    "throttled": lambda: faults.status(429, {"Retry-After": "100000"}, b"{}"),
    "in trouble": lambda: faults.status(503, body=b"<html>sorry</html>"),
    "unreachable": faults.reset,
    "garbled": faults.garbage,
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("sick", OPTIONS)
def test_a_sick_vendor_leaves_the_other_six_untouched(seven: Seven, sick: str, trouble: str) -> None:
    keys = [f"assets/{number:03}.css" for number in range(50)]
    seven.vendors[sick].faults.always(TROUBLES[trouble]())
    # In real time: with a clock that jumps, the sick one's waits would use up the others' time.
    report = seven.deliver(keys, 60, Delivery(seven.config.providers, Terms(tries=2, base=0.01, longest=0.02)))
    expected = minimum(keys)
    assert {name: calls for name, calls in seven.calls().items() if name != sick} == {
        name: calls for name, calls in expected.items() if name != sick
    }
    counts = seven.accepted(report)
    assert counts.pop(sick) == 0
    assert set(counts.values()) == {50}


@pytest.mark.parametrize("sick", OPTIONS)
def test_a_vendor_that_hangs_leaves_the_other_six_untouched(seven: Seven, sick: str) -> None:
    keys = [f"assets/{number:03}.css" for number in range(2)]
    hanging: Fault = faults.hang(30)
    seven.vendors[sick].faults.always(hanging)
    # On a busy machine a healthy vendor may take a second; one that takes two would be called sick as well.
    delivery = Delivery(seven.config.providers, Terms(read=2.0, tries=1))
    report = seven.deliver(keys, 60.0, delivery)
    expected = minimum(keys)
    assert {name: calls for name, calls in seven.calls().items() if name != sick} == {
        name: calls for name, calls in expected.items() if name != sick
    }
    counts = seven.accepted(report)
    assert counts.pop(sick) == 0
    assert set(counts.values()) == {2}
