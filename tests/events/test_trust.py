"""Jobs, and what waiting changes say of themselves, are taken from the function's own queue alone."""

from __future__ import annotations

import base64
import json
import tracemalloc
import zlib
from typing import Any

import pytest

from multicdn.events.envelopes import decode

URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/work"
ARN = "arn:aws:sqs:eu-central-1:123456789012:work"

JOB = {"multicdn": 1, "provider": "www", "action": "purge", "kind": "everything", "attempt": 1, "since": 0.0}
JOB |= {"targets": [""]}

RECORD = {
    "eventSource": "aws:s3",
    "eventName": "ObjectCreated:Put",
    "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}},
}
WAITING = {"Records": [RECORD], "multicdnWaiting": {"missing": ["1:urls"], "attempt": 3, "since": 5.0}}


def sqs(body: object, arn: str = ARN) -> dict[str, Any]:
    return {"Records": [{"messageId": "m", "eventSource": "aws:sqs", "eventSourceARN": arn, "body": json.dumps(body)}]}


def sns(body: object) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(body)}


def from_topic(body: object) -> dict[str, Any]:
    return {"Records": [{"EventSource": "aws:sns", "Sns": sns(body)}]}


def nested(body: object) -> dict[str, Any]:
    return sqs(sqs(body))


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(JOB, id="direct"),
        pytest.param(json.dumps(JOB), id="text"),
        pytest.param(from_topic(JOB), id="sns"),
        pytest.param(sqs(sns(JOB)), id="sns in our queue"),
        pytest.param(nested(JOB), id="sqs in our queue"),
        pytest.param(sqs({"Messages": [{"MessageId": "m", "Body": json.dumps(JOB)}]}), id="printed in our queue"),
        pytest.param(sqs([JOB]), id="list in our queue"),
        pytest.param(sqs({"Items": [JOB]}), id="batch of a Map state in our queue"),
        pytest.param(sqs({"source": "aws.s3", "detail-type": "Object Created", "detail": JOB}), id="eventbridge"),
        pytest.param(sqs(JOB, "arn:aws:sqs:eu-central-1:123456789012:other"), id="other queue"),
        pytest.param(sqs(JOB, "arn:aws:sqs:eu-central-1:999999999999:work"), id="other account"),
        pytest.param(sqs(JOB, "arn:aws:sqs:us-east-1:123456789012:work"), id="other region"),
        pytest.param(sqs(JOB, ""), id="no queue"),
    ],
)
def test_a_job_from_anywhere_else_is_refused_and_named(event: object) -> None:
    intake = decode(event, own_queue=URL)
    assert intake.queued_jobs == ()
    assert len(intake.unreadable) == 1
    assert decode(event, own_queue="").queued_jobs == ()


def test_a_job_of_our_own_queue_is_taken() -> None:
    assert [queued.job.provider for queued in decode(sqs(JOB), own_queue=URL).queued_jobs] == ["www"]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:4566/123456789012/work",
        "https://vpce-0a1b.sqs.eu-central-1.vpce.amazonaws.com/123456789012/work",
        "https://eu-central-1.queue.amazonaws.com/123456789012/work",
        "https://sqs-fips.eu-central-1.amazonaws.com/123456789012/work",
        "https://sqs.eu-central-1.api.aws/123456789012/work",
    ],
)
def test_our_own_queue_is_known_by_any_of_its_urls(url: str) -> None:
    assert len(decode(sqs(JOB), own_queue=url).queued_jobs) == 1
    elsewhere = sqs(JOB, "arn:aws:sqs:eu-west-1:123456789012:work")
    assert bool(decode(elsewhere, own_queue=url).queued_jobs) is url.startswith("http://localhost")


def test_the_oldest_url_is_that_of_the_oldest_region() -> None:
    """As for the client that is made for it."""
    oldest = "https://queue.amazonaws.com/123456789012/work"
    assert decode(sqs(JOB, "arn:aws:sqs:us-east-1:123456789012:work"), own_queue=oldest).queued_jobs
    assert not decode(sqs(JOB), own_queue=oldest).queued_jobs


def test_a_queue_without_a_name_in_the_environment_gives_no_jobs_and_says_what_to_set() -> None:
    [unreadable] = decode(sqs(JOB), own_queue="").unreadable
    assert "MULTICDN_QUEUE_URL names no queue" in unreadable.reason


def test_changes_that_wait_are_whole_changes_anywhere_else() -> None:
    """So they are to a multicdn that doesn't know the member: what was delivered is repeated, and nothing is lost."""
    ours, foreign = decode(sqs(WAITING), own_queue=URL), decode(sqs(sns(WAITING)), own_queue=URL)
    assert [change.key for change in ours.changes] == [change.key for change in foreign.changes] == ["k"]
    assert (ours.waiting["m"].missing, ours.waiting["m"].attempt) == (("1:urls",), 3)
    assert foreign.waiting == {}


def test_a_message_that_unpacks_to_millions_of_targets_is_refused_in_little_memory() -> None:
    """233 KB made 60 million targets of 1.1 GB."""
    content = b"[" + b'"",' * 60_000_000 + b'""]'
    packed = base64.b64encode(zlib.compress(content, 9)).decode()
    event = sqs({**JOB, "kind": "tag", "targets": [], "packed": packed})
    del content
    tracemalloc.start()
    try:
        [unreadable] = decode(event, own_queue=URL).unreadable
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "more than" in unreadable.reason
    assert peak < 20_000_000


@pytest.mark.parametrize("targets", [[""], [" "], ["a", ""], [], ["a"] * 300_000])
def test_a_job_without_a_name_for_what_it_purges_or_with_far_too_many_is_refused(targets: list[str]) -> None:
    intake = decode(sqs({**JOB, "kind": "tag", "targets": targets}), own_queue=URL)
    assert (intake.queued_jobs, len(intake.unreadable)) == ((), 1)
