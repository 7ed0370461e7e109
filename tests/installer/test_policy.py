"""What the function may do: all that its code can call, on its own resources, and nothing else."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from kit import installs
from policy_sentry.querying.actions import get_action_data
from policy_sentry.util.arns import ARN

from multicdn.config.publish import Publish
from multicdn.config.settings import Forwarded, Install, Trigger
from multicdn.installer import permissions, run, sessions
from multicdn.installer.bundle.rooms import in_lambda
from multicdn.installer.errors import InstallError
from multicdn.installer.template import role
from multicdn.installer.template.stack import State, role_statements, template
from multicdn.plugins.discovery import Plugins
from multicdn.provider import CAPABILITIES, Call, Confirm, Discover

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.config import Config
    from multicdn.provider import Provider

ROOT = Path(__file__).parents[2]
KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ARNS = {
    "LogGroup": "arn:aws:logs:us-east-1:123456789012:log-group:multicdn-LogGroup-1:*",
    "Queue": "arn:aws:sqs:us-east-1:123456789012:multicdn-Queue-1",
    "DeadLetterQueue": "arn:aws:sqs:us-east-1:123456789012:multicdn-DeadLetterQueue-1",
}
NAMES = {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}
EVERY_SECRET = """
  a: {type: cloudfront, distribution: E8F6HK73EP0LT}
  b: {type: cloudfront, distribution: auto}
  c: {type: cloudfront, tenant: dt_abc}
  d: {type: fastly, token: "${ssm:/a/b}", service: S}
  e: {type: fastly, token: "${ssm:plain}", service: S}
  f: {type: fastly, token: "${secretsmanager:multicdn/f#token}", service: S}
"""
ROUTE = "\n  - {bucket: acme-site, urls: ['https://www.acme.com/{key}'], purge: [a, b, c, d, e, f]}"
VPC = "vpc: {subnets: [subnet-0a], security_groups: [sg-0b]}"


def filled(value: Any) -> Any:
    """What CloudFormation would make of a value."""
    if isinstance(value, dict) and set(value) == {"Fn::GetAtt"}:
        return ARNS[value["Fn::GetAtt"][0]]
    if isinstance(value, dict):
        return {key: filled(below) for key, below in value.items()}
    if isinstance(value, list):
        return [filled(item) for item in value]
    return re.sub(r"\$\{(AWS::\w+)\}", lambda found: NAMES[found[1]], value) if isinstance(value, str) else value


def faults(statements: list[dict[str, Any]]) -> Iterator[str]:
    """Compare with AWS's own list of actions and of what they act on."""
    for statement in statements:
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for action in statement["Action"]:
            service, name = action.split(":")
            known = get_action_data(service, name)
            if "*" in name or not known:
                yield f"{action} is no action"
                continue
            forms = {row["resource_arn_format"] for row in known[service]}
            for resource in resources:
                if resource == "*" and forms != {"*"}:
                    yield f"{action} could name its resource"
                elif resource != "*" and not any(_fits(resource, form) for form in forms):
                    yield f"{action} can't act on {resource}"


def _fits(resource: str, form: str) -> bool:
    if form == "*":
        return False
    if ":ec2:" in form and resource.endswith(":*/*"):
        return True  # the function's network interfaces have no ids yet
    if ":logs:" in form and resource.endswith(":*"):
        # A group and all its streams, as AWS::Logs::LogGroup gives its ARN.
        group = resource.removesuffix(":*")
        return any(ARN(one).same_resource_type(form) for one in (group, f"{group}:log-stream:x"))
    return bool(ARN(resource).same_resource_type(form))


