"""An installer on AWS in memory, what can go wrong with its calls, and states of the account to begin from."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ConnectionClosedError

from kit import installs
from kit.aws_wire import Call, Refused
from kit.memory_aws import Bucket, MemoryAws, World
from kit.memory_cloudformation import ACCOUNT, REGION, Stack
from multicdn.installer import run, sessions
from multicdn.installer.account import Account, connect
from multicdn.installer.apply import execute

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.installer.steps import InstallPlan

TWO = installs.ROUTES + f"\n  - {{bucket: second-site, prefix: a/, {installs.PURGE}}}"
CODE = f"multicdn-{ACCOUNT}-{REGION}"
THEIRS = f"arn:aws:sqs:{REGION}:{ACCOUNT}:theirs-and-gone"
TOPIC, FUNCTION = (f"arn:aws:{one}:{REGION}:{ACCOUNT}" for one in ("sns", "lambda"))
OTHERS = {"Topic": f"{TOPIC}:theirs", "Queue": THEIRS, "CloudFunction": f"{FUNCTION}:function:theirs"}
_EVENTS = {"Topic": "s3:ObjectRestore:*", "Queue": "s3:Replication:*", "CloudFunction": "s3:ObjectAcl:Put"}


def _entry(kind: str, arn: str) -> str:
    """A notification of others."""
    inner = f"<Id>their-{kind}</Id><{kind}>{arn}</{kind}><Event>{_EVENTS[kind]}</Event>"
    return f"<{kind}Configuration>{inner}</{kind}Configuration>"


# What others left: an entry whose queue is gone, two that are right, and a rule.
_ENTRIES = "".join(map(_entry, OTHERS, OTHERS.values()))
LEFT = f"<NotificationConfiguration>{_ENTRIES}</NotificationConfiguration>".encode()
ROLE = f"arn:aws:iam::{ACCOUNT}:role/multicdn-Role"
_ALLOW = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
RULE = {"Name": "theirs", "EventPattern": json.dumps({"source": ["aws.ec2"]})}

Fault = Callable[[Call], Exception]


class Killed(BaseException):
    """The process ends here."""


def nothing(call: Call) -> None:
    """No fault."""
    del call


def conflict(call: Call) -> Refused:
    said = "A conflicting conditional operation is currently in progress against this resource. Please try again."
    busy = "Stack:arn is in UPDATE_IN_PROGRESS state and can not be updated."
    return {
        "s3": Refused(409, "OperationAborted", said),
        "cloudformation": Refused(400, "ValidationError", busy),
        "sqs": Refused(400, "AWS.SimpleQueueService.QueueDeletedRecently"),
        "events": Refused(400, "ConcurrentModificationException"),
    }.get(call.service) or Refused(409, "ConcurrentModification")


def throttled(call: Call) -> Refused:
    if call.service == "s3":
        return Refused(503, "SlowDown", "Please reduce your request rate.")
    return Refused(400, "RequestThrottled" if call.service == "sqs" else "ThrottlingException", "Rate exceeded")


def broken(call: Call) -> Refused:
    return Refused(500, "InternalError" if call.service == "s3" else "InternalFailure")


def cut(call: Call) -> ConnectionClosedError:
    return ConnectionClosedError(endpoint_url=call.service)


# Whose errors have names that end in "Exception".
JSON = ("sqs", "events", "kms", "ssm", "secretsmanager", "lambda")


def denied(call: Call) -> Refused:
    json_protocol = call.service in JSON
    return Refused(403, "AccessDeniedException" if json_protocol else "AccessDenied", f"not authorized: {call.name}")


def expired(call: Call) -> Refused:
    json_protocol = call.service in JSON
    return Refused(400 if call.service == "s3" else 403, "ExpiredTokenException" if json_protocol else "ExpiredToken")


def gone(call: Call) -> Refused:
    if call.service == "cloudformation":
        named = call.parameters.get("ChangeSetName")
        return Refused(404, "ChangeSetNotFound") if named else Refused(400, "ValidationError", "It does not exist")
    if call.service == "sqs":
        return Refused(400, "AWS.SimpleQueueService.NonExistentQueue")
    return Refused(
        404,
        {"s3": "NoSuchBucket", "iam": "NoSuchEntity", "kms": "NotFoundException", "sns": "NotFound"}.get(
            call.service, "ResourceNotFoundException"
        ),
    )


@dataclass
class Field:
    """The installer.

    Attributes:
        said: lines that a person would see.
        states: of the account, by name.
    """

    aws: MemoryAws
    account: Account
    folder: Path
    said: list[str]
    states: dict[str, World] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)
    sessions: dict[tuple[str, str], sessions.Session] = field(default_factory=dict)

    def session(self, install: str, routes: str = installs.ROUTES) -> sessions.Session:
        if (install, routes) not in self.sessions:
            self.sessions[install, routes] = self._session(install, routes)
        return self.sessions[install, routes]

    def _session(self, install: str, routes: str) -> sessions.Session:
        path = self.folder / "multicdn.config.yml"
        path.write_text(installs.text(f"region: {REGION}, {install}", routes), encoding="utf-8")
        file = sessions.read(path)
        return sessions.Session(self.account, file.config.install, file.buckets, file)

    def begin(self, state: str, fault: Callable[[Call], None] = nothing) -> None:
        """Go to a state of the account, long after whatever was done before."""
        aws = self.aws
        aws.world = self.states[state]
        aws.world = aws.snapshot()
        aws.clock.now += 10_000
        aws.fault, aws.after, aws.failing, aws.held, aws.errors = fault, nothing, [], [], []
        aws.calls.clear()
        aws.orphaned.clear()
        self.said.clear()

    def apply(self, install: str, routes: str = installs.ROUTES, *, check: bool = False) -> InstallPlan:
        session = self.session(install, routes)
        run.wait(session, self.said.append)
        made = run.make_plan(session, self.folder, self.said.append, check_permissions=check)
        run.apply(session, made, self.said.append, self.said.append)
        return made

    def destroy(self, routes: str = installs.ROUTES) -> InstallPlan:
        session = self.session("trigger: queue", routes)
        run.wait(session, self.said.append)
        made = run.plan_removal(session, drop_messages=False)
        execute(made, session.account, self.said.append, self.said.append)
        return made

    def waits(self) -> list[str]:
        return [line for line in self.said if re.match(r"waiting, for up to \d+ s: ", line)]

    def is_empty(self) -> bool:
        """Whether it is as if nothing had ever been."""
        world, empty = self.aws.world, self.states["empty"]
        return world.seen() == empty.seen() and world.buckets.keys() == empty.buckets.keys()

    def see_destroyed(self) -> None:
        """Remove all, with nothing in the way any more. From the very same state once is enough."""
        self.aws.fault = self.aws.after = nothing
        state = self.aws.world.key()
        if state not in self.destroyed:
            self.destroy(TWO)
            assert self.is_empty(), self.aws.world.seen()
            self.destroyed.add(state)


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Field]:
    """Everything, with an account in three states: empty, installed for two buckets, and by way of EventBridge."""
    with pytest.MonkeyPatch.context() as patch:
        bundle = installs.bundle(folder)
        patch.setattr(run, "build", lambda *_, **__: bundle)  # what is in it is the business of other tests
        aws, said = MemoryAws(), list[str]()
        aws.take_over(patch)
        aws.others = {OTHERS["Topic"], OTHERS["CloudFunction"]}
        _fill_stores(aws)
        aws.world.buckets = {"acme-site": Bucket(notification=LEFT), "second-site": Bucket()}
        aws.world.rules = [RULE]
        made = Field(aws, connect(REGION, (), said.append), folder, said, {"empty": aws.snapshot()})
        for state, trigger, routes in (("two buckets", "queue", TWO), ("eventbridge", "eventbridge", installs.ROUTES)):
            made.begin("empty")
            made.apply(f"trigger: {trigger}", routes)
            made.states[state] = aws.snapshot()
        made.states["shell"] = _shell(made)
        yield made


def _fill_stores(aws: MemoryAws) -> None:
    """A parameter under a key that the account's policies decide on, a secret under one that a grant opens."""
    root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    aws.parameter("/multicdn/fastly/token", "t", KeyId=aws.key("delegated", [{**_ALLOW, "Principal": root}]))
    granted = aws.key("granted")
    aws.secret("edge", "t", KmsKeyId=granted)
    aws.grants[granted] = [{"GranteePrincipal": ROLE, "Operations": ["Decrypt"]}]
    aws.aliases["alias/web"] = aws.key("delegated", aws.policies[f"arn:aws:kms:{REGION}:{ACCOUNT}:key/delegated"])


def _shell(field: Field) -> World:
    """An installation that was killed before its first change set was carried out, and a bucket of another account."""
    field.begin("empty")
    field.aws.world.foreign = {"second-site"}
    field.aws.world.stacks.append(Stack("multicdn", f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/multicdn/9"))
    return field.aws.snapshot()
