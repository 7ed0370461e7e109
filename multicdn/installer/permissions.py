"""What the person who installs must be allowed to do, and whether they are.

IAM can be asked beforehand (SimulatePrincipalPolicy), so that a missing permission doesn't show when half is done. Who
may not ask, or signs in as root, simply goes ahead.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.config.settings import Install, Trigger
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.installer.account import Account

_STACK = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"
_CODE = "arn:{partition}:s3:::{artifacts}"
_QUEUE = "arn:{partition}:sqs:{region}:{account}:{stack}-*"
_FUNCTION = "arn:{partition}:lambda:{region}:{account}:function:{stack}-*"
_LOGS = "arn:{partition}:logs:{region}:{account}:log-group:{stack}-*"
_ALARM = "arn:{partition}:cloudwatch:{region}:{account}:alarm:{stack}-*"
_ROLE = "{role}"
_RULE = "arn:{partition}:events:{region}:{account}:rule/{stack}-*"


# docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: of a managed policy, and of all inline policies of
# one role, group or user together.
_MANAGED = "a managed policy"
LONGEST_OF_ROLE = 10_240
_LONGEST = {
    _MANAGED: 6_144,
    "a role's inline policies": LONGEST_OF_ROLE,
    "a group's inline policies": 5_120,
    "a user's inline policies": 2_048,
}


class Permission(Struct, frozen=True):
    """Actions on one kind of resource.

    Attributes:
        actions: of one service.
        resource: ARN, with ``{account}`` and so on.
        triggers: for which this is needed; empty for all.
        option: setting for which this is needed; empty for all.
        condition: key and value that calls must have; none where the value is empty.
    """

    actions: tuple[str, ...]
    resource: str
    triggers: tuple[Trigger, ...] = ()
    option: str = ""
    condition: tuple[str, str] = ("", "")


def _permission(
    service: str,
    actions: str,
    resource: str,
    *triggers: Trigger,
    option: str = "",
    condition: tuple[str, str] = ("", ""),
) -> Permission:
    return Permission(tuple(f"{service}:{action}" for action in actions.split()), resource, triggers, option, condition)


# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html: the calls that know of a boundary.
_BOUND = ("iam:PermissionsBoundary", "{permissions_boundary}")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html#ck_PassedToService
_TO_LAMBDA = ("iam:PassedToService", "lambda.amazonaws.com")


_QUEUED = (Trigger.QUEUE, Trigger.EVENTBRIDGE)

PERMISSIONS = (
    _permission(
        "cloudformation",
        "CreateChangeSet DeleteChangeSet DeleteStack DescribeChangeSet DescribeStackEvents DescribeStacks "
        "ExecuteChangeSet GetTemplate",
        _STACK,
    ),
    _permission("s3", "GetBucketLocation GetBucketNotification PutBucketNotification", "arn:{partition}:s3:::{bucket}"),
    _permission("s3", "GetBucketTagging ListBucket", _CODE),
    _permission(
        "s3",
        "CreateBucket DeleteBucket PutBucketPublicAccessBlock PutBucketTagging",
        _CODE,
        option="makes_bucket",
    ),
    _permission("s3", "DeleteObject GetObject PutObject", _CODE + "/multicdn/{stack}/*"),
    _permission(
        "iam",
        "CreateRole DeleteRolePolicy PutRolePolicy",
        _ROLE,
        option="makes_role",
        condition=_BOUND,
    ),
    _permission("iam", "PutRolePermissionsBoundary", _ROLE, option="permissions_boundary", condition=_BOUND),
    _permission(
        "iam",
        "DeleteRole GetRole GetRolePolicy TagRole UpdateAssumeRolePolicy",
        _ROLE,
        option="makes_role",
    ),
    _permission("iam", "PassRole", _ROLE, condition=_TO_LAMBDA),
    _permission(
        "lambda",
        "CreateFunction DeleteFunction GetFunction GetFunctionConfiguration ListTags TagResource "
        "UpdateFunctionCode UpdateFunctionConfiguration",
        _FUNCTION,
    ),
    _permission(
        "sqs",
        "CreateQueue DeleteQueue GetQueueAttributes ListQueueTags SetQueueAttributes TagQueue",
        _QUEUE,
    ),
    _permission("sqs", "ListQueues", "*"),
    _permission(
        "logs",
        "CreateLogGroup DeleteLogGroup ListTagsForResource PutRetentionPolicy TagResource",
        _LOGS,
    ),
    _permission("logs", "DescribeLogGroups", "*"),
    _permission("cloudwatch", "DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource", _ALARM),
    _permission(
        "cloudwatch",
        "DeleteDashboards GetDashboard PutDashboard",
        "arn:{partition}:cloudwatch::{account}:dashboard/{stack}-*",
    ),
    _permission("lambda", "CreateEventSourceMapping", "*", *_QUEUED),
    _permission(
        "lambda",
        "DeleteEventSourceMapping GetEventSourceMapping TagResource UpdateEventSourceMapping",
        "arn:{partition}:lambda:{region}:{account}:event-source-mapping:*",
        *_QUEUED,
    ),
    _permission("lambda", "AddPermission GetPolicy RemovePermission", _FUNCTION, Trigger.DIRECT),
    _permission(
        "lambda",
        "DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig "
        "UpdateFunctionEventInvokeConfig",
        _FUNCTION,
        Trigger.DIRECT,
    ),
    _permission(
        "events",
        "DeleteRule DescribeRule ListTargetsByRule PutRule PutTargets RemoveTargets TagResource",
        _RULE,
        Trigger.EVENTBRIDGE,
    ),
    _permission("events", "ListRules", "*", Trigger.EVENTBRIDGE),
    _permission(
        "events",
        "DescribeEventBus",
        "arn:{partition}:events:{region}:{account}:event-bus/default",
        option="sending_accounts",
    ),
    _permission("events", "PutPermission RemovePermission", "*", option="sending_accounts"),
    _permission("lambda", "PutFunctionConcurrency DeleteFunctionConcurrency", _FUNCTION, option="reserved_concurrency"),
    _permission("lambda", "GetAccountSettings", "*", option="reserved_concurrency"),
    _permission(
        "lambda",
        "CreateAlias DeleteAlias GetAlias ListVersionsByFunction PublishVersion UpdateAlias",
        _FUNCTION,
        option="snapstart",
    ),
    _permission("kms", "CreateGrant Decrypt DescribeKey Encrypt", "{kms_key}", option="kms_key"),
    _permission("kms", "Decrypt DescribeKey GenerateDataKey", "{artifact_key}", option="artifact_key"),
    _permission("kms", "DescribeKey", "{secret_key}", option="secret_keys"),
    _permission("ec2", "DescribeSecurityGroups DescribeSubnets DescribeVpcs", "*", option="vpc"),
)


def needed(settings: Install) -> list[Permission]:
    """The permissions that installing with these settings takes."""
    return [
        permission
        for permission in PERMISSIONS
        if (not permission.triggers or settings.trigger in permission.triggers)
        and (not permission.option or getattr(settings, permission.option))
    ]


def policy(settings: Install, account: str, region: str, partition: str, buckets: Sequence[str]) -> dict[str, Any]:
    """The policy to give to whoever installs with these settings."""
    statements: list[dict[str, Any]] = []
    for permission in needed(settings):
        resources = list(_resources(permission, settings, account, region, partition, buckets))
        if not resources:
            continue
        where = {"Resource": resources if len(resources) > 1 else resources[0], **_condition(permission, settings)}
        same = (one for one in statements if one == {"Effect": "Allow", "Action": one["Action"], **where})
        if alike := next(same, None):
            alike["Action"] += permission.actions
        else:
            statements.append({"Effect": "Allow", "Action": list(permission.actions), **where})
    return {"Version": "2012-10-17", "Statement": statements}


def where_it_fits(made: dict[str, Any]) -> str:
    """Say how long a policy is, and where IAM takes one of that length."""
    length = policy_length(made)
    fitting = [f"{place} ({most:,} at most)" for place, most in _LONGEST.items() if length <= most]
    others = [f"{place} ({most:,})" for place, most in _LONGEST.items() if length > most]
    text = f"{length:,} characters without white space: "
    text += f"it fits into {', '.join(fitting)}" if fitting else "too long for any one policy"
    if others and fitting:
        text += f"; not into {', '.join(others)}"
    if length > _LONGEST[_MANAGED]:
        text += f"; or put its statements into {math.ceil(length / _LONGEST[_MANAGED]) + 1} managed policies"
    return text


def policy_length(made: object) -> int:
    """Characters of a policy as IAM counts them, which leaves white space out."""
    return len(json.dumps(made, separators=(",", ":"), ensure_ascii=False))


def _condition(permission: Permission, settings: Install) -> dict[str, Any]:
    key, value = permission.condition
    value = value.format(permissions_boundary=settings.permissions_boundary)
    return {"Condition": {"StringEquals": {key: value}}} if value else {}


def refuse_if_denied(account: Account, settings: Install, buckets: Sequence[str]) -> None:
    """Ask IAM whether the caller may do everything that is needed.

    Raises:
        InstallError: it says that they may not; every missing action is named.
    """
    source = _with_path(account, principal(account.arn))
    if not source:
        return
    missing = [
        f"  {action} on {resource}"
        for permission in needed(settings)
        for resource in _resources(permission, settings, account.id, account.region, account.partition, buckets)
        for action in _denied(account, source, permission.actions, resource, _condition(permission, settings))
    ]
    if missing:
        raise InstallError("\n".join((f"{account.arn} may not do what installing takes; nothing was done:", *missing)))


def principal(arn: str) -> str:
    """The user or role behind a caller; empty where IAM can't be asked about it."""
    assumed = re.fullmatch(r"(arn:[^:]+):sts::(\d+):assumed-role/([^/]+)/.+", arn)
    if assumed:
        return f"{assumed[1]}:iam::{assumed[2]}:role/{assumed[3]}"
    return arn if re.search(r":(user|role)/", arn) else ""