@pytest.mark.parametrize("trigger", list(Trigger))
@pytest.mark.parametrize("options", ["", f", kms_key: '{KEY}', {VPC}"])
def test_every_statement_is_right_and_as_narrow_as_can_be(trigger: Trigger, options: str) -> None:
    config = installs.config(f"trigger: {trigger}{options}", ROUTE, EVERY_SECRET)
    statements = filled(role_statements(config, queued=trigger is not Trigger.DIRECT))
    assert list(faults(filled(statements))) == []


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ({"Action": ["sqs:SendMessages"], "Resource": ARNS["Queue"]}, "is no action"),
        ({"Action": ["sqs:SendMessage"], "Resource": "*"}, "could name its resource"),
        ({"Action": ["sqs:SendMessage"], "Resource": ARNS["LogGroup"]}, "can't act on"),
        ({"Action": ["sqs:*"], "Resource": ARNS["Queue"]}, "is no action"),
    ],
)
def test_the_check_would_find_something(statement: dict[str, Any], fault: str) -> None:
    assert [text for text in faults([statement]) if fault in text]


def test_statements_of_a_policy_have_names_that_iam_takes() -> None:
    statements = role_statements(installs.config(f"kms_key: '{KEY}', {VPC}", ROUTE, EVERY_SECRET), queued=True)
    names = [statement["Sid"] for statement in statements if "Sid" in statement]
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[A-Za-z0-9]+", name) for name in names)


def test_secrets_are_readable_and_no_others() -> None:
    [parameters, secrets] = filled(role.secret_statements(installs.config("", ROUTE, EVERY_SECRET).providers))
    assert parameters["Resource"] == [
        "arn:aws:ssm:us-east-1:123456789012:parameter/a/b",
        "arn:aws:ssm:us-east-1:123456789012:parameter/plain",
    ]
    assert secrets["Resource"] == ["arn:aws:secretsmanager:us-east-1:123456789012:secret:multicdn/f-??????"]


@pytest.mark.parametrize(
    ("reference", "resource"),
    [
        ("ssm:/a/b:3", "arn:aws:ssm:us-east-1:123456789012:parameter/a/b"),
        ("ssm:arn:aws:ssm:eu-west-1:210987654321:parameter/x", "arn:aws:ssm:eu-west-1:210987654321:parameter/x"),
        ("ssm:arn:aws:ssm:eu-west-1:210987654321:parameter/x:2", "arn:aws:ssm:eu-west-1:210987654321:parameter/x"),
        ("secretsmanager:a", "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-??????"),
        (
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-AbC123#k",
            "arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-AbC123",
        ),
        (
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:210987654321:secret:a",
            "arn:aws:secretsmanager:eu-west-1:210987654321:secret:a-??????",
        ),
    ],
)
def test_the_arn_of_a_secret(reference: str, resource: str) -> None:
    providers = f'\n  fastly: {{token: "${{{reference}}}", service: S}}'
    routes = "\n  - {bucket: b, urls: ['https://h/{key}'], purge: [fastly]}"
    [statement] = filled(role.secret_statements(installs.config("", routes, providers).providers))
    assert statement["Resource"] == [resource]


