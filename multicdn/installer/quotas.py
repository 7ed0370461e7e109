"""What AWS would refuse half-way because it is too long or too many, counted from the template beforehand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.installer import permissions
from multicdn.installer.template import event_sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.config import Config
    from multicdn.installer.account import Account
    from multicdn.installer.hints import Hints

# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html: bytes of a queue's policy.
_LONGEST_OF_QUEUE = 8_192

# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: a function's resource-based policy, 20 KB.
_LONGEST_OF_FUNCTION = 20_480

# docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html: resources of a template.
_MOST_RESOURCES = 500

# Lambda always keeps this many back for functions that reserve none:
# docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_UNRESERVABLE = 100

# docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: bytes of the code, unzipped.
_LARGEST_CODE = 250 << 20

# What CloudFormation adds to the names that it makes up.
_RANDOM = "-ABCDEFGHIJKL"

_SPLIT = "install some of the buckets by a config of their own, with another `install.stack`"


def problems(config: Config, body: Mapping[str, Any], region: str) -> list[str]:
    """Every limit that the stack of a config would be beyond, one line each, with the remedy.

    Args:
        config: that the template was made from.
        body: the template.
        region: of the stack; its name is part of every ARN.
    """
    resources, filler = body["Resources"], _Filler(config.install.stack, region)
    return [f"{config.name}: {problem}" for problem in _problems(resources, filler)]


def reservable(account: Account, deployed: Mapping[str, Any], hints: Hints) -> int | None:
    """Ask Lambda how many invocations could be reserved for the function, those included that are.

    Args:
        account: whose.
        deployed: the template of the stack; empty if there is none.
        hints: told if that can't be found out.

    Returns:
        The number; None if it isn't known.
    """
    subject = "whether so much can be reserved (install.reserved_concurrency)"
    settings = hints.ask(
        "lambda",
        "asking for the account's concurrency",
        lambda: account.client("lambda").get_account_settings(),
        subject,
    )
    if settings is None:
        return None
    limits = settings["AccountLimit"]
    function = deployed.get("Resources", {}).get("Function", {}).get("Properties", {})
    reserved = int(function.get("ReservedConcurrentExecutions", 0))
    return max(0, int(limits["UnreservedConcurrentExecutions"]) + reserved - _UNRESERVABLE)


def reservation_problem(wanted: int | None, free: int | None) -> str:
    """A sentence about a reservation that Lambda would refuse; empty if it wouldn't, or that isn't known."""
    if wanted is None or free is None or wanted <= free:
        return ""
    remedy = f"lower it to {free}" if free else "leave it out"
    return (
        f"install.reserved_concurrency is {wanted}, and of the account's concurrency no more than {free} can be "
        f"reserved, since Lambda keeps {_UNRESERVABLE} for functions that reserve none; {remedy}, or ask AWS for more "
        "(Service Quotas, Lambda, Concurrent executions)"
    )


def code_problem(unpacked: int) -> str:
    """A sentence about code of so many bytes, if Lambda would refuse it; else empty."""
    if unpacked <= _LARGEST_CODE:
        return ""
    return (
        f"the code has {unpacked:,} bytes unpacked, and Lambda takes {_LARGEST_CODE:,}; install some of the providers "
        "by a config of their own, with another `install.stack`"
    )


def _problems(resources: Mapping[str, Any], filler: _Filler) -> Iterator[str]:
    length = permissions.policy_length(filler.filled(_inline_policies(resources)))
    if length > permissions.LONGEST_OF_ROLE:
        yield (
            f"the role of the function would need a policy of {length:,} characters, and IAM takes "
            f"{permissions.LONGEST_OF_ROLE:,}; give routes with `tags_from`, `verify`, `settle` or a counted "
            f"`collapse` fewer, wider prefixes, put several secrets into one, or {_SPLIT}"
        )
    for name in _of_type(resources, "AWS::SQS::QueuePolicy"):
        length = _bytes(filler.filled(resources[name]["Properties"]["PolicyDocument"]))
        if length > _LONGEST_OF_QUEUE:
            yield (
                f"the policy of a queue ({name}) would have {length:,} bytes, and SQS takes {_LONGEST_OF_QUEUE:,}; "
                f"{_SPLIT}"
            )
    length = _function_policy(resources, filler)
    if length > _LONGEST_OF_FUNCTION:
        yield (
            f"the policy of the function would have {length:,} bytes, and Lambda takes {_LONGEST_OF_FUNCTION:,}; use "
            f"`install: trigger: queue`, whose policy takes more buckets, or {_SPLIT}"
        )
    if len(resources) > _MOST_RESOURCES:
        yield (
            f"the stack would have {len(resources):,} resources, and CloudFormation takes {_MOST_RESOURCES}; give "
            f"routes fewer, wider prefixes, or {_SPLIT}"
        )


def _inline_policies(resources: Mapping[str, Any]) -> list[Any]:
    roles = (resources[name]["Properties"] for name in _of_type(resources, "AWS::IAM::Role"))
    return [one["PolicyDocument"]["Statement"] for role in roles for one in role.get("Policies", ())]


def _function_policy(resources: Mapping[str, Any], filler: _Filler) -> int:
    """Bytes of the policy that Lambda makes of all permissions, one statement each."""
    statements = [
        {
            "Sid": filler.made_up(name),
            "Effect": "Allow",
            "Principal": {"Service": permission["Principal"]},
            "Action": permission["Action"],
            "Resource": filler.function,
            "Condition": {
                "StringEquals": {"AWS:SourceAccount": permission.get("SourceAccount", "")},
                "ArnLike": {"AWS:SourceArn": permission.get("SourceArn", "")},
            },
        }
        for name in _of_type(resources, "AWS::Lambda::Permission")
        for permission in [resources[name]["Properties"]]
    ]
    policy = {"Version": "2012-10-17", "Id": "default", "Statement": filler.filled(statements)}
    return _bytes(policy) if statements else 0


def _of_type(resources: Mapping[str, Any], kind: str) -> list[str]:
    return [name for name, resource in resources.items() if resource["Type"] == kind]


def _bytes(value: object) -> int:
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode())


class _Filler:
    """Fills in what CloudFormation would, in some account: as long as in any other."""

    def __init__(self, stack: str, region: str) -> None:
        self._stack = stack
        self._names = {"AWS::Partition": "aws", "AWS::Region": region, "AWS::AccountId": "123456789012"}
        self._prefix = f"{region}:123456789012"
        self.function = f"arn:aws:lambda:{self._prefix}:function:{self.made_up('Function')}"

    def made_up(self, name: str) -> str:
        """The name of a resource: 64 characters at most for most kinds."""
        return f"{self._stack}-{name}"[: 64 - len(_RANDOM)] + _RANDOM

    def filled(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self.filled(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "Fn::GetAtt" in value:
            return self._arn(value["Fn::GetAtt"][0])
        if "Fn::Sub" in value:
            text = str(value["Fn::Sub"])
            for name, known in self._names.items():
                text = text.replace(f"${{{name}}}", known)
            return text.replace("${!", "${")
        return {key: self.filled(below) for key, below in value.items()}

    def _arn(self, name: str) -> str:
        if name.endswith("Queue"):
            return f"arn:aws:sqs:{self._prefix}:{self.made_up(name)}"
        if name.startswith("Bucket"):
            return f"arn:aws:events:{self._prefix}:rule/{self._stack}-{event_sources.rule_name(name)}"
        return f"arn:aws:logs:{self._prefix}:log-group:{self.made_up(name)}:*"
