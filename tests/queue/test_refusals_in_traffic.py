"""What vendors were seen to refuse, in traffic: from uploads through the handler and the queue to their API."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit.queues import SITE, Line, Queues

from multicdn.simulators.cloudflare.api import CloudflareSimulator, Zone, refusal
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit import faults
from multicdn.simulators.pixboost import PixboostSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Origin

pytestmark = pytest.mark.slow

SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")
SHOP = "https://shop.acme.com"

FASTLY = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{endpoint}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:TOKEN}}"}}
routes:
"""
TAGS_FIRST = (
    FASTLY
    + """\
  - {{bucket: acme-site, tags: [site], purge: [www]}}
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [www]}}
"""
)
TWO_HOSTS = (
    FASTLY
    + """\
  - {{bucket: acme-site, urls: ["https://shop.acme.com/{{key}}"], purge: [www]}}
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], tags: [site], purge: [www]}}
"""
)
CLOUDFLARE = """\
version: 1
providers:
  zone: {{type: cloudflare, endpoint: "{endpoint}", zone: {zone}, token: "${{env:TOKEN}}"}}
routes:
  - {{bucket: acme-site, urls: {urls}, purge: [zone]}}
"""
FORBIDDEN = faults.status(403, {"Content-Type": "application/json"}, '{"msg": "Forbidden"}')
PAGE_404 = faults.status(404, {"Content-Type": "text/html"}, "<html><h1>no such route</h1></html>")


@pytest.fixture
def cdn(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url) as running:
        monkeypatch.setenv("TOKEN", running.token)
        yield running


def accepted(cdn: FastlySimulator, site: str = SITE) -> set[str]:
    start = f"/purge/{site}/"
    return {call.target.removeprefix(start) for call in cdn.calls if call.status == 200 and start in call.target}


def targets(bodies: list[dict[str, Any]]) -> list[str]:
    return sorted(target for body in bodies for target in body["targets"])


def keys(count: int, name: str = "") -> list[str]:
    return [f"{name}{number}.css" for number in range(count)]


def test_a_host_of_no_service_costs_its_own_urls_alone(
    queues: Queues, cdn: FastlySimulator, caplog: pytest.LogCaptureFixture
) -> None:
    """fastly/fastly-php#53: 20 uploads, each at two hosts and with a tag."""
    caplog.set_level("INFO", logger="multicdn")
    cdn.hosts = frozenset(("www.acme.com",))
    queues.upload(*keys(20))
    Line(queues, TWO_HOSTS.format(endpoint=cdn.endpoint)).step()
    assert accepted(cdn) == set(keys(20))
    assert sum(call.target.endswith("/purge") for call in cdn.calls if call.status == 200) == 1
    assert targets(queues.bodies(queues.dlq)) == sorted(f"{SHOP}/{key}" for key in keys(20))
    assert queues.left() == 0
    assert "Cannot find service" in caplog.text


def test_a_host_whose_vcl_forbids_purging_is_refused_alone_and_says_so(queues: Queues, cdn: FastlySimulator) -> None:
    """alphagov/govuk-cdn-config#148, over several invocations with new uploads in each."""
    cdn.forbidding.add("shop.acme.com")
    line = Line(queues, TWO_HOSTS.format(endpoint=cdn.endpoint))
    for number in range(3):
        queues.upload(*keys(20, f"{number}-"))
        line.step()
        assert accepted(cdn) >= set(keys(20, f"{number}-"))
    assert queues.left(queues.dlq) == 0
    assert all(target.startswith(SHOP) for target in targets(queues.bodies()))
    reasons = {entry["MessageAttributes"]["reason"]["StringValue"] for entry in queues.sent}
    assert any("may forbid FASTLYPURGE" in reason for reason in reasons)


def test_a_permission_for_tags_that_is_missing_costs_no_url_in_steady_traffic(
    queues: Queues, cdn: FastlySimulator
) -> None:
    cdn.faults.always(FORBIDDEN, when=lambda request: request.target.endswith("/purge"))
    line = Line(queues, TAGS_FIRST.format(endpoint=cdn.endpoint))
    for number in range(7):
        queues.upload(*keys(10, f"{number}-"))
        line.step()
        assert accepted(cdn) >= set(keys(10, f"{number}-"))
    assert set(targets(queues.bodies(queues.dlq)) + targets(queues.bodies())) == {"site"}


def test_a_gateways_page_ends_nothing(queues: Queues, cdn: FastlySimulator) -> None:
    """A 404 once, at the third call: its URL is tried again, and nothing else is touched."""
    calls: list[str] = []

    def third(request: Any) -> bool:
        calls.append(request.target)
        return len(calls) == 3

    cdn.faults.always(PAGE_404, when=third)
    line = Line(queues, (FASTLY + TWO_HOSTS.splitlines(keepends=True)[-1]).format(endpoint=cdn.endpoint))
    queues.upload(*keys(60))
    line.step()
    assert queues.left(queues.dlq) == 0
    line.step()
    assert accepted(cdn) == set(keys(60))
    assert queues.left() == 0


