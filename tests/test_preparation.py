"""What is done before the first event: in its order, for a while, and whatever plugins do there."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import pytest
from botocore.session import Session
from kit.sample_plugins import Plain, installed
from kit.slow_source import slow_source
from kit.stage import failures, lines, s3_event, sqs_event

from multicdn import config, preparation
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher
from multicdn.preparation import Preparation
from multicdn.provider import Call, Provider, Receipt, RetryLater, Secret
from multicdn.queue import sender

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


CONFIG = """\
version: 1
providers:
  first: {type: prepared}
  broken: {type: prepared}
  unused: {type: prepared}
  last: {type: prepared}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [first, broken, last]}
"""


@dataclass(frozen=True, kw_only=True)
class Prepared(Plain):
    """A vendor whose plugin says that it was asked to prepare."""

    asked: ClassVar[list[Provider]] = []

    def prepare(self) -> None:
        """Note it; raise what plugins shouldn't for the second one."""
        self.asked.append(self)
        if len(self.asked) == 2:
            raise SystemExit("no such SDK")


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    plugins = installed(prepared=f"{__name__}:Prepared")
    loaded = config.parse(CONFIG, "multicdn.config.yml", plugins)
    yield Dispatcher(loaded, plugins, Delivery(loaded.providers))
    Prepared.asked.clear()


def test_every_provider_that_a_route_uses_prepares_and_one_that_fails_is_in_nobody_s_way(
    dispatcher: Dispatcher, logged: pytest.LogCaptureFixture
) -> None:
    dispatcher.prepare()
    assert len(Prepared.asked) == 3
    assert len(set(map(id, Prepared.asked))) == 3
    assert lines(logged) == [{"event": "not-prepared", "provider": "broken", "reason": "SystemExit: no such SDK"}]
    assert dispatcher.dispatch(s3_event("a.css"), 30)["providers"]["broken"] == {"calls": 1, "accepted": 1}


def test_the_threads_that_the_first_event_takes_are_started_before_it(dispatcher: Dispatcher) -> None:
    before = set(threading.enumerate())
    dispatcher.prepare()
    started = {thread.name for thread in set(threading.enumerate()) - before}
    assert started == {"multicdn-first", "multicdn-broken", "multicdn-last"}


def test_what_secrets_are_asked_of_is_loaded_and_none_is_read(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    make = Session.create_client

    def noted(session: Session, service: str, **settings: object) -> object:
        made.append(service)
        return make(session, service, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(Session, "create_client", noted)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setattr(Secret, "reveal", lambda secret: pytest.fail(f"{secret} is read"))
    token = "{type: full, token: '${ssm:/multicdn/token}', service: any}"
    loaded = config.parse(CONFIG.replace("{type: prepared}", token), "multicdn.config.yml", installed())
    Dispatcher(loaded, installed(), Delivery(loaded.providers)).prepare()
    assert set(made) == {"ssm"}
    assert lines(logged) == []


@dataclass(frozen=True, kw_only=True)
class Sick(Plain):
    """A vendor that is out."""

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Fail."""
        raise RetryLater("out of order")


def test_credentials_of_aws_that_hang_hold_up_neither_other_vendors_nor_the_end_of_an_event(
    tmp_path: Path, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = "https://sqs.us-east-1.amazonaws.com/111122223333/multicdn"
    monkeypatch.setenv(sender.QUEUE, queue)
    monkeypatch.setattr(preparation, "take", partial(preparation.take, seconds=1.0))
    plugins = installed(prepared=f"{__name__}:Prepared", sick=f"{__name__}:Sick")
    loaded = config.parse(CONFIG.replace("broken: {type: prepared}", "broken: {type: sick}"), "any.yml", plugins)
    made = Dispatcher(loaded, plugins, Delivery(loaded.providers), sender.from_environment(), queue)
    with slow_source(tmp_path, monkeypatch) as source:
        made.prepare()
        prepared = [*Prepared.asked]
        reply = made.dispatch(sqs_event(m1=s3_event("a.css")), 1.0, 0.2)
        assert source.times_asked == 1
    assert prepared == [loaded.providers["first"], loaded.providers["last"]]
    assert reply == failures("m1")
    said = {line["event"]: str(line.get("reason")) for line in lines(logged)}
    assert "wasn't made within" in said["requeue-failed"]
    Prepared.asked.clear()


def step(run: object, what: str) -> Preparation:
    assert callable(run)
    return Preparation(run, logging.WARNING, "not-prepared", {"provider": what})


def test_one_that_hangs_is_left_behind_and_what_follows_it_is_not_begun(logged: pytest.LogCaptureFixture) -> None:
    over, ended, done = threading.Event(), threading.Event(), []

    def hangs() -> None:
        over.wait(30)
        ended.set()
        raise OSError("nobody hears of it any more")

    steps = [step(lambda: done.append("first"), "first"), step(hangs, "hanging"), step(lambda: done.append(3), "next")]
    preparation.take(iter(steps), 0.05)
    said = lines(logged)
    over.set()
    assert ended.wait(30)
    [thread] = [each for each in threading.enumerate() if each.name == "multicdn-preparation"] or [None]
    if thread is not None:
        thread.join(30)
    reason = "not done within 0.05 s; the first event does what is left"
    assert said == [{"event": "not-prepared", "provider": name, "reason": reason} for name in ("hanging", "next")]
    assert (lines(logged), done) == (said, ["first"])


def test_where_no_thread_can_be_started_the_log_says_so(
    logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    preparation.take(iter([step(lambda: None, "any")]))
    [line] = lines(logged)
    assert line["reason"] == "no thread could be started for it: the process has too many"
