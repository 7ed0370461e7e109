"""What can't be delivered waits in the queue and comes back: with moto's SQS, and Fastly's provider and simulators."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import random
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from kit.hostile_server import OK, HostileServer, drip
from kit.queues import SITE, Line, Ok, Queues, purged, s3_event
from kit.sample_plugins import hooked, observer

from multicdn import aws_clients, handler
from multicdn.errors import Undelivered
from multicdn.model import Action, Job, Outcome, Report, Status, TargetKind
from multicdn.queue import sender
from multicdn.queue.retry import DeadLetter, Decision, MessageHistory, RetryPolicy, decide
from multicdn.queue.sender import RetryQueue
from multicdn.simulators import Origin
from multicdn.simulators.cloudfront.api import CloudFrontSimulator, Distribution, S3Origin
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multicdn.simulators import Origin

pytestmark = pytest.mark.usefixtures("as_bundled")

# One session for all tests: it reads botocore's description of SQS once.
SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html: of all messages of a call
BATCH_QUOTA = 262_144

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{www}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}"}}
  img: {{type: fastly, endpoint: "{img}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:IMG_TOKEN}}"}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [www, img]}}
delivery: {{give_up_after: 6h, first_delay: 20s, longest_delay: 2m}}
"""

WITH_CLOUDFRONT = """\
version: 1
providers:
  site: {{type: cloudfront, endpoint: "{endpoint}", distribution: {distribution}}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [site]}}
"""


@pytest.fixture
def img(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url, token="token-of-img") as cdn:
        monkeypatch.setenv("IMG_TOKEN", cdn.token)
        yield cdn


@pytest.fixture
def line(queues: Queues, www: FastlySimulator, img: FastlySimulator) -> Line:
    return Line(queues, CONFIG.format(www=www.endpoint, img=img.endpoint))


def decisions(count: int, *, size: int = 10, status: Status = Status.RETRY, reason: str = "503") -> list[Decision]:
    """What is decided about jobs with two targets each."""
    outcomes = [
        Outcome(
            Job("acme", Action.PURGE, TargetKind.URL, (f"{n}" * size, f"{n}b"), (frozenset((f"m{n}",)),) * 2),
            status,
            reason,
        )
        for n in range(count)
    ]
    return decide(Report(tuple(outcomes)), MessageHistory({}, {}, {}), RetryPolicy(), 1_800_000_000.0)


def entries_of(params: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(params["body"])["Entries"])


def confirmed(entry: dict[str, Any]) -> dict[str, Any]:
    """What SQS says of an entry that it took."""
    return {"Id": entry["Id"], "MessageId": f"id-{entry['Id']}", "MD5OfMessageBody": "0" * 32}


def weight(entry: dict[str, Any]) -> int:
    """Bytes that SQS counts."""
    attributes = entry["MessageAttributes"].items()
    return len(entry["MessageBody"].encode()) + sum(
        len(name) + len("String") + len(value["StringValue"].encode()) for name, value in attributes
    )


# Sending


def test_jobs_that_wait_and_dead_letters_go_to_their_queues(queues: Queues) -> None:
    decided = decisions(12) + decisions(3, status=Status.REJECTED)
    assert queues.retry_queue().carry_out(decided) == []
    assert (queues.left(), queues.left(queues.dlq)) == (12, 3)
    assert [len(batch) for batch in queues.batches] == [10, 2, 3]


def test_nothing_to_send_is_no_call(queues: Queues) -> None:
    assert queues.retry_queue().carry_out([]) == []
    assert queues.batches == []


def test_the_reason_and_all_else_that_a_person_asks_for_stand_in_the_attributes(queues: Queues) -> None:
    queues.retry_queue().carry_out(decisions(1, status=Status.REJECTED, reason="POST /purge: 400: no such host"))
    [message] = queues.sqs.receive_message(QueueUrl=queues.dlq, MessageAttributeNames=["All"])["Messages"]
    assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {
        "provider": "acme",
        "status": "rejected",
        "reason": "POST /purge: 400: no such host",
        "attempts": "1",
        "causes": "m0",
    }


