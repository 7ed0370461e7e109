"""Who asked by hand, and why: it goes along to the function's queue, and stands in the answer."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kit import aws_answers
from kit.aws_wire import Refused

from multicdn.cli import _person, main
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [www]}
"""

ARN = "arn:aws:sts::123456789012:assumed-role/ops/ann"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/work"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    (tmp_path / "multicdn.config.yml").write_text(CONFIG, encoding="utf-8")


def purge(*options: str) -> Any:
    return CliRunner().invoke(main, ["purge", "s3://acme-site/a.css", *options])


def queued(monkeypatch: pytest.MonkeyPatch, caller: Any, *options: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stands in the message and in the answer."""
    bodies: list[str] = []

    def send(parameters: dict[str, Any]) -> dict[str, Any]:
        bodies.extend(entry["MessageBody"] for entry in parameters["Entries"])
        return {"Successful": [{"Id": "0", "MessageId": "m"}]}

    aws_answers.installed(monkeypatch, {"GetCallerIdentity": caller, "SendMessageBatch": send})
    result = purge("--queue", QUEUE, "--json", *options)
    assert result.exit_code == 0, result.output
    [body] = bodies
    return json.loads(body), json.loads(result.output)


def test_the_identity_of_aws_and_the_reason_go_along_to_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    message, answer = queued(monkeypatch, {"Arn": ARN}, "--reason", "ticket\n  7")
    [group] = message["behind"]["groups"]
    assert (group["by"], group["why"], group["keys"]) == (ARN, "ticket 7", ["a.css"])
    assert (answer["by"], answer["why"], answer["id"]) == (ARN, "ticket 7", message["origins"][0])


def test_where_aws_does_not_say_who_asks_it_is_user_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    message, answer = queued(monkeypatch, Refused("AccessDenied", "no"))
    here = f"ann@{socket.gethostname()}"
    assert [group["by"] for group in message["behind"]["groups"]] == [here]
    assert (answer["by"], answer["why"]) == (here, None)


def test_an_aws_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    aws_answers.installed(monkeypatch, {"GetCallerIdentity": lambda _: {"Arn": ARN} if go_on.wait(60) else {}})
    monkeypatch.setattr(_person, "_PATIENCE", 0.05)
    monkeypatch.setenv("LOGNAME", "ann")
    assert _person.of_aws("eu-west-1") == f"ann@{socket.gethostname()}"
    go_on.set()


def test_a_user_without_a_name_is_somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert _person.at_this_machine() == f"somebody@{socket.gethostname()}"


def test_a_reason_that_no_line_holds_is_refused() -> None:
    result = purge("--reason", "w" * 257, "--dry-run")
    assert result.exit_code == 2
    assert "has 257 characters, and the log holds 256" in result.output


def test_a_secret_that_is_known_is_not_sent_as_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    Secret.literal("hunter2-hunter2").reveal()
    message, _ = queued(monkeypatch, {"Arn": ARN}, "--reason", "it was hunter2-hunter2")
    assert message["behind"]["groups"][0]["why"] == "it was [secret]"


def test_a_dry_run_asks_nobody_and_a_reason_is_repeated_to_people(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = aws_answers.installed(
        monkeypatch, {"GetCallerIdentity": {"Arn": ARN}, "SendMessageBatch": {"Successful": []}}
    )
    assert purge("--queue", QUEUE, "--reason", "x", "--dry-run").exit_code == 0
    assert aws.asked == []
    assert f"by {ARN}: ticket 7\n" in purge("--queue", QUEUE, "--reason", "ticket 7").output
