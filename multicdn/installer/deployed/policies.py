"""Who may send to the queue, or call the function: S3 and EventBridge fail silently where they may not."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from multicdn.config.settings import Trigger
from multicdn.diagnosis import Finding, failed, ok
from multicdn.installer.errors import code, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.installer.deployed.installed import Installed

_S3, _EVENTBRIDGE = "s3.amazonaws.com", "events.amazonaws.com"


def of_queue(installed: Installed, found: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the policy of the queue lets in what happens in the buckets.

    Args:
        installed: whose queue.
        found: the queue's attributes.
    """
    statements = _statements(found.get("Policy", ""))
    if installed.file.config.install.trigger is Trigger.EVENTBRIDGE:
        if not any(_lets(one, _EVENTBRIDGE) for one in statements):
            yield failed("its policy doesn't let EventBridge send to it", installed.remedy("RulesMaySend"))
        return
    beside = _beside(statements, installed)
    if beside:
        yield failed(f"its policy doesn't let S3 send what happens in {beside}", installed.remedy("BucketsMaySend"))


def of_function(installed: Installed) -> Iterator[Finding]:
    """Whether the policy of the function lets S3 call it for all buckets."""
    from botocore.exceptions import ClientError

    with translated("reading who may call the function", "lambda"):
        try:
            arn = installed.outputs["InvokedArn"]
            policy = installed.account.client("lambda").get_policy(FunctionName=arn)["Policy"]
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise
            policy = ""
    beside = _beside(_statements(policy), installed)
    if beside:
        yield failed(
            f"S3 may not call the function for {beside} (trigger: direct)", installed.remedy("EventInvokeConfig")
        )
    else:
        yield ok("S3 may call the function itself (trigger: direct)")


def _beside(statements: Iterable[Mapping[str, Any]], installed: Installed) -> str:
    """Buckets of which no statement lets S3 tell."""
    partition = installed.account.partition
    s3 = [one for one in statements if _lets(one, _S3)]
    buckets = installed.file.buckets
    return ", ".join(name for name in buckets if not any(_has(one, f"arn:{partition}:s3:::{name}") for one in s3))


def _statements(policy: str) -> list[dict[str, Any]]:
    found = json.loads(policy or "{}").get("Statement", [])
    return [one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)]


def _lets(statement: Mapping[str, Any], service: str) -> bool:
    principal = statement.get("Principal")
    named = _texts(principal.get("Service")) + _texts(principal.get("AWS")) if isinstance(principal, dict) else []
    return statement.get("Effect") == "Allow" and (principal == "*" or "*" in named or service in named)


def _has(statement: Mapping[str, Any], source: str) -> bool:
    """Whether a statement is for a source; one without such a condition is for all."""
    named = [
        one
        for conditions in statement.get("Condition", {}).values()
        for key, values in conditions.items()
        if key.lower() == "aws:sourcearn"
        for one in _texts(values)
    ]
    return not named or any(fnmatchcase(source, one) for one in named)


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value] if isinstance(value, list) else []
