"""From an event to the reply, with the Fastly provider and simulated Fastlys: only the wire is simulated."""

from __future__ import annotations

import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from kit.sample_plugins import hooked, observer

from multicdn import config, handler, log
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.errors import ConfigError, Undelivered
from multicdn.model import Status
from multicdn.plugins.discovery import Plugins
from multicdn.simulators import Origin
from multicdn.simulators.fastly.api import FastlySimulator
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

SITE = "https://www.acme.com"

CONFIG = """\
version: 1
providers:
  www: {{type: fastly, endpoint: "{www}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
  img: {{type: fastly, endpoint: "{img}", service: SU1Z0isxPaozGVKXdv0eY, token: "${{env:FASTLY_TOKEN}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [www, img]
"""


class Stage:
    """A bucket, and two services of Fastly in front of it."""

    def __init__(self, origin: Origin, www: FastlySimulator, img: FastlySimulator) -> None:
        self.origin, self.www, self.img = origin, www, img
        self.text = CONFIG.format(www=www.endpoint, img=img.endpoint)

    def publish(self, *keys: str) -> None:
        """Put old bytes, let both edges cache them, and put new ones."""
        for key in keys:
            self.origin.put(key, "old", {"Cache-Control": "max-age=3600"})
            self.fresh(key)
            self.origin.put(key, "new", {"Cache-Control": "max-age=3600"})

    def fresh(self, key: str) -> dict[str, bool]:
        """Which edges serve the new bytes of a key."""
        return {name: cdn.fetch(f"{SITE}/{key}").body == b"new" for name, cdn in (("www", self.www), ("img", self.img))}

    def dispatcher(self, plugins: Plugins | None = None) -> Dispatcher:
        """What the handler makes of the config, with shorter waits."""
        plugins = plugins or Plugins()
        loaded = config.parse(self.text, "multicdn.config.yml", plugins)
        return Dispatcher(loaded, plugins, Delivery(loaded.providers, Terms(tries=3, base=0.01)))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with Origin() as origin, FastlySimulator(origin.url) as www, FastlySimulator(origin.url) as img:
        monkeypatch.setenv("FASTLY_TOKEN", www.token)
        yield Stage(origin, www, img)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, logger="multicdn")
    return caplog


def lines(logged: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.message) for record in logged.records if record.name == "multicdn"]


def s3_event(*keys: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {"Records": [record(key, name) for key in keys]}


def record(key: str, name: str = "ObjectCreated:Put") -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": name,
        "eventTime": "2026-11-23T09:00:00.123Z",
        "s3": {"bucket": {"name": "acme-site"}, "object": {"key": key, "sequencer": "0065A1B2C3D4E5F601"}},
    }


def sqs_event(**bodies: object) -> dict[str, Any]:
    """Messages by id."""
    return {
        "Records": [
            {"messageId": name, "eventSource": "aws:sqs", "body": body if isinstance(body, str) else json.dumps(body)}
            for name, body in bodies.items()
        ]
    }


