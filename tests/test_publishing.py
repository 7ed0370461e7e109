"""Outcomes as CloudEvents: what is sent to event buses and topics, and what becomes of it when AWS doesn't take it."""

from __future__ import annotations

import json
import logging
import re
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import jsonschema
import pytest
from botocore.stub import ANY, Stubber
from kit.stage import Stage, failures, lines, s3_event, sqs_event
from msgspec import structs

from multicdn import publishing, reporting
from multicdn.bounds import time_left
from multicdn.config.publish import EndState, Publish
from multicdn.publishing import CloudEvent, EventBus, Publisher, Topic, batches, cloud_event
from multicdn.records import LogRecord
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.testing.loopback.aws import LoopbackAws

pytestmark = pytest.mark.usefixtures("as_bundled")

ROOT = Path(__file__).parents[1]
BUS = "arn:aws:events:us-east-1:123456789012:event-bus/default"
TOPIC = "arn:aws:sns:us-east-1:123456789012:purges"
PURGED = LogRecord(
    logging.INFO,
    "accepted",
    {"provider": "fastly", "action": "purge", "state": "accepted", "targets": 1, "first": ["https://www.acme.com/é"]},
)
REQUIRED = {"specversion", "id", "source", "type"}
DEFINED = REQUIRED | {"datacontenttype", "dataschema", "subject", "time", "data"}


def test_an_event_has_what_the_specification_asks_for_and_the_record_as_its_data() -> None:
    """https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes"""
    first, second = cloud_event(PURGED, "/multicdn/acme"), cloud_event(PURGED, "/multicdn/acme")
    event = json.loads(first.text)
    assert REQUIRED <= event.keys() <= DEFINED
    assert all(event[name] for name in REQUIRED)
    assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "multicdn.purge.accepted", "fastly")
    assert event["data"] == {"event": "accepted", **PURGED.fields}
    assert event["id"] != json.loads(second.text)["id"]
    assert first.type == event["type"]
    assert first.text.isascii(), "so that characters are bytes, which AWS counts"


def test_the_event_in_the_docs_is_such_a_one() -> None:
    page = (ROOT / "docs" / "publish.md").read_text(encoding="utf-8")
    shown, rule = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
    data = dict(shown["data"])
    made = json.loads(cloud_event(LogRecord(logging.ERROR, data.pop("event"), data), shown["source"]).text)
    assert {**made, "id": shown["id"], "time": shown["time"]} == shown
    assert datetime.fromisoformat(shown["time"]).tzinfo is not None
    schema = json.loads((ROOT / "docs" / "log.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(shown["data"], schema)
    assert (rule["source"], rule["detail-type"]) == ([publishing.TYPE], [shown["type"]])


def test_calls_are_as_large_as_aws_takes_them() -> None:
    small = [CloudEvent("t", "x")] * 23
    assert [len(batch) for batch in batches(small)] == [10, 10, 3]
    large = [CloudEvent("t", "x" * 100_000)] * 5
    assert [len(batch) for batch in batches(large)] == [2, 2, 1]
    assert list(batches([])) == []


def test_what_a_vendor_says_makes_no_event_too_large_to_be_told() -> None:
    """docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size: an ASCII text, and names"""
    long = "\u2028" * 20_000
    fields = {**PURGED.fields, "id": long, "ids": [long] * 5, "note": long, "reason": long, "targets": 10_000}
    event = cloud_event(structs.replace(PURGED, fields=fields), "/multicdn/acme")
    assert len(event.text) < 200_000
    data = json.loads(event.text)["data"]
    assert data["first"] == PURGED.fields["first"]
    assert (data["targets"], len(data["ids"]), len(data["reason"])) == (10_000, 5, 257)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Stubber]]:
    """Both services, whose answers a test says beforehand; whatever is sent is held against their models."""
    session = boto3.session.Session("key", "secret", region_name="us-east-1")
    clients = {service: session.client(service) for service in ("events", "sns")}
    made = [EventBus(clients["events"], BUS), Topic(clients["sns"], TOPIC)]
    monkeypatch.setattr(publishing, "_destinations", lambda publish: [one for one in made if one.arn in publish.to])
    stubs = {service: Stubber(client) for service, client in clients.items()}
    for stub in stubs.values():
        stub.activate()
    yield stubs
    for stub in stubs.values():
        stub.assert_no_pending_responses()