@pytest.mark.parametrize(
    "reason",
    ["", "\x00\ud800\uffff", "\U0001f600" * 5000, "ü" * 5000, "a\nb"],
    ids=["empty", "odd", "wide", "long", "lines"],
)
def test_whatever_a_vendor_says_can_be_sent(queues: Queues, reason: str) -> None:
    assert queues.retry_queue().carry_out(decisions(10, reason=reason, status=Status.REJECTED)) == []
    assert queues.left(queues.dlq) == 10
    for entry in queues.sent:
        for value in entry["MessageAttributes"].values():
            assert 0 < len(value["StringValue"]) <= 1000
            assert not {"\x00", "\ud800", "\uffff"} & set(value["StringValue"])


@pytest.mark.parametrize("size", [20_000, 24_000, 61_000, 200_000])
@pytest.mark.parametrize("reason", ["503", "\U0001f600" * 1000], ids=["short", "wide"])
def test_no_batch_is_larger_than_sqs_takes_at_once(queues: Queues, size: int, reason: str) -> None:
    assert queues.retry_queue().carry_out(decisions(25, size=size, reason=reason)) == []
    assert queues.left() == 25
    for batch in queues.batches:
        assert sum(map(weight, batch)) <= BATCH_QUOTA
        assert len(batch) <= 10


