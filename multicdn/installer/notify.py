"""Write a bucket's notifications beside those of others, whose destinations may be gone by now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multicdn.installer import state
from multicdn.installer.errors import InstallError, PassedOverError, PassingError, code, translated
from multicdn.installer.notifications import merge
from multicdn.installer.retries import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.installer.account import Account
    from multicdn.installer.steps import Notify

    Say = Callable[[str], None]

_PAUSE = 2.0


def notify(step: Notify, account: Account, say: Say) -> None:
    """Carry out one instruction.

    Raises:
        InstallError: S3 refuses, or somebody else changed the notifications since the plan was made.
    """
    arn = _destination(step, account) if step.output else ""
    try:
        now = state.read_notification(account, step.bucket)
    except PassedOverError as error:
        if step.wanted.parts or step.wanted.eventbridge:
            raise
        say(f"passed over: {error}")
        return
    # Who only takes out has nothing to compare: whatever others have by now stays as it is.
    if step.wanted.parts and not merge.same(merge.foreign(now, step.stack), merge.foreign(step.seen, step.stack)):
        raise InstallError(
            f"somebody changed the notifications of {step.bucket} since the plan was made; nothing was written there, "
            "run it again"
        )
    wanted = merge.merged(now, step.wanted, step.stack, arn)
    if merge.same(now, wanted):
        return
    _write(account, step.bucket, now, wanted, arn, say)
    _read_back(account, step.bucket, wanted, say)


def _destination(step: Notify, account: Account) -> str:
    deployed = state.read_stack(account, step.stack)
    if not deployed or step.output not in deployed.outputs:
        raise InstallError(f"the stack {step.stack} has no {step.output} any more: somebody changed it; run it again")
    return deployed.outputs[step.output]


def _write(
    account: Account, bucket: str, now: Mapping[str, Any], wanted: Mapping[str, Any], arn: str, say: Say
) -> None:
    """Write a configuration; while S3 doesn't see yet that it may send to ours, try again.

    S3 looks at all destinations on every write, at those of others too. Without ours there is nothing to look at.
    """
    end = time.monotonic() + PATIENCE
    told = False
    while refused := _put(account, bucket, wanted, unchecked=not arn):
        if _others_are_to_blame(account, bucket, now, arn, refused):
            others = [f"{name}: {why}" for name, why in _blamed(refused).items() if name != arn]
            said = "; ".join(others) or refused.response["Error"].get("Message")
            say(f"S3 can't reach a destination of others in {bucket}, and isn't asked to: {said}")
            _put(account, bucket, wanted, unchecked=True)
            return
        if time.monotonic() >= end:
            said = refused.response["Error"].get("Message")
            raise PassingError(
                f"S3 still can't send from {bucket} to {arn}, {PATIENCE:.0f} s after that was allowed: {said}; run it "
                "again later, and look whether a policy of the organisation forbids it"
            )
        if not told:
            say(f"waiting, for up to {PATIENCE:.0f} s: S3 doesn't see the new permissions yet")
            told = True
        time.sleep(_PAUSE)


def _put(account: Account, bucket: str, wanted: Mapping[str, Any], *, unchecked: bool) -> Any:
    """Write a configuration; the error, if S3 can't reach a destination."""
    from botocore.exceptions import ClientError

    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html
    skip = {"SkipDestinationValidation": True} if unchecked else {}
    with translated(f"writing the notifications of {bucket}", "s3"):
        try:
            account.client("s3").put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration=wanted, ExpectedBucketOwner=account.id, **skip
            )
        except ClientError as error:
            if code(error) == "InvalidArgument" and "Unable to validate" in str(error):
                return error
            raise
    return None


def _others_are_to_blame(account: Account, bucket: str, now: Mapping[str, Any], arn: str, refused: Any) -> bool:
    """Whether S3 can't reach a destination of others, whatever it says of ours."""
    blamed = _blamed(refused)
    if blamed:
        return not all(name == arn for name in blamed)
    # It doesn't say which: if what stands there already is refused as well, it isn't ours alone.
    return merge.count(now) > 0 and _put(account, bucket, now, unchecked=False) is not None


def _blamed(refused: Any) -> dict[str, str]:
    """ARNs that S3 names, and what it says of them: ``ArgumentName1`` is "ARN, null", ``ArgumentValue1`` the reason."""
    error = refused.response["Error"]
    return {
        str(value).partition(",")[0]: str(error.get(name.replace("Name", "Value"), ""))
        for name, value in error.items()
        if name.startswith("ArgumentName") and str(value).startswith("arn:")
    }


def _read_back(account: Account, bucket: str, wanted: Mapping[str, Any], say: Say) -> None:
    end = time.monotonic() + PATIENCE
    told = False
    while not merge.same(state.read_as_ours(account, bucket), wanted):
        if time.monotonic() >= end:
            raise InstallError(f"the notifications of {bucket} aren't what was written: somebody else writes them too")
        if not told:
            say(f"waiting, for up to {PATIENCE:.0f} s: S3 doesn't show the new notifications of {bucket} yet")
            told = True
        time.sleep(_PAUSE)
