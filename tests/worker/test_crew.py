"""Workers side by side, as the command makes them: settings, region, and what one that waits costs the others."""

from __future__ import annotations

import json
import logging
import signal
import threading
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from click.testing import CliRunner
from moto import mock_aws

from multicdn import log, queue_url
from multicdn.aws import sqs
from multicdn.cli import main
from multicdn.worker import crew, worker
from multicdn.worker.crew import Crew
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SESSION = boto3.session.Session("x", "x", region_name="eu-central-1")
PATIENCE = 20.0


@pytest.fixture
def queue() -> Iterator[tuple[Any, str]]:
    with mock_aws():
        client = SESSION.client("sqs")
        yield client, client.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "60"})["QueueUrl"]


def test_while_one_batch_waits_for_a_vendor_the_next_ones_are_handled(queue: tuple[Any, str]) -> None:
    client, url = queue
    stuck, go_on, handled = threading.Event(), threading.Event(), list[str]()
    others_done = threading.Event()

    def handle(event: dict[str, Any], _: object) -> None:
        for record in event["Records"]:
            if record["body"] == "stuck":
                stuck.set()
                go_on.wait(PATIENCE)
            handled.append(record["body"])
        if len(handled) == 3:
            others_done.set()

    client.send_message(QueueUrl=url, MessageBody="stuck")
    running = Crew([Worker(client, url, handle, batch_size=1, wait=0) for _ in range(2)], url)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    assert stuck.wait(PATIENCE)
    for body in ("a", "b", "c"):
        client.send_message(QueueUrl=url, MessageBody=body)
    assert others_done.wait(PATIENCE)
    assert "stuck" not in handled
    running.stop()
    go_on.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert sorted(handled) == ["a", "b", "c", "stuck"]


def test_what_one_worker_cannot_go_on_with_ends_all_of_them(queue: tuple[Any, str]) -> None:
    client, url = queue
    workers = [Worker(client, url, lambda *_: None, wait=0, gather=gather) for gather in (0.0, 120.0)]
    with pytest.raises(ValueError, match=r"hides messages for 60 s, but gathering takes 120 s"):
        Crew(workers, url).run()


