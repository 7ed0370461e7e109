"""A small AWS in memory: it answers boto3's HTTP requests in this process, in the words of each API, and can fail.

It knows what the installer calls; anything else is an AttributeError that names the call. The clock is its own: a stack
is ready a moment after it is begun, and whoever waits only turns that clock.
"""

from __future__ import annotations

import copy
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.aws_wire import Call, Refused, answered, read, refusal
from kit.memory_cloudformation import ACCOUNT, REGION, CloudFormation, Stack
from kit.memory_secrets import SecretStores

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse

_UNSET = ("AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN")
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "memory-only", "AWS_CONFIG_FILE": "/none"}
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


class MemoryAws(CloudFormation, SecretStores):
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
        others: topics and functions of others, by ARN.
        decisions: what IAM says of actions, where it isn't "allowed".
        denied: operations that nobody may call.
        refusals: code and text of what AWS says instead of doing an operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.others: set[str] = set()
        self.decisions: dict[str, dict[str, Any]] = {}
        self.denied: set[str] = set()
        self.refusals: dict[str, tuple[str, str]] = {}
        self.world = World()
        self.clock = Clock()
        self.calls: list[Call] = []
        self.fault: Callable[[Call], None] = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None
        self.orphaned: list[str] = []
        self.errors: list[str] = []
        self.failing: list[str] = []
        self.held: list[dict[str, str]] = []

    def answer(self, patch: pytest.MonkeyPatch) -> None:
        """Answer for every client in this process, with credentials that nobody looks at."""
        patch.setattr("botocore.httpsession.URLLib3Session.send", lambda _, request: self._send(request))
        patch.setattr("boto3.DEFAULT_SESSION", None)
        for name in (*_UNSET, "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        for name, value in _CREDENTIALS.items():
            patch.setenv(name, value)

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        """Do so in less time, and be the clock of botocore and of the installer."""
        self.answer(patch)
        # These two are half of a call's time.
        patch.setattr("botocore.signers.RequestSigner.sign", lambda *_, **__: None)
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
            answer = self._answered(call)
            self.after(call)
        except Refused as refused:
            return refusal(request, call, refused)
        return answered(request, call, answer)

    def _answered(self, call: Call) -> Any:
        if call.operation in self.denied:
            raise Refused(403, "AccessDeniedException", "not authorized")
        if call.operation in self.refusals:
            raise Refused(400, *self.refusals[call.operation])
        return getattr(self, f"_{call.service}_{call.operation}")(call)

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Region and operation of each call."""
        return [(call.region, call.operation) for call in self.calls]

    # Who we are

    def _sts_GetCallerIdentity(self, _: Call) -> Any:  # noqa: N802
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me", "UserId": "me"}

    def _iam_SimulatePrincipalPolicy(self, call: Call) -> Any:  # noqa: N802
        names = [value for name, value in call.parameters.items() if name.startswith("ActionNames.")]
        allowed = {"EvalDecision": "allowed"}
        return {"EvaluationResults": [{"EvalActionName": one, **self.decisions.get(one, allowed)} for one in names]}

    def _iam_GetRole(self, call: Call) -> Any:  # noqa: N802
        name = call.parameters["RoleName"]
        return {"Role": {"RoleName": name, "Arn": f"arn:aws:iam::{ACCOUNT}:role/people/{name}"}}

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
        return arn in self.others or arn in queues or any(arn in one.physical.values() for one in self.world.stacks)

    def _s3_GetObject(self, call: Call) -> Any:  # noqa: N802
        objects = self._bucket(call).objects
        if call.key not in objects:
            raise Refused(404, "NoSuchKey")
        content, (first, _, last) = objects[call.key], call.parameters["range"].removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, len(content) - int(last))
        end = min(int(last) + 1, len(content)) if first else len(content)
        return content[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"}

    # Functions, and topics of others

    def _lambda_GetFunctionConfiguration(self, call: Call) -> Any:  # noqa: N802
        name = call.parameters["FunctionName"]
        if not any(name in arn for arn in self.others):
            raise Refused(404, "ResourceNotFoundException")
        return {"FunctionName": name, "Role": f"arn:aws:iam::{ACCOUNT}:role/multicdn-Role"}

    def _lambda_GetAccountSettings(self, _: Call) -> Any:  # noqa: N802
        return {"AccountLimit": {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": 1000}}

    def _sns_GetTopicAttributes(self, call: Call) -> Any:  # noqa: N802
        if call.parameters["TopicArn"] not in self.others:
            raise Refused(404, "NotFound")
        return {"Attributes": {}}

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

    # SQS

    def _queue(self, call: Call) -> dict[str, Any]:
        url = call.json["QueueUrl"]
        if url not in self.world.queues:
            raise Refused(400, "AWS.SimpleQueueService.NonExistentQueue")
        return self.world.queues[url]

    def _sqs_GetQueueUrl(self, call: Call) -> Any:  # noqa: N802
        for one in self.world.queues:
            if one.rpartition("/")[2] == call.json["QueueName"]:
                return {"QueueUrl": one}
        raise Refused(400, "AWS.SimpleQueueService.NonExistentQueue")

    def _sqs_ListQueues(self, call: Call) -> Any:  # noqa: N802
        prefix = call.json.get("QueueNamePrefix", "")
        return {"QueueUrls": [url for url in self.world.queues if url.rpartition("/")[2].startswith(prefix)]}

    def _sqs_ListQueueTags(self, call: Call) -> Any:  # noqa: N802
        return {"Tags": self._queue(call)["tags"]}

    def _sqs_GetQueueAttributes(self, call: Call) -> Any:  # noqa: N802
        return {"Attributes": {"ApproximateNumberOfMessages": str(self._queue(call)["messages"])}}

    def _sqs_DeleteQueue(self, call: Call) -> Any:  # noqa: N802
        self._queue(call)
        del self.world.queues[call.json["QueueUrl"]]
        return {}
