"""The cache oracle of the soak: it finds what is lost, and believes only purges that come after the upload."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

import msgspec
import pytest
from rig.cache_oracle import CacheOracle, Expectation

from multicdn import config
from multicdn.errors import RetryLater
from multicdn.model import Action, Change, ChangeKind, Job
from multicdn.oncall.letters import NOBODY, Letter
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, capability
from multicdn.queue.message import QueuedJob
from multicdn.simulators import VENDORS, Origin, load
from multicdn.simulators.kit import faults
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
        self.edges = edges
        self.oracle = CacheOracle(self.config, edges)

    def unmet(self, provider: str) -> list[Expectation]:
        return sorted(
            (one for one in self.oracle.unmet() if one.provider == provider), key=lambda one: one.target.value
        )

    def act(self, expectation: Expectation, *, soft: bool = False) -> None:
        """Call the vendor, as the core does."""
        provider = self.config.providers[expectation.provider]
        for target in provider.locate(expectation.target, expectation.action):
            can = capability(provider, expectation.action, target.kind)
            assert can is not None
            getattr(provider, can.method)((target.value,), msgspec.structs.replace(CALL, soft=soft))


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
REMOVAL = Change("b", "a é.css", ChangeKind.REMOVED, sequencer="01")
LATER = Change("b", "a é.css", sequencer="02")


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


@pytest.mark.parametrize("vendor", ["akamai", "cloudflare", "fastly"])
def test_what_was_removed_must_be_dropped_though_it_is_uploaded_again_meanwhile(scene: Scene, vendor: str) -> None:
    scene.oracle.upload(REMOVAL)
    scene.oracle.upload(LATER)
    for expectation in scene.unmet(vendor):
        scene.act(expectation, soft=True)
    stale = scene.unmet(vendor)
    assert stale
    assert all(expectation.hard for expectation in stale)
    for expectation in stale:
        scene.act(expectation)
    assert scene.unmet(vendor) == []


def preload_of(scene: Scene, vendor: str) -> Expectation:
    [preload] = [each for each in scene.unmet(vendor) if each.action is Action.PRELOAD]
    return preload


def test_a_preload_before_its_purge_is_noticed(scene: Scene) -> None:
    scene.oracle.upload(Change("b", "a.css", sequencer="01"))
    preload = preload_of(scene, "edgecast")
    scene.act(preload)
    assert scene.oracle.hasty() == [preload]
    for expectation in scene.unmet("edgecast"):
        scene.act(expectation)
    assert scene.oracle.hasty() == [preload]


def test_a_preload_that_follows_its_purge_may_be_repeated_as_its_purge_may(scene: Scene) -> None:
    scene.oracle.upload(Change("b", "a.css", sequencer="01"))
    preload = preload_of(scene, "edgecast")
    purges = [each for each in scene.unmet("edgecast") if each.action is Action.PURGE]
    for expectation in [*purges, preload, preload, *purges, preload]:
        scene.act(expectation)
    assert scene.oracle.hasty() == []


def test_an_answer_that_was_made_up_is_no_preload(scene: Scene) -> None:
    scene.oracle.upload(Change("b", "a.css", sequencer="01"))
    preload = preload_of(scene, "edgecast")
    scene.edges["edgecast"].faults.always(faults.garbage())
    with pytest.raises(RetryLater):
        scene.act(preload)
    assert preload in scene.unmet("edgecast")


def dead(provider: str, queued: QueuedJob | None, body: str = "", reason: str = "503") -> Letter:
    return Letter("id", "receipt", body, provider, reason, queued)


def queued_for(scene: Scene, expectation: Expectation, since: float, *, soft: bool = False) -> QueuedJob:
    """A dead letter's job for one expectation."""
    found = scene.config.providers[expectation.provider].locate(expectation.target, expectation.action)
    spelled = tuple(target.value for target in found)
    causes = (frozenset(("m",)),) * len(spelled)
    return QueuedJob(Job(expectation.provider, expectation.action, found[0].kind, spelled, causes, soft), 1, since)


def test_a_dead_letter_explains_its_own_targets_and_no_others(scene: Scene) -> None:
    scene.oracle.upload(UPLOAD)
    [first, *others] = scene.unmet("cloudfront")
    queued = queued_for(scene, first, time.time())
    unmet = scene.oracle.unmet()
    assert scene.oracle.explained(unmet, [dead("cloudfront", queued)]) == {first}
    other = queued_for(scene, first._replace(provider="fastly"), time.time())
    assert first not in scene.oracle.explained(unmet, [dead("fastly", other)])
    assert scene.oracle.explained(unmet, [dead("cloudfront", queued, reason="")]) == set()
    assert others


def test_a_dead_letter_does_not_explain_the_loss_of_a_later_upload(scene: Scene) -> None:
    scene.oracle.upload(UPLOAD)
    [first, *_] = scene.unmet("cloudfront")
    letters = [dead("cloudfront", queued_for(scene, first, time.time()))]
    time.sleep(0.05)
    scene.oracle.upload(LATER)
    assert scene.oracle.explained({first}, letters) == set()
    letters.append(dead("cloudfront", queued_for(scene, first, time.time())))
    assert scene.oracle.explained({first}, letters) == {first}


def test_a_dead_letter_that_marks_stale_does_not_explain_what_must_be_dropped(scene: Scene) -> None:
    scene.oracle.upload(REMOVAL)
    [first, *_] = scene.unmet("fastly")
    soft, hard = (dead("fastly", queued_for(scene, first, time.time(), soft=soft)) for soft in (True, False))
    assert scene.oracle.explained({first}, [soft]) == set()
    assert scene.oracle.explained({first}, [soft, hard]) == {first}


def test_a_message_of_s3_among_the_dead_letters_explains_all_that_it_asked_for_and_nothing_later(scene: Scene) -> None:
    scene.oracle.upload(UPLOAD)
    scene.oracle.upload(Change("b", "other.css", sequencer="02"))
    entity = {"bucket": {"name": "b"}, "object": {"key": "other.css", "sequencer": "02"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}
    letters = [dead(NOBODY, None, json.dumps({"Records": [record]}))]
    unmet = scene.oracle.unmet()
    explained = scene.oracle.explained(unmet, letters)
    assert explained == {expectation for expectation in unmet if "other" in expectation.target.value}
    scene.oracle.upload(Change("b", "other.css", sequencer="03"))
    assert scene.oracle.explained(unmet, letters) == set()
