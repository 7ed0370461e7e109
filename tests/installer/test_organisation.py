"""What organisations impose: roles, boundaries, tags, encryption, keys, networks, buckets of others."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from botocore.awsrequest import AWSResponse
from click.testing import CliRunner
from kit import installs

from multicdn import cli
from multicdn.config.settings import Install
from multicdn.installer import code_bucket, permissions, plan, run
from multicdn.installer.account import Account
from multicdn.installer.apply import carry_out
from multicdn.installer.errors import InstallError
from multicdn.installer.organisation import forwarding, instructions, kms_keys, network, own_role
from multicdn.installer.state import Artifacts, Current
from multicdn.installer.steps import Deploy, MakeBucket, TagBucket, Upload
from multicdn.installer.template import role
from multicdn.installer.template.stack import State, template
from multicdn.installer.template.tags import tagged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ID = "123456789012"
OTHER = "210987654321"
KEY = f"arn:aws:kms:us-east-1:{ID}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECOND = f"arn:aws:kms:us-east-1:{ID}:key/mrk-1234abcd12ab34cd56ef1234567890ab"
ROLE = f"arn:aws:iam::{ID}:role/service/cdn"
BOUNDARY = f"arn:aws:iam::{ID}:policy/limits"
VPC = "vpc: {subnets: [subnet-0a], security_groups: [sg-0b]}"
SECRETS = """
  a: {type: fastly, token: "${ssm:/a}", service: S}
  b: {type: fastly, token: "${secretsmanager:b}", service: S}
  c: {type: cloudfront, distribution: E8F6HK73EP0LT}
