"""What can't be routed waits in the queue for that part alone: with moto's SQS and S3, and Fastly's simulators."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit.queues import Line, Queues, purged
from kit.sample_plugins import FlakyUrls, flaky_urls, hooked

from multicdn.events.envelopes import decode
from multicdn.model import Change, ChangeKind
from multicdn.queue import waiting
from multicdn.queue.retry import MessageHistory, RetryPolicy

if TYPE_CHECKING:
    from multicdn.simulators.fastly.api import FastlySimulator

pytestmark = pytest.mark.slow

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{www}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    tags: ["all"]
    {tags_from}
    purge: [www]
delivery: {{give_up_after: 6h, first_delay: 20s, longest_delay: 2m}}
"""


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def line_of(queues: Queues, www: FastlySimulator, tags_from: str = "") -> Line:
    return Line(queues, CONFIG.format(www=www.endpoint, tags_from=tags_from))


def purged_urls(cdn: FastlySimulator) -> list[str]:
    return [key for key in purged(cdn) if not key.startswith("/service/")]


def tags_of(cdn: FastlySimulator) -> list[list[str]]:
    return [json.loads(call.body)["surrogate_keys"] for call in cdn.calls if call.target.endswith("/purge")]


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> FlakyUrls:
    monkeypatch.setattr(flaky_urls, "fault", LookupError("no such page"))
    return flaky_urls


class PanicException(BaseException):
    """As pyo3 raises it where Rust code panics."""


@pytest.mark.parametrize("fault", [LookupError("no such page"), SystemExit(3), PanicException("index out of bounds")])
def test_a_hook_that_fails_lets_the_urls_of_its_change_wait_and_repeats_nothing(
    queues: Queues, www: FastlySimulator, flaky: FlakyUrls, fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "multicdn")
    line = line_of(queues, www)
    flaky.fault = fault
    line._dispatcher = line.dispatcher(hooked("flaky_urls"))  # type: ignore[attr-defined]
    queues.upload("bad.html", "good.html")
    assert line.step() == []
    assert (purged_urls(www), tags_of(www)) == (["good.html"], [["all"]])
    [waits] = queues.sent
    assert waits["DelaySeconds"] in range(10, 21)
    assert type(fault).__name__ in waits["MessageAttributes"]["reason"]["StringValue"]
    assert '"incomplete"' in caplog.text
    assert line.step() == []  # still broken: it waits longer, and still nothing is repeated
    assert json.loads(queues.sent[-1]["MessageBody"])["multicdnWaiting"]["attempt"] == 2
    flaky.fault = None
    assert line.step() == []
    assert (purged_urls(www), tags_of(www)) == (["good.html", "bad.html"], [["all"]])
    assert queues.left() == 0


def test_tags_that_cannot_be_read_wait_alone(
    queues: Queues, www: FastlySimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = line_of(queues, www, "tags_from: cache-tag")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    queues.upload("a.html")
    assert line.step() == []
    assert (purged_urls(www), tags_of(www)) == (["a.html"], [["all"]])
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="acme-site")
    s3.put_object(Bucket="acme-site", Key="a.html", Metadata={"cache-tag": "news"})
    line.restart()
    assert line.step() == []
    assert (purged_urls(www), tags_of(www)) == (["a.html"], [["all"], ["news"]])
    assert queues.left() == 0


def test_a_route_that_has_changed_meanwhile_is_done_from_the_beginning(
    queues: Queues, www: FastlySimulator, flaky: FlakyUrls
) -> None:
    line = line_of(queues, www)
    line._dispatcher = line.dispatcher(hooked("flaky_urls"))  # type: ignore[attr-defined]
    queues.upload("bad.html")
    line.step()
    flaky.fault = None
    line.restart(line.text.replace('["all"]', '["all-new"]'))
    assert line.step() == []
    assert (purged_urls(www), tags_of(www)) == (["bad.html"], [["all"], ["all-new"]])


def test_without_a_queue_to_wait_in_the_message_comes_back(
    queues: Queues, www: FastlySimulator, flaky: FlakyUrls
) -> None:
    line = line_of(queues, www)
    line._dispatcher = line.dispatcher(hooked("flaky_urls"))  # type: ignore[attr-defined]
    line._dispatcher._handover._queue = None  # type: ignore[attr-defined]
    queues.upload("bad.html")
    assert len(line.step()) == 1


CHANGES = [
    Change("acme-site", key, kind, "etag", "v1", "0A", "2026-11-23T09:00:00.123Z", "m1")
    for key, kind in (("a b+c%.html", ChangeKind.CREATED), ("中.html", ChangeKind.REMOVED), ("x", ChangeKind.ACCESS))
]


def decided(*changes: Change, now: float = 1000.0, sent: float = 990.0, attempts: int = 0) -> list[waiting.Unrouted]:
    history = MessageHistory({"m1": sent}, {"m1": attempts}, {})
    triples = ((change, "S3 is out", frozenset(("1:tags_from",))) for change in changes)
    return waiting.decide(triples, history, RetryPolicy(give_up_after=60.0, first_delay=30.0), now, lambda most: most)


def test_changes_are_read_as_they_were_written() -> None:
    [group] = decided(*CHANGES)
    [body] = group.bodies()
    arn = "arn:aws:sqs:eu-central-1:123456789012:work"
    event = {"Records": [{"messageId": "m1", "eventSource": "aws:sqs", "eventSourceARN": arn, "body": body}]}
    intake = decode(event, own_queue="https://sqs.eu-central-1.amazonaws.com/123456789012/work")
    assert list(intake.changes) == CHANGES
    assert intake.waiting["m1"] == group.waiting
    assert (group.delay, group.waiting.since) == (30, 990.0)


def test_thousands_of_changes_wait_in_few_messages_none_too_large() -> None:
    many = [Change("b", f"{n}" * 100, cause="m1") for n in range(5000)]
    [group] = decided(*many)
    bodies = list(group.bodies())
    assert max(map(len, bodies)) <= 240 * 1024
    assert sum(len(json.loads(body)["Records"]) for body in bodies) == 5000
    assert len(bodies) < 60


@pytest.mark.parametrize(
    ("age", "attempts", "dead"), [(60.0, 0, False), (60.0, 4, False), (60.0, 5, True), (240.0, 0, True)]
)
def test_what_was_hardly_tried_is_not_given_up_for_its_age(age: float, attempts: int, *, dead: bool) -> None:
    """A function that was off for a night, and S3 that does not answer once after it: nothing is lost."""
    [group] = decided(*CHANGES, now=1000.0, sent=1000.0 - age, attempts=attempts)
    assert (group.delay is None) is dead


def test_what_waited_too_long_is_given_up_and_begins_anew_when_it_is_sent_back() -> None:
    [group] = decided(*CHANGES, now=1000.0, sent=940.0, attempts=5)
    assert group.delay is None
    again: dict[str, Any] = json.loads(waiting.renewed(next(group.bodies()), 2000.0))
    assert (again["multicdnWaiting"]["attempt"], again["multicdnWaiting"]["since"]) == (0, 2000.0)
    assert waiting.renewed("no JSON", 1.0) == "no JSON"
    assert waiting.renewed('{"Records": []}', 1.0) == '{"Records": []}'