def test_a_key_is_used_only_if_it_is_named() -> None:
    assert "kms" not in json.dumps(role_statements(installs.config(), queued=True))
    statements = role_statements(installs.config(f"kms_key: '{KEY}'"), queued=True)
    decrypt = next(one for one in filled(statements) if one["Action"] == ["kms:Decrypt"])
    assert decrypt["Resource"] == KEY
    via = decrypt["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == ["lambda.us-east-1.amazonaws.com", "ssm.us-east-1.amazonaws.com"]


@pytest.mark.parametrize("reference", ["env:TOKEN", "file:/etc/token"])
def test_secrets_that_lambda_does_not_have_are_refused_with_the_remedy(reference: str) -> None:
    providers = f'\n  fastly: {{token: "${{{reference}}}", service: S}}'
    routes = "\n  - {bucket: b, urls: ['https://h/{key}'], purge: [fastly]}"
    [problem] = role.secret_problems(installs.config("", routes, providers))
    assert f"${{{reference}}} can't be installed" in problem
    assert "multicdn secret put ssm:/multicdn/fastly/NAME" in problem


def test_a_statement_of_two_instances_stands_once() -> None:
    providers = "\n  a: {type: cloudfront, distribution: auto}\n  b: {type: cloudfront, distribution: auto}"
    routes = "\n  - {bucket: b, urls: ['https://h/{key}'], purge: [a, b]}"
    statements = role.provider_statements(installs.config("", routes, providers).providers)
    assert len(statements) == len({json.dumps(one) for one in statements})


def test_other_names_in_a_policy_are_left_to_iam() -> None:
    found = role.substituted({"Resource": "arn:${AWS::Partition}:s3:::x/${aws:username}", "Other": "${aws:username}"})
    assert found == {
        "Resource": {"Fn::Sub": "arn:${AWS::Partition}:s3:::x/${!aws:username}"},
        "Other": "${aws:username}",
    }


# What each provider can call at AWS, and on what: the list to keep right when a provider learns something.
AT_AWS: dict[str, dict[str, set[str]]] = {
    "cloudfront": {
        "distribution: E8F6HK73EP0LT": {
            "cloudfront:CreateInvalidation",
            "cloudfront:GetInvalidation",
            "cloudfront:GetDistributionConfig",
        },
        "distribution: auto": {
            "cloudfront:CreateInvalidation",
            "cloudfront:GetInvalidation",
            "cloudfront:GetDistributionConfig",
            "cloudfront:ListDistributions",
        },
        "tenant: dt_abc": {
            "cloudfront:CreateInvalidationForDistributionTenant",
            "cloudfront:GetInvalidationForDistributionTenant",
            "cloudfront:GetDistributionTenant",
            "cloudfront:GetDistributionConfig",
        },
    }
}


def provider(name: str, options: str) -> Provider:
    routes = f"\n  - {{bucket: b, urls: ['https://h/{{key}}'], purge: [{name}]}}"
    return installs.config("", routes, f"\n  {name}: {{{options}}}").providers[name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [(name, options) for name, cases in AT_AWS.items() for options in cases])
def test_what_a_provider_declares_is_what_it_can_call(
    name: str, options: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called = set(_calls(provider(name, options), monkeypatch, tmp_path))
    declared = {action for statement in provider(name, options).iam_statements("1") for action in statement["Action"]}
    assert declared == AT_AWS[name][options]
    assert called == declared


def _calls(instance: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """Everything that a provider asks of AWS, whatever it is told to do."""
    import botocore.client

    del tmp_path
    seen: list[str] = []

    def answer(client: Any, operation: str, parameters: Any) -> Any:
        del parameters
        seen.append(f"{client.meta.service_model.signing_name}:{operation}")
        return _ANSWERS[operation]

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    doing: list[Provider] = [instance]
    if isinstance(instance, Discover) and instance.discovers:
        doing = list(instance.discover("b", Call()).values())
    for one in doing:
        for what in CAPABILITIES:
            if isinstance(one, what.base):
                arguments = (Call(),) if what.kind == "everything" else (["/x"], Call())
                getattr(one, what.method)(*arguments)
        if isinstance(one, Confirm):
            one.confirm("I1", Call())
    return iter(seen)


_CONFIG = {
    "Origins": {"Quantity": 1, "Items": [{"DomainName": "b.s3.us-east-1.amazonaws.com", "OriginPath": ""}]},
    "CacheTagConfig": {"HeaderName": "x-tag"},
}
_ANSWERS: dict[str, Any] = {
    "CreateInvalidation": {"Invalidation": {"Id": "I1"}},
    "CreateInvalidationForDistributionTenant": {"Invalidation": {"Id": "I1"}},
    "GetInvalidation": {"Invalidation": {"Status": "Completed"}},
    "GetInvalidationForDistributionTenant": {"Invalidation": {"Status": "Completed"}},
    "GetDistributionConfig": {"DistributionConfig": _CONFIG},
    "GetDistributionTenant": {"DistributionTenant": {"DistributionId": "E1"}},
    "ListDistributions": {
        "DistributionList": {
            "Quantity": 1,
            "IsTruncated": False,
            "Items": [{"Id": "E1", "Enabled": True, "Origins": _CONFIG["Origins"]}],
        }
    },
}


def test_no_other_provider_calls_aws() -> None:
    users = {
        file.relative_to(ROOT / "providers").parts[0].removesuffix(".py")
        for file in (ROOT / "providers").rglob("*.py")
        if _imports_boto3(file)
    }
    assert users == set(AT_AWS)
    for name in set(Plugins().providers) - set(AT_AWS):
        assert "iam_statements" not in vars(Plugins().provider_class(name))


def _imports_boto3(file: Path) -> bool:
    """Whether code, type checking apart, imports AWS's SDK."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        if any(name.split(".")[0] in ("boto3", "botocore") for name in names):
            return True
    return False


# What the core itself can call at AWS from Lambda, by file.
CORE = {
    "secrets.py": {"get_parameter": "ssm:GetParameter", "get_secret_value": "secretsmanager:GetSecretValue"},
    "queue/sender.py": {"send_message_batch": "sqs:SendMessage"},
    # Without s3:ListBucket, S3 answers a HEAD of an object that is gone with 403 instead of 404.
    "publishing.py": {"put_events": "events:PutEvents", "publish_batch": "sns:Publish"},
    "aws/s3.py": {"head_object": "s3:GetObject", "list_objects_v2": "s3:ListBucket"},
}
# Lambda's own poller acts with the function's role: with-sqs.html, "Execution role permissions".
POLLER = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ChangeMessageVisibility"}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}


@pytest.mark.slow
def test_the_core_calls_what_stands_in_the_list() -> None:
    import boto3

    clients = [
        boto3.client(name, region_name="us-east-1") for name in ("ssm", "secretsmanager", "sqs", "s3", "events", "sns")
    ]
    operations = {method for client in clients for method in client.meta.method_to_api_mapping}
    operations -= {"publish"}  # a section of the config is called so
    rooms = in_lambda(ROOT / "multicdn")
    found = {}
    for file in (ROOT / "multicdn").rglob("*.py"):
        calls = {
            node.attr
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Attribute) and node.attr in operations
        } | {
            node.args[0].value
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "get_paginator"
            and isinstance(node.args[0], ast.Constant)
        }
        name = file.relative_to(ROOT / "multicdn")
        if calls and Path(name.parts[0]).stem in rooms:
            found[name.as_posix()] = calls
    assert found == {name: set(calls) for name, calls in CORE.items()}


def test_the_role_is_what_the_list_says() -> None:
    config = installs.config("", f"{ROUTE[:-1]}, tags_from: cache-tag, on: [created]}}", EVERY_SECRET)
    told = ("arn:aws:events:us-east-1:123456789012:event-bus/ops", "arn:aws:sns:us-east-1:123456789012:purges")
    config = msgspec.structs.replace(config, publish=Publish(to=told))
    granted = {action for statement in role_statements(config, queued=True) for action in statement["Action"]}
    core = {action for calls in CORE.values() for action in calls.values()}
    providers = {action for cases in AT_AWS["cloudfront"].values() for action in cases}
    assert granted == core | providers | POLLER | LOGGING


IMPOSED = {"role_path": "/a/", "permissions_boundary": "arn:aws:iam::123456789012:policy/b", "artifact_encryption": KEY}
ELSEWHERE = {"forwarded": (Forwarded(bucket="b", account="210987654321"),)}


@pytest.mark.parametrize(
    ("trigger", "more"), [*((trigger, {}) for trigger in Trigger), (Trigger.EVENTBRIDGE, {**IMPOSED, **ELSEWHERE})]
)
def test_what_the_installer_needs_are_real_actions_on_their_resources(trigger: Trigger, more: dict[str, Any]) -> None:
    settings = Install(trigger=trigger, snapstart=True, reserved_concurrency=9, kms_key=KEY, **more)
    made = permissions.policy(settings, "123456789012", "us-east-1", "aws", ["acme-site"])
    assert [fault for fault in faults(made["Statement"]) if "sqs:ListQueues" not in fault] == []


def test_the_template_and_the_role_agree() -> None:
    config = installs.config("", ROUTE, EVERY_SECRET)
    body = template(config, State(), revision="r")
    [attached] = body["Resources"]["Role"]["Properties"]["Policies"]
    assert attached["PolicyDocument"]["Statement"] == role.substituted(role_statements(config, queued=True))


def test_objects_are_read_and_counted_only_where_a_route_wants_it() -> None:
    assert role.bucket_statements(installs.config()) == []
    routes = (
        "\n  - {bucket: tagged, prefix: public/news/, urls: ['https://h/{key}'], tags_from: cache-tag, purge: [fastly]}"
        "\n  - {bucket: tagged, prefix: public/news/2026/, urls: ['https://h/{key}'], tags_from: x, purge: [fastly]}"
        "\n  - {bucket: tagged, prefix: 'odd*?$/', urls: ['https://h/{key}'], tags_from: cache-tag, purge: [fastly]}"
        "\n  - {bucket: plain, urls: ['https://h/{key}'], purge: [fastly], verify: false}"
        "\n  - {bucket: proven, prefix: a/, urls: ['https://h/{key}'], purge: [fastly], verify: true}"
    )
    providers = '\n  fastly: {token: "${ssm:/t}", service: S}'
    statements = filled(role.bucket_statements(installs.config("", routes, providers)))
    assert [(one["Action"], one["Resource"], one.get("Condition")) for one in statements] == [
        (
            ["s3:GetObject"],
            ["arn:aws:s3:::proven/a/*", "arn:aws:s3:::tagged/odd${*}${?}${$}/*", "arn:aws:s3:::tagged/public/news/*"],
            None,
        ),
        (["s3:ListBucket"], ["arn:aws:s3:::proven", "arn:aws:s3:::tagged"], {"Null": {"s3:prefix": "true"}}),
    ]
    assert list(faults(statements)) == []


def test_objects_of_each_bucket_are_read_in_whatever_case_their_keys_are() -> None:
    routes = (
        "\n  - {bucket: [one-site, two-site], prefix: 2026/News/, ignore_case: true, tags_from: cache-tag,"
        " urls: ['https://h/{key}'], purge: [fastly]}"
    )
    providers = '\n  fastly: {token: "${ssm:/t}", service: S}'
    read, seen = filled(role.bucket_statements(installs.config("", routes, providers)))
    assert read["Resource"] == ["arn:aws:s3:::one-site/2026/*", "arn:aws:s3:::two-site/2026/*"]
    assert seen["Resource"] == ["arn:aws:s3:::one-site", "arn:aws:s3:::two-site"]


def test_objects_that_are_looked_at_may_be_compared_with_what_they_are() -> None:
    routes = "\n  - {bucket: looked-at, prefix: a/, urls: ['https://h/{key}'], purge: [fastly], verify: true}"
    providers = '\n  fastly: {token: "${ssm:/t}", service: S}'
    read, seen = filled(role.bucket_statements(installs.config("", routes, providers)))
    assert (read["Action"], read["Resource"]) == (["s3:GetObject"], ["arn:aws:s3:::looked-at/a/*"])
    assert (seen["Action"], seen["Resource"]) == (["s3:ListBucket"], ["arn:aws:s3:::looked-at"])


def test_objects_are_counted_below_the_prefixes_of_routes_that_limit_the_harm() -> None:
    policies = ("never", "budget, prefix: a/", "{over: 5}", "{over: 5, harm: 0}", "{budget: 5}")
    statements = filled(role.bucket_statements(_config(*(f"collapse: {policy}" for policy in policies))))
    assert [(one["Action"], one["Resource"], one["Condition"]) for one in statements] == [
        (["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"], {"StringLike": {"s3:prefix": [prefix]}})
        for bucket, prefix in (("b1", "a/*"), ("b3", "*"), ("b4", "*"))
    ]
    assert len({one["Sid"] for one in statements}) == 3


def test_routes_that_wait_for_deploys_may_list_their_objects_or_look_at_the_last_one() -> None:
    members = ("settle: {quiet: 20s}, prefix: a/", "after: 'deploy/done$.json'", "after: z.json")
    statements = filled(role.bucket_statements(_config(*members)))
    assert [(one["Action"], one["Resource"], one.get("Condition")) for one in statements] == [
        (["s3:GetObject"], ["arn:aws:s3:::b1/deploy/done${$}.json", "arn:aws:s3:::b2/z.json"], None),
        (["s3:ListBucket"], ["arn:aws:s3:::b1", "arn:aws:s3:::b2"], {"Null": {"s3:prefix": "true"}}),
        (["s3:ListBucket"], ["arn:aws:s3:::b0"], {"StringLike": {"s3:prefix": ["a/*"]}}),
    ]
    assert list(faults(statements)) == []


def _config(*members: str) -> Config:
    """A route for each, on buckets of their own."""
    route = "\n  - {{bucket: b{}, urls: ['https://h/{{key}}'], purge: [site], {}}}"
    routes = "".join(route.format(number, member) for number, member in enumerate(members))
    return installs.config("", routes, "\n  site: {type: cloudfront, distribution: E8F6HK73EP0LT}")


def test_whoever_installs_may_pass_the_role_to_lambda_alone_and_touch_our_dashboard_alone() -> None:
    statements = permissions.policy(Install(), "123456789012", "us-east-1", "aws", ["acme-site"])["Statement"]
    [passing] = [one for one in statements if "iam:PassRole" in one["Action"]]
    assert passing == {
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": "arn:aws:iam::123456789012:role/multicdn-*",
        "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
    }
    [drawing] = [one for one in statements if "cloudwatch:PutDashboard" in one["Action"]]
    assert drawing["Resource"] == "arn:aws:cloudwatch::123456789012:dashboard/multicdn-*"


@pytest.mark.parametrize(
    ("length", "fits", "doesn_t", "split"),
    [
        (2_048, "a user's inline policies (2,048 at most)", "", ""),
        (2_735, "a group's inline policies (5,120 at most)", "not into a user's inline policies (2,048)", ""),
        (6_145, "a role's inline policies (10,240 at most)", "a managed policy (6,144)", "3 managed policies"),
        (10_241, "too long for any one policy", "", "3 managed policies"),
    ],
)
def test_a_policy_says_where_it_fits(length: int, fits: str, doesn_t: str, split: str) -> None:
    made = {"Version": ""}
    made["Version"] = "x" * (length - permissions.policy_length(made))
    said = permissions.where_it_fits(made)
    assert said.startswith(f"{length:,} characters without white space: ")
    assert fits in said
    assert doesn_t in said
    assert split in said
    assert ("not into" in said) is bool(doesn_t)
    assert ("managed policies" in said) is bool(split)


def test_a_role_with_too_long_a_policy_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    def file(number: int) -> sessions.ConfigFile:
        route = "\n  - {bucket: acme-site, prefix: section-%04d/, tags: [all], tags_from: cache-tag, purge: [fastly]}"
        path = tmp_path / "multicdn.config.yml"
        path.write_text(installs.text(routes="".join(route % place for place in range(number))), encoding="utf-8")
        return sessions.read(path)

    assert run.template(file(200))["Resources"]["Role"]
    with pytest.raises(InstallError, match=r"would need a policy of 1\d,\d\d\d characters, and IAM takes 10,240; give"):
        run.template(file(300))
