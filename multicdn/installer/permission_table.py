"""The permissions that installing takes: which actions, on what, and for which settings. A table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.config.settings import Trigger

if TYPE_CHECKING:
    from multicdn.config.settings import Install

_STACK = "arn:{partition}:cloudformation:{region}:{account}:stack/{stack}/*"
_CODE = "arn:{partition}:s3:::{artifacts}"
_QUEUE = "arn:{partition}:sqs:{region}:{account}:{stack}-*"
_FUNCTION = "arn:{partition}:lambda:{region}:{account}:function:{stack}-*"
_LOGS = "arn:{partition}:logs:{region}:{account}:log-group:{stack}-*"
_ALARM = "arn:{partition}:cloudwatch:{region}:{account}:alarm:{stack}-*"
_ROLE = "{role}"
_RULE = "arn:{partition}:events:{region}:{account}:rule/{stack}-*"


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
        "ExecuteChangeSet GetTemplate ListChangeSets",
        _STACK,
    ),
    _permission("s3", "GetBucketLocation GetBucketNotification PutBucketNotification", "arn:{partition}:s3:::{bucket}"),
    _permission("s3", "GetBucketLocation GetBucketTagging ListBucket", _CODE),
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
        "DeleteRole GetRole GetRolePolicy TagRole UntagRole UpdateAssumeRolePolicy",
        _ROLE,
        option="makes_role",
    ),
    _permission("iam", "PassRole", _ROLE, condition=_TO_LAMBDA),
    _permission(
        "lambda",
        "CreateFunction DeleteFunction GetFunction GetFunctionConfiguration ListTags TagResource UntagResource "
        "UpdateFunctionCode UpdateFunctionConfiguration",
        _FUNCTION,
    ),
    _permission(
        "sqs",
        "CreateQueue DeleteQueue GetQueueAttributes ListQueueTags SetQueueAttributes TagQueue UntagQueue",
        _QUEUE,
    ),
    _permission("sqs", "ListQueues", "*"),
    _permission(
        "logs",
        "CreateLogGroup DeleteLogGroup ListTagsForResource PutRetentionPolicy TagResource UntagResource",
        _LOGS,
    ),
    _permission("logs", "DescribeLogGroups", "*"),
    _permission(
        "cloudwatch", "DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource", _ALARM
    ),
    _permission(
        "cloudwatch",
        "DeleteDashboards GetDashboard PutDashboard",
        "arn:{partition}:cloudwatch::{account}:dashboard/{stack}-*",
    ),
    _permission("lambda", "CreateEventSourceMapping", "*", *_QUEUED),
    _permission(
        "lambda",
        "DeleteEventSourceMapping GetEventSourceMapping TagResource UntagResource UpdateEventSourceMapping",
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
        "DeleteRule DescribeRule ListTargetsByRule PutRule PutTargets RemoveTargets TagResource UntagResource",
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
