"""A vendor in trouble costs the uploads that come after nothing: a worker as installed, at a vendor that is sick.

``bench/isolation.py`` measures it; here it is counted. What was called for is all over before the sick vendor is well.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit.queues import Queues
from moto import mock_aws
from rig.sick_vendor import SickVendor

from multicdn import config
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from multicdn.simulators import Origin
from multicdn.simulators.akamai.api import AkamaiSimulator
from multicdn.simulators.cloudfront.api import AccessKey, CloudFrontSimulator
from multicdn.testing.loopback.simulator_config import config_for
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")
UPLOADS = 8

# The function's time. A sick vendor that held it to its end would make this test last for minutes.
FUNCTION = 60.0
PATIENCE = 40.0


class Site:
    """A well vendor, a paced and a sick one, and a handler with the default settings between them and a queue."""

    def __init__(self, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        origin = stack.enter_context(Origin())
        self.sick = stack.enter_context(SickVendor())
        self.well = stack.enter_context(AkamaiSimulator(origin.url, limits=False))
        keys = AccessKey("AKIDEXAMPLE", "secret-of-a-simulator")
        self.paced = stack.enter_context(CloudFrontSimulator(origin.url, credentials=keys))
        found = config_for({"well": self.well, "paced": self.paced})
        monkeypatch.setenv("TOKEN", "token-of-the-sick-vendor")
        for name, value in found.environment.items():
            monkeypatch.setenv(name, value)
        sick = {"type": "fastly", "service": "SU1", "token": "${env:TOKEN}", "endpoint": self.sick.url}
        routes = [{"bucket": "acme-site", "urls": ["https://www.acme.com/{key}"], "purge": ["well", "sick", "paced"]}]
        text = json.dumps({"version": 1, "providers": {**found.providers, "sick": sick}, "routes": routes})
        plugins = Plugins()
        self.queues = Queues(SESSION.client("sqs"))
        self._dispatcher = Dispatcher(
            config.parse(text, "multicdn.config.yml", plugins),
            plugins,
            retry_queue=self.queues.retry_queue,
            own_queue=self.queues.url,
        )

    def purged(self) -> set[str]:
        """The objects for which the vendor that is well was called."""
        return {target for call in self.well.calls for target in json.loads(call.body)["objects"]}

    def batch(self) -> None:
        """One invocation with the messages that wait, jobs that came back among them."""
        Worker(self.queues.sqs, self.queues.url, self._handle, wait=0, batch_size=1000, gather=1).step()

    def _handle(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        return self._dispatcher.dispatch(event, FUNCTION)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with mock_aws(), ExitStack() as stack:
        yield Site(stack, monkeypatch)


@pytest.mark.parametrize("state", ["silent", "dripping", "503 to all"])
def test_uploads_while_a_vendor_is_sick_are_purged_at_the_others_in_the_invocation_that_brings_them(
    site: Site, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("WARNING", "multicdn")
    site.sick.become(state)

    def upload() -> None:
        for number in range(UPLOADS):
            site.queues.upload(f"{number}.css")
            site.batch()

    thread = threading.Thread(target=upload, daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{time.monotonic() - began:.0f} s, and only {len(site.purged())} uploads are done"
    assert site.purged() == {f"https://www.acme.com/{number}.css" for number in range(UPLOADS)}
    # Asked until it was known to be sick, and no more: with all that came back each time it would be 36 calls and more.
    assert 1 <= site.sick.calls <= 3 * UPLOADS
    lines = [json.loads(record.message) for record in caplog.records]
    reasons = [line["reason"] for line in lines if line["event"] == "breaker"]
    # Given up when nothing else was left to do, and not when the call had ended by itself.
    assert state == "503 to all" or reasons[0].startswith("no answer after")
    waiting = [body for body in site.queues.bodies() if body["provider"] == "sick"]
    assert {url for body in waiting for url in body["targets"]} == site.purged()


def test_a_healthy_vendor_that_is_paced_gets_all_in_fewer_calls_and_without_counting_attempts(site: Site) -> None:
    for number in range(UPLOADS):
        site.queues.upload(f"{number}.css")
        site.batch()
    assert len(site.purged()) == UPLOADS
    assert len(site.paced.calls) < UPLOADS
    left = [body for body in site.queues.bodies() if body["provider"] == "paced"]
    assert not any(body.get("attempt", 0) for body in left)
    done = sum(call.items for call in site.paced.calls)
    assert done + len({url for body in left for url in body["targets"]}) == UPLOADS
