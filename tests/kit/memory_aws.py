"""A small AWS in memory: it answers boto3's HTTP requests in this process, in the words of each API, and can fail.

It knows what the installer calls; anything else is a KeyError that names the call. The clock is its own: a stack is
ready some seconds after it is begun, and whoever waits only turns that clock.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest
    from botocore.awsrequest import AWSPreparedRequest

ACCOUNT, REGION = "123456789012", "eu-west-1"
QUERY = ("sts", "iam", "cloudformation")
_DEPLOYING = 0.05
_S3 = "http://s3.amazonaws.com/doc/2006-03-01/"
_SUBRESOURCES = {
    "location": "BucketLocation",
    "notification": "BucketNotificationConfiguration",
    "tagging": "BucketTagging",
    "publicAccessBlock": "PublicAccessBlock",
}


@dataclass(frozen=True)
class Call:
    """A request: service, operation as boto3 names it, parameters, and the bucket and key of S3."""

    service: str
    operation: str
    parameters: Mapping[str, str] = field(default_factory=dict, compare=False)
    bucket: str = ""
    key: str = ""
    body: bytes = field(default=b"", compare=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"


class Refused(Exception):
    """An answer that is an error: status, code, message, and what else stands beside them."""

    def __init__(self, status: int, code: str, message: str = "", **beside: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.beside = status, code, message or f"this is {code}", beside


@dataclass
class Stack:
    name: str
    id: str
    status: str = "REVIEW_IN_PROGRESS"
    ready_at: float = 0.0
    body: str = "{}"
    parameters: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    physical: dict[str, str] = field(default_factory=dict)
    change_sets: dict[str, dict[str, Any]] = field(default_factory=dict)
    events: list[dict[str, str]] = field(default_factory=list)
    protected: bool = False

    @property
    def resources(self) -> dict[str, Any]:
        return json.loads(self.body).get("Resources", {})  # type: ignore[no-any-return]


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


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        yield self._content


class MemoryAws:
    """The AWS.

    Attributes:
        world: what there is; a deep copy is a state to come back to.
        calls: all so far.
        fault: asked before each call; it may raise ``Refused``, or anything that a connection does.
        after: asked after each call that had its effect; the same.
        foreign: buckets of another account.
        errors: for each DeleteObjects to come, the code of an error about its first object.
        failing: for each deployment to come, what a resource fails for; "" for one that works.
        held: for each deletion to come, why resources can't be deleted, by their logical ids.
    """

    def __init__(self) -> None:
        self.world = World()
        self.clock = Clock()
        self.calls: list[Call] = []
        self.fault: Callable[[Call], None] = lambda call: None
        self.after: Callable[[Call], None] = lambda call: None
        self.foreign: set[str] = set()
        self.errors: list[str] = []
        self.failing: list[str] = []
        self.held: list[dict[str, str]] = []

    def take_over(self, patch: pytest.MonkeyPatch) -> None:
        """Answer for every client in this process, and be the clock of botocore and of the installer."""
        import sys

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
        call = _read(request)
        self.calls.append(call)
        try:
            self.fault(call)
            answer = getattr(self, f"_{call.service}_{call.operation}")(call)
            self.after(call)
        except Refused as refused:
            return _refusal(request, call, refused)
        if call.service in QUERY:
            content = f"<R><{call.operation}Result>{_xml(answer)}</{call.operation}Result></R>".encode()
        elif call.service == "s3":
            content = answer if isinstance(answer, bytes) else answer.encode()
        else:
            content = json.dumps(answer).encode()
        return AWSResponse(request.url, 200, {}, _Raw(content))

    # Who we are

    def _sts_GetCallerIdentity(self, _: Call) -> Any:  # noqa: N802
        return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/me", "UserId": "me"}

    def _iam_SimulatePrincipalPolicy(self, call: Call) -> Any:  # noqa: N802
        names = [value for name, value in call.parameters.items() if name.startswith("ActionNames.")]
        return {"EvaluationResults": [{"EvalActionName": name, "EvalDecision": "allowed"} for name in names]}

    def _events_ListRules(self, _: Call) -> Any:  # noqa: N802
        return {"Rules": self.world.rules}

    # S3

    def _bucket(self, call: Call) -> Bucket:
        if call.bucket in self.foreign and "x-amz-expected-bucket-owner" in call.parameters:
            raise Refused(403, "AccessDenied")
        if call.bucket not in self.world.buckets:
            raise Refused(404, "NoSuchBucket", "The specified bucket does not exist", BucketName=call.bucket)
        return self.world.buckets[call.bucket]

    def _s3_ListBuckets(self, _: Call) -> str:  # noqa: N802
        names = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in self.world.buckets)
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

    # CloudFormation

    def _stack(self, call: Call) -> Stack:
        named = call.parameters["StackName"]
        for stack in self.world.stacks:
            self._settle(stack)
            if named == stack.id or (named == stack.name and stack.status != "DELETE_COMPLETE"):
                return stack
        raise Refused(400, "ValidationError", f"Stack with id {named} does not exist")

    def _settle(self, stack: Stack) -> None:
        if stack.status.endswith("_IN_PROGRESS") and stack.ready_at and self.clock.now >= stack.ready_at:
            stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE")
            stack.ready_at = 0.0

    def _change(self, call: Call) -> tuple[Stack, dict[str, Any]]:
        for stack in self.world.stacks:
            if call.parameters["ChangeSetName"] in stack.change_sets:
                self._settle(stack)
                return stack, stack.change_sets[call.parameters["ChangeSetName"]]
        raise Refused(404, "ChangeSetNotFound")

    def _cloudformation_DescribeStacks(self, call: Call) -> Any:  # noqa: N802
        stack = self._stack(call)
        return {
            "Stacks": [
                {
                    "StackName": stack.name,
                    "StackId": stack.id,
                    "StackStatus": stack.status,
                    "CreationTime": "2026-01-01T00:00:00Z",
                    "EnableTerminationProtection": str(stack.protected).lower(),
                    "Parameters": _pairs(stack.parameters, "Parameter"),
                    "Tags": _pairs(stack.tags, ""),
                    "Outputs": _pairs(_outputs(stack), "Output"),
                }
            ]
        }

    def _cloudformation_GetTemplate(self, call: Call) -> Any:  # noqa: N802
        return {"TemplateBody": self._stack(call).body}

    def _cloudformation_ListChangeSets(self, call: Call) -> Any:  # noqa: N802
        names = [change["name"] for change in self._stack(call).change_sets.values()]
        return {"Summaries": [{"ChangeSetName": name} for name in names]}

    def _cloudformation_DescribeStackEvents(self, call: Call) -> Any:  # noqa: N802
        return {"StackEvents": self._stack(call).events}

    def _cloudformation_CreateChangeSet(self, call: Call) -> Any:  # noqa: N802
        given = call.parameters
        try:
            stack = self._stack(call)
        except Refused:
            self.world.number += 1
            arn = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{given['StackName']}/{self.world.number}"
            stack = Stack(given["StackName"], arn)
            self.world.stacks.append(stack)
        self._refuse_busy(stack)
        name = given["ChangeSetName"]
        change_id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/1"
        if change_id in stack.change_sets and stack.change_sets[change_id]["token"] != given.get("ClientToken"):
            raise Refused(400, "AlreadyExistsException", f"ChangeSet {name} cannot be created due to a conflict")
        stack.change_sets[change_id] = {
            "name": name,
            "token": given.get("ClientToken"),
            "body": given.get("TemplateBody", "{}"),
            "parameters": _gathered(given, "Parameters", "Parameter"),
            "tags": _gathered(given, "Tags", ""),
        }
        return {"Id": change_id, "StackId": stack.id}

    def _cloudformation_DescribeChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, change = self._change(call)
        if all(getattr(stack, name) == change[name] for name in ("body", "parameters", "tags")):
            return {"Status": "FAILED", "StatusReason": "The submitted information didn't contain changes."}
        return {"Status": "CREATE_COMPLETE"}

    def _cloudformation_DeleteChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, _ = self._change(call)
        del stack.change_sets[call.parameters["ChangeSetName"]]
        return {}

    def _cloudformation_ExecuteChangeSet(self, call: Call) -> Any:  # noqa: N802
        stack, change = self._change(call)
        token = call.parameters.get("ClientRequestToken", "none")
        if change.get("executed") == token:
            return {}  # the same request, made again
        if change.get("executed"):
            raise Refused(400, "InvalidChangeSetStatus", "ChangeSet cannot be executed in its current status")
        change["executed"] = token
        first = stack.status == "REVIEW_IN_PROGRESS"
        reason = self.failing.pop(0) if self.failing else ""
        if reason:
            self._note(stack, "Function", "CREATE_FAILED", reason)
            stack.status = "DELETE_IN_PROGRESS" if first else "UPDATE_ROLLBACK_IN_PROGRESS"
        else:
            self._make(stack, change)
            stack.status = "CREATE_IN_PROGRESS" if first else "UPDATE_IN_PROGRESS"
        stack.ready_at = self.clock.now + _DEPLOYING
        return {}

    def _cloudformation_DeleteStack(self, call: Call) -> Any:  # noqa: N802
        stack = self._stack(call)
        self._refuse_busy(stack)
        retained = [value for name, value in call.parameters.items() if name.startswith("RetainResources.")]
        if retained and stack.status != "DELETE_FAILED":
            raise Refused(400, "ValidationError", "Invalid operation on stack. Specify only when it is DELETE_FAILED.")
        why = self.held.pop(0) if self.held else {}
        held = {name: reason for name, reason in why.items() if name in stack.physical and name not in retained}
        for name in [name for name in stack.physical if name not in held]:
            kept = stack.resources[name].get("DeletionPolicy", "").startswith("Retain") or name in retained
            physical = stack.physical.pop(name)
            if not kept:
                self.world.queues.pop(_url(physical), None)
        for name, reason in held.items():
            self._note(stack, name, "DELETE_FAILED", reason)
        stack.status, stack.ready_at = ("DELETE_FAILED", 0.0) if held else ("DELETE_IN_PROGRESS", self._soon())
        return {}

    def _soon(self) -> float:
        return self.clock.now + _DEPLOYING

    def _refuse_busy(self, stack: Stack) -> None:
        self._settle(stack)
        if stack.status.endswith("_IN_PROGRESS") and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused(
                400, "ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated."
            )

    def _make(self, stack: Stack, change: Mapping[str, Any]) -> None:
        for part in ("body", "parameters", "tags"):
            setattr(stack, part, change[part])
        for name in [name for name in stack.physical if name not in stack.resources]:
            self.world.queues.pop(_url(stack.physical.pop(name)), None)
        for name, resource in stack.resources.items():
            arn = f"arn:aws:{resource['Type'].split('::')[1].lower()}:{REGION}:{ACCOUNT}:{stack.name}-{name}-1"
            stack.physical.setdefault(name, arn)
            if resource["Type"] == "AWS::SQS::Queue":
                self.world.queues.setdefault(_url(arn), {"arn": arn, "tags": dict(stack.tags), "messages": 0})
        self._note(stack, "Function", "CREATE_COMPLETE", "")  # one stands for all: each takes boto3 its time

    def _note(self, stack: Stack, name: str, status: str, reason: str) -> None:
        self.world.number += 1
        event = {"EventId": str(self.world.number), "LogicalResourceId": name, "ResourceStatus": status}
        event |= {"ResourceType": "AWS::X::Y", "PhysicalResourceId": stack.physical.get(name, "")}
        stack.events.insert(0, {**event, "ResourceStatusReason": reason} if reason else event)


def _read(request: AWSPreparedRequest) -> Call:
    url = urlsplit(request.url)
    host = str(url.hostname)
    body = request.body or b""
    content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else body.read()
    if ".s3." in host or host.startswith("s3."):
        path = url.path.lstrip("/")  # in the older form of a URL, the bucket begins the path
        bucket, _, key = (host.partition(".s3.")[0], "", path) if ".s3." in host else path.partition("/")
        parameters = dict(parse_qsl(url.query, keep_blank_values=True))
        parameters |= {name.lower(): _text(value) for name, value in request.headers.items()}
        return Call("s3", _s3_operation(request.method, parameters, bucket, key), parameters, bucket, key, content)
    service = host.partition(".")[0]
    if service in QUERY:
        given = dict(parse_qsl(content.decode(), keep_blank_values=True))
        return Call(service, given["Action"], given, body=content)
    target = _text(request.headers["X-Amz-Target"])
    return Call(service, target.rpartition(".")[2], body=content)


def _s3_operation(method: str, parameters: Mapping[str, str], bucket: str, key: str) -> str:
    for name, what in _SUBRESOURCES.items():
        if name in parameters:
            return f"{method.capitalize()}{what}"
    if not bucket:
        return "ListBuckets"
    if "delete" in parameters:
        return "DeleteObjects"
    named = {"GET": "GetObject", "PUT": "PutObject"} if key else {"GET": "ListObjectsV2", "PUT": "CreateBucket"}
    return named.get(method, f"{method.capitalize()}Bucket")


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _refusal(request: AWSPreparedRequest, call: Call, refused: Refused) -> AWSResponse:
    said = {"Code": refused.code, "Message": refused.message, **refused.beside}
    headers: dict[str, str] = {}
    if call.service == "s3":
        content = "" if request.method == "HEAD" else f"<Error>{_xml(said)}</Error>"
    elif call.service in QUERY:
        content = f"<ErrorResponse><Error>{_xml(said)}</Error></ErrorResponse>"
    else:
        content = json.dumps({"__type": refused.code, "message": refused.message})
        headers = {"x-amzn-query-error": f"{refused.code};Sender"} if call.service == "sqs" else {}
    return AWSResponse(request.url, refused.status, headers, _Raw(content.encode()))


def _xml(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_xml(inner)}</{name}>" for name, inner in value.items())
    if isinstance(value, list):
        return "".join(f"<member>{_xml(inner)}</member>" for inner in value)
    return escape(str(value))


def _pairs(values: Mapping[str, str], what: str) -> list[dict[str, str]]:
    return [{f"{what}Key": name, f"{what}Value": value} for name, value in values.items()]


def _gathered(given: Mapping[str, str], group: str, what: str) -> dict[str, str]:
    """The pairs of a list of the query protocol: ``Tags.member.1.Key``."""
    found = {}
    for name, key in given.items():
        place = re.fullmatch(rf"({group}\.member\.\d+\.){what}Key", name)
        if place:
            found[key] = given[f"{place[1]}{what}Value"]
    return found


def _outputs(stack: Stack) -> dict[str, str]:
    found = {}
    for name, output in json.loads(stack.body).get("Outputs", {}).items():
        value = output["Value"]
        logical = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
        arn = stack.physical.get(logical, "")
        found[name] = _url(arn) if "Ref" in value and ":sqs:" in arn else arn
    return found


def _url(arn: str) -> str:
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{arn.rpartition(':')[2]}"