def test_a_refusal_after_an_outage_is_the_first_one(queues: Queues, cdn: FastlySimulator) -> None:
    """Five invocations met a 503, and then one a 401: credentials may be renewed in the ten minutes that follow."""
    line = Line(queues, FASTLY.format(endpoint=cdn.endpoint) + "  - {bucket: acme-site, tags: [site], purge: [www]}\n")
    cdn.faults.always(faults.status(503))
    queues.upload("a.css")
    for _ in range(5):
        line.step()
    cdn.faults.clear()
    cdn.faults.always(faults.status(401))
    for times in range(1, 7):
        assert (queues.left(), queues.left(queues.dlq)) == (1, 0)
        line.step()
        entry = json.loads(queues.sent[-1]["MessageBody"])
        assert entry["refusals"] == times
    assert (queues.left(), queues.left(queues.dlq)) == (0, 1)


def test_a_fresh_upload_goes_before_the_backlog_and_does_not_inherit_its_delay(
    queues: Queues, cdn: FastlySimulator
) -> None:
    line = Line(queues, (FASTLY + TWO_HOSTS.splitlines(keepends=True)[-1]).format(endpoint=cdn.endpoint))
    cdn.faults.always(faults.status(503))
    queues.upload(*(f"old{number}" for number in range(6)))
    for _ in range(3):
        line.step()
    before = len(cdn.calls)
    queues.upload("fresh.html")
    line.step()
    assert cdn.calls[before].target.endswith("/fresh.html")
    [fresh] = [entry for entry in queues.sent if "/fresh.html" in entry["MessageBody"]]
    assert fresh["DelaySeconds"] <= 30
    assert json.loads(fresh["MessageBody"])["attempt"] == 1


@pytest.fixture
def zone(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudflareSimulator]:
    with CloudflareSimulator(origin.url, zones=(Zone("acme.com", id="0" * 32),)) as running:
        monkeypatch.setenv("TOKEN", running.secrets()["token"])
        yield running


def purging(zone: CloudflareSimulator, *hosts: str) -> str:
    urls = json.dumps([f"https://{host}/{{key}}" for host in hosts]).replace("{", "{{").replace("}", "}}")
    text = CLOUDFLARE.replace("{urls}", urls)
    return text.format(endpoint=zone.endpoint, zone="0" * 32)


def test_a_host_of_another_zone_is_found_in_few_calls(queues: Queues, zone: CloudflareSimulator) -> None:
    """cloudflare/Cloudflare-WordPress#429: 50 uploads at two hosts, one of them foreign."""
    queues.upload(*keys(50))
    Line(queues, purging(zone, "www.acme.com", "feeds.feedburner.com")).step()
    assert len(zone.calls) <= 3
    assert targets(queues.bodies(queues.dlq)) == sorted(f"https://feeds.feedburner.com/{key}" for key in keys(50))
    assert queues.left() == 0


@pytest.mark.parametrize("status", [200, 400])
def test_one_bad_url_of_fifty_is_found_without_a_word_about_it(
    queues: Queues, zone: CloudflareSimulator, status: int
) -> None:
    """An AEM admin's test: 1016 alone. What comes back takes no new upload along."""
    bad = f"{SITE}/17.css"
    companion = refusal(status, 1016, "One or more cache purge errors")
    zone.faults.always(companion, when=lambda request: bad.encode() in request.body)
    line = Line(queues, purging(zone, "www.acme.com"))
    queues.upload(*keys(50))
    line.step()
    assert targets(queues.bodies()) == [bad]
    assert queues.left(queues.dlq) == 0
    assert len(zone.calls) <= 20


def test_a_preload_waits_for_the_end_of_the_purge(
    queues: Queues, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixboost's 202 says that it takes up to five minutes."""
    with PixboostSimulator(origin.url) as images:
        monkeypatch.setenv("SECRET", images.secrets()["secret"])
        origin.put("a.png", "old", {"Cache-Control": "max-age=3600"})
        config = f"""\
version: 1
providers:
  images: {{type: pixboost, endpoint: "{images.endpoint}", secret: "${{env:SECRET}}"}}
routes:
  - {{bucket: acme-site, urls: ["{SITE}/{{key}}"], purge: [images], preload: [images]}}
"""
        images.faults.always(faults.status(202, {}, "{}"), when=lambda request: request.method == "DELETE")
        line = Line(queues, config)
        queues.upload("a.png")
        line.step()
        assert [call.method for call in images.calls] == ["DELETE"]
        [entry] = queues.sent
        assert (json.loads(entry["MessageBody"])["action"], entry["DelaySeconds"]) == ("preload", 300)
        line.step()
        assert [call.method for call in images.calls] == ["DELETE", "POST"]
