"""The code's way into the account: uploads, the bucket, names and tags, as an organisation wants them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from kit import installs
from kit.organisation import KEY, NOTHING, SECOND, Wire, account, planned, policy, resources, statement_with

from multicdn.config.settings import Install
from multicdn.installer import code_bucket
from multicdn.installer.apply import carry_out
from multicdn.installer.errors import InstallError
from multicdn.installer.state import Artifacts, read_artifacts
from multicdn.installer.steps import Deploy, MakeBucket, TagBucket, Upload
from multicdn.installer.template.tags import tagged

if TYPE_CHECKING:
    from pathlib import Path


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


LISTED = "<ListBucketResult><Contents><Key>multicdn/multicdn/a.zip</Key></Contents></ListBucketResult>"
MARKED = "<Tagging><TagSet><Tag><Key>multicdn:artifacts</Key><Value>x</Value></Tag></TagSet></Tagging>"
PLACE = (200, "<LocationConstraint/>")
NO_TAGS = (404, "<Error><Code>NoSuchTagSet</Code></Error>")
DENIED = (403, "<Error><Code>AccessDenied</Code></Error>")


@pytest.mark.parametrize(
    ("answers", "ready", "ours"),
    [
        ([(404, "<Error><Code>NoSuchBucket</Code></Error>")], False, True),
        ([(200, LISTED), PLACE, (200, MARKED)], True, True),  # its place is asked for, too
        ([(200, LISTED), PLACE, NO_TAGS], True, False),
        ([(200, LISTED), PLACE, DENIED], True, False),
    ],
    ids=["missing", "made by us", "untagged", "tags unknown"],
)
def test_a_named_bucket_is_ours_only_if_we_made_it(answers: list[tuple[int, str]], *, ready: bool, ours: bool) -> None:
    client = Wire(*answers).client("s3")
    found = read_artifacts(account(lambda _: client), "multicdn", "acme-code")
    assert (found.ready, found.ours) == (ready, ours)
    assert found.keys == (("multicdn/multicdn/a.zip",) if ready else ())


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
