"""Sending is over when SQS has confirmed each entry, or when the time is: boto3, and a server in the place of SQS."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from multicdn.errors import ConfigError
from multicdn.model import Action, Change, Job, Outcome, Report, Status, TargetKind
from multicdn.oncall.letters import Letter
from multicdn.oncall.message_queue import MessageQueue, QueueError
from multicdn.oncall.ways_back import ToFunction, ToQueue
from multicdn.queue import message, sender, waiting
from multicdn.queue.retry import Decision, MessageHistory, RetryPolicy, decide
from multicdn.queue.sender import RetryQueue
from multicdn.simulators.kit import faults
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.simulators.kit.http_server import Request

pytestmark = pytest.mark.slow

# What something in between, or a broken SQS, may answer with a 200.
NOTHING_CONFIRMED = [
    b"{}",
    b"",
    b"<html>proxy</html>",
    b"[]",
    b'{"Successful": []}',
    b'{"Successful": null, "Failed": null}',
    b'{"Successful": [{"Id": "0"}, {"Id": "1"}, {"Id": "2"}]}',
    b'{"Successful": [{"Id": "7", "MessageId": "m"}]}',
]


def client(endpoint: str) -> Any:
    limits = Config(connect_timeout=1, read_timeout=30, retries={"total_max_attempts": 1})
    return boto3.session.Session("x", "x", region_name="eu-central-1").client(
        "sqs", endpoint_url=endpoint, config=limits
    )


@contextlib.contextmanager
def queue(answer: Any) -> Iterator[tuple[RetryQueue, RecordingVendor]]:
    with RecordingVendor(answer) as api:
        url = f"{api.endpoint}/123456789012/work"
        yield RetryQueue(client(api.endpoint), url, f"{url}-dlq"), api


def decisions(*jobs: Sequence[str]) -> list[Decision]:
    outcomes = [
        Outcome(Job("acme", Action.PURGE, TargetKind.URL, tuple(t), (frozenset((f"m{n}",)),) * len(t)), Status.RETRY)
        for n, t in enumerate(jobs)
    ]
    return decide(Report(tuple(outcomes)), MessageHistory({}, {}, {}), RetryPolicy(), 0.0)


def operations(api: RecordingVendor) -> list[str]:
    return [call.headers["X-Amz-Target"].partition(".")[2] for call in api.calls]


@pytest.mark.parametrize("body", NOTHING_CONFIRMED)
def test_what_nobody_confirmed_was_not_sent(body: bytes) -> None:
    decided = decisions(("/a", "/b"), ("/c", "/d"), ("/e", "/f"))
    with queue(Response(200, {"Content-Type": "application/x-amz-json-1.0"}, body)) as (retry_queue, _):
        assert retry_queue.carry_out(decided) == decided


def test_what_is_confirmed_was_sent_though_its_neighbour_was_not() -> None:
    decided = decisions(("/a", "/b"), ("/c", "/d"))
    with queue(Response.json({"Successful": [{"Id": "1", "MessageId": "m"}]})) as (retry_queue, _):
        assert retry_queue.carry_out(decided) == decided[:1]


@pytest.mark.parametrize("body", [b"{}", b"", b"<html>proxy</html>", b'{"MessageId": ""}'])
def test_a_dead_letter_stays_until_its_new_message_is_confirmed(body: bytes) -> None:
    dead = Letter("id", "receipt", "{}", "(events)", "why", None)
    with RecordingVendor(Response(200, {}, body)) as api:
        sqs, url = client(api.endpoint), f"{api.endpoint}/123456789012/work"
        with pytest.raises(QueueError, match="did not confirm"):
            MessageQueue(sqs, f"{url}-dlq").redrive([dead], ToQueue(sqs, url), lambda _: None)
        assert operations(api) == ["SendMessage"]


def test_a_dead_letter_goes_once_its_new_message_is_confirmed() -> None:
    def answer(request: Request) -> Response:
        if request.headers["X-Amz-Target"].endswith("SendMessage"):
            return Response.json({"MessageId": "m", "MD5OfMessageBody": "99914b932bd37a50b983c5e7c90ae93b"})
        return Response.json({"Successful": [{"Id": "0"}], "Failed": []})

    dead = Letter("id", "receipt", "{}", "(events)", "why", None)
    with RecordingVendor(answer) as api:
        sqs, url = client(api.endpoint), f"{api.endpoint}/123456789012/work"
        assert MessageQueue(sqs, f"{url}-dlq").redrive([dead], ToQueue(sqs, url), lambda _: None) == 1
        assert operations(api) == ["SendMessage", "DeleteMessageBatch"]


@pytest.mark.parametrize("status", [200, 204])
def test_a_dead_letter_stays_until_lambda_has_its_event(status: int) -> None:
    dead = Letter("id", "receipt", '{"Records": []}', "(events)", "why", None)
    with RecordingVendor(Response(status, {}, b"<html>proxy</html>")) as api:
        session = boto3.session.Session("x", "x", region_name="eu-central-1")
        way_back = ToFunction(session.client("lambda", endpoint_url=api.endpoint), "purger:live")
        letters = MessageQueue(client(api.endpoint), f"{api.endpoint}/123456789012/work-dlq")
        with pytest.raises(QueueError, match="purger:live did not confirm"):
            letters.redrive([dead], way_back, lambda _: None)
        [call] = api.calls
        assert call.target == "/2015-03-31/functions/purger%3Alive/invocations"


def test_a_queue_that_hangs_is_left_behind_and_what_it_had_confirmed_stays_sent() -> None:
    decided = decisions(*((f"/{n}", f"/{n}b") for n in range(25)))

    def first_only(request: Request) -> Response:
        entries = json.loads(request.body)["Entries"]
        return Response.json({"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in entries]})

    with queue(first_only) as (retry_queue, api):
        api.faults.always(faults.hang(), when=lambda request: json.loads(request.body)["Entries"][0]["Id"] == "10")
        began = time.monotonic()
        failed = retry_queue.carry_out(decided, seconds=1.0)
        assert time.monotonic() - began < 10
        assert failed == decided[10:]


def test_no_time_is_no_call() -> None:
    decided = decisions(("/a", "/b"))
    with queue(Response.json({})) as (retry_queue, api):
        assert retry_queue.carry_out(decided, seconds=0.0) == decided
        time.sleep(0.05)
        assert api.calls == []


class SmallQueue:
    """In the place of SQS, a queue that takes messages of so many bytes; in SQS's words of 2026."""

    def __init__(self, least: int) -> None:
        self.least = least
        self.taken: list[dict[str, Any]] = []

    def __call__(self, request: Request) -> Response:
        entries = json.loads(request.body)["Entries"]
        if any(self._weight(entry) > self.least for entry in entries):
            words = f"One or more parameters are invalid. Reason: Message must be shorter than {self.least} bytes."
            return Response.json({"__type": "com.amazonaws.sqs#InvalidParameterValue", "message": words}, 400)
        self.taken += entries
        return Response.json({"Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in entries]})

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(entry["MessageBody"]) for entry in self.taken]

    def _weight(self, entry: dict[str, Any]) -> int:
        shown = entry.get("MessageAttributes", {}).items()
        return len(entry["MessageBody"]) + sum(len(n) + 6 + len(v["StringValue"].encode()) for n, v in shown)


NOISE = [base64.urlsafe_b64encode(random.Random(n).randbytes(60)).decode() for n in range(600)]


def test_a_queue_that_takes_smaller_messages_gets_smaller_ones() -> None:
    """MaximumMessageSize of a queue may be anything from 1,024 bytes on."""
    small = SmallQueue(8192)
    with queue(small) as (retry_queue, _):
        assert retry_queue.carry_out(decisions(NOISE)) == []
        assert [t for body in small.bodies for t in message.decode(body, "m").job.targets] == NOISE
        small.taken.clear()
        assert retry_queue.carry_out(decisions(NOISE)) == []
        assert small.taken


@pytest.mark.parametrize("given_up", [False, True])
def test_changes_that_wait_are_made_to_fit_as_well(*, given_up: bool) -> None:
    """They were refused for ever, and what was known of them was done again at each receive."""
    small = SmallQueue(8192)
    changes = [Change("acme-site", key, cause="m") for key in NOISE]
    history = MessageHistory({"m": 0.0}, {"m": 100}, {})
    triples = ((change, "S3 is out", frozenset(("0:urls",))) for change in changes)
    groups = waiting.decide(triples, history, RetryPolicy(), 1e6 if given_up else 1.0)
    with queue(small) as (retry_queue, _):
        assert retry_queue.carry_out_unrouted(groups) == []
    assert [record["s3"]["object"]["key"] for body in small.bodies for record in body["Records"]] == NOISE


def test_no_queue_is_believed_to_take_less_than_any_does() -> None:
    """Else one odd answer had each target in a message of its own from then on."""
    small = SmallQueue(1)
    with queue(small) as (retry_queue, api):
        assert retry_queue.carry_out(decisions(NOISE))
        api.calls.clear()
        small.least = 1 << 18
        assert retry_queue.carry_out(decisions(NOISE)) == []
    assert len(small.taken) < len(NOISE) / 4


@pytest.mark.parametrize("name", [sender.QUEUE, sender.DEAD_LETTERS])
def test_a_fifo_queue_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(sender.QUEUE, "https://sqs.eu-central-1.amazonaws.com/123456789012/work")
    monkeypatch.setenv(name, "https://sqs.eu-central-1.amazonaws.com/123456789012/work.fifo")
    with pytest.raises(ConfigError, match=f"{name}: .*FIFO"):
        sender.from_environment()
