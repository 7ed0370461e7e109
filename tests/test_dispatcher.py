"""From an event to the reply, with the Fastly provider and simulated Fastlys: only the wire is simulated."""

from __future__ import annotations

import json
import threading

import pytest
from kit.events import batch_operation
from kit.sample_plugins import hooked, observer
from kit.stage import SITE, Stage, failures, lines, record, s3_event, sqs_event

from multicdn import reporting
from multicdn.errors import Undelivered
from multicdn.model import Status
from multicdn.simulators.kit import faults

pytestmark = pytest.mark.slow


# Batches from SQS


def test_metrics_that_can_not_be_taken_cost_no_reply(stage: Stage, logged: pytest.LogCaptureFixture) -> None:
    def fails(measured: object, now: float) -> None:
        raise OSError("no space left")

    dispatcher = stage.dispatcher()
    dispatcher.on_measured = fails
    assert dispatcher.dispatch(sqs_event(m1=s3_event("a.css")), 30) == failures()
    said = {line["event"]: line for line in lines(logged)}
    assert "no space left" in said["not-measured"]["reason"]
    assert said.keys() >= {"accepted", "invocation"}, "the log is written all the same"


def test_changes_that_no_route_is_about_are_in_the_log(stage: Stage, logged: pytest.LogCaptureFixture) -> None:
    others = s3_event("a.css", "b.css")["Records"]
    for each in others:
        each["s3"]["bucket"]["name"] = "acme-sight"
    stage.dispatcher().dispatch({"Records": [*others, record("c.css")]}, 5)
    assert [line for line in lines(logged) if line["event"] == "unmatched"] == [
        {
            "event": "unmatched",
            "changes": 2,
            "no_route": 2,
            "not_on": 0,
            "buckets": {"acme-sight": 2},
            "first": ["s3://acme-sight/a.css", "s3://acme-sight/b.css"],
        }
    ]


def test_a_host_that_a_key_makes_is_purged_where_it_is_allowed_and_else_is_in_the_log(
    stage: Stage, logged: pytest.LogCaptureFixture
) -> None:
    stage.text = stage.text.replace("https://www.acme.com/{key}", "https://{first}/{rest}")
    stage.text = stage.text.replace("    purge:", "    allowed_hosts: [www.acme.com]\n    purge:")
    stage.publish("a.css", "b.css")
    keys = ("www.acme.com/a.css", "evil.example/b.css", "evil.example/c.css", "robots.txt")
    assert stage.dispatcher().dispatch(sqs_event(m1=s3_event(*keys)), 30) == failures()
    assert stage.fresh("a.css") == {"www": True, "img": True}
    assert stage.fresh("b.css") == {"www": False, "img": False}
    assert [call.target for call in stage.www.calls if "purge" in call.target] == ["/purge/https://www.acme.com/a.css"]
    [line] = [line for line in lines(logged) if line["event"] == "untargeted"]
    assert line == {
        "event": "untargeted", "bucket": "acme-site", "template": "https://{first}/{rest}", "objects": 3,
        "first": list(keys[1:]),
        "reason": "the host evil.example, made from the key, isn't among the route's `allowed_hosts`",
    }  # fmt: skip


def test_what_nobody_wants_is_told_in_one_line_with_counts_and_a_metric(
    stage: Stage, logged: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "multicdn")
    records = [record(f"{number}.css", "ObjectAcl:Put") for number in range(7)]
    records += [record("x", "ObjectRestore:Post"), record("x", "ObjectMelted:Now")]
    for number, bucket in enumerate(["acme-sight", "acme-sight", "other"]):
        records.append(record(f"n{number}"))
        records[-1]["s3"]["bucket"]["name"] = bucket
    stage.dispatcher().dispatch(sqs_event(m1={"Records": records}), 5)
    told = {line.pop("event"): line for line in lines(logged)}
    assert told["unmatched"] == {
        "changes": 10,
        "no_route": 3,
        "not_on": 7,
        "buckets": {"acme-site": 7, "acme-sight": 2, "other": 1},
        "first": [f"s3://acme-site/{number}.css" for number in range(5)],
    }
    assert told["ignored"] == {"events": 1, "names": {"ObjectRestore:Post": 1}}
    assert told["unknown-event"] == {"events": 1, "names": {"ObjectMelted:Now": 1}}
    [line] = capsys.readouterr().out.splitlines()
    counted = json.loads(line)
    assert (counted["FunctionName"], counted["Unrouted"]) == ("multicdn", 10)


