"""The AWS that tests and the demo run against: that it comes up, behaves, and is gone afterwards."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError

from multicdn.events import envelopes
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE, LoopbackAws, find_program
from multicdn.testing.loopback.environment import LocalEnvironment
from multicdn.testing.loopback.processes import StartError, accepts, free_port
from multicdn.testing.loopback.resources import let_bucket_send, make_public_bucket, make_queue, notify_queue
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multicdn.model import Change
    from multicdn.testing.loopback.resources import Queue

PATIENCE = 20.0
ODD_KEY = "ordner/ein bild+100%/größe 中文.jpg"


def eventually(ready: Callable[[], bool], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.02)


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def fetch(method: str, url: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=PATIENCE)
    try:
        connection.request(method, parts.path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def changes(aws: LoopbackAws, queue: Queue, count: int) -> list[Change]:
    """Read a queue with our own worker until there were so many changes."""
    read: list[Change] = []

    def handle(event: dict[str, Any], context: object) -> None:
        intake = envelopes.decode(event)
        assert intake.unreadable == ()
        read.extend(intake.changes)

    worker = Worker(aws.client("sqs"), queue.url, handle, wait=1)
    deadline = time.monotonic() + PATIENCE
    while len(read) < count and time.monotonic() < deadline:
        worker.step()
    return read


# Coming and going


def test_it_listens_on_this_machine_alone(aws: LoopbackAws) -> None:
    assert urlsplit(aws.endpoint).hostname == "127.0.0.1"
    with pytest.raises(OSError, match=r"refused|unreachable|not available"):
        socket.create_connection((_other_address(), port_of(aws.endpoint)), timeout=1)


def _other_address() -> str:
    """Another address of this machine: what is bound to every interface answers there, too."""
    return "127.0.0.2" if sys.platform == "linux" else "::1"


def test_two_of_them_run_side_by_side(aws: LoopbackAws, aws_program: Path) -> None:
    with LoopbackAws(aws_program) as other:
        other.client("s3").create_bucket(Bucket="only-there")
        assert aws.endpoint != other.endpoint
        assert aws.client("s3").list_buckets()["Buckets"] == []


def test_nothing_of_it_is_left_after_the_with_statement(aws_program: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with LoopbackAws(aws_program) as aws:
        port = port_of(aws.endpoint)
        (folder,) = tmp_path.iterdir()
    assert not folder.exists()
    assert not accepts(port)


PROGRAM = """
import io, sys, time, zipfile
from multicdn.testing.loopback.aws import LoopbackAws
with LoopbackAws(sys.argv[1], auth=False) as aws:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as package:
        package.writestr("app.py", "import os\\ndef handler(event, context): return os.getpid()")
    functions = aws.client("lambda")
    functions.create_function(
        FunctionName="f", Runtime="python3.13", Handler="app.handler", Role="arn:aws:iam::123456789012:role/r",
        Code={"ZipFile": code.getvalue()},
    )
    print(aws.endpoint, functions.invoke(FunctionName="f")["Payload"].read().decode(), flush=True)
    time.sleep(60)
