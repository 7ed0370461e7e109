"""Turn what the simulator sent into what AWS sends: fixed ids and times, and AWS's form where the simulator differs.

Sources: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html and ev-events.html,
docs.aws.amazon.com/lambda/latest/dg/with-sqs.html and with-sns.html. README.md lists every difference.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND = "2026-11-23T09:00:00"
_SENT, _RECEIVED = "1795424400123", "1795424400130"
_EMPTY_MD5 = hashlib.md5(b"", usedforsecurity=False).hexdigest()
_FIRST_SEQUENCER = 0x0065A1B2C3D4E5F601
_SNS = "https://sns.us-east-1.amazonaws.com"
_ACCOUNT = "123456789012"


def in_aws_form(name: str, event: Any) -> Any:
    """Rewrite one recorded Lambda event. ``name`` makes its ids differ from those of other fixtures."""
    return _Rewriter(name, sorted(_sequencers(event))).rewrite(event)


class _Rewriter:
    def __init__(self, name: str, sequencers: list[str]) -> None:
        self._name = name
        self._sequencers = sequencers
        self._rules: dict[str, Callable[[Any], Any]] = {
            "sequencer": self._sequencer,
            "body": self._text,
            "Message": self._text,
            "x-amz-request-id": self._request_id,
            "request-id": self._request_id,
            "RequestId": self._request_id,
            "x-amz-id-2": lambda _: self._base64("host", 57),
            "HostId": lambda _: self._base64("host", 57),
            "receiptHandle": lambda value: "AQEB" + self._base64(value, 120),
            "Signature": lambda _: self._base64("signature", 256),
            "versionId": lambda value: self._base64(value, 24).replace("+", ".").replace("/", "_"),
            "messageId": self._uuid,
            "MessageId": self._uuid,
            "id": self._uuid,
            "eventTime": lambda _: f"{_SECOND}.123Z",
            "Timestamp": lambda _: f"{_SECOND}.456Z",
            "Time": lambda _: f"{_SECOND}.123Z",
            "time": lambda _: f"{_SECOND}Z",
            "SentTimestamp": lambda _: _SENT,
            "ApproximateFirstReceiveTimestamp": lambda _: _RECEIVED,
            "sourceIPAddress": lambda _: "203.0.113.7",
            "source-ip-address": lambda _: "203.0.113.7",
            "userIdentity": lambda _: {"principalId": "AWS:AIDACKCEVSQ6C2EXAMPLE"},
            "ownerIdentity": lambda _: {"principalId": "A3NL1KOZZKEXAMPLE"},
            "EventSubscriptionArn": lambda value: f"{value.rpartition(':')[0]}:{self._uuid('subscription')}",
        }

    def rewrite(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.rewrite(item) for item in value]
        if not isinstance(value, dict):
            return value
        changed = {name: self._rules.get(name, self.rewrite)(member) for name, member in value.items()}
        if "s3" in changed:
            _correct_s3_record(changed)
        if changed.get("source") == "aws.s3":
            self._correct_bridge_event(changed)
        if changed.get("EventSource") == "aws:sns":
            _correct_sns_record(changed)
        if changed.get("Type") == "Notification":
            changed.update(SigningCertURL=f"{_SNS}/SimpleNotificationService-0123456789abcdef.pem")
            changed.update(UnsubscribeURL=f"{_SNS}/?Action=Unsubscribe&SubscriptionArn={changed['TopicArn']}:example")
        if "md5OfBody" in changed:
            changed["md5OfBody"] = hashlib.md5(changed["body"].encode(), usedforsecurity=False).hexdigest()
        return changed

    def _text(self, text: str) -> str:
        """Rewrite JSON inside a string, spaced as its sender spaces it: SNS over many lines, S3 without a blank."""
        content = self.rewrite(json.loads(text))
        if content.get("Type") == "Notification":
            return json.dumps(content, indent=2, separators=(",", " : "), ensure_ascii=False)
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)

    def _correct_bridge_event(self, event: dict[str, Any]) -> None:
        """On deletion AWS gives neither size nor, but for a marker, etag; with versions it always gives the id."""
        detail = event["detail"]
        seen, deleted = detail["object"], detail.get("deletion-type")
        if deleted:
            seen.pop("size"), seen.pop("etag")
        if deleted == "Delete Marker Created":
            seen["etag"] = _EMPTY_MD5
        if "versioned" in detail["bucket"]["name"]:
            seen["version-id"] = self._rules["versionId"](seen["key"] + str(deleted))
        detail["object"] = {name: seen[name] for name in _OBJECT_ORDER if name in seen}

    def _sequencer(self, value: str) -> str:
        return f"{_FIRST_SEQUENCER + self._sequencers.index(value):018X}"

    def _uuid(self, value: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._name}/{self._ordinal(value)}"))

    def _request_id(self, value: str) -> str:
        return self._digest(value).hex()[:16].upper()

    def _base64(self, value: str, size: int) -> str:
        return base64.b64encode((self._digest(value) * (size // 32 + 1))[:size]).decode()

    def _digest(self, value: str) -> bytes:
        return hashlib.sha256(f"{self._name}/{self._ordinal(value)}".encode()).digest()

    def _ordinal(self, value: str) -> int:
        """Number the volatile values as they come, so that a new recording gives the same file."""
        seen: dict[str, int] = self.__dict__.setdefault("_seen", {})
        return seen.setdefault(value, len(seen))


_OBJECT_ORDER = ("key", "size", "etag", "version-id", "sequencer")


def _correct_s3_record(record: dict[str, Any]) -> None:
    """On removal AWS gives neither size nor, but for a marker (the etag of nothing), eTag."""
    family, _, how = record["eventName"].partition(":")
    if family == "ObjectRemoved":
        seen = record["s3"]["object"]
        del seen["size"], seen["eTag"]
        if how == "DeleteMarkerCreated":
            record["s3"]["object"] = {"key": seen.pop("key"), "eTag": _EMPTY_MD5, **seen}


def _correct_sns_record(record: dict[str, Any]) -> None:
    """In Lambda, unlike in a queue, these two are spelled ``Url``, and there are always attributes."""
    message = record["Sns"]
    for name in ("SigningCertURL", "UnsubscribeURL"):
        message[name.replace("URL", "Url")] = message.pop(name)
    message["MessageAttributes"] = {}


def _sequencers(value: Any) -> set[str]:
    if isinstance(value, str) and value.startswith("{"):
        return _sequencers(json.loads(value))
    if isinstance(value, dict):
        here = {value["sequencer"]} if "sequencer" in value else set()
        return here.union(*map(_sequencers, value.values()))
    return set().union(*map(_sequencers, value)) if isinstance(value, list) else set()
