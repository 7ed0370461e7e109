"""The CloudFormation template: everything that multicdn has in an account, but for two things that can't be in a stack.

No resource has a name of its own, since a name could be taken: CloudFormation makes them up from the stack's.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn.config.settings import Trigger
from multicdn.installer.notifications.prefixes import buckets, covered
from multicdn.installer.template import alarms, dashboard, event_sources, role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from multicdn.config import Config
    from multicdn.config.settings import Install

HANDLER = "multicdn.handler.handler"
CONFIG_IN_BUNDLE = "multicdn.config.yml"

# AWS advises six times the function's timeout, and to add the window: with-sqs.html, "Configuring a queue".
_VISIBILITY_TIMES = 6
# Five at least: the same page. Retries of single jobs are multicdn's own; this is for batches that break the function.
RECEIVES = 6
_FORTNIGHT = 1_209_600

# Lambda drops what is below a level, INFO by default, and calls one of them by another name than Python:
# docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
_LAMBDA_LEVELS = {"WARNING": "WARN"}

Resource = dict[str, Any]
Resources = dict[str, Resource]


class State(Struct, frozen=True):
    """Notes for the next run, in the metadata of the deployed template.

    Attributes:
        version: of multicdn.
        config_sha256: of the config file.
        trigger: how events reach the function.
        buckets: that tell it.
        eventbridge: buckets whose EventBridge flag multicdn has turned on.
    """

    version: str = ""
    config_sha256: str = ""
    trigger: Trigger = Trigger.QUEUE
    buckets: tuple[str, ...] = ()
    eventbridge: tuple[str, ...] = ()


def template(config: Config, state: State, *, revision: str, triggers: Iterable[Trigger] = ()) -> dict[str, Any]:
    """Make the template of a config.

    Args:
        config: with its ``install`` section.
        state: to remember.
        revision: changes whenever the code does; SnapStart needs a new version then.
        triggers: in use; more than one while changing from one to another. By default the configured one.
    """
    used = frozenset(triggers) or frozenset((config.install.trigger,))
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "multicdn: tells every CDN in front of S3 buckets what changed",
        "Metadata": {"multicdn": _remembered(state)},
        "Parameters": {
            "BundleBucket": {"Type": "String", "Description": "bucket of the function's code"},
            "BundleKey": {"Type": "String", "Description": "key of the function's code"},
        },
        "Resources": role.substituted(_resources(config, revision, used)),
        "Outputs": outputs(config.install, used),
    }


def as_read(body: Mapping[str, Any]) -> dict[str, Any]:
    """A template as CloudFormation gives it back: tuples are lists by then."""
    return json.loads(json.dumps(body))  # type: ignore[no-any-return]


def remembered(body: Mapping[str, Any]) -> State:
    """Read the notes of a deployed template; empty for a template of another make, or one that somebody edited."""
    try:
        return msgspec.convert(body.get("Metadata", {}).get("multicdn", {}), State, strict=False)
    except (msgspec.ValidationError, AttributeError):
        return State()


def _remembered(state: State) -> Any:
    return msgspec.to_builtins(state)


def _resources(config: Config, revision: str, used: frozenset[Trigger]) -> Resources:
    settings = config.install
    queued = bool(used - {Trigger.DIRECT})
    resources = {
        "DeadLetterQueue": _dead_letter_queue(),
        "LogGroup": _log_group(settings),
    }
    if settings.makes_role:
        resources |= {"Role": _role(config, queued=queued)}
    if queued:
        resources |= {"Queue": _queue(settings)}
    resources |= {"Function": _function(settings, queued=queued)}
    callee: object = _att("Function")
    if settings.snapstart:
        version = _version_name(resources["Function"], revision)
        resources |= _snapshot(version)
        callee = _ref("Alias")
    if queued:
        resources |= {"EventSourceMapping": _event_source_mapping(settings, callee)}
    if Trigger.QUEUE in used:
        resources |= event_sources.bucket_to_queue(buckets(config.routes))
    if Trigger.EVENTBRIDGE in used:
        resources |= event_sources.eventbridge_to_queue(covered(config.routes))
        resources |= event_sources.accounts_to_bus(settings.sending_accounts)
    if Trigger.DIRECT in used:
        resources |= event_sources.bucket_to_function(buckets(config.routes), callee, alias=settings.snapstart)
    resources |= alarms.resources(config, queued=queued)
    return resources | {"Dashboard": dashboard.resource(config, queued=queued)}


def _dead_letter_queue() -> Resource:
    # What is in it outlives the stack; one that was only just made, and failed, doesn't.
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "RetainExceptOnCreate",
        "UpdateReplacePolicy": "Retain",
        "Properties": {"MessageRetentionPeriod": _FORTNIGHT, "SqsManagedSseEnabled": True},
    }


def _queue(settings: Install) -> Resource:
    return {
        "Type": "AWS::SQS::Queue",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "MessageRetentionPeriod": _FORTNIGHT,
            "RedrivePolicy": {"deadLetterTargetArn": _att("DeadLetterQueue"), "maxReceiveCount": RECEIVES},
            "SqsManagedSseEnabled": True,
            "VisibilityTimeout": _VISIBILITY_TIMES * settings.timeout + settings.batch_window,
        },
    }


def _log_group(settings: Install) -> Resource:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {"RetentionInDays": settings.log_retention_days},
    }


def _role(config: Config, *, queued: bool) -> Resource:
    statements = {"Version": "2012-10-17", "Statement": role_statements(config, queued=queued)}
    properties: dict[str, Any] = {
        "AssumeRolePolicyDocument": role.trust("lambda.amazonaws.com"),
        "Description": "What multicdn's function may do",
        "Policies": [{"PolicyName": "multicdn", "PolicyDocument": statements}],
    }
    if config.install.role_path != "/":
        properties["Path"] = config.install.role_path
    if config.install.permissions_boundary:
        properties["PermissionsBoundary"] = config.install.permissions_boundary
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def role_statements(config: Config, *, queued: bool) -> list[role.Statement]:
    """The statements of the role: everything that the function may do."""
    settings = config.install
    statements = [role.allow("WriteLog", ["logs:CreateLogStream", "logs:PutLogEvents"], _att("LogGroup"))]
    if queued:
        taking = ["ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "ReceiveMessage"]
        statements.append(role.allow("TakeMessages", [f"sqs:{action}" for action in taking], _att("Queue")))
    queues = [_att("Queue"), _att("DeadLetterQueue")] if queued else [_att("DeadLetterQueue")]
    statements.append(role.allow("RequeueJobs", ["sqs:SendMessage"], queues))
    statements += role.provider_statements(config.providers)
    statements += role.secret_statements(config.providers, settings.kms_key, settings.secret_keys)
    statements += role.bucket_statements(config)
    statements += role.publish_statements(config.publish)
    return [*statements, *(role.network_statements() if settings.vpc else ())]


def _function(settings: Install, *, queued: bool) -> Resource:
    properties: dict[str, Any] = {
        "Architectures": [settings.architecture],
        "Code": {"S3Bucket": _ref("BundleBucket"), "S3Key": _ref("BundleKey")},
        "Description": "Tells every CDN what changed",
        "Environment": {"Variables": _environment(settings, queued=queued)},
        "Handler": HANDLER,
        "LoggingConfig": {
            "ApplicationLogLevel": _LAMBDA_LEVELS.get(settings.log_level, settings.log_level),
            "LogFormat": "JSON",
            "LogGroup": _ref("LogGroup"),
        },
        "MemorySize": settings.memory,
        "Role": _att("Role") if settings.makes_role else settings.role,
        "Runtime": f"python{settings.python}",
        "Timeout": settings.timeout,
    }
    if settings.kms_key:
        properties["KmsKeyArn"] = settings.kms_key
    if settings.reserved_concurrency is not None:
        properties["ReservedConcurrentExecutions"] = settings.reserved_concurrency
    if settings.snapstart:
        properties["SnapStart"] = {"ApplyOn": "PublishedVersions"}
        # Lambda publishes nothing where nothing has changed, as for the same code under a new key.
        properties["Description"] = {"Fn::Sub": "Tells every CDN what changed: ${BundleKey}"}
    if settings.vpc:
        network = settings.vpc
        properties["VpcConfig"] = {
            "SecurityGroupIds": list(network.security_groups),
            "SubnetIds": list(network.subnets),
        }
    return {"Type": "AWS::Lambda::Function", "Properties": properties}


def _environment(settings: Install, *, queued: bool) -> dict[str, Any]:
    variables: dict[str, Any] = {"MULTICDN_CONFIG": CONFIG_IN_BUNDLE, "MULTICDN_LOG_LEVEL": settings.log_level}
    if queued:  # without a queue, Lambda itself retries and fills the dead-letter queue
        variables |= {"MULTICDN_QUEUE_URL": _ref("Queue"), "MULTICDN_DLQ_URL": _ref("DeadLetterQueue")}
    return variables


def _version_name(function: Resource, revision: str) -> str:
    """A new name for all that a version holds fast: CloudFormation publishes only what it has to make anew."""
    text = json.dumps(function, sort_keys=True) + revision
    return "Version" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _snapshot(version: str) -> Resources:
    return {
        version: {
            "Type": "AWS::Lambda::Version",
            # A new description makes a new version, where a pipeline brings new code to the same template.
            "Properties": {"Description": _ref("BundleKey"), "FunctionName": _ref("Function")},
        },
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": _ref("Function"),
                "FunctionVersion": _att(version, "Version"),
                "Name": event_sources.ALIAS,
            },
        },
    }


def _event_source_mapping(settings: Install, callee: object) -> Resource:
    return {
        "Type": "AWS::Lambda::EventSourceMapping",
        "Properties": {
            "BatchSize": settings.batch_size,
            "EventSourceArn": _att("Queue"),
            "FunctionName": callee,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "MaximumBatchingWindowInSeconds": settings.batch_window,
            "ScalingConfig": {"MaximumConcurrency": settings.maximum_concurrency},
        },
    }


def outputs(settings: Install, used: Collection[Trigger]) -> dict[str, Any]:
    """What the stack tells others of itself, as CloudFormation is to work it out."""
    found: dict[str, Any] = {
        "FunctionName": _ref("Function"),
        "LogGroupName": _ref("LogGroup"),
        "DeadLetterQueueUrl": _ref("DeadLetterQueue"),
    }
    if set(used) - {Trigger.DIRECT}:
        found |= {"QueueUrl": _ref("Queue"), "QueueArn": _att("Queue")}
    if Trigger.DIRECT in used:
        found |= {"InvokedArn": _ref("Alias") if settings.snapstart else _att("Function")}
    return {name: {"Value": value} for name, value in found.items()}


def _ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def _att(name: str, attribute: str = "Arn") -> dict[str, list[str]]:
    return {"Fn::GetAtt": [name, attribute]}
