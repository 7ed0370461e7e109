"""From what AWS hands over to Changes, on the recorded events in tests/data and on damaged ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.events.envelopes import decode
from multicdn.events.intake import Unreadable
from multicdn.model import Change, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Callable

EVENTS = Path(__file__).parents[1] / "data"
CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED
SITE, VERSIONED = "acme-site", "acme-versioned"
LOGO, ODD_KEY = "img/logo.png", "ordner/ein bild+100%/größe 中文.jpg"
LOGO_ETAG, ODD_ETAG = "d094c26c03b5f6b858d720cb3e401771", "b2ddc8bf10458b4243b630c0c4fe5083"
ETAG_OF_NOTHING = "d41d8cd98f00b204e9800998ecf8427e"
MARKER = "mtB4vJ.kejQ63XkTNceaoPMC.qXPWLeK"
S3_TIME, BRIDGE_TIME = "2026-11-23T09:00:00.123Z", "2026-11-23T09:00:00Z"


def sequencer(place: int) -> str:
    return f"0065A1B2C3D4E5F6{place:02}"


def from_s3(
    bucket: str, key: str, kind: ChangeKind, etag: str = "", version: str = "", cause: str = "", place: int = 1
) -> Change:
    return Change(bucket, key, kind, etag, version, sequencer(place), S3_TIME, cause)


def from_bridge(
    bucket: str, key: str, kind: ChangeKind, etag: str = "", version: str = "", cause: str = "", place: int = 1
) -> Change:
    return Change(bucket, key, kind, etag, version, sequencer(place), BRIDGE_TIME, cause)


def created_in_batch(*objects: tuple[str, str, str]) -> list[Change]:
    """Changes of a batch from SQS: key, etag and message id of each."""
    return [
        from_s3(SITE, key, CREATED, etag, cause=cause, place=place)
        for place, (key, etag, cause) in enumerate(objects, start=1)
    ]


RECORDED: dict[str, list[Change]] = {
    "s3-put": [from_s3(SITE, LOGO, CREATED, LOGO_ETAG)],
    "s3-put-odd-key": [from_s3(SITE, ODD_KEY, CREATED, ODD_ETAG)],
    "s3-put-versioned": [from_s3(VERSIONED, LOGO, CREATED, LOGO_ETAG, "pvEekS220PJh.RlsQkA_v0M6UZ1mfZpU")],
    "s3-copy": [from_s3(SITE, LOGO, CREATED, "94931d7505195b30cb5d2339fb2c95c7")],
    "s3-multipart": [from_s3(SITE, LOGO, CREATED, "a71cd6f620798b8c58d5fe8b0a3f12d4-2")],
    "s3-delete": [from_s3(SITE, LOGO, REMOVED)],
    "s3-delete-marker": [from_s3(VERSIONED, LOGO, REMOVED, ETAG_OF_NOTHING, "cOjqvvGOj9Blk2eX_Fg3VgcAAh2cb6rf")],
    "s3-delete-version": [from_s3(VERSIONED, LOGO, REMOVED, "", "f3LPme5pmGaXqvIIFZNXOsh2A6qkzT0M")],
    "s3-lifecycle-delete": [from_s3(SITE, "tmp/old report.csv", REMOVED)],
    "s3-lifecycle-delete-marker": [from_s3(VERSIONED, "tmp/old report.csv", REMOVED, ETAG_OF_NOTHING, MARKER)],
    "sns-put": [from_s3(SITE, LOGO, CREATED, LOGO_ETAG)],
    "sqs-put": [from_s3(SITE, LOGO, CREATED, LOGO_ETAG, cause="b4a55a08-b4a9-5c9e-9dff-f332f075db29")],
    "sqs-sns-put": [from_s3(SITE, ODD_KEY, CREATED, ODD_ETAG, cause="2b080f69-f954-5a8e-9939-f00337346ce5")],
    "sqs-sns-raw-put": [from_s3(SITE, ODD_KEY, CREATED, ODD_ETAG, cause="5b163508-fceb-5c25-9ce4-5351a38a6910")],
    "sqs-test-event": [],
    "sqs-multi-delete": [
        from_s3(SITE, LOGO, REMOVED, cause="f59717ef-a574-5b4f-bbdd-d79a667ae3dd", place=1),
        from_s3(SITE, "img/photo.jpg", REMOVED, cause="793c8353-21c1-5153-8d28-ad239ba8d901", place=2),
        from_s3(SITE, ODD_KEY, REMOVED, cause="f782ca58-e77a-5afd-8310-79796a6bcf62", place=3),
    ],
    "sqs-odd-letters": created_in_batch(
        ("with space.txt", "0d4d41b23346f99531758e91890f7ae4", "b419951e-2f10-5d12-bca7-0e3311cde1b3"),
        ("plus+plus.txt", "92f770a0734489feec0a8d1e62255c0a", "4fd6d0c5-5d2f-51c0-86c3-0db55767b9f7"),
        ("100%.txt", "6606826b45a911ffc47025516e38e600", "794bcb0a-4a55-5a6e-9f2d-a83f45722054"),
        ("%2Fnot a slash.txt", "443512ad01544f2cb26ec31928d089ab", "0c427ba1-cbb0-5106-9529-2b3888413212"),
        ("größe.txt", "799d72383087bbd0e1a747fb80b9bca5", "712abdaf-139b-5c35-95c6-889ee0b687f5"),
        ("中文.txt", "d2e190a61b98097f78ba0e88708dd569", "f40d4fab-f7d8-5e88-8371-755b0ce851c3"),
        ("smile-😀.txt", "594af6f4f8f26507c072c22ce26b573b", "12876cc4-f883-5e26-842b-f229460f6895"),
    ),
    "sqs-odd-signs": created_in_batch(
        ("deep/er/and/deeper.txt", "f77076fb6a6d068f035f2f3d0cd4f974", "eaa25e10-4226-55f3-af6d-f607bf276098"),
        ("folder/", "90e9790d53b22c4ef36bec5f8eec9437", "14d86dec-a0cc-51fa-a2b0-06642fff6882"),
        ("//double//slash.txt", "6c1c22f2184b2b2c1475586aed2bbde4", "8526c236-a752-54c1-9c7a-e3b85a63b742"),
        ("../up/./here.txt", "558cacf4d2452e075a053c38a9d46219", "ff850a03-dd3e-5d6f-bb92-0426c31317dc"),
        ("q?a=1&b=2#c;d.txt", "cb06926b8a755fba8b8a8d3a35b6abc8", "27e412c2-c7e5-51b0-8c8c-f1521b96a93d"),
        ("'single' \"double\".txt", "3b67c1b0c6354d62787b28a4f0356fe1", "f0c2ddaf-cce4-576b-88a4-9ad9271a8178"),
        ("~!*()@:,$[]{}|^`.txt", "d450034b4321c45200954fdc14cb60cb", "bc28586c-3d2a-5afb-96fa-b17c4de549ab"),
        ("back\\slash.txt", "7d91b0501948c11d3a1ab3ae92fc09a9", "162b7888-5119-583b-923a-80ceb2d56016"),
    ),
    "eventbridge-created": [from_bridge(SITE, LOGO, CREATED, LOGO_ETAG)],
    "eventbridge-created-odd-key": [from_bridge(SITE, ODD_KEY, CREATED, ODD_ETAG)],
    "eventbridge-deleted": [from_bridge(SITE, LOGO, REMOVED)],
    "eventbridge-delete-marker": [
        from_bridge(VERSIONED, LOGO, REMOVED, ETAG_OF_NOTHING, "ujlfAUi8b.pkvpv7kTxEueMetFG9wvc8")
    ],
    "eventbridge-lifecycle": [from_bridge(VERSIONED, "tmp/old report.csv", REMOVED, ETAG_OF_NOTHING, MARKER)],
    "sqs-eventbridge": [
        from_bridge(
            *(VERSIONED, LOGO, CREATED, LOGO_ETAG, "XTA9eL2HfMRH3qGl5V77XaXWmT9d6I9i"),
            cause="1504526e-2b08-5afc-aba2-57d7cfbc6735",
            place=1,
        ),
        from_bridge(
            *(VERSIONED, ODD_KEY, CREATED, ODD_ETAG, "HXEPKsK2BIW8p1YMhFD10otKAWX5LSYy"),
            cause="b084e5a7-89e6-5dde-b515-2bcbf23a6a26",
            place=2,
        ),
        from_bridge(
            *(VERSIONED, LOGO, REMOVED, ETAG_OF_NOTHING, "AdSYzKWmQexi86oIi17wLOKzMwRmZM7I"),
            cause="8783f96e-df6a-5dfa-aef9-f9ccb78e46e5",
            place=3,
        ),
    ],
}


def recorded(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))


def s3_record(key: Any, event: str = "ObjectCreated:Put", bucket: str = SITE, **members: Any) -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": event,
        "eventTime": S3_TIME,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key, **members}},
    }


def s3_event(*records: object) -> dict[str, Any]:
    return {"Records": list(records)}


def bridge_event(key: str, what: object = "Object Created", **detail: Any) -> dict[str, Any]:
    body = {"bucket": {"name": SITE}, "object": {"key": key}, **detail}
    return {"source": "aws.s3", "detail-type": what, "time": BRIDGE_TIME, "detail": body}


def sqs(*bodies: object) -> dict[str, Any]:
    """A batch from SQS whose messages are called m0, m1 and so on; what isn't text becomes JSON."""
    return {
        "Records": [
            {
                "eventSource": "aws:sqs",
                "messageId": f"m{place}",
                "body": body if isinstance(body, str) else json.dumps(body),
            }
            for place, body in enumerate(bodies)
        ]
    }


