"""The judge of the soak: that it finds what is lost, and believes only purges that come after the upload."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import pytest
from rig.cache_oracle import Owed, Stale

from multicdn import config
from multicdn.model import Action, Change, Job, TargetKind
from multicdn.oncall.dead_letters import NOBODY, DeadMessage
from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, capability
from multicdn.queue import message
from multicdn.queue.message import QueuedJob
from multicdn.simulators import VENDORS, Origin, load
from multicdn.testing.loopback.simulator_config import configured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Simulator

URLS = ["https://www.acme.com/{key}"]
CALL = Call(connect=1, read=5)


class Judged:
    """All vendors, and a judge of what is owed for uploads."""

    def __init__(self, edges: dict[str, Simulator], text: str) -> None:
        self.config = config.parse(text, "judge", Plugins())
        self.stale = Stale(self.config, edges)

    def owed(self, provider: str) -> list[Owed]:
        return sorted(
            (owed for owed in self.stale.undone() if owed.provider == provider), key=lambda owed: owed.target.value
        )

    def act(self, owed: Owed) -> None:
        """Call the vendor, as the core does."""
        provider = self.config.providers[owed.provider]
        for target in provider.locate(owed.target, owed.action):
            what = capability(provider, owed.action, target.kind)
            assert what is not None
            getattr(provider, what.method)((target.value,), CALL)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Judged]:
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin())
        edges = {vendor: stack.enter_context(load(vendor)(origin.url)) for vendor in VENDORS}
        found = configured(edges)
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        tagged = {"bucket": "b", "tags": ["t-{stem}"], "purge": ["fastly", "cloudflare", "akamai"]}
        loaded = {"bucket": "b", "urls": URLS, "preload": ["edgecast", "pixboost"]}
        routes = [{"bucket": "b", "urls": URLS, "purge": list(VENDORS)}, tagged, loaded]
        yield Judged(edges, json.dumps({"version": 1, "providers": found.providers, "routes": routes}))


UPLOAD = Change("b", "a é.css", sequencer="01")


@pytest.mark.parametrize("vendor", VENDORS)
def test_everything_is_owed_until_the_vendor_is_called_after_the_upload(judged: Judged, vendor: str) -> None:
    judged.stale.upload(UPLOAD)
    before = judged.owed(vendor)
    assert len(before) >= 2  # a space in a key has two spellings
    judged.act(before[0])
    assert judged.owed(vendor) == before[1:]
    for owed in before[1:]:
        judged.act(owed)
    assert judged.owed(vendor) == []


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_purge_before_the_upload_pays_nothing(judged: Judged, vendor: str) -> None:
    judged.stale.upload(UPLOAD)
    everything = judged.owed(vendor)
    for owed in everything:
        judged.act(owed)
    judged.stale.upload(UPLOAD)
    assert judged.owed(vendor) == everything


def dead(provider: str, queued: QueuedJob | None, body: str = "", reason: str = "503") -> DeadMessage:
    return DeadMessage("id", "receipt", body, provider, reason, queued)


def test_a_dead_letter_explains_its_own_targets_and_no_others(judged: Judged) -> None:
    judged.stale.upload(UPLOAD)
    [first, *others] = judged.owed("cloudfront")
    spelled = [target.value for target in judged.config.providers["cloudfront"].locate(first.target, first.action)]
    job = Job("cloudfront", Action.PURGE, TargetKind.URL, tuple(spelled), (frozenset(("m",)),) * len(spelled))
    body = next(message.encode(QueuedJob(job, 1, 0.0)))
    undone = judged.stale.undone()
    assert judged.stale.explained(undone, [dead("cloudfront", QueuedJob(job, 1, 0.0), body)]) >= {first}
    assert judged.stale.explained(undone, [dead("fastly", QueuedJob(job, 1, 0.0), body)]) == set()
    assert judged.stale.explained(undone, [dead("cloudfront", QueuedJob(job, 1, 0.0), body, reason="")]) == set()
    assert others


def test_a_message_of_s3_among_the_dead_letters_explains_all_that_it_asked_for(judged: Judged) -> None:
    judged.stale.upload(UPLOAD)
    judged.stale.upload(Change("b", "other.css", sequencer="02"))
    entity = {"bucket": {"name": "b"}, "object": {"key": "other.css"}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": entity}
    undone = judged.stale.undone()
    explained = judged.stale.explained(undone, [dead(NOBODY, None, json.dumps({"Records": [record]}))])
    assert explained == {owed for owed in undone if "other" in owed.target.value}
