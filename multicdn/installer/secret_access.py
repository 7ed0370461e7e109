"""Whether the function will be able to read its secrets: found out before anything is made, and without reading one.

What may not be looked at is said, and stops nobody. Rights that help are ssm:DescribeParameters,
secretsmanager:DescribeSecret, kms:DescribeKey, kms:GetKeyPolicy, kms:ListGrants, and iam:SimulatePrincipalPolicy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.installer import secret_places
from multicdn.installer.hints import Hints
from multicdn.installer.key_policy import KeyVerdict
from multicdn.installer.secret_keys import Keys
from multicdn.installer.secret_references import put_command, references
from multicdn.installer.template import role, stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multicdn.config import Config
    from multicdn.config.settings import Install
    from multicdn.installer.account import Account
    from multicdn.installer.secret_keys import Key
    from multicdn.installer.secret_places import Place

_READING = {"ssm": "ssm:GetParameter", "secretsmanager": "secretsmanager:GetSecretValue"}


class Findings(Struct, frozen=True):
    """What stands between the function and its secrets.

    Attributes:
        problems: what is certain, one line each, with the remedy.
        doubts: what couldn't be found out.
    """

    problems: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def look(account: Account, config: Config, function: str = "") -> Findings:
    """Find out which secrets are missing, or can't be decrypted by the function's role.

    Args:
        account: in which it is to be installed.
        config: checked.
        function: name of the one that is deployed; empty where there is none.
    """
    wanted = [reference for reference in references(config.providers) if reference.in_aws]
    if not wanted:
        return Findings()
    hints = Hints()
    own = config.install.role
    looked = _Looked(account, config, own or (_role_of(account, function, hints) if function else ""), hints)
    for place in secret_places.places(wanted, account, hints):
        looked.at(place)
    return Findings(tuple(looked.problems), (*looked.doubts, *hints.doubts))


class _Looked:
    """Gathers what is found about one place after the other."""

    def __init__(self, account: Account, config: Config, role_arn: str | None, hints: Hints) -> None:
        self.problems: list[str] = []
        self.doubts: list[str] = []
        self._account = account
        self._config = config
        self._role = role_arn
        self._hints = hints
        self._keys = Keys(account, role_arn, hints)

    def at(self, place: Place) -> None:
        """Look at one."""
        reference = place.reference
        subject = f"{self._config.name}: {', '.join(reference.used_by)}: {reference.text}"
        if place.exists is None:
            self.doubts.append(f"{subject}: whether it is there isn't known: {place.note}")
        elif not place.exists:
            why = place.note or f"is not there, in {self._account.region} of account {self._account.id}"
            command = put_command(reference.scheme, reference.name, self._settings, reference.file)
            self.problems.append(f"{subject} {why}" + ("" if place.note else f"; store it: {command}"))
        else:
            self._reading(place, subject)
            if place.key:
                self._decrypting(place, subject)

    @property
    def _settings(self) -> Install:
        return self._config.install

    def _reading(self, place: Place, subject: str) -> None:
        """Ask IAM about a role that is there already: boundaries and the organisation's policies count for it."""
        reference = place.reference
        arn = _filled(role.arn_of(reference.scheme, reference.name), self._account)
        if self._role and (why := self._simulated(_READING[reference.scheme], arn, {})):
            self.problems.append(f"{subject} can't be read by the function's role: {why}")

    def _decrypting(self, place: Place, subject: str) -> None:
        key = self._keys.find(place.key)
        if not key.own:
            return
        theirs = f"{subject} is encrypted with the key {key.arn or place.key}"
        if key.fault:
            self.problems.append(f"{theirs}, {key.fault}")
            return
        via = f"{place.reference.scheme}.{self._account.region}.amazonaws.com"
        found = self._keys.verdict(key, via)
        named = self._is_named(place.key, key)
        if found in (KeyVerdict.DENIED, KeyVerdict.NOBODY):
            remedy = "let the key's policy allow kms:Decrypt to the account, or store the secret under another key"
            self.problems.append(f"{theirs}, which the function's role may not use: {found.value}; {remedy}")
        elif found is KeyVerdict.ACCOUNT and not named:
            where = "add that to install.secret_keys" if self._settings.kms_key else "name that as install.kms_key"
            self.problems.append(f"{theirs}: {where}, so that the function may decrypt")
        elif found in (None, KeyVerdict.PERHAPS):
            why = found.value if found else self._keys.problem(key)
            remedy = "" if named else "; name it as install.kms_key, unless it lets the role decrypt by itself"
            self.doubts.append(f"{theirs}; whether the function may use it isn't known: {why}{remedy}")
        elif named and self._role and (why := self._simulated("kms:Decrypt", key.arn, {"kms:ViaService": via})):
            self.problems.append(f"{theirs}, which the function's role may not use: {why}")

    def _is_named(self, name: str, key: Key) -> bool:
        """Whether the config gives the role the right to decrypt with a key."""
        named = [resource for statement in _planned(self._config, "kms:Decrypt") for resource in _resources(statement)]
        return bool({name, key.arn} & set(named)) or any(
            key.arn and self._keys.find(one).arn == key.arn for one in named
        )

    def _simulated(self, action: str, arn: str, context: Mapping[str, str]) -> str:
        """What IAM has against it; a role that isn't ours to make is asked about with all else that it needs."""
        if not self._settings.makes_role:
            return ""
        policy = json.dumps(
            {"Version": "2012-10-17", "Statement": _filled(_planned(self._config, action), self._account)}
        )
        answer = self._hints.ask(
            "iam",
            f"asking IAM about the role {self._role}",
            lambda: self._account.client("iam").simulate_principal_policy(
                PolicySourceArn=self._role,
                PolicyInputList=[policy],
                ActionNames=[action],
                ResourceArns=[arn],
                ContextEntries=[
                    {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for key, value in context.items()
                ],
            ),
            "whether a boundary or the organisation keeps the function from its secrets",
        )
        return _against(answer["EvaluationResults"], action, arn) if answer else ""


def _role_of(account: Account, function: str, hints: Hints) -> str | None:
    """The role of the deployed function; None where it can't be looked at."""
    found = hints.ask(
        "lambda",
        f"looking at the function {function}",
        lambda: account.client("lambda").get_function_configuration(FunctionName=function),
        "which role the deployed function has",
    )
    return str(found["Role"]) if found else None


def _against(results: Iterable[Any], action: str, arn: str) -> str:
    """What IAM has against an action of the role with the policy that it is to get; empty if nothing."""
    for result in results:
        if result["EvalDecision"] == "allowed" or result.get("MissingContextValues"):
            continue
        if not (result.get("OrganizationsDecisionDetail") or {}).get("AllowedByOrganizations", True):
            return f"a policy of the organisation forbids {action} on {arn}"
        if not (result.get("PermissionsBoundaryDecisionDetail") or {}).get("AllowedByPermissionsBoundary", True):
            return f"its permissions boundary leaves {action} on {arn} out"
        if result["EvalDecision"] == "explicitDeny":
            return f"another policy of the role forbids {action} on {arn}"
        # The policy to come allows it. What else AWS would say, the two details above say; an AWS that overlooks
        # PolicyInputList tells of the role as it is.
    return ""


def _planned(config: Config, action: str) -> list[role.Statement]:
    """The statements of the role to come that are about an action."""
    statements = stack.role_statements(config, queued=config.install.queued)
    return [statement for statement in statements if action in statement["Action"]]


def _resources(statement: role.Statement) -> list[str]:
    resource = statement["Resource"]
    return resource if isinstance(resource, list) else [resource]


def _filled(value: Any, account: Account) -> Any:
    """Statements as CloudFormation will fill them in; signs that Secrets Manager adds to a name stand for some."""
    text = json.dumps(value)
    for name, real in ((role.PARTITION, account.partition), (role.REGION, account.region), (role.ACCOUNT, account.id)):
        text = text.replace(name, real)
    filled = json.loads(text)
    return filled.replace("??????", "AbCdEf") if isinstance(filled, str) else filled
