"""A role of somebody else's making for the function: what it must allow, and whether it does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, code
from multicdn.installer.template import role
from multicdn.installer.template.stack import role_statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.config import Config
    from multicdn.config.settings import Install
    from multicdn.installer.account import Account
    from multicdn.installer.hints import Hints
    from multicdn.installer.template.role import Statement

# Logical id in the template -> ARN, in which CloudFormation has put a name that begins so.
_MADE = {
    "Queue": f"arn:{role.PARTITION}:sqs:{role.REGION}:{role.ACCOUNT}:{{stack}}-Queue-*",
    "DeadLetterQueue": f"arn:{role.PARTITION}:sqs:{role.REGION}:{role.ACCOUNT}:{{stack}}-DeadLetterQueue-*",
    "LogGroup": f"arn:{role.PARTITION}:logs:{role.REGION}:{role.ACCOUNT}:log-group:{{stack}}-LogGroup-*:*",
}


def policy(config: Config, account: Account) -> dict[str, Any]:
    """The policy that the role must have, with the ARNs of this account and region."""
    statements = role_statements(config, queued=config.install.queued)
    return {"Version": "2012-10-17", "Statement": in_account(statements, config.install.stack, account)}


def in_account(value: Any, stack: str, account: Account) -> Any:
    """A part of a template with everything filled in that CloudFormation would fill in.

    Args:
        value: texts, lists and mappings.
        stack: name of the stack, with which the names of its resources begin.
        account: whose account and region, and partition.
    """
    if isinstance(value, dict) and "Fn::GetAtt" in value:
        return in_account(_MADE[value["Fn::GetAtt"][0]].replace("{stack}", stack), stack, account)
    if isinstance(value, dict):
        return {key: in_account(below, stack, account) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [in_account(item, stack, account) for item in value]
    if not isinstance(value, str):
        return value
    names = {"Partition": account.partition, "Region": account.region, "AccountId": account.id, "StackName": stack}
    return re.sub(r"\$\{AWS::(\w+)\}", lambda found: names[found[1]], value)


def for_role_alone(statement: Statement, settings: Install, account: Account) -> Statement:
    """A statement for the policy of something that others own: the function's role, and nobody else.

    A principal must exist already, and a role that CloudFormation makes doesn't yet.
    """
    if settings.role:
        return {**statement, "Principal": {"AWS": settings.role}}
    named = f"arn:{account.partition}:iam::{account.id}:role{settings.role_path}{settings.stack}-Role-*"
    condition = {**statement.get("Condition", {}), "ArnLike": {"aws:PrincipalArn": named}}
    return {
        **statement,
        "Principal": {"AWS": f"arn:{account.partition}:iam::{account.id}:root"},
        "Condition": condition,
    }


def lacking(account: Account, config: Config, hints: Hints) -> Iterator[str]:
    """Ask IAM what the role may not do of what it must, as far as the caller may ask.

    Raises:
        InstallError: there is no such role.
    """
    for statement in policy(config, account)["Statement"]:
        for action in _refused(account, config.install.role, statement, hints):
            yield f"the role {config.install.role} may not: {action}; `multicdn install instructions` has its policy"


def _refused(account: Account, arn: str, statement: Statement, hints: Hints) -> Iterator[str]:
    from botocore.exceptions import ClientError

    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]

    def asked() -> list[Any] | None:
        try:
            return simulated(account, arn, statement["Action"], resources, context(statement))
        except ClientError as error:
            if code(error) == "NoSuchEntity":
                return None
            raise

    results = hints.ask("iam", f"asking IAM about the role {arn}", asked, f"what the role {arn} may do")
    if results is None and not hints.problem:
        raise InstallError(f"there is no role {arn} (install.role)")
    for result in results or ():
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
            yield f"{result['EvalActionName']} on {result.get('EvalResourceName', '*')}"


def simulated(
    account: Account, arn: str, actions: Sequence[str], resources: Iterable[str], entries: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What IAM says of each of a role's actions on each resource; it gives a hundred of them at a time."""
    pages = account.client("iam").get_paginator("simulate_principal_policy")
    asked = pages.paginate(
        PolicySourceArn=arn,
        ActionNames=list(actions),
        ResourceArns=[one if one == "*" else example(one) for one in resources],
        ContextEntries=list(entries),
    )
    return [result for page in asked for result in page["EvaluationResults"]]


def example(resource: str) -> str:
    """Something that a resource stands for: IAM would compare its wildcards letter by letter."""
    return re.sub(r"\$\{([*?$])\}|[*?]", lambda found: found[1] or "x", resource)


def context(statement: Statement) -> Iterator[dict[str, Any]]:
    """What the statement's own conditions ask for: the role is asked about such calls and no others."""
    for operator, conditions in statement.get("Condition", {}).items():
        for key, values in conditions.items():
            if operator in ("StringEquals", "StringLike"):
                first = values if isinstance(values, str) else values[0]
                yield {"ContextKeyName": key, "ContextKeyValues": [first], "ContextKeyType": "string"}
