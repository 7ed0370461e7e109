"""What each of S3's events means for caches: the names that AWS's SDK knows, and those of other stores."""

from __future__ import annotations

import json

import pytest
from kit.events import bridge_event, s3_event, sdk_event_names

from multicdn.events import names
from multicdn.events.envelopes import decode
from multicdn.model import ChangeKind

CREATED, REMOVED, ACCESS = ChangeKind.CREATED, ChangeKind.REMOVED, ChangeKind.ACCESS
SAME, UNKNOWN = names.Nothing.SERVED_AS_BEFORE, names.Nothing.UNKNOWN

AWS = {
    "ObjectCreated:Put": CREATED,
    "ObjectCreated:Post": CREATED,
    "ObjectCreated:Copy": CREATED,
    "ObjectCreated:CompleteMultipartUpload": CREATED,
    "ObjectRemoved:Delete": REMOVED,
    "ObjectRemoved:DeleteMarkerCreated": REMOVED,
    "LifecycleExpiration:Delete": REMOVED,
    "LifecycleExpiration:DeleteMarkerCreated": REMOVED,
    "ObjectAcl:Put": ACCESS,
    "ObjectTagging:Put": ACCESS,
    "ObjectTagging:Delete": ACCESS,
    "ObjectRestore:Completed": ACCESS,
    "ObjectRestore:Delete": ACCESS,
    "ObjectRestore:Post": SAME,
    "LifecycleTransition": SAME,
    "IntelligentTiering": SAME,
    "ReducedRedundancyLostObject": SAME,
    "Replication:OperationFailedReplication": SAME,
    "Replication:OperationNotTracked": SAME,
    "Replication:OperationMissedThreshold": SAME,
    "Replication:OperationReplicatedAfterThreshold": SAME,
    "ObjectAnnotation:Put": SAME,
    "ObjectAnnotation:Delete": SAME,
    "ObjectRetention:Put": SAME,
}

OTHERS = {
    # MinIO
    "ObjectCreated:PutTagging": ACCESS,
    "ObjectCreated:DeleteTagging": ACCESS,
    "ObjectCreated:PutRetention": SAME,
    "ObjectCreated:PutLegalHold": SAME,
    "ObjectRemoved:NoOP": SAME,
    "ObjectRemoved:DeleteAllVersions": REMOVED,
    "ObjectAccessed:Get": SAME,
    "ObjectTransition:Complete": SAME,
    "LifecycleDelMarkerExpiration:Delete": SAME,
    "Scanner:ManyVersions": SAME,
    "BucketCreated:*": SAME,
    # Ceph
    "ObjectLifecycle:Expiration:Current": REMOVED,
    "ObjectLifecycle:Expiration:NonCurrent": SAME,
    "ObjectLifecycle:Expiration:DeleteMarker": SAME,
    "ObjectLifecycle:Transition:Current": SAME,
    "ObjectSynced:Create": CREATED,
    "ObjectSynced:Delete": REMOVED,
    "ObjectSynced:DeletionMarkerCreated": REMOVED,
    "Replication:Create": CREATED,
    # Not yet there: a new member of a family means what the family does.
    "ObjectCreated:Append": CREATED,
    "ObjectFrobbed:Put": UNKNOWN,
    "objectcreated:put": UNKNOWN,
    "Object Created": UNKNOWN,
}


def test_every_event_that_the_sdk_knows_has_a_decided_meaning() -> None:
    found = [name.removeprefix("s3:") for name in sdk_event_names()]
    assert set(AWS) == {name for name in found if not name.endswith("*")}
    families = {name.partition(":")[0] for name in found}
    assert {family: names.meaning(f"{family}:*") for family in families if names.meaning(family) is UNKNOWN} == {}


@pytest.mark.parametrize("prefix", ["", "s3:"])
@pytest.mark.parametrize(("name", "meaning"), {**AWS, **OTHERS}.items())
def test_meaning_of_a_notification(name: str, meaning: names.Meaning, prefix: str) -> None:
    intake = decode(s3_event(prefix + name))
    assert [change.kind for change in intake.changes] == ([meaning] if isinstance(meaning, ChangeKind) else [])
    assert intake.ignored == ({name: 1} if meaning is SAME else {})
    assert intake.unknown == ({name: 1} if meaning is UNKNOWN else {})
    assert intake.unreadable == ()


