"""What is deployed against the config: each part sick, alone, with AWS faked at botocore's wire."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import zipfile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from kit import installs

from multicdn.diagnosis import Health
from multicdn.installer import sessions
from multicdn.installer.deployed import function, installation
from multicdn.installer.notifications import merge
from multicdn.installer.notifications.wanted import wanted_of
from multicdn.installer.state import OWNER_TAG
from multicdn.installer.template import stack
from multicdn.oncall.checkup import examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT, REGION = "123456789012", "eu-west-1"
QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:multicdn-Queue-1"
OUTPUTS = {
    "FunctionName": "multicdn-Function-1",
    "LogGroupName": "multicdn-LogGroup-1",
    "QueueArn": QUEUE,
    "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/multicdn-Queue-1",
    "DeadLetterQueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/multicdn-DeadLetterQueue-1",
    "InvokedArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:multicdn-Function-1",
}
LIMITS = ("Handler", "Runtime", "Timeout", "MemorySize")
SERVICES = ("sts", "cloudformation", "lambda", "sqs", "s3", "iam", "events", "kms")
SINCE = "2026-11-26T00:00:00+00:00"
WAITING = "ApproximateNumberOfMessages"


class Account:
    """An account as its API tells of it: by operation the answer, or the code of an error."""

    def __init__(self, folder: Path, install: str = "") -> None:
        path = folder / "multicdn.config.yml"
        path.write_text(installs.text(f"region: {REGION}, {install}"))
        self.file = sessions.read(path)
        self.code = archive({stack.CONFIG_IN_BUNDLE: path.read_bytes()})
        self.answers = self._well()
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def _well(self) -> dict[str, Any]:
        config = self.file.config
        noted = stack.State("0.1.0", self.file.sha256, config.install.trigger, self.file.buckets)
        body = stack.as_read(stack.template(config, noted, revision="k"))
        wanted = wanted_of(config, "acme-site")
        arn = OUTPUTS["QueueArn" if config.install.queued else "InvokedArn"]
        rules = {name: one for name, one in body["Resources"].items() if one["Type"] == "AWS::Events::Rule"}
        return {
            "GetCallerIdentity": {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/ci", "UserId": "A"},
            "DescribeStacks": {"Stacks": [described()]},
            "GetTemplate": {"TemplateBody": body},
            "GetFunction": {
                "Configuration": {
                    "State": "Active",
                    "LastUpdateStatus": "Successful",
                    "Role": f"arn:aws:iam::{ACCOUNT}:role/path/multicdn-Role-1",
                    **{name: body["Resources"]["Function"]["Properties"][name] for name in LIMITS},
                    "CodeSha256": digest(self.code),
                    "Environment": {
                        "Variables": {
                            "MULTICDN_CONFIG": stack.CONFIG_IN_BUNDLE,
                            "MULTICDN_QUEUE_URL": OUTPUTS["QueueUrl"],
                            "MULTICDN_DLQ_URL": OUTPUTS["DeadLetterQueueUrl"],
                        }
                    },
                },
                "Code": {"Location": "https://code.example/bundle.zip?X-Amz-Signature=simulated-signature"},
            },
            "GetPolicy": {"Policy": policy("s3.amazonaws.com")},
            "SimulatePrincipalPolicy": {"EvaluationResults": []},
            "ListEventSourceMappings": {"EventSourceMappings": [mapping()]},
            "GetQueueAttributes": {
                "Attributes": {
                    "VisibilityTimeout": "361",
                    "Policy": policy("events.amazonaws.com" if rules else "s3.amazonaws.com"),
                    "RedrivePolicy": json.dumps({"deadLetterTargetArn": f"{QUEUE[:-7]}DeadLetterQueue-1"}),
                    WAITING: "0",
                }
            },
            "GetBucketLocation": {"LocationConstraint": REGION},
            "GetBucketNotificationConfiguration": merge.merged({}, wanted, "multicdn", arn),
            "ListRules": {
                "Rules": [
                    {
                        "Name": f"multicdn-{name}-ABC",
                        "State": "ENABLED",
                        "EventPattern": json.dumps(one["Properties"]["EventPattern"]),
                    }
                    for name, one in rules.items()
                ]
            },
            "ListTargetsByRule": {"Targets": [{"Id": "multicdn", "Arn": QUEUE}]},
        }

    def answer(self, model: Any, params: Any, context: Any, **_: Any) -> tuple[Any, Any]:
        self.asked.append((model.name, context["client_params"] if "client_params" in context else params["body"]))
        found = self.answers[model.name]
        if callable(found):
            found = found(params)
        if isinstance(found, str | tuple):
            code, message = (found, "no") if isinstance(found, str) else found
            return SimpleNamespace(status_code=400, raw=None), {"Error": {"Code": code, "Message": message}}
        return SimpleNamespace(status_code=200, raw=None), copy.deepcopy(found)

    def look(self, only: str = "") -> list[str]:
        """The report as ``check: state: text``, of one check or of all that aren't well."""
        found = []
        for name, look in installation.checks(self.file).items():
            for one in look() if only in ("", name) else ():
                assert one.remedy or one.state not in (Health.FAILED, Health.WARNING)
                if only or one.state is not Health.OK:
                    found.append(f"{name}: {one.state}: {one.text}")
        return found


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return packed.getvalue()


