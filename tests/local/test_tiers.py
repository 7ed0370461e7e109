"""Simulated CDNs in front of one another, as a config says, and with places of their own."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from multicdn.simulators import Origin, Pop, SimulatorSettings, Topology
from multicdn.testing.loopback.environment import LocalEnvironment
from multicdn.testing.loopback.simulators import simulator_for

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  outer: {type: cloudfront, distribution: E2QWRUHEXAMPLE, pulls_from: inner}
  inner: {type: cloudfront, distribution: E8F6HK73EP0LT}
routes:
  - {bucket: acme-site, urls: "https://www.acme.com/{key}", purge: [inner, outer], verify: true}
"""


def test_an_edge_stands_in_front_of_the_one_that_it_pulls_from(tmp_path: Path, origin: Origin) -> None:
    file = tmp_path / "c.yml"
    file.write_text(CONFIG, encoding="utf-8")
    stage = LocalEnvironment(file, topologies={"inner": Topology(pops=(Pop("LHR"),))})
    with contextlib.ExitStack() as stack:
        stage._make_edges(stack, {"acme-site": origin.url})
        assert list(stage.edges) == ["outer", "inner"]
        origin.put("a", "foo")
        got = stage.edges["outer"].fetch("https://www.acme.com/a")
        assert (got.status, got.headers["X-Amz-Cf-Pop"]) == (200, "FRA56-P1")
        held = stage.edges["inner"].cached("https://www.acme.com/a")
        assert held is not None
        assert stage.edges["inner"].topology.pops[0].name == "LHR"
        assert len(origin.requests) == 1
        assert {name: stage._copy.providers[name]["via"] for name in stage.edges} == {
            name: edge.edge_url for name, edge in stage.edges.items()
        }


def test_a_simulator_gets_the_places_of_its_settings() -> None:
    places = Topology(purge_delay=3)
    options = {"service": "SU1Z0isxPaozGVKXdv0eY"}
    settings = SimulatorSettings("http://127.0.0.1:9", "b", options, [], {}, topology=places)
    assert simulator_for("fastly", settings).topology is places
