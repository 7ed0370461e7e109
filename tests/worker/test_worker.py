"""The worker against moto's SQS. Faults are injected where botocore would send the request."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from multicdn.worker.lambda_event import failed_messages, sqs_event
from multicdn.worker.turns import KeptTurns
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EVENTS = Path(__file__).parents[1] / "data"
PATIENCE = 10.0

# One session for all tests: it reads botocore's description of SQS once.
SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")


class Inbox:
    """A queue, and a handler that remembers what it was given and replies as it is told."""

    def __init__(self, sqs: Any) -> None:
        self.sqs = sqs
        self.url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]
        self.events: list[dict[str, Any]] = []
        self.remaining: list[int] = []
        self.reply: Callable[[list[str]], object] = lambda ids: None

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def handler(self, event: dict[str, Any], context: Any) -> object:
        self.events.append(event)
        self.remaining.append(context.get_remaining_time_in_millis())
        return self.reply([record["messageId"] for record in event["Records"]])

    def worker(self, **settings: Any) -> Worker:
        return Worker(self.sqs, self.url, self.handler, **{"wait": 0, "backoff": 0.01, **settings})

    def bodies(self) -> list[list[str]]:
        return [[record["body"] for record in event["Records"]] for event in self.events]

    def count(self, which: str = "") -> int:
        name = f"ApproximateNumberOfMessages{which}"
        return int(self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])["Attributes"][name])

    @property
    def left(self) -> int:
        """Messages that weren't deleted, seen or not."""
        return self.count() + self.count("NotVisible")

    def on(self, operation: str, act: Callable[..., Any]) -> None:
        """Do something where a request would be sent; a returned pair of response and answer replaces it."""
        self.sqs.meta.events.register_first(f"before-call.sqs.{operation}", act)


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with mock_aws():
        yield Inbox(SESSION.client("sqs"))


class Ok:
    status_code = 200


def logged(caplog: pytest.LogCaptureFixture, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(record.message) for record in caplog.records if record.name == "multicdn"]
    return [line for line in lines if line["event"] == event]


def in_thread(worker: Worker) -> threading.Thread:
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    return thread


