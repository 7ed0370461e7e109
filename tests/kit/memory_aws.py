"""A small AWS in memory: it answers boto3's HTTP requests in this process, in the words of each API, and can fail.

It knows what the installer calls; anything else is an AttributeError that names the call. The clock is its own: a stack
is ready a moment after it is begun, and whoever waits only turns that clock.
"""

from __future__ import annotations

import copy
import json
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.aws_wire import Call, Refused, answered, read, refusal
from kit.memory_cloudformation import ACCOUNT, REGION, CloudFormation, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class Bucket:
    objects: dict[str, int] = field(default_factory=dict)
    notification: bytes = b"<NotificationConfiguration/>"
    tags: bytes = b""
    closed: bool = False


@dataclass
class World:
    """All that an account holds."""

    buckets: dict[str, Bucket] = field(default_factory=dict)
    stacks: list[Stack] = field(default_factory=list)
    queues: dict[str, dict[str, Any]] = field(default_factory=dict)
    rules: list[dict[str, str]] = field(default_factory=list)
    foreign: set[str] = field(default_factory=set)  # buckets of another account
    number: int = 0

    def seen(self) -> dict[str, Any]:
        """What stays of it for others to see: no deleted stacks, no shells."""
        alive = [one.name for one in self.stacks if one.status not in ("DELETE_COMPLETE",)]
        notifications = {name: _plain(bucket.notification) for name, bucket in self.buckets.items()}
        return {"stacks": alive, "queues": sorted(self.queues), "notifications": notifications, "rules": self.rules}

    def key(self) -> str:
        """The same text for two states that differ in random names and in times alone."""
        return re.sub(
            r"multicdn-[0-9a-f]{32}|(ready_at|number)=[\d.]+|EventId': '\d+'|stack/multicdn/\d+", "", repr(self)
        )


def _plain(document: bytes) -> list[str]:
    """The elements of a document with texts, whatever else may be written in two ways."""
    text = re.sub(r' xmlns="[^"]*"| (?=/>)', "", document.decode())
    return re.findall(r"<\w+>[^<]+|<\w+/>", text.replace("<NotificationConfiguration/>", ""))


class Clock:
    """Stands in for the module ``time``."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class MemoryAws(CloudFormation):
    """The AWS.

    Attributes:
        world: what there is; a deep copy is a state to come back to.
        calls: all so far.
        fault: asked before each call; it may raise ``Refused``, or anything that a connection does.
        after: asked after each call that had its effect; the same.
        errors: for each DeleteObjects to come, the code of an error about its first object.
        failing: for each deployment to come, what a resource fails for; "" for one that works.
        orphaned: what was removed while buckets still told it what happens in them.
        held: for each deletion to come, why resources can't be deleted, by their logical ids.
    """

    def __init__(self) -> None:
        self.world = World()
        self.clock = Clock()
        self.calls: list[Call] = []
        self.fault: Callable[[Call], None] = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None
        self.orphaned: list[str] = []
        self.errors: list[str] = []
        self.failing: list[str] = []
        self.held: list[dict[str, str]] = []

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        """Answer for every client in this process, and be the clock of botocore and of the installer."""
        patch.setattr("botocore.httpsession.URLLib3Session.send", lambda _, request: self._send(request))
        patch.setattr(
            "botocore.signers.RequestSigner.sign", lambda *_, **__: None
        )  # these two are half of a call's time
        patch.setattr("botocore.useragent.UserAgentString.to_string", lambda _: "boto3")
        patch.setattr("botocore.endpoint.time", self.clock)
        for name, module in list(sys.modules.items()):
            if name.startswith("multicdn.installer") and hasattr(module, "time"):
                patch.setattr(module, "time", self.clock)

    def snapshot(self) -> World:
        return copy.deepcopy(self.world)

    # The wire

    def _send(self, request: AWSPreparedRequest) -> AWSResponse:
        call = read(request)
        self.calls.append(call)
        try:
            self.fault(call)
            answer = getattr(self, f"_{call.service}_{call.operation}")(call)
            self.after(call)
        except Refused as refused:
            return refusal(request, call, refused)
        return answered(request, call, answer)

    # Who we are

    def _sts_GetCallerIdentity(self, _: Call) -> Any:  # noqa: N802
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me", "UserId": "me"}

    def _iam_SimulatePrincipalPolicy(self, call: Call) -> Any:  # noqa: N802
        names = [value for name, value in call.parameters.items() if name.startswith("ActionNames.")]
        return {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": "allowed"} for name in names]}

    def _iam_GetRole(self, call: Call) -> Any:  # noqa: N802
        name = call.parameters["RoleName"]
        return {"Role": {"RoleName": name, "Arn": f"arn:aws:iam::{ACCOUNT}:role/people/{name}"}}

    def _kms_DescribeKey(self, _: Call) -> Any:  # noqa: N802
        return {"KeyMetadata": {"KeyId": "1", "Arn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1"}}

    def _events_ListRules(self, _: Call) -> Any:  # noqa: N802
        return {"Rules": self.world.rules}

    # S3

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
        return arn in queues or any(arn in one.physical.values() for one in self.world.stacks)

    def _s3_ListObjectsV2(self, call: Call) -> str:  # noqa: N802
        keys = [key for key in self._bucket(call).objects if key.startswith(call.parameters.get("prefix", ""))]
        return f"<R>{''.join(f'<Contents><Key>{key}</Key></Contents>' for key in keys)}</R>"

    def _s3_PutObject(self, call: Call) -> str:  # noqa: N802
        self._bucket(call).objects[call.key] = len(call.body)
        return ""

    def _s3_DeleteObjects(self, call: Call) -> str:  # noqa: N802
        bucket = self._bucket(call)
        failed = self.errors.pop(0) if self.errors else ""
        keys = re.findall(r"<Key>([^<]+)</Key>", call.body.decode())
        for key in keys[1:] if failed else keys:
            bucket.objects.pop(key, None)
        error = f"<Error><Key>{keys[0]}</Key><Code>{failed}</Code><Message>No.</Message></Error>" if failed else ""
        return f"<DeleteResult>{error}</DeleteResult>"

    # SQS

    def _queue(self, call: Call) -> dict[str, Any]:
        url = json.loads(call.body)["QueueUrl"]
        if url not in self.world.queues:
            raise Refused(400, "AWS.SimpleQueueService.NonExistentQueue")
        return self.world.queues[url]

    def _sqs_ListQueues(self, call: Call) -> Any:  # noqa: N802
        prefix = json.loads(call.body).get("QueueNamePrefix", "")
        return {"QueueUrls": [url for url in self.world.queues if url.rpartition("/")[2].startswith(prefix)]}

    def _sqs_ListQueueTags(self, call: Call) -> Any:  # noqa: N802
        return {"Tags": self._queue(call)["tags"]}

    def _sqs_GetQueueAttributes(self, call: Call) -> Any:  # noqa: N802
        return {"Attributes": {"ApproximateNumberOfMessages": str(self._queue(call)["messages"])}}

    def _sqs_DeleteQueue(self, call: Call) -> Any:  # noqa: N802
        self._queue(call)
        del self.world.queues[json.loads(call.body)["QueueUrl"]]
        return {}
