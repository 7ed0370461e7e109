"""Events of other stores: those that speak S3's form, and those that have a reader of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from kit.events import BUCKET, s3_event

from multicdn.events.envelopes import decode
from multicdn.events.stores import backblaze_b2, cloudflare_r2, yandex
from multicdn.hooks import Hooks, hookimpl
from multicdn.model import Change, ChangeKind

KEY, TIME = "covers/issue 12.jpg", "2026-10-02T07:15:04.201Z"
CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED

MINIO = {
    "EventName": "s3:ObjectCreated:Put",
    "Key": "media-prod/covers/issue 12.jpg",
    "Records": [
        {
            "eventVersion": "2.0",
            "eventSource": "minio:s3",
            "awsRegion": "",
            "eventTime": TIME,
            "eventName": "s3:ObjectCreated:Put",
            "s3": {
                "s3SchemaVersion": "1.0",
                "bucket": {"name": BUCKET},
                "object": {"key": "covers%2Fissue+12.jpg", "sequencer": "17DB0A5F5F6ACE9D"},
            },
            "source": {"host": "10.0.0.4", "port": "", "userAgent": "mc"},
        }
    ],
}


def ceph(key: str, name: str = "ObjectCreated:Put", **members: Any) -> dict[str, Any]:
    event = s3_event(name, key, versionId="", **members)
    event["Records"][0] |= {"eventSource": "ceph:s3", "eventId": "1", "opaqueData": "", "eventTime": TIME}
    return event


def r2(action: str = "PutObject", key: str = KEY) -> dict[str, Any]:
    found = {"key": key, "size": 5, "eTag": "c846ff7a18f28c2e262116d6e8719ef0"}
    return {"account": "3f4b7e3dc", "action": action, "bucket": BUCKET, "object": found, "eventTime": TIME}


def b2(*names: str) -> dict[str, Any]:
    events = [
        {
            "accountId": "e85c6a500333",
            "bucketId": "aea8c5bc362ae55070130333",
            "bucketName": BUCKET,
            "eventTimestamp": 1790925304201,
            "eventType": name,
            "objectName": KEY,
            "objectVersionId": "4_zaea8c",
        }
        for name in names
    ]
    return {"events": events}


def of_yandex(name: str) -> dict[str, Any]:
    metadata = {"event_type": f"yandex.cloud.events.storage.{name}", "created_at": TIME}
    return {"messages": [{"event_metadata": metadata, "details": {"bucket_id": BUCKET, "object_id": KEY}}]}


def kinds(event: object) -> list[ChangeKind]:
    intake = decode(event)
    assert intake.unreadable == ()
    assert {(change.bucket, change.key) for change in intake.changes} <= {(BUCKET, KEY)}
    return [change.kind for change in intake.changes]


def test_minio_is_read_as_s3() -> None:
    assert decode(MINIO).changes == (Change(BUCKET, KEY, sequencer="17DB0A5F5F6ACE9D", time=TIME),)


@pytest.mark.parametrize("key", ["covers/issue 12.jpg", "a+b", "a%20b", "100%"])
def test_keys_of_ceph_are_not_encoded(key: str) -> None:
    assert [change.key for change in decode(ceph(key)).changes] == [key]


def test_sequencer_of_ceph_does_not_order_and_its_time_does() -> None:
    """It is a time in the order of bytes of the processor: a later second may have a smaller text."""
    [change] = decode(ceph("a", sequencer="FF000000")).changes
    assert (change.sequencer, change.time) == ("", TIME)


@pytest.mark.parametrize("source", ["wasabi:s3", "rustfs:s3"])
def test_others_that_speak_s3_are_read_as_s3(source: str) -> None:
    event = s3_event()
    event["Records"][0]["eventSource"] = source
    assert kinds(event) == [CREATED]


def test_record_of_another_source_without_s3_in_it_is_refused_without_noise() -> None:
    record = {"eventSource": "minio:other", "source": {"host": "10.0.0.4", "userAgent": "mc"}}
    [message] = decode({"Records": [record]}).unreadable
    assert message.reason == (
        "unknown event shape: an object with eventSource, source (eventSource='minio:other'); "
        "a plugin with the hook multicdn_read_event can read it (https://github.com/multicdn/multicdn/blob/main/docs/plugins.md)"
    )


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (r2(), [CREATED]),
        (r2("CopyObject"), [CREATED]),
        (r2("CompleteMultipartUpload"), [CREATED]),
        (r2("DeleteObject"), [REMOVED]),
        (r2("LifecycleDeletion"), [REMOVED]),
        (b2("b2:ObjectCreated:Upload", "b2:ObjectCreated:Replica"), [CREATED, CREATED]),
        (b2("b2:HideMarkerCreated:Hide", "b2:HideMarkerCreated:LifecycleRule"), [REMOVED, REMOVED]),
        (b2("b2:ObjectDeleted:Delete"), [REMOVED]),
        (b2("b2:ObjectDeleted:LifecycleRule"), []),
        (b2("b2:TestEvent"), []),
        (of_yandex("ObjectCreate"), [CREATED]),
        (of_yandex("ObjectUpdate"), [CREATED]),
        (of_yandex("ObjectDelete"), [REMOVED]),
    ],
)
def test_store_with_a_reader_of_its_own(event: dict[str, Any], expected: list[ChangeKind]) -> None:
    assert kinds(event) == expected
    assert kinds([event]) == expected
    assert kinds({"Records": [{"eventSource": "aws:sqs", "body": json.dumps(event)}]}) == expected


def test_members_that_order_and_tell_apart_are_taken_over() -> None:
    etag = "c846ff7a18f28c2e262116d6e8719ef0"
    assert decode(r2()).changes == (Change(BUCKET, KEY, etag=etag, time=TIME),)
    [change] = decode(b2("b2:ObjectCreated:Upload")).changes
    assert change == Change(BUCKET, KEY, version="4_zaea8c", time=TIME)


@pytest.mark.parametrize("event", [r2("MeltObject"), b2("b2:ObjectMelted:Now"), of_yandex("ObjectMelt")])
def test_event_of_a_store_that_nobody_knows_is_a_warning(event: object, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "multicdn"):
        assert kinds(event) == []
    [line] = [json.loads(record.message) for record in caplog.records]
    assert line["event"] == "unknown-event"
    assert [("elt" in name, count) for name, count in line["names"].items()] == [(True, 1)]


@pytest.mark.parametrize("event", [{**r2(), "object": {}}, {"events": [{"eventType": "b2:ObjectCreated:Upload"}]}])
def test_damaged_event_of_a_store_is_unreadable(event: object) -> None:
    [message] = decode(event).unreadable
    assert message.reason.startswith("a plugin failed to read an object with ")


def test_message_of_another_service_of_yandex_is_nobodys() -> None:
    event = of_yandex("ObjectCreate")
    event["messages"][0]["event_metadata"]["event_type"] = "yandex.cloud.events.messagequeue.QueueMessage"
    assert len(decode(event).unreadable) == 1


def test_installed_plugin_is_asked_first() -> None:
    assert decode(r2(), lambda message: [Change("mine", "k")]).changes == (Change("mine", "k"),)


@pytest.mark.parametrize(
    "message", [{"Items": [1], "page": 2}, {"Messages": ["a"]}, {"Body": "b"}, {"Key": "k", "site": "s"}]
)
def test_what_only_looks_like_an_envelope_is_left_to_plugins_whole(message: object) -> None:
    asked: list[object] = []
    decode(message, lambda seen: asked.append(seen) or [])
    assert asked == [message]


@pytest.mark.parametrize("reader", [cloudflare_r2, backblaze_b2, yandex])
def test_readers_are_hook_plugins_but_for_the_mark(reader: Any) -> None:
    marked = SimpleNamespace(multicdn_read_event=hookimpl(reader.multicdn_read_event))
    Hooks({"reader": marked})


@pytest.mark.slow
def test_readers_need_no_pluggy_which_few_bundles_hold() -> None:
    code = (
        "import sys; sys.modules['pluggy'] = None; from multicdn.events.envelopes import decode; "
        f"assert decode({r2()!r}).changes"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_readers_and_what_is_rare_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import sys; from multicdn.events.envelopes import decode; "
        f"assert decode({s3_event()!r}).changes; "
        "print([name for name in sys.modules if name.startswith('multicdn.events.')], 'pluggy' in sys.modules)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rare = ("stores", "shapes", "bridge", "cloudtrail", "step_functions", "batch_operations")
    assert not any(name in printed for name in rare)
    assert "False" in printed
