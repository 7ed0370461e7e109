"""All the ways in which AWS hands an event over, each alone and within the others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kit.events import (
    BUCKET,
    SEQUENCER,
    TIME,
    batch_operation,
    bridge_event,
    given_up,
    s3_event,
    s3_record,
    trail_event,
)

from multicdn.events.envelopes import decode
from multicdn.events.intake import Tasks
from multicdn.model import Change, ChangeKind

KEY = "covers/issue 12.jpg"
CREATED, REMOVED, ACCESS = ChangeKind.CREATED, ChangeKind.REMOVED, ChangeKind.ACCESS


def sqs_record(body: object, **members: Any) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"messageId": "m", "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:x", "body": text, **members}


def sns_body(message: object) -> dict[str, Any]:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": json.dumps(message)}


def read(event: object) -> list[tuple[str, str, ChangeKind]]:
    intake = decode(event)
    assert intake.unreadable == ()
    return [(change.bucket, change.key, change.kind) for change in intake.changes]


def kinds(event: object) -> list[ChangeKind]:
    found = read(event)
    assert {(bucket, key) for bucket, key, _ in found} <= {(BUCKET, KEY)}
    return [kind for _, _, kind in found]


# Envelopes

ENVELOPES = {
    "direct": lambda event: event,
    "SQS": lambda event: {"Records": [sqs_record(event)]},
    "SNS": lambda event: {"Records": [{"EventSource": "aws:sns", "Sns": sns_body(event)}]},
    "SNS in SQS": lambda event: {"Records": [sqs_record(sns_body(event))]},
    "a list": lambda event: [event],
    "Pipes from SQS": lambda event: [sqs_record(event)],
    "Pipes with the body parsed": lambda event: [{**sqs_record(""), "body": event}],
    "one record of Pipes, in a Map state": sqs_record,
    "given up by Lambda": given_up,
    "given up, through SNS": lambda event: sns_body(given_up(event)),
    "given up, through EventBridge": lambda event: {
        "source": "lambda",
        "detail-type": "Lambda Function Invocation Result - Failure",
        "detail": given_up(event),
    },
    "given up, in SQS": lambda event: {"Records": [sqs_record(given_up(event))]},
    "given up twice": lambda event: given_up(given_up(event)),
    "printed by receive-message": lambda event: {
        "Messages": [{"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(event)}]
    },
    "one message of SQS's API": lambda event: {"MessageId": "m", "ReceiptHandle": "r", "Body": json.dumps(event)},
    "batch of a Map state": lambda event: {"Items": [event]},
    "batch with an input": lambda event: {"BatchInput": {"run": 7}, "Items": [event]},
}

EVENTS = {
    "S3": s3_event(),
    "a record of S3": s3_record(),
    "EventBridge": bridge_event(reason="PutObject", size=5, sequencer=SEQUENCER),
    "detail": bridge_event(reason="PutObject", size=5, sequencer=SEQUENCER)["detail"],
    "CloudTrail": trail_event("PutObject"),
    "row": {"Bucket": BUCKET, "Key": KEY, "LastModified": "2026-10-02T07:15:04Z"},
}


@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("event", EVENTS)
def test_every_shape_is_read_in_every_envelope(event: str, envelope: str) -> None:
    assert kinds(ENVELOPES[envelope](EVENTS[event])) == [CREATED]


def test_a_list_costs_only_what_is_wrong_in_it() -> None:
    intake = decode([s3_event(key="a"), {"what": 1}, "text", s3_event(key="b")])
    assert [change.key for change in intake.changes] == ["a", "b"]
    assert len(intake.unreadable) == 2


def test_a_batch_of_pipes_is_answered_by_message() -> None:
    intake = decode([sqs_record(s3_event(key="a")), sqs_record("broken", messageId="n")])
    assert (intake.queued, intake.messages) == (True, ("m", "n"))
    assert [message.cause for message in intake.unreadable] == ["n"]


def test_job_in_a_printed_message_may_be_looked_at_and_not_be_done() -> None:
    job = {"multicdn": 1, "provider": "www", "action": "purge", "kind": "url", "targets": ["https://a/"], "attempt": 1}
    printed = {"Messages": [{"MessageId": "m", "Body": json.dumps({**job, "since": 0.0})}]}
    [seen] = decode(printed).queued_jobs
    assert seen.job.targets == ("https://a/",)
    refused = decode({"Records": [sqs_record(printed)]}, own_queue="https://sqs.us-east-1.amazonaws.com/1/q")
    assert (refused.queued_jobs, len(refused.unreadable)) == ((), 1)


# Dead letters of `trigger: direct`


def test_letter_of_the_case_is_read_as_the_event_in_it() -> None:
    [change] = decode(given_up(s3_event())).changes
    assert change == Change(BUCKET, KEY, CREATED, sequencer=SEQUENCER, time=TIME)


# EventBridge, and what an input path or transformer leaves of it

WHOLE = bridge_event(reason="PutObject", size=5, etag="e", sequencer=SEQUENCER)
DELETED = bridge_event("Object Deleted", reason="DeleteObject", sequencer=SEQUENCER, **{"deletion-type": "x"})


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        pytest.param(WHOLE["detail"], CREATED, id="detail: created"),
        pytest.param(DELETED["detail"], REMOVED, id="detail: deleted"),
        pytest.param({"detail": WHOLE["detail"]}, CREATED, id="nothing but detail"),
        pytest.param({"detail-type": "Object Deleted", "detail": DELETED["detail"]}, REMOVED, id="without source"),
        pytest.param(
            {"detail-type": "Object Deleted", "detail": {**WHOLE["detail"], "object": {"key": KEY}}},
            REMOVED,
            id="the type decides",
        ),
        pytest.param({"bucket": {"name": BUCKET}, "object": {"key": KEY, "size": 5}}, CREATED, id="part with a size"),
        pytest.param({"bucket": {"name": BUCKET}, "object": {"key": KEY}}, REMOVED, id="part that doesn't say"),
        pytest.param(bridge_event("Object ACL Updated")["detail"], ACCESS, id="detail: ACL"),
        pytest.param(
            bridge_event("x", size=5, **{"restore-expiry-time": TIME})["detail"] | {"source-storage-class": "GLACIER"},
            ACCESS,
            id="detail: restored",
        ),
    ],
)
def test_part_of_an_event_that_a_rule_leaves(event: object, kind: ChangeKind) -> None:
    assert kinds(event) == [kind]


def test_detail_of_another_storage_class_is_nothing_to_do() -> None:
    detail = bridge_event("x", size=5)["detail"] | {"destination-storage-class": "GLACIER_IR"}
    assert decode(detail).ignored == {"Object Storage Class Changed": 1}


@pytest.mark.parametrize("key", ["a+b %41", "100%"])
def test_part_of_a_notification_has_its_key_encoded_and_part_of_an_event_not(key: str) -> None:
    part = {"bucket": {"name": BUCKET}, "object": {"key": key, "size": 5}}
    assert read(part) == [(BUCKET, key, CREATED)]
    decoded = key.replace("+", " ").replace("%41", "A")
    kept = s3_record(key=key, size=5)["s3"]
    assert read(kept) == [(BUCKET, decoded, CREATED)]
    assert read({"eventName": "ObjectRemoved:Delete", "s3": kept}) == [(BUCKET, decoded, REMOVED)]


# CloudTrail


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (trail_event("PutObject"), [CREATED]),
        (trail_event("CopyObject", asked={"x-amz-copy-source": "other/a"}), [CREATED]),
        (trail_event("CompleteMultipartUpload", asked={"uploadId": "u"}), [CREATED]),
        (trail_event("DeleteObject"), [REMOVED]),
        (trail_event("DeleteObject", asked={"versionId": "v"}), [REMOVED]),
        (trail_event("PutObjectAcl", asked={"acl": ""}), [ACCESS]),
        (trail_event("PutObjectTagging", asked={"tagging": ""}), [ACCESS]),
        (trail_event("DeleteObjectTagging"), [ACCESS]),
        (trail_event("GetObject", readOnly=True), []),
        (trail_event("HeadObject", readOnly="true"), []),
        (trail_event("ListObjects", None, readOnly=True), []),
        (trail_event("PutObject", errorCode="AccessDenied", errorMessage="Access Denied"), []),
        (trail_event("DeleteObject", errorCode="NoSuchBucket"), []),
        (trail_event("UploadPart", asked={"partNumber": "1"}), []),
        (trail_event("CreateMultipartUpload"), []),
        (trail_event("AbortMultipartUpload"), []),
        (trail_event("RestoreObject"), []),
        (trail_event("PutBucketPolicy", None), []),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_call_that_cloudtrail_tells_of(event: dict[str, Any], expected: list[ChangeKind], whole: bool) -> None:
    assert kinds(event if whole else event["detail"]) == expected
    intake = decode(event)
    assert (sum(intake.ignored.values()), intake.unknown) == (not expected, {})


def test_key_of_cloudtrail_is_not_encoded_and_says_when() -> None:
    [change] = decode(trail_event("PutObject", "a+b%41.jpg", responseElements={"x-amz-version-id": "v"})).changes
    assert change == Change(BUCKET, "a+b%41.jpg", CREATED, version="v", time="2026-10-02T07:15:04Z")


@pytest.mark.parametrize(
    "source", [f"/{BUCKET}/old+1%.jpg", f"{BUCKET}/old%2B1%25.jpg", f"%2F{BUCKET}%2Fold%2B1%25.jpg", "old+1%25.jpg"]
)
def test_renaming_is_both(source: str) -> None:
    event = trail_event("RenameObject", "new.jpg", eventSource="s3express.amazonaws.com")
    event["detail"]["requestParameters"]["x-amz-rename-source"] = source
    assert read(event) == [(BUCKET, "new.jpg", CREATED), (BUCKET, "old+1%.jpg", REMOVED)]


POINT = "arn:aws:s3:eu-west-1:123456789012:accesspoint/site"
BY_POINT = {"type": "AWS::S3::AccessPoint", "ARN": POINT}
OWN, OTHER = ({"type": "AWS::S3::Bucket", "ARN": f"arn:aws:s3:::{name}"} for name in (BUCKET, "other"))


@pytest.mark.parametrize(
    ("named", "resources", "bucket"),
    [
        (POINT, [{"type": "AWS::S3::Object", "ARN": f"arn:aws:s3:::{BUCKET}/a"}, OWN, BY_POINT], BUCKET),
        ("site-1f4-s3alias", [OWN, BY_POINT], BUCKET),
        ("site--use1-az4--xa-s3", [
            {"type": "AWS::S3Express::DirectoryBucket", "ARN": f"arn:aws:s3express:us-east-1:1:bucket/{BUCKET}"},
            BY_POINT,
        ], BUCKET),
        (BUCKET, [OTHER, OWN, BY_POINT], BUCKET),
        (BUCKET, [OTHER], BUCKET),
        (POINT, [OTHER, OWN, BY_POINT], POINT),
        (POINT, "damaged", POINT),
    ],
)  # fmt: skip
def test_access_point_of_a_call_stands_for_its_bucket(named: str, resources: Any, bucket: str) -> None:
    assert read(trail_event("PutObject", "a", asked={"bucketName": named}, resources=resources)) == [
        (bucket, "a", CREATED)
    ]


@pytest.mark.parametrize("call", ["DeleteObjects", "PostObject", "DeleteObject"])
def test_change_that_names_no_keys_says_what_to_do(call: str) -> None:
    [message] = decode(trail_event(call, None)).unreadable
    assert message.reason == (
        f"CloudTrail's {call} in media-prod, which names no keys; let the bucket notify EventBridge or the queue "
        "itself, or purge by hand: multicdn purge --prefix"
    )


def test_write_that_nobody_knows_is_a_warning() -> None:
    intake = decode(trail_event("MeltObject"))
    assert (intake.changes, intake.unreadable, intake.unknown) == ((), (), {"MeltObject of CloudTrail": 1})


# Step Functions


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"Bucket": BUCKET, "Key": "a+b", "LastModified": TIME}, ["a+b"]),
        ({"Items": [{"Key": "a+b", "LastModified": TIME, "Size": 1}], "BatchInput": {"Bucket": BUCKET}}, ["a+b"]),
        ({"Items": [{"Key": "a"}, {"Key": "b"}], "BatchInput": {"bucket": BUCKET}}, ["a", "b"]),
        # Of an inventory, whose keys are encoded; but who wrote the table isn't known.
        ({"Items": [{"Bucket": BUCKET, "Key": "a+b%20c", "LastModifiedDate": TIME}]}, ["a b c", "a+b%20c"]),
        ({"Items": [{"Bucket": BUCKET, "Key": "plain"}], "BatchInput": {"Bucket": "other"}}, ["plain"]),
    ],
)
def test_rows_of_a_map_state(event: object, expected: list[str]) -> None:
    assert read(event) == [(BUCKET, key, CREATED) for key in expected]


@pytest.mark.parametrize("event", [{"Key": "a", "Size": 5}, {"Items": [{"Key": "a", "Size": 5}]}])
def test_row_without_its_bucket_says_what_to_do(event: object) -> None:
    [message] = decode(event).unreadable
    assert message.reason == (
        "unknown event shape: an object with Key, Size; an object without its bucket: let the ItemSelector, or "
        "BatchInput, add it as Bucket"
    )


# S3 Batch Operations


@pytest.mark.parametrize("schema", ["1.0", "2.0"])
def test_tasks_of_batch_operations(schema: str) -> None:
    intake = decode(batch_operation("covers/issue%2012.jpg", "a+b%2Bc", schema=schema))
    assert intake.changes == (Change(BUCKET, KEY, cause="i1:t1"), Change(BUCKET, "a b+c", cause="i1:t2"))
    assert intake.tasks == Tasks(schema, "i1", {"i1:t1": "t1", "i1:t2": "t2"})
    assert not intake.queued


def test_tasks_that_come_by_a_queue_are_its_messages() -> None:
    intake = decode({"Records": [sqs_record(batch_operation("a", ""))]})
    assert (intake.tasks, intake.queued) == (None, True)
    assert [change.cause for change in intake.changes] == ["m"]
    assert [message.cause for message in intake.unreadable] == ["m"]


def test_bad_task_costs_no_neighbour() -> None:
    event = batch_operation("a", "", "b")
    event["tasks"].insert(0, {"taskId": "t0", "s3Bucket": BUCKET})
    intake = decode(event)
    assert [change.key for change in intake.changes] == ["a", "b"]
    assert {message.cause: message.reason for message in intake.unreadable} == {
        "i1:t0": "a task of S3 Batch Operations without an s3Key: an object with s3Bucket, taskId",
        "i1:t2": "an S3 event without a key or a bucket",
    }


# What can't be read


@pytest.mark.parametrize(
    ("event", "remedy"),
    [
        ({"bucket": "b", "key": "k"}, "let the input transformer keep the event or its `detail`"),
        ({"source": "aws.ec2", "detail-type": "x", "detail": {}}, "let the rule's pattern take events of S3 alone"),
        ({"Type": "SubscriptionConfirmation", "SubscribeURL": "https://sns"}, "open its SubscribeURL"),
        ({"version": "2.0", "requestContext": {"http": {}}, "body": "{}"}, "let the gateway put it into the queue"),
        ({"Messages": [{"MessageId": "m", "Body": "{}"}, {"MessageId": "n"}]}, "a plugin with the hook"),
        (
            {"pages": []},
            "a plugin with the hook multicdn_read_event can read it (https://github.com/multicdn/multicdn/blob/main/docs/plugins.md)",
        ),
        (
            "hello",
            "a plugin with the hook multicdn_read_event can read it (https://github.com/multicdn/multicdn/blob/main/docs/plugins.md)",
        ),
    ],
)
def test_what_cannot_be_read_names_its_members_and_the_remedy(event: Any, remedy: str) -> None:
    [message] = decode(event).unreadable
    assert remedy in message.reason
    assert all(name in message.reason for name in (event if isinstance(event, dict) else ()))
