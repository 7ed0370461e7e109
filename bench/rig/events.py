"""What AWS hands over: an upload as S3 tells of it, and batches of SQS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable

BUCKET = "acme-site"


def record(key: str, number: int = 1) -> dict[str, Any]:
    """An object that was created, as S3 writes it; the number is its sequencer's."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-23T08:15:30.123Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810", "x-amz-id-2": "FMyUVURIY8/IgAtTv8xRjskZQpcIZ9KG"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "multicdn",
            "bucket": {"name": BUCKET, "ownerIdentity": {"principalId": "A3NL"}, "arn": f"arn:aws:s3:::{BUCKET}"},
            "object": {
                "key": quote_plus(key, safe="/"),
                "size": 1024,
                "eTag": f"{number:032x}",
                "sequencer": f"{number:016X}",
            },
        },
    }


def uploads(keys: Iterable[str], first: int = 1) -> dict[str, Any]:
    """One event of S3 with a record for each key."""
    return {"Records": [record(key, number) for number, key in enumerate(keys, first)]}


def batch(keys: Iterable[str]) -> dict[str, Any]:
    """A batch of SQS with a message of one record for each key."""
    bodies = [json.dumps({"Records": [record(key, number)]}) for number, key in enumerate(keys)]
    messages = [
        {"messageId": f"m{number}", "eventSource": "aws:sqs", "body": body} for number, body in enumerate(bodies)
    ]
    return {"Records": messages}
