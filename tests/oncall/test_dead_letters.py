"""``multicdn dlq`` against the SQS of the AWS on loopback: nothing is lost on the way there and back."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from kit.queues import SITE, Line, Queues, purged, s3_event

from multicdn.cli import main
from multicdn.model import Action, Job, Outcome, Report, Status, TargetKind
from multicdn.oncall import letters, message_queue
from multicdn.oncall.letters import NOBODY
from multicdn.oncall.ways_back import ToFunction
from multicdn.queue import sender
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.simulators import Origin
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.resources import make_queue
from multicdn.testing.recording import RecordingVendor, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result

    from multicdn.testing.loopback.aws import LoopbackAws

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{endpoint}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:WWW_TOKEN}}"}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [www]}}
"""


@pytest.fixture
def queues(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> Queues:
    # This SQS is one server: its first empty answer is the truth, without a long poll.
    monkeypatch.setattr(message_queue, "_WAIT", 0)
    found = Queues(aws.client("sqs"))
    addresses = {sender.QUEUE: found.url, sender.DEAD_LETTERS: found.dlq}
    for name, value in {**aws.environment(), **addresses}.items():
        monkeypatch.setenv(name, value)
    return found


@pytest.fixture
def cdn(monkeypatch: pytest.MonkeyPatch) -> Iterator[FastlySimulator]:
    with Origin() as origin, FastlySimulator(origin.url) as running:
        monkeypatch.setenv("WWW_TOKEN", running.token)
        yield running


def dlq(*arguments: str, answer: str = "", code: int = 0) -> str:
    """Run the command, and return what it printed."""
    result: Result = CliRunner().invoke(main, ["dlq", *arguments], input=answer)
    assert result.exit_code == code, result.output
    return result.output


def bury(queues: Queues, *jobs: tuple[str, str, str]) -> None:
    """Put jobs into the dead-letter queue, each a provider, a URL and a reason."""
    outcomes = [
        Outcome(
            Job(provider, Action.PURGE, TargetKind.URL, (url, f"{url}?"), (frozenset(("m1",)),) * 2, reference="ref"),
            Status.REJECTED,
            reason,
        )
        for provider, url, reason in jobs
    ]
    history = MessageHistory({"m1": 1_700_000_000.0}, {"m1": 7}, {"m1": ("m0",)})
    decisions = decide(Report(tuple(outcomes)), history, RetryPolicy(), 1_800_000_000.0)
    assert queues.retry_queue().carry_out(decisions) == []


# Listing


def test_an_empty_queue_says_so(queues: Queues) -> None:
    assert dlq("list") == "0 dead letters\n"


def test_dead_letters_are_listed_by_provider_and_reason_and_stay(queues: Queues) -> None:
    bury(
        queues,
        ("www", "https://a/1", "401: bad token"),
        ("img", "https://a/2", "400: no such host"),
        ("www", "https://a/3", "401: bad token"),
        ("www", "https://a/4", "503: busy"),
    )
    expected = (
        "img: 1 dead letter, 2 targets: 400: no such host\n"
        "    asked for AGO, tried 8 times\n    ID  https://a/2 and 1 more\n"
        "www: 2 dead letters, 4 targets: 401: bad token\n    the oldest asked for AGO, tried 8 times\n"
        "    ID  https://a/1 and 1 more\n    ID  https://a/3 and 1 more\n"
        "www: 1 dead letter, 2 targets: 503: busy\n    asked for AGO, tried 8 times\n    ID  https://a/4 and 1 more\n"
        "4 dead letters\n"
    )
    for _ in range(2):
        said = re.sub(r"for [\d,]+ days( \d+ h)? ago", "for AGO", dlq("list"))
        lines = re.sub(r"(?m)^    [0-9a-f]{8}  ", "    ID  ", said).splitlines()
        # In which order a group's messages are shown depends on SQS.
        assert sorted(lines) == sorted(expected.splitlines())
        assert queues.shown(queues.dlq) == 4


def test_one_provider_is_listed_alone_with_the_parts_that_it_was_found_to_stand_for(queues: Queues) -> None:
    bury(queues, ("site/E1", "/a", "404"), ("site/E2", "/b", "404"), ("www", "https://a/1", "503"))
    said = dlq("list", "--provider", "site")
    assert said.startswith("site: 2 dead letters, 4 targets: 404\n")
    assert said.endswith("2 dead letters\n")


def test_more_than_one_receive_is_listed(queues: Queues) -> None:
    bury(queues, *(("www", f"https://a/{n}", "503") for n in range(37)))
    assert dlq("list").endswith("\n37 dead letters\n")
    assert queues.shown(queues.dlq) == 37


# Sending back


def test_jobs_go_back_as_if_they_were_new(queues: Queues) -> None:
    bury(queues, ("www", "https://a/1", "503"), ("img", "https://a/2", "503"))
    assert dlq("redrive", "--yes") == "2 sent back\n"
    assert queues.left(queues.dlq) == 0
    bodies = queues.bodies()
    assert {body["provider"] for body in bodies} == {"www", "img"}
    for body in bodies:
        assert (body["attempt"], body["reference"], body["origins"]) == (0, "ref", ["m0"])
        assert body["since"] > 1_750_000_000


def test_only_the_jobs_of_one_provider_go_back_and_the_others_can_be_seen(queues: Queues) -> None:
    bury(queues, *((provider, f"https://a/{n}", "503") for n in range(12) for provider in ("www", "img", "www/E1")))
    assert dlq("redrive", "--yes", "--provider", "www") == "24 sent back\n"
    assert Counter(body["provider"] for body in queues.bodies()) == {"www": 12, "www/E1": 12}
    assert (queues.left(queues.dlq), queues.shown(queues.dlq)) == (12, 12)


def test_messages_of_s3_that_the_redrive_policy_moved_are_listed_and_go_back_as_they_were(
    aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs, made = aws.client("sqs"), make_queue(aws, "policy", receives=1)
    for name, value in {
        **aws.environment(),
        sender.QUEUE: made.url,
        sender.DEAD_LETTERS: made.dead_letter_url,
    }.items():
        monkeypatch.setenv(name, value)
    event = json.dumps(s3_event("a.css"))
    sqs.send_message(QueueUrl=made.url, MessageBody=event)
    [message] = sqs.receive_message(QueueUrl=made.url)["Messages"]
    sqs.change_message_visibility(QueueUrl=made.url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert sqs.receive_message(QueueUrl=made.url).get("Messages", []) == []  # it was received too often

    said = dlq("list")
    assert said.startswith(f"{NOBODY}: 1 dead letter, 1 target: received too often")
    assert said.splitlines()[2].endswith("  s3://acme-site/a.css")
    assert dlq("redrive", "--yes", "--provider", "www") == "0 sent back\n"
    assert dlq("redrive", "--yes", "--provider", NOBODY) == "1 sent back\n"
    [message] = sqs.receive_message(QueueUrl=made.url)["Messages"]
    assert message["Body"] == event


@pytest.mark.parametrize("body", ["no JSON", "[1]", "[" * 9999, '{"multicdn": 9}', '{"multicdn": 1, "provider": 3}'])
def test_what_nobody_can_read_is_shown_and_goes_back_as_it_was(queues: Queues, body: str) -> None:
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody=body)
    assert dlq("list").startswith(NOBODY)
    assert dlq("redrive", "--yes") == "1 sent back\n"
    [message] = queues.sqs.receive_message(QueueUrl=queues.url)["Messages"]
    assert message["Body"] == body


@pytest.mark.parametrize("command", [["redrive", "--yes"], ["drop", "--yes"]])
@pytest.mark.parametrize("operation", ["SendMessage", "DeleteMessageBatch"])
def test_an_error_halfway_loses_nothing(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, command: list[str], operation: str
) -> None:
    """What was sent back before is in the queue, and all else is among the dead letters, for anybody to see."""
    bury(queues, *(("www", f"https://a/{n}", "503") for n in range(14)))
    successes = 5 if operation == "SendMessage" or command[0] == "redrive" else 1
    with monkeypatch.context() as patch:
        fail_after(patch, operation, successes, denied(operation))
        said = dlq(*command, code=1 if operation == "DeleteMessageBatch" or command[0] == "redrive" else 0)
    fails = operation == "DeleteMessageBatch" or command[0] == "redrive"
    assert ("Error: " in said) is fails
    assert "Traceback" not in said
    back = {body["targets"][0] for body in queues.bodies()}
    left = {body["targets"][0] for body in queues.bodies(queues.dlq)}
    dropped = {"redrive": 0, "drop": 10 if fails else 14}[command[0]]
    assert len(back | left) == 14 - dropped
    assert queues.left(queues.dlq) == len(left)


def fail_after(monkeypatch: pytest.MonkeyPatch, operation: str, successes: int, error: BaseException) -> None:
    """Let an operation of SQS fail after some that it did."""
    from botocore.client import BaseClient

    call, made = BaseClient._make_api_call, []

    def counted(client: Any, name: str, parameters: Any) -> Any:
        if name == operation:
            made.append(name)
            if len(made) > successes:
                raise error
        return call(client, name, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", counted)


def denied(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "not any more"}}, operation)


def test_a_message_that_sqs_does_not_delete_is_reported_and_stays(
    queues: Queues, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.client import BaseClient

    call = BaseClient._make_api_call

    def keep(client: Any, name: str, parameters: Any) -> Any:
        if name != "DeleteMessageBatch":
            return call(client, name, parameters)
        failed = [{"Id": "0", "Code": "InternalError", "Message": "try again", "SenderFault": False}]
        return {"Failed": failed, "Successful": []}

    bury(queues, ("www", "https://a/1", "503"))
    monkeypatch.setattr(BaseClient, "_make_api_call", keep)
    assert "try again" in dlq("redrive", "--yes", code=1)
    assert (queues.left(), queues.left(queues.dlq)) == (1, 1)  # twice, and not lost


# Sending back to a function without a queue


CODE = """
import json, os, urllib.request

def handler(event, context):
    if "broken" in json.dumps(event):
        raise RuntimeError("no such luck")
    urllib.request.urlopen(os.environ["SEEN"], data=json.dumps(event).encode()).close()
"""


@pytest.fixture
def seen() -> Iterator[RecordingVendor]:
    """What the function was invoked with."""
    with RecordingVendor(Response(200, {}, b"")) as running:
        yield running


@pytest.fixture
def function(aws: LoopbackAws, queues: Queues, seen: RecordingVendor) -> str:
    """ARN of a function whose failures go to the dead-letter queue, as with ``trigger: direct``."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", CODE)
    principal = {"Service": "lambda.amazonaws.com"}
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    role = aws.client("iam").create_role(
        RoleName="purger", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    functions = aws.client("lambda")
    arn: str = functions.create_function(
        FunctionName="purger",
        Runtime="python3.13",
        Handler="app.handler",
        Role=role["Role"]["Arn"],
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"SEEN": seen.endpoint}},
    )["FunctionArn"]
    functions.put_function_event_invoke_config(
        FunctionName="purger",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:sqs:{aws.region}:{aws.account}:work-dlq"}},
    )
    return arn


def eventually(ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + 20.0
    while not ready():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def given_up(event: dict[str, Any]) -> str:
    """What Lambda puts into the destination for failures: docs.aws.amazon.com, invocation-async-retain-records.html."""
    return json.dumps({
        "version": "1.0",
        "timestamp": "2026-11-25T19:05:00.000Z",
        "requestContext": {"requestId": "e4b4", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": "Undelivered", "errorMessage": "www: purge of https://a/1: retry: 503"},
    })  # fmt: skip


def test_events_that_lambda_gave_up_go_back_to_the_function(
    queues: Queues, function: str, seen: RecordingVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sender.QUEUE)
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody=given_up(s3_event("a.css")))
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody=json.dumps(s3_event("b.css")))
    assert dlq("redrive", "--yes", "--function", function) == "2 sent back\n"
    eventually(lambda: len(seen.calls) == 2, "the function was not invoked twice")
    expected = [s3_event("a.css"), s3_event("b.css")]
    assert sorted((json.loads(call.body) for call in seen.calls), key=str) == expected
    assert queues.left(queues.dlq) == 0


@pytest.mark.parametrize(
    "way",
    [
        lambda record: record,
        lambda record: {"Type": "Notification", "Message": json.dumps(record)},
        lambda record: {
            "source": "lambda",
            "detail-type": "Lambda Function Invocation Result - Failure",
            "detail": record,
        },
    ],
    ids=["SQS", "SNS", "EventBridge"],
)
def test_reason_and_event_of_what_lambda_gave_up_are_found_whichever_way_it_came(way: Callable[[Any], Any]) -> None:
    body = json.dumps(way(json.loads(given_up(s3_event("a.css")))))
    letter = letters.read({"MessageId": "m", "ReceiptHandle": "r", "Body": body}, "")
    assert (letter.provider, letter.reason) == (
        NOBODY,
        "RetriesExhausted: www: purge of https://a/1: retry: 503",
    )
    [again] = ToFunction(None, "purger").bodies(letter)
    assert json.loads(again) == s3_event("a.css")


@pytest.mark.parametrize(
    "body", ["", "no JSON", "[]", "[" * 9999, "{}", '{"Type": "Notification", "Message": "x"}', '{"source": "lambda"}']
)
def test_what_lambda_did_not_write_has_no_reason_of_lambda(body: str) -> None:
    assert letters._reason_of_lambda(body) == ""


def test_objects_of_an_event_that_lambda_gave_up_are_shown() -> None:
    event = s3_event("issue+12.jpg")
    event["Records"] *= 2
    letter = {"MessageId": "m", "ReceiptHandle": "r", "Body": given_up(event)}
    assert letters.read(letter, "").targets == ("s3://acme-site/issue 12.jpg",)


def test_an_event_that_fails_again_is_a_dead_letter_again(queues: Queues, function: str) -> None:
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody=given_up(s3_event("broken.css")))
    assert dlq("redrive", "--yes", "--function", function) == "1 sent back\n"
    eventually(lambda: queues.left(queues.dlq) == 1, "it did not come back")
    assert "no such luck" in dlq("list")
    [body] = queues.bodies(queues.dlq)
    assert body["requestPayload"] == s3_event("broken.css")


def test_what_a_function_takes_from_its_queue_alone_stays(queues: Queues, function: str, seen: RecordingVendor) -> None:
    bury(queues, ("www", "https://a/1", "503"))
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody="no JSON")
    said = dlq("redrive", "--yes", "--function", function)
    assert said.startswith("2 stay: jobs, which the function takes from its queue alone")
    assert said.endswith("\n0 sent back\n")
    assert queues.shown(queues.dlq) == 2
    assert seen.calls == []


def test_a_function_that_is_not_there_is_said_and_nothing_is_lost(queues: Queues) -> None:
    queues.sqs.send_message(QueueUrl=queues.dlq, MessageBody=given_up(s3_event("a.css")))
    said = dlq("redrive", "--yes", "--function", "purger", code=1)
    assert said.startswith("Error: ")
    assert "ResourceNotFoundException" in said
    assert queues.shown(queues.dlq) == 1


@pytest.mark.parametrize(
    ("arguments", "code"), [([], 1), (["--function", "purger", "--queue", "https://sqs/1/work"], 2)]
)
def test_sending_back_needs_one_way(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.delenv(sender.QUEUE)
    assert "--queue URL (or MULTICDN_QUEUE_URL), or --function NAME" in dlq("redrive", "--yes", *arguments, code=code)


# Dropping


@pytest.mark.parametrize(
    ("answer", "arguments", "left"), [("y\n", [], 3), ("", [], 3), ("4\n", [], 3), ("3\n", [], 0), ("", ["--yes"], 0)]
)
def test_dropping_asks_first(queues: Queues, answer: str, arguments: list[str], left: int) -> None:
    bury(queues, *(("www", f"https://a/{n}", "503") for n in range(3)))
    said = dlq("drop", *arguments, answer=answer, code=1 if left else 0)
    assert ("Drop for good: 3 dead letters. Type 3 to go on" in said) is not bool(arguments)
    assert (queues.left(queues.dlq), queues.shown(queues.dlq), queues.left()) == (left, left, 0)


def test_only_the_dead_letters_of_one_provider_are_dropped(queues: Queues) -> None:
    bury(queues, *((provider, f"https://a/{n}", "503") for n in range(12) for provider in ("www", "img")))
    assert dlq("drop", "--provider", "img", "--yes") == "12 dropped\n"
    assert {body["provider"] for body in queues.bodies(queues.dlq)} == {"www"}


def test_with_nothing_to_drop_nobody_is_asked(queues: Queues) -> None:
    assert dlq("drop") == "0 dropped\n"


# Both ends


@pytest.mark.parametrize("command", ["list", "redrive", "drop"])
def test_a_queue_that_does_not_exist_is_said_in_a_sentence(queues: Queues, command: str) -> None:
    said = dlq(command, "--dlq", queues.dlq + "-gone", code=1)
    assert said.startswith("Error: ")
    assert "Traceback" not in said


def test_without_the_queues_address_the_command_says_what_it_needs(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(sender.DEAD_LETTERS)
    monkeypatch.chdir(tmp_path)
    said = "say which queue: --dlq URL or MULTICDN_DLQ_URL, or --stack NAME, or --config FILE"
    assert said in dlq("list", code=2)
    assert "there is no stack 'web' in us-east-1; name it" in dlq("list", "--stack", "web", code=1)


@pytest.fixture
def fault(cdn: FastlySimulator) -> Callable[[int], None]:
    return lambda code: cdn.faults.always(faults.status(code, {}, '{"msg": "wrong"}'))


def test_a_job_that_is_given_up_and_listed_and_sent_back_is_delivered(
    queues: Queues, cdn: FastlySimulator, fault: Callable[[int], None]
) -> None:
    line = Line(queues, CONFIG.format(endpoint=cdn.endpoint))
    fault(400)
    queues.upload("a.css", "b.css")
    assert line.step() == []
    assert queues.left() == 0
    said = dlq("list")
    assert said.startswith("www: 1 dead letter, 2 targets: POST ")
    assert "400: wrong" in said
    assert re.search(rf"  {SITE}/[ab].css and 1 more\n", said)
    cdn.faults.clear()
    assert dlq("redrive", "--yes") == "1 sent back\n"
    assert line.step() == []
    assert sorted(purged(cdn)) == ["a.css", "b.css"]
    assert (queues.left(), queues.left(queues.dlq)) == (0, 0)


def test_what_is_sent_back_too_early_is_given_up_again_with_its_reason(
    queues: Queues, cdn: FastlySimulator, fault: Callable[[int], None]
) -> None:
    line = Line(queues, CONFIG.format(endpoint=cdn.endpoint))
    fault(400)
    queues.upload("a.css")
    line.step()
    dlq("redrive", "--yes")
    line.step()
    assert (queues.left(), queues.left(queues.dlq)) == (0, 1)
    assert "400: wrong" in dlq("list")