"""


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about doesn't."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_process_that_started_it(aws_program: Path, tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(aws_program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as program:
        assert program.stdout is not None
        endpoint, worker = program.stdout.readline().split()
        assert accepts(port_of(endpoint))
        assert runs(int(worker))
        program.send_signal(number)
    eventually(lambda: not accepts(port_of(endpoint)), "the server outlived its owner")
    eventually(lambda: not runs(int(worker)), "a function's process outlived its owner")
    eventually(lambda: not list(tmp_path.iterdir()), "its files outlived their owner")


def test_a_missing_simulator_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing-here.*make aws-sim.*MULTICDN_AWS_SIM"):
        LoopbackAws(tmp_path / "nothing-here").__enter__()


def test_a_simulator_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    program = tmp_path / "broken"
    program.write_text("#!/bin/sh\necho cannot find my head >&2\nexit 3\n", encoding="utf-8")
    program.chmod(0o755)
    with pytest.raises(StartError, match=r"broken ended with status 3; it wrote:\ncannot find my head"):
        LoopbackAws(program).__enter__()


def test_the_simulator_is_looked_for_in_the_argument_the_environment_and_the_folder(monkeypatch: Any) -> None:
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    assert find_program().parts[-3:] == (".aws-sim", "bin", "ministack")
    monkeypatch.setenv(PROGRAM_VARIABLE, "/opt/ministack")
    assert str(find_program()) == "/opt/ministack"
    assert str(find_program("/usr/bin/ministack")) == "/usr/bin/ministack"


def test_a_port_taken_in_the_meantime_is_given_up_for_another(aws_program: Path, monkeypatch: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr("multicdn.testing.loopback.aws.free_port", lambda: next(ports))
        with LoopbackAws(aws_program) as aws:
            assert port_of(aws.endpoint) != taken.getsockname()[1]


# What SDKs see


def test_its_environment_turns_a_plain_sdk_to_it(aws: LoopbackAws, monkeypatch: Any) -> None:
    for name, value in {**aws.environment(), "HTTP_PROXY": "http://127.0.0.1:1"}.items():
        monkeypatch.setenv(name, value)
    session = boto3.session.Session()
    assert session.client("sts").get_caller_identity()["Account"] == aws.account
    session.client("s3").create_bucket(Bucket="from-the-environment")
    assert [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]] == ["from-the-environment"]


def test_reset_deletes_everything(aws: LoopbackAws) -> None:
    aws.client("s3").create_bucket(Bucket="something")
    make_queue(aws, "something")
    aws.reset()
    assert aws.client("s3").list_buckets()["Buckets"] == []
    assert aws.client("sqs").list_queues().get("QueueUrls", []) == []


def list_buckets_as_user(aws: LoopbackAws, *, secret: str | None = None, policy: dict[str, str] | None = None) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="robot")
    if policy:
        document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **policy}]})
        iam.put_user_policy(UserName="robot", PolicyName="rights", PolicyDocument=document)
    key = iam.create_access_key(UserName="robot")["AccessKey"]
    session = boto3.session.Session(key["AccessKeyId"], secret or key["SecretAccessKey"], region_name=aws.region)
    session.client("s3", endpoint_url=aws.endpoint).list_buckets()


def test_a_wrong_signature_is_refused(aws: LoopbackAws) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        list_buckets_as_user(aws, secret="not-the-secret")


def test_a_user_may_do_what_its_policy_says_and_nothing_else(aws: LoopbackAws) -> None:
    list_buckets_as_user(aws, policy={"Action": "s3:ListAllMyBuckets", "Resource": "*"})
    aws.reset()
    with pytest.raises(ClientError, match="AccessDenied"):
        list_buckets_as_user(aws, policy={"Action": "s3:GetObject", "Resource": "*"})


def test_without_auth_neither_signatures_nor_policies_matter(aws_program: Path) -> None:
    with LoopbackAws(aws_program, auth=False) as aws:
        list_buckets_as_user(aws, secret="not-the-secret")


# Buckets and queues


def test_anybody_reads_a_public_bucket_and_nobody_writes_it(aws: LoopbackAws) -> None:
    base = make_public_bucket(aws, "acme-site")
    aws.client("s3").put_object(Bucket="acme-site", Key=ODD_KEY, Body=b"bytes")
    assert fetch("GET", f"{base}/{quote(ODD_KEY)}") == (http.client.OK, b"bytes")
    assert fetch("PUT", f"{base}/{quote(ODD_KEY)}")[0] == http.client.FORBIDDEN
    assert fetch("DELETE", f"{base}/{quote(ODD_KEY)}")[0] == http.client.FORBIDDEN
    assert fetch("GET", base)[0] == http.client.FORBIDDEN


def test_other_buckets_are_private(aws: LoopbackAws) -> None:
    aws.client("s3").create_bucket(Bucket="private")
    aws.client("s3").put_object(Bucket="private", Key="a", Body=b"")
    assert fetch("GET", f"{aws.endpoint}/private/a")[0] == http.client.FORBIDDEN


def test_a_bucket_tells_its_queue_what_changed(aws: LoopbackAws) -> None:
    s3, queue = aws.client("s3"), make_queue(aws, "work")
    make_public_bucket(aws, "acme-site")
    notify_queue(aws, "acme-site", queue)
    s3.put_object(Bucket="acme-site", Key=ODD_KEY, Body=b"1")
    s3.put_object(Bucket="acme-site", Key="plain.txt", Body=b"1")
    s3.delete_object(Bucket="acme-site", Key=ODD_KEY)
    read = changes(aws, queue, 3)
    assert [(change.key, change.kind.value) for change in sorted(read, key=lambda change: change.sequencer)] == [
        (ODD_KEY, "created"),
        ("plain.txt", "created"),
        (ODD_KEY, "removed"),
    ]
    assert {change.bucket for change in read} == {"acme-site"}
    assert all(change.cause for change in read)


def test_only_the_wanted_events_and_keys_are_told(aws: LoopbackAws) -> None:
    s3, queue = aws.client("s3"), make_queue(aws, "work")
    make_public_bucket(aws, "acme-site")
    notify_queue(aws, "acme-site", queue, events=["s3:ObjectRemoved:*"], prefix="img/", suffix=".png")
    for key in ("img/a.png", "img/a.txt", "doc/a.png"):
        s3.put_object(Bucket="acme-site", Key=key, Body=b"1")
        s3.delete_object(Bucket="acme-site", Key=key)
    s3.put_object(Bucket="acme-site", Key="img/last.png", Body=b"1")
    s3.delete_object(Bucket="acme-site", Key="img/last.png")
    assert {change.key for change in changes(aws, queue, 2)} == {"img/a.png", "img/last.png"}


def test_a_versioned_bucket_tells_of_delete_markers(aws: LoopbackAws) -> None:
    s3, queue = aws.client("s3"), make_queue(aws, "work")
    make_public_bucket(aws, "acme-site", versioned=True)
    notify_queue(aws, "acme-site", queue, events=["s3:ObjectRemoved:DeleteMarkerCreated"])
    s3.put_object(Bucket="acme-site", Key="a", Body=b"1")
    marker = s3.delete_object(Bucket="acme-site", Key="a")["VersionId"]
    (change,) = changes(aws, queue, 1)
    assert (change.kind.value, change.version) == ("removed", marker)


def test_a_queue_that_forbids_it_is_refused_as_a_target(aws: LoopbackAws) -> None:
    queue = make_queue(aws, "work")
    aws.client("s3").create_bucket(Bucket="acme-site")
    aws.client("s3").create_bucket(Bucket="another")
    let_bucket_send(aws, "another", queue)
    entry = {"QueueArn": queue.arn, "Events": ["s3:ObjectCreated:*"]}
    with pytest.raises(ClientError, match="Unable to validate"):
        aws.client("s3").put_bucket_notification_configuration(
            Bucket="acme-site", NotificationConfiguration={"QueueConfigurations": [entry]}
        )


def test_a_message_that_keeps_failing_ends_in_the_dead_letter_queue(aws: LoopbackAws) -> None:
    sqs, queue = aws.client("sqs"), make_queue(aws, "work", visibility=30, receives=2)
    sqs.send_message(QueueUrl=queue.url, MessageBody="poison")
    given: list[str] = []

    def fail(event: dict[str, Any], context: object) -> dict[str, Any]:
        (record,) = event["Records"]
        given.append(record["attributes"]["ApproximateReceiveCount"])
        receipt = record["receiptHandle"]
        sqs.change_message_visibility(QueueUrl=queue.url, ReceiptHandle=receipt, VisibilityTimeout=0)
        return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}

    worker = Worker(sqs, queue.url, fail, wait=0)
    assert [worker.step() for _ in range(3)] == [1, 1, 0]
    assert given == ["1", "2"]
    (dead,) = sqs.receive_message(QueueUrl=queue.dead_letter_url, WaitTimeSeconds=1)["Messages"]
    assert dead["Body"] == "poison"


# The worker as its own process


def start_worker(aws: LoopbackAws, queue: Queue, folder: Path) -> subprocess.Popen[str]:
    """``multicdn worker`` on a queue, with a config that purges at a port where nobody listens."""
    config = {
        "version": "1",
        "providers": {
            "edge": {"type": "fastly", "token": "${env:TOKEN}", "service": "abc", "endpoint": "http://127.0.0.1:9"}
        },
        "routes": [{"bucket": "acme-site", "urls": ["https://www.acme.example/{key}"], "purge": ["edge"]}],
    }
    path = folder / "multicdn.config.yml"
    path.write_text(json.dumps(config), encoding="utf-8")
    environment = {**os.environ, **aws.environment(), "MULTICDN_CONFIG": str(path), "TOKEN": "loopback-token"}
    return subprocess.Popen(
        [sys.executable, "-m", "multicdn", "worker", "--queue", queue.url],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def test_the_worker_command_stops_on_sigterm_while_it_waits(aws: LoopbackAws, tmp_path: Path) -> None:
    queue = make_queue(aws, "work")
    with start_worker(aws, queue, tmp_path) as program:
        assert program.stderr is not None
        assert json.loads(program.stderr.readline())["event"] == "worker-started"
        program.send_signal(signal.SIGTERM)
        _, written = program.communicate(timeout=PATIENCE / 2)
    assert program.returncode == 0
    assert json.loads(written.splitlines()[-1])["event"] == "worker-stopped"


def test_the_worker_command_deletes_a_test_event_and_leaves_what_it_cannot_read(
    aws: LoopbackAws, tmp_path: Path
) -> None:
    queue = make_queue(aws, "work")
    aws.client("s3").create_bucket(Bucket="acme-site")
    notify_queue(aws, "acme-site", queue)
    aws.client("sqs").send_message(QueueUrl=queue.url, MessageBody="no event")
    handled = {"messages": 0, "failed": 0}
    with start_worker(aws, queue, tmp_path) as program:
        assert program.stderr is not None
        while handled["messages"] < 2 and (line := program.stderr.readline()):
            seen = json.loads(line)
            if seen["event"] == "worker-batch":
                handled = {name: handled[name] + seen[name] for name in handled}
        program.send_signal(signal.SIGTERM)
        program.communicate(timeout=PATIENCE / 2)
    assert handled == {"messages": 2, "failed": 1}
    assert program.returncode == 0
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    left = aws.client("sqs").get_queue_attributes(QueueUrl=queue.url, AttributeNames=names)["Attributes"]
    assert left == {names[0]: "0", names[1]: "1"}


def test_two_buckets_may_tell_one_queue(aws: LoopbackAws) -> None:
    queue = make_queue(aws, "both")
    for name in ("first-site", "second-site"):
        make_public_bucket(aws, name)
        notify_queue(aws, name, queue)
    for name in ("first-site", "second-site"):
        aws.client("s3").put_object(Bucket=name, Key="a.css", Body=b"")
    assert {change.bucket for change in changes(aws, queue, 2)} == {"first-site", "second-site"}


def test_a_route_of_several_buckets_has_them_all(tmp_path: Path) -> None:
    config = tmp_path / "c.yml"
    config.write_text("providers: {}\nroutes: [{bucket: [a-b, c-d]}, {bucket: a-b}]\n", encoding="utf-8")
    assert LocalEnvironment(config).buckets == ["a-b", "c-d"]