def sns_body(message: object) -> dict[str, Any]:
    """What SNS puts into a queue without raw delivery."""
    return {"Type": "Notification", "MessageId": "n", "Message": json.dumps(message)}


def sns_event(message: object) -> dict[str, Any]:
    """What SNS hands to a function."""
    return {"Records": [{"EventSource": "aws:sns", "Sns": sns_body(message)}]}


ENVELOPES: dict[str, Callable[[Any], Any]] = {
    "direct": lambda event: event,
    "sns": sns_event,
    "sqs": sqs,
    "sns in sqs": lambda event: sqs(sns_body(event)),
    "sqs in sns in sqs": lambda event: sqs(sns_body(sqs(event))),
    "text": json.dumps,
    "bytes": lambda event: json.dumps(event).encode(),
}


# Recorded events


def test_every_recorded_event_has_its_row_here() -> None:
    events = {path.stem for path in EVENTS.glob("*.json") if not path.stem.startswith("queued-job")}
    assert events == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_event_gives_exactly_these_changes(name: str) -> None:
    intake = decode(recorded(name))
    assert [msgspec.structs.replace(change, principal="", source_ip="") for change in intake.changes] == RECORDED[name]
    assert intake.unreadable == ()


@pytest.mark.parametrize("name", RECORDED)
def test_only_events_from_a_queue_are_answered_by_message(name: str) -> None:
    event = recorded(name)
    intake = decode(event)
    assert intake.queued is name.startswith("sqs-")
    expected = [record["messageId"] for record in event["Records"]] if intake.queued else []
    assert list(intake.messages) == expected


