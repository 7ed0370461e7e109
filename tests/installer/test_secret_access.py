"""Whether the function will be able to read its secrets is known before anything is made."""

from __future__ import annotations

from typing import Any

import pytest
from kit import installs
from kit.memory_aws import MemoryAws
from kit.memory_cloudformation import ACCOUNT, REGION
from kit.memory_secrets import WHEN

from multicdn.config.settings import Install
from multicdn.installer import run, secret_access, sessions, state
from multicdn.installer.account import Account, connect
from multicdn.installer.errors import InstallError
from multicdn.installer.key_policy import Decrypting, KeyVerdict, verdict

NAME = "/multicdn/fastly/token"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/multicdn-Role"
VIA = f"ssm.{REGION}.amazonaws.com"
DELEGATED = [{"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"}]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> MemoryAws:
    aws = MemoryAws()
    aws.answer(monkeypatch)
    aws.others = {"function:f"}
    return aws


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """Making a client takes longer than a test."""
    return {}


@pytest.fixture
def account(wire: MemoryAws, clients: dict[str, Any]) -> Account:
    if not clients:
        made = connect(REGION, ())
        clients |= {name: made.client(name) for name in ("ssm", "secretsmanager", "kms", "iam", "lambda")}
    return Account(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/ci", REGION, clients.__getitem__)


def providers(*references: str) -> str:
    return "".join(
        f'\n  p{place}: {{type: fastly, service: x{place}, token: "${{{reference}}}"}}'
        for place, reference in enumerate(references)
    )


def looked(account: Account, *references: str, install: str = "", function: str = "") -> secret_access.Findings:
    named = ", ".join(f"p{place}" for place in range(len(references)))
    routes = f'\n  - {{bucket: b, urls: ["https://a.example/{{key}}"], purge: [{named}]}}'
    config = installs.config(install, routes, providers(*references))
    return secret_access.look(account, config, function)


def problem(account: Account, reference: str, install: str = "", function: str = "") -> str:
    found = looked(account, reference, install=install, function=function)
    assert not found.doubts
    return "\n".join(found.problems)


def doubt(account: Account, reference: str, install: str = "") -> str:
    found = looked(account, reference, install=install)
    assert not found.problems
    return "\n".join(found.doubts)


def test_what_is_there_is_no_problem(wire: MemoryAws, account: Account) -> None:
    wire.parameter(NAME, "t")
    wire.parameter("plain", "t")
    wire.secret("multicdn/x", '{"a": "1"}')
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{NAME}"
    found = looked(account, f"ssm:{NAME}", "ssm:plain", f"ssm:{NAME}:1", f"ssm:{arn}", "secretsmanager:multicdn/x#a")
    assert found == secret_access.Findings()
    assert {operation for _, operation in wire.seen}.isdisjoint({"GetParameter", "GetSecretValue"}), "reads no value"


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (f"ssm:{NAME}", f"is not there, in {REGION} of account {ACCOUNT}; store it: multicdn secret put ssm:{NAME}"),
        (f"ssm:{NAME}:3", f"store it: multicdn secret put ssm:{NAME}"),
        (f"ssm:arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/a", "store it: multicdn secret put ssm:a"),
        ("secretsmanager:gone#a", "store it: multicdn secret put 'secretsmanager:gone#a'"),
        (
            f"ssm:arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/a",
            "is in us-east-1, and the function asks in its own region",
        ),
        (f"secretsmanager:arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:a", "is in us-east-1, and the function"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_stores_it(account: Account, reference: str, words: str) -> None:
    said = problem(account, reference)
    assert said.startswith(f"multicdn.config.yml: p0.token: ${{{reference}}} ")
    assert words in said


def test_the_command_has_the_region_and_the_key_of_the_config(account: Account) -> None:
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"
    said = problem(account, f"ssm:{NAME}", install=f"region: {REGION}, kms_key: '{key}'")
    assert said.endswith(f"multicdn secret put ssm:{NAME} --region {REGION} --kms-key {key}")


def test_a_secret_that_is_to_be_deleted_or_has_no_value_is_none(wire: MemoryAws, account: Account) -> None:
    wire.secret("leaving", "t", DeletedDate=WHEN)
    wire.secret("empty", "t", VersionIdsToStages={})
    said = looked(account, "secretsmanager:leaving", "secretsmanager:empty").problems
    assert "bring it back: aws secretsmanager restore-secret --secret-id leaving" in said[0]
    assert "has no value yet" in said[1]


@pytest.mark.parametrize(
    ("denied", "reference", "right"),
    [
        ("DescribeParameters", f"ssm:{NAME}", "ssm:DescribeParameters"),
        ("DescribeSecret", "secretsmanager:x", "secretsmanager:DescribeSecret"),
    ],
)
def test_who_may_not_look_is_told_so_and_not_stopped(
    wire: MemoryAws, account: Account, denied: str, reference: str, right: str
) -> None:
    wire.denied = {denied}
    assert f"whether it is there isn't known: not allowed: {right}" in doubt(account, reference)


def test_what_another_account_shares_is_not_known(account: Account) -> None:
    assert "account 999999999999 shares it" in doubt(
        account, f"ssm:arn:aws:ssm:{REGION}:999999999999:parameter/shared/a"
    )


# Keys


def under_key(wire: MemoryAws, policy: Any = None, name: str = "k", **more: Any) -> str:
    arn = wire.key(name, DELEGATED if policy is None else policy, **more)
    wire.parameter(NAME, "t", KeyId=arn)
    return arn


def test_a_key_of_ones_own_must_be_named_in_the_config(wire: MemoryAws, account: Account) -> None:
    arn = under_key(wire)
    said = problem(account, f"ssm:{NAME}")
    assert f"is encrypted with the key {arn}: name that as install.kms_key, so that the function may decrypt" in said
    assert problem(account, f"ssm:{NAME}", install=f"kms_key: '{arn}'") == ""
    other = wire.key("other")
    said = problem(account, f"ssm:{NAME}", install=f"kms_key: '{other}'")
    assert f"the key {arn}: add that to install.secret_keys" in said
    assert problem(account, f"ssm:{NAME}", install=f"kms_key: '{other}', secret_keys: ['{arn}']") == ""


@pytest.mark.parametrize("name", ["alias/mine", "k"])
def test_a_key_is_known_by_its_alias_and_its_id(wire: MemoryAws, account: Account, name: str) -> None:
    arn = under_key(wire)
    wire.aliases["alias/mine"] = arn
    wire.secret("x", "t", KmsKeyId=name)
    assert problem(account, "secretsmanager:x", install=f"kms_key: '{arn}'") == ""
    assert arn in problem(account, "secretsmanager:x")


@pytest.mark.parametrize(
    ("state", "words"), [("Disabled", "nobody can use: it is Disabled"), ("PendingDeletion", "it is PendingDeletion")]
)
def test_a_key_that_nobody_can_use(wire: MemoryAws, account: Account, state: str, words: str) -> None:
    arn = under_key(wire, KeyState=state)
    assert words in problem(account, f"ssm:{NAME}", install=f"kms_key: '{arn}'")


def test_a_key_that_is_gone(wire: MemoryAws, account: Account) -> None:
    wire.parameter(NAME, "t", KeyId="alias/gone")
    assert "the key alias/gone, which doesn't exist" in problem(account, f"ssm:{NAME}")


def test_keys_that_aws_manages_serve_everybody(wire: MemoryAws, account: Account) -> None:
    wire.secret("x", "t", KmsKeyId=wire.key("aws", KeyManager="AWS"))
    assert problem(account, "secretsmanager:x") == ""


def test_a_policy_that_leaves_the_role_out(wire: MemoryAws, account: Account) -> None:
    arn = under_key(wire, [{"Effect": "Allow", "Principal": {"AWS": f"{ROLE}-other"}, "Action": "kms:*"}])
    said = problem(account, f"ssm:{NAME}", install=f"kms_key: '{arn}'")
    assert "which the function's role may not use: it says nothing of the role" in said


def test_a_grant_is_as_good(wire: MemoryAws, account: Account) -> None:
    arn = under_key(wire, [{"Effect": "Allow", "Principal": {"AWS": f"{ROLE}-other"}, "Action": "kms:*"}])
    wire.grants[arn] = [{"GranteePrincipal": ROLE, "Operations": ["Decrypt"]}]
    assert problem(account, f"ssm:{NAME}", function="f") == ""
    wire.grants[arn] = [{"GranteePrincipal": ROLE, "Operations": ["Encrypt"]}]
    assert "may not use" in problem(account, f"ssm:{NAME}", function="f")


def test_without_the_functions_role_a_policy_that_leaves_it_out_is_a_doubt(wire: MemoryAws, account: Account) -> None:
    """There may be a grant, which only a role that is known can be looked for among."""
    under_key(wire, [])
    wire.denied = {"GetFunctionConfiguration"}
    found = looked(account, f"ssm:{NAME}", function="f")
    assert found.problems == ()
    assert "may use it isn't known" in found.doubts[0]
    assert "not allowed: lambda:GetFunctionConfiguration" in found.doubts[1]


def test_grants_that_may_not_be_read_are_a_doubt(wire: MemoryAws, account: Account) -> None:
    under_key(wire, [])
    wire.denied = {"ListGrants"}
    found = looked(account, f"ssm:{NAME}", function="f")
    assert found.problems == ()
    assert "isn't known: it depends on what nobody knows before" in found.doubts[0]


def test_a_policy_that_names_the_role_needs_nothing_in_the_config(wire: MemoryAws, account: Account) -> None:
    """IAM, which doesn't know the key's policy, would say no."""
    under_key(wire, [{"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:Decrypt"}])
    wire.decisions = {"kms:Decrypt": {"EvalDecision": "implicitDeny"}}
    assert problem(account, f"ssm:{NAME}", function="f") == ""


def test_what_may_not_be_read_of_a_key_is_a_doubt(wire: MemoryAws, account: Account) -> None:
    arn = under_key(wire)
    wire.denied = {"GetKeyPolicy"}
    assert "not allowed: kms:GetKeyPolicy, while reading the policy of the key" in doubt(account, f"ssm:{NAME}")
    wire.denied = {"GetKeyPolicy", "DescribeKey"}
    assert "name it" not in doubt(account, f"ssm:{NAME}", install=f"kms_key: '{arn}'")


def _denied(by: str) -> dict[str, Any]:
    return {"EvalDecision": "implicitDeny", f"{by}DecisionDetail": {f"AllowedBy{by}": "false"}}


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (
            _denied("PermissionsBoundary"),
            "its permissions boundary leaves",
        ),
        (
            _denied("Organizations"),
            "a policy of the organisation forbids",
        ),
        ({"EvalDecision": "explicitDeny"}, "another policy of the role forbids"),
    ],
)
def test_iam_is_asked_about_a_role_that_is_there(
    wire: MemoryAws, account: Account, decision: dict[str, Any], words: str
) -> None:
    arn = under_key(wire)
    install = f"kms_key: '{arn}'"
    assert problem(account, f"ssm:{NAME}", install=install, function="f") == ""
    for action, resource in (
        ("ssm:GetParameter", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{NAME}"),
        ("kms:Decrypt", arn),
    ):
        wire.decisions = {action: decision}
        assert f"{words} {action} on {resource}" in problem(account, f"ssm:{NAME}", install=install, function="f")
    wire.denied = {"SimulatePrincipalPolicy"}
    found = looked(account, f"ssm:{NAME}", install=install, function="f")
    assert found.problems == ()
    assert "keeps the function from its secrets isn't known: not allowed: iam:SimulateP" in found.doubts[0]


def test_that_the_role_as_it_is_lacks_a_secret_of_the_config_to_come_says_nothing(
    wire: MemoryAws, account: Account
) -> None:
    install = f"kms_key: '{under_key(wire)}'"
    wire.decisions = {"ssm:GetParameter": {"EvalDecision": "implicitDeny"}}
    assert problem(account, f"ssm:{NAME}", install=install, function="f") == ""


def test_plan_says_it_before_anything_is_built(account: Account) -> None:
    current = state.Current(ACCOUNT, REGION, None, {}, state.Artifacts("b", ready=True, ours=True))
    with pytest.raises(InstallError, match=r"is not there, .*\nNothing was done\. --no-permission-check installs"):
        run._look_for_secrets(account, installs.config(), current)


def test_a_session_in_another_account_than_the_configs_is_refused(account: Account) -> None:
    for expected in ("", ACCOUNT):
        assert sessions.Session(account, Install(account=expected), (), None)
    with pytest.raises(InstallError, match=r"install\.account of the config is 999999999999; sign in there"):
        sessions.Session(account, Install(account="999999999999"), (), None)


# Policies of keys


def allow(principal: Any, action: Any = "kms:Decrypt", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": principal, "Action": action, **more}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (DELEGATED, KeyVerdict.ACCOUNT),
        ([allow({"AWS": ACCOUNT})], KeyVerdict.ACCOUNT),
        ([allow({"AWS": [ROOT, "arn:aws:iam::9:root"]}, ["kms:De*"])], KeyVerdict.ACCOUNT),
        ([allow({"AWS": "arn:aws:iam::999999999999:root"})], KeyVerdict.NOBODY),
        ([allow({"AWS": ROOT}, "kms:Encrypt")], KeyVerdict.NOBODY),
        ([allow({"Service": "ssm.amazonaws.com"})], KeyVerdict.NOBODY),
        ([allow({"AWS": ROLE})], KeyVerdict.HIMSELF),
        (
            [allow("*", Condition={"StringEquals": {"kms:CallerAccount": ACCOUNT, "kms:ViaService": VIA}})],
            KeyVerdict.HIMSELF,
        ),
        (
            [allow("*", Condition={"StringEquals": {"kms:ViaService": "rds.eu-west-1.amazonaws.com"}})],
            KeyVerdict.NOBODY,
        ),
        ([allow("*", Condition={"StringLike": {"kms:ViaService": "ssm.*.amazonaws.com"}})], KeyVerdict.HIMSELF),
        ([allow("*", Condition={"StringNotEquals": {"kms:ViaService": VIA}})], KeyVerdict.NOBODY),
        ([allow("*", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}})], KeyVerdict.PERHAPS),
        ([allow("*", Condition={"Bool": {"aws:SecureTransport": "true"}})], KeyVerdict.PERHAPS),
        ([*DELEGATED, {"Effect": "Deny", "Principal": "*", "Action": "kms:*"}], KeyVerdict.DENIED),
        ([*DELEGATED, {"Effect": "Deny", "Principal": "*", "NotAction": "kms:Decrypt"}], KeyVerdict.ACCOUNT),
        ([{"Effect": "Allow", "Principal": {"AWS": ROOT}, "NotAction": ["kms:Delete*"]}], KeyVerdict.ACCOUNT),
        ([{"Effect": "Deny", "NotPrincipal": {"AWS": ROOT}, "Action": "kms:*"}], KeyVerdict.PERHAPS),
        ([], KeyVerdict.NOBODY),
        (DELEGATED[0], KeyVerdict.ACCOUNT),
    ],
)
def test_a_key_policy_is_read(statements: Any, expected: KeyVerdict) -> None:
    assert verdict({"Statement": statements}, Decrypting(ACCOUNT, ROLE, VIA)) is expected


def test_a_role_that_is_not_made_yet_is_named_nowhere() -> None:
    assert verdict({"Statement": [allow({"AWS": ""})]}, Decrypting(ACCOUNT, "", VIA)) is KeyVerdict.NOBODY