def test_the_handler_gets_the_event_that_lambda_would_make(inbox: Inbox) -> None:
    attributes = {
        "colour": {"DataType": "String", "StringValue": "grün"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sent = inbox.sqs.send_message(QueueUrl=inbox.url, MessageBody="ein Körper", MessageAttributes=attributes)

    assert inbox.worker().step() == 1

    (record,) = inbox.events[0]["Records"]
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == "ein Körper"
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == "arn:aws:sqs:eu-central-1:123456789012:work"
    assert record["awsRegion"] == "eu-central-1"
    assert record["receiptHandle"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"]["SentTimestamp"].isdigit()
    assert record["messageAttributes"] == {
        "colour": {"stringValue": "grün", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
        "raw": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
    }


def test_records_have_the_members_that_a_recorded_lambda_event_has(inbox: Inbox) -> None:
    (recorded,) = json.loads((EVENTS / "sqs-put.json").read_text(encoding="utf-8"))["Records"]
    inbox.send("x")
    inbox.worker().step()
    (record,) = inbox.events[0]["Records"]
    assert set(record) == set(recorded)
    assert set(record["attributes"]) >= set(recorded["attributes"])


@pytest.mark.parametrize("reply", [None, {}, {"batchItemFailures": []}, {"batchItemFailures": None}, {"else": 1}])
def test_an_empty_reply_deletes_the_batch(inbox: Inbox, reply: object) -> None:
    inbox.send("a", "b")
    inbox.reply = lambda ids: reply
    assert inbox.worker().step() == 2
    assert inbox.left == 0


def test_only_messages_that_did_not_fail_are_deleted(inbox: Inbox) -> None:
    inbox.send("a", "b", "c")
    inbox.reply = lambda ids: {"batchItemFailures": [{"itemIdentifier": ids[1]}]}
    inbox.worker().step()
    assert (inbox.count(), inbox.count("NotVisible")) == (0, 1)


@pytest.mark.parametrize(
    "bad", [{"itemIdentifier": ""}, {"itemIdentifier": None}, {"itemIdentifier": "unknown"}, {"id": "x"}, {}, "x", None]
)
def test_a_failure_that_names_no_message_of_the_batch_fails_all_of_it(inbox: Inbox, bad: object) -> None:
    inbox.send("a", "b", "c")
    inbox.reply = lambda ids: {"batchItemFailures": [{"itemIdentifier": ids[0]}, bad]}
    inbox.worker().step()
    assert inbox.left == 3


@pytest.mark.parametrize("reply", ["done", 1, [], {"batchItemFailures": "a"}, {"batchItemFailures": {}}])
def test_a_reply_of_another_form_fails_the_batch(reply: object) -> None:
    assert failed_messages(reply, ["a", "b"]) == {"a", "b"}


def test_a_batch_that_lasts_long_is_told_of_every_half_minute(
    inbox: Inbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage would else look like a quiet night."""
    caplog.set_level(logging.INFO, "multicdn")
    began, worker = time.monotonic(), inbox.worker()

    def outage(_: list[str]) -> None:
        for second in range(100):
            monkeypatch.setattr("multicdn.worker.worker.time.monotonic", lambda now=began + second: now)
            worker.tell_busy()
        monkeypatch.undo()

    inbox.send("a", "b")
    inbox.reply = outage
    worker.step()
    worker.tell_busy()
    lines = logged(caplog, "worker-busy")
    assert [line["messages"] for line in lines] == [2, 2, 2]
    assert [round(line["seconds"] / 30) for line in lines] == [1, 2, 3]


def test_an_exception_deletes_nothing_and_is_logged_with_its_trace(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(ids: list[str]) -> object:
        raise RuntimeError("broken")

    inbox.send("a", "b")
    inbox.reply = fail
    assert inbox.worker().step() == 2
    assert inbox.left == 2
    (line,) = logged(caplog, "worker-handler")
    assert line["messages"] == 2
    assert "RuntimeError: broken" in line["error"]
    assert "in fail" in line["trace"]


def test_failed_messages_come_back_and_end_in_the_dead_letter_queue(inbox: Inbox) -> None:
    dead = inbox.sqs.create_queue(QueueName="dead")["QueueUrl"]
    redrive = json.dumps({"deadLetterTargetArn": "arn:aws:sqs:eu-central-1:123456789012:dead", "maxReceiveCount": 2})
    settings = {"RedrivePolicy": redrive, "VisibilityTimeout": "0"}
    inbox.sqs.set_queue_attributes(QueueUrl=inbox.url, Attributes=settings)
    inbox.send("a")
    inbox.reply = lambda ids: {"batchItemFailures": [{"itemIdentifier": name} for name in ids]}
    worker = Worker(inbox.sqs, inbox.url, inbox.handler, wait=0, timeout=1)
    handles = []
    for _ in range(2):
        assert worker.step() == 1
        handles.append(inbox.events[-1]["Records"][0]["receiptHandle"])
        inbox.sqs.change_message_visibility(QueueUrl=inbox.url, ReceiptHandle=handles[-1], VisibilityTimeout=0)
    assert worker.step() == 0
    assert inbox.sqs.receive_message(QueueUrl=dead)["Messages"][0]["Body"] == "a"


def test_a_batch_is_gathered_over_several_receives(inbox: Inbox) -> None:
    inbox.send(*(str(number) for number in range(25)))
    inbox.worker(batch_size=23, gather=5).step()
    assert [len(batch) for batch in inbox.bodies()] == [23]
    assert inbox.left == 2


def test_gathering_ends_with_the_window(inbox: Inbox) -> None:
    inbox.send("a")
    assert inbox.worker(batch_size=100, gather=0.5).step() == 1
    assert inbox.left == 0


@pytest.mark.parametrize(
    ("status", "batches"), [("paced", [["upload"], ["first", "second"]]), ("retry", [["first", "upload"]])]
)
def test_jobs_that_come_for_one_turn_are_a_batch_and_nothing_else_waits_for_them(
    inbox: Inbox, status: str, batches: list[list[str]]
) -> None:
    """SQS counts in whole seconds: they come one after the other, and uploads between them."""
    attributes = {"status": {"DataType": "String", "StringValue": status}}
    coming = iter([[("first", attributes), ("upload", {})], [("second", attributes)]])
    waits: list[int] = []

    def come(params: dict[str, Any], **_: object) -> None:
        waits.append(params["WaitTimeSeconds"])
        if len(waits) == 1 or waits[-1]:
            for body, marks in next(coming, ()):
                inbox.sqs.send_message(QueueUrl=inbox.url, MessageBody=body, MessageAttributes=marks)

    inbox.sqs.meta.events.register("before-parameter-build.sqs.ReceiveMessage", come)
    inbox.worker(batch_size=2 if status == "paced" else 100, gather=1).step()
    assert inbox.bodies() == batches
    assert inbox.left == 0
    # While some are kept, the poll for the others is a long one.
    assert any(waits) == (status == "paced")


PACED = {"status": {"StringValue": "paced", "DataType": "String"}}


def came(name: str, *, receipt: str = "", paced: bool = True) -> Any:
    return {"MessageId": name, "ReceiptHandle": receipt, "MessageAttributes": PACED if paced else {}}


def test_workers_of_one_process_keep_the_jobs_of_a_turn_together_and_whoever_is_free_handles_them() -> None:
    turns = KeptTurns(window=1.0, most=3)
    first, second, upload = came("a"), came("b"), came("c", paced=False)
    assert turns.keep([first], 10.0, 90.5) == []
    assert turns.keep([second, upload], 10.5, 90.0) == [upload]
    assert turns.left(10.75) == 0.25
    assert turns.release(10.75)[0] == []
    assert turns.left(11.0) == 0.0
    # One is called away from its poll; another one only where that one has not come.
    assert [turns.is_late(now) for now in (11.0, 12.0, 12.0, 12.9, 13.0)] == [False, True, False, False, True]
    # They are surely ours until the first of them isn't.
    assert turns.release(11.0) == ([first, second], 90.0)
    assert not turns.is_late(12.0)
    # The next turn begins with its first, and is complete when there are as many as a batch may have.
    turns.keep([second], 20.0, 99.0)
    assert turns.release(20.5)[0] == []
    turns.keep([first, came("d")], 20.5, 99.5)
    assert turns.left(20.5) == 0.0
    assert [turns.is_late(now) for now in (21.4, 21.5)] == [False, True]
    assert len(turns.release(21.5)[0]) == 3


def test_what_nobody_was_free_for_in_time_is_left_to_the_queue() -> None:
    """It was given to somebody else meanwhile, or comes again, with a receipt that is good."""
    turns = KeptTurns(window=1.0, most=100)
    again = came("a", receipt="new")
    turns.keep([came("a", receipt="old"), came("b")], 10.0, 64.0)
    turns.keep([again], 70.0, 124.0)
    assert turns.left(70.0) == 1.0
    assert turns.release(71.0) == ([again], 124.0)
    turns.keep([came("b")], 130.0, 184.0)
    assert turns.release(185.0)[0] == []


def test_once_workers_are_to_end_nothing_is_kept() -> None:
    turns = KeptTurns(window=1.0, most=100)
    turns.keep([came("a")], 10.0, 64.0)
    turns.closed = True
    assert turns.keep([came("b")], 10.1, 64.0) == [came("b")]
    assert turns.release(10.1) == ([came("a")], 64.0)


def test_what_was_kept_for_a_turn_is_handled_when_the_worker_is_stopped(inbox: Inbox) -> None:
    attributes = {"status": {"DataType": "String", "StringValue": "paced"}}
    inbox.sqs.send_message(QueueUrl=inbox.url, MessageBody="kept", MessageAttributes=attributes)
    worker = inbox.worker(batch_size=100, gather=2)

    def stop(params: dict[str, Any], **_: object) -> None:
        if params["WaitTimeSeconds"]:
            worker.stop()

    inbox.sqs.meta.events.register("before-parameter-build.sqs.ReceiveMessage", stop)
    worker.run()
    assert inbox.bodies() == [["kept"]]


class Colleagues:
    """Two workers of one process: one has the jobs of a turn and a batch that lasts; the other one's poll brings none.

    Args:
        inbox: of both.
        gather: seconds, as of a worker.
    """

    def __init__(self, inbox: Inbox, gather: float) -> None:
        self.inbox = inbox
        self.go_on, self.poll_ends = threading.Event(), threading.Event()
        self._slow, self._turn, self._polling = threading.Event(), threading.Event(), threading.Event()
        inbox.sqs.send_message(QueueUrl=inbox.url, MessageBody="turn", MessageAttributes=PACED)
        inbox.send("slow")
        self.keeper = self._worker(inbox.sqs, gather)
        client = SESSION.client("sqs")
        client.meta.events.register_first("before-call.sqs.ReceiveMessage", self._poll)
        self.other = self._worker(client, gather)
        self.other.turns = self.keeper.turns
        other = in_thread(self.other)
        assert self._polling.wait(PATIENCE)
        self._threads = in_thread(self.keeper), other
        assert self._slow.wait(PATIENCE)

    def _worker(self, client: Any, gather: float) -> Worker:
        return Worker(client, self.inbox.url, self._handle, batch_size=2, wait=0, gather=gather)

    def _poll(self, **_: object) -> None:
        self._polling.set()
        self.poll_ends.wait(PATIENCE)

    def _handle(self, event: dict[str, Any], context: Any) -> None:
        self.inbox.handler(event, context)
        if self.inbox.bodies()[-1] == ["turn"]:
            self._turn.set()
        else:
            self._slow.set()
            self.go_on.wait(PATIENCE)

    def turn_came(self) -> bool:
        """Whether the turn was handled while the other batch lasts."""
        return self._turn.wait(PATIENCE / 2) and not self.go_on.is_set()

    def end(self) -> None:
        """Let all end."""
        self.go_on.set()
        for worker in (self.keeper, self.other):
            worker.stop()
        self.poll_ends.set()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def test_a_batch_that_lasts_holds_up_no_turn_that_its_worker_keeps(inbox: Inbox) -> None:
    """The other one leaves its poll for it, and what that brings then is for whoever is free."""
    workers = Colleagues(inbox, gather=0.1)
    came = workers.turn_came()
    inbox.send("late")
    workers.other.stop()
    workers.end()
    assert came
    assert inbox.bodies() == [["slow"], ["turn"]]
    until = time.monotonic() + PATIENCE
    while inbox.count("NotVisible") and time.monotonic() < until:
        time.sleep(0.01)
    assert (inbox.count(), inbox.count("NotVisible")) == (1, 0)


def test_nor_does_it_where_the_process_is_to_end(inbox: Inbox) -> None:
    workers = Colleagues(inbox, gather=50)
    for worker in (workers.keeper, workers.other):
        worker.stop()
    came = workers.turn_came()
    workers.end()
    assert came
    assert inbox.left == 0


@pytest.mark.parametrize("attributes", [PACED, {}], ids=["kept", "gathered"])
def test_a_queue_that_cannot_be_reached_holds_up_nothing_that_came_before(
    inbox: Inbox, attributes: dict[str, Any]
) -> None:
    inbox.sqs.send_message(QueueUrl=inbox.url, MessageBody="a", MessageAttributes=attributes)
    worker, polls = inbox.worker(batch_size=2, gather=1, backoff=3600), iter([False])
    handled = threading.Event()

    def fail(**_: object) -> None:
        if next(polls, True):
            raise EndpointConnectionError(endpoint_url="https://sqs.example")

    inbox.reply = lambda _: handled.set()
    inbox.on("ReceiveMessage", fail)
    thread = in_thread(worker)
    came = handled.wait(PATIENCE)
    worker.stop()
    thread.join(PATIENCE)
    assert came


def test_without_gathering_a_batch_is_one_receive(inbox: Inbox) -> None:
    inbox.send("a", "b", "c")
    worker = inbox.worker(batch_size=2)
    assert (worker.step(), worker.step(), worker.step()) == (2, 1, 0)


def test_a_message_received_twice_while_gathering_is_handled_once_with_its_latest_receipt(inbox: Inbox) -> None:
    inbox.send("a")
    receipts: list[str] = []

    def show_again(parsed: dict[str, Any], **_: object) -> None:
        receipts.extend(message["ReceiptHandle"] for message in parsed["Messages"] if message["Body"] == "a")
        if len(receipts) == 1:
            inbox.sqs.change_message_visibility(QueueUrl=inbox.url, ReceiptHandle=receipts[0], VisibilityTimeout=0)
            inbox.send("b")

    inbox.sqs.meta.events.register("after-call.sqs.ReceiveMessage", show_again)
    assert inbox.worker(batch_size=2, gather=50).step() == 2
    assert len(set(receipts)) == 2
    assert inbox.bodies() == [["a", "b"]]
    assert inbox.events[0]["Records"][0]["receiptHandle"] == receipts[1]
    assert inbox.left == 0


def test_the_handler_is_told_the_time_for_which_the_messages_are_hidden(inbox: Inbox) -> None:
    inbox.send("a", "b")
    inbox.worker(batch_size=1).step()
    inbox.worker(batch_size=1, timeout=10).step()
    assert 50_000 < inbox.remaining[0] <= 58_000
    assert 5_000 < inbox.remaining[1] <= 9_000


def test_a_visibility_timeout_that_gathering_uses_up_is_an_error(inbox: Inbox) -> None:
    inbox.sqs.set_queue_attributes(QueueUrl=inbox.url, Attributes={"VisibilityTimeout": "5"})
    inbox.send("a")
    with pytest.raises(ValueError, match="hides messages for 5 s, but gathering takes 6 s"):
        inbox.worker(gather=6).run()


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 0}, {"batch_size": 11}, {"batch_size": 10_001, "gather": 1}, {"wait": 21}, {"wait": -1},
        {"gather": 301}, {"gather": 5, "timeout": 5}, {"timeout": 43_201},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(inbox: Inbox, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be from"):
        inbox.worker(**settings)


def test_a_queue_that_cannot_be_reached_is_tried_again_later_and_later(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter(range(3))

    def fail(**_: object) -> None:
        if next(failures, None) is not None:
            raise EndpointConnectionError(endpoint_url="https://sqs.example")

    inbox.on("ReceiveMessage", fail)
    inbox.send("a")
    worker = inbox.worker()
    assert [worker.step() for _ in range(4)] == [0, 0, 0, 1]
    lines = logged(caplog, "worker-receive")
    assert [line["seconds"] for line in lines] == [0.01, 0.02, 0.04]
    assert "EndpointConnectionError" in lines[0]["reason"]
    assert inbox.left == 0


@pytest.mark.parametrize(
    "answer", [{"Messages": [{"Body": "x"}]}, {"Messages": [{}]}, {"Messages": [{"MessageId": "m"}]}]
)
def test_an_answer_that_is_none_of_sqs_ends_no_worker(
    inbox: Inbox, caplog: pytest.LogCaptureFixture, answer: dict[str, Any]
) -> None:
    answers = [(Ok, answer)]
    inbox.on("ReceiveMessage", lambda **_: answers.pop() if answers else None)
    inbox.send("a")
    worker = inbox.worker()
    assert (worker.step(), worker.step()) == (0, 1)
    assert "lack their ids" in logged(caplog, "worker-receive")[0]["reason"]


def test_a_poll_for_which_there_is_no_thread_is_tried_again(
    inbox: Inbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    inbox.send("a")
    worker = inbox.worker()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        assert worker.step() == 0
    assert "can't start new thread" in logged(caplog, "worker-receive")[0]["reason"]
    assert worker.step() == 1


def test_what_would_end_the_process_fails_the_batch_alone(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    def exit_(_: list[str]) -> None:
        raise SystemExit(1)

    inbox.reply = exit_
    inbox.send("a")
    assert inbox.worker().step() == 1
    assert logged(caplog, "worker-handler")[0]["error"] == "SystemExit: 1"
    assert inbox.left == 1


def test_after_a_success_the_first_pause_is_short_again(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    failing = iter([True, True, False, True])

    def fail(**_: object) -> None:
        if next(failing, False):
            raise EndpointConnectionError(endpoint_url="https://sqs.example")

    inbox.on("ReceiveMessage", fail)
    worker = inbox.worker()
    for _ in range(4):
        worker.step()
    assert [line["seconds"] for line in logged(caplog, "worker-receive")] == [0.01, 0.02, 0.01]


def test_a_queue_that_does_not_exist_yet_is_waited_for(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    url = inbox.url.replace("work", "later")
    worker = Worker(inbox.sqs, url, inbox.handler, wait=0, backoff=0.01)
    assert worker.step() == 0
    assert "QueueDoesNotExist" in logged(caplog, "worker-receive")[0]["reason"]
    inbox.sqs.create_queue(QueueName="later")
    inbox.sqs.send_message(QueueUrl=url, MessageBody="a")
    assert worker.step() == 1


def refuse(entries: list[dict[str, Any]], refused: set[str]) -> tuple[Ok, dict[str, Any]]:
    failed = [{"Id": each["Id"], "Code": "InternalError", "SenderFault": False} for each in entries]
    return Ok(), {
        "Failed": [entry for entry in failed if entry["Id"] in refused],
        "Successful": [{"Id": entry["Id"]} for entry in failed if entry["Id"] not in refused],
    }


def entries_of(params: dict[str, Any]) -> list[dict[str, Any]]:
    return list(json.loads(params["body"])["Entries"])


def test_deletions_go_out_in_tens_and_what_fails_of_them_is_tried_again(inbox: Inbox) -> None:
    asked: list[int] = []

    def first_time_partly(params: dict[str, Any], **_: object) -> object:
        entries = entries_of(params)
        asked.append(len(entries))
        if len(asked) > 1:
            return None
        inbox.sqs.delete_message(QueueUrl=inbox.url, ReceiptHandle=entries[0]["ReceiptHandle"])
        return refuse(entries, {entry["Id"] for entry in entries[1:]})

    inbox.send(*(str(number) for number in range(12)))
    inbox.on("DeleteMessageBatch", first_time_partly)
    assert inbox.worker(batch_size=12, gather=5).step() == 12
    assert asked == [10, 9, 2]
    assert inbox.left == 0


def test_a_deletion_that_breaks_off_is_tried_again(inbox: Inbox) -> None:
    failures = iter(range(2))

    def fail(**_: object) -> None:
        if next(failures, None) is not None:
            raise EndpointConnectionError(endpoint_url="https://sqs.example")

    inbox.send("a")
    inbox.on("DeleteMessageBatch", fail)
    inbox.worker().step()
    assert inbox.left == 0


def test_messages_that_cannot_be_deleted_are_named_and_left_to_come_back(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    inbox.send("a", "b")
    inbox.on("DeleteMessageBatch", lambda params, **_: refuse(entries_of(params), {"0", "1"}))
    worker = inbox.worker()
    assert worker.step() == 2
    assert inbox.left == 2
    (line,) = logged(caplog, "worker-delete")
    assert line["messages"] == [record["messageId"] for record in inbox.events[0]["Records"]]
    assert "InternalError" in line["reason"]


def test_stopping_does_not_wait_for_the_poll(inbox: Inbox) -> None:
    polling, over = threading.Event(), threading.Event()

    def hang(**_: object) -> object:
        polling.set()
        over.wait(PATIENCE)
        return Ok(), {}

    inbox.on("ReceiveMessage", hang)
    worker = inbox.worker()
    thread = in_thread(worker)
    assert polling.wait(PATIENCE)
    worker.stop()
    thread.join(PATIENCE / 2)
    stopped, poll_is_over = not thread.is_alive(), over.is_set()
    over.set()
    assert stopped
    assert not poll_is_over


def test_what_a_poll_brings_after_the_stop_is_given_back_unhandled(inbox: Inbox) -> None:
    polling, stopped = threading.Event(), threading.Event()

    def wait_for_the_stop(**_: object) -> None:
        polling.set()
        stopped.wait(PATIENCE)

    inbox.send("a")
    inbox.on("ReceiveMessage", wait_for_the_stop)
    worker = inbox.worker()
    thread = in_thread(worker)
    assert polling.wait(PATIENCE)
    worker.stop()
    stopped.set()
    thread.join(PATIENCE)
    assert inbox.events == []
    assert (inbox.count(), inbox.count("NotVisible")) == (1, 0)


def test_stopping_lets_the_batch_under_way_end_and_starts_no_other(inbox: Inbox) -> None:
    handling, go_on = threading.Event(), threading.Event()

    def wait(ids: list[str]) -> object:
        handling.set()
        go_on.wait(PATIENCE)
        return None

    inbox.send("a", "b")
    inbox.reply = wait
    worker = inbox.worker(batch_size=1)
    thread = in_thread(worker)
    assert handling.wait(PATIENCE)
    worker.stop()
    assert inbox.left == 2
    go_on.set()
    thread.join(PATIENCE)
    assert len(inbox.events) == 1
    assert (inbox.count(), inbox.count("NotVisible")) == (1, 0)


def test_stopping_ends_a_pause_after_an_error(inbox: Inbox) -> None:
    failed = threading.Event()

    def fail(**_: object) -> None:
        failed.set()
        raise EndpointConnectionError(endpoint_url="https://sqs.example")

    inbox.on("ReceiveMessage", fail)
    worker = inbox.worker(backoff=3600)
    thread = in_thread(worker)
    assert failed.wait(PATIENCE)
    worker.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_worker_stopped_before_it_runs_receives_nothing(inbox: Inbox) -> None:
    inbox.send("a")
    worker = inbox.worker()
    worker.stop()
    worker.run()
    assert inbox.count() == 1


def test_an_event_of_no_messages_has_no_records() -> None:
    assert sqs_event([], "arn:aws:sqs:us-east-1:123456789012:q") == {"Records": []}


PROGRAM = """
import signal, sys, threading, time
import boto3
from moto import mock_aws
from multicdn.worker.crew import Crew
from multicdn.worker.turns import KeptTurns
from multicdn.worker.worker import Worker

with mock_aws():
    sqs = boto3.client("sqs", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    url = sqs.create_queue(QueueName="work")["QueueUrl"]
    for body in ("first", "second"):
        sqs.send_message(QueueUrl=url, MessageBody=body)

    def handle(event, context):
        print("handling", flush=True)
        sys.stdin.readline()
        print("handled", flush=True)

    class Heard(Crew):
        def stop(self):
            super().stop()
            print("stopping", flush=True)

    worker = Heard([Worker(sqs, url, handle, batch_size=1)], url)
    worker.stop_on(signal.SIGTERM, signal.SIGINT)
    worker.run()
    name = "ApproximateNumberOfMessages"
    print("left", sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name], flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_batch_under_way_end_and_then_the_process(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "handling\n"
        program.send_signal(number)
        assert program.stdout.readline() == "stopping\n"
        rest, _ = program.communicate("go on\n", timeout=PATIENCE)
    assert rest == "handled\nleft 1\n"
    assert program.returncode == 0
