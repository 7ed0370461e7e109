"""Plan, apply, look and remove on AWS on loopback, with signatures and policies enforced."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import botocore.client
import pytest
from click.testing import CliRunner
from kit import installs

from multicdn.cli import main
from multicdn.installer import apply, cloudformation, notify, permission_table, run
from multicdn.installer.errors import InstallError
from multicdn.installer.status import lines
from multicdn.installer.steps import Deploy, InstallPlan, MakeBucket

if TYPE_CHECKING:
    from click.testing import Result
    from kit.installs import Installer

    from multicdn.testing.loopback.aws import LoopbackAws

TWO = installs.ROUTES + f"\n  - {{bucket: second-site, prefix: a/, {installs.PURGE}}}"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply, "_PAUSE", 0.01)
    monkeypatch.setattr(notify, "_PAUSE", 0.01)
    monkeypatch.setattr(notify, "PATIENCE", 0.2)
    monkeypatch.setattr(cloudformation, "_LONG_PAUSE", 0.01)
    monkeypatch.setattr(cloudformation, "_FIRST_PAUSE", 0.02)


def stacks(aws: LoopbackAws) -> dict[str, str]:
    found = aws.client("cloudformation").describe_stacks()["Stacks"]
    return {one["StackName"]: one["StackStatus"] for one in found}


def function_of(aws: LoopbackAws) -> dict[str, Any]:
    [found] = aws.client("cloudformation").describe_stacks(StackName="multicdn")["Stacks"]
    outputs = {item["OutputKey"]: item["OutputValue"] for item in found["Outputs"]}
    configuration: dict[str, Any] = aws.client("lambda").get_function_configuration(
        FunctionName=outputs["FunctionName"]
    )
    return {**configuration, "outputs": outputs}


IMPOSED = (
    "role_path: /service/, artifact_bucket: acme-code, artifact_encryption: AES256, tags: {team: web}, "
    "forwarded: [{bucket: acme-media, region: eu-west-1}]"
)
ELSEWHERE = f"{installs.ROUTES}\n  - {{bucket: acme-media, {installs.PURGE}}}"


@pytest.mark.parametrize(
    ("trigger", "more", "routes"),
    [("queue", "", installs.ROUTES), ("direct", "", installs.ROUTES), ("eventbridge", f", {IMPOSED}", ELSEWHERE)],
    ids=["queue", "direct", "eventbridge"],
)
def test_install_change_remove_leaves_others_as_they_were(
    account: LoopbackAws, installer: Installer, trigger: str, more: str, routes: str
) -> None:
    installs.put_foreign(account)
    before = installs.everything(account)
    installer.write(installs.text(f"trigger: {trigger}{more}", routes))
    assert installer.apply().steps
    again = installer.apply()
    assert again.steps == ()
    assert again.lines[-1] == "Nothing to change."
    installer.write(installs.text(f"trigger: {trigger}, memory: 1024{more}", routes))
    changed = installer.apply()
    assert "    MemorySize: 512 -> 1024" in [line.removeprefix("  ") for line in changed.lines]
    assert function_of(account)["MemorySize"] == 1024
    assert installer.apply().steps == ()
    theirs = before["notifications"][installs.BUCKET]
    now = installs.notifications(account)
    for kind in theirs:
        mine = (
            1
            if (kind == "QueueConfigurations" and trigger == "queue")
            or (kind.startswith("Lambda") and trigger == "direct")
            else 0
        )
        assert json.dumps(
            now[kind][: len(now[kind]) - mine] if isinstance(now[kind], list) else now[kind]
        ) == json.dumps(theirs[kind])
    assert installer.destroy().steps
    assert installs.everything(account) == before
    assert installer.destroy().lines[-1] == "Nothing of ours is here."


def test_plan_changes_nothing(account: LoopbackAws, installer: Installer) -> None:
    before = installs.everything(account)
    made = installer.plan()
    assert installs.everything(account) == before
    assert stacks(account) == {}
    text = "\n".join(made.lines)
    assert "Stack multicdn: make it" in text
    assert "Behaviour:\n  + provider site (cloudfront)\n      distribution: E8F6HK73EP0LT" in text
    assert "+ Function (AWS::Lambda::Function)" in text
    assert "cloudfront:GetDistributionConfig on cloudfront:distribution/E8F6HK73EP0LT" in text
    assert "+ allow ssm:GetParameter on ssm:parameter/multicdn/fastly/token" in text
    assert "+ ObjectCreated:*, ObjectRemoved:*, LifecycleExpiration:* -> the new queue" in text


def test_everything_called_is_on_the_list_of_permissions(
    account: LoopbackAws, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: set[str] = set()
    genuine = botocore.client.BaseClient._make_api_call

    def record(client: Any, operation: str, parameters: Any) -> Any:
        called.add(f"{client.meta.service_model.signing_name}:{operation}")
        return genuine(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", record)
    installer.write(installs.text("trigger: eventbridge"))
    installer.apply()
    run.status(installer.session())
    installer.write(installs.text("trigger: queue"))
    installer.apply()
    installer.destroy()
    renamed = {
        "s3:GetBucketNotificationConfiguration": "s3:GetBucketNotification",
        "s3:PutBucketNotificationConfiguration": "s3:PutBucketNotification",
        "s3:HeadBucket": "s3:ListBucket",
        "s3:ListObjectsV2": "s3:ListBucket",
        "s3:DeleteObjects": "s3:DeleteObject",
        "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    }
    listed = {action for permission in permission_table.PERMISSIONS for action in permission.actions}
    needed = {renamed.get(name, name) for name in called} - {"sts:GetCallerIdentity"}  # everybody may ask that
    assert needed - listed == set()


def test_two_buckets_then_one(account: LoopbackAws, installer: Installer) -> None:
    account.client("s3").create_bucket(Bucket="second-site")
    installer.write(installs.text(routes=TWO))
    installer.apply()
    [entry] = installs.notifications(account, "second-site")["QueueConfigurations"]
    assert entry["Filter"]["Key"]["FilterRules"] == [{"Name": "prefix", "Value": "a/"}]
    installer.write(installs.text())
    made = installer.apply()
    assert "take ours out of the notifications of second-site" in list(map(str, made.steps))
    assert installs.notifications(account, "second-site") == {}
    assert installer.apply().steps == ()


def test_a_bucket_that_is_gone_does_not_stop_the_removal(account: LoopbackAws, installer: Installer) -> None:
    account.client("s3").create_bucket(Bucket="second-site")
    installer.write(installs.text(routes=TWO))
    installer.apply()
    account.client("s3").delete_bucket(Bucket="second-site")
    installer.destroy()
    assert stacks(account) == {}


@pytest.mark.parametrize(
    ("old", "new"), [("queue", "direct"), ("direct", "queue"), ("queue", "eventbridge"), ("eventbridge", "direct")]
)
def test_another_trigger_is_ready_before_the_old_one_goes(
    account: LoopbackAws, installer: Installer, old: str, new: str
) -> None:
    before = installs.everything(account)
    installer.write(installs.text(f"trigger: {old}"))
    installer.apply()
    queue = function_of(account)["outputs"].get("QueueUrl")
    if queue:  # the test event of S3 would be waited for
        account.client("sqs").purge_queue(QueueUrl=queue)
    installer.write(installs.text(f"trigger: {new}"))
    made = installer.apply()
    kinds = [type(step).__name__ for step in made.steps]
    first, last = kinds.index("Deploy"), len(kinds) - 1 - kinds[::-1].index("Deploy")
    assert first < kinds.index("Notify") < last
    assert installer.apply().steps == ()
    installer.destroy()
    assert installs.everything(account) == before


def test_eventbridge_is_left_on_for_a_rule_of_somebody_else(account: LoopbackAws, installer: Installer) -> None:
    installer.write(installs.text("trigger: eventbridge"))
    installer.apply()
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [installs.BUCKET]}}}
    account.client("events").put_rule(Name="theirs", EventPattern=json.dumps(pattern))
    installer.destroy()
    assert installs.notifications(account) == {"EventBridgeConfiguration": {}}
    assert installs.everything(account)["rules"] == ["theirs"]


def test_eventbridge_that_was_on_before_stays_on(account: LoopbackAws, installer: Installer) -> None:
    on: dict[str, Any] = {"EventBridgeConfiguration": {}}
    account.client("s3").put_bucket_notification_configuration(Bucket=installs.BUCKET, NotificationConfiguration=on)
    installer.write(installs.text("trigger: eventbridge"))
    installer.apply()
    installer.destroy()
    assert installs.notifications(account) == on


def test_dead_letters_outlive_the_installation_until_told_otherwise(account: LoopbackAws, installer: Installer) -> None:
    installer.apply()
    url = function_of(account)["outputs"]["DeadLetterQueueUrl"]
    account.client("sqs").send_message(QueueUrl=url, MessageBody="a purge that was given up")
    made = installer.destroy()
    assert "stays, with 1 message; --drop-messages" in made.warnings[0]
    assert stacks(account) == {}
    assert installs.everything(account)["queues"] == [url.rpartition("/")[2]]
    installer.apply()
    installer.destroy(drop_messages=True)
    assert installs.everything(account)["queues"] == []


def test_a_half_failed_installation_is_taken_back(
    account: LoopbackAws, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installs.everything(account)
    _deny(account, monkeypatch, "s3:PutBucketNotification")
    with pytest.raises(InstallError) as failed:
        installer.apply()
    assert "not allowed: s3:PutBucketNotification" in str(failed.value)
    assert str(failed.value).endswith("Nothing of this installation is left.")
    assert installs.everything(account) == before
    assert stacks(account) == {}


def test_a_half_failed_change_is_gone_on_with(
    account: LoopbackAws, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.client("s3").create_bucket(Bucket="second-site")
    installer.apply()
    installer.write(installs.text(routes=TWO))
    with monkeypatch.context() as patch:
        _deny(account, patch, "s3:PutBucketNotification")
        with pytest.raises(InstallError, match="What was done before stays; run it again"):
            installer.apply()
    assert installs.notifications(account, "second-site") == {}
    assert [type(step).__name__ for step in installer.apply().steps] == ["Notify", "DeleteObjects"]
    assert installer.apply().steps == ()


@pytest.mark.parametrize("steps", [2])  # the others: test_faults.py
def test_a_killed_installation_is_gone_on_with(account: LoopbackAws, installer: Installer, steps: int) -> None:
    made = installer.plan()
    opened = installer.session()
    for step in made.steps[:steps]:
        apply.carry_out(step, opened.account, installer.said.append)
    rest = installer.apply()
    assert len(rest.steps) == len(made.steps) - steps
    assert installer.apply().steps == ()


@pytest.mark.parametrize("steps", [2])  # the others: test_faults.py
def test_a_killed_installation_can_be_removed(account: LoopbackAws, installer: Installer, steps: int) -> None:
    before = installs.everything(account)
    opened = installer.session()
    for step in installer.plan().steps[:steps]:
        apply.carry_out(step, opened.account, installer.said.append)
    installer.destroy()
    assert installs.everything(account) == before


def test_a_bucket_that_was_made_and_not_marked_is_marked(account: LoopbackAws, installer: Installer) -> None:
    account.client("s3").create_bucket(Bucket=f"multicdn-{installs.ACCOUNT}-us-east-1")
    assert isinstance(installer.apply().steps[0], MakeBucket)
    assert installer.apply().steps == ()


def test_what_cloudformation_refuses_is_named_with_the_resource(account: LoopbackAws, installer: Installer) -> None:
    before = installs.everything(account)
    made = installer.plan()
    deploy = next(step for step in made.steps if isinstance(step, Deploy))
    broken = json.loads(json.dumps(deploy.body))
    broken["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] = 43_201
    steps = tuple(
        Deploy(step.stack, broken, step.parameters, step.tags, step.bucket) if step is deploy else step
        for step in made.steps
    )
    with pytest.raises(InstallError) as failed:
        run.apply(
            installer.session(),
            InstallPlan(steps, (), fresh=True),
            installer.said.append,
            installer.said.append,
        )
    assert "  Queue (AWS::SQS::Queue): " in str(failed.value)
    assert stacks(account) == {}
    assert installs.everything(account) == before


def test_a_change_that_nobody_announced_is_seen(account: LoopbackAws, installer: Installer) -> None:
    made = installer.plan()
    installs.put_foreign(account)
    with pytest.raises(InstallError, match="somebody changed the notifications of acme-site since the plan was made"):
        run.apply(installer.session(), made, installer.said.append, installer.said.append)


def test_an_entry_of_ours_that_was_taken_out_is_put_back(account: LoopbackAws, installer: Installer) -> None:
    installer.apply()
    account.client("s3").put_bucket_notification_configuration(Bucket=installs.BUCKET, NotificationConfiguration={})
    assert [type(step).__name__ for step in installer.apply().steps] == ["Notify"]


def test_a_destination_of_others_that_is_gone_is_named_and_stops_nobody(
    account: LoopbackAws, installer: Installer
) -> None:
    theirs = installs.put_foreign(account)
    assert [warning for warning in installer.plan().warnings if "doesn't exist" in warning] == []
    url = account.client("sqs").get_queue_url(QueueName="others")["QueueUrl"]
    account.client("sqs").delete_queue(QueueUrl=url)
    account.client("lambda").delete_function(FunctionName="others")
    account.client("sns").delete_topic(TopicArn=f"arn:aws:sns:us-east-1:{installs.ACCOUNT}:others")
    gone = [warning.partition(" ")[0] for warning in installer.plan().warnings if "doesn't exist" in warning]
    assert [arn.split(":")[2] for arn in gone] == ["sns", "sqs", "lambda"]
    installer.apply()
    assert any(
        "S3 can't reach a destination of others in acme-site, and isn't asked to" in line for line in installer.said
    )
    assert installer.apply().steps == ()
    installer.destroy()
    assert installs.notifications(account) == theirs


def test_a_large_template_goes_by_the_bucket(account: LoopbackAws, installer: Installer) -> None:
    many = "".join(
        f"\n  - {{bucket: acme-site, prefix: '{'x' * 60}{place:04}/', {installs.PURGE}}}" for place in range(700)
    )
    installer.write(installs.text("trigger: eventbridge", routes=many))
    made = installer.apply()
    deploy = next(step for step in made.steps if isinstance(step, Deploy))
    assert len(json.dumps(deploy.body, separators=(",", ":"))) > cloudformation.LONGEST_BODY
    assert len(installs.everything(account)["rules"]) > 20
    installer.destroy()
    assert installs.BUCKET in installs.everything(account)["buckets"]
    assert len(installs.everything(account)["buckets"]) == 1


def test_status_says_what_there_is(account: LoopbackAws, installer: Installer) -> None:
    opened = installer.session()
    assert list(lines(run.status(opened), "")) == ["Nothing is installed as multicdn."]
    installer.apply()
    found = run.status(opened)
    assert opened.file is not None
    text = "\n".join(lines(found, opened.file.sha256))
    assert found.status == "CREATE_COMPLETE"
    assert (found.dead, found.trigger) == (0, "queue")
    assert "which is the config here" in text
    assert "Bucket acme-site: ObjectCreated:*" in text
    account.client("s3").put_bucket_notification_configuration(Bucket=installs.BUCKET, NotificationConfiguration={})
    assert "TELLS NOBODY OF OURS" in "\n".join(lines(run.status(opened), "0" * 64))
    assert "run plan" in "\n".join(lines(run.status(opened), "0" * 64))


def test_what_changes_in_behaviour_is_read_from_what_is_deployed(account: LoopbackAws, installer: Installer) -> None:
    first = installer.path.read_text(encoding="utf-8")
    installer.apply()
    assert "Behaviour: no change" in installer.plan().lines
    installer.write(installs.text(routes=installs.ROUTES.replace("[site, fastly]", "[fastly]")))
    changed = "\n".join(installer.plan().lines)
    assert "Behaviour: changes\n  ~ route acme-site/*\n      - purge: site\n      - cost at site: $0.005" in changed
    kept = installer.folder / "deployed.yml"
    assert cli("config", "--config", str(installer.path), "--output", str(kept)).exit_code == 0
    assert kept.read_text(encoding="utf-8") == first
    again = cli("config", "--config", str(installer.path), "--output", str(kept))
    assert (again.exit_code, again.stderr) == (1, f"Error: {kept} is there already; nothing was written\n")
    for item in account.client("s3").list_objects_v2(Bucket=f"multicdn-{installs.ACCOUNT}-us-east-1")["Contents"]:
        account.client("s3").delete_object(Bucket=f"multicdn-{installs.ACCOUNT}-us-east-1", Key=item["Key"])
    unread = next(line for line in installer.plan().lines if line.startswith("Behaviour"))
    assert unread.startswith("Behaviour: what changes can't be said: s3://multicdn-")
    assert unread.endswith(".zip is gone")
    assert cli("config", "--config", str(installer.path)).stderr.endswith(".zip is gone\n")
    nothing = cli("config", "--config", str(installer.path), "--stack", "other")
    assert nothing.exit_code == 1
    assert "nothing is installed as 'other' in us-east-1 of account 123456789012" in nothing.stderr


def test_more_than_lambda_lets_reserve_is_refused_before_anything_is_done(
    account: LoopbackAws, installer: Installer
) -> None:
    installer.write(installs.text("reserved_concurrency: 5000"))
    with pytest.raises(InstallError, match=r"reserved_concurrency is 5000, and .* no more than \d+ can be reserved"):
        installer.plan()
    assert stacks(account) == {}


def _deny(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch, *actions: str, ask: bool = False) -> None:
    """From now on, act as somebody who may do all but these things; ``ask``: they may ask IAM about it."""
    installs.become(aws, monkeypatch, denied=actions if ask else (*actions, "iam:SimulatePrincipalPolicy"))


# A config with errors


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["install", *arguments])


# A provider, a route and a setting are wrong; and no YAML at all.
WRONG = """
version: 1
providers: {fastly: {type: fastli}}
routes:
  - {bucket: [acme-site], urls: [nowhere], purge: [nobody]}
