"""What is logged: lines of JSON, at the right level, without secrets."""

from __future__ import annotations

import io
import json
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from multicdn import log as ground
from multicdn import reporting, secrets
from multicdn.cli.terminal import visible_lines
from multicdn.model import Action, Job, Outcome, Receipt, Report, Status, TargetKind
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator


class Log:
    """What a handler of ``logging`` writes for multicdn's logger."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The logger, left as it was found."""
    found = logging.getLogger("multicdn")
    level, handlers = found.level, found.handlers[:]
    yield found
    found.setLevel(level)
    found.handlers[:] = handlers


@pytest.fixture
def log(logger: logging.Logger) -> Log:
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    logger.setLevel(logging.DEBUG)
    return Log(stream)


def job(*targets: str, provider: str = "www", action: Action = Action.PURGE) -> Job:
    return Job(provider, action, TargetKind.URL, targets, tuple(frozenset(("m1",)) for _ in targets), soft=True)


ACCEPTED = Outcome(job("https://a/1", "https://a/2"), Status.ACCEPTED, receipt=Receipt("id-7", note="n"), calls=1)
RETRY = Outcome(job("https://a/3"), Status.RETRY, "503: Guru", after=12.0, calls=8, seconds=1.23456)
REJECTED = Outcome(job("https://a/4", provider="img"), Status.REJECTED, "400: bad URL", calls=1)
REFUSED = Outcome(job("https://a/5", provider="img"), Status.REFUSED, "401: bad token", calls=2)


# One line each


def test_an_event_is_one_line_of_json_whatever_is_in_it(log: Log) -> None:
    ground.emit(logging.INFO, "odd", key="a\nb\u2028中\"'\\", path=io, number=1.5, none=None, many=["x"])
    assert log.text.count("\n") == 1
    assert json.loads(log.text) == {
        "event": "odd",
        "key": "a\nb\u2028中\"'\\",
        "path": str(io),
        "number": 1.5,
        "none": None,
        "many": ["x"],
    }


def test_a_percent_sign_is_no_format(log: Log) -> None:
    ground.emit(logging.INFO, "odd", key="100%s %d %(name)s")
    assert log.lines == [{"event": "odd", "key": "100%s %d %(name)s"}]


def test_half_a_surrogate_pair_does_not_cost_the_line(logger: logging.Logger) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    logger.addHandler(logging.StreamHandler(stream))
    logger.setLevel(logging.INFO)
    ground.emit(logging.INFO, "odd", key="a\ud83d.png")
    assert json.loads(raw.getvalue())["key"] == "a\ud83d.png"


def test_a_bug_of_a_plugin_is_an_error_with_its_trace_in_one_line(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("zone")
    except KeyError as error:
        ground.plugin_bug("www", error)
    [line] = log.lines
    assert (line["event"], line["provider"], line["error"]) == ("plugin-bug", "www", "KeyError: 'zone'")
    assert "Traceback" in line["trace"]
    assert __file__ in line["trace"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


# Reports


def test_the_summary_counts_calls_and_targets_by_how_they_ended() -> None:
    assert reporting.summary(Report((ACCEPTED, RETRY, REJECTED, REFUSED, REFUSED))) == {
        "www": {"calls": 9, "accepted": 2, "retry": 1},
        "img": {"calls": 5, "rejected": 1, "refused": 2},
    }
    assert reporting.summary(Report()) == {}


# Secrets


@pytest.mark.parametrize("value", ["hunter2-hunter2", 'qu"ote\\back\\slash', "tab\tand\nline", "größe-中文-secret"])
def test_a_revealed_secret_is_blacked_out_however_json_escapes_it(log: Log, value: str) -> None:
    secret = Secret.literal(value)
    secret.reveal()
    ground.emit(logging.INFO, "odd", plain=f"token {value}!", nested={"in": [value]}, value=value)
    assert log.lines == [
        {"event": "odd", "plain": "token [secret]!", "nested": {"in": ["[secret]"]}, "value": "[secret]"}
    ]


def test_a_secret_that_is_the_beginning_of_another_leaves_nothing_of_it(log: Log) -> None:
    for value in ("abcdef-one", "abcdef-one-and-more"):
        Secret.literal(value).reveal()
    ground.emit(logging.INFO, "odd", text="abcdef-one-and-more abcdef-one")
    assert log.lines[0]["text"] == "[secret] [secret]"


def test_a_bug_of_a_plugin_shows_no_secret(log: Log) -> None:
    value = "token-of-the-" + "plugin"
    Secret.literal(value).reveal()
    ground.plugin_bug("www", RuntimeError(f"can't log in with {value}"))
    assert value not in log.text
    assert "can't log in with [secret]" in log.text


def test_a_secret_that_was_never_revealed_does_not_show_either(log: Log) -> None:
    ground.emit(logging.INFO, "odd", secret=Secret("${env:TOKEN}", lambda: "never-revealed"))
    assert log.lines == [{"event": "odd", "secret": "<secret ${env:TOKEN}>"}]


def test_secrets_may_be_revealed_while_others_log(log: Log) -> None:
    """One provider logs while others resolve their secrets for the first time."""
    failures: list[BaseException] = []

    def reveal(first: int) -> None:
        for number in range(first, first + 2000):
            Secret.literal(f"secret-number-{number}").reveal()

    def write() -> None:
        try:
            for number in range(200):
                ground.emit(logging.INFO, "odd", number=number)
        except RuntimeError as error:
            failures.append(error)

    before = secrets._revealed.copy()
    tasks = [lambda: reveal(0), lambda: reveal(10_000), write, write]
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    secrets._revealed.clear()
    secrets._revealed.update(before)
    assert failures == []
    assert len(log.lines) == 400


# Set-up


def test_without_any_handler_lines_go_to_standard_error(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.delenv(ground.LEVEL, raising=False)
    logger.handlers.clear()
    ground.configure()
    ground.configure()
    ground.emit(logging.INFO, "once")
    assert capsys.readouterr().err == '{"event": "once"}\n'


def test_where_the_root_logger_has_handlers_as_in_lambda_none_is_added(logger: logging.Logger) -> None:
    assert logging.getLogger().handlers, "pytest's own"
    logger.handlers.clear()
    ground.configure()
    assert logger.handlers == []


def test_nothing_in_a_line_steers_a_terminal(log: Log) -> None:
    """A worker writes to one, and so does a purge by hand: CSI of the second set, delete, text from right to left."""
    key = "a\x1b[2J\x9b2J\x7f\x08\u202egnp.exe\ud800\n"
    ground.emit(logging.INFO, "odd", key=key, name="naïve 日本")
    assert visible_lines(log.text) == log.text
    assert log.lines == [{"event": "odd", "key": key, "name": "naïve 日本"}]
    assert "naïve 日本" in log.text
