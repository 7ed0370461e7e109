"""What the names of S3's events mean for caches: the only place where that is decided.

What counts is what a client of the object gets: other bytes, none any more, or an answer where there was a refusal.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
"""

from __future__ import annotations

from enum import Enum

from multicdn.model import ChangeKind


class Nothing(Enum):
    """Meanings that are no change."""

    SERVED_AS_BEFORE = "served as before"
    UNKNOWN = "unknown"


Meaning = ChangeKind | Nothing

_CREATED, _REMOVED, _ACCESS = ChangeKind.CREATED, ChangeKind.REMOVED, ChangeKind.ACCESS
_SAME, _UNKNOWN = Nothing.SERVED_AS_BEFORE, Nothing.UNKNOWN

# In a bucket with versions, lifecycle ends the current one by a delete marker. What it deletes for good is a noncurrent
# version, or a marker with nothing below it, and neither is served. A client may delete any version.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-configure-notification.html
LIFECYCLE_DELETE = "LifecycleExpiration:Delete"

_FAMILIES: dict[str, Meaning] = {
    "ObjectCreated": _CREATED,
    "ObjectRemoved": _REMOVED,
    "LifecycleExpiration": _REMOVED,
    "ObjectAcl": _ACCESS,
    # Policies may let in, or keep out, by the tags of an object (s3:ExistingObjectTag): virus scanners live by that.
    "ObjectTagging": _ACCESS,
    "ObjectRestore": _ACCESS,
    # The storage class isn't the bytes, and a copy of what was archived is still what its owner published.
    "LifecycleTransition": _SAME,
    "IntelligentTiering": _SAME,
    # The cached copy may be the last one.
    "ReducedRedundancyLostObject": _SAME,
    # Of the source; the destination's bucket tells of what it got.
    "Replication": _SAME,
    "ObjectAnnotation": _SAME,
    "ObjectRetention": _SAME,
    "TestEvent": _SAME,
    # MinIO: https://min.io/docs/minio/linux/administration/monitoring/bucket-notifications.html
    "ObjectAccessed": _SAME,
    "ObjectTransition": _SAME,
    "LifecycleDelMarkerExpiration": _SAME,
    "Scanner": _SAME,
    "BucketCreated": _SAME,
    "BucketRemoved": _SAME,
    # Ceph: https://docs.ceph.com/en/latest/radosgw/s3-notification-compatibility/
    "ObjectLifecycle": _SAME,
    "ObjectSynced": _CREATED,
}

_NAMES: dict[str, Meaning] = {
    "ObjectCreated:Put": _CREATED,  # as its family says; it is nearly every event, and found at once
    "ObjectRestore:Post": _SAME,
    # MinIO.
    "ObjectCreated:PutRetention": _SAME,
    "ObjectCreated:PutLegalHold": _SAME,
    "ObjectCreated:PutTagging": _ACCESS,
    "ObjectCreated:DeleteTagging": _ACCESS,
    "ObjectRemoved:NoOP": _SAME,
    # Ceph, which names here what arrives from another zone.
    "ObjectLifecycle:Expiration:Current": _REMOVED,
    "ObjectSynced:Delete": _REMOVED,
    "ObjectSynced:DeletionMarkerCreated": _REMOVED,
    "Replication:Create": _CREATED,
    "Replication:Delete": _REMOVED,
    "Replication:DeletionMarkerCreated": _REMOVED,
}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
_BRIDGE: dict[str, Meaning] = {
    "Object Created": _CREATED,
    "Object Deleted": _REMOVED,
    "Object ACL Updated": _ACCESS,
    "Object Tags Added": _ACCESS,
    "Object Tags Deleted": _ACCESS,
    "Object Restore Completed": _ACCESS,
    "Object Restore Expired": _ACCESS,
    "Object Restore Initiated": _SAME,
    "Object Storage Class Changed": _SAME,
    "Object Access Tier Changed": _SAME,
}


def meaning(name: str) -> Meaning:
    """What an event of a notification means, such as ``ObjectCreated:Put``; a new member of a family means the same."""
    found = _NAMES.get(name)
    if found is None:
        name = name.removeprefix("s3:")
        found = _NAMES.get(name) or _FAMILIES.get(name.partition(":")[0], _UNKNOWN)
    return found


def bridge_meaning(detail_type: str) -> Meaning:
    """What an event of EventBridge means."""
    return _BRIDGE.get(detail_type, _UNKNOWN)
