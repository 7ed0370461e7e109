"""S3 of the AWS in memory: buckets, their notifications, and objects."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.aws_wire import Call, Refused
from kit.memory_cloudformation import REGION

if TYPE_CHECKING:
    from kit.memory_aws import World

_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"


class Stored(bytes):
    """An object, which is long."""

    def __repr__(self) -> str:
        return f"{len(self)} bytes"


@dataclass
class Bucket:
    objects: dict[str, Stored] = field(default_factory=dict)
    notification: bytes = b"<NotificationConfiguration/>"
    tags: bytes = b""
    closed: bool = False


class Buckets:
    """The calls of one service; ``MemoryAws`` says what the attributes are."""

    world: World
    others: set[str]
    errors: list[str]

    def _bucket(self, call: Call) -> Bucket:
        if call.bucket in self.world.foreign:
            raise Refused(403, "AccessDenied")
        if call.bucket not in self.world.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=call.bucket)
        return self.world.buckets[call.bucket]

    def _s3_ListBuckets(self, _: Call) -> str:  # noqa: N802
        names = "".join(
            f"<Bucket><Name>{name}</Name></Bucket>" for name in self.world.buckets.keys() - self.world.foreign
        )
        return f"<R><Buckets>{names}</Buckets></R>"

    def _s3_GetBucketLocation(self, call: Call) -> str:  # noqa: N802
        self._bucket(call)
        return f'<LocationConstraint xmlns="{_S3}">{REGION}</LocationConstraint>'

    def _s3_CreateBucket(self, call: Call) -> str:  # noqa: N802
        if call.bucket in self.world.buckets:
            raise Refused(409, "BucketAlreadyOwnedByYou")
        self.world.buckets[call.bucket] = Bucket()
        return ""

    def _s3_DeleteBucket(self, call: Call) -> str:  # noqa: N802
        if self._bucket(call).objects:
            raise Refused(409, "BucketNotEmpty")
        del self.world.buckets[call.bucket]
        return ""

    def _s3_PutPublicAccessBlock(self, call: Call) -> str:  # noqa: N802
        self._bucket(call).closed = True
        return ""

    def _s3_PutBucketTagging(self, call: Call) -> str:  # noqa: N802
        self._bucket(call).tags = call.body
        return ""

    def _s3_GetBucketTagging(self, call: Call) -> bytes:  # noqa: N802
        if not self._bucket(call).tags:
            raise Refused(404, "NoSuchTagSet")
        return self._bucket(call).tags

    def _s3_GetBucketNotificationConfiguration(self, call: Call) -> bytes:  # noqa: N802
        return self._bucket(call).notification

    def _s3_PutBucketNotificationConfiguration(self, call: Call) -> str:  # noqa: N802
        bucket = self._bucket(call)
        arns = re.findall(rb"<(?:Queue|CloudFunction|Topic)>(arn:[^<]+)<", call.body)
        gone = [arn.decode() for arn in arns if not self._takes(arn.decode())]
        if gone and call.parameters.get("x-amz-skip-destination-validation", "").lower() != "true":
            beside = {f"ArgumentName{place}": f"{arn}, null" for place, arn in enumerate(gone, 1)}
            beside |= {f"ArgumentValue{place}": "The destination does not exist" for place in range(1, len(gone) + 1)}
            raise Refused(
                400, "InvalidArgument", "Unable to validate the following destination configurations", **beside
            )
        bucket.notification = call.body
        return ""

    def _takes(self, arn: str) -> bool:
        queues = (one["arn"] for one in self.world.queues.values())
        return arn in self.others or arn in queues or any(arn in one.physical.values() for one in self.world.stacks)

    def _s3_GetObject(self, call: Call) -> Any:  # noqa: N802
        objects = self._bucket(call).objects
        if call.key not in objects:
            raise Refused(404, "NoSuchKey")
        content, (first, _, last) = objects[call.key], call.parameters["range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        end = min(int(last) + 1, len(content)) if first else len(content)
        return content[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}

    def _s3_ListObjectsV2(self, call: Call) -> str:  # noqa: N802
        keys = [key for key in self._bucket(call).objects if key.startswith(call.parameters.get("prefix", ""))]
        return f"<R>{''.join(f'<Contents><Key>{key}</Key></Contents>' for key in keys)}</R>"

    def _s3_PutObject(self, call: Call) -> str:  # noqa: N802
        self._bucket(call).objects[call.key] = Stored(call.body)
        return ""

    def _s3_DeleteObjects(self, call: Call) -> str:  # noqa: N802
        bucket = self._bucket(call)
        failed = self.errors.pop(0) if self.errors else ""
        keys = re.findall(r"<Key>([^<]+)</Key>", call.body.decode())
        for key in keys[1:] if failed else keys:
            bucket.objects.pop(key, None)
        error = f"<Error><Key>{keys[0]}</Key><Code>{failed}</Code><Message>No.</Message></Error>" if failed else ""
        return f"<DeleteResult>{error}</DeleteResult>"