def policy(service: str, source: str = "arn:aws:s3:::acme-site", effect: str = "Allow") -> str:
    condition = {"ArnEquals": {"aws:SourceArn": source}} if service.startswith("s3") else {}
    return json.dumps({"Statement": [{"Effect": effect, "Principal": {"Service": service}, "Condition": condition}]})


def digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def described(status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    import datetime

    return {
        "StackName": "multicdn",
        "StackId": "arn:stack",
        "StackStatus": status,
        "CreationTime": datetime.datetime(2026, 11, 26, tzinfo=datetime.UTC),
        "Parameters": [{"ParameterKey": "BundleKey", "ParameterValue": "k"}],
        "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in OUTPUTS.items()],
        "Tags": [{"Key": OWNER_TAG, "Value": "multicdn"}],
    }


def mapping(**changed: Any) -> dict[str, Any]:
    return {
        "UUID": "u-1",
        "State": "Enabled",
        "EventSourceArn": QUEUE,
        "FunctionArn": OUTPUTS["InvokedArn"],
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "LastProcessingResult": "No records processed",
        **changed,
    }


@pytest.fixture(scope="module")
def session() -> boto3.session.Session:
    """Its clients cost some 50 ms each, so they are made once."""
    made = boto3.session.Session(aws_access_key_id="A", aws_secret_access_key="only-for-tests", region_name=REGION)
    clients: dict[str, Any] = {}
    real = made.client

    def client(service: str, **settings: Any) -> Any:
        if service not in clients:
            clients[service] = real(service, **settings)
        return clients[service]

    made.client = client
    return made


@pytest.fixture
def make(
    session: boto3.session.Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Account]]:
    """Make accounts that this process is signed in to."""
    made: list[Account] = []
    monkeypatch.setattr(boto3.session, "Session", lambda **_: session)
    monkeypatch.delenv("MULTICDN_QUEUE_URL", raising=False)

    def start(install: str = "") -> Account:
        account = Account(tmp_path, install)
        made.append(account)
        for service in SERVICES:
            events = session.client(service, region_name=REGION).meta.events
            events.unregister("before-call", unique_id="account")
            events.register("before-call", account.answer, unique_id="account")
        monkeypatch.setattr(function, "urlopen", lambda *_, **__: io.BytesIO(account.code))
        return account

    yield start
    for service in SERVICES:
        session.client(service).meta.events.unregister("before-call", unique_id="account")


