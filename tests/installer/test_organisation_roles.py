"""The function's role and keys, where an organisation has rules for them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from kit import installs
from kit.organisation import (
    ALL,
    BOUNDARY,
    ID,
    KEY,
    OTHER,
    ROLE,
    SECOND,
    SECRETS,
    VPC,
    Wire,
    account,
    planned,
    policy,
    resources,
    statement_with,
)

from multicdn.config.settings import Install
from multicdn.installer import permissions
from multicdn.installer.account import Account
from multicdn.installer.errors import InstallError
from multicdn.installer.hints import Hints
from multicdn.installer.organisation import kms_keys, own_role
from multicdn.installer.template import role

if TYPE_CHECKING:
    from pathlib import Path


def test_the_role_that_is_made_has_a_path_and_a_boundary() -> None:
    made = resources(f"role_path: /service/cdn/, permissions_boundary: '{BOUNDARY}'")["Role"]["Properties"]
    assert (made["Path"], made["PermissionsBoundary"]) == ("/service/cdn/", BOUNDARY)
    assert not {"Path", "PermissionsBoundary"} & resources("")["Role"]["Properties"].keys()


def test_a_role_that_exists_is_used_and_none_is_made() -> None:
    made = resources(f"role: '{ROLE}'")
    assert "Role" not in made
    assert made["Function"]["Properties"]["Role"] == ROLE


def test_whoever_installs_makes_only_roles_with_the_boundary_below_the_path() -> None:
    settings = Install(role_path="/service/", permissions_boundary=BOUNDARY)
    for action in ("iam:CreateRole", "iam:PutRolePolicy", "iam:PutRolePermissionsBoundary"):
        statement = statement_with(action, settings)
        assert statement["Resource"] == f"arn:aws:iam::{ID}:role/service/multicdn-*"
        assert statement["Condition"] == {"StringEquals": {"iam:PermissionsBoundary": BOUNDARY}}
    assert "Condition" not in statement_with("iam:DeleteRole", settings)
    assert "Condition" not in statement_with("iam:CreateRole", Install())
    assert "PutRolePermissionsBoundary" not in json.dumps(policy(Install()))


def test_whoever_installs_with_a_role_that_exists_passes_it_and_touches_no_role() -> None:
    actions = [action for one in policy(Install(role=ROLE)) for action in one["Action"] if action.startswith("iam:")]
    assert actions == ["iam:PassRole"]
    assert statement_with("iam:PassRole", Install(role=ROLE))["Resource"] == ROLE


def test_iam_is_told_of_the_boundary_when_it_is_asked() -> None:
    """A rule that allows CreateRole with a boundary alone denies it without."""
    wire = Wire(*[(200, _simulated("x:Y", "allowed"))] * 40)
    client = wire.client("iam")
    settings = Install(permissions_boundary=BOUNDARY)
    permissions.refuse_if_denied(account(lambda _: client), settings, ["acme-site"])
    [asked] = [one.body for one in wire.requests if b"iam%3ACreateRole" in _bytes(one.body)]
    assert b"ContextKeyName=iam%3APermissionsBoundary" in _bytes(asked)


@pytest.mark.parametrize(
    ("answer", "source"),
    [
        (
            (200, f"<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::{ID}:role/sso/x/Admin</Arn></Role>"
             "</GetRoleResult></GetRoleResponse>"),
            f"arn%3Aaws%3Aiam%3A%3A{ID}%3Arole%2Fsso%2Fx%2FAdmin",
        ),
        ((403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"),
         f"arn%3Aaws%3Aiam%3A%3A{ID}%3Arole%2FAdmin"),
    ],
)  # fmt: skip
def test_whoever_signed_in_by_a_role_below_a_path_is_asked_about_by_its_arn(
    answer: tuple[int, str], source: str
) -> None:
    wire = Wire(answer, *[(200, _simulated("x:Y", "allowed"))] * 40)
    client = wire.client("iam")
    caller = Account(ID, f"arn:aws:sts::{ID}:assumed-role/Admin/me", "us-east-1", lambda _: client)
    permissions.refuse_if_denied(caller, Install(), ["acme-site"])
    assert f"PolicySourceArn={source}&".encode() in _bytes(wire.requests[1].body) + b"&"


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else str(body).encode()


def test_the_policy_of_a_role_that_exists_names_what_the_stack_will_make() -> None:
    config = installs.config(f"role: '{ROLE}', stack: acme-cdn", ALL, SECRETS)
    text = json.dumps(own_role.policy(config, account(region="eu-west-1", partition="aws-cn")))
    assert "${" not in text
    assert "Fn::" not in text
    assert f'"arn:aws-cn:sqs:eu-west-1:{ID}:acme-cdn-Queue-*"' in text
    assert f'"arn:aws-cn:logs:eu-west-1:{ID}:log-group:acme-cdn-LogGroup-*:*"' in text


@pytest.mark.parametrize("trigger", ["queue", "direct", "eventbridge"])
def test_the_policy_of_a_role_that_exists_is_that_of_the_one_that_would_be_made(trigger: str) -> None:
    settings = f"trigger: {trigger}, kms_key: '{KEY}', {VPC}"
    made = resources(settings, routes=ALL, providers=SECRETS)["Role"]["Properties"]["Policies"][0]["PolicyDocument"]
    given = own_role.policy(installs.config(f"{settings}, role: '{ROLE}'", ALL, SECRETS), account())
    assert [one["Action"] for one in given["Statement"]] == [one["Action"] for one in made["Statement"]]
    assert [one.get("Condition", {}).keys() for one in given["Statement"]] == [
        one.get("Condition", {}).keys() for one in made["Statement"]
    ]


def _simulated(action: str, decision: str) -> str:
    member = f"<member><EvalActionName>{action}</EvalActionName><EvalDecision>{decision}</EvalDecision></member>"
    results = f"<EvaluationResults>{member}</EvaluationResults>"
    inner = f"<SimulatePrincipalPolicyResult>{results}</SimulatePrincipalPolicyResult>"
    return f"<SimulatePrincipalPolicyResponse>{inner}</SimulatePrincipalPolicyResponse>"


def _iam(code: str) -> tuple[int, str]:
    return 400, f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"


def test_a_role_that_exists_and_may_too_little_is_warned_of() -> None:
    allowed = (200, _simulated("x:Y", "allowed"))
    wire = Wire((200, _simulated("logs:PutLogEvents", "implicitDeny")), *[allowed] * 10)
    client = wire.client("iam")
    found = list(own_role.lacking(account(lambda _: client), installs.config(f"role: '{ROLE}'"), Hints()))
    assert [re.sub(r";.*", "", one) for one in found] == [f"the role {ROLE} may not: logs:PutLogEvents on *"]


def test_a_role_that_does_not_exist_is_refused_and_who_may_not_ask_goes_ahead() -> None:
    client = Wire(_iam("NoSuchEntity")).client("iam")
    with pytest.raises(InstallError, match=rf"there is no role {ROLE} \(install.role\)"):
        list(own_role.lacking(account(lambda _: client), installs.config(f"role: '{ROLE}'"), Hints()))
    other, hints = Wire(*[_iam("AccessDenied")] * 10).client("iam"), Hints()
    assert list(own_role.lacking(account(lambda _: other), installs.config(f"role: '{ROLE}'"), hints)) == []
    [doubt] = hints.doubts
    said = "may do isn't known: not allowed: iam:SimulatePrincipalPolicy, while "
    assert doubt.startswith(f"what the role {ROLE} {said}")


def test_a_key_with_signs_of_a_policy_is_asked_about_as_it_is_written() -> None:
    assert own_role.example("arn:aws:s3:::b/odd${*}${?}${$}/*") == "arn:aws:s3:::b/odd*?$/x"


@pytest.mark.parametrize("setting", ["role", "permissions_boundary"])
def test_what_is_of_another_account_is_refused(tmp_path: Path, setting: str) -> None:
    arn = {"role": ROLE, "permissions_boundary": BOUNDARY}[setting].replace(ID, OTHER)
    with pytest.raises(InstallError, match=f"install.{setting} is of the account {OTHER}"):
        planned(tmp_path, f"{setting}: '{arn}'")


def test_a_boundary_of_aws_itself_is_taken(tmp_path: Path) -> None:
    made = planned(tmp_path, "permissions_boundary: 'arn:aws:iam::aws:policy/PowerUserAccess'")
    assert "Role: made below /, bounded by arn:aws:iam::aws:policy/PowerUserAccess" in made.lines


# Keys


def test_each_key_serves_what_it_encrypts() -> None:
    config = installs.config(f"kms_key: '{KEY}', secret_keys: ['{SECOND}', '{KEY}']", ALL, SECRETS)
    found = role.secret_statements(config.providers, config.install.kms_key, config.install.secret_keys)
    keys = {
        json.dumps(one["Resource"]): [name.split(".")[0] for name in one["Condition"]["StringEquals"]["kms:ViaService"]]
        for one in found
        if one["Action"] == ["kms:Decrypt"]
    }
    assert keys == {f'"{KEY}"': ["lambda", "ssm", "secretsmanager"], f'["{SECOND}"]': ["ssm", "secretsmanager"]}
    made = resources(f"secret_keys: ['{KEY}']")
    assert "KmsKeyArn" not in made["Function"]["Properties"]
    assert f'"Resource": ["{KEY}"]' in json.dumps(made["Role"])


def test_keys_of_secrets_are_no_use_without_secrets() -> None:
    providers = "\n  c: {type: cloudfront, distribution: E8F6HK73EP0LT}"
    config = installs.config("", "\n  - {bucket: b, urls: ['https://h/{key}'], purge: [c]}", providers)
    assert role.secret_statements(config.providers, "", [KEY]) == []


@pytest.mark.parametrize(
    "named", ["alias/cdn", f"arn:aws:kms:us-east-1:{ID}:alias/cdn", "1234abcd-12ab-34cd-56ef-1234567890ab"]
)
def test_a_key_by_another_name_becomes_its_arn_wherever_it_stands(named: str) -> None:
    wire = Wire((200, {"KeyMetadata": {"KeyId": "1", "Arn": KEY, "KeyState": "Enabled"}}))
    client = wire.client("kms")
    settings = Install(kms_key=named, secret_keys=(SECOND, named), artifact_encryption=named)
    found = kms_keys.resolved(account(lambda _: client), settings)
    assert (found.kms_key, found.secret_keys, found.artifact_key) == (KEY, (SECOND, KEY), KEY)
    [asked] = wire.requests
    assert json.loads(asked.body) == {"KeyId": named}


def test_keys_by_their_arns_are_asked_about_by_nobody() -> None:
    settings = Install(kms_key=KEY, secret_keys=(SECOND,), artifact_encryption="aws:kms")
    assert kms_keys.resolved(account(), settings) == settings


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((400, {"__type": "NotFoundException"}), "there is no KMS key 'alias/cdn' in us-east-1"),
        ((400, {"__type": "AccessDeniedException"}), "not allowed: kms:DescribeKey"),
        ((200, {"KeyMetadata": {"KeyId": "1", "Arn": KEY, "KeyState": "PendingDeletion"}}), "it is PendingDeletion"),
        ((200, {"KeyMetadata": {"KeyId": "1", "Arn": KEY, "KeyState": "Disabled"}}), "it is Disabled"),
    ],
)
def test_a_key_that_can_not_be_used_is_said_to_be(answer: tuple[int, Any], words: str) -> None:
    client = Wire(answer).client("kms")
    with pytest.raises(InstallError, match=re.escape(words)):
        kms_keys.resolved(account(lambda _: client), Install(kms_key="alias/cdn"))
