"""The table of faults: each call of the installer to AWS, and what becomes of it, and of the account, when it fails.

The calls are those that a run was seen to make, so that none can be forgotten. AWS is in memory, the clock is its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from kit import fault_field as faults
from kit import installs
from kit.fault_field import Field, Killed
from kit.memory_cloudformation import ACCOUNT, REGION

from multicdn.installer import cloudformation, retries, run, secret_access, secret_store
from multicdn.installer.account import connect
from multicdn.installer.errors import InstallError, PassingError
from multicdn.installer.hints import Hints
from multicdn.installer.organisation import own_role
from multicdn.installer.retries import PATIENCE
from multicdn.installer.steps import InstallPlan

# The field takes long, though it starts nothing.
pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit.aws_wire import Call
    from kit.fault_field import Fault

    from multicdn.config import Config


def organised(field: Field) -> None:
    """With a key by its alias, as somebody with a role below a path."""
    session = field.session("trigger: queue, kms_key: alias/web", faults.TWO)
    who = dataclasses.replace(session.account, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/me/me")
    run.make_plan(dataclasses.replace(session, account=who), field.folder, field.said.append)


def unchanged(field: Field) -> None:
    stack = field.aws.world.stacks[0]
    body = {"TemplateBody": stack.body}
    assert not cloudformation.deploy(field.account, stack.name, body, stack.parameters, stack.tags, field.said.append)


@functools.cache
def with_secrets() -> Config:
    edge = 'edge: {type: fastly, service: x, token: "${secretsmanager:edge}"}'
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/delegated"
    return installs.config(f"kms_key: '{key}'", providers=f"{installs.PROVIDERS}  {edge}\n")


@functools.cache
def with_role() -> Config:
    return installs.config(f"role: '{faults.ROLE}'")


def look_for_secrets(field: Field) -> secret_access.Findings:
    return secret_access.look(field.account, with_secrets(), "theirs")


def store_secrets(field: Field) -> None:
    field.aws.secrets.pop("new", None)
    for scheme, name, key in (("ssm", "/a", ""), ("secretsmanager", "new", ""), *_KNOWN):
        secret_store.put(field.account.client, scheme, name, "value", kms_key=key)


_KNOWN = (("secretsmanager", "known", ""), ("secretsmanager", "known", "key"))


def look_at_role(field: Field) -> tuple[str, ...]:
    hints = Hints()
    return (*own_role.lacking(field.account, with_role(), hints), *hints.doubts)


# What is done, and the state that it begins from. Together they make every call that the installer's files name.
FLOWS: dict[str, tuple[str, Callable[[Field], object]]] = {
    "install": ("empty", lambda field: field.apply("trigger: queue")),
    "change": ("two buckets", lambda field: field.apply("trigger: direct, reserved_concurrency: 9")),
    "status": ("two buckets", lambda field: run.status(field.session("trigger: queue"))),
    "destroy": ("eventbridge", Field.destroy),
    "leave a shell": ("shell", lambda field: field.destroy(faults.TWO)),
    "organised": ("two buckets", organised),
    "unchanged": ("two buckets", unchanged),
    "look for secrets": ("two buckets", look_for_secrets),
    "store secrets": ("two buckets", store_secrets),
    "role of others": ("two buckets", look_at_role),
    "sign in": ("two buckets", lambda field: connect(REGION, (), field.said.append)),
}
# Of these only what the others lack is looked at.
LACKING = ("ListChangeSets", "ListBuckets", "SimulatePrincipalPolicy", "GetRole", "DescribeKey", "DeleteChangeSet")
MORE = ("leave a shell", "organised", "unchanged")
# Whether these are answered or not is all one: what they would tell is told by others, later.
SUFFERED = ("iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:ListBuckets")
# These inform alone: without an answer, that is said. In flows that only look, all calls do.
INFORMING = (
    "s3:GetObject",
    "sqs:GetQueueUrl",
    "sns:GetTopicAttributes",
    "lambda:GetFunctionConfiguration",
    "lambda:GetAccountSettings",
)
LOOKING = ("look for secrets", "role of others")
PASSING: tuple[Fault, ...] = (faults.conflict, faults.throttled, faults.broken, faults.cut)
LASTING: dict[Fault, str] = {
    faults.denied: "not allowed: ",
    faults.expired: "have expired; sign in again",
    faults.gone: "",
}


def begun(field: Field, flow: str, fault: Callable[[Call], None] = faults.nothing) -> Callable[[Field], object]:
    state, do = FLOWS[flow]
    field.begin(state, fault)
    return do


def recorded(field: Field, flow: str) -> tuple[list[Call], dict[str, Any]]:
    """The calls of a flow in which nothing fails, and what is there afterwards."""
    if flow not in field.recorded:
        begun(field, flow)(field)
        field.recorded[flow] = list(field.aws.calls), field.aws.world.seen()
    return field.recorded[flow]


def is_write(call: Call) -> bool:
    return call.operation.startswith(("Create", "Put", "Delete", "Execute"))


def each_in_turn(*answers: Fault) -> Callable[[Call], None]:
    """Fail in each of these ways, then don't, and so on."""
    turn = itertools.cycle((*answers, None))

    def fail(call: Call) -> None:
        fault = next(turn)
        if fault is not None:
            raise fault(call)

    return fail