def put(*answers: dict[str, str]) -> dict[str, Any]:
    return {"FailedEntryCount": sum("EventId" not in answer for answer in answers), "Entries": list(answers)}


def asked(*types: str) -> dict[str, Any]:
    shared = {"EventBusName": BUS, "Source": "multicdn", "Detail": ANY}
    return {"Entries": [{**shared, "DetailType": kind} for kind in types]}


def purged(state: str = "accepted") -> LogRecord:
    return structs.replace(PURGED, fields={**PURGED.fields, "state": state})


def test_a_part_that_a_bus_refuses_is_sent_once_more_and_then_told(
    wire: dict[str, Stubber], logged: pytest.LogCaptureFixture
) -> None:
    refused = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
    kinds = [f"multicdn.purge.{state}" for state in ("accepted", "dead", "requeued")]
    wire["events"].add_response("put_events", put({"EventId": "1"}, refused, refused), asked(*kinds))
    wire["events"].add_response("put_events", put({"EventId": "2"}, refused), asked(*kinds[1:]))
    Publisher(Publish(to=(BUS,))).tell([purged(), purged("dead"), purged("requeued")])
    assert lines(logged) == [
        {
            "event": "publish-failed",
            "destination": BUS,
            "events": 1,
            "reason": "ThrottlingException: slow down",
        }
    ]


