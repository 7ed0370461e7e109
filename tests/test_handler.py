"""The function as Lambda calls it: its time, and what a process makes once."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest
from kit.stage import Stage, failures, lines, s3_event, sqs_event

from multicdn import config, handler, log
from multicdn.errors import ConfigError
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


class Remaining:
    """Lambda's context, with so many seconds left."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


# Time


def test_in_the_last_second_nothing_is_called_and_everything_comes_back(stage: Stage, loaded_handler: None) -> None:
    reply = handler.handler(sqs_event(m1=s3_event("a.css"), m2=s3_event("b.css")), Remaining(1.0))
    assert reply == failures("m1", "m2")
    assert stage.www.calls == stage.img.calls == []


def test_a_vendor_that_hangs_is_left_behind_before_lambda_ends_the_function(stage: Stage, loaded_handler: None) -> None:
    stage.publish("a.css")
    stage.img.faults.always(faults.hang())
    started = time.monotonic()
    reply = handler.handler(sqs_event(m1=s3_event("a.css")), Remaining(1.8))
    assert time.monotonic() - started < 1.7  # 0.8, the rest is kept for the queue and the reply
    assert reply == failures("m1")
    assert stage.fresh("a.css") == {"www": True, "img": False}


def test_without_a_context_there_is_time_enough(stage: Stage, loaded_handler: None) -> None:
    stage.publish("a.css")
    assert handler.handler(sqs_event(m1=s3_event("a.css"))) == failures()
    assert stage.fresh("a.css") == {"www": True, "img": True}


# The process


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a fresh process: nothing prepared, nothing configured."""
    logger = logging.getLogger("multicdn")
    level, handlers = logger.level, logger.handlers[:]
    monkeypatch.setattr(handler, "_dispatcher", None)
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers


@pytest.fixture
def loaded_handler(stage: Stage, own_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(stage.text)
    monkeypatch.setenv(config.CONFIG, str(path))


def test_a_config_error_surfaces_at_each_invocation_until_it_is_mended(
    stage: Stage, own_process: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "multicdn.config.yml"
    monkeypatch.setenv(config.CONFIG, str(path))
    for text in (None, "version: 1\n", stage.text.replace("service:", "servcie:")):
        if text is not None:
            path.write_text(text)
        for _ in range(2):
            with pytest.raises(ConfigError, match=r"multicdn\.config\.yml"):
                handler.handler(s3_event("a.css"))
    path.write_text(stage.text)
    assert handler.handler(s3_event("a.css"))["providers"]["www"] == {"calls": 1, "accepted": 1}


def test_the_config_is_read_once(stage: Stage, loaded_handler: None) -> None:
    handler.handler(s3_event("a.css"))
    first = handler.dispatcher()
    handler.handler(s3_event("b.css"))
    assert handler.dispatcher() is first


def test_what_is_odd_in_a_config_is_logged_once(
    stage: Stage, loaded_handler: None, logged: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    path = tmp_path / "multicdn.config.yml"
    path.write_text(stage.text.replace("purge: [www, img]", "purge: [www]"))
    for _ in range(2):
        handler.handler(s3_event("a.css"))
    warnings = [line for line in lines(logged) if line["event"] == "config"]
    assert len(warnings) == 1
    assert "no route uses it" in warnings[0]["warning"]


@pytest.mark.parametrize("level", ["LOUD", "", "7"])
def test_a_level_that_does_not_exist_is_a_clear_error(
    stage: Stage, loaded_handler: None, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv(log.LEVEL, level)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"MULTICDN_LOG_LEVEL={level}: no such level .*DEBUG"):
            handler.handler(s3_event("a.css"))


@pytest.mark.parametrize(
    ("level", "shown"), [("DEBUG", True), ("info", True), ("INFO", True), ("WARNING", False), ("ERROR", False)]
)
def test_the_level_decides_whether_accepted_jobs_are_logged(
    stage: Stage,
    loaded_handler: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    level: str,
    shown: bool,
) -> None:
    monkeypatch.setenv(log.LEVEL, level)
    handler.handler(s3_event("a.css"))
    assert ("accepted" in [line["event"] for line in lines(caplog)]) is shown
    assert bool(lines(caplog)) is shown


def test_debug_does_not_make_sdks_log_their_signing_keys(
    stage: Stage, loaded_handler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(log.LEVEL, "DEBUG")
    handler.handler(s3_event("a.css"))
    assert logging.getLogger("multicdn").getEffectiveLevel() == logging.DEBUG
    for name in ("akamai", "akamai.edgegrid.edgegrid", "botocore", "urllib3", "cloudflare"):
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
