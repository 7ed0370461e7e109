"""The template: CloudFormation's linter finds nothing, and it says what it must."""

from __future__ import annotations

import functools
import itertools
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from kit import installs

from multicdn.config.settings import Install, Trigger
from multicdn.errors import ConfigError
from multicdn.events import names
from multicdn.installer.account import Account
from multicdn.installer.organisation import forwarding
from multicdn.installer.template import stack
from multicdn.installer.template.stack import State, template
from multicdn.installer.template.tags import tagged
from multicdn.model import ChangeKind

PIPELINES = Path(__file__).parents[2] / "docs" / "pipelines.md"
KEY = "kms_key: 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'"
VPC = "vpc: {subnets: [subnet-0123456789abcdef0], security_groups: [sg-0123456789abcdef0]}"
TOPIC = "alarm_topic: 'arn:aws:sns:us-east-1:123456789012:ops'"
LARGE = "snapstart: true, reserved_concurrency: 7, architecture: x86_64, timeout: 900, memory: 10240"
EVERYTHING = f"{KEY}, {VPC}, {TOPIC}, {LARGE}"
IMPOSED = "role_path: /a/b/, permissions_boundary: 'arn:aws:iam::123456789012:policy/b'"
TWICE = "{bucket: b, account: 210987654321}"
MANY = "".join(
    f"\n  - {{bucket: {bucket}, prefix: 'section-{number:03}/sub/', {installs.PURGE}}}"
    for bucket in ("acme-site", "acme.site", "acmesite")
    for number in range(80)
)


def resources(install: str = "", **more: Any) -> dict[str, Any]:
    return body(install, **more)["Resources"]


def body(install: str = "", *, revision: str = "r", triggers: tuple[Trigger, ...] = (), **more: str) -> dict[str, Any]:
    found = template(installs.config(install, **more), State(), revision=revision, triggers=triggers)
    return json.loads(json.dumps(found))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trigger", "options"),
    [
        *itertools.product(Trigger, ["", EVERYTHING]),
        (Trigger.QUEUE, KEY),
        (Trigger.DIRECT, VPC),
        (Trigger.EVENTBRIDGE, f"snapstart: true, {TOPIC}"),
        (Trigger.DIRECT, "python: '3.11', log_retention_days: 1, role: 'arn:aws:iam::123456789012:role/cdn'"),
        (Trigger.EVENTBRIDGE, f"{IMPOSED}, forwarded: [{TWICE}, {{bucket: c, region: eu-west-1}}]"),
    ],
)
def test_the_linter_finds_nothing(trigger: Trigger, options: str) -> None:
    made = tagged(body(f"trigger: {trigger}{options and f', {options}'}"), {"team": "web"} if options else {})
    assert [str(match) for match in _lint(made)] == []


@pytest.mark.slow
@pytest.mark.parametrize("both", [(one, other) for one in Trigger for other in Trigger if one < other])
def test_the_linter_finds_nothing_while_changing_over(both: tuple[Trigger, ...]) -> None:
    assert [str(match) for match in _lint(body(triggers=both))] == []


@pytest.mark.slow
def test_the_linter_finds_nothing_with_many_routes() -> None:
    assert [str(match) for match in _lint(body("trigger: eventbridge", routes=MANY))] == []


@pytest.mark.slow
def test_the_linter_finds_nothing_in_what_is_printed_for_others() -> None:
    config = installs.config("trigger: eventbridge, forwarded: [{bucket: acme-site, region: eu-west-1}]")
    account = Account(installs.ACCOUNT, "arn:aws:iam::1:user/u", "us-east-1", lambda _: None)
    made = forwarding.template(config, account, config.install.forwarded)
    assert [str(match) for match in _lint(made)] == []