def failures(*names: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": name} for name in names]}


class Remaining:
    """Lambda's context, with so many seconds left."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self._seconds * 1000)


# Batches from SQS


def test_changes_that_no_route_is_about_are_in_the_log(stage: Stage, logged: pytest.LogCaptureFixture) -> None:
    others = s3_event("a.css", "b.css")["Records"]
    for each in others:
        each["s3"]["bucket"]["name"] = "acme-sight"
    stage.dispatcher().dispatch({"Records": [*others, record("c.css")]}, 5)
    assert [line for line in lines(logged) if line["event"] == "unmatched"] == [
        {"event": "unmatched", "bucket": "acme-sight", "keys": 2, "first": ["a.css", "b.css"]}
    ]


def test_a_batch_that_got_through_has_no_failures_and_every_edge_is_fresh(stage: Stage) -> None:
    stage.publish("a.css", "b.css")
    reply = stage.dispatcher().dispatch(sqs_event(m1=s3_event("a.css"), m2=s3_event("b.css")), 30)
    assert reply == failures()
    assert stage.fresh("a.css") == stage.fresh("b.css") == {"www": True, "img": True}


def test_one_bad_message_and_one_vendor_in_trouble_fail_their_messages_and_no_other(stage: Stage) -> None:
    stage.publish("a.css", "b.css", "c.css")
    stage.img.faults.always(faults.status(503), when=lambda request: request.target.endswith("b.css"))
    event = sqs_event(m1=s3_event("a.css"), m2="not an event", m3=s3_event("b.css"), m4=s3_event("c.css"))
    assert stage.dispatcher().dispatch(event, 30) == failures("m2", "m3")
    assert stage.fresh("a.css") == stage.fresh("c.css") == {"www": True, "img": True}
    assert stage.fresh("b.css") == {"www": True, "img": False}


def test_a_message_with_one_bad_record_fails_and_its_good_records_are_purged_all_the_same(stage: Stage) -> None:
    stage.publish("a.css")
    event = sqs_event(m1={"Records": [record("a.css"), {"eventSource": "aws:s3"}]}, m2=s3_event("b.css"))
    assert stage.dispatcher().dispatch(event, 30) == failures("m1")
    assert stage.fresh("a.css") == {"www": True, "img": True}


def test_two_messages_of_one_key_share_a_call_and_a_failure(stage: Stage) -> None:
    event = sqs_event(m1=s3_event("a.css"), m2=s3_event("a.css"), m3=s3_event("b.css"))
    stage.img.faults.always(faults.status(503), when=lambda request: request.target.endswith("a.css"))
    reply = stage.dispatcher().dispatch(event, 30)
    assert sorted(call.target for call in stage.www.calls) == [f"/purge/{SITE}/a.css", f"/purge/{SITE}/b.css"]
    # The newest change of a key decides, and of two the same it's the last: its message must come back at least.
    assert {"itemIdentifier": "m2"} in reply["batchItemFailures"]
    assert {"itemIdentifier": "m3"} not in reply["batchItemFailures"]


def test_a_batch_that_failed_can_be_delivered_again(stage: Stage) -> None:
    stage.publish("a.css")
    stage.img.faults.once(faults.reset(), times=3)
    dispatcher = stage.dispatcher()
    event = sqs_event(m1=s3_event("a.css"))
    assert dispatcher.dispatch(event, 30) == failures("m1")
    assert dispatcher.dispatch(event, 30) == failures()
    assert stage.fresh("a.css") == {"www": True, "img": True}


@pytest.mark.parametrize("name", ["ObjectCreated:Put", "ObjectRemoved:Delete", "LifecycleExpiration:Delete"])
def test_an_object_of_no_route_is_done(stage: Stage, name: str) -> None:
    event = s3_event("a.css", name=name)
    event["Records"][0]["s3"]["bucket"]["name"] = "another-bucket"
    assert stage.dispatcher().dispatch(sqs_event(m1=event), 30) == failures()
    assert stage.www.calls == []


# Direct events


def test_a_direct_event_is_answered_with_what_each_provider_accepted(stage: Stage) -> None:
    stage.publish("a.css", "b.css")
    stage.www.faults.once(faults.status(503))
    assert stage.dispatcher().dispatch(s3_event("a.css", "b.css"), 30) == {
        "providers": {"www": {"calls": 3, "accepted": 2}, "img": {"calls": 2, "accepted": 2}}
    }
    assert stage.fresh("a.css") == stage.fresh("b.css") == {"www": True, "img": True}


def test_a_direct_event_of_which_something_stayed_undelivered_fails_and_names_it(stage: Stage) -> None:
    stage.publish("a.css")
    stage.img.faults.always(faults.status(503, {}, "<html>Guru</html>"))
    with pytest.raises(Undelivered) as caught:
        stage.dispatcher().dispatch(s3_event("a.css"), 30)
    said = str(caught.value)
    assert said.startswith(
        f"img: purge of {SITE}/a.css: retry: POST {stage.img.endpoint}/purge/{SITE}/a.css: 503: Guru"
    )
    assert "www" not in said.replace(f"{SITE}", "")
    assert stage.fresh("a.css") == {"www": True, "img": False}


def test_a_long_list_of_undelivered_things_is_cut(stage: Stage) -> None:
    stage.www.tokens = {}
    stage.img.tokens = {}
    with pytest.raises(Undelivered) as caught:
        stage.dispatcher().dispatch(s3_event(*(f"{n}.css" for n in range(20))), 30)
    assert str(caught.value).count("purge of") == 10
    assert str(caught.value).endswith(" (and 30 more)")


@pytest.mark.parametrize("event", [None, "text", {}, [], {"Records": []}, {"detail-type": "Scheduled Event"}])
def test_an_event_of_an_unknown_shape_fails_loudly(stage: Stage, event: object) -> None:
    with pytest.raises(Undelivered, match="unknown event shape"):
        stage.dispatcher().dispatch(event, 30)


def test_the_test_event_of_s3_is_done(stage: Stage) -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "acme-site"}
    assert stage.dispatcher().dispatch(event, 30) == {"providers": {}}


# Secrets


def test_no_message_and_no_log_line_shows_a_secret(stage: Stage, logged: pytest.LogCaptureFixture) -> None:
    body = json.dumps({"msg": f"the token {stage.www.token} is unknown", "detail": stage.www.token})
    stage.www.faults.always(faults.status(401, {}, body))
    stage.img.faults.always(faults.status(400, {}, f"<b>{stage.www.token}</b>"))
    with pytest.raises(Undelivered, match=r"\[secret\]") as caught:
        stage.dispatcher().dispatch(s3_event("a.css"), 30)
    assert stage.www.token not in str(caught.value)
    assert stage.www.token not in logged.text
    assert "[secret]" in logged.text


def test_a_secret_in_a_key_is_no_exception(stage: Stage, logged: pytest.LogCaptureFixture) -> None:
    stage.www.faults.always(faults.status(400))
    with pytest.raises(Undelivered) as caught:
        stage.dispatcher().dispatch(s3_event(f"{stage.www.token}.txt"), 30)
    assert stage.www.token not in str(caught.value)
    assert stage.www.token not in logged.text


# Hooks


def test_the_report_hook_sees_how_every_job_ended(stage: Stage) -> None:
    observer.reports.clear()
    stage.img.tokens = {}
    stage.dispatcher(hooked("observer")).dispatch(sqs_event(m1=s3_event("a.css")), 30)
    [report] = observer.reports
    assert {outcome.job.provider: outcome.status for outcome in report} == {
        "www": Status.ACCEPTED,
        "img": Status.UNAUTHORIZED,
    }


def test_a_hook_that_fails_to_observe_is_logged_and_changes_nothing(
    stage: Stage, logged: pytest.LogCaptureFixture
) -> None:
    observer.reports.clear()
    dispatcher = stage.dispatcher(hooked("failing", "observer"))
    assert dispatcher.dispatch(sqs_event(m1=s3_event("a.css")), 30) == failures()
    assert len(observer.reports) == 1
    assert [line for line in lines(logged) if line["event"] == "plugin-bug"] == [
        {"event": "plugin-bug", "hook": "multicdn_report", "reason": "KeyError: 'metrics are down'"}
    ]


def test_a_url_hook_that_fails_costs_its_change_and_no_other(stage: Stage) -> None:
    stage.publish("a.css")
    dispatcher = stage.dispatcher(hooked("failing"))
    event = sqs_event(m1=s3_event("poison"), m2=s3_event("a.css"))
    assert dispatcher.dispatch(event, 30) == failures("m1")
    assert stage.fresh("a.css") == {"www": True, "img": True}
    with pytest.raises(Undelivered, match="poison: a plugin failed on its URLs: ValueError: no URL for poison"):
        dispatcher.dispatch(s3_event("poison"), 30)


def test_a_foreign_event_is_read_by_a_plugin(stage: Stage) -> None:
    stage.publish("a.css")
    assert stage.dispatcher(hooked("observer")).dispatch(sqs_event(m1={"uploaded": ["a.css"]}), 30) == failures()
    assert stage.fresh("a.css") == {"www": True, "img": True}


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


@pytest.mark.parametrize(("level", "shown"), [("DEBUG", True), ("debug", True), ("INFO", False), ("ERROR", False)])
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
    assert bool(lines(caplog)) is (level != "ERROR")


def test_debug_does_not_make_sdks_log_their_signing_keys(
    stage: Stage, loaded_handler: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(log.LEVEL, "DEBUG")
    handler.handler(s3_event("a.css"))
    assert logging.getLogger("multicdn").getEffectiveLevel() == logging.DEBUG
    for name in ("akamai", "akamai.edgegrid.edgegrid", "botocore", "urllib3", "cloudflare"):
        assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
