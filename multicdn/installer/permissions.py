"""What the person who installs must be allowed to do, and whether they are.

IAM can be asked beforehand (SimulatePrincipalPolicy), so that a missing right doesn't show when half is done. Who may
not ask, or signs in as root, simply goes ahead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.config.settings import Install, Trigger
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.installer.account import Account

_STACK = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"
_CODE = "arn:{partition}:s3:::{artifacts}"
_QUEUE = "arn:{partition}:sqs:{region}:{account}:{stack}-*"
_FUNCTION = "arn:{partition}:lambda:{region}:{account}:function:{stack}-*"
_LOGS = "arn:{partition}:logs:{region}:{account}:log-group:{stack}-*"
_ALARM = "arn:{partition}:cloudwatch:{region}:{account}:alarm:{stack}-*"
_RULE = "arn:{partition}:events:{region}:{account}:rule/{stack}-*"


class Right(Struct, frozen=True):
    """Actions on one kind of resource.

    Attributes:
        actions: of one service.
        resource: ARN, with ``{account}`` and so on.
        triggers: for which this is needed; empty for all.
        option: setting for which this is needed; empty for all.
    """

    actions: tuple[str, ...]
    resource: str
    triggers: tuple[Trigger, ...] = ()
    option: str = ""


def _right(service: str, actions: str, resource: str, *triggers: Trigger, option: str = "") -> Right:
    return Right(tuple(f"{service}:{action}" for action in actions.split()), resource, triggers, option)


_QUEUED = (Trigger.QUEUE, Trigger.EVENTBRIDGE)

RIGHTS = (
    _right(
        "cloudformation",
        "CreateChangeSet DeleteChangeSet DeleteStack DescribeChangeSet DescribeStackEvents DescribeStacks "
        "ExecuteChangeSet GetTemplate",
        _STACK,
    ),
    _right("s3", "GetBucketLocation GetBucketNotification PutBucketNotification", "arn:{partition}:s3:::{bucket}"),
    _right(
        "s3",
        "CreateBucket DeleteBucket GetBucketTagging ListBucket PutBucketPublicAccessBlock PutBucketTagging",
        _CODE,
    ),
    _right("s3", "DeleteObject GetObject PutObject", _CODE + "/multicdn/{stack}/*"),
    _right(
        "iam",
        "CreateRole DeleteRole DeleteRolePolicy GetRole GetRolePolicy PassRole PutRolePolicy TagRole "
        "UpdateAssumeRolePolicy",
        "arn:{partition}:iam::{account}:role/{stack}-*",
    ),
    _right(
        "lambda",
        "CreateFunction DeleteFunction GetFunction GetFunctionConfiguration ListTags TagResource "
        "UpdateFunctionCode UpdateFunctionConfiguration",
        _FUNCTION,
    ),
    _right(
        "sqs",
        "CreateQueue DeleteQueue GetQueueAttributes ListQueueTags SetQueueAttributes TagQueue",
        _QUEUE,
    ),
    _right("sqs", "ListQueues", "*"),
    _right(
        "logs",
        "CreateLogGroup DeleteLogGroup ListTagsForResource PutRetentionPolicy TagResource",
        _LOGS,
    ),
    _right("logs", "DescribeLogGroups", "*"),
    _right("cloudwatch", "DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource", _ALARM),
    _right(
        "cloudwatch", "DeleteDashboards GetDashboard PutDashboard", "arn:{partition}:cloudwatch::{account}:dashboard/*"
    ),
    _right("lambda", "CreateEventSourceMapping", "*", *_QUEUED),
    _right(
        "lambda",
        "DeleteEventSourceMapping GetEventSourceMapping UpdateEventSourceMapping",
        "arn:{partition}:lambda:{region}:{account}:event-source-mapping:*",
        *_QUEUED,
    ),
    _right("lambda", "AddPermission GetPolicy RemovePermission", _FUNCTION, Trigger.DIRECT),
    _right(
        "lambda",
        "DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig "
        "UpdateFunctionEventInvokeConfig",
        _FUNCTION,
        Trigger.DIRECT,
    ),
    _right(
        "events",
        "DeleteRule DescribeRule ListTargetsByRule PutRule PutTargets RemoveTargets TagResource",
        _RULE,
        Trigger.EVENTBRIDGE,
    ),
    _right("events", "ListRules", "*", Trigger.EVENTBRIDGE),
    _right("lambda", "PutFunctionConcurrency DeleteFunctionConcurrency", _FUNCTION, option="reserved_concurrency"),
    _right(
        "lambda",
        "CreateAlias DeleteAlias GetAlias ListVersionsByFunction PublishVersion UpdateAlias",
        _FUNCTION,
        option="snapstart",
    ),
    _right("kms", "CreateGrant Decrypt DescribeKey Encrypt", "{kms_key}", option="kms_key"),
    _right("ec2", "DescribeSecurityGroups DescribeSubnets DescribeVpcs", "*", option="vpc"),
)


def needed(settings: Install) -> list[Right]:
    """The rights that installing with these settings takes."""
    return [
        right
        for right in RIGHTS
        if (not right.triggers or settings.trigger in right.triggers)
        and (not right.option or getattr(settings, right.option))
    ]


def policy(settings: Install, account: str, region: str, partition: str, buckets: Sequence[str]) -> dict[str, Any]:
    """The policy to give to whoever installs with these settings."""
    statements = [
        {
            "Effect": "Allow",
            "Action": list(right.actions),
            "Resource": resources if len(resources) > 1 else resources[0],
        }
        for right in needed(settings)
        if (resources := list(_resources(right, settings, account, region, partition, buckets)))
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def refuse_if_denied(account: Account, settings: Install, buckets: Sequence[str], artifacts: str) -> None:
    """Ask IAM whether the caller may do everything that is needed.

    Raises:
        InstallError: it says that they may not; every missing action is named.
    """
    source = principal(account.arn)
    if not source:
        return
    named = _with_bucket(settings, artifacts)
    missing = [
        f"  {action} on {resource}"
        for right in needed(settings)
        for resource in _resources(right, named, account.id, account.region, account.partition, buckets)
        for action in _denied(account, source, right.actions, resource)
    ]
    if missing:
        raise InstallError("\n".join((f"{account.arn} may not do what installing takes; nothing was done:", *missing)))


def principal(arn: str) -> str:
    """The user or role behind a caller; empty where IAM can't be asked about it."""
    assumed = re.fullmatch(r"(arn:[^:]+):sts::(\d+):assumed-role/([^/]+)/.+", arn)
    if assumed:
        return f"{assumed[1]}:iam::{assumed[2]}:role/{assumed[3]}"
    return arn if re.search(r":(user|role)/", arn) else ""


def _denied(account: Account, source: str, actions: Iterable[str], resource: str) -> Iterator[str]:
    from botocore.exceptions import ClientError

    # A star in a name would be compared letter by letter.
    example = resource if resource == "*" else resource.replace("*", "simulated")
    try:
        answer = account.client("iam").simulate_principal_policy(
            PolicySourceArn=source, ActionNames=list(actions), ResourceArns=[example]
        )
    except ClientError:
        return  # not allowed to ask, or a role below a path: then the calls themselves will tell
    for result in answer["EvaluationResults"]:
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
            yield result["EvalActionName"]


def _resources(
    right: Right, settings: Install, account: str, region: str, partition: str, buckets: Sequence[str]
) -> Iterator[str]:
    values = {
        "account": account,
        "region": region,
        "partition": partition,
        "stack": settings.stack,
        "artifacts": settings.artifact_bucket or f"multicdn-{account}-{region}",
        "kms_key": settings.kms_key,
    }
    for bucket in buckets if "{bucket}" in right.resource else ("",):
        yield right.resource.format(**values, bucket=bucket)


def _with_bucket(settings: Install, artifacts: str) -> Install:
    import msgspec

    return msgspec.structs.replace(settings, artifact_bucket=artifacts)
