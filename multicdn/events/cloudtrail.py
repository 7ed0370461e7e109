"""Calls of S3's API as CloudTrail tells of them by way of EventBridge: writes are changes, reads are nothing to do.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html lists the calls.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from multicdn.errors import EventError
from multicdn.events.describe import cut
from multicdn.events.s3 import Ignored, check_name, short
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

# Unlike the key it stands there as it was sent, which is encoded:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
_RENAMED_FROM = "x-amz-rename-source"

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-monitoring-logging.html
_ACCESS_POINT, _BUCKETS = "AWS::S3::AccessPoint", ("AWS::S3::Bucket", "AWS::S3Express::DirectoryBucket")


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
    asked = _members(content, "requestParameters")
    bucket, key = _bucket(content, str(asked.get("bucketName") or "")), str(asked.get("key") or "")
    kind = _KINDS.get(name)
    if name == _NAMELESS or (kind is not None and not key):
        raise EventError(
            f"CloudTrail's {name} in {bucket or 'a bucket'}, which names no keys; let the bucket notify EventBridge or "
            f"the queue itself, or purge by hand: multicdn purge --prefix"
        )
    if kind is None:  # without a key it is about the bucket: its policy, its settings
        return [Ignored(f"{cut(name)} of CloudTrail", known=not key)]
    check_name(bucket, key)
    changes: list[Change | Ignored] = [_change(content, bucket, key, kind, cause)]
    source = unquote(str(asked.get(_RENAMED_FROM) or "")).removeprefix("/").removeprefix(f"{bucket}/")
    if source:
        changes.append(_change(content, bucket, source, ChangeKind.REMOVED, cause))
    return changes


def _bucket(content: dict[str, Any], named: str) -> str:
    """The bucket of a call, which may have named an access point to it by its ARN or alias."""
    resources = content.get("resources")
    listed = [each for each in resources if isinstance(each, dict)] if isinstance(resources, list) else []
    if not any(each.get("type") == _ACCESS_POINT for each in listed):
        return named
    arns = [str(each.get("ARN") or "") for each in listed if each.get("type") in _BUCKETS]
    buckets = {arn.rpartition(":")[2].removeprefix("bucket/") for arn in arns}
    return named if named in buckets or len(buckets) != 1 else buckets.pop()


def _change(content: dict[str, Any], bucket: str, key: str, kind: ChangeKind, cause: str) -> Change:
    answer, asked = _members(content, "responseElements"), _members(content, "requestParameters")
    version = str(answer.get("x-amz-version-id") or asked.get("versionId") or "")
    identity = _members(content, "userIdentity")
    principal = short(identity.get("arn")) or short(identity.get("principalId"))
    source_ip, time = short(content.get("sourceIPAddress")), str(content.get("eventTime") or "")
    return Change(bucket, key, kind, version=version, time=time, cause=cause, principal=principal, source_ip=source_ip)


def _members(content: dict[str, Any], name: str) -> dict[str, Any]:
    found = content.get(name)
    return found if isinstance(found, dict) else {}