@pytest.mark.parametrize("trigger", ["queue", "direct", "eventbridge"])
def test_what_is_as_it_should_be_is_well(make: Callable[..., Account], trigger: str) -> None:
    account = make(f"trigger: {trigger}")
    assert account.look() == []
    assert account.look("aws") == [
        f"aws: ok: arn:aws:iam::{ACCOUNT}:user/ci, account {ACCOUNT}, region {REGION} (install.region)"
    ]
    assert "the function carries multicdn.config.yml as it is here" in account.look("deployed config")[0]


def set_in(account: Account, operation: str, *path: Any, value: Any) -> None:
    place = account.answers[operation]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value


SICK: list[tuple[tuple[Any, ...], Any, str]] = [
    (
        ("GetFunction", "Concurrency"),
        {"ReservedConcurrentExecutions": 0},
        "function: failed: multicdn-Function-1 is thr",
    ),
    (("GetFunction", "Configuration", "State"), "Failed", "function: failed: multicdn-Function-1 is Failed"),
    (
        ("GetFunction", "Configuration", "LastUpdateStatus"),
        "Failed",
        "function: failed: multicdn-Function-1 is Active, ",
    ),
    (("GetFunction", "Configuration", "Handler"), "app.x", "function: failed: its Handler is app.x"),
    (("GetFunction", "Configuration", "Timeout"), 3, "function: failed: its Timeout is 3, and must be 60"),
    (("GetFunction", "Configuration", "MemorySize"), 128, "function: failed: its MemorySize is 128, and must be"),
    (("GetFunction", "Configuration", "MemorySize"), 9000, "function: warning: its MemorySize is 9000, and must be"),
    (("GetFunction", "Configuration", "Runtime"), "python3.9", "function: warning: its Runtime is python3.9, and must"),
    (
        ("GetFunction", "Configuration", "Environment", "Variables", "MULTICDN_QUEUE_URL"),
        "https://other",
        "function: failed: its variable MULTICDN_QUEUE_URL is https://other",
    ),
    (("GetFunction", "Configuration", "Environment"), {"Error": {"ErrorCode": "K"}}, "function: unknown: its environm"),
    (("GetFunction", "Configuration", "CodeSha256"), "other", "deployed config: unknown: its code came otherwise"),
    (("GetFunction", "Code", "Location"), "http://x/?Signature=s", "deployed config: failed: Lambda names no https"),
    (("ListEventSourceMappings", "EventSourceMappings"), [], "event source: failed: nothing reads the queue"),
    (
        ("ListEventSourceMappings", "EventSourceMappings"),
        [mapping(State="Disabled")],
        "event source: failed: the event source mapping is disabled",
    ),
    (
        ("ListEventSourceMappings", "EventSourceMappings"),
        [mapping(LastProcessingResult="PROBLEM: Function call failed")],
        "event source: failed: the event source mapping is enabled, and says PROBLEM",
    ),
    (
        ("ListEventSourceMappings", "EventSourceMappings"),
        [mapping(FunctionResponseTypes=[])],
        "event source: warning: it doesn't report partial batches",
    ),
    (
        ("ListEventSourceMappings", "EventSourceMappings"),
        [mapping(), mapping(FunctionArn="arn:aws:lambda:eu-west-1:1:function:theirs")],
        "event source: failed: another function takes messages from our queue",
    ),
    (
        ("GetBucketNotificationConfiguration",),
        {},
        "bucket acme-site: failed: its notifications aren't those of the rou",
    ),
    (
        ("GetBucketLocation", "LocationConstraint"),
        "us-west-2",
        "bucket acme-site: failed: the bucket 'acme-site' is in",
    ),
    (
        ("GetQueueAttributes", "Attributes", "Policy"),
        "",
        "queue: failed: its policy doesn't let S3 send what happens i",
    ),
    (
        ("GetQueueAttributes", "Attributes", "Policy"),
        policy("s3.amazonaws.com", "arn:aws:s3:::acme-sit"),
        "queue: failed: its policy doesn't let S3 send what happens in acme-site",
    ),
    (
        ("GetQueueAttributes", "Attributes", "Policy"),
        policy("s3.amazonaws.com", effect="Deny"),
        "queue: failed: its policy doesn't let S3 send what happens in acme-site",
    ),
    (
        ("ListEventSourceMappings", "EventSourceMappings"),
        [mapping(FunctionArn=f"{OUTPUTS['InvokedArn']}2")],
        "event source: failed: nothing reads the queue",
    ),
    (("GetQueueAttributes", "Attributes", "VisibilityTimeout"), "30", "queue: failed: it hides a message for 30 s"),
    (
        ("GetQueueAttributes", "Attributes", "RedrivePolicy"),
        "",
        "queue: failed: messages that break the function go to",
    ),
    (("DescribeStacks", "Stacks"), [described("ROLLBACK_COMPLETE")], "stack: failed: the stack multicdn is ROLLBACK"),
    (("DescribeStacks", "Stacks"), [described("UPDATE_IN_PROGRESS")], "stack: warning: the stack multicdn is UPDATE"),
    (
        ("GetTemplate", "TemplateBody", "Metadata", "multicdn", "version"),
        "0.0.1",
        "stack: warning: multicdn 0.0.1 is dep",
    ),
    (
        ("GetTemplate", "TemplateBody", "Resources", "Function", "Properties", "MemorySize"),
        128,
        "stack: failed: the stack isn't what this config makes: ~ Function (AWS::Lambda::Function); MemorySize: 128 ->",
    ),
    (("GetFunction",), "ResourceNotFoundException", "function: failed: the function multicdn-Function-1 is gone"),
    (("GetFunction",), "ResourceNotFoundException", "deployed config: unknown: not looked at: the function is gone"),
    (("GetFunction",), "ResourceNotFoundException", "role: unknown: not looked at: the function is gone"),
    (
        ("GetFunction",),
        "AccessDeniedException",
        "function: unknown: can't be looked at: not allowed: lambda:GetFunction",
    ),
    (("ListEventSourceMappings",), "AccessDeniedException", "event source: unknown: can't be looked at: not allowed"),
    (("SimulatePrincipalPolicy",), "AccessDenied", "role: unknown: IAM can't be asked"),
    (
        ("SimulatePrincipalPolicy",),
        "NoSuchEntity",
        f"role: failed: the role arn:aws:iam::{ACCOUNT}:role/path/multicdn-Role-1 of the function is gone",
    ),
    (("GetQueueAttributes",), "AWS.SimpleQueueService.NonExistentQueue", "queue: failed: the queue https://sqs"),
]


