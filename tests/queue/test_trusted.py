"""What a stranger's message may have done, end to end: nothing that no route could ask for."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from kit.queues import SITE, Line, Queues

if TYPE_CHECKING:
    from multicdn.simulators.fastly.api import FastlySimulator

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{www}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}"}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [www]}}
"""


def job(**changed: Any) -> dict[str, Any]:
    plain = {"multicdn": 1, "provider": "www", "action": "purge", "kind": "url", "attempt": 1, "since": time.time()}
    return {**plain, "targets": [f"{SITE}/a.css"], **changed}


@pytest.mark.parametrize(
    "order",
    [job(kind="everything", targets=[""]), job(targets=["https://victim.example/a"])],
    ids=["everything", "foreign host"],
)
def test_a_job_beyond_the_routes_becomes_a_dead_letter_with_the_reason_and_no_call(
    queues: Queues, www: FastlySimulator, order: dict[str, Any]
) -> None:
    line = Line(queues, CONFIG.format(www=www.endpoint))
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(order))
    queues.upload("b.css")
    assert line.step() == []
    assert [call.target for call in www.calls] == [f"/purge/{SITE}/b.css"]
    [letter] = queues.sent
    assert queues.left(queues.dlq) == 1
    assert "not done, since it came from the queue: no route" in letter["MessageAttributes"]["reason"]["StringValue"]


def test_a_job_within_the_routes_is_done(queues: Queues, www: FastlySimulator) -> None:
    line = Line(queues, CONFIG.format(www=www.endpoint))
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(job()))
    assert line.step() == []
    assert [call.target for call in www.calls] == [f"/purge/{SITE}/a.css"]


def test_a_job_inside_an_sns_message_is_not_done_and_comes_back(queues: Queues, www: FastlySimulator) -> None:
    line = Line(queues, CONFIG.format(www=www.endpoint))
    body = {"Type": "Notification", "Message": json.dumps(job(kind="everything", targets=[""]))}
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(body))
    assert len(line.step()) == 1
    assert www.calls == []
