"""Read the account as it is before anything is done. Never writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.installer.account import bucket_region, elsewhere
from multicdn.installer.deployed_code import DeployedCode
from multicdn.installer.errors import InstallError, PassedOverError, PassingError, code, is_denied, translated
from multicdn.installer.template.stack import State, remembered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.installer.account import Account

# What CloudFormation hands on to every resource that can have tags.
OWNER_TAG = "multicdn:stack"
ARTIFACTS_TAG = "multicdn:artifacts"


class Deployed(Struct, frozen=True):
    """A stack as it stands.

    Attributes:
        name, status: as CloudFormation says; ``REVIEW_IN_PROGRESS`` is a stack that was never made.
        body: its template.
        parameters, outputs, tags: by name.
        updated: when it was last changed, in ISO 8601.
        protected: whether somebody forbade to delete it.
    """

    name: str
    status: str
    body: Mapping[str, Any]
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    tags: Mapping[str, str]
    updated: str = ""
    protected: bool = False

    @property
    def exists(self) -> bool:
        """Whether it has resources that work."""
        return self.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")

    @property
    def state(self) -> State:
        """The notes of the run that made it."""
        return remembered(self.body)


class Artifacts(Struct, frozen=True):
    """The bucket for the function's code.

    Attributes:
        bucket: its name.
        ready: whether it is there, and set up if we made it.
        ours: whether we made it, or will.
        keys: of what this stack has in it.
        tags: that it has.
        there: whether it exists, be it as a run left it that was killed.
    """

    bucket: str
    ready: bool
    ours: bool
    keys: tuple[str, ...] = ()
    tags: Mapping[str, str] = {}
    there: bool = False


class Current(Struct, frozen=True):
    """The account as it is.

    Attributes:
        account, region: where.
        deployed: the stack; None where there is none.
        notifications: of each bucket that exists.
        artifacts: the bucket for the code.
        listened: buckets whose events rules of others, on the default event bus, may take.
        vanished: destinations in the notifications of others that don't exist any more.
        code: what the deployed code says of itself; None where there is none, or it can't be read.
        code_problem: why it can't be.
        reservable: invocations that could be reserved for the function, those included that are; None if not asked.
        passed_over: a sentence about each thing that once was ours, or might be, and can't be any more.
        doubts: what couldn't be found out.
        former: the bucket for the code before another was named; None where nothing is known of one.
    """

    account: str
    region: str
    deployed: Deployed | None
    notifications: Mapping[str, Mapping[str, Any]]
    artifacts: Artifacts
    listened: frozenset[str] = frozenset()
    vanished: tuple[str, ...] = ()
    code: DeployedCode | None = None
    code_problem: str = ""
    reservable: int | None = None
    passed_over: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    former: Artifacts | None = None


def read_stack(account: Account, name: str) -> Deployed | None:
    """Look at a stack.

    Raises:
        InstallError: there is one of this name that multicdn didn't make.
    """
    from botocore.exceptions import ClientError

    cloudformation = account.client("cloudformation")
    with translated(f"looking at the stack {name}", "cloudformation"):
        try:
            [description] = cloudformation.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if code(error) == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        deployed = _deployed(cloudformation, description)
        ours = deployed.tags.get(OWNER_TAG) == name or _is_shell_of_ours(cloudformation, deployed)
    if not ours:
        raise InstallError(f"there is a stack {name!r} that multicdn didn't make; choose another name: --stack NAME")
    return deployed


def read_notifications(account: Account, buckets: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Read the notifications of buckets.

    Raises:
        InstallError: a bucket doesn't exist, or is in another region or account; all of these are named at once.
    """
    problems, notifications = [], {}
    for bucket in buckets:
        try:
            notifications[bucket] = read_notification(account, bucket)
        except PassingError:
            raise
        except InstallError as error:
            problems.append(str(error))
    if problems:
        raise InstallError("\n".join(dict.fromkeys(problems)))
    return notifications


def read_notification(account: Account, bucket: str) -> Mapping[str, Any]:
    """Read the notifications of one bucket, as S3 gives them.

    Raises:
        PassedOverError: it doesn't exist, or is in another region or account.
        InstallError: it may not be looked at.
    """
    region = bucket_region(account.client("s3"), bucket, account.id)
    if region != account.region:
        raise PassedOverError(elsewhere(bucket, region))
    return read_as_ours(account, bucket)


