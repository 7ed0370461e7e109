"""What the function's role may do, asked of IAM, which considers a boundary and the organisation's policies as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.diagnosis import Finding, failed, ok, unknown
from multicdn.installer.deployed.installed import ANEW, IS_GONE, GoneError
from multicdn.installer.errors import InstallError, code, translated
from multicdn.installer.organisation import own_role
from multicdn.installer.template import role, stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from multicdn.installer.deployed.installed import Installed


def of_role(installed: Installed) -> Iterator[Finding]:
    """Whether the role may do everything that this config needs."""
    from botocore.exceptions import ClientError

    try:
        arn = str(installed.function["Configuration"]["Role"])
    except GoneError:
        yield unknown(IS_GONE)
        return
    statements = stack.role_statements(installed.file.config, queued=installed.queued)
    try:
        with translated("asking IAM about the role", "iam"):
            denied = [finding for one in statements for finding in _denied(installed, arn, one)]
    except InstallError as error:
        cause = error.__cause__
        if not isinstance(cause, ClientError):
            raise
        if code(cause) == "NoSuchEntity":
            yield failed(f"the role {arn} of the function is gone", _anew(installed))
            return
        yield unknown(
            f"IAM can't be asked about {arn}: {code(cause)}",
            "ask for iam:SimulatePrincipalPolicy on that role, or let somebody run this who has it",
        )
        return
    yield from denied
    if not denied:
        yield ok(f"IAM says that {arn} may do all that this config needs")
    for reference in role.foreign_secrets(installed.file.config):
        yield unknown(f"whether it may read {reference} only the plugin's author knows")


def _anew(installed: Installed) -> str:
    return ANEW if installed.file.config.install.makes_role else "have it made again, or name another: install.role"


def _denied(installed: Installed, arn: str, statement: Mapping[str, Any]) -> Iterator[Finding]:
    named = {**statement, "Resource": [_named(installed, one) for one in _listed(statement["Resource"])]}
    filled = own_role.in_account(named, installed.deployed.name, installed.account)
    results = own_role.simulated(installed.account, arn, filled["Action"], filled["Resource"], own_role.context(filled))
    actions: dict[tuple[str, str, str], list[str]] = {}
    for result in results:
        if result["EvalDecision"] != "allowed" and not result.get("MissingContextValues"):
            where = result.get("EvalResourceName") or filled["Resource"][0]
            actions.setdefault((where, *_why(installed, result)), []).append(result["EvalActionName"])
    for (where, why, remedy), names in actions.items():
        yield failed(f"the role may not {', '.join(names)} on {where}{why}", remedy)


def _why(installed: Installed, result: Mapping[str, Any]) -> tuple[str, str]:
    """Why something is denied, and what to do."""
    if not result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary", True):
        return ": its permissions boundary doesn't allow it", "have the boundary allow it"
    if not result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True):
        return ": a policy of the organisation doesn't allow it", "ask those who keep that policy"
    denied = ": denied by a policy" if result["EvalDecision"] == "explicitDeny" else ""
    return denied, installed.remedy("Role")


def _listed(resources: Any) -> list[Any]:
    return resources if isinstance(resources, list) else [resources]


def _named(installed: Installed, resource: Any) -> Any:
    """A resource of the stack by the ARN that it has; others as they stand in the statement."""
    return _arn(installed, str(resource["Fn::GetAtt"][0])) if isinstance(resource, dict) else resource


def _arn(installed: Installed, logical: str) -> str:
    """The ARN of a resource of the stack that statements name."""
    account, outputs = installed.account, installed.outputs
    if logical == "LogGroup":
        place = f"logs:{account.region}:{account.id}:log-group:{outputs['LogGroupName']}:log-stream:x"
    else:
        place = f"sqs:{account.region}:{account.id}:{outputs[f'{logical}Url'].rpartition('/')[2]}"
    return f"arn:{account.partition}:{place}"
