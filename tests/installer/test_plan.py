"""Plans are made from what was read, without asking anybody."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from kit import installs

from multicdn.installer import diff, plan, status
from multicdn.installer.errors import InstallError
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.eventbridge_rules import may_take
from multicdn.installer.notifications.merge import Overlap, Wanted
from multicdn.installer.notifications.prefixes import Covered
from multicdn.installer.notifications.wanted import wanted_of
from multicdn.installer.state import OWNER_TAG, Artifacts, Current, Deployed
from multicdn.installer.steps import Deploy, Notify, Upload
from multicdn.model import ChangeKind

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.installer.steps import InstallPlan

ARN = "arn:aws:sqs:us-east-1:123456789012:multicdn-Queue-1"
NOTHING = Current("123456789012", "us-east-1", None, {"acme-site": {}}, Artifacts("code", ready=False, ours=True))


def desired(folder: Path, install: str = "", **more: str) -> plan.Desired:
    return plan.Desired(installs.config(install, **more), "c" * 64, installs.bundle(folder), "1")


def settled(folder: Path, install: str = "", **changes: Any) -> Current:
    """What there is once a plan has been carried out."""
    wanted = desired(folder, install)
    made = plan.make(wanted, NOTHING)
    [deploy] = [step for step in made.steps if isinstance(step, Deploy)]
    [notify] = [step for step in made.steps if isinstance(step, Notify)]
    [upload] = [step for step in made.steps if isinstance(step, Upload)]
    outputs = {"QueueArn": ARN, "QueueUrl": "https://q"}
    stack = Deployed("multicdn", "CREATE_COMPLETE", deploy.body, deploy.parameters, outputs, deploy.tags)
    from multicdn.installer.notifications.merge import merged

    after = {notify.bucket: merged(notify.seen, notify.wanted, "multicdn", ARN)}
    current = Current(
        "123456789012", "us-east-1", stack, after, Artifacts("code", ready=True, ours=True, keys=(upload.key,))
    )
    return msgspec.structs.replace(current, **changes)


def kinds(made: InstallPlan) -> list[str]:
    return [type(step).__name__ for step in made.steps]


def test_a_first_plan_makes_everything_in_order(tmp_path: Path) -> None:
    made = plan.make(desired(tmp_path), NOTHING)
    assert kinds(made) == ["MakeBucket", "Upload", "Deploy", "Notify"]
    assert made.fresh


def test_hook_plugins_that_come_along_unasked_are_named(tmp_path: Path) -> None:
    """Every one that is installed acts on every config, there as here."""
    wanted = msgspec.structs.replace(
        desired(tmp_path), bundle=dataclasses.replace(installs.bundle(tmp_path), hooks=("watch",))
    )
    assert (
        "Hook plugins in it: watch; MULTICDN_DISABLE_PLUGINS=watch leaves them out" in plan.make(wanted, NOTHING).lines
    )
    assert not [line for line in plan.make(desired(tmp_path), NOTHING).lines if "Hook" in line]


def test_nothing_is_changed_that_is_as_it_should_be(tmp_path: Path) -> None:
    made = plan.make(desired(tmp_path), settled(tmp_path))
    assert made.steps == ()
    assert not made.fresh


@pytest.mark.parametrize(
    ("install", "line"),
    [
        ("memory: 256", "MemorySize: 512 -> 256"),
        ("kms_key: 'arn:aws:kms:us-east-1:123456789012:key/k'", "+ allow kms:Decrypt on arn:aws:kms:us-east-1"),
        ("tags: {team: web}", "~ tag team: none -> web"),
        ("reserved_concurrency: 3", "ReservedConcurrentExecutions: none -> 3"),
        ("alarm_topic: 'arn:aws:sns:us-east-1:123456789012:t'", "AlarmActions: none -> arn:aws:sns"),
    ],
)
def test_what_changes_is_said(tmp_path: Path, install: str, line: str) -> None:
    made = plan.make(desired(tmp_path, install), settled(tmp_path))
    assert kinds(made) == [*["TagBucket"] * ("tags" in install), "Deploy"]
    assert any(line in found for found in made.lines), made.lines


@pytest.mark.parametrize("status", plan.STILLBORN)
def test_a_stack_that_never_lived_is_deleted_first(tmp_path: Path, status: str) -> None:
    stack = Deployed("multicdn", status, {}, {}, {}, {OWNER_TAG: "multicdn"})
    made = plan.make(desired(tmp_path), msgspec.structs.replace(NOTHING, deployed=stack))
    assert kinds(made) == ["MakeBucket", "Upload", "DeleteStack", "Deploy", "Notify"]


def test_the_shell_of_a_stack_is_no_stack(tmp_path: Path) -> None:
    stack = Deployed("multicdn", "REVIEW_IN_PROGRESS", {}, {}, {}, {OWNER_TAG: "multicdn"})
    assert plan.make(desired(tmp_path), msgspec.structs.replace(NOTHING, deployed=stack)).fresh


def test_a_stack_that_is_stuck_is_left_alone(tmp_path: Path) -> None:
    stack = Deployed("multicdn", "UPDATE_ROLLBACK_FAILED", {}, {}, {}, {OWNER_TAG: "multicdn"})
    with pytest.raises(InstallError, match="continue-update-rollback --stack-name multicdn"):
        plan.make(desired(tmp_path), msgspec.structs.replace(NOTHING, deployed=stack))


def test_more_notifications_than_s3_allows_are_refused(tmp_path: Path) -> None:
    theirs = [{"Id": str(n), "QueueArn": "q", "Events": ["s3:ObjectAcl:Put"]} for n in range(100)]
    current = msgspec.structs.replace(NOTHING, notifications={"acme-site": {"QueueConfigurations": theirs}})
    with pytest.raises(InstallError, match="S3 allows 100 notifications of a bucket, and these would be 101"):
        plan.make(desired(tmp_path), current)


def test_what_could_be_reserved_is_a_limit(tmp_path: Path) -> None:
    wanted = desired(tmp_path, "reserved_concurrency: 5")
    with pytest.raises(InstallError, match=r"multicdn\.config\.yml: install\.reserved_concurrency is 5, .* than 4 can"):
        plan.make(wanted, msgspec.structs.replace(NOTHING, reservable=4))
    assert plan.make(wanted, msgspec.structs.replace(NOTHING, reservable=5)).steps


@pytest.mark.parametrize(("install", "warned"), [("", 1), ("alarm_topic: 'arn:aws:sns:us-east-1:123456789012:t'", 0)])
def test_alarms_that_tell_nobody_are_warned_of(tmp_path: Path, install: str, warned: int) -> None:
    made = plan.make(desired(tmp_path, install), NOTHING)
    assert len([one for one in made.warnings if one.startswith("install.alarm_topic is empty")]) == warned


def test_destinations_of_others_that_are_gone_are_named(tmp_path: Path) -> None:
    made = plan.make(desired(tmp_path), msgspec.structs.replace(NOTHING, vanished=("arn:aws:sqs:r:1:q",)))
    assert [one for one in made.warnings if one.startswith("arn:aws:sqs:r:1:q doesn't exist any more")]


def test_another_bucket_for_the_code_empties_the_old_one(tmp_path: Path) -> None:
    current = settled(tmp_path, artifacts=Artifacts("other", ready=True, ours=False))
    made = plan.make(desired(tmp_path, "artifact_bucket: other"), current)
    assert kinds(made) == ["Upload", "Deploy", "DeleteObjects", "DeleteBucket"]
    assert str(made.steps[3]) == "delete the bucket code, if it is ours and empty"
    assert str(made.steps[2]) == "delete 1 bundle from s3://code"


@pytest.mark.parametrize(
    ("install", "shares", "expected"),
    [
        ("maximum_concurrency: 5", 2, "delivery.concurrency is 2, but 5 invocations may run"),
        ("maximum_concurrency: 5", None, ""),
        ("trigger: direct", None, "delivery.concurrency is 1, but any number of invocations may run"),
        ("trigger: direct", 4, "delivery.concurrency is 4, but any number of invocations may run"),
        ("trigger: direct, reserved_concurrency: 3", None, ""),
        ("trigger: direct, reserved_concurrency: 3", 2, "delivery.concurrency is 2, but 3 invocations may run"),
    ],
)
def test_fewer_shares_than_invocations_are_warned_of(
    tmp_path: Path, install: str, shares: int | None, expected: str
) -> None:
    text = installs.text(install) + (f"delivery: {{concurrency: {shares}}}\n" if shares else "")
    from multicdn import config
    from multicdn.plugins.discovery import Plugins

    made = plan.make(plan.Desired(config.parse(text, "c", Plugins()), "c", installs.bundle(tmp_path), "1"), NOTHING)
    warned = [warning for warning in made.warnings if "delivery.concurrency" in warning]
    assert warned == [] if not expected else warned[0].startswith(expected)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ('{"source": ["aws.s3"]}', True),
        ('{"source": ["aws.ec2"]}', False),
        ('{"source": [{"prefix": "aws."}]}', True),
        ('{"detail-type": ["Object Created"]}', True),
        ('{"source": ["aws.s3"], "detail": {"bucket": {"name": ["b"]}}}', True),
        ('{"source": ["aws.s3"], "detail": {"bucket": {"name": ["other"]}}}', False),
        ('{"source": ["aws.s3"], "detail": {"bucket": {"name": [{"prefix": "x"}]}}}', True),
        ('{"account": ["123456789012"]}', True),
    ],
)
def test_a_rule_that_may_listen_counts_as_listening(pattern: str, expected: bool) -> None:
    assert may_take(pattern, "b") is expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"Ref": "Queue"}, "Queue"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "Queue"),
        ({"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}:parameter/a"}, "ssm:parameter/a"),
        ({"Fn::Sub": "arn:${AWS::Partition}:s3:::b"}, "s3:b"),
        (["a", {"Ref": "B"}], "a, B"),
        ({"a": 1, "b": 2}, '{"a": 1, "b": 2}'),
        ("x" * 200, "x" * 100 + "…"),
    ],
)
def test_values_are_shown_short(value: Any, text: str) -> None:
    assert diff.short(value) == text


OURS = {
    "QueueConfigurations": [{"Id": "multicdn.multicdn.0123456789ab", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]
}
FLAG: dict[str, Any] = {"EventBridgeConfiguration": {}}


@pytest.mark.parametrize(
    ("seen", "wanted", "output", "words"),
    [
        ({}, Wanted(eventbridge=True), "", "turn EventBridge on for b"),
        (OURS, Wanted(eventbridge=True), "", "take ours out of the notifications of b, and turn EventBridge on"),
        ({**OURS, **FLAG}, Wanted(eventbridge=True), "", "take ours out of the notifications of b"),
        (OURS, Wanted(), "", "take ours out of the notifications of b"),
        (FLAG, Wanted(eventbridge=False), "", "turn EventBridge off for b"),
        (FLAG, Wanted(eventbridge=False), "QueueArn", "write the notifications of b, and turn EventBridge off"),
        ({}, Wanted(eventbridge=False), "QueueArn", "write the notifications of b"),
        (FLAG, Wanted(), "QueueArn", "write the notifications of b"),
    ],
)
def test_a_step_says_what_it_does_to_a_bucket(seen: dict[str, Any], wanted: Wanted, output: str, words: str) -> None:
    assert str(Notify("b", "multicdn", wanted, seen, output)) == words


@pytest.mark.parametrize(
    ("prefix", "words"), [("", "of the whole bucket is"), ("docs/", "of keys that begin with docs/ is")]
)
def test_an_overlap_says_for_which_keys(prefix: str, words: str) -> None:
    part = Covered("b", prefix, (ChangeKind.CREATED, ChangeKind.REMOVED))
    assert f"b: s3:ObjectCreated:* {words} already sent to {ARN}" == str(Overlap(part, ARN, "s3:ObjectCreated:*"))


@pytest.mark.parametrize(
    ("waiting", "words"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages"), (12345, "12,345 messages")]
)
def test_messages_are_counted_in_words(waiting: int, words: str) -> None:
    assert f"Queue: {words} waiting" in status.lines(status.InstallStatus("s", "CREATE_COMPLETE", waiting=waiting), "")


@pytest.mark.parametrize(("old", "new"), [("true", "false"), ("false", "true")])
def test_with_snapstart_another_thing_is_called_and_s3_is_told_so(tmp_path: Path, old: str, new: str) -> None:
    """The alias goes with SnapStart, and S3's permission to call the function comes with it."""
    wanted = desired(tmp_path, f"trigger: direct, snapstart: {old}")
    [deploy] = [step for step in plan.make(wanted, NOTHING).steps if isinstance(step, Deploy)]
    outputs = {"InvokedArn": ARN}
    stack = Deployed("multicdn", "CREATE_COMPLETE", deploy.body, deploy.parameters, outputs, deploy.tags)
    after = {"acme-site": merge.merged({}, wanted_of(wanted.config, "acme-site"), "multicdn", ARN)}
    current = Current("123456789012", "us-east-1", stack, after, Artifacts("code", ready=True, ours=True))
    assert "Notify" not in kinds(plan.make(wanted, current))
    changed = plan.make(desired(tmp_path, f"trigger: direct, snapstart: {new}"), current)
    assert [kind for kind in kinds(changed) if kind in ("Deploy", "Notify")] == ["Deploy", "Notify"]