def read_as_ours(account: Account, bucket: str) -> Mapping[str, Any]:
    """The same for a bucket that was just seen to be ours."""
    with translated(f"reading the notifications of {bucket}", "s3"):
        answer = account.client("s3").get_bucket_notification_configuration(
            Bucket=bucket, ExpectedBucketOwner=account.id
        )
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def read_remains(
    account: Account, remembered: Iterable[str], others: Iterable[str] = ()
) -> tuple[dict[str, Mapping[str, Any]], list[str]]:
    """Read the notifications of buckets in which entries of ours may be left.

    Args:
        account: whose.
        remembered: buckets in which there are, or were.
        others: buckets in which there may be.

    Returns:
        The notifications of those that can be read, and a sentence about each of the others.

    Raises:
        InstallError: one that is remembered is there, and may not be looked at.
    """
    notifications, passed_over, known = {}, [], set(remembered)
    for bucket in dict.fromkeys((*others, *remembered)):
        try:
            notifications[bucket] = read_notification(account, bucket)
        except PassingError:
            raise
        except InstallError as error:
            if bucket in known and not isinstance(error, PassedOverError):
                raise
            passed_over.append(f"passed over: {error}")
    return notifications, passed_over


def read_artifacts(account: Account, stack_name: str, named: str) -> Artifacts:
    """Look at the bucket for the function's code.

    Args:
        account: whose.
        stack_name: of this installation.
        named: as configured; empty for the one that we make.

    Raises:
        PassedOverError: it is somebody else's, or may not be looked at.
    """
    bucket = named or f"multicdn-{account.id}-{account.region}"
    s3 = account.client("s3")
    with translated(f"looking into the bucket {bucket}", "s3"):
        keys = _keys(s3, bucket, folder(stack_name), account.id)
        if keys is None:
            return Artifacts(bucket, ready=False, ours=True)
        if named:
            _refuse_far(s3, bucket, account)
        tags = _tags(s3, bucket, anothers=bool(named))
    tagged = ARTIFACTS_TAG in tags
    return Artifacts(bucket, bool(named) or tagged, not named or tagged, keys, tags, there=True)


def is_marked(account: Account, bucket: str) -> bool:
    """Whether a bucket is there, and multicdn made it; not if its tags may not be read."""
    with translated(f"reading the tags of {bucket}", "s3"):
        return ARTIFACTS_TAG in _tags(account.client("s3"), bucket, anothers=True)


def folder(stack_name: str) -> str:
    """Where a stack's code is in the bucket."""
    return f"multicdn/{stack_name}/"


def _keys(s3: Any, bucket: str, prefix: str, account: str) -> tuple[str, ...] | None:
    """What is below a prefix; None if there is no bucket. HeadBucket would do, but its errors have no words."""
    from botocore.exceptions import ClientError

    try:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=account)
        return tuple(item["Key"] for page in pages for item in page.get("Contents", ()))
    except ClientError as error:
        if code(error) == "NoSuchBucket":
            return None
        if is_denied(error):
            raise PassedOverError(
                f"the bucket {bucket!r}, for the function's code, is another account's or may not be looked at "
                "(s3:ListBucket); name one of yours: install.artifact_bucket"
            ) from error
        raise


def _refuse_far(s3: Any, bucket: str, account: Account) -> None:
    """Refuse a bucket of another region. boto3 finds it there; Lambda doesn't, once all else is made.

    docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html, S3Bucket

    Raises:
        PassedOverError: it is in another region.
    """
    region = bucket_region(s3, bucket, account.id)
    if region != account.region:
        raise PassedOverError(
            f"the bucket {bucket!r}, for the function's code, is in {region}, and Lambda takes code from its own "
            f"region alone, {account.region}; name a bucket there: install.artifact_bucket"
        )


def _is_shell_of_ours(cloudformation: Any, deployed: Deployed) -> bool:
    """Whether a stack is but the place for a first change set of ours that was never carried out.

    A stack has its tags when it is made; until then, only the names of its change sets tell whose it is.
    """
    if deployed.status != "REVIEW_IN_PROGRESS":
        return False
    pages = cloudformation.get_paginator("list_change_sets").paginate(StackName=deployed.name)
    return all(one["ChangeSetName"].startswith("multicdn-") for page in pages for one in page["Summaries"])


def _tags(s3: Any, bucket: str, *, anothers: bool) -> dict[str, str]:
    """The tags of a bucket; of one that may be somebody else's, none if they may not be read."""
    from botocore.exceptions import ClientError

    try:
        tags = s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError as error:
        if code(error) in ("NoSuchTagSet", "NoSuchBucket") or (anothers and is_denied(error)):
            return {}
        raise
    return {tag["Key"]: tag["Value"] for tag in tags}


def _deployed(cloudformation: Any, description: Mapping[str, Any]) -> Deployed:
    status = str(description["StackStatus"])
    body: Any = {}
    if status != "REVIEW_IN_PROGRESS":
        body = cloudformation.get_template(StackName=description["StackId"], TemplateStage="Original")["TemplateBody"]
    when = description.get("LastUpdatedTime") or description["CreationTime"]
    return Deployed(
        str(description["StackName"]),
        status,
        body if isinstance(body, dict) else {},
        {item["ParameterKey"]: item["ParameterValue"] for item in description.get("Parameters", ())},
        {item["OutputKey"]: item["OutputValue"] for item in description.get("Outputs", ())},
        {item["Key"]: item["Value"] for item in description.get("Tags", ())},
        when.isoformat(),
        description.get("EnableTerminationProtection", False),
    )