SERVICES = ["sts", "s3", "cloudformation", "sqs", "sns", "events", "iam", "kms", "ssm", "secretsmanager", "lambda"]


def test_no_call_that_the_files_name_is_missing(field: Field) -> None:
    made = {call.operation for flow in FLOWS for call in recorded(field, flow)[0]}
    for service in SERVICES:
        operations = field.account.client(service).meta.method_to_api_mapping
        for path in Path(run.__file__).parent.rglob("*.py"):
            words = re.findall(r'get_paginator\("(\w+)"|\.(\w+)\(', path.read_text(encoding="utf-8"))
            named = {operations[name] for pair in words for name in pair if name in operations}
            # ``init`` and ``doctor`` only look, and within the time that they have.
            assert path.name == "bucket_check.py" or path.parent.name == "deployed" or named <= made, path


@pytest.mark.parametrize("flow", FLOWS)
def test_every_call_is_made_again_after_what_passes(field: Field, flow: str) -> None:
    calls, wanted = recorded(field, flow)
    names = {call.name for call in calls}
    begun(field, flow, each_in_turn(*PASSING))(field)
    assert field.aws.world.seen() == wanted
    assert {call.name for call in field.aws.calls} == names
    tries = len(PASSING) + 1
    assert all(field.aws.calls[place::tries] == field.aws.calls[::tries] for place in range(tries))
    assert len(field.waits()) == len(field.aws.calls) / tries * len(PASSING)


@pytest.mark.parametrize("flow", ["install", "change", "destroy"])
def test_a_call_whose_answer_is_lost_does_no_harm_when_it_is_made_again(field: Field, flow: str) -> None:
    _, wanted = recorded(field, flow)
    do = begun(field, flow)
    field.aws.after = each_in_turn(faults.cut)
    do(field)
    assert field.aws.world.seen() == wanted


def test_what_was_just_made_may_not_be_seen_yet(field: Field) -> None:
    _, wanted = recorded(field, "install")
    unseen = set[tuple[str, str]]()

    def hide(call: Call) -> None:
        named = call.parameters.get("ChangeSetName") or call.parameters.get("StackName", "")
        young = call.bucket == faults.CODE or named.startswith("arn:")
        made = any(one.operation in ("CreateBucket", "CreateChangeSet") for one in field.aws.calls[:-1])
        if young and made and (call.name, named) not in unseen:
            unseen.add((call.name, named))
            raise faults.gone(call)

    begun(field, "install", hide)(field)
    assert field.aws.world.seen() == wanted
    assert {name for name, _ in unseen} == {
        "s3:PutPublicAccessBlock",
        "s3:PutBucketTagging",
        "s3:PutObject",
        "cloudformation:DescribeChangeSet",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:GetTemplate",
        "cloudformation:DescribeStacks",
        "cloudformation:DescribeStackEvents",
    }
    assert all("was made just now" in line for line in field.waits())