def _with_path(account: Account, source: str) -> str:
    """A role by the ARN that it has in IAM, which knows of its path, as those of IAM Identity Center have one."""
    from botocore.exceptions import ClientError

    if ":role/" not in source or not account.arn.startswith(f"arn:{account.partition}:sts:"):
        return source
    try:
        return str(account.client("iam").get_role(RoleName=source.rpartition("/")[2])["Role"]["Arn"])
    except ClientError:
        return source  # not allowed to look; without a path it is right


def _denied(
    account: Account, source: str, actions: Sequence[str], resource: str, condition: dict[str, Any]
) -> Iterator[str]:
    from botocore.exceptions import ClientError

    # A star in a name would be compared letter by letter.
    example = resource if resource == "*" else resource.replace("*", "simulated")
    try:
        answer = account.client("iam").simulate_principal_policy(
            PolicySourceArn=source,
            ActionNames=list(actions),
            ResourceArns=[example],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for conditions in condition.values()
                for key, value in conditions["StringEquals"].items()
            ],
        )
    except ClientError:
        return  # not allowed to ask: then the calls themselves will tell
    for result in answer["EvaluationResults"]:
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
            yield result["EvalActionName"]


def _resources(
    permission: Permission, settings: Install, account: str, region: str, partition: str, buckets: Sequence[str]
) -> Iterator[str]:
    values = {
        "account": account,
        "region": region,
        "partition": partition,
        "stack": settings.stack,
        "artifacts": settings.artifact_bucket or f"multicdn-{account}-{region}",
        "kms_key": settings.kms_key,
        "artifact_key": settings.artifact_key,
        "role": settings.role or f"arn:{partition}:iam::{account}:role{settings.role_path}{settings.stack}-*",
    }
    several = {"{bucket}": buckets, "{secret_key}": settings.secret_keys}
    for one in several.get(permission.resource.rpartition(":")[2], ("",)):
        yield permission.resource.format(**values, bucket=one, secret_key=one)
