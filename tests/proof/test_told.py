"""An upload on its way to fresh, as log, metrics and other systems are told of it: the function with its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kit.aws_wire import Refused
from kit.stage import lines
from kit.warp import Warp
from kit.world import SITE, World

from multicdn.publishing import cloud_event
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.metrics import Measured
    from multicdn.records import LogRecord
    from multicdn.simulators import Origin

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  www:
    {{type: fastly, endpoint: "{api}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}", via: "{edge}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [www]
    verify: {verify}
"""


class Told:
    """A world whose metrics and events are kept."""

    def __init__(self, patch: pytest.MonkeyPatch, origin: Origin, cdn: FastlySimulator, verify: str) -> None:
        self.cdn = cdn
        self.world = World(
            patch, Warp(patch), origin, CONFIG.format(api=cdn.endpoint, edge=cdn.edge_url, verify=verify)
        )
        self.measured: list[Measured] = []
        self.types: list[str] = []
        dispatcher: Any = self.world.dispatcher
        dispatcher.on_measured = lambda measured, now: self.measured.append(measured)
        dispatcher._subscribers = self

    def see(self, records: list[LogRecord], seconds: float) -> None:
        self.types += [cloud_event(record, "/multicdn").type for record in records if "action" in record.fields]

    def upload(self, key: str) -> None:
        self.world.upload(key, "old", told=False)
        self.cdn.fetch(f"{SITE}/{key}")
        self.world.upload(key, "new")

    def metric(self, name: str) -> list[Any]:
        found = (measured.providers.get("www", {}).get(name) for measured in self.measured)
        return [value for value in found if value is not None]


@pytest.fixture
def cdn(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url) as running:
        monkeypatch.setenv("FASTLY_TOKEN", running.token)
        yield running


def test_all_three_states_are_in_log_metrics_and_events(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, cdn: FastlySimulator, logged: pytest.LogCaptureFixture
) -> None:
    told = Told(monkeypatch, origin, cdn, "true")
    told.upload("a.css")
    told.world.run(60)
    assert told.types == ["multicdn.purge.accepted", "multicdn.purge.finished", "multicdn.purge.fresh"]
    assert told.metric("Fresh") == [1]
    [[finished], [fresh]] = [told.metric(f"UploadTo{state}Seconds")[0] for state in ("Finished", "Fresh")]
    assert 0 < finished <= fresh < 30
    assert told.metric("OldestUndeliveredSeconds") == [0] * len(told.metric("OldestUndeliveredSeconds"))
    assert not told.metric("Requeued"), "a look is no job that waits"
    *_, last = (line for line in lines(logged) if line["event"] == "invocation")
    assert (last["jobs"], last["looks"]) == (0, 1)
    assert last["providers"]["www"] == {"looked": 1, "finished": 1, "fresh": 1}


def test_an_edge_that_ignores_every_purge_is_named_counted_and_a_dead_letter(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, cdn: FastlySimulator, logged: pytest.LogCaptureFixture
) -> None:
    told = Told(monkeypatch, origin, cdn, "{within: 30s}")
    cdn.topology.ignores_purges = True
    told.upload("a.css")
    told.world.run(300)
    assert told.types[-1] == "multicdn.purge.dead"
    again, dead = sum(told.metric("PurgedAgain")), told.metric("Dead")
    assert (again > 1, dead, told.metric("Stale")) == (True, [1], [1])
    assert [len(each) for each in told.metric("UploadToAcceptedSeconds")] == [1], "once, and not at each purge again"
    *_, last = (line for line in lines(logged) if line["event"] == "stale")
    assert (last["state"], last["purges"], last["keys"]) == ("dead", again + 1, ["a.css"])
    assert "s old" in last["seen"]
    [letter] = told.world.letters
    assert letter.attributes["seen"]["StringValue"].startswith(f"{SITE}/a.css: ")
    assert letter.attributes["status"]["StringValue"] == "stale"


def test_what_could_not_be_followed_is_told_when_it_is_looked_at_once_more(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, cdn: FastlySimulator, logged: pytest.LogCaptureFixture
) -> None:
    """Nor is it undelivered: no vendor is in trouble."""
    told = Told(monkeypatch, origin, cdn, "{within: 30s}")
    cdn.topology.ignores_purges = True
    told.upload("a.css")
    told.world.invoke()
    told.world.warp.skip(30)
    told.upload("b.css")
    down = {"SendMessageBatch": Refused(503, "ServiceUnavailable")}
    monkeypatch.setattr(told.world.aws, "_canned", down)
    told.world.invoke()
    assert told.types == ["multicdn.purge.accepted"] * 2
    assert told.metric("OldestUndeliveredSeconds") == [0, 0]
    said = [line for line in lines(logged) if line["event"] == "invocation"]
    assert (said[-1]["looks"], said[-1]["providers"]) == (1, {"www": {"accepted": 1, "calls": 1, "looked": 1}})
    monkeypatch.setattr(told.world.aws, "_canned", {})
    told.world.run(300)
    assert set(told.types[2:]) == {f"multicdn.purge.{state}" for state in ("accepted", "finished", "purged", "dead")}
    assert len(told.world.letters) == 2


def test_a_change_that_a_newer_one_answers_for_ends_as_superseded(
    monkeypatch: pytest.MonkeyPatch, origin: Origin, cdn: FastlySimulator, logged: pytest.LogCaptureFixture
) -> None:
    told = Told(monkeypatch, origin, cdn, "true")
    told.upload("a.css")
    told.world.invoke()
    told.world.upload("a.css", "newer")
    told.world.invoke()
    told.world.warp.skip(5)
    told.world.run(60)
    ends = [line["event"] for line in lines(logged) if line["event"] in ("fresh", "superseded")]
    assert ends == ["superseded", "fresh"]
    assert told.metric("Fresh") == [1]