@pytest.mark.parametrize(("path", "value", "line"), SICK, ids=[f"{at[-1]}-{line[:30]}" for at, _, line in SICK])
def test_each_sick_part_is_told_alone(
    make: Callable[..., Account], path: tuple[Any, ...], value: Any, line: str
) -> None:
    account = make()
    if path[1:]:
        set_in(account, *path, value=value)
    else:
        account.answers[path[0]] = value
    name = line.partition(": ")[0]
    looks = {each: look for each, look in installation.checks(account.file).items() if each == name}
    lines = [one for one in examine(looks, 10) if one.state is not Health.OK]
    found = [f"{one.check}: {one.state}: {one.text}" for one in lines]
    assert all(one.remedy for one in lines if one.state in (Health.FAILED, Health.WARNING))
    assert found[0].startswith(line), found
    assert "ignature" not in repr(found)


def test_another_config_in_the_function_is_told(make: Callable[..., Account]) -> None:
    account = make()
    for code, words in (
        (archive({stack.CONFIG_IN_BUNDLE: b"version: 1\n"}), "the function carries another config"),
        (archive({"app.py": b""}), "there is no multicdn.config.yml in the function's code"),
        (b"no archive", "the function's code can't be read"),
    ):
        account.code = code
        set_in(account, "GetFunction", "Configuration", "CodeSha256", value=digest(code))
        [line] = account.look("deployed config")
        assert line.startswith(f"deployed config: failed: {words}")