def test_a_topic_gets_what_a_bus_does_not(wire: dict[str, Stubber], logged: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        wire["events"].add_client_error("put_events", "AccessDeniedException", "not authorized to put events")
    message = {
        "Id": "0",
        "Message": ANY,
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": "multicdn.purge.dead"}},
    }
    wire["sns"].add_response(
        "publish_batch",
        {"Successful": [{"Id": "0", "MessageId": "m"}], "Failed": []},
        {"TopicArn": TOPIC, "PublishBatchRequestEntries": [message]},
    )
    Publisher(Publish(to=(BUS, TOPIC), states=(EndState.DEAD,))).tell([purged(), purged("dead")])
    [line] = lines(logged)
    assert line["destination"] == BUS
    assert "not authorized to put events" in line["reason"]


def test_what_an_answer_does_not_name_was_not_taken(wire: dict[str, Stubber], logged: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        wire["sns"].add_response("publish_batch", {"Successful": [], "Failed": []})
        wire["events"].add_response("put_events", put())
    Publisher(Publish(to=(BUS, TOPIC))).tell([purged()])
    assert [(line["destination"], line["reason"]) for line in lines(logged)] == [
        (BUS, "not answered"),
        (TOPIC, "not answered"),
    ]


def test_one_invocation_tells_so_much_and_no_more(wire: dict[str, Stubber], logged: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        wire["events"].add_response("put_events", put(*[{"EventId": "1"}] * 10))
    Publisher(Publish(to=(BUS,))).tell([purged()] * 207)
    [line] = lines(logged)
    assert (line["events"], line["reason"]) == (7, "more than one invocation tells")


def test_without_time_nothing_is_sent(wire: dict[str, Stubber], logged: pytest.LogCaptureFixture) -> None:
    del wire
    Publisher(Publish(to=(BUS,))).tell([purged()], seconds=0)
    assert [line["reason"] for line in lines(logged)] == ["no time was left"]


def test_each_call_ends_with_the_time_for_all_of_them_and_the_sdk_tries_none_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left: list[float | None] = []

    class Seen(EventBus):
        def send(self, events: Any) -> dict[int, str]:
            left.append(time_left())
            return {}

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    made = {one.arn: one for one in publishing._destinations(Publish(to=(BUS, TOPIC)))}
    assert isinstance(bus := made[BUS], EventBus)
    assert bus._client.meta.config.retries["total_max_attempts"] == 1
    monkeypatch.setattr(publishing, "_destinations", lambda publish: [Seen(None, arn) for arn in publish.to])
    Publisher(Publish(to=(BUS,))).tell([purged()], seconds=3)
    assert left[0] is not None
    assert 0 < left[0] <= 3


# From an upload on


@pytest.mark.slow
def test_a_queue_behind_topic_and_bus_gets_what_became_of_uploads_without_secrets(
    stage: Stage, aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    sqs, sns, events = (aws.client(service) for service in ("sqs", "sns", "events"))
    arn = "arn:aws:sqs:us-east-1:123456789012:outcomes"
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [anybody]})
    url = sqs.create_queue(QueueName="outcomes", Attributes={"Policy": policy})["QueueUrl"]
    topic = sns.create_topic(Name="outcomes")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    events.put_rule(Name="outcomes", EventPattern=json.dumps({"source": ["multicdn"]}))
    events.put_targets(Rule="outcomes", Targets=[{"Id": "queue", "Arn": arn}])
    stage.text += f"publish: {{to: ['{BUS}', '{topic}']}}\n"
    stage.img.faults.always(faults.status(400))
    dispatcher = stage.dispatcher()
    dispatcher.prepare()
    dispatcher.dispatch(sqs_event(m1=s3_event("a.css", f"{stage.www.token}.css")), 30)
    got = [json.loads(message["Body"]) for message in received(sqs, url, 4)]
    said = [each.get("detail", each) for each in got]
    assert sorted((each["type"], each["subject"]) for each in said) == [
        ("multicdn.purge.accepted", "www"),
        ("multicdn.purge.accepted", "www"),
        ("multicdn.purge.returned", "img"),
        ("multicdn.purge.returned", "img"),
    ]
    assert sum("detail" in each for each in got) == 2
    assert stage.www.token not in json.dumps(got)
    assert all(each["data"]["bucket"] == "acme-site" for each in said)


def received(sqs: Any, url: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for _ in range(20):
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        found += answer.get("Messages", [])
        if len(found) >= count:
            break
    return found


@pytest.mark.slow
def test_clients_are_made_before_the_first_event(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """To load boto3 takes longer than the end of an invocation has."""
    made: list[Publish] = []
    monkeypatch.setattr(publishing, "_destinations", lambda publish: made.append(publish) or [])
    stage.text += f"publish: {{to: ['{BUS}']}}\n"
    stage.dispatcher().prepare()
    assert len(made) == 1


@pytest.mark.slow
def test_a_destination_that_hangs_costs_no_reply(
    stage: Stage, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    class Hanging(EventBus):
        def send(self, events: Any) -> dict[int, str]:
            del events
            over.wait(60)
            return {}

    monkeypatch.setattr(publishing, "_destinations", lambda publish: [Hanging(None, arn) for arn in publish.to])
    monkeypatch.setattr(reporting, "_LONGEST_LOOK", 0.2)
    stage.text += f"publish: {{to: ['{BUS}']}}\n"
    dispatcher, without_time = stage.dispatcher(), stage.dispatcher()
    try:
        for key in ("a.css", "b.css"):
            assert dispatcher.dispatch(sqs_event(m1=s3_event(key)), 30) == failures()
        monkeypatch.undo()
        monkeypatch.setattr(publishing, "_destinations", lambda publish: [Hanging(None, arn) for arn in publish.to])
        without_time.dispatch(sqs_event(m1=s3_event("c.css")), 0, 0)
    finally:
        over.set()
    said = [line["reason"] for line in lines(logged) if line["event"] == "publish-failed"]
    assert said[0].startswith("`publish` looks at the report for more than")
    assert said[2].startswith("`publish` looks at the report for more than 0.1 s"), (
        "what is left of the function's time"
    )
    assert len(said) == 3