"""
ALL = "\n  - {bucket: acme-site, urls: ['https://h/{key}'], purge: [a, b, c]}"
ELSEWHERE = f"trigger: eventbridge, forwarded: [{{bucket: media, account: '{OTHER}', region: eu-west-1}}]"
TWO = f"\n  - {{bucket: acme-site, {installs.PURGE}}}\n  - {{bucket: media, prefix: img/, {installs.PURGE}}}"
CODE = Artifacts("code", ready=True, ours=True)
NOTHING = Current(ID, "us-east-1", None, {"acme-site": {}}, CODE)


def no_client(service: str) -> Any:
    raise AssertionError(f"{service} is asked")


def account(client: Callable[[str], Any] = no_client, region: str = "us-east-1", partition: str = "aws") -> Account:
    return Account(ID, f"arn:{partition}:iam::{ID}:user/u", region, client)


def resources(install: str, **more: str) -> dict[str, Any]:
    made = template(installs.config(install, **more), State(), revision="r")["Resources"]
    return json.loads(json.dumps(made))


def policy(settings: Install) -> list[dict[str, Any]]:
    return permissions.policy(settings, ID, "us-east-1", "aws", ["acme-site"])["Statement"]


def statement_with(action: str, settings: Install) -> dict[str, Any]:
    [found] = [one for one in policy(settings) if action in one["Action"]]
    return found


def planned(folder: Path, install: str = "", current: Current = NOTHING, **more: str) -> Any:
    desired = plan.Desired(installs.config(install, **more), "c" * 64, installs.bundle(folder), "1")
    return plan.make(desired, current)


class Wire:
    """Clients that send nothing: each request is kept, and answered by the next answer."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)

    def client(self, service: str) -> Any:
        import boto3

        made = boto3.client(service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        made.meta.events.register("before-send", self._send)
        return made

    def _send(self, request: Any, **_: object) -> AWSResponse:
        self.requests.append(request)
        status, content = self._answers.pop(0) if self._answers else (200, "")
        body = content if isinstance(content, str) else json.dumps(content)

        class Raw:
            def stream(self, **_: object) -> Any:
                yield body.encode()

        return AWSResponse(request.url, status, {}, Raw())


# The function's role


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
    found = list(own_role.lacking(account(lambda _: client), installs.config(f"role: '{ROLE}'")))
    assert [re.sub(r";.*", "", one) for one in found] == [f"the role {ROLE} may not: logs:PutLogEvents on *"]


def test_a_role_that_does_not_exist_is_refused_and_who_may_not_ask_goes_ahead() -> None:
    client = Wire(_iam("NoSuchEntity")).client("iam")
    with pytest.raises(InstallError, match=rf"there is no role {ROLE} \(install.role\)"):
        list(own_role.lacking(account(lambda _: client), installs.config(f"role: '{ROLE}'")))
    other = Wire(*[_iam("AccessDenied")] * 10).client("iam")
    assert list(own_role.lacking(account(lambda _: other), installs.config(f"role: '{ROLE}'"))) == []


def test_a_key_with_signs_of_a_policy_is_asked_about_as_it_is_written() -> None:
    assert own_role._example("arn:aws:s3:::b/odd${*}${?}${$}/*") == "arn:aws:s3:::b/odd*?$/x"


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
    assert resources(f"secret_keys: ['{KEY}']")["Function"]["Properties"].get("KmsKeyArn") is None


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


# Uploads


@pytest.mark.parametrize(
    ("encryption", "headers"),
    [
        ("", {}),
        ("AES256", {"x-amz-server-side-encryption": "AES256"}),
        ("aws:kms", {"x-amz-server-side-encryption": "aws:kms"}),
        (KEY, {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": KEY}),
    ],
)
def test_uploads_say_how_they_are_encrypted(tmp_path: Path, encryption: str, headers: dict[str, str]) -> None:
    made = planned(tmp_path, f"artifact_encryption: '{encryption}'")
    [upload] = [step for step in made.steps if isinstance(step, Upload)]
    wire = Wire()
    client = wire.client("s3")
    carry_out(upload, account(lambda _: client), print)
    [deploy] = [step for step in made.steps if isinstance(step, Deploy)]
    code_bucket.upload_template(account(lambda _: client), "code", "k", "{}", deploy.encryption)
    for request in wire.requests:
        sent = {name.lower(): value for name, value in request.headers.items()}
        assert {name: _text(value) for name, value in sent.items() if "encryption" in name} == headers
    assert any("Uploads: encrypted with" in line for line in made.lines) is bool(encryption)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(("encryption", "named"), [("", "the upload named none"), ("AES256", "named AES256")])
def test_a_refused_upload_says_that_the_encryption_may_be_why(tmp_path: Path, encryption: str, named: str) -> None:
    client = Wire((403, "<Error><Code>AccessDenied</Code><Message>m</Message></Error>")).client("s3")
    upload = Upload("code", "k", installs.bundle(tmp_path).path, 1, encryption)
    with pytest.raises(InstallError, match=rf"s3:PutObject.*{named}, as install\.artifact_encryption says"):
        carry_out(upload, account(lambda _: client), print)


def test_a_key_of_uploads_is_used_by_whoever_installs() -> None:
    assert statement_with("kms:GenerateDataKey", Install(artifact_encryption=KEY))["Resource"] == KEY
    assert statement_with("kms:DescribeKey", Install(secret_keys=(KEY, SECOND)))["Resource"] == [KEY, SECOND]
    assert "kms:" not in json.dumps(policy(Install(artifact_encryption="aws:kms")))


# Names and tags


def test_every_name_begins_with_that_of_the_stack() -> None:
    """CloudFormation makes names up from it; what has one of its own begins so, too."""
    own = {"FunctionName", "QueueName", "RoleName", "LogGroupName", "AlarmName", "DashboardName", "Name", "StatementId"}
    for trigger in ("queue", "direct"):
        for one in resources(f"trigger: {trigger}, snapstart: true").values():
            named = {name: one["Properties"][name] for name in own & one["Properties"].keys()}
            named = {name: value for name, value in named.items() if "Ref" not in value}
            assert all("${AWS::StackName}" in json.dumps(value) or value == "live" for value in named.values()), named


def test_a_bucket_for_the_code_by_another_name_is_made_as_well(tmp_path: Path) -> None:
    current = msgspec.structs.replace(NOTHING, artifacts=Artifacts("acme-code", ready=False, ours=True))
    made = planned(tmp_path, "artifact_bucket: acme-code, tags: {team: web}", current)
    assert made.steps[0] == MakeBucket("acme-code", {"team": "web"})
    assert "s3:CreateBucket" not in json.dumps(policy(Install(artifact_bucket="acme-code")))


def test_the_bucket_for_the_code_gets_its_tags_and_keeps_those_of_others(tmp_path: Path) -> None:
    current = msgspec.structs.replace(
        NOTHING, artifacts=Artifacts("code", ready=True, ours=True, tags={"by": "robot", "aws:x": "y"})
    )
    made = planned(tmp_path, "tags: {team: web, by: us}", current)
    assert made.steps[0] == TagBucket("code", {"team": "web", "by": "robot"})
    assert "Bucket code: give it the tags team" in made.lines
    theirs = msgspec.structs.replace(current, artifacts=Artifacts("code", ready=True, ours=False))
    assert not [step for step in planned(tmp_path, "tags: {team: web}", theirs).steps if isinstance(step, TagBucket)]


@pytest.mark.parametrize("tags", [{"team": "web", "cost center": "1/2"}, {}])
def test_the_bucket_is_made_with_its_tags_and_our_mark(tags: dict[str, str]) -> None:
    wire = Wire()
    client = wire.client("s3")
    carry_out(MakeBucket("code", tags), account(lambda _: client), print)
    body = _text(wire.requests[-1].body)
    assert re.findall("<Key>(.*?)</Key>", body) == [*tags, "multicdn:artifacts"]


def test_a_template_for_others_has_the_tags_in_it() -> None:
    made = resources("")
    found = tagged({"Resources": made}, {"team": "web"})["Resources"]
    untagged = {one["Type"] for one in found.values() if "Tags" not in one["Properties"]}
    assert untagged == {"AWS::SQS::QueuePolicy", "AWS::CloudWatch::Dashboard"}
    assert tagged({"Resources": made}, {}) == {"Resources": made}


# The network


@pytest.mark.parametrize(
    ("install", "routes", "expected"),
    [
        (VPC, ALL, ["secretsmanager", "sqs", "ssm"]),
        (f"{VPC}, trigger: direct", ALL, ["secretsmanager", "sqs", "ssm"]),
        (f"{VPC}, kms_key: '{KEY}'", ALL, ["kms", "secretsmanager", "sqs", "ssm"]),
        (
            f"{VPC}, secret_keys: ['{KEY}']",
            ALL.replace("purge: [a, b, c]", "purge: [c]"),
            ["kms", "secretsmanager", "sqs", "ssm"],
        ),
        (VPC, ALL.replace("purge:", "tags_from: cache-tag, purge:"), ["s3 (gateway)", "secretsmanager", "sqs", "ssm"]),
    ],
)
def test_the_endpoints_are_named_that_the_function_needs(install: str, routes: str, expected: list[str]) -> None:
    config = installs.config(install, routes, SECRETS)
    assert network.endpoints(config, "eu-west-1") == [f"com.amazonaws.eu-west-1.{service}" for service in expected]


def test_a_plan_says_what_the_network_needs_and_only_where_there_is_one(tmp_path: Path) -> None:
    found = "\n".join(planned(tmp_path, VPC).lines)
    assert "Network: subnet-0a, sg-0b" in found
    assert "that of CloudFront, are reached over the internet: the subnets need a NAT gateway" in found
    assert "com.amazonaws.us-east-1.sqs, com.amazonaws.us-east-1.ssm" in found
    assert "Network" not in "\n".join(planned(tmp_path).lines)


def test_the_role_may_make_network_interfaces_only_where_there_is_a_network() -> None:
    assert "ec2:" in json.dumps(resources(VPC)["Role"])
    assert "ec2:" not in json.dumps(resources("")["Role"])


# Buckets of other accounts and regions


def test_a_bucket_elsewhere_is_left_alone_and_its_events_are_taken(tmp_path: Path) -> None:
    made = planned(tmp_path, ELSEWHERE, routes=TWO)
    assert [getattr(step, "bucket", "") for step in made.steps if type(step).__name__ == "Notify"] == ["acme-site"]
    [deploy] = [step for step in made.steps if isinstance(step, Deploy)]
    assert deploy.body["Metadata"]["multicdn"]["buckets"] == ["acme-site"]
    assert f"Bucket media of account {OTHER}, region eu-west-1: left alone; its owner forwards its events" in made.lines
    names = [
        one["Properties"]["EventPattern"]["detail"]["bucket"]["name"]
        for one in deploy.body["Resources"].values()
        if one["Type"] == "AWS::Events::Rule"
    ]
    assert sorted(names) == [["acme-site"], ["media"]]


def test_only_the_accounts_that_are_named_may_forward_and_only_what_s3_says() -> None:
    more = "{bucket: acme-site, region: eu-west-1}, {bucket: third, account: '210987654321'}"
    made = resources(ELSEWHERE.replace("forwarded: [", f"forwarded: [{more}, "), routes=TWO)
    [policy] = [one["Properties"] for one in made.values() if one["Type"] == "AWS::Events::EventBusPolicy"]
    assert policy["Statement"]["Principal"] == {"AWS": {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::{OTHER}:root"}}
    assert policy["Statement"]["Condition"] == {"ForAllValues:StringEquals": {"events:source": "aws.s3"}}
    assert not [
        one for one in resources("trigger: eventbridge").values() if one["Type"] == "AWS::Events::EventBusPolicy"
    ]
    settings = installs.config(ELSEWHERE, TWO).install
    assert statement_with("events:PutPermission", settings)["Resource"] == "*"  # it knows of no resources
    assert "PutPermission" not in json.dumps(policy_of("trigger: eventbridge"))


def policy_of(install: str) -> list[dict[str, Any]]:
    return policy(installs.config(install).install)


@pytest.mark.parametrize(
    ("install", "words"),
    [
        (f"{{bucket: acme-site, account: '{ID}'}}", "own account and region, 123456789012 and us-east-1; take it out"),
        ("{bucket: acme-site, region: us-east-1}", "take it out"),
        ("{bucket: acme-sight, region: eu-west-1}", "'acme-sight' is in no route"),
    ],
)
def test_a_bucket_that_is_not_elsewhere_is_refused(tmp_path: Path, install: str, words: str) -> None:
    with pytest.raises(InstallError, match=words):
        planned(tmp_path, f"trigger: eventbridge, forwarded: [{install}]")


def test_the_other_side_forwards_the_very_events_that_our_rules_take() -> None:
    config = installs.config(ELSEWHERE, TWO)
    made = forwarding.template(config, account(), config.install.forwarded)
    theirs = [one["Properties"] for one in made["Resources"].values() if one["Type"] == "AWS::Events::Rule"]
    ours = [
        one["Properties"]["EventPattern"]
        for one in resources(ELSEWHERE, routes=TWO).values()
        if one["Type"] == "AWS::Events::Rule"
    ]
    assert [one["EventPattern"] for one in theirs] == [one for one in ours if "object" in one["detail"]]
    [target] = theirs[0]["Targets"]
    assert target["Arn"] == f"arn:aws:events:us-east-1:{ID}:event-bus/default"
    granted = made["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert [(one["Action"], one["Resource"]) for one in granted] == [(["events:PutEvents"], target["Arn"])]


def test_each_place_gets_a_template_of_its_own_and_readers_a_policy() -> None:
    more = ", {bucket: far, region: eu-west-1}]"
    routes = (
        f"{TWO.replace('prefix: img/,', 'prefix: img/, tags_from: cache-tag,')}\n  - {{bucket: far, {installs.PURGE}}}"
    )
    config = installs.config(ELSEWHERE.removesuffix("]") + more, routes)
    first, second = instructions.instructions(config, account())
    assert f"account {OTHER}, region eu-west-1: media" in first.title
    assert f"account {ID}, region eu-west-1: far" in second.title
    assert list(second.documents) == ["template"]
    read, seen = first.documents["statements for the policy of media"]["Statement"]
    assert (read["Action"], read["Resource"]) == (["s3:GetObject"], ["arn:aws:s3:::media/img/*"])
    ours = {"aws:PrincipalArn": f"arn:aws:iam::{ID}:role/multicdn-Role-*"}
    assert read["Condition"] == {"ArnLike": ours}
    assert seen["Condition"] == {"Null": {"s3:prefix": "true"}, "ArnLike": ours}


def test_what_others_have_to_do_is_printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "connect", lambda region, buckets: account())
    path = tmp_path / "c.yml"
    path.write_text(installs.text(f"{ELSEWHERE}, role: '{ROLE}', {VPC}", TWO), encoding="utf-8")
    shown = CliRunner().invoke(cli.main, ["install", "instructions", "--config", str(path)])
    assert shown.exit_code == 0, shown.output
    titles = [line for line in shown.output.splitlines() if line.startswith("== ")]
    assert [title.split()[2] for title in titles] == ["role", "of", "network"]
    told = CliRunner().invoke(cli.main, ["install", "instructions", "--json", "--config", str(path)])
    found = json.loads(told.output)
    assert [sorted(one) for one in found] == [["documents", "steps", "title"]] * 3
    assert found[0]["documents"]["trust policy"]["Statement"][0]["Principal"] == {"Service": "lambda.amazonaws.com"}
    path.write_text(installs.text(), encoding="utf-8")
    nothing = CliRunner().invoke(cli.main, ["install", "instructions", "--config", str(path)])
    assert nothing.output == "Nobody else has to do anything.\n"


def test_a_pipeline_gets_the_template_and_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []
    built = installs.bundle(tmp_path)
    monkeypatch.setattr(run, "build", lambda *_, **settings: asked.append(settings) or built)
    wire = Wire((200, {"KeyMetadata": {"KeyId": "1", "Arn": KEY}}))
    client = wire.client("kms")
    monkeypatch.setattr(run, "connect", lambda region, buckets: account(lambda _: client))
    path = tmp_path / "c.yml"
    path.write_text(installs.text("kms_key: alias/web, tags: {team: web}, python: '3.12'"), encoding="utf-8")
    runner = CliRunner()
    made = json.loads(runner.invoke(cli.main, ["install", "template", "--config", str(path)]).output)
    assert made["Resources"]["Function"]["Properties"]["KmsKeyArn"] == KEY
    assert made["Resources"]["Queue"]["Properties"]["Tags"] == [{"Key": "team", "Value": "web"}]
    told = runner.invoke(cli.main, ["install", "bundle", str(tmp_path / "b.zip"), "--config", str(path)])
    assert f"b.zip: 0.0 MB, {built.sha256[:12]}" in told.output
    assert (tmp_path / "b.zip").read_bytes() == built.path.read_bytes()
    assert (asked[0]["architecture"], asked[0]["python"]) == ("arm64", "3.12")
    nowhere = runner.invoke(cli.main, ["install", "bundle", str(tmp_path / "no" / "b.zip"), "--config", str(path)])
    assert nowhere.exit_code == 1
    assert "b.zip can't be written: No such file or directory" in nowhere.output
    path.write_text(installs.text().replace("${ssm:/multicdn/fastly/token}", "${env:TOKEN}"), encoding="utf-8")
    refused = runner.invoke(cli.main, ["install", "bundle", str(tmp_path / "c.zip"), "--config", str(path)])
    assert "${env:TOKEN} can't be installed" in refused.output
    assert not (tmp_path / "c.zip").exists()


def test_a_plan_is_made_with_the_arns_of_the_keys(tmp_path: Path) -> None:
    client = Wire((200, {"KeyMetadata": {"KeyId": "1", "Arn": KEY}})).client("kms")
    path = tmp_path / "c.yml"
    path.write_text(installs.text("kms_key: alias/web"), encoding="utf-8")
    file = run.read(path)
    session = run.with_key_arns(run.Session(account(lambda _: client), file.config.install, file.buckets, file))
    assert session.file is not None
    assert (session.settings.kms_key, session.file.config.install.kms_key) == (KEY, KEY)


def test_a_broken_config_still_tells_whose_a_bucket_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "connect", lambda region, buckets: account())
    path = tmp_path / "c.yml"
    path.write_text(installs.text(f"{ELSEWHERE}, memory: 1", TWO), encoding="utf-8")
    assert run.sign_in_to_look(path, print).buckets == ("acme-site",)