install: {stack: mine, memory: lots}
"""
NO_YAML = "routes: ["


@pytest.mark.parametrize(("text", "options"), [(WRONG, ()), (NO_YAML, ("--stack", "mine", "--region", "us-east-1"))])
def test_a_config_with_errors_keeps_nobody_from_looking_and_removing(
    account: LoopbackAws, installer: Installer, text: str, options: tuple[str, ...]
) -> None:
    before = installs.everything(account)
    installer.write(installs.text("stack: mine"))
    installer.apply()
    installer.path.write_text(text, encoding="utf-8")
    looked = cli("status", "--config", str(installer.path), *options)
    assert looked.exit_code == 0, looked.output
    assert "multicdn.config.yml:" in looked.stderr
    assert "Going on with what else" in looked.stderr
    assert "CREATE_COMPLETE" in looked.stdout
    fetched = cli("config", "--config", str(installer.path), *options)
    assert fetched.stdout == installs.text("stack: mine")
    removed = cli("destroy", "--yes", "--config", str(installer.path), *options)
    assert removed.exit_code == 0, removed.output
    assert stacks(account) == {}
    assert installs.everything(account) == before


def test_a_config_that_can_not_be_read_at_all_names_no_stack(account: LoopbackAws, installer: Installer) -> None:
    installer.apply()
    installer.path.write_text(NO_YAML, encoding="utf-8")
    result = cli("destroy", "--yes", "--config", str(installer.path))
    assert result.exit_code == 1
    assert "name the stack with --stack, and its region with --region" in result.output
    assert list(stacks(account)) == ["multicdn"]
    for command in ("plan", "apply"):
        assert cli(command, "--config", str(installer.path)).exit_code == 1