def test_nothing_is_counted_where_nobody_would_see_it(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.dispatcher().dispatch({"Records": [record("a.css", "ObjectAcl:Put")]}, 5)
    assert capsys.readouterr().out == ""


# S3 Batch Operations


def test_each_task_of_batch_operations_has_its_result(stage: Stage) -> None:
    stage.publish("a,b.css")
    stage.img.faults.always(faults.status(503), when=lambda request: request.target.endswith("bad.css"))
    stage.img.faults.always(faults.status(400), when=lambda request: request.target.endswith("never.css"))
    event = batch_operation("a%2Cb.css", "bad.css", "never.css", "", "elsewhere.css")
    for task in event["tasks"][:4]:
        task["s3Bucket"] = "acme-site"
    reply = stage.dispatcher().dispatch(event, 5)
    results = {result["taskId"]: result for result in reply.pop("results")}
    assert reply == {"invocationSchemaVersion": "2.0", "treatMissingKeysAs": "TemporaryFailure", "invocationId": "i1"}
    assert {name: result["resultCode"] for name, result in results.items()} == {
        "t1": "Succeeded",
        "t2": "TemporaryFailure",
        "t3": "PermanentFailure",
        "t4": "PermanentFailure",
        "t5": "Succeeded",
    }
    assert results["t2"]["resultString"].startswith("img: retry: ")
    assert stage.fresh("a,b.css") == {"www": True, "img": True}


def test_a_second_job_over_the_same_objects_purges_again(stage: Stage) -> None:
    event = batch_operation("a.css", schema="1.0")
    event["tasks"][0]["s3BucketArn"] = "arn:aws:s3:::acme-site"
    for invocation in ("i1", "i2"):
        reply = stage.dispatcher().dispatch({**event, "invocationId": invocation}, 5)
        assert (reply["invocationSchemaVersion"], reply["invocationId"]) == ("1.0", invocation)
        assert [result["resultCode"] for result in reply["results"]] == ["Succeeded"]
    assert len(stage.www.calls) == 2


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


def test_a_hook_that_hangs_over_a_report_costs_no_reply(
    stage: Stage, logged: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collector of metrics that is out held the function to its limit: all was done again, and again."""
    over = threading.Event()
    observer.reports.clear()
    monkeypatch.setattr(observer, "look", lambda: over.wait(60))
    monkeypatch.setattr(reporting, "_LONGEST_LOOK", 0.2)
    dispatcher = stage.dispatcher(hooked("observer"))
    without_time = stage.dispatcher(hooked("observer"))
    try:
        for key in ("a.css", "b.css"):
            assert dispatcher.dispatch(sqs_event(m1=s3_event(key)), 30) == failures()
        assert len(observer.reports) == 1, "no second thread hangs"
        monkeypatch.setattr(reporting, "_LONGEST_LOOK", 5.0)
        without_time.dispatch(sqs_event(m1=s3_event("c.css")), 0, 0)
    finally:
        over.set()
    bugs = [line["reason"] for line in lines(logged) if line["event"] == "plugin-bug"]
    assert bugs[0].startswith("a plugin looks at the report for more than")
    assert bugs[1] == "not shown, since a plugin still looks at an earlier report"
    assert bugs[2].startswith("a plugin looks at the report for more than 0.1 s"), "what is left of the function's time"


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
