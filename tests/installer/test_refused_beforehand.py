"""What AWS would refuse half-way, for what it is or where it is, is refused before anything is done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import boto3
import msgspec
import pytest
from botocore.stub import Stubber
from kit import installs
from kit.organisation import CODE, ID, NOTHING, account, planned

from multicdn.installer import behaviour, plan, state
from multicdn.installer.deployed_code import DeployedCode
from multicdn.installer.errors import InstallError, PassedOverError

if TYPE_CHECKING:
    from pathlib import Path

FAR = f"arn:aws:kms:eu-west-1:{ID}:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.mark.parametrize(
    ("install", "name"),
    [
        (f"alarm_topic: 'arn:aws:sns:eu-west-1:{ID}:t'", "alarm_topic"),
        (f"kms_key: '{FAR}'", "kms_key"),
        (f"secret_keys: ['{FAR}']", "secret_keys[0]"),
        (f"artifact_encryption: '{FAR}'", "artifact_encryption"),
    ],
)
def test_what_is_in_another_region_is_refused(tmp_path: Path, install: str, name: str) -> None:
    with pytest.raises(InstallError) as refused:
        planned(tmp_path, install)
    assert f"multicdn.config.yml: install.{name} is in eu-west-1, and the function, in us-east-1, can't" in str(
        refused.value
    )
    assert planned(tmp_path, install.replace("eu-west-1", "us-east-1")).steps


def test_code_that_lambda_would_not_unpack_is_refused(tmp_path: Path) -> None:
    def large(size: int) -> plan.Desired:
        return plan.Desired(config, "c" * 64, dataclasses.replace(installs.bundle(tmp_path), unpacked=size), "1")

    config = installs.config()
    assert plan.make(large(262_144_000), NOTHING).steps
    with pytest.raises(InstallError, match="the code has 262,144,001 bytes unpacked, and Lambda takes 262,144,000"):
        plan.make(large(262_144_001), NOTHING)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1"])
def test_a_bucket_for_the_code_in_another_region_is_refused(region: str) -> None:
    s3 = boto3.client("s3", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    stubber = Stubber(s3)
    stubber.add_response("list_objects_v2", {})
    stubber.add_response("get_bucket_location", {} if region == "us-east-1" else {"LocationConstraint": region})
    stubber.add_client_error("get_bucket_tagging", "NoSuchTagSet")
    stubber.activate()
    there = account(lambda _: s3)
    if region == "us-east-1":
        assert state.read_artifacts(there, "multicdn", "code").ready
        return
    with pytest.raises(PassedOverError, match="is in eu-west-1, and Lambda takes code from its own region alone"):
        state.read_artifacts(there, "multicdn", "code")


def many(count: int) -> str:
    return "".join(f"\n  - {{bucket: acme-site, prefix: 'p{place}/', {installs.PURGE}}}" for place in range(count))


def test_a_wide_entry_of_somebody_else_is_not_named_for_each_route(tmp_path: Path) -> None:
    theirs = {"QueueConfigurations": [{"Id": "1", "QueueArn": "q", "Events": ["s3:ObjectCreated:*"]}]}
    current = msgspec.structs.replace(NOTHING, notifications={"acme-site": theirs})
    with pytest.raises(InstallError) as refused:
        planned(tmp_path, current=current, routes=many(120))
    lines = str(refused.value).splitlines()
    assert len(lines) == 12
    assert lines[10] == "acme-site: … and 110 more of these"
    assert "these would be 121; give routes fewer, wider prefixes, or use `install: trigger: eventbridge`" in lines[11]


def test_the_more_routes_the_more_work_and_no_more_than_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at the class for each route took longer than all else together."""
    asked: list[object] = []
    genuine = msgspec.structs.fields
    monkeypatch.setattr(msgspec.structs, "fields", lambda of: asked.append(of) or genuine(of))
    config = installs.config(routes=many(60))
    before = installs.text(routes=many(60).replace("acme.com", "acme.net")).encode()
    assert len(list(behaviour.section(DeployedCode(before), config, ()))) > 60
    assert len(asked) < 20


def test_routes_of_other_buckets_are_not_gone_through_for_each_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from multicdn.installer.notifications import prefixes

    looked: list[str] = []
    genuine = prefixes._literal
    monkeypatch.setattr(prefixes, "_literal", lambda prefix: looked.append(prefix) or genuine(prefix))
    routes = "".join(f"\n  - {{bucket: site-{place}, {installs.PURGE}}}" for place in range(40))
    current = msgspec.structs.replace(
        NOTHING, notifications={f"site-{place}": {} for place in range(40)}, artifacts=CODE
    )
    assert planned(tmp_path, current=current, routes=routes).steps
    assert len(looked) < 40 * 12