class Busy:
    """A worker with a batch at hand that takes until somebody has said that it is the last one."""

    def __init__(self, number: signal.Signals, told: threading.Event) -> None:
        self._number, self._told = number, told
        self.was_told = False

    def run(self) -> None:
        signal.raise_signal(self._number)
        self.was_told = self._told.wait(PATIENCE)

    def stop(self) -> None:
        pass

    def busy_for(self) -> float:
        return 41.6

    def tell_busy(self) -> None:
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_answered_before_the_batches_at_hand_end(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_GLANCE", 0.005)
    told, lines = threading.Event(), list[dict[str, Any]]()

    def emit(_: int, event: str, **fields: Any) -> None:
        lines.append({"event": event, **fields})
        if event == "worker-stopping":
            told.set()

    monkeypatch.setattr(crew, "emit", emit)
    busy = Busy(number, told)
    running = Crew([busy], "https://sqs/1/work")  # type: ignore[list-item]
    before = signal.getsignal(number)
    running.stop_on(number)
    running.run()
    assert busy.was_told
    assert running.stopped_by is number
    [stopping] = [line for line in lines if line["event"] == "worker-stopping"]
    assert (stopping["signal"], stopping["batches"], stopping["seconds"]) == (number.name, 1, 42)
    assert "a second signal ends the process at once" in stopping["reason"]
    assert signal.getsignal(number) is before


def test_what_still_holds_a_stopped_worker_up_is_said_again_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now, lines = iter([0.0, 0.0, 9.9, 10.0, 10.0, 19.9]), list[str]()
    monkeypatch.setattr(crew, "time", type("Clock", (), {"monotonic": staticmethod(lambda: next(now))}))
    monkeypatch.setattr(crew, "emit", lambda _, event, **fields: lines.append(f"{event} {fields['seconds']}"))
    running = Crew([Busy(signal.SIGINT, threading.Event())], "https://sqs/1/work")  # type: ignore[list-item]
    running._tell_stopping()
    running.stopped_by = signal.SIGINT
    for _ in range(4):
        running._tell_stopping()
    assert lines == ["worker-stopping 42"] * 2


def test_a_worker_says_how_long_its_batch_may_take(queue: tuple[Any, str]) -> None:
    client, url = queue
    left: list[float | None] = []
    working = Worker(client, url, lambda *_: left.append(working.busy_for()), wait=0)
    client.send_message(QueueUrl=url, MessageBody="a")
    assert working.busy_for() is None
    working.step()
    assert left[0]
    assert 50 < left[0] <= 58
    assert working.busy_for() is None


CONFIG = """\
version: 1
providers:
  fastly: {{token: "${{env:TOKEN}}", service: SU1Z0isxPaozGVKXdv0eY}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [fastly]}}
install: {{{install}}}
"""


class Started(Exception):
    """Raised where a worker would begin to poll."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (None, 0)])
def test_after_ctrl_c_the_command_ends_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals | None, code: int
) -> None:
    monkeypatch.setattr(Crew, "run", lambda self: setattr(self, "stopped_by", number))
    monkeypatch.setattr(Crew, "stop_on", lambda self, *_: None)
    monkeypatch.setattr("multicdn.handler._dispatcher", None)
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.format(install=""), encoding="utf-8")
    url = "https://sqs.eu-central-1.amazonaws.com/123456789012/work"
    result = CliRunner(env={"MULTICDN_CONFIG": str(path)}).invoke(main, ["worker", "--queue", url])
    assert result.exit_code == code, result.output


def started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *arguments: str, install: str = "", url: str = "", **env: str
) -> tuple[list[dict[str, Any]], Any]:
    """The settings that the command gives each of its workers, and their client."""
    seen: list[dict[str, Any]] = []
    clients: list[Any] = []

    def make(client: Any, *_: Any, **settings: Any) -> Worker:
        clients.append(client)
        seen.append(settings)
        return Worker(client, *_, **settings)

    monkeypatch.setattr(worker, "Worker", make)
    monkeypatch.setattr(crew.Crew, "run", lambda self: None)
    monkeypatch.setattr(crew.Crew, "stop_on", lambda self, *_: None)
    monkeypatch.setattr("multicdn.handler._dispatcher", None)
    path = tmp_path / "multicdn.config.yml"
    path.write_text(CONFIG.format(install=install), encoding="utf-8")
    nothing = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    runner = CliRunner(env={**nothing, "MULTICDN_CONFIG": str(path), **env})
    url = url or "https://sqs.eu-central-1.amazonaws.com/123456789012/work"
    with runner.isolation():
        result = runner.invoke(main, ["worker", "--queue", url, *arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return seen, clients[0]


def test_by_default_its_batches_are_those_of_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen, _ = started(monkeypatch, tmp_path)
    assert seen == [{"batch_size": 1000, "gather": 1}] * 2
    seen, _ = started(
        monkeypatch, tmp_path, install="batch_size: 50, batch_window: 3, maximum_concurrency: 4, timeout: 30"
    )
    assert seen == [{"batch_size": 50, "gather": 3}] * 4


def test_the_command_line_goes_before_the_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen, _ = started(monkeypatch, tmp_path, "--gather", "0", "--batches", "1")
    assert seen == [{"batch_size": 10, "gather": 0.0}]
    seen, _ = started(monkeypatch, tmp_path, "--batch-size", "7", "--gather", "2.5", "--batches", "3")
    assert seen == [{"batch_size": 7, "gather": 2.5}] * 3


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/work", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/work", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/work", "cn-north-1"),
        ("https://sqs-fips.us-east-2.amazonaws.com/123456789012/work", "us-east-2"),
        ("https://sqs.ap-southeast-4.api.aws/123456789012/work", "ap-southeast-4"),
        ("https://eu-west-3.queue.amazonaws.com/123456789012/work", "eu-west-3"),
        ("https://queue.amazonaws.com/123456789012/work", "us-east-1"),
        ("https://vpce-0a1b2c3d-x1y2z3.sqs.eu-central-1.vpce.amazonaws.com/123456789012/work", "eu-central-1"),
        ("https://vpce-0a1b-x1-us-east-1a.sqs.us-east-1.vpce.amazonaws.com/123456789012/work", "us-east-1"),
        ("http://127.0.0.1:4566/123456789012/work", ""),
        ("https://sqs.eu-central-1.amazonaws.com.acme.example/1/work", ""),
        ("https://queue.acme.example/1/work", ""),
    ],
)
def test_the_url_of_a_queue_names_its_region(url: str, region: str) -> None:
    assert queue_url.region_in(url) == region


def test_a_vpc_endpoint_is_what_is_talked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "")
    host = "https://vpce-0a1b2c3d-x1y2z3.sqs.eu-central-1.vpce.amazonaws.com"
    client = sqs.client(f"{host}/123456789012/work")
    assert (client.meta.region_name, client.meta.endpoint_url) == ("eu-central-1", host)


@pytest.mark.parametrize(
    ("env", "install", "others"),
    [
        ({}, "", "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "", "us-west-2"),
        ({"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "us-west-2"}, "", "ap-south-1"),
        ({"AWS_REGION": "ap-south-1"}, "region: eu-north-1", "eu-north-1"),
        ({"AWS_PROFILE": "there"}, "", "sa-east-1"),
    ],
)
def test_the_queue_is_read_in_its_region_and_all_else_in_the_configs_the_environments_or_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, env: dict[str, str], install: str, others: str
) -> None:
    import os

    monkeypatch.setenv("AWS_DEFAULT_REGION", "")
    (tmp_path / "none").write_text("[profile there]\nregion = sa-east-1\n")
    _, client = started(monkeypatch, tmp_path, install=install, **env)
    assert client.meta.region_name == "eu-central-1"
    found: list[str | None] = []
    monkeypatch.setattr(crew.Crew, "run", lambda self: found.append(boto3.session.Session().region_name))
    path = tmp_path / "multicdn.config.yml"
    runner = CliRunner(env={"AWS_REGION": None, "AWS_DEFAULT_REGION": None, "MULTICDN_CONFIG": str(path), **env})
    runner.invoke(main, ["worker", "--queue", "https://sqs.eu-central-1.amazonaws.com/123456789012/work"])
    assert found == [others]
    assert os.environ.get("AWS_DEFAULT_REGION") == ""


def test_aws_region_is_enough_for_a_url_that_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 itself knows AWS_DEFAULT_REGION alone."""
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    assert sqs.region_of("http://127.0.0.1:4566/1/work") == "eu-west-1"


def test_each_line_has_its_time_and_level(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    logger, root = logging.getLogger("multicdn"), logging.getLogger()
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(root, "handlers", [])
    level = logger.level
    log.configure(stamped=True)
    log.emit(logging.WARNING, "odd", provider="fastly")
    logger.setLevel(level)
    line = json.loads(capfd.readouterr().err)
    assert (line["level"], line["event"], line["provider"]) == ("WARNING", "odd", "fastly")
    assert line["time"].startswith("20")
    assert line["time"].endswith("+00:00")
