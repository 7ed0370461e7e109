"""Calls of S3's API as CloudTrail tells of them by way of EventBridge: writes are changes, reads are nothing to do.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html lists the calls.
"""

from __future__ import annotations

from typing import Any

from multicdn.errors import EventError
from multicdn.events.describe import cut
from multicdn.events.s3 import Ignored, check_name
from multicdn.model import Change, ChangeKind

_SOURCES = ("s3.amazonaws.com", "s3express.amazonaws.com")

_KINDS = {
    "PutObject": ChangeKind.CREATED,
    "PostObject": ChangeKind.CREATED,
    "CopyObject": ChangeKind.CREATED,
    "CompleteMultipartUpload": ChangeKind.CREATED,
    "RenameObject": ChangeKind.CREATED,
    "DeleteObject": ChangeKind.REMOVED,
    "PutObjectAcl": ChangeKind.ACCESS,
    "PutObjectTagging": ChangeKind.ACCESS,
    "DeleteObjectTagging": ChangeKind.ACCESS,
}

# Writes after which the object is served as before. A restore that was asked for has not ended.
_HARMLESS = frozenset({
    "CreateMultipartUpload", "InitiateMultipartUpload", "UploadPart", "UploadPartCopy", "AbortMultipartUpload",
    "RestoreObject", "PutObjectRetention", "PutObjectLegalHold",
})  # fmt: skip

# Its record names no key: the keys stand in the body of the request, which CloudTrail doesn't keep.
_NAMELESS = "DeleteObjects"

_RENAMED_FROM = "x-amz-rename-source"


def is_record(content: object) -> bool:
    """Whether it is CloudTrail's record of a call of S3."""
    return isinstance(content, dict) and content.get("eventSource") in _SOURCES and "eventName" in content


def read(content: dict[str, Any], cause: str) -> list[Change | Ignored]:
    """What a call has changed. Keys aren't encoded.

    Raises:
        EventError: it changed objects that it doesn't name.
    """
    name = str(content["eventName"])
    if content.get("errorCode") or content.get("readOnly") in (True, "true") or name in _HARMLESS:
        return [Ignored(f"{cut(name)} of CloudTrail")]
    asked = content.get("requestParameters") or {}
    bucket, key = str(asked.get("bucketName") or ""), str(asked.get("key") or "")
    if name == _NAMELESS:
        raise EventError(
            f"CloudTrail's {name} in {bucket or 'a bucket'}, which names no keys; let the bucket notify EventBridge or "
            f"the queue itself, or purge by hand: multicdn purge --prefix"
        )
    kind = _KINDS.get(name)
    if kind is None or not key:  # without a key it is about the bucket: its policy, its settings
        return [Ignored(f"{cut(name)} of CloudTrail", known=not key)]
    check_name(bucket, key)
    changes: list[Change | Ignored] = [_change(content, bucket, key, kind, cause)]
    source = str(asked.get(_RENAMED_FROM) or "").removeprefix("/").removeprefix(f"{bucket}/")
    if source:
        changes.append(_change(content, bucket, source, ChangeKind.REMOVED, cause))
    return changes


def _change(content: dict[str, Any], bucket: str, key: str, kind: ChangeKind, cause: str) -> Change:
    answer = content.get("responseElements") or {}
    version = str(answer.get("x-amz-version-id") or (content["requestParameters"]).get("versionId") or "")
    return Change(bucket, key, kind, version=version, time=str(content.get("eventTime") or ""), cause=cause)