@pytest.mark.slow
def test_the_linter_finds_nothing_in_the_example_for_sam() -> None:
    [text] = re.findall(r"^```yml\n(.*?)^```$", PIPELINES.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert [str(match) for match in _lint(text)] == []


@pytest.mark.slow
def test_the_linter_would_find_something() -> None:
    broken = body()
    broken["Resources"]["Queue"]["Properties"]["VisibilityTimeout"] = 1
    assert "E3505" in {match.rule.id for match in _lint(broken)}


@functools.cache
def _linter() -> Any:
    """It takes a second to import, and half of one to read its rules."""
    from cfnlint.config import ConfigMixIn
    from cfnlint.runner import Runner

    return Runner(ConfigMixIn(regions=["us-east-1", "eu-west-1"]))


def _lint(content: dict[str, Any] | str) -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the linter's own dependencies
        from cfnlint.decode import decode_str

        decoded, errors = decode_str(content if isinstance(content, str) else json.dumps(content))
        return errors or list(_linter().validate_template(decoded))


@pytest.mark.parametrize("trigger", list(Trigger))
def test_fits_every_partition_account_and_region(trigger: Trigger) -> None:
    text = json.dumps(resources(f"trigger: {trigger}"))
    assert "arn:aws:" not in text
    assert "us-east-1" not in text
    assert installs.ACCOUNT not in text


@pytest.mark.parametrize("trigger", list(Trigger))
def test_nothing_has_a_name_that_could_be_taken(trigger: Trigger) -> None:
    names = {"FunctionName", "QueueName", "RoleName", "LogGroupName", "AlarmName", "DashboardName"}
    for resource in resources(f"trigger: {trigger}").values():
        given = names & resource["Properties"].keys()
        assert all(isinstance(resource["Properties"][name], dict) for name in given)


def test_the_queue_hides_messages_for_six_timeouts_and_the_window() -> None:
    queue = resources("timeout: 100, batch_window: 7")["Queue"]["Properties"]
    assert queue["VisibilityTimeout"] == 607
    assert queue["RedrivePolicy"]["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5


def test_dead_letters_outlive_the_stack_but_not_a_failed_installation() -> None:
    assert resources()["DeadLetterQueue"]["DeletionPolicy"] == "RetainExceptOnCreate"


def test_the_mapping_reports_single_failures_and_bounds_concurrency() -> None:
    mapping = resources("batch_size: 50, batch_window: 3, maximum_concurrency: 9")["EventSourceMapping"]["Properties"]
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert (mapping["BatchSize"], mapping["MaximumBatchingWindowInSeconds"]) == (50, 3)
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 9}


def test_the_functions_settings_name_config_queues_and_level() -> None:
    variables = resources("log_level: DEBUG")["Function"]["Properties"]["Environment"]["Variables"]
    assert variables == {
        "MULTICDN_CONFIG": "multicdn.config.yml",
        "MULTICDN_LOG_LEVEL": "DEBUG",
        "MULTICDN_QUEUE_URL": {"Ref": "Queue"},
        "MULTICDN_DLQ_URL": {"Ref": "DeadLetterQueue"},
    }
    assert (
        not {"MULTICDN_QUEUE_URL", "MULTICDN_DLQ_URL"}
        & resources("trigger: direct")["Function"]["Properties"]["Environment"]["Variables"].keys()
    )


def test_only_our_buckets_of_our_account_may_send() -> None:
    routes = installs.ROUTES + f"\n  - {{bucket: other, {installs.PURGE}}}"
    [statement] = resources(routes=routes)["BucketsMaySend"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "s3.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Fn::Sub": "${AWS::AccountId}"}}
    assert statement["Condition"]["ArnEquals"]["aws:SourceArn"] == [
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::acme-site"},
        {"Fn::Sub": "arn:${AWS::Partition}:s3:::other"},
    ]


