"""What the function's role may do, asked of IAM, which considers a boundary and the organisation's policies as well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multicdn.diagnosis import Finding, failed, ok, unknown
from multicdn.installer.errors import translated
from multicdn.installer.template import role, stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.installer.deployed.installed import Installed

_LITERAL = re.compile(r"\$\{([*?$])\}")


def of_role(installed: Installed) -> Iterator[Finding]:
    """Whether the role may do everything that this config needs."""
    from botocore.exceptions import ClientError

    with translated("looking at the function", "lambda"):
        configuration = installed.account.client("lambda").get_function_configuration(
            FunctionName=installed.outputs["FunctionName"]
        )
    arn = str(configuration["Role"])
    statements = stack.role_statements(installed.file.config, queued=installed.queued)
    try:
        denied = [finding for one in statements for finding in _denied(installed, arn, one)]
    except ClientError as error:
        yield unknown(
            f"IAM can't be asked about {arn}: {error.response['Error'].get('Code')}",
            "ask for iam:SimulatePrincipalPolicy on that role, or let somebody run this who has it",
        )
        return
    yield from denied
    if not denied:
        yield ok(f"IAM says that {arn} may do all that this config needs")
    for reference in role.foreign_secrets(installed.file.config):
        yield unknown(f"whether it may read {reference} only the plugin's author knows")


def _denied(installed: Installed, arn: str, statement: Mapping[str, Any]) -> Iterator[Finding]:
    resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
    answer = installed.account.client("iam").simulate_principal_policy(
        PolicySourceArn=arn,
        ActionNames=list(statement["Action"]),
        ResourceArns=[_example(installed, resource) for resource in resources],
        ContextEntries=list(_context(installed, statement.get("Condition", {}))),
    )
    for result in answer["EvaluationResults"]:
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
            text = f"the role may not {result['EvalActionName']} on {result.get('EvalResourceName') or resources[0]}"
            yield _finding(installed, text, result)


def _finding(installed: Installed, text: str, result: Mapping[str, Any]) -> Finding:
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return failed(f"{text}: its permissions boundary doesn't allow it", "have the boundary allow it")
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return failed(f"{text}: a policy of the organisation doesn't allow it", "ask those who keep that policy")
    denied = ": denied by a policy" if result["EvalDecision"] == "explicitDeny" else ""
    return failed(text + denied, installed.remedy("Role"))


def _context(installed: Installed, condition: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Values with which the conditions hold; those of ``Null`` hold where there is none."""
    for operator, values in condition.items():
        for key, wanted in values.items() if operator in ("StringEquals", "StringLike") else ():
            first = _filled(installed, wanted[0] if isinstance(wanted, list) else wanted)
            yield {
                "ContextKeyName": key,
                "ContextKeyValues": [_LITERAL.sub(r"\1", first.replace("*", "simulated"))],
                "ContextKeyType": "string",
            }


def _example(installed: Installed, resource: object) -> str:
    """One resource that a pattern stands for: a star would be compared letter by letter."""
    if isinstance(resource, dict):
        return _arn(installed, str(resource["Fn::GetAtt"][0]))
    text = _filled(installed, str(resource))
    if text == "*":
        return text
    parts = _LITERAL.split(text)
    for place in range(0, len(parts), 2):
        parts[place] = parts[place].replace("*", "simulated").replace("?", "x")
    return "".join(parts)


def _filled(installed: Installed, text: str) -> str:
    account = installed.account
    for name, value in ((role.PARTITION, account.partition), (role.REGION, account.region), (role.ACCOUNT, account.id)):
        text = text.replace(name, value)
    return text


def _arn(installed: Installed, logical: str) -> str:
    """The ARN of a resource of the stack that statements name."""
    account, outputs = installed.account, installed.outputs
    if logical == "LogGroup":
        place = f"logs:{account.region}:{account.id}:log-group:{outputs['LogGroupName']}:log-stream:simulated"
    else:
        place = f"sqs:{account.region}:{account.id}:{outputs[f'{logical}Url'].rpartition('/')[2]}"
    return f"arn:{account.partition}:{place}"
