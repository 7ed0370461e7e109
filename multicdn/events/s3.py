"""One record of an S3 notification, by S3 or by a store that speaks its form: here its key is decoded, exactly once.

Shape: docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html; real examples in tests/data/.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote_plus, unquote_plus

import msgspec
from msgspec import Struct

from multicdn.errors import EventError
from multicdn.events import names
from multicdn.events.describe import cut, seen
from multicdn.model import Change, ChangeKind, is_text
from multicdn.provenance import LONGEST_TEXT

# Ceph sends keys as they are, and a sequencer whose bytes stand in the order of its processor, so that they don't sort:
# github.com/ceph/ceph, src/rgw/driver/rados/rgw_notify.cc, populate_event (read in source, not seen on the wire).
_CEPH = "ceph:s3"


class Ignored(Struct, frozen=True):
    """An event for which there is nothing to do.

    Attributes:
        name: of the event.
        known: whether that was decided; else nobody knows what the event means.
    """

    name: str
    known: bool = True


class _Bucket(Struct, gc=False):
    """A bucket."""

    name: str


class _Object(Struct, gc=False):
    """An object, with the names that S3 and EventBridge give its members."""

    key: str
    eTag: str = ""
    etag: str = ""
    versionId: str | None = None
    version_id: str | None = msgspec.field(default=None, name="version-id")
    sequencer: str = ""

    @property
    def version(self) -> str:
        """Id of the version; empty in a bucket without."""
        return self.versionId or self.version_id or ""


class Entity(Struct, gc=False):
    """Where something happened."""

    bucket: _Bucket
    object: _Object


class _Identity(Struct, gc=False):
    """Who did something."""

    principalId: str | None = None


class _Request(Struct, gc=False):
    """How it was asked for."""

    sourceIPAddress: str | None = None


class Record(Struct, gc=False):
    """A record of S3's own: what we need of it."""

    eventSource: Literal["aws:s3"]
    eventName: str
    s3: Entity
    eventTime: str = ""
    userIdentity: _Identity | None = None
    requestParameters: _Request | None = None


class Lookalike(Struct):
    """A record in S3's form, whoever sent it: who did it is for the log alone, and may have any form."""

    eventName: str
    s3: Entity
    eventTime: str = ""
    userIdentity: Any = None
    requestParameters: Any = None


class Notification(Struct):
    """An S3 notification whose records are all as they should be."""

    Records: Annotated[tuple[Record, ...], msgspec.Meta(min_length=1)]
    multicdnWaiting: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


def record(content: object, source: str = "aws:s3") -> Lookalike:
    """Read a record of a notification, and make one of Ceph what S3 would have sent.

    Raises:
        EventError: it has another shape.
    """
    try:
        read = msgspec.convert(content, Lookalike)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise EventError(f"a record of {cut(source)} that can't be read ({error}): {seen(content)}") from None
    if source == _CEPH:
        found = read.s3.object
        found.key, found.sequencer = quote_plus(found.key, errors="surrogatepass"), ""
    return read


def from_s3(read: Record | Lookalike, cause: str) -> Change | Ignored:
    """What a record tells of. Its key is encoded like a form: a space is ``+``, other bytes ``%XX``.

    Raises:
        EventError: it lacks its object, or the name of the event.
    """
    kind = names.meaning(read.eventName)
    if kind is not ChangeKind.CREATED:
        name = read.eventName.removeprefix("s3:")
        if not isinstance(kind, ChangeKind):
            return _ignored(name, kind)
        if name == names.LIFECYCLE_DELETE and read.s3.object.version:
            return Ignored(f"{name} of a version")
    key = read.s3.object.key
    if "%" in key or "+" in key:
        key = unquote_plus(key, errors="surrogateescape")
    return change(read.s3, key, kind, read.eventTime, cause, *_who(read))


def _who(read: Record | Lookalike) -> tuple[str, str]:
    """Who did it, and from where."""
    who, how = read.userIdentity, read.requestParameters
    if isinstance(who, _Identity) and isinstance(how, _Request):
        return short(who.principalId), short(how.sourceIPAddress)
    return short(_member(who, "principalId")), short(_member(how, "sourceIPAddress"))


def _member(content: object, name: str) -> object:
    """A member of what may be no object at all."""
    return content.get(name) if isinstance(content, dict) else getattr(content, name, None)


def short(value: object) -> str:
    """What the log is to say of a text; empty for what is none."""
    if isinstance(value, str) and (value.isascii() or is_text(value)):
        return value[:LONGEST_TEXT]
    return ""


def _ignored(name: str, meaning: names.Nothing) -> Ignored:
    if not name:
        raise EventError("an S3 event without a name")
    return Ignored(cut(name), known=meaning is not names.Nothing.UNKNOWN)


def decoded(key: str) -> str:
    """A key that was encoded like a form. What isn't UTF-8 in it becomes what ``check_name`` refuses."""
    return unquote_plus(key, errors="surrogateescape") if "%" in key or "+" in key else key


def change(
    entity: Entity, key: str, kind: ChangeKind, time: str, cause: str, principal: str = "", source_ip: str = ""
) -> Change:
    """The change of an object.

    Raises:
        EventError: there is no such object.
    """
    bucket, found = entity.bucket.name, entity.object
    if not key or not bucket or not key.isascii():
        check_name(bucket, key)
    version = found.versionId or found.version_id or ""
    etag = found.eTag or found.etag
    return Change(bucket, key, kind, etag, version, found.sequencer, time, cause, principal, source_ip)


def check_name(bucket: str, key: str) -> None:
    """Refuse what no object can be called.

    Raises:
        EventError: says why.
    """
    if not key or not bucket:
        raise EventError("an S3 event without a key or a bucket")
    if not key.isascii() and not is_text(key):
        raise EventError(f"an S3 event whose key isn't text: {cut(ascii(key))}")
