"""CloudFormation: deploy by change set, say what happens, and name what failed and why."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import TYPE_CHECKING, Any

from multicdn.installer import stack_events
from multicdn.installer.errors import InstallError, PassingError, code, translated
from multicdn.installer.passing import is_denied_reason, is_gone, is_passing_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from multicdn.installer.account import Account

    Say = Callable[[str], None]

# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html
LONGEST_BODY = 51_200

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0
# CloudFormation itself gives a resource an hour at most, and some resources of ours are made one after the other.
_LONGEST_WAIT = 7200.0
# A stack that failed for what passes is made again; what it needs is seen everywhere some seconds later.
_TRIES = 3
_LONG_PAUSE = 15.0
_NO_CHANGES = ("didn't contain changes", "No updates are to be performed")


class _FailedError(PassingError):
    """A stack, or its change set, failed for what passes."""


def deploy(
    account: Account,
    name: str,
    body: Mapping[str, str],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    say: Say,
    seen: str | None = None,
) -> bool:
    """Make or change a stack by a change set; where that fails for what passes, again.

    Args:
        account: whose.
        name: of the stack.
        body: ``TemplateBody`` or ``TemplateURL``.
        parameters: by name.
        tags: by name.
        say: told of each resource that is ready or failed.
        seen: when the stack was last changed, as far as the caller knows, and empty for a stack that isn't there yet;
            one that somebody else has changed since is left alone. None to change it however it is.

    Returns:
        Whether anything had to be changed.

    Raises:
        PassingError: somebody else has changed it.
        InstallError: it names the resources that failed, and why. The stack is then as it was before.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _deploy(account.client("cloudformation"), name, body, parameters, tags, say, seen)
        except _FailedError as error:
            if not left:
                raise
            seen = None  # by now it is our own failure that changed it
            say(f"{error}\nthat passes: trying again in {_LONG_PAUSE:.0f} s, {left} more times at most")
            time.sleep(_LONG_PAUSE)
    raise AssertionError  # the last try returns or raises


def _deploy(
    cloudformation: Any,
    name: str,
    body: Mapping[str, str],
    parameters: Mapping[str, str],
    tags: Mapping[str, str],
    say: Say,
    seen: str | None,
) -> bool:
    with translated(f"deploying the stack {name}", "cloudformation"):
        with _unchanged(cloudformation, name, seen):
            create = _is_new(cloudformation, name)
            stack_id, change_set = _change_set(cloudformation, name, body, parameters, tags, create=create)
            # From here on CloudFormation itself sees to it: a change of the stack undoes all other change sets.
            if _is_changed(cloudformation, name, seen) or not _prepared(cloudformation, change_set):
                _discard(cloudformation, change_set)
                _refuse_changed(cloudformation, name, seen)
                return False
            known = stack_events.known(cloudformation, stack_id)
            cloudformation.execute_change_set(ChangeSetName=change_set, ClientRequestToken=_token())
        status = _wait(cloudformation, stack_id, known, say)
        if not status:
            raise PassingError(f"CloudFormation doesn't show the stack {name} that it was given; run it again")
        if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            causes = stack_events.causes(cloudformation, stack_id, known)
            passes = bool(causes) and all(is_passing_reason(stack_events.reason(event)) for event in causes)
            raise (_FailedError if passes else InstallError)(stack_events.failure(name, status, causes))
    return True


def delete(account: Account, name: str, say: Say) -> None:
    """Delete a stack, and wait until it is gone; one that is gone already is as well.

    What others hold fast, such as a role to which they attached a policy, is left to them in the end, and named.

    Raises:
        InstallError: it names the resources that can't be deleted, and why.
    """
    wait_until_idle(account, name, say)
    cloudformation = account.client("cloudformation")
    with translated(f"deleting the stack {name}", "cloudformation"):
        stack_id = _id(cloudformation, name)
        held: list[Mapping[str, Any]] = []
        for last in (False, False, True):
            if not stack_id:
                return
            seen = stack_events.known(cloudformation, stack_id)
            kept = {"RetainResources": [event["LogicalResourceId"] for event in held]} if last else {}
            cloudformation.delete_stack(StackName=stack_id, ClientRequestToken=_token(), **kept)
            status = _wait(cloudformation, stack_id, seen, say)
            if status in ("", "DELETE_COMPLETE"):
                for event in held if last else ():
                    by_hand = f"delete it by hand: {stack_events.described(event)}"
                    say(f"{event.get('PhysicalResourceId', '')} stays; {by_hand}")
                return
            held = stack_events.causes(cloudformation, stack_id, seen)
            if last or not held or any(is_denied_reason(stack_events.reason(event)) for event in held):
                raise InstallError(stack_events.failure(name, status, held))
            say(f"{stack_events.failure(name, status, held)}\ntrying again in {_LONG_PAUSE:.0f} s")
            time.sleep(_LONG_PAUSE)


