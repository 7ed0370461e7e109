"""Records of a real run, held against the JSON Schema: what a job was asked for by is told whenever it ends."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any, cast

import generate
import jsonschema
import pytest
from kit.queues import Line, Ok, Queues
from kit.stage import failures, lines, sqs_event, uploaded

from multicdn import config
from multicdn.model import Target, TargetKind
from multicdn.oncall import manual
from multicdn.oncall.manual import ManualRequest
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import RetryQueue, messages
from multicdn.routing.router import Router
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from multicdn.metrics import Measured
    from multicdn.simulators.fastly.api import FastlySimulator

URL = "https://www.acme.com/a.css"

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{endpoint}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [www]
"""


def by_hand(line: Line, queues: Queues, request: ManualRequest) -> None:
    """Send a request to the queue, as ``multicdn purge --queue`` does."""
    loaded = config.parse(line.text, "multicdn.config.yml", Plugins())
    orders = manual.orders(loaded, Router(loaded.routes, loaded.providers, places=loaded.places), request)
    orders = manual.asked_by(orders, "arn:aws:iam::1:user/ann", "ticket 7")
    wanted = [each for job in manual.queued_jobs(orders.demands, request, time.time()) for each in messages(job)]
    assert not RetryQueue(queues.sqs, queues.url).send(wanted)


def test_what_sqs_did_not_take_is_measured_as_late_and_not_as_waiting(queues: Queues, www: FastlySimulator) -> None:
    def refuse(params: dict[str, Any], **_: object) -> object:
        entries = json.loads(params["body"])["Entries"]
        failed = [{"Id": each["Id"], "Code": "InvalidMessageContents", "SenderFault": True} for each in entries]
        return Ok(), {"Failed": failed, "Successful": []}

    queues.on_send(refuse)
    dispatcher = Line(queues, CONFIG.format(endpoint=www.endpoint)).dispatcher()
    found: list[tuple[Measured, float]] = []
    dispatcher.on_measured = lambda measured, now: found.append((measured, now))
    began = time.time() // 1 - 60
    event = uploaded(began, "a.css")
    assert dispatcher.dispatch(sqs_event(m1=event), 30) == failures()
    www.faults.always(faults.status(503))
    assert dispatcher.dispatch(sqs_event(m2=event), 30) == failures("m2")
    (well, end), (sick, _) = ((measured.providers["www"], now) for measured, now in found)
    assert "Requeued" not in sick
    assert sick["OldestUndeliveredSeconds"] == pytest.approx(found[1][1] - began)
    [took] = cast("list[float]", well["UploadToAcceptedSeconds"])
    assert began + took <= end + 0.001, "it was accepted before the end"


def test_an_upload_is_told_of_with_its_principal_from_the_first_try_to_the_last(
    queues: Queues, www: FastlySimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "multicdn")
    line = Line(queues, CONFIG.format(endpoint=www.endpoint))
    www.faults.always(faults.status(503))
    queues.upload("a.css")
    line.step()
    line.step()
    www.faults.clear()
    line.step()
    validator = jsonschema.Draft202012Validator(json.loads(generate.LOG_SCHEMA.read_text(encoding="utf-8")))
    assert [error.message for each in lines(caplog) for error in validator.iter_errors(each)] == []
    found = [each for each in lines(caplog) if each["event"] in ("retry", "accepted")]
    assert [(each["event"], each["state"], each["attempt"]) for each in found] == [
        ("retry", "requeued", 1), ("retry", "requeued", 2), ("accepted", "accepted", 3),
    ]  # fmt: skip
    for each in found:
        assert (each["bucket"], each["keys"], each["objects"]) == ("acme-site", ["a.css"], 1)
        assert (each["first"], each["messages"]) == ([URL], found[0]["messages"])
        assert each["routes"] == ["multicdn.config.yml:5"]
        assert each["age_seconds"] > 0


def test_a_purge_by_hand_through_the_queue_says_who_asked_and_why_even_when_it_has_waited(
    queues: Queues, www: FastlySimulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "multicdn")
    line = Line(queues, CONFIG.format(endpoint=www.endpoint))
    by_hand(line, queues, ManualRequest(id="by-hand-1", targets=(Target(TargetKind.URL, URL),)))
    by_hand(line, queues, ManualRequest(id="by-hand-2", objects=(manual.Object("acme-site", "b.css"),)))
    queues.upload("c.css")
    www.faults.always(faults.status(503))
    line.step()
    www.faults.clear()
    line.step()
    everything = lines(caplog)
    for event in ("retry", "accepted"):
        found = [each for each in everything if each["event"] == event]
        told = [(each.get("by"), each.get("why"), sorted(each.get("keys", ())), each["targets"]) for each in found]
        ann = ("arn:aws:iam::1:user/ann", "ticket 7")
        assert sorted(told, key=lambda each: each[2]) == [
            (*ann, [], 1), (*ann, ["b.css"], 1), (None, None, ["c.css"], 1),
        ]  # fmt: skip
        of_hand = {name for each in found if "by" in each for name in each["messages"]}
        # What has waited in one message has all of its ids.
        assert of_hand >= {"by-hand-1", "by-hand-2"}
        assert event == "accepted" or len(of_hand) == 2