@pytest.mark.parametrize("flow", FLOWS)
def test_what_should_pass_and_does_not_is_one_message_in_bounded_time(
    field: Field, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_LONGEST_PAUSE", 25.0)  # a third of the calls, for the same time
    calls, _ = recorded(field, flow)
    together = informing(calls, flow)
    for place, name in enumerate(only_here(field, flow)):
        fault = PASSING[place % len(PASSING)]

        def fail(call: Call, name: str = name, fault: Fault = fault) -> None:
            if call.name == name or (name in together and call.name in together):
                raise fault(call)

        do, began = begun(field, flow, fail), field.aws.clock.now
        if is_informing(name, flow):
            assert is_told(do(field)), name
        elif name in SUFFERED:
            do(field)
        else:
            with pytest.raises(PassingError) as failed:
                do(field)
            assert ("can't be reached" if fault is faults.cut else f"for {PATIENCE:.0f} s now") in str(failed.value), (
                name
            )
            assert "run it again" in str(failed.value) or fault is faults.cut
            assert "Nothing of this installation" not in str(failed.value)
        services = len({one.partition(":")[0] for one in together}) if name in together else 1
        assert field.aws.clock.now - began < services * (PATIENCE + 30), name


def is_informing(name: str, flow: str) -> bool:
    return name in INFORMING or flow in LOOKING


def informing(calls: list[Call], flow: str) -> list[str]:
    """What only informs, in a flow that does more than look; all of it fails in one run."""
    return [] if flow in LOOKING else list(dict.fromkeys(call.name for call in calls if call.name in INFORMING))


def is_told(made: object, *names: str) -> bool:
    """Whether what came of a run says that something couldn't be looked at, and each of these calls wasn't allowed."""
    lines = made if isinstance(made, tuple) else getattr(made, "doubts", ())
    if isinstance(made, InstallPlan):
        lines = (*made.warnings, *made.lines)
    assert all(any(f"not allowed: {name}" in line for line in lines) for name in names), lines
    return any(words in line for line in lines for words in ("isn't known", "passed over: ", "can't be said: "))


def names_of(calls: list[Call], flow: str) -> list[str]:
    """Each kind of call once."""
    left_out = informing(calls, flow)[1:]
    names = [name for name in dict.fromkeys(call.name for call in calls) if name not in left_out]
    return [name for name in names if name.partition(":")[2] in LACKING] if flow in MORE else names


def only_here(field: Field, flow: str) -> list[str]:
    """Each kind of call of a flow that none before it makes: for faults that don't depend on what is there."""
    before = itertools.takewhile(lambda name: name != flow, FLOWS)
    known = {name for other in before for name in names_of(recorded(field, other)[0], other)}
    return [name for name in names_of(recorded(field, flow)[0], flow) if name not in known]


def places(calls: list[Call], chosen: list[str], *, every: bool) -> Iterator[int]:
    """Of each kind of call, the first in a flow, and with ``every`` the first once something has been written."""
    writing = next((place for place, call in enumerate(calls) if is_write(call)), len(calls))
    names = [call.name for call in calls]
    for name in chosen:
        yield names.index(name)
        if name in names[writing + 1 :] and names.index(name) <= writing and every:
            yield names.index(name, writing + 1)


@pytest.mark.parametrize("fault", LASTING)
@pytest.mark.parametrize("flow", FLOWS)
def test_what_does_not_pass_is_one_message_and_nothing_is_left_half_done(field: Field, flow: str, fault: Fault) -> None:
    calls, wanted = recorded(field, flow)
    before = field.states[FLOWS[flow][0]].seen()
    together = informing(calls, flow)
    chosen = only_here(field, flow) if fault is faults.expired else names_of(calls, flow)
    for place in places(calls, chosen, every=fault is faults.denied):
        name = calls[place].name

        def fail(call: Call, place: int = place, name: str = name) -> None:
            if (call.name == name and len(field.aws.calls) > place) or (call.name in together and name in together):
                raise fault(call)

        do = begun(field, flow, fail)
        try:
            made = do(field)
        except InstallError as error:
            assert not is_informing(name, flow) or fault is faults.gone, name
            see_clear(field, flow, str(error), name, LASTING[fault])
        else:
            if is_informing(name, flow) and fault is not faults.gone:
                assert is_told(made), name
            if name in together and fault is faults.denied:
                assert is_told(made, *together)
            assert is_told(made) or fault is faults.gone or field.aws.world.seen() == wanted, name
        if not any(is_write(call) for call in field.aws.calls[:-1]):
            assert field.aws.world.seen() == before, name
        elif flow != "destroy" or fault is not faults.gone:  # what AWS calls gone there, it doesn't show again
            field.see_destroyed()


def see_clear(field: Field, flow: str, text: str, name: str, words: str) -> None:
    assert words in text or (words == "not allowed: " and "may not be looked at" in text), text
    assert len(text) < 1000, text
    assert "Traceback" not in text
    if "Nothing of this installation is left." in text:
        assert field.is_empty(), name
    elif any(is_write(call) for call in field.aws.calls[:-1]):
        assert (
            words
            or "run it again" in text
            or "run `multicdn install destroy`" in text
            or flow in ("destroy", "store secrets")
        ), text


@pytest.mark.parametrize("flow", ["install", "change", "destroy"])
def test_a_run_that_is_killed_at_any_step_can_be_gone_on_with_and_removed(field: Field, flow: str) -> None:
    calls, wanted = recorded(field, flow)
    for place in [place for place, call in enumerate(calls) if is_write(call)]:

        def kill(_: Call, place: int = place) -> None:
            if len(field.aws.calls) == place + 1:
                raise Killed

        do = begun(field, flow)
        field.aws.after = kill
        with contextlib.suppress(Killed):  # a write that is refused has no effect
            do(field)
        there = field.aws.snapshot()
        field.see_destroyed()
        field.aws.world = there
        do(field)
        assert field.aws.world.seen() == wanted, calls[place].name
        assert field.aws.orphaned == [], calls[place].name
    field.destroy(faults.TWO)
    assert field.is_empty()
    assert field.destroy(faults.TWO).steps == ()