@pytest.mark.parametrize(
    ("what", "meaning"),
    [
        ("Object Created", CREATED),
        ("Object Deleted", REMOVED),
        ("Object ACL Updated", ACCESS),
        ("Object Tags Added", ACCESS),
        ("Object Tags Deleted", ACCESS),
        ("Object Restore Completed", ACCESS),
        ("Object Restore Expired", ACCESS),
        ("Object Restore Initiated", SAME),
        ("Object Storage Class Changed", SAME),
        ("Object Access Tier Changed", SAME),
        ("Object Melted", UNKNOWN),
    ],
)
def test_meaning_of_an_event_of_eventbridge(what: str, meaning: names.Meaning) -> None:
    intake = decode(bridge_event(what))
    assert [change.kind for change in intake.changes] == ([meaning] if isinstance(meaning, ChangeKind) else [])
    assert intake.ignored == ({what: 1} if meaning is SAME else {})
    assert intake.unknown == ({what: 1} if meaning is UNKNOWN else {})
    assert intake.unreadable == ()


def test_event_that_nobody_knows_costs_no_neighbour_and_no_dead_letter() -> None:
    records = [*s3_event(key="a")["Records"], *s3_event("ObjectFrobbed:Put")["Records"], *s3_event(key="b")["Records"]]
    intake = decode(
        {"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": json.dumps({"Records": records})}]}
    )
    assert [change.key for change in intake.changes] == ["a", "b"]
    assert (intake.unreadable, intake.unknown) == ((), {"ObjectFrobbed:Put": 1})


# A version isn't the object

VERSION = "0dK.MArCl4dE2pkFZ8vQxB6fJt0uOLpA"
GONE, MARKER = "Permanently Deleted", "Delete Marker Created"
LIFECYCLE, CLIENT = "Lifecycle Expiration", "DeleteObject"


@pytest.mark.parametrize(
    ("event", "removed"),
    [
        pytest.param(s3_event("LifecycleExpiration:Delete", versionId=VERSION), False, id="noncurrent expires"),
        pytest.param(s3_event("s3:LifecycleExpiration:Delete", versionId="null"), False, id="from before versions"),
        pytest.param(s3_event("LifecycleExpiration:Delete"), True, id="expires in a bucket without versions"),
        pytest.param(s3_event("LifecycleExpiration:Delete", versionId=None), True, id="as LocalStack says none"),
        pytest.param(s3_event("LifecycleExpiration:Delete", versionId=""), True, id="as Ceph says none"),
        pytest.param(
            s3_event("LifecycleExpiration:DeleteMarkerCreated", versionId=VERSION), True, id="current expires"
        ),
        pytest.param(s3_event("ObjectRemoved:DeleteMarkerCreated", versionId=VERSION), True, id="deleted"),
        pytest.param(s3_event("ObjectRemoved:Delete", versionId=VERSION), True, id="version deleted: may be current"),
        pytest.param(
            bridge_event("Object Deleted", reason=LIFECYCLE, **{"deletion-type": GONE, "version-id": VERSION}),
            False,
            id="bridge: noncurrent expires",
        ),
        pytest.param(
            bridge_event("Object Deleted", reason=LIFECYCLE, **{"deletion-type": GONE}),
            True,
            id="bridge: expires in a bucket without versions",
        ),
        pytest.param(
            bridge_event("Object Deleted", reason=LIFECYCLE, **{"deletion-type": MARKER, "version-id": VERSION}),
            True,
            id="bridge: current expires",
        ),
        pytest.param(
            bridge_event("Object Deleted", reason=CLIENT, **{"deletion-type": GONE, "version-id": VERSION}),
            True,
            id="bridge: version deleted, or its marker taken away",
        ),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_lifecycle_takes_of_a_version_was_not_served(event: dict[str, object], removed: bool, whole: bool) -> None:
    intake = decode(event if whole or "detail" not in event else event["detail"])
    assert [change.kind for change in intake.changes] == [REMOVED] * removed
    assert sum(intake.ignored.values()) == (not removed)
    assert intake.unreadable == ()