def test_direct_has_no_queue_but_a_destination_for_failures() -> None:
    found = resources("trigger: direct")
    assert not {"Queue", "EventSourceMapping", "BucketsMaySend", "QueueGrowsAlarm", "QueueStandsAlarm"} & found.keys()
    destination = found["EventInvokeConfig"]["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    assert destination == {"Fn::GetAtt": ["DeadLetterQueue", "Arn"]}
    [permission] = [one for one in found.values() if one["Type"] == "AWS::Lambda::Permission"]
    assert permission["Properties"]["SourceAccount"] == {"Fn::Sub": "${AWS::AccountId}"}
    assert permission["Properties"]["SourceArn"] == {"Fn::Sub": "arn:${AWS::Partition}:s3:::acme-site"}


def test_every_eventbridge_pattern_is_within_its_limit_and_none_is_lost() -> None:
    found = resources("trigger: eventbridge", routes=MANY)
    patterns = [one["Properties"]["EventPattern"] for one in found.values() if one["Type"] == "AWS::Events::Rule"]
    assert len(patterns) > 3
    assert max(len(json.dumps(pattern)) for pattern in patterns) <= 2048
    prefixes = [
        (pattern["detail"]["bucket"]["name"][0], key["prefix"])
        for pattern in patterns
        for key in pattern["detail"]["object"]["key"]
    ]
    assert len(prefixes) == len(set(prefixes)) == 240


def test_an_eventbridge_rule_for_a_whole_bucket_names_no_keys() -> None:
    [rule] = [one for one in resources("trigger: eventbridge").values() if one["Type"] == "AWS::Events::Rule"]
    assert rule["Properties"]["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": {"bucket": {"name": ["acme-site"]}},
    }


@pytest.mark.parametrize("kind", list(ChangeKind))
def test_a_rule_takes_the_events_that_mean_what_a_route_is_on_and_no_others(kind: ChangeKind) -> None:
    found = resources("trigger: eventbridge", routes=f"\n  - {{bucket: acme-site, on: [{kind}], {installs.PURGE}}}")
    [rule] = [one for one in found.values() if one["Type"] == "AWS::Events::Rule"]
    asked = rule["Properties"]["EventPattern"]["detail-type"]
    assert set(asked) == {what for what, meaning in names._BRIDGE.items() if meaning is kind}


def test_changing_over_has_both_ways() -> None:
    found = resources(triggers=(Trigger.QUEUE, Trigger.DIRECT))
    assert {"Queue", "EventSourceMapping", "BucketsMaySend", "EventInvokeConfig"} <= found.keys()


@pytest.mark.parametrize("trigger", list(Trigger))
def test_snapstart_is_called_by_its_alias(trigger: Trigger) -> None:
    found = resources(f"trigger: {trigger}, snapstart: true")
    callers = [
        found.get("EventSourceMapping"),
        *(one for one in found.values() if one["Type"] == "AWS::Lambda::Permission"),
    ]
    assert all(caller["Properties"]["FunctionName"] == {"Ref": "Alias"} for caller in callers if caller)


def test_snapstart_publishes_a_version_for_new_code_and_for_new_settings() -> None:
    def version(install: str, revision: str) -> str:
        [name] = [
            name for name, one in resources(install, revision=revision).items() if one["Type"] == "AWS::Lambda::Version"
        ]
        return name

    first = version("snapstart: true", "1")
    assert version("snapstart: true", "1") == first
    assert len({first, version("snapstart: true", "2"), version("snapstart: true, memory: 300", "1")}) == 3


def test_a_pipeline_that_brings_new_code_to_the_same_template_gets_a_new_version() -> None:
    found = resources("snapstart: true")
    [version] = [one for one in found.values() if one["Type"] == "AWS::Lambda::Version"]
    assert version["Properties"]["Description"] == {"Ref": "BundleKey"}
    # Lambda publishes a version only if the function itself differs too.
    assert "${BundleKey}" in found["Function"]["Properties"]["Description"]["Fn::Sub"]
    assert "BundleKey" not in json.dumps(resources()["Function"]["Properties"]["Description"])


@pytest.mark.parametrize(("level", "named"), [("DEBUG", "DEBUG"), ("INFO", "INFO"), ("WARNING", "WARN")])
def test_lambda_lets_through_what_the_function_is_to_log(level: str, named: str) -> None:
    function = resources(f"log_level: {level}")["Function"]["Properties"]
    assert function["LoggingConfig"]["ApplicationLogLevel"] == named
    assert function["Environment"]["Variables"]["MULTICDN_LOG_LEVEL"] == level


def test_rules_have_names_that_begin_with_the_longest_name_of_a_stack() -> None:
    routes = (
        f"\n  - {{bucket: {'b' * 63}, {installs.PURGE}}}\n  - {{bucket: acme-site, on: [created], {installs.PURGE}}}"
    )
    found = resources(f"stack: {'s' * 40}, trigger: eventbridge", routes=routes)
    names = [one["Properties"]["Name"]["Fn::Sub"] for one in found.values() if one["Type"] == "AWS::Events::Rule"]
    assert len(set(names)) == 2
    for name in names:
        whole = name.replace("${AWS::StackName}", "s" * 40)
        assert whole.startswith(f"{'s' * 40}-Bucket")
        assert len(whole) <= 64


def test_options_show_up_where_they_belong() -> None:
    function = resources(EVERYTHING)["Function"]["Properties"]
    assert function["KmsKeyArn"].startswith("arn:aws:kms:")
    assert function["VpcConfig"]["SubnetIds"] == ["subnet-0123456789abcdef0"]
    assert function["ReservedConcurrentExecutions"] == 7
    assert function["Architectures"] == ["x86_64"]
    assert function["LoggingConfig"]["LogFormat"] == "JSON"
    alarms = [one for one in resources(EVERYTHING).values() if one["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) == 9
    assert all(alarm["Properties"]["AlarmActions"] for alarm in alarms)


def test_the_state_survives_the_template() -> None:
    state = State("1.2", "abc", Trigger.EVENTBRIDGE, ("a", "b"), ("b",))
    found = json.loads(json.dumps(template(installs.config(), state, revision="r")))
    assert stack.remembered(found) == state
    assert stack.remembered({}) == State()


def test_without_settings_all_defaults_count() -> None:
    assert installs.config().install == Install()


@pytest.mark.parametrize(
    ("install", "word"),
    [
        ("memory: 64", ">= 128"),
        ("timeout: 901", "<= 900"),
        ("trigger: que", "did you mean 'queue'?"),
        ("stak: x", "unknown setting 'stak'; did you mean 'stack'?"),
        ("stack: a_b", "install.stack"),
        ("python: '3.9'", "unknown value '3.9'"),
        ("log_retention_days: 8", "unknown value '8'"),
        ("batch_size: 11, batch_window: 0", "needs a batch_window"),
        ("snapstart: true, python: '3.11'", "snapstart needs python 3.12"),
        ("reserved_concurrency: 2, maximum_concurrency: 3", "would be throttled"),
        ("tags: {'aws:x': y}", "reserved"),
        ("tags: {'multicdn:stack': y}", "reserved"),
        ("vpc: {subnets: [subnet-0a]}", "security_groups"),
        ("kms_key: x", "KMS key of the function's environment and of the secrets that it reads: ARN, alias or id"),
        ("kms_key: 'arn:aws:kms:us-east-1:123456789012:grant/x'", "install.kms_key"),
        ("secret_keys: [alias/a, b c]", "install.secret_keys[1]"),
        ("role: multicdn", "ARN of a role that exists"),
        ("role: 'arn:aws:iam::123456789012:role/x', role_path: /a/", "role_path is about the role that is made"),
        ("role: 'arn:aws:iam::123456789012:role/x', permissions_boundary: 'arn:aws:iam::aws:policy/b'", "drop one"),
        ("role_path: a/", "install.role_path"),
        ("role_path: '/a*/'", "install.role_path"),
        ("permissions_boundary: b", "ARN of the policy that bounds"),
        ("artifact_encryption: AES", "`AES256`, `aws:kms`, or a KMS key"),
        ("forwarded: [{bucket: b, account: 210987654321}]", "`forwarded` is for `trigger: eventbridge`"),
        ("trigger: eventbridge, forwarded: [{bucket: b}]", "write the account or the region of the bucket 'b'"),
        ("trigger: eventbridge, forwarded: [{bucket: b, account: 21}]", "install.forwarded[0].account"),
        ("trigger: eventbridge, forwarded: [{bucket: b, region: us}]", "install.forwarded[0].region"),
        ("trigger: eventbridge, forwarded: [{account: 210987654321}]", "install.forwarded[0]"),
        (f"trigger: eventbridge, forwarded: [{TWICE}, {TWICE}]", "stands there twice"),
        (f"tags: {{{', '.join(f't{number}: x' for number in range(50))}}}", "50 tags are too many"),
        (f"tags: {{a: {'x' * 257}}}", "install.tags"),
        ("tags: {a: '${env:X}'}", "is a reference"),
        ("tags: {a: ''}", "install.tags"),
        ("tags: {a: 'R&D'}", "the tag 'R&D' has '&'; AWS takes letters, digits, spaces and"),
        ("tags: {'a;b': c}", "the tag 'a;b' has ';'"),
        ('tags: {a: "b\\tc"}', "has '\\t'"),
        ("tags: {Team: a, team: b}", "the tags Team and team are the same for IAM"),
        (VPC.replace("[sg-", f"[{'sg-0a, ' * 5}sg-"), "install.vpc.security_groups"),
        (VPC.replace("[subnet-", f"[{'subnet-0a, ' * 16}subnet-"), "install.vpc.subnets"),
    ],
)
def test_settings_that_aws_would_refuse_are_refused_with_their_line(install: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        installs.config(install)
    assert word in str(refused.value)
    assert str(refused.value).startswith("multicdn.config.yml:")