def wait_until_idle(account: Account, name: str, say: Say) -> None:
    """Wait for an operation that is under way, be it of a run that was interrupted.

    Raises:
        PassingError: it doesn't end.
    """
    cloudformation = account.client("cloudformation")
    with translated(f"waiting for the stack {name}", "cloudformation"):
        status = _status(cloudformation, name)
        if is_busy(status):
            limit = f"for up to {_LONGEST_WAIT / 60:.0f} minutes"
            say(f"the stack {name} is being changed ({status}); waiting for the end of that, {limit}")
            _wait(cloudformation, name, stack_events.known(cloudformation, name), say)


def changed(account: Account, name: str) -> str:
    """When a stack was last changed, in ISO 8601; empty for one that isn't there, or was never made."""
    with translated(f"looking at the stack {name}", "cloudformation"):
        return _changed(account.client("cloudformation"), name)


def _changed(cloudformation: Any, name: str) -> str:
    described = _described(cloudformation, name)
    if described.get("StackStatus", "REVIEW_IN_PROGRESS") == "REVIEW_IN_PROGRESS":
        return ""
    return str((described.get("LastUpdatedTime") or described["CreationTime"]).isoformat())


def refuse_changed(account: Account, name: str, seen: str | None) -> None:
    """Refuse a stack that was changed since it was seen; None for any.

    Raises:
        PassingError: it was.
    """
    with translated(f"looking at the stack {name}", "cloudformation"):
        _refuse_changed(account.client("cloudformation"), name, seen)


@contextlib.contextmanager
def _unchanged(cloudformation: Any, name: str, seen: str | None) -> Iterator[None]:
    """Say of whatever fails that somebody else has changed the stack, if that is so."""
    from botocore.exceptions import ClientError

    try:
        yield
    except (ClientError, InstallError):
        _refuse_changed(cloudformation, name, seen)
        raise


def _refuse_changed(cloudformation: Any, name: str, seen: str | None) -> None:
    if _is_changed(cloudformation, name, seen):
        raise PassingError(f"somebody else changed the stack {name} since the plan was made; nothing was done to it")


def _is_changed(cloudformation: Any, name: str, seen: str | None) -> bool:
    return seen is not None and _changed(cloudformation, name) != seen


def _is_new(cloudformation: Any, name: str) -> bool:
    """Whether there is no stack, or only the shell of one whose change set was never carried out."""
    return _status(cloudformation, name) in ("", "REVIEW_IN_PROGRESS", "DELETE_COMPLETE")


def _status(cloudformation: Any, name: str) -> str:
    return str(_described(cloudformation, name).get("StackStatus", ""))


def _id(cloudformation: Any, name: str) -> str:
    return str(_described(cloudformation, name).get("StackId", ""))


def _described(cloudformation: Any, name: str) -> Mapping[str, Any]:
    """What CloudFormation says of a stack; nothing of one that isn't there."""
    from botocore.exceptions import ClientError

    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]  # type: ignore[no-any-return]
    except ClientError as error:
        if code(error) == "ValidationError" and "does not exist" in str(error):
            return {}
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
    token = _token()
    answer = cloudformation.create_change_set(
        StackName=name,
        ChangeSetName=token,
        ClientToken=token,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **body,
        **extra,
    )
    return str(answer["StackId"]), str(answer["Id"])


def _token() -> str:
    """By which CloudFormation knows that a call whose answer was lost is made again."""
    return f"multicdn-{uuid.uuid4().hex}"


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
            _discard(cloudformation, change_set)
            kind = _FailedError if is_passing_reason(reason) else InstallError
            raise kind(f"CloudFormation refuses the change: {reason}")
        time.sleep(pause)
    raise PassingError(f"CloudFormation is still preparing the change after {_LONGEST_WAIT / 60:.0f} minutes")


def _discard(cloudformation: Any, change_set: str) -> None:
    from botocore.exceptions import ClientError

    try:
        cloudformation.delete_change_set(ChangeSetName=change_set)
    except ClientError as error:
        if not is_gone(code(error), ""):
            raise


def _wait(cloudformation: Any, stack_id: str, known: set[str], say: Say) -> str:
    """Follow a stack until it rests; return its status."""
    told = set(known)
    for pause in _pauses():
        status = _status(cloudformation, stack_id)
        for event in reversed(stack_events.read_events(cloudformation, stack_id)):
            if event["EventId"] not in told:
                told.add(event["EventId"])
                stack_events.tell(event, say)
        if not is_busy(status):
            return status
        time.sleep(pause)
    minutes = f"{_LONGEST_WAIT / 60:.0f} minutes"
    raise PassingError(f"the stack is still being changed ({status}) after {minutes}; run it again when that has ended")


def is_busy(status: str) -> bool:
    """Whether CloudFormation is at work on a stack."""
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _pauses() -> Iterator[float]:
    pause, end = _FIRST_PAUSE, time.monotonic() + _LONGEST_WAIT
    while time.monotonic() < end:
        yield pause
        pause = min(_LONGEST_PAUSE, pause * 1.5)