@pytest.mark.slow
def test_the_largest_message_keeps_the_limit_with_the_longest_attributes(queues: Queues) -> None:
    """From which size on a job is split is the product's matter; what SQS takes at most is not."""
    for size in range(230_000, 262_000, 1500):
        noise = base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()
        job = Job(
            "acme", Action.PURGE, TargetKind.URL, (noise[: size // 2], noise[size // 2 :]), (frozenset(("m",)),) * 2
        )
        rejected = Outcome(job, Status.REJECTED, "\U0001f600" * 1000)
        decided = decide(Report((rejected,)), MessageHistory({}, {}, {"m": ("i" * 100,) * 10}), RetryPolicy(), 0.0)
        queues.retry_queue().carry_out(decided)
    assert {len(json.loads(entry["MessageBody"]).get("targets", ())) for entry in queues.sent} <= {0, 1}
    assert max(map(weight, queues.sent)) <= BATCH_QUOTA


def test_what_sqs_did_not_take_of_a_batch_is_sent_again_and_nothing_else(queues: Queues) -> None:
    sent: list[list[str]] = []

    def refuse_odd_ones(params: dict[str, Any], **_: object) -> object:
        entries = entries_of(params)
        sent.append([entry["MessageBody"] for entry in entries])
        if len(sent) > 1:
            return None
        taken = [entry for entry in entries if int(entry["Id"]) % 2 == 0]
        for entry in taken:
            queues.sqs.send_message(QueueUrl=queues.url, MessageBody=entry["MessageBody"])
        failed = [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False} for e in entries if e not in taken]
        return Ok(), {"Failed": failed, "Successful": [confirmed(entry) for entry in taken]}

    queues.on_send(refuse_odd_ones)
    assert queues.retry_queue().carry_out(decisions(10)) == []
    assert sent[1] == sent[0][1::2]
    assert queues.left() == 10


def test_what_is_refused_every_time_is_returned_and_the_others_are_sent(
    queues: Queues, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse_the_first(params: dict[str, Any], **_: object) -> object:
        entries = entries_of(params)
        bad = [entry for entry in entries if "0000" in json.loads(entry["MessageBody"])["targets"][0]]
        for entry in entries:
            if entry not in bad:
                queues.sqs.send_message(QueueUrl=queues.url, MessageBody=entry["MessageBody"])
        failed = [{"Id": e["Id"], "Code": "InvalidMessageContents", "Message": "bad", "SenderFault": True} for e in bad]
        return Ok(), {"Failed": failed, "Successful": [confirmed(entry) for entry in entries if entry not in bad]}

    queues.on_send(refuse_the_first)
    failed = queues.retry_queue().carry_out(decisions(10))
    assert [decision.queued.job.messages for decision in failed] == [{"m0"}]
    assert queues.left() == 9
    assert "InvalidMessageContents" in caplog.text


def test_a_queue_that_cannot_be_reached_costs_its_own_jobs_alone(queues: Queues) -> None:
    def unreachable(params: dict[str, Any], **_: object) -> None:
        if "work-dlq" not in params["body"].decode():
            raise EndpointConnectionError(endpoint_url="https://sqs.example")

    queues.on_send(unreachable)
    failed = queues.retry_queue().carry_out(decisions(3) + decisions(2, status=Status.REJECTED))
    assert [isinstance(decision, DeadLetter) for decision in failed] == [False] * 3
    assert queues.left(queues.dlq) == 2


def test_without_a_dead_letter_queue_nothing_is_given_up(queues: Queues) -> None:
    failed = RetryQueue(queues.sqs, queues.url).carry_out(decisions(2) + decisions(3, status=Status.REJECTED))
    assert [isinstance(decision, DeadLetter) for decision in failed] == [True] * 3
    assert queues.left() == 2


def test_no_secret_is_sent(queues: Queues, line: Line, img: FastlySimulator) -> None:
    img.faults.always(faults.status(400, {}, json.dumps({"msg": f"what is {img.token}?"})))
    queues.upload("a.css")
    assert line.step() == []
    [entry] = queues.sent
    assert "[secret]" in entry["MessageAttributes"]["reason"]["StringValue"]
    assert img.token not in str(entry)


# From the queue to the handler and back


def test_a_job_that_fails_waits_and_is_delivered_when_it_comes_back(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    queues.upload("a.css", "b.css")
    assert line.step() == []
    assert Counter(purged(www)) == {"a.css": 1, "b.css": 1}
    assert queues.left() == 1  # both jobs of img, in one message; the messages of S3 are done
    img.faults.clear()
    assert line.step() == []
    assert (Counter(purged(www)), Counter(purged(img))) == ({"a.css": 1, "b.css": 1}, {"a.css": 1, "b.css": 1})
    assert (queues.left(), queues.left(queues.dlq)) == (0, 0)


def test_a_sick_vendor_costs_the_healthy_one_no_call_however_often_its_jobs_come_back(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    img.faults.always(faults.reset())
    queues.upload(*(f"{n}.css" for n in range(20)))
    for _ in range(5):
        assert line.step() == []
    img.faults.clear()
    line.step()
    assert Counter(purged(www)) == Counter(purged(img)) == {f"{n}.css": 1 for n in range(20)}
    assert queues.left() == 0


def test_what_comes_back_is_merged_with_what_is_new_and_asked_for_once(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    queues.upload("a.css", "b.css")
    line.step()
    img.faults.clear()
    img.forget_calls()
    queues.upload("b.css", "c.css")
    assert line.step() == []
    assert Counter(purged(img)) == {"a.css": 1, "b.css": 1, "c.css": 1}
    assert queues.left() == 0


def test_delays_grow_as_the_config_says_and_the_attempts_are_counted(
    line: Line, queues: Queues, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    queues.upload("a.css")
    for _ in range(5):
        line.step()
    bounds = [(10, 20), (20, 40), (40, 80), (60, 120), (60, 120)]
    assert len(queues.sent) == len(bounds)
    for entry, (least, most) in zip(queues.sent, bounds, strict=True):
        assert least <= entry["DelaySeconds"] <= most
    bodies = [json.loads(entry["MessageBody"]) for entry in queues.sent]
    assert [body["attempt"] for body in bodies] == [1, 2, 3, 4, 5]
    assert len({body["since"] for body in bodies}) == 1
    assert len({tuple(body["origins"]) for body in bodies}) == 1


def test_the_wait_that_a_vendor_asks_for_is_the_least_delay(line: Line, queues: Queues, img: FastlySimulator) -> None:
    img.faults.always(faults.status(429, {"Retry-After": "300"}))
    queues.upload("a.css")
    line.step()
    assert 300 <= queues.sent[0]["DelaySeconds"] <= 301


def test_a_job_past_its_time_is_given_up_with_the_vendors_answer(
    line: Line, queues: Queues, img: FastlySimulator, www: FastlySimulator
) -> None:
    img.faults.always(faults.status(503, {}, "<html>Guru Meditation</html>"))
    queues.upload("a.css")
    line.restart(line.text.replace("6h", "1s").replace("20s", "1s"))
    line.step()
    [entry] = queues.sent
    aged = {**json.loads(entry["MessageBody"]), "since": 1_700_000_000}
    queues.sqs.purge_queue(QueueUrl=queues.url)
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(aged))
    assert line.step() == []
    [message] = queues.sqs.receive_message(QueueUrl=queues.dlq, MessageAttributeNames=["All"])["Messages"]
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert "503: Guru Meditation" in attributes["reason"]
    assert (attributes["provider"], attributes["status"], attributes["attempts"]) == ("img", "retry", "2")
    assert queues.left() == 0
    assert purged(www) == ["a.css"]


def test_a_rejected_target_is_a_dead_letter_at_once_and_the_others_are_delivered(
    line: Line, queues: Queues, img: FastlySimulator
) -> None:
    img.faults.always(
        faults.status(400, {}, '{"msg": "bad URL"}'), when=lambda request: request.target.endswith("b.css")
    )
    queues.upload("a.css", "b.css")
    assert line.step() == []
    assert purged(img) == ["a.css"]
    [body] = queues.bodies(queues.dlq)
    assert (body["provider"], body["targets"]) == ("img", [f"{SITE}/b.css"])
    assert queues.left() == 0


def test_jobs_wait_in_the_queue_before_anything_is_logged_or_shown_to_plugins(
    line: Line, queues: Queues, img: FastlySimulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hook that hangs until the function is stopped must not cost what has to be tried again."""
    caplog.set_level(logging.INFO, logger="multicdn")
    events = lambda: [json.loads(record.message)["event"] for record in caplog.records if record.name == "multicdn"]  # noqa: E731
    monkeypatch.setattr(observer, "look", lambda: queues.left())
    observer.seen.clear()
    logged_before: list[str] = []
    queues.on_send(lambda **_: logged_before.extend(events()))
    img.faults.always(faults.status(503))
    line.dispatcher(hooked("observer")).dispatch({"Records": [record("a.css")]}, 30)
    assert observer.seen == [1]
    assert logged_before == []
    assert events() == ["accepted", "retry", "invocation"]


def test_a_message_of_s3_that_is_too_old_is_given_up_and_a_young_one_waits(
    line: Line, queues: Queues, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    now = time.time()
    for message, hours in (("old", 25), ("young", 23)):
        sent = {"attributes": {"SentTimestamp": str(int((now - hours * 3600) * 1000))}, "messageId": message}
        reply = line.dispatcher().dispatch({"Records": [{**record(f"{message}.css"), **sent}]}, 30)
        assert reply == {"batchItemFailures": []}
    [waiting], [dead] = queues.bodies(), queues.bodies(queues.dlq)
    assert (waiting["targets"], waiting["origins"]) == ([f"{SITE}/young.css"], ["young"])
    assert (dead["targets"], dead["origins"]) == ([f"{SITE}/old.css"], ["old"])
    assert waiting["since"] == pytest.approx(now - 23 * 3600, abs=0.01)


@pytest.mark.parametrize("what", ["queue", "client"])
def test_if_requeueing_fails_the_messages_that_asked_come_back_and_no_other(
    line: Line, queues: Queues, img: FastlySimulator, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def unreachable(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://sqs.example")

    if what == "queue":
        queues.on_send(unreachable)
    else:
        monkeypatch.setattr(queues, "retry_queue", unreachable)
    img.faults.always(faults.status(503), when=lambda request: request.target.endswith("b.css"))
    queues.upload("a.css", "b.css")
    assert len(line.step()) == 1
    assert queues.left() == 1


def test_a_failed_message_and_a_requeued_job_are_told_apart(line: Line, queues: Queues, img: FastlySimulator) -> None:
    img.faults.always(faults.status(503))
    queues.upload("a.css")
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody="no event")
    assert len(line.step()) == 1
    assert queues.left() == 2  # what can't be read, and img's job


def test_a_damaged_job_stays_for_the_queues_own_redrive(line: Line, queues: Queues, www: FastlySimulator) -> None:
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody='{"multicdn": 9}')
    queues.upload("a.css")
    assert len(line.step()) == 1
    assert purged(www) == ["a.css"]


def test_a_provider_that_left_the_config_leaves_a_dead_letter_that_says_so(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    queues.upload("a.css")
    line.step()
    alone = "\n".join(row for row in line.text.splitlines() if not row.startswith("  img:"))
    line.restart(alone.replace("[www, img]", "[www]"))
    assert line.step() == []
    [entry] = queues.batches[-1]
    assert entry["MessageAttributes"]["reason"]["StringValue"] == "the config has no provider called 'img'"
    assert (queues.left(), queues.left(queues.dlq)) == (0, 1)
    assert purged(www) == ["a.css"]


def test_credentials_that_are_rotated_while_a_job_waits_deliver_it(
    line: Line, queues: Queues, img: FastlySimulator, www: FastlySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    img.tokens = {"renewed-token": frozenset(("purge_select",))}
    queues.upload("a.css")
    assert line.step() == []
    assert purged(www) == ["a.css"]
    [entry] = queues.sent
    assert entry["MessageAttributes"]["status"]["StringValue"] == "unauthorized"
    monkeypatch.setenv("IMG_TOKEN", "renewed-token")
    assert line.step() == []
    assert purged(img) == ["a.css"]
    assert (queues.left(), queues.left(queues.dlq)) == (0, 0)


def test_credentials_that_stay_refused_are_given_up_after_some_attempts(
    line: Line, queues: Queues, img: FastlySimulator
) -> None:
    img.tokens = {}
    queues.upload("a.css")
    for _ in range(RetryPolicy().refused_attempts):
        assert queues.left(queues.dlq) == 0
        line.step()
    assert (queues.left(), queues.left(queues.dlq)) == (0, 1)


def test_a_token_that_cannot_be_resolved_waits_as_well(
    line: Line, queues: Queues, img: FastlySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMG_TOKEN")
    queues.upload("a.css")
    assert line.step() == []
    assert "IMG_TOKEN" in queues.sent[0]["MessageAttributes"]["reason"]["StringValue"]
    monkeypatch.setenv("IMG_TOKEN", img.token)
    line.step()
    assert purged(img) == ["a.css"]


def test_a_removed_and_created_key_is_purged_once(line: Line, queues: Queues, www: FastlySimulator) -> None:
    for name, sequencer in (("ObjectRemoved:Delete", "01"), ("ObjectCreated:Put", "02")):
        event = s3_event("a.css", sequencer=sequencer)
        event["Records"][0]["eventName"] = name
        queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(event))
    assert line.step() == []
    assert purged(www) == ["a.css"]


# Time


def test_without_time_nothing_is_called_and_everything_waits(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    queues.upload(*(f"{n}.css" for n in range(30)))
    line.seconds = 0.1
    assert line.step() == []
    assert www.calls == img.calls == []
    assert queues.left() == 2  # a message for each provider, with all that it has to do
    line.seconds = 30.0
    line.step()
    assert len(set(purged(www))) == len(set(purged(img))) == 30


def test_a_vendor_that_hangs_has_its_jobs_requeued_before_the_end(
    line: Line, queues: Queues, www: FastlySimulator, img: FastlySimulator
) -> None:
    img.faults.always(faults.hang())
    queues.upload(*(f"{n}.css" for n in range(40)))
    line.seconds = 0.8
    assert line.step() == []
    assert len(purged(www)) == 40
    img.faults.clear()
    line.seconds = 30.0
    line.step()
    assert set(purged(img)) == {f"{n}.css" for n in range(40)}
    assert len(purged(www)) == 40


# The process


@pytest.fixture
def installed(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function with the config and the queues in its environment, and nothing prepared yet."""
    path = tmp_path / "multicdn.config.yml"
    path.write_text(line.text, encoding="utf-8")
    environment = {"MULTICDN_CONFIG": str(path), sender.QUEUE: line.queues.url, "AWS_REGION": "eu-central-1"}
    credentials = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_DEFAULT_REGION": "eu-central-1"}
    for name, value in {**environment, **credentials, sender.DEAD_LETTERS: line.queues.dlq}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(handler, "_dispatcher", None)


class Remaining:
    def get_remaining_time_in_millis(self) -> int:
        return 1800


def record(key: str) -> dict[str, object]:
    return {"messageId": "m1", "eventSource": "aws:sqs", "body": json.dumps(s3_event(key))}


@pytest.mark.usefixtures("installed")
def test_the_function_requeues_where_its_environment_says(queues: Queues, img: FastlySimulator) -> None:
    img.faults.always(faults.status(400), when=lambda request: request.target.endswith("bad.css"))
    img.faults.always(faults.status(503))
    event = {"Records": [record("a.css"), {**record("bad.css"), "messageId": "m2"}]}
    assert handler.handler(event, Remaining()) == {"batchItemFailures": []}
    assert (queues.left(), queues.left(queues.dlq)) == (1, 1)


@pytest.mark.usefixtures("installed")
def test_a_direct_event_is_done_once_what_is_left_of_it_waits_in_the_queue(
    queues: Queues, img: FastlySimulator
) -> None:
    img.faults.always(faults.status(503))
    assert handler.handler(s3_event("a.css"), Remaining())["providers"]["www"] == {"calls": 1, "accepted": 1}
    assert queues.left() == 1


@pytest.mark.usefixtures("installed")
def test_a_direct_event_without_a_queue_fails_and_names_what_is_left(
    queues: Queues, img: FastlySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sender.QUEUE)
    img.faults.always(faults.status(404))
    for _ in range(2):
        with pytest.raises(Undelivered, match=rf"^img: purge of {SITE}/a.css: retry: .*404"):
            handler.handler(s3_event("a.css"), Remaining())
    img.faults.clear()
    handler.handler(s3_event("a.css"), Remaining())
    assert purged(img) == ["a.css"]
    assert queues.left() == 0


@pytest.mark.usefixtures("installed")
def test_without_a_dead_letter_queue_a_rejected_target_leaves_its_message_to_the_redrive_policy(
    queues: Queues, img: FastlySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sender.DEAD_LETTERS)
    img.faults.always(faults.status(400))
    assert handler.handler({"Records": [record("a.css")]}, Remaining()) == {
        "batchItemFailures": [{"itemIdentifier": "m1"}]
    }
    assert queues.left() == 0


def hang() -> Iterator[str]:
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def hang_in_connecting() -> Iterator[str]:
    """The URL of a server that doesn't even take connections: the queue of those that wait for it is full."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.usefixtures("installed")
def test_no_thread_stays_at_a_queue_that_sends_a_byte_now_and_then(queues: Queues) -> None:
    """Each invocation would leave one there."""
    with HostileServer(drip(OK + b"X-Odd: ")) as server:
        sqs = aws_clients.client("sqs", region="us-east-1", endpoint_url=server.url)
        refused = RetryQueue(sqs, f"{server.url}/111122223333/work").send([sender.Message("{}")], seconds=0.3)
        assert len(refused) == 1
        for thread in [each for each in threading.enumerate() if each.name == "multicdn-queue"]:
            thread.join(20)
            assert not thread.is_alive()


@pytest.mark.parametrize("server", [hang, hang_in_connecting])
def test_a_queue_that_hangs_is_given_up_within_seconds(
    img: FastlySimulator, monkeypatch: pytest.MonkeyPatch, server: Callable[[], Iterator[str]]
) -> None:
    """Not within the minute that boto3 waits by default: the function would be stopped before it could reply."""
    img.faults.always(faults.status(404))
    with contextlib.contextmanager(server)() as url:
        monkeypatch.setenv(sender.QUEUE, f"{url}/123456789012/work")
        monkeypatch.setenv(sender.DEAD_LETTERS, f"{url}/123456789012/work-dlq")
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
        started = time.monotonic()
        reply = handler.handler({"Records": [record("a.css")]}, Remaining())
        assert time.monotonic() - started < 12
    assert reply == {"batchItemFailures": [{"itemIdentifier": "m1"}]}


# CloudFront


@pytest.fixture
def cloudfront(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFrontSimulator]:
    bucket = S3Origin("acme-site.s3.eu-central-1.amazonaws.com")
    with CloudFrontSimulator(
        origin.url, distributions=[Distribution(name, origins=(bucket,)) for name in ("E1", "E2")]
    ) as cdn:
        for name, value in cdn.environment().items():
            monkeypatch.setenv(name, value)
        yield cdn


def invalidations(cdn: CloudFrontSimulator) -> list[tuple[str, ...]]:
    """Which distribution's invalidations there are, and of which paths."""
    return [(made.owner, *sorted(made.items)) for made in cdn._invalidations._made]


def creations(cdn: CloudFrontSimulator) -> int:
    return sum(call.method == "POST" for call in cdn.calls)


def test_a_batch_that_comes_back_is_the_same_invalidation_to_cloudfront(
    queues: Queues, cloudfront: CloudFrontSimulator
) -> None:
    """The answers are lost, though CloudFront did what it was asked: the same reference makes that harmless."""
    line = Line(queues, WITH_CLOUDFRONT.format(endpoint=cloudfront.endpoint, distribution="E1"))
    cloudfront.faults.always(faults.lost(), when=lambda request: request.method == "POST")
    queues.upload("a.css", "b.css")
    assert line.step() == []
    line.restart()
    line.step()
    cloudfront.faults.clear()
    line.step()
    assert queues.left() == 0
    assert creations(cloudfront) > 2
    assert invalidations(cloudfront) == [("E1", "/a.css", "/b.css")]


def test_a_new_upload_of_what_waits_is_another_invalidation(queues: Queues, cloudfront: CloudFrontSimulator) -> None:
    line = Line(queues, WITH_CLOUDFRONT.format(endpoint=cloudfront.endpoint, distribution="E1"))
    cloudfront.faults.always(faults.lost(), when=lambda request: request.method == "POST")
    queues.upload("a.css")
    line.step()
    cloudfront.faults.clear()
    queues.sqs.send_message(QueueUrl=queues.url, MessageBody=json.dumps(s3_event("a.css", sequencer="07")))
    assert line.step() == []
    assert invalidations(cloudfront) == [("E1", "/a.css"), ("E1", "/a.css")]


def test_when_nobody_says_what_auto_stands_for_the_demand_waits_and_is_planned_later(
    queues: Queues, cloudfront: CloudFrontSimulator
) -> None:
    line = Line(queues, WITH_CLOUDFRONT.format(endpoint=cloudfront.endpoint, distribution="auto"))
    cloudfront.faults.always(faults.status(503), when=lambda request: request.method == "GET")
    queues.upload("a.css")
    assert line.step() == []
    [entry] = queues.sent
    body = json.loads(entry["MessageBody"])
    assert (body["provider"], body["bucket"], body["targets"]) == ("site", "acme-site", [f"{SITE}/a.css"])
    cloudfront.faults.clear()
    assert line.step() == []
    assert sorted(invalidations(cloudfront)) == [("E1", "/a.css"), ("E2", "/a.css")]
    assert queues.left() == 0


def one_found_waits(queues: Queues, cloudfront: CloudFrontSimulator) -> Line:
    """An upload is purged at E1, and its job for E2 waits, which has recovered meanwhile."""
    line = Line(queues, WITH_CLOUDFRONT.format(endpoint=cloudfront.endpoint, distribution="auto"))
    cloudfront.faults.always(
        faults.status(503), when=lambda request: request.method == "POST" and "/E2/" in request.target
    )
    queues.upload("a.css")
    assert line.step() == []
    cloudfront.faults.clear()
    return line


def test_a_job_of_one_found_distribution_comes_back_to_it_alone(
    queues: Queues, cloudfront: CloudFrontSimulator
) -> None:
    line = one_found_waits(queues, cloudfront)
    assert json.loads(queues.sent[0]["MessageBody"])["provider"] == "site/E2"
    line.restart()
    assert line.step() == []
    assert invalidations(cloudfront) == [("E1", "/a.css"), ("E2", "/a.css")]
    assert queues.left() == 0


def test_a_found_distribution_that_is_gone_leaves_a_dead_letter(
    queues: Queues, cloudfront: CloudFrontSimulator
) -> None:
    line = one_found_waits(queues, cloudfront)
    del cloudfront.distributions["E2"]
    assert line.step() == []
    reason = queues.sent[-1]["MessageAttributes"]["reason"]["StringValue"]
    assert "NoSuchDistribution" in reason
    assert (queues.left(), queues.left(queues.dlq)) == (0, 1)
