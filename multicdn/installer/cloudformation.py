"""CloudFormation: deploy by change set, say what happens, and name what failed and why."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, code, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from multicdn.installer.account import Account

    Say = Callable[[str], None]

# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
LONGEST_BODY = 51_200

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


def deploy(
    account: Account,
    name: str,
    body: Mapping[str, str],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    say: Say,
) -> bool:
    """Make or change a stack by a change set.

    Args:
        account: whose.
        name: of the stack.
        body: ``TemplateBody`` or ``TemplateURL``.
        parameters: by name.
        tags: by name.
        say: told of each resource that is ready or failed.

    Returns:
        Whether anything had to be changed.

    Raises:
        InstallError: it names the resources that failed, and why. The stack is then as it was before.
    """
    cloudformation = account.client("cloudformation")
    with translated(f"deploying the stack {name}", "cloudformation"):
        create = _is_new(cloudformation, name)
        stack_id, change_set = _change_set(cloudformation, name, body, parameters, tags, create=create)
        if not _prepared(cloudformation, change_set):
            cloudformation.delete_change_set(ChangeSetName=change_set)
            return False
        seen = {event["EventId"] for event in _events(cloudformation, stack_id)}
        cloudformation.execute_change_set(ChangeSetName=change_set)
        status = _wait(cloudformation, stack_id, seen, say)
    if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise InstallError(_failure(cloudformation, stack_id, seen, name, status))
    return True


def delete(account: Account, name: str, say: Say) -> None:
    """Delete a stack, and wait until it is gone.

    Raises:
        InstallError: it names the resources that can't be deleted, and why.
    """
    cloudformation = account.client("cloudformation")
    with translated(f"deleting the stack {name}", "cloudformation"):
        stack_id = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        seen = {event["EventId"] for event in _events(cloudformation, stack_id)}
        cloudformation.delete_stack(StackName=stack_id)
        status = _wait(cloudformation, stack_id, seen, say)
    if status != "DELETE_COMPLETE":
        raise InstallError(_failure(cloudformation, stack_id, seen, name, status))


def wait_until_idle(account: Account, name: str, say: Say) -> None:
    """Wait for an operation that is under way, be it of a run that was interrupted."""
    cloudformation = account.client("cloudformation")
    with translated(f"waiting for the stack {name}", "cloudformation"):
        status = _status(cloudformation, name)
        if is_busy(status):
            say(f"the stack {name} is being changed ({status}); waiting for the end of that")
            _wait(cloudformation, name, {event["EventId"] for event in _events(cloudformation, name)}, say)


def _is_new(cloudformation: Any, name: str) -> bool:
    """Whether there is no stack, or only the shell of one whose change set was never carried out."""
    return _status(cloudformation, name) in ("", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")


def _status(cloudformation: Any, name: str) -> str:
    from botocore.exceptions import ClientError

    try:
        return str(cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"])
    except ClientError as error:
        if code(error) == "ValidationError" and "does not exist" in str(error):
            return ""
        raise


def _change_set(
    cloudformation: Any,
    name: str,
    body: Mapping[str, str],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    *,
    create: bool,
) -> tuple[str, str]:
    # A stack that fails while it is made leaves nothing: there is nothing yet to roll back to.
    extra = {"ChangeSetType": "CREATE", "OnStackFailure": "DELETE"} if create else {"ChangeSetType": "UPDATE"}
    answer = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=f"multicdn-{uuid.uuid4().hex}",
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **body,
        **extra,
    )
    return str(answer["StackId"]), str(answer["Id"])


def _prepared(cloudformation: Any, change_set: str) -> bool:
    """Wait until a change set can be carried out; False if there is nothing to change."""
    for pause in _pauses():
        change = cloudformation.describe_change_set(ChangeSetName=change_set)
        if change["Status"] == "CREATE_COMPLETE":
            return True
        if change["Status"] == "FAILED":
            reason = change.get("StatusReason", "")
            if any(phrase in reason for phrase in _NO_CHANGES):
                return False
            cloudformation.delete_change_set(ChangeSetName=change_set)
            raise InstallError(f"CloudFormation refuses the change: {reason}")
        time.sleep(pause)
    raise AssertionError  # pauses never end


def _wait(cloudformation: Any, stack_id: str, known: set[str], say: Say) -> str:
    """Follow a stack until it rests; return its status."""
    told = set(known)
    for pause in _pauses():
        status = _status(cloudformation, stack_id)
        for event in reversed(_events(cloudformation, stack_id)):
            if event["EventId"] not in told:
                told.add(event["EventId"])
                _tell(event, say)
        if not is_busy(status):
            return status
        time.sleep(pause)
    raise AssertionError


def _tell(event: Mapping[str, Any], say: Say) -> None:
    status = event.get("ResourceStatus", "")
    if event.get("ResourceType") == "AWS::CloudFormation::Stack" or not status.endswith(("_COMPLETE", "_FAILED")):
        return
    reason = f": {event['ResourceStatusReason']}" if status.endswith("_FAILED") else ""
    say(f"{event['LogicalResourceId']} {status.lower().replace('_', ' ')}{reason}")


def _failure(cloudformation: Any, stack_id: str, known: set[str], name: str, status: str) -> str:
    with translated(f"asking why the stack {name} failed", "cloudformation"):
        events = [event for event in reversed(_events(cloudformation, stack_id)) if event["EventId"] not in known]
    causes = [_cause(event) for event in events if _is_cause(event)]
    left = _outcome(status)
    return "\n".join((f"CloudFormation could not change the stack {name!r} ({status}); {left}", *causes))


def _is_cause(event: Mapping[str, Any]) -> bool:
    """Whether a resource failed by itself, and not because another one had."""
    if event.get("ResourceType") == "AWS::CloudFormation::Stack":
        return False
    cancelled = "ancelled" in event.get("ResourceStatusReason", "")
    return event.get("ResourceStatus", "").endswith("_FAILED") and not cancelled


def _cause(event: Mapping[str, Any]) -> str:
    reason = event.get("ResourceStatusReason", "no reason given")
    return f"  {event['LogicalResourceId']} ({event['ResourceType']}): {reason}"


def _outcome(status: str) -> str:
    if status.endswith("ROLLBACK_FAILED"):
        return "going back failed too: see the stack's events, then `aws cloudformation continue-update-rollback`"
    if status == "DELETE_FAILED":
        return "what is left is named here; remove what holds it and run it again"
    return "it is as it was before"


def _events(cloudformation: Any, stack_id: str) -> list[Mapping[str, Any]]:
    """All events of a stack, the newest first; none of one that isn't there yet."""
    from botocore.exceptions import ClientError

    try:
        pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        return [event for page in pages for event in page["StackEvents"]]
    except ClientError as error:
        if code(error) == "ValidationError":
            return []
        raise


def is_busy(status: str) -> bool:
    """Whether CloudFormation is at work on a stack."""
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _pauses() -> Iterator[float]:
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 1.5)
