"""Networks, and buckets of other accounts and regions; what others have to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from kit import installs
from kit.organisation import (
    ALL,
    BOUNDARY,
    ELSEWHERE,
    ID,
    KEY,
    OTHER,
    ROLE,
    SECOND,
    SECRETS,
    TWO,
    VPC,
    Wire,
    account,
    planned,
    policy,
    resources,
    statement_with,
)

from multicdn import cli
from multicdn.installer import run, sessions
from multicdn.installer.errors import InstallError
from multicdn.installer.organisation import forwarding, instructions, network
from multicdn.installer.steps import Deploy

if TYPE_CHECKING:
    from pathlib import Path


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


def test_keys_of_secrets_manager_alone_need_no_endpoint_of_kms() -> None:
    providers = '\n  b: {type: fastly, token: "${secretsmanager:b}", service: S}'
    config = installs.config(f"{VPC}, kms_key: '{KEY}'", ALL.replace("a, b, c", "b"), providers)
    assert network.endpoints(config, "r") == ["com.amazonaws.r.secretsmanager", "com.amazonaws.r.sqs"]


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
    monkeypatch.setattr(sessions, "connect", lambda *_: account())
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
    monkeypatch.setattr(sessions, "connect", lambda *_: account(lambda _: client))
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
    file = sessions.read(path)
    session = sessions.with_key_arns(
        sessions.Session(account(lambda _: client), file.config.install, file.buckets, file)
    )
    assert session.file is not None
    assert (session.settings.kms_key, session.file.config.install.kms_key) == (KEY, KEY)


def test_whoever_keeps_a_boundary_or_a_key_is_told_what_it_must_allow() -> None:
    config = installs.config(f"permissions_boundary: '{BOUNDARY}', kms_key: '{KEY}', secret_keys: ['{SECOND}']")
    boundary, keys = instructions.instructions(config, account())
    granted = [action for one in boundary.documents["policy"]["Statement"] for action in one["Action"]]
    assert {"sqs:ReceiveMessage", "cloudfront:CreateInvalidation", "kms:Decrypt"} <= set(granted)
    assert list(keys.documents) == [f"statement for {KEY}", f"statement for {SECOND}"]
    ours = {"aws:PrincipalArn": f"arn:aws:iam::{ID}:role/multicdn-Role-*"}
    assert keys.documents[f"statement for {SECOND}"] == {
        "Sid": "DecryptSecrets",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ID}:root"},
        "Action": ["kms:Decrypt"],
        "Resource": "*",
        "Condition": {"StringEquals": {"kms:ViaService": ["ssm.us-east-1.amazonaws.com"]}, "ArnLike": ours},
    }
    [own, _] = instructions.instructions(installs.config(f"role: '{ROLE}', kms_key: '{KEY}'"), account())
    assert ROLE in own.title
    assert own.documents["trust policy"]


def test_a_broken_config_still_tells_whose_a_bucket_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "connect", lambda *_: account())
    path = tmp_path / "c.yml"
    path.write_text(installs.text(f"{ELSEWHERE}, memory: 1", TWO), encoding="utf-8")
    assert sessions.sign_in_to_look(path, print).buckets == ("acme-site",)
