"""What CloudFormation says of a stack's resources: which are ready, which failed, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import code

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Say = Callable[[str], None]


def read_events(cloudformation: Any, stack_id: str) -> list[Mapping[str, Any]]:
    """All events of a stack, the newest first; none of one that isn't there yet."""
    from botocore.exceptions import ClientError

    try:
        pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
        return [event for page in pages for event in page["StackEvents"]]
    except ClientError as error:
        if code(error) == "ValidationError":
            return []
        raise


def known(cloudformation: Any, stack_id: str) -> set[str]:
    """The ids of all events so far."""
    return {event["EventId"] for event in read_events(cloudformation, stack_id)}


def causes(cloudformation: Any, stack_id: str, before: set[str]) -> list[Mapping[str, Any]]:
    """The resources that failed by themselves, in their order, each once."""
    events = reversed(read_events(cloudformation, stack_id))
    fresh = [event for event in events if event["EventId"] not in before and _is_cause(event)]
    return list({event["LogicalResourceId"]: event for event in fresh}.values())


def failure(name: str, status: str, failed: Sequence[Mapping[str, Any]]) -> str:
    """What became of a stack, and a line for each resource that failed."""
    left = _outcome(status)
    lines = (f"  {described(event)}" for event in failed)
    return "\n".join((f"CloudFormation could not change the stack {name!r} ({status}); {left}", *lines))


def described(event: Mapping[str, Any]) -> str:
    """The resource of an event, and what happened to it."""
    return f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason(event)}"


def reason(event: Mapping[str, Any]) -> str:
    """Why a resource failed."""
    return str(event.get("ResourceStatusReason") or "no reason given")


def tell(event: Mapping[str, Any], say: Say) -> None:
    """Say of a resource that it is ready, or failed; nothing of what is but begun."""
    status = event.get("ResourceStatus", "")
    if event.get("ResourceType") == "AWS::CloudFormation::Stack" or not status.endswith(("_COMPLETE", "_FAILED")):
        return
    why = f": {reason(event)}" if status.endswith("_FAILED") else ""
    say(f"{event['LogicalResourceId']} {status.lower().replace('_', ' ')}{why}")


def _is_cause(event: Mapping[str, Any]) -> bool:
    """Whether a resource failed by itself, and not because another one had."""
    if event.get("ResourceType") == "AWS::CloudFormation::Stack":
        return False
    cancelled = "ancelled" in reason(event)
    return event.get("ResourceStatus", "").endswith("_FAILED") and not cancelled


def _outcome(status: str) -> str:
    if status.endswith("ROLLBACK_FAILED"):
        return "going back failed too: see the stack's events, then `aws cloudformation continue-update-rollback`"
    if status == "DELETE_FAILED":
        return "what is left is named here; remove what holds it and run it again"
    return "it is as it was before"