# Keys


KEYS = {
    "a+b": "a%2Bb",
    "a%2Bb": "a%252Bb",
    "a b": "a+b",
    "%25": "%2525",
    "100%": "100%25",
    "%": "%25",
    "中文/文件.txt": "%E4%B8%AD%E6%96%87/%E6%96%87%E4%BB%B6.txt",
    "é" * 512: "%C3%A9" * 512,
    "x" * 1024: "x" * 1024,
}


def name_of(key: str) -> str:
    return ascii(key)[:30]


@pytest.mark.parametrize(("key", "encoded"), KEYS.items(), ids=map(name_of, KEYS))
def test_key_of_an_s3_notification_is_decoded_exactly_once(key: str, encoded: str) -> None:
    assert [change.key for change in decode(s3_event(s3_record(encoded))).changes] == [key]


@pytest.mark.parametrize("key", KEYS, ids=name_of)
def test_key_of_an_eventbridge_event_is_not_decoded(key: str) -> None:
    assert [change.key for change in decode(bridge_event(key)).changes] == [key]


KEY_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@given(KEY_TEXTS, st.sampled_from(sorted(ENVELOPES)), st.sampled_from([quote_plus, quote]))
def test_any_key_survives_encoding_and_every_envelope(key: str, envelope: str, spell: Any) -> None:
    # S3 leaves the slash as it is; that a "%20" means a space as well costs nothing.
    event = s3_event(s3_record(spell(key, safe="/")))
    intake = decode(ENVELOPES[envelope](event))
    assert [change.key for change in intake.changes] == [key]
    assert intake.unreadable == ()