def test_dead_letters_are_counted(make: Callable[..., Account]) -> None:
    account = make()
    set_in(account, "GetQueueAttributes", "Attributes", WAITING, value="3")
    assert account.look() == ["dead letters: warning: dead letters: 3; what they name stays stale until it expires"]
    assert account.look("queue") == ["queue: ok: messages waiting, under way or delayed: 3"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"State": "DISABLED"}, "is disabled"),
        ({"EventPattern": '{"source": ["aws.s3"]}'}, "takes other events than the routes want"),
        ({"Name": "multicdn-BucketOther-1", "EventPattern": "{}"}, "is gone"),
    ],
)
def test_a_rule_that_tells_nothing_is_told(make: Callable[..., Account], changed: dict[str, str], words: str) -> None:
    account = make("trigger: eventbridge")
    account.answers["ListRules"]["Rules"][0].update(changed)
    assert [words in line for line in account.look("rules") if ": failed: " in line] == [True]


def test_a_rule_with_another_target_is_told(make: Callable[..., Account]) -> None:
    account = make("trigger: eventbridge")
    account.answers["ListTargetsByRule"] = {"Targets": [{"Id": "x", "Arn": "arn:aws:sqs:other"}]}
    assert "doesn't send to the queue" in account.look("rules")[0]


@pytest.mark.parametrize(
    ("detail", "why"),
    [
        ({"EvalDecision": "implicitDeny"}, ""),
        ({"EvalDecision": "explicitDeny"}, ": denied by a policy"),
        (
            {
                "EvalDecision": "implicitDeny",
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False},
            },
            ": its permissions boundary doesn't allow it",
        ),
        (
            {"EvalDecision": "implicitDeny", "OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
            ": a policy of the organisation doesn't allow it",
        ),
    ],
)
def test_a_right_that_the_role_lacks_is_told(make: Callable[..., Account], detail: dict[str, Any], why: str) -> None:
    account = make()

    def simulate(params: Any) -> dict[str, Any]:
        if "ssm:GetParameter" not in str(params["body"]):
            return {"EvaluationResults": []}
        arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/multicdn/fastly/token"
        assert arn in str(params["body"])
        return {"EvaluationResults": [{"EvalActionName": "ssm:GetParameter", "EvalResourceName": arn, **detail}]}

    account.answers["SimulatePrincipalPolicy"] = simulate
    arn = f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/multicdn/fastly/token"
    assert account.look("role") == [f"role: failed: the role may not ssm:GetParameter on {arn}{why}"]
    [finding] = installation.checks(account.file)["role"]()
    assert ("by hand" in finding.remedy) is (why in ("", ": denied by a policy"))


def test_apply_is_no_remedy_for_what_was_done_by_hand(make: Callable[..., Account]) -> None:
    """Then the stack's template is what it should be, and CloudFormation has nothing to do."""
    account = make()
    set_in(account, "GetFunction", "Configuration", "Handler", value="app.x")
    account.code = archive({stack.CONFIG_IN_BUNDLE: b"version: 1\n"})
    set_in(account, "GetFunction", "Configuration", "CodeSha256", value=digest(account.code))
    for is_by_hand in (True, False):
        checks = installation.checks(account.file)
        [finding] = [one for one in checks["function"]() if one.state is Health.FAILED]
        [code] = checks["deployed config"]()
        assert ("by hand" in finding.remedy, "update-function-code" in code.remedy) == (is_by_hand, is_by_hand)
        assert all(f" --region {REGION}" in one.remedy for one in (finding, code)) is is_by_hand
        assert ("apply deploys this one" in code.remedy) is not is_by_hand
        set_in(account, "GetTemplate", "TemplateBody", "Resources", "Function", "Properties", "MemorySize", value=1)
        set_in(account, "GetTemplate", "TemplateBody", "Metadata", "multicdn", "config_sha256", value="0")


