"""The cache oracle of the soak: it finds what is lost, and believes only purges that come after the upload."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

import pytest
from rig.cache_oracle import CacheOracle, Expectation

from multicdn import config
from multicdn.model import Action, Change, Job, TargetKind
from multicdn.oncall.dead_letters import NOBODY, DeadMessage
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, capability
from multicdn.queue import message
from multicdn.queue.message import QueuedJob
from multicdn.simulators import VENDORS, Origin, load
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Simulator

URLS = ["https://www.acme.com/{key}"]
CALL = Call(connect=1, read=5)


class Scene:
    """All vendors, and the oracle of their caches."""

    def __init__(self, edges: dict[str, Simulator], text: str) -> None:
        self.config = config.parse(text, "oracle.yml", Plugins())
        self.oracle = CacheOracle(self.config, edges)

    def unmet(self, provider: str) -> list[Expectation]:
        return sorted(
            (one for one in self.oracle.unmet() if one.provider == provider), key=lambda one: one.target.value
        )

    def act(self, expectation: Expectation) -> None:
        """Call the vendor, as the core does."""
        provider = self.config.providers[expectation.provider]
        for target in provider.locate(expectation.target, expectation.action):
            can = capability(provider, expectation.action, target.kind)
            assert can is not None
            getattr(provider, can.method)((target.value,), CALL)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin())
        edges = {vendor: stack.enter_context(load(vendor)(origin.url)) for vendor in VENDORS}
        simulated = config_for(edges)
        for name, value in simulated.environment.items():
            monkeypatch.setenv(name, value)
        tagged = {"bucket": "b", "tags": ["t-{stem}"], "purge": ["fastly", "cloudflare", "akamai"]}
        loaded = {"bucket": "b", "urls": URLS, "preload": ["edgecast", "pixboost"]}
        routes = [{"bucket": "b", "urls": URLS, "purge": list(VENDORS)}, tagged, loaded]
        yield Scene(edges, json.dumps({"version": 1, "providers": simulated.providers, "routes": routes}))


UPLOAD = Change("b", "a é.css", sequencer="01")


@pytest.mark.parametrize("vendor", VENDORS)
def test_everything_is_unmet_until_the_vendor_is_called_after_the_upload(scene: Scene, vendor: str) -> None:
    scene.oracle.upload(UPLOAD)
    before = scene.unmet(vendor)
    assert len(before) >= 2  # a space in a key has two spellings
    scene.act(before[0])
    assert scene.unmet(vendor) == before[1:]
    for expectation in before[1:]:
        scene.act(expectation)
    assert scene.unmet(vendor) == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_purge_before_the_upload_does_not_count(scene: Scene, vendor: str) -> None:
    scene.oracle.upload(UPLOAD)
    everything = scene.unmet(vendor)
    for expectation in everything:
        scene.act(expectation)
    scene.oracle.upload(UPLOAD)
    assert scene.unmet(vendor) == everything


def dead(provider: str, queued: QueuedJob | None, body: str = "", reason: str = "503") -> DeadMessage:
    return DeadMessage("id", "receipt", body, provider, reason, queued)


def test_a_dead_letter_explains_its_own_targets_and_no_others(scene: Scene) -> None:
    scene.oracle.upload(UPLOAD)
    [first, *others] = scene.unmet("cloudfront")
    spelled = [target.value for target in scene.config.providers["cloudfront"].locate(first.target, first.action)]
    unmet = scene.oracle.unmet()

    def explained(provider: str, since: float, **reason: str) -> set[Expectation]:
        job = Job(provider, Action.PURGE, TargetKind.URL, tuple(spelled), (frozenset(("m",)),) * len(spelled))
        queued = QueuedJob(job, 1, since)
        letter = dead(provider, queued, next(message.encode(queued)), **reason)
        return scene.oracle.explained(unmet, [letter])

    later = time.time() + 60
    assert explained("cloudfront", later) >= {first}
    assert explained("fastly", later) == set()
    assert explained("cloudfront", later, reason="") == set()
    assert explained("cloudfront", later - 3600) == set(), "a change after the dead letter is another loss"
    assert others


def test_a_message_of_s3_among_the_dead_letters_explains_all_that_it_asked_for(scene: Scene) -> None:
    scene.oracle.upload(UPLOAD)
    scene.oracle.upload(Change("b", "other.css", sequencer="02"))
    entity = {"bucket": {"name": "b"}, "object": {"key": "other.css", "sequencer": "02"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}
    unmet = scene.oracle.unmet()
    explained = scene.oracle.explained(unmet, [dead(NOBODY, None, json.dumps({"Records": [record]}))])
    assert explained == {expectation for expectation in unmet if "other" in expectation.target.value}