@given(KEY_TEXTS, st.sampled_from(sorted(ENVELOPES)))
def test_any_key_of_eventbridge_survives_every_envelope(key: str, envelope: str) -> None:
    assert [change.key for change in decode(ENVELOPES[envelope](bridge_event(key))).changes] == [key]


@pytest.mark.parametrize("key", ["\ud800", "a/\udfff.txt"])
def test_key_that_no_object_can_have_is_refused_rather_than_routed(key: str) -> None:
    intake = decode(bridge_event(key))
    assert intake.changes == ()
    assert [message.reason for message in intake.unreadable] == [f"an S3 event whose key isn't text: {key!a}"]


@pytest.mark.parametrize("key", ["a%FF.jpg", "caf%E9.html", "%C3", "a%ED%A0%80"])
def test_key_that_is_not_utf8_is_refused_rather_than_taken_for_another(key: str) -> None:
    task = {"taskId": "t", "s3Key": key, "s3Bucket": "media-prod"}
    job = {"invocationSchemaVersion": "2.0", "invocationId": "i", "tasks": [task]}
    for event in (s3_event(s3_record(key)), job):
        intake = decode(event)
        assert intake.changes == ()
        assert [message.reason[:35] for message in intake.unreadable] == ["an S3 event whose key isn't text: '"]
    replacement = decode(s3_event(s3_record("%EF%BF%BD+%ef%bf%bd"))).changes
    assert [change.key for change in replacement] == ["\ufffd \ufffd"]
    # A row of a table may have its key as it is.
    assert [change.key for change in decode({"Bucket": "media-prod", "Key": key}).changes] == [key]


@pytest.mark.parametrize(
    "bad",
    [
        [{}] * 5_000,
        {"Records": [{}] * 5_000},
        {"Records": [{"Records": [{"eventSource": "aws:sns"}] * 100}] * 300},
        {"BatchInput": {"Bucket": "b"}, "Items": [{"Key": ""}] * 5_000},
        {"invocationSchemaVersion": "2.0", "tasks": [{}] * 5_000},
    ],
    ids=["list", "records", "nested", "items", "tasks"],
)
def test_message_of_nothing_but_garbage_is_given_up_and_costs_its_neighbours_nothing(bad: object) -> None:
    intake = decode(sqs(bad, s3_event(s3_record("a"))))
    assert [change.key for change in intake.changes] == ["a"]
    assert {message.cause for message in intake.unreadable} == {"m0"}
    assert len(intake.unreadable) == 1001
    assert intake.unreadable[-1].reason == "1,000 parts of it can't be read, and the rest is not looked at"


