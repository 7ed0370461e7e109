"""Each command obeys the settings: where the config is, region, profile, and the stack that has the queues."""

from __future__ import annotations

import functools
import json
import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner
from kit import aws_answers

from multicdn.cli import aws_region, main
from multicdn.oncall import message_queue

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [www]}
install: {stack: web, region: eu-west-1}
"""
PLAIN = CONFIG.replace("install: {stack: web, region: eu-west-1}\n", "")
HOST = "https://sqs.eu-central-1.amazonaws.com/123456789012"
OUTPUTS = {"QueueUrl": f"{HOST}/work", "DeadLetterQueueUrl": f"{HOST}/dead"}
NOTHING: dict[str, Any] = {"ReceiveMessage": {}, "GetQueueAttributes": {}, "SendMessageBatch": lambda body: {
    "Successful": [{"Id": entry["Id"], "MessageId": "m"} for entry in body["Entries"]]}}  # fmt: skip


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(message_queue, "_WAIT", 0)
    monkeypatch.chdir(tmp_path)
    for name in ("MULTICDN_CONFIG", "MULTICDN_QUEUE_URL", "MULTICDN_DLQ_URL"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str, code: int = 0, **environment: str) -> str:
    result = CliRunner(env=environment).invoke(main, arguments)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.output


COMMANDS = [
    ("config", "check"),
    ("demo",),
    ("explain", "s3://acme-site/a"),
    ("purge", "s3://acme-site/a", "--dry-run"),
    ("preload", "s3://acme-site/a", "--dry-run"),
    ("worker", "--queue", f"{HOST}/work"),
    ("install", "plan"),
    ("install", "apply"),
    ("install", "template"),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_each_command_reads_the_config_that_the_environment_names(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fault shows that it was read."""
    monkeypatch.setattr("multicdn.handler._dispatcher", None)
    (tmp_path / "other.yml").write_text("version: 7\n", encoding="utf-8")
    said = run(*arguments, code=1, MULTICDN_CONFIG="other.yml")
    assert "other.yml:1: version: write `version: 1`" in said