def test_what_organisations_impose_is_no_fault(make: Callable[..., Account]) -> None:
    """A key by its alias is that of the stack; others mend their role, and look at their bucket."""
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/k"
    account = make(f"kms_key: '{key}'")
    account.file.path.write_text(installs.text(f"region: {REGION}, kms_key: alias/acme"))
    account.file = sessions.read(account.file.path)
    account.answers["DescribeKey"] = {
        "KeyMetadata": {"KeyId": "k", "Arn": key, "KeyState": "Enabled", "Enabled": True, "KeyUsage": "ENCRYPT_DECRYPT",
                        "KeySpec": "SYMMETRIC_DEFAULT"}
    }  # fmt: skip
    assert account.look("stack") == [f"stack: ok: multicdn is CREATE_COMPLETE, since {SINCE}"]
    owned = make("role: 'arn:aws:iam::123456789012:role/theirs'")
    owned.answers["SimulatePrincipalPolicy"] = {
        "EvaluationResults": [{"EvalActionName": "sqs:SendMessage", "EvalDecision": "implicitDeny"}]
    }
    assert {one.remedy for one in installation.checks(owned.file)["role"]()} == {
        "have arn:aws:iam::123456789012:role/theirs allow it: `multicdn install instructions` has its policy"
    }
    away = make("trigger: eventbridge, forwarded: [{bucket: acme-site, account: '210987654321'}]")
    assert away.look("bucket acme-site")[0].startswith("bucket acme-site: unknown: it is elsewhere")


def test_iam_is_asked_about_single_resources(make: Callable[..., Account]) -> None:
    """A star would be compared letter by letter; ``${*}`` is one."""
    account = make()
    account.file.path.write_text(
        installs.text(
            f"region: {REGION}",
            routes="""
  - {bucket: acme-site, prefix: "a*b/", urls: ["https://www.acme.com/{key}"], tags_from: cache-tag, purge: [site, edge]}
""",
            providers="""
  site: {type: cloudfront, distribution: auto}
  edge: {type: fastly, token: "${secretsmanager:edge/token}", service: S}
""",
        )
    )
    account.file = sessions.read(account.file.path)
    asked: list[str] = []
    account.answers["SimulatePrincipalPolicy"] = lambda params: asked.append(str(params["body"])) or {
        "EvaluationResults": []
    }
    account.look("role")
    text = "\n".join(asked)
    for arn in (
        f"arn:aws:cloudfront::{ACCOUNT}:distribution/x",
        f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:edge/token-xxxxxx",
        "arn:aws:s3:::acme-site/a*b/x",
        QUEUE,
        f"log-group:{OUTPUTS['LogGroupName']}:",
    ):
        assert arn in text


def test_a_rule_is_known_by_what_it_does_where_its_name_is_cut(make: Callable[..., Account]) -> None:
    """CloudFormation makes names of 64 characters at most; another stack's rule is no substitute."""
    account = make("trigger: eventbridge")
    account.answers["ListRules"]["Rules"][0]["Name"] = "multicdn-BucketAcmeSite1a2b3-ABC"
    assert account.look("rules") == [
        "rules: ok: the rule multicdn-BucketAcmeSite1a2b3-ABC is enabled, and sends to the queue"
    ]
    account.answers["ListTargetsByRule"]["Targets"] = [{"Id": "multicdn", "Arn": f"{QUEUE}-of-another-stack"}]
    assert [line.endswith("is gone") for line in account.look("rules")] == [True]


@pytest.mark.parametrize(("policy_of", "line"), [("s3.amazonaws.com", "ok: S3 may call"), ("x", "failed: S3 may not")])
def test_without_a_queue_s3_must_be_let_in(make: Callable[..., Account], policy_of: str, line: str) -> None:
    account = make("trigger: direct")
    account.answers["GetPolicy"]["Policy"] = policy(policy_of)
    assert [one.startswith(f"event source: {line}") for one in account.look("event source")] == [True]
    account.answers["GetPolicy"] = "ResourceNotFoundException"
    assert account.look("event source")[0].startswith("event source: failed: S3 may not call the function for acme-s")