def call_of_s3(**members: Any) -> dict[str, Any]:
    call = {"eventSource": "s3.amazonaws.com", "eventName": "PutObject", **members}
    return {"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "detail": call}


@pytest.mark.parametrize(
    "damaged",
    [
        call_of_s3(requestParameters="x"),
        call_of_s3(requestParameters=["x"], eventName="RenameObject"),
        call_of_s3(requestParameters={"bucketName": "b"}, resources=5),
        {**s3_event(), "Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"\ud800": 1}}]},
        {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": "\ud800"}}]},
        bridge_event("a", object="\ud800"),
    ],
)
def test_damaged_message_costs_its_neighbours_nothing(damaged: object) -> None:
    for event in ([damaged, s3_event(s3_record("a"))], sqs(damaged, s3_event(s3_record("a")))):
        intake = decode(event)
        assert [change.key for change in intake.changes] == ["a"]
        assert len(intake.unreadable) == 1


def test_answer_that_is_no_object_says_nothing_of_a_version() -> None:
    asked = {"bucketName": SITE, "key": "a"}
    for members in ({"responseElements": "x"}, {"responseElements": ["x"]}, {"resources": 5}):
        [change] = decode(call_of_s3(requestParameters=asked, **members)).changes
        assert (change.key, change.version) == ("a", "")


@pytest.mark.parametrize("members", [{"messageId": ["x"]}, {"attributes": ["SentTimestamp"]}, {"attributes": "x"}])
def test_message_whose_frame_is_damaged_is_read_all_the_same(members: dict[str, Any]) -> None:
    batch = sqs(s3_event(s3_record("a")))
    batch["Records"][0] |= members
    intake = decode(batch)
    assert [change.key for change in intake.changes] == ["a"]
    assert all(isinstance(message, str) for message in intake.messages)


def test_damaged_record_costs_the_others_of_its_message_nothing() -> None:
    damaged = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": {"object": "\ud800"}}
    intake = decode(s3_event(damaged, s3_record("a")))
    assert [change.key for change in intake.changes] == ["a"]
    assert len(intake.unreadable) == 1


class Surprise(dict[str, Any]):
    """What nobody has thought of."""

    def __contains__(self, name: object) -> bool:
        raise RuntimeError("surprise")


def test_whatever_goes_wrong_in_reading_is_the_message_s_own_trouble() -> None:
    intake = decode([Surprise(a=1), s3_event(s3_record("a"))])
    assert [change.key for change in intake.changes] == ["a"]
    [message] = intake.unreadable
    assert message.reason == "an object with a, damaged so that reading it failed: RuntimeError: surprise"


# Kinds


@pytest.mark.parametrize("what", [[], None, 7])
def test_eventbridge_event_without_a_name_is_an_error(what: object) -> None:
    reason = f"unknown S3 event of EventBridge: {str(what)!r}"
    assert decode(bridge_event("k", what)).unreadable == (Unreadable("", reason),)


def test_event_without_a_name_is_an_error() -> None:
    assert decode(s3_event(s3_record("k", ""))).unreadable == (Unreadable("", "an S3 event without a name"),)


def test_what_lambda_keeps_of_an_event_that_it_gave_up_is_read_as_that_event() -> None:
    """As it comes back from the dead letters of `trigger: direct`."""
    event = s3_event(s3_record("a.css"))
    kept = {
        "version": "1.0",
        "timestamp": "2026-11-23T10:00:00.000Z",
        "requestContext": {"requestId": "e4b46cbf", "condition": "RetriesExhausted", "approximateInvokeCount": 3},
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {
            "errorMessage": "fastly: purge of https://www.acme.com/a.css: retry",
            "errorType": "Undelivered",
        },
    }
    assert decode(ENVELOPES["sqs"](kept)).changes == tuple(decode(ENVELOPES["sqs"](event)).changes)
    job = {**kept, "requestPayload": {"multicdn": 1}}
    [refused] = decode(ENVELOPES["sqs"](job), own_queue="https://sqs.us-east-1.amazonaws.com/1/q").unreadable
    assert "does not come straight from the function's own queue" in refused.reason


def test_test_event_is_nothing_to_do_without_a_queue_too() -> None:
    intake = decode({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": SITE})
    assert (intake.changes, intake.unreadable, intake.queued) == ((), (), False)


# Damage stays where it is


PLUGIN = "; a plugin with the hook multicdn_read_event can read it (https://github.com/multicdn/multicdn/blob/main/docs/plugins.md)"
BRIDGE = "; let the rule's pattern take events of S3 alone: source aws.s3, or eventSource s3.amazonaws.com"

DAMAGED_RECORDS: dict[str, tuple[object, str]] = {
    "no object": (
        {**s3_record("x"), "s3": {"bucket": {"name": SITE}}},
        "a record of aws:s3 that can't be read (Object missing required field `object` - at `$.s3`): "
        "an object with eventName, eventSource, eventTime, s3 (eventSource='aws:s3')",
    ),
    "key is a number": (
        s3_record(7),
        "a record of aws:s3 that can't be read (Expected `str`, got `int` - at `$.s3.object.key`): "
        "an object with eventName, eventSource, eventTime, s3 (eventSource='aws:s3')",
    ),
    "empty key": (s3_record(""), "an S3 event without a key or a bucket"),
    "empty bucket": (s3_record("k", bucket=""), "an S3 event without a key or a bucket"),
    "SNS without a message": (
        {"EventSource": "aws:sns", "Sns": {}},
        "a record of aws:sns without its message: an object with EventSource, Sns",
    ),
    "SNS with a text": (
        {"EventSource": "aws:sns", "Sns": "x"},
        "a record of aws:sns without its message: an object with EventSource, Sns",
    ),
    "stranger": (
        {"eventSource": "aws:kinesis", "kinesis": {}},
        "unknown event shape: an object with eventSource, kinesis (eventSource='aws:kinesis')" + PLUGIN,
    ),
    "no object at all": (None, "unknown event shape: a NoneType" + PLUGIN),
    "a list": ([], "unknown event shape: a list" + PLUGIN),
    "a text": ("hello", "unknown event shape: text that isn't JSON: 'hello'" + PLUGIN),
}


@pytest.mark.parametrize(("record", "reason"), DAMAGED_RECORDS.values(), ids=DAMAGED_RECORDS)
def test_bad_record_costs_no_neighbour(record: object, reason: str) -> None:
    intake = decode(s3_event(s3_record("before"), record, s3_record("after")))
    assert [change.key for change in intake.changes] == ["before", "after"]
    assert intake.unreadable == (Unreadable("", reason),)


@pytest.mark.parametrize(("record", "reason"), DAMAGED_RECORDS.values(), ids=DAMAGED_RECORDS)
def test_bad_record_fails_its_message_and_keeps_the_rest_of_it(record: object, reason: str) -> None:
    intake = decode(sqs(s3_event(s3_record("a")), s3_event(s3_record("b"), record), s3_event(s3_record("c"))))
    assert [(change.key, change.cause) for change in intake.changes] == [("a", "m0"), ("b", "m1"), ("c", "m2")]
    assert intake.unreadable == (Unreadable("m1", reason),)


DAMAGED_BODIES = {
    "not JSON": ("hello", "unknown event shape: text that isn't JSON: 'hello'" + PLUGIN),
    "half of an object": ('{"Records": [', "unknown event shape: text that isn't JSON: '{\"Records\": ['" + PLUGIN),
    "empty": ("", "unknown event shape: text that isn't JSON: ''" + PLUGIN),
    "half a surrogate pair": ("\ud800", "unknown event shape: text that isn't JSON: '\\ud800'" + PLUGIN),
    "number": ("12", "unknown event shape: a int" + PLUGIN),
    "null": ("null", "unknown event shape: a NoneType" + PLUGIN),
    "no records": ('{"Records": []}', "unknown event shape: an object with Records" + PLUGIN),
    "records of the wrong type": ('{"Records": {"a": 1}}', "unknown event shape: an object with Records" + PLUGIN),
    "other": ('{"b": 1, "a": 2}', "unknown event shape: an object with a, b" + PLUGIN),
    "nothing": ("{}", "unknown event shape: an object with no members" + PLUGIN),
    "subscription": (
        '{"Type": "SubscriptionConfirmation", "Token": "t"}',
        "unknown event shape: an object with Token, Type" + PLUGIN,
    ),
    "EventBridge of another service": (
        '{"source": "aws.ec2", "detail-type": "x", "detail": {}}',
        "unknown event shape: an object with detail, detail-type, source (source='aws.ec2', detail-type='x')" + BRIDGE,
    ),
    "EventBridge without detail": (
        '{"source": "aws.s3", "detail-type": "Object Created"}',
        "an EventBridge event of S3 that can't be read (Expected `object`, got `null`)",
    ),
    "EventBridge without a key": (
        '{"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {}}}',
        "an EventBridge event of S3 that can't be read (Object missing required field `key` - at `$.object`)",
    ),
}


@pytest.mark.parametrize(("body", "reason"), DAMAGED_BODIES.values(), ids=DAMAGED_BODIES)
def test_bad_message_fails_alone_and_says_what_was_seen(body: str, reason: str) -> None:
    intake = decode(sqs(s3_event(s3_record("a")), body, s3_event(s3_record("c"))))
    assert [(change.key, change.cause) for change in intake.changes] == [("a", "m0"), ("c", "m2")]
    assert intake.unreadable == (Unreadable("m1", reason),)
    assert intake.messages == ("m0", "m1", "m2")


@pytest.mark.parametrize(
    "event", [None, 0, True, 1.5, "", "text", [], ["x"], {}, {"Records": None}, {"Records": []}, b"\xff\xfe"]
)
def test_event_of_unknown_shape_is_an_error_not_nothing_to_do(event: object) -> None:
    intake = decode(event)
    assert (intake.changes, intake.queued, len(intake.unreadable)) == ((), False, 1)
    assert intake.unreadable[0].reason.startswith("unknown event shape: ")


@pytest.mark.usefixtures("whole_stack")
@pytest.mark.parametrize("body", ["[" * 200_000, '{"Message":' * 100_000], ids=["lists", "objects"])
def test_endlessly_nested_json_is_refused(body: str) -> None:
    intake = decode(sqs(body, s3_event(s3_record("k"))))
    assert [change.key for change in intake.changes] == ["k"]
    assert [message.cause for message in intake.unreadable] == ["m0"]


def test_sqs_message_without_a_body_fails_alone() -> None:
    event = sqs(s3_event(s3_record("k")), "")
    del event["Records"][1]["body"]
    assert decode(event).unreadable == (Unreadable("m1", "unknown event shape: a NoneType" + PLUGIN),)


def test_batch_with_a_stranger_is_no_batch_from_sqs() -> None:
    event = sqs(s3_event(s3_record("k")))
    event["Records"].append(s3_record("direct"))
    intake = decode(event)
    assert [(change.key, change.cause) for change in intake.changes] == [("k", ""), ("direct", "")]
    assert (intake.queued, intake.messages) == (False, ())


BIG = "x" * 100_000


@pytest.mark.parametrize(
    "body",
    [
        BIG,
        json.dumps({BIG: 1}),
        json.dumps({f"member-{place}": 1 for place in range(10_000)}),
        json.dumps({"source": BIG}),
        json.dumps({"eventSource": BIG}),
        json.dumps({"source": {"a": BIG}}),
        json.dumps(s3_event(s3_record("k", BIG))),
        json.dumps(bridge_event("k", BIG)),
        json.dumps(bridge_event("k", [BIG])),
        json.dumps(s3_event({"eventSource": BIG})),
        json.dumps(s3_event({"eventSource": "aws:sns", "Sns": BIG})),
        json.dumps([BIG]),
        json.dumps(s3_event({**s3_record("k"), "s3": BIG})),
    ],
)
def test_nothing_that_is_told_repeats_a_big_message(body: str) -> None:
    intake = decode(sqs(body))
    [told] = [*(message.reason for message in intake.unreadable), *intake.unknown]
    assert len(told) < 1000


# Nesting


def nested(event: object, times: int) -> object:
    for _ in range(times):
        event = sns_body(event)
    return event


def test_envelopes_may_nest_six_deep() -> None:
    assert [change.key for change in decode(sqs(nested(s3_event(s3_record("k")), 6))).changes] == ["k"]


def test_deeper_envelopes_are_refused() -> None:
    intake = decode(sqs(nested(s3_event(s3_record("k")), 7)))
    assert intake.changes == ()
    assert intake.unreadable == (Unreadable("m0", "envelopes nested more than 6 deep"),)


def test_all_records_of_all_levels_carry_the_id_of_their_sqs_message() -> None:
    topics = {"Records": [sns_event(s3_event(s3_record(key)))["Records"][0] for key in ("b", "c")]}
    intake = decode(sqs(s3_event(s3_record("a")), sns_body(topics), bridge_event("d")))
    assert [(change.key, change.cause) for change in intake.changes] == [
        ("a", "m0"),
        ("b", "m1"),
        ("c", "m1"),
        ("d", "m2"),
    ]


# Messages of other shapes, read by plugins


def read_foreign(message: object) -> list[Change] | None:
    if isinstance(message, dict) and "files" in message:
        return [Change("foreign", name, cause="ignored") for name in message["files"]]
    if isinstance(message, str) and message.startswith("CHANGED "):
        return [Change("foreign", message.removeprefix("CHANGED "))]
    return None


@pytest.mark.parametrize("envelope", ["direct", "sqs", "sns", "sns in sqs"])
def test_foreign_message_is_read_through_every_envelope(envelope: str) -> None:
    intake = decode(ENVELOPES[envelope]({"files": ["a", "b"]}), read_foreign)
    cause = "m0" if intake.queued else ""
    assert list(intake.changes) == [Change("foreign", "a", cause=cause), Change("foreign", "b", cause=cause)]


def test_foreign_reader_sees_text_that_is_no_json_and_records_of_unknown_source() -> None:
    assert decode(sqs("CHANGED k"), read_foreign).changes == (Change("foreign", "k", cause="m0"),)
    event = s3_event({"eventSource": "acme:cms", "files": ["r"]})
    assert decode(event, read_foreign).changes == (Change("foreign", "r"),)


def test_foreign_message_without_changes_is_nothing_to_do() -> None:
    intake = decode(sqs({"files": []}), read_foreign)
    assert (intake.changes, intake.unreadable) == ((), ())


def test_message_that_the_foreign_reader_does_not_know_is_an_error() -> None:
    intake = decode(sqs({"pages": []}), read_foreign)
    assert intake.unreadable == (Unreadable("m0", "unknown event shape: an object with pages" + PLUGIN),)


def test_foreign_reader_is_never_asked_about_what_aws_sends() -> None:
    asked: list[object] = []

    def remember(message: object) -> None:
        asked.append(message)

    for name in RECORDED:
        decode(recorded(name), remember)
    assert asked == []


NO_KEY: Any = None


def failing(message: object) -> list[Change]:
    raise OSError("broken")


def half_failing(message: object) -> Any:
    yield Change("foreign", "half")
    raise OSError("broken")


@pytest.mark.parametrize(
    ("reader", "reason"),
    [
        (failing, "OSError: broken"),
        (half_failing, "OSError: broken"),
        (lambda message: 5, "TypeError: 'int' object is not iterable"),
        (lambda message: [{"bucket": "b", "key": "k"}], "TypeError: "),
        (lambda message: [Change("b", NO_KEY)], "ValidationError: Expected `str`, got `null` - at `$.key`"),
    ],
    ids=["raises", "raises halfway", "no list", "no Change", "Change without a key"],
)
@pytest.mark.parametrize("body", [{"files": []}, {"Records": [{"eventSource": "x"}]}], ids=["message", "record"])
def test_foreign_reader_that_fails_costs_its_message_only(reader: Any, reason: str, body: object) -> None:
    intake = decode(sqs(s3_event(s3_record("a")), body, s3_event(s3_record("c"))), reader)
    assert [change.key for change in intake.changes] == ["a", "c"]
    [message] = intake.unreadable
    assert message.cause == "m1"
    assert message.reason.startswith("a plugin failed to read an object with ")
    assert reason in message.reason