@pytest.mark.parametrize("arguments", [("install", "status"), ("dlq", "list")], ids=" ".join)
def test_commands_that_look_only_take_its_stack_and_region(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.yml").write_text(CONFIG, encoding="utf-8")
    aws = aws_answers.installed(monkeypatch, aws_answers.no_stack("web"))
    assert "web" in run(*arguments, code=1, MULTICDN_CONFIG="other.yml")
    assert set(aws.asked) == {("GetCallerIdentity", "eu-west-1"), ("DescribeStacks", "eu-west-1")}


def test_a_config_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    said = run("install", "plan", code=1, MULTICDN_CONFIG="gone.yml")
    assert "gone.yml: no such file; set MULTICDN_CONFIG to the path of yours, or write one with `multicdn init`" in said


DLQ, PURGE = ("dlq", "list"), ("purge", "s3://acme-site/a", "--stack", "web")
BOTH = {"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-south-1"}


@pytest.mark.parametrize(
    ("command", "config", "environment", "region"),
    [
        (DLQ, PLAIN, {"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        (DLQ, PLAIN, BOTH, "eu-north-1"),
        (DLQ, CONFIG, BOTH, "eu-west-1"),
        ((*DLQ, "--region", "us-west-2"), CONFIG, BOTH, "us-west-2"),
        (PURGE, PLAIN, BOTH, "eu-north-1"),
        ((*PURGE, "--region", "us-west-2"), CONFIG, BOTH, "us-west-2"),
    ],
)
def test_the_region_is_that_of_the_option_or_the_config_or_the_environment(
    command: tuple[str, ...],
    config: str,
    environment: dict[str, str],
    region: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(config, encoding="utf-8")
    aws = aws_answers.installed(monkeypatch, {**aws_answers.no_stack("web"), **NOTHING})
    run(*command, code=1, **environment)
    assert {where for _, where in aws.asked} == {region}


@pytest.mark.parametrize(("options", "region"), [((), "eu-west-1"), (("--region", "us-west-2"), "us-west-2")])
def test_secrets_and_buckets_are_asked_for_in_it_too(
    options: tuple[str, ...], region: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG.replace("env:WWW_TOKEN", "ssm:/token"), encoding="utf-8")
    aws = aws_answers.installed(monkeypatch, {"GetParameter": {"Parameter": {"Value": ""}}})
    said = run("purge", "s3://acme-site/a", *options, code=1, AWS_REGION="eu-north-1")
    assert "${ssm:/token} is empty" in said
    assert set(aws.asked) == {("GetParameter", region)}


def test_the_environment_is_as_it_was_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with aws_region.obeyed():
        assert os.environ["AWS_DEFAULT_REGION"] == "eu-north-1"
        aws_region.use("us-west-2")
        assert (os.environ["AWS_REGION"], os.environ["AWS_DEFAULT_REGION"]) == ("us-west-2", "us-west-2")
    assert os.environ["AWS_REGION"] == "eu-north-1"
    assert "AWS_DEFAULT_REGION" not in os.environ


@pytest.mark.parametrize(
    "command",
    [
        ("install", "status"),
        ("dlq", "list", "--dlq", f"{HOST}/dead"),
        ("dlq", "redrive", "--dlq", f"{HOST}/dead", "--queue", f"{HOST}/work"),
        ("purge", "s3://acme-site/", "--recursive"),
        ("purge", "s3://acme-site/a", "--queue", f"{HOST}/work"),
        ("config", "check", "--online"),
    ],
    ids=" ".join,
)
def test_a_profile_that_does_not_exist_is_a_sentence(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/none")
    assert "The config profile (staging) could not be found" in run(*command, code=1, AWS_PROFILE="staging")


# --stack


def test_the_queue_of_the_configs_stack_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    aws = aws_answers.installed(monkeypatch, {**aws_answers.stack("web", OUTPUTS), **NOTHING})
    assert json.loads(run("dlq", "list", "--json")) == {
        "version": 1,
        "queue": f"{HOST}/dead",
        "dead_letters": 0,
        "groups": [],
    }
    assert aws.asked[-1] == ("ReceiveMessage", "eu-central-1"), "the queue's URL names its region"


def test_a_queue_whose_url_names_no_region_is_in_that_of_its_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    outputs = {"DeadLetterQueueUrl": "https://sqs.acme.internal/123456789012/dead"}
    aws = aws_answers.installed(monkeypatch, {**aws_answers.stack("web", outputs), **NOTHING})
    assert run("dlq", "list", AWS_REGION="eu-north-1") == "0 dead letters\n"
    assert aws.asked[-1] == ("ReceiveMessage", "eu-west-1")


@pytest.mark.parametrize(
    ("options", "environment", "queue"),
    [
        ((), {"MULTICDN_DLQ_URL": f"{HOST}/other"}, "other"),
        (("--stack", "web"), {"MULTICDN_DLQ_URL": f"{HOST}/other"}, "dead"),
        (("--stack", "web", "--dlq", f"{HOST}/third"), {"MULTICDN_DLQ_URL": f"{HOST}/other"}, "third"),
    ],
)
def test_what_is_nearer_to_the_command_says_which_queue(
    options: tuple[str, ...], environment: dict[str, str], queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws_answers.installed(monkeypatch, {**aws_answers.stack("web", OUTPUTS), **NOTHING})
    found = json.loads(run("dlq", "list", "--json", *options, AWS_REGION="us-east-1", **environment))
    assert found["queue"] == f"{HOST}/{queue}"


class Lambda:
    """Takes invocations."""

    def __init__(self, sent: list[str]) -> None:
        self._sent = sent

    def invoke(self, **arguments: Any) -> dict[str, Any]:
        self._sent.append(arguments["FunctionName"])
        return {"StatusCode": 202}


_client = boto3.session.Session.client


def client_but_of_lambda(session: Any, sent: list[str], service: str, **settings: Any) -> Any:
    return Lambda(sent) if service == "lambda" else _client(session, service, **settings)


LETTER = {"MessageId": "m", "ReceiptHandle": "r", "Body": '{"Records": []}'}


@pytest.mark.parametrize(
    ("outputs", "action"),
    [
        (OUTPUTS, "SendMessage"),
        ({"DeadLetterQueueUrl": f"{HOST}/dead", "InvokedArn": "arn:aws:lambda:eu-central-1:1:function:f:live"}, "sent"),
    ],
)
def test_dead_letters_go_back_the_way_that_the_stack_has(
    outputs: dict[str, str], action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = iter([{"Messages": [LETTER]}])
    answers: dict[str, Any] = {
        "ReceiveMessage": lambda _: next(shown, {}),
        "SendMessage": {"MessageId": "n"},
        "DeleteMessageBatch": {"Successful": [{"Id": "0"}]},
        "GetQueueAttributes": {},
        "ChangeMessageVisibilityBatch": {"Successful": [{"Id": "0"}]},
    }
    aws = aws_answers.installed(monkeypatch, {**aws_answers.stack("web", outputs), **answers})
    sent: list[str] = []
    # A client of Lambda takes longer to make than the whole test: its description is the longest.
    monkeypatch.setattr("boto3.session.Session.client", functools.partialmethod(client_but_of_lambda, sent))
    assert run("dlq", "redrive", "--yes", "--stack", "web", AWS_REGION="us-east-1") == "1 sent back\n"
    assert [*(action for action, _ in aws.asked), *(["sent"] if sent else [])].count(action) == 1
    assert sent == ([] if action == "SendMessage" else [outputs["InvokedArn"]])


def test_purge_sends_its_work_to_the_queue_of_a_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    aws = aws_answers.installed(monkeypatch, {**aws_answers.stack("web", OUTPUTS), **NOTHING})
    first, *_, follow, became = run("purge", "s3://acme-site/a", "--stack", "web").splitlines()
    assert first == f"1 message sent to {HOST}/work"
    assert follow.startswith("follow it: multicdn logs --follow --provider ")
    assert became == "what became of it: multicdn history s3://acme-site/a --stack web"
    assert aws.asked[-1] == ("SendMessageBatch", "eu-central-1")
    twice = run("purge", "s3://acme-site/a", "--stack", "web", "--queue", f"{HOST}/other", code=2)
    assert "--queue and --stack both say where to send the work" in twice


@pytest.mark.parametrize("command", [("dlq", "list"), ("purge", "s3://acme-site/a")], ids=" ".join)
def test_a_stack_without_such_a_queue_says_so(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")
    aws_answers.installed(monkeypatch, {**aws_answers.stack("web", {}), **NOTHING})
    assert "the stack 'web' in eu-west-1 has no " in run(*command, "--stack", "web", code=1)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "86401"])
def test_what_is_no_length_of_time_is_misuse(value: str) -> None:
    said = run("purge", "s3://acme-site/a", "--timeout", value, code=2)
    assert "is no time to wait: write seconds, more than 0 and at most a day" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--stack", "1?"), "--stack: '1?' can't be one: letters, digits and hyphens, a letter first, at most 40"),
        (("--region", "Ireland"), "--region: 'Ireland' can't be one: write one such as eu-west-1"),
        (("--stack", "web", "--region", "eu"), "--region: 'eu' can't be one: write one such as eu-west-1"),
    ],
)
def test_what_no_stack_and_no_region_is_called_is_said_in_words(
    words: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    (tmp_path / "multicdn.config.yml").write_text(CONFIG)
    assert run("install", "template", *words, code=1) == f"Error: {said}\n"
