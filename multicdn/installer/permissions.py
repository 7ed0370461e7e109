"""What the person who installs must be allowed to do, and whether they are.

IAM can be asked beforehand (SimulatePrincipalPolicy), so that a missing permission doesn't show when half is done. Who
may not ask, or signs in as root, simply goes ahead.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError
from multicdn.installer.permission_table import needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.config.settings import Install
    from multicdn.installer.account import Account
    from multicdn.installer.permission_table import Permission

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
    from botocore.exceptions import BotoCoreError, ClientError

    missing = []
    # Who may not ask, or has no way to IAM, goes ahead: then the calls themselves will tell.
    with contextlib.suppress(ClientError, BotoCoreError):
        source = _with_path(account, principal(account.arn))
        for permission in needed(settings) if source else ():
            condition = _condition(permission, settings)
            for resource in _resources(permission, settings, account.id, account.region, account.partition, buckets):
                denied = _denied(account, source, permission.actions, resource, condition)
                missing += [f"  {action} on {resource}" for action in denied]
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
    # A star in a name would be compared letter by letter.
    example = resource if resource == "*" else resource.replace("*", "simulated")
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