def test_eventbridge_must_be_let_into_the_queue(make: Callable[..., Account]) -> None:
    account = make("trigger: eventbridge")
    set_in(account, "GetQueueAttributes", "Attributes", "Policy", value=policy("s3.amazonaws.com"))
    assert "queue: failed: its policy doesn't let EventBridge send to it" in account.look("queue")


def test_iam_is_heard_out(make: Callable[..., Account]) -> None:
    """It gives a hundred results at a time: sixty distributions have more."""
    account = make()
    names = ("sqs:DeleteMessage", "sqs:ReceiveMessage")
    denied = [{"EvalActionName": one, "EvalDecision": "implicitDeny", "EvalResourceName": QUEUE} for one in names]
    last, first = {"EvaluationResults": denied}, {"EvaluationResults": [], "IsTruncated": True, "Marker": "m"}
    account.answers["SimulatePrincipalPolicy"] = lambda params: last if "Marker" in str(params["body"]) else first
    assert f"role: failed: the role may not {', '.join(names)} on {QUEUE}" in account.look("role")


def test_what_nobody_may_see_of_the_stack_is_asked_once(make: Callable[..., Account]) -> None:
    account = make()
    account.answers["DescribeStacks"] = "AccessDenied"
    lines = examine(installation.checks(account.file), 10)
    assert {line.state for line in lines if line.check != "aws"} == {Health.UNKNOWN}
    assert {line.text for line in lines if line.check == "queue"} == {
        "not looked at: what is installed isn't known, see stack"
    }
    names = [name for name, _ in account.asked]
    assert (names.count("GetCallerIdentity"), names.count("DescribeStacks")) == (1, 1)


def test_a_bucket_of_another_account_is_no_matter_of_rights(make: Callable[..., Account]) -> None:
    """It denies itself to whoever says that it is theirs, and to nobody else."""
    account = make()
    account.answers["GetBucketLocation"] = lambda params: (
        "AccessDenied" if "x-amz-expected-bucket-owner" in params["headers"] else {"LocationConstraint": REGION}
    )
    [line] = examine({"it": installation.checks(account.file)["bucket acme-site"]}, 10)
    assert (line.state, line.text[:44]) == (Health.FAILED, "the bucket 'acme-site' belongs to another ac")
    assert line.remedy.startswith("install there, or let its owner forward its events")


def test_what_does_not_pass_is_told_in_time(make: Callable[..., Account], monkeypatch: pytest.MonkeyPatch) -> None:
    """With AWS's words, and not by the end of the doctor's time, which is shorter than the installer's patience."""
    monkeypatch.setattr(installation, "_PATIENCE", 0.0)
    account = make()
    account.answers["DescribeStacks"] = ("Throttling", "Rate exceeded")
    [stack_line] = [line for line in examine(installation.checks(account.file), 10) if line.check == "stack"]
    assert "Throttling: Rate exceeded" in stack_line.text
    assert stack_line.state is Health.FAILED


def test_without_credentials_the_rest_is_unknown(make: Callable[..., Account]) -> None:
    account = make()
    account.answers["GetCallerIdentity"] = "ExpiredToken"
    lines = examine(installation.checks(account.file), 10)
    assert {line.check for line in lines if line.state is Health.FAILED} == {"aws"}
    assert {line.text for line in lines if line.state is Health.UNKNOWN} == {
        "not looked at: who we are in AWS isn't known"
    }


@pytest.mark.parametrize(("worker", "state"), [("", Health.FAILED), ("https://q", Health.WARNING)])
def test_nothing_installed_is_red_but_for_workers(
    make: Callable[..., Account], monkeypatch: pytest.MonkeyPatch, worker: str, state: Health
) -> None:
    account = make()
    account.answers["DescribeStacks"] = ("ValidationError", "Stack with id multicdn does not exist")
    if worker:
        monkeypatch.setenv("MULTICDN_QUEUE_URL", worker)
    found = {name: list(look()) for name, look in installation.checks(account.file).items()}
    assert [one.state for one in found["stack"]] == [state]
    assert {one.text for one in found["function"]} == {"not looked at: nothing is installed"}
