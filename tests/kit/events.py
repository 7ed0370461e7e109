"""Events as AWS and other stores hand them over, a change each, for tests that are about what they mean."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import botocore

BUCKET = "media-prod"
SEQUENCER = "0066FD0C9A3B1F2E4D"
TIME = "2026-10-02T07:15:04.201Z"


def sdk_event_names() -> list[str]:
    """The names of S3's events in botocore's own enumeration, those of whole families too."""
    path = Path(botocore.__file__).parent / "data/s3/2006-03-01/service-2.json"
    packed = path.with_name(f"{path.name}.gz")
    text = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    found: list[str] = json.loads(text)["shapes"]["Event"]["enum"]
    return found


def s3_record(name: str = "ObjectCreated:Put", key: str = "covers/issue+12.jpg", **members: Any) -> dict[str, Any]:
    """A record of S3 itself."""
    found = {"key": key, "sequencer": SEQUENCER, **members}
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": TIME,
        "eventName": name,
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": BUCKET}, "object": found},
    }


def s3_event(name: str = "ObjectCreated:Put", key: str = "covers/issue+12.jpg", **members: Any) -> dict[str, Any]:
    """A notification with one record."""
    return {"Records": [s3_record(name, key, **members)]}


def bridge_event(what: str = "Object Created", key: str = "covers/issue 12.jpg", **members: Any) -> dict[str, Any]:
    """An event of EventBridge; members that S3 puts beside the object go into the detail."""
    beside = {name: members.pop(name) for name in ("reason", "deletion-type", "restore-expiry-time") if name in members}
    detail = {
        "version": "0",
        "bucket": {"name": BUCKET},
        "object": {"key": key, **members},
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        **beside,
    }
    return {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": what,
        "source": "aws.s3",
        "time": "2026-10-02T07:15:04Z",
        "detail": detail,
    }


def given_up(payload: object) -> dict[str, Any]:
    """What Lambda keeps of an asynchronous event that it gave up."""
    context = {"requestId": "e0c1", "condition": "RetriesExhausted", "approximateInvokeCount": 3}
    answer = {"errorMessage": "fastly: purge of https://www.example.org/a.jpg: retry: 503", "errorType": "Undelivered"}
    return {
        "version": "1.0",
        "timestamp": "2026-10-02T07:21:33.105Z",
        "requestContext": context,
        "requestPayload": payload,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": answer,
    }


def batch_operation(*keys: str, schema: str = "2.0", **members: Any) -> dict[str, Any]:
    """A call of S3 Batch Operations with the tasks t1, t2 and so on."""
    bucket = {"s3Bucket": BUCKET} if schema == "2.0" else {"s3BucketArn": f"arn:aws:s3:::{BUCKET}"}
    tasks = [
        {"taskId": f"t{place}", "s3Key": key, "s3VersionId": None, **bucket} for place, key in enumerate(keys, start=1)
    ]
    job = {"id": "f3cc4f60", **({"userArguments": {}} if schema == "2.0" else {})}
    return {"invocationSchemaVersion": schema, "invocationId": "i1", "job": job, "tasks": tasks, **members}


def trail_event(name: str, key: str | None = "covers/issue 12.jpg", **members: Any) -> dict[str, Any]:
    """A call of S3's API as CloudTrail tells of it by way of EventBridge."""
    asked = {"bucketName": BUCKET, "Host": f"{BUCKET}.s3.amazonaws.com", **members.pop("asked", {})}
    detail = {
        "eventVersion": "1.09",
        "eventTime": "2026-10-02T07:15:04Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": name,
        "requestParameters": {**asked, **({"key": key} if key is not None else {})},
        "responseElements": None,
        "readOnly": False,
        "eventCategory": "Data",
        **members,
    }
    return {"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail", "time": TIME, "detail": detail}
