"""Small configs, a small bundle, and an installer that is turned to AWS on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from typing import TYPE_CHECKING, Any

from multicdn.config import parse
from multicdn.installer import plan, run, sessions
from multicdn.installer.apply import execute
from multicdn.installer.bundle.build import Bundle
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from multicdn.config import Config
    from multicdn.installer.account import Account
    from multicdn.installer.steps import InstallPlan
    from multicdn.testing.loopback.aws import LoopbackAws

ACCOUNT = "123456789012"
BUCKET = "acme-site"
PROVIDERS = """
  site: {type: cloudfront, distribution: E8F6HK73EP0LT}
  fastly: {token: "${ssm:/multicdn/fastly/token}", service: SU1Z0isxPaozGVKXdv0eY}
"""
ROUTES = """
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [site, fastly]}
"""
PURGE = 'urls: ["https://www.acme.com/{key}"], purge: [site, fastly]'


def text(install: str = "", routes: str = ROUTES, providers: str = PROVIDERS) -> str:
    """A config file; ``install`` is the inside of a flow mapping."""
    return f"version: 1\nproviders:{providers}\nroutes:{routes}\ninstall: {{{install}}}\n"


def config(install: str = "", routes: str = ROUTES, providers: str = PROVIDERS) -> Config:
    return parse(text(install, routes, providers), "multicdn.config.yml", Plugins())


def bundle(folder: Path, content: str = "", config_text: str = "") -> Bundle:
    """An archive with a config and a handler that does nothing; what is in real ones is the business of other tests."""
    path = folder / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        code = f"# {content}\ndef handler(event, context):\n    return {{'batchItemFailures': []}}\n"
        archive.writestr(zipfile.ZipInfo("multicdn/handler.py"), code)
        archive.writestr(zipfile.ZipInfo("multicdn.config.yml"), config_text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return Bundle(path, digest, size, 100, ("multicdn/handler.py",), ("cloudfront", "fastly"), (), (), compiled=True)


class Installer:
    """The installer's own steps, in this process, on AWS on loopback.

    The environment must be that of ``LoopbackAws.environment()``, or of whoever is to install.
    """

    def __init__(self, folder: Path, config_text: str = "", content: str = "") -> None:
        self.folder = folder
        self.path = folder / "multicdn.config.yml"
        self.said: list[str] = []
        self._accounts: dict[str, Account] = {}
        self.write(config_text or text(), content)

    def write(self, config_text: str, content: str = "") -> None:
        """Change the config, or what is in the bundle."""
        self.path.write_text(config_text, encoding="utf-8")
        self.bundle = bundle(self.folder, content or config_text, config_text)

    def session(self) -> sessions.Session:
        """Sign in as the environment says; clients are kept while it says the same, since each takes its time."""
        who = os.environ["AWS_ACCESS_KEY_ID"]
        file = sessions.read(self.path)
        if who not in self._accounts:
            self._accounts[who] = sessions.sign_in(file).account
        return sessions.Session(self._accounts[who], file.config.install, file.buckets, file)

    def plan(self) -> InstallPlan:
        opened = self.session()
        assert opened.file is not None
        desired = plan.Desired(opened.file.config, opened.file.sha256, self.bundle, "0.1.0")
        return plan.make(desired, run.read_current(opened))

    def apply(self) -> InstallPlan:
        made = self.plan()
        run.apply(self.session(), made, self.said.append, self.said.append)
        return made

    def destroy(self, *, drop_messages: bool = False) -> InstallPlan:
        opened = self.session()
        made = run.plan_removal(opened, drop_messages=drop_messages)
        execute(made, opened.account, self.said.append, self.said.append)
        return made


def notifications(aws: LoopbackAws, bucket: str = BUCKET) -> dict[str, Any]:
    found = aws.client("s3").get_bucket_notification_configuration(Bucket=bucket)
    return {key: value for key, value in found.items() if key != "ResponseMetadata"}


def let_s3_send(aws: LoopbackAws, name: str) -> str:
    """Make a queue that S3 may send to; its ARN."""
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(_sending("s3", "sqs:SendMessage", arn))})
    return arn


def put_foreign(aws: LoopbackAws, bucket: str = BUCKET) -> dict[str, Any]:
    """Three entries of others, one for each kind of destination; the configuration as S3 gives it back."""
    queue = let_s3_send(aws, "others")
    topic = aws.client("sns").create_topic(Name="others")["TopicArn"]
    policy = json.dumps(_sending("s3", "sns:Publish", topic))
    aws.client("sns").set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=policy)
    function = _function(aws)
    suffix = {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".zip"}, {"Name": "prefix", "Value": "a+b/%3D/"}]}}
    configuration = {
        "QueueConfigurations": [{"Id": "q 1", "QueueArn": queue, "Events": ["s3:ObjectTagging:*"], "Filter": suffix}],
        "TopicConfigurations": [{"Id": "t", "TopicArn": topic, "Events": ["s3:ObjectRestore:*", "s3:Replication:*"]}],
        "LambdaFunctionConfigurations": [
            {"Id": "multicdn.other.0123456789ab", "LambdaFunctionArn": function, "Events": ["s3:ObjectAcl:Put"]}
        ],
        "EventBridgeConfiguration": {},
    }
    aws.client("s3").put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    return notifications(aws, bucket)


def let_send_batches(aws: LoopbackAws, *, allowed: bool = True) -> Any:
    """Make up for a flaw of AWS on loopback, and leave no trace of it in what the installer makes.

    It asks for a right `sqs:SendMessageBatch`, which AWS doesn't know: there, `sqs:SendMessage` is the right to both
    (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html).
    """
    iam = aws.client("iam")
    [role] = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("multicdn-")]
    if not allowed:
        return iam.delete_role_policy(RoleName=role, PolicyName="loopback")
    granted = iam.get_role_policy(RoleName=role, PolicyName="multicdn")["PolicyDocument"]["Statement"]
    sending = [each for each in granted if "sqs:SendMessage" in each["Action"]]
    assert sending
    batches = [{**each, "Action": "sqs:SendMessageBatch"} for each in sending]
    document = json.dumps({"Version": "2012-10-17", "Statement": batches})
    return iam.put_role_policy(RoleName=role, PolicyName="loopback", PolicyDocument=document)


def _function(aws: LoopbackAws) -> str:
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    role = aws.client("iam").create_role(RoleName="others", AssumeRolePolicyDocument=trust)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return None\n")
    made = aws.client("lambda").create_function(
        FunctionName="others",
        Runtime="python3.13",
        Role=role["Role"]["Arn"],
        Handler="app.handler",
        Code={"ZipFile": code.getvalue()},
    )
    aws.client("lambda").add_permission(
        FunctionName="others", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    return str(made["FunctionArn"])


def _sending(service: str, action: str, resource: str) -> Mapping[str, Any]:
    principal = {"Service": f"{service}.amazonaws.com"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": resource}
    return {"Version": "2012-10-17", "Statement": [statement]}


def become(aws: LoopbackAws, monkeypatch: Any, *, denied: tuple[str, ...]) -> str:
    """Turn this process to a user who may do everything but what is denied; the user's name."""
    iam = aws.client("iam")
    name = f"somebody-{len(iam.list_users()['Users'])}"
    statements = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    if denied:
        statements.append({"Effect": "Deny", "Action": list(denied), "Resource": "*"})  # type: ignore[dict-item]
    iam.create_user(UserName=name)
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return name


def everything(aws: LoopbackAws) -> dict[str, Any]:
    """Names of all there is in the account that an installer could leave behind, and the notifications."""
    buckets = [bucket["Name"] for bucket in aws.client("s3").list_buckets()["Buckets"]]
    found: dict[str, Any] = {
        "buckets": sorted(buckets),
        "notifications": {name: notifications(aws, name) for name in buckets},
        "queues": sorted(url.rpartition("/")[2] for url in aws.client("sqs").list_queues().get("QueueUrls", ())),
        "functions": sorted(one["FunctionName"] for one in aws.client("lambda").list_functions()["Functions"]),
        "mappings": aws.client("lambda").list_event_source_mappings()["EventSourceMappings"],
        "roles": sorted(role["RoleName"] for role in aws.client("iam").list_roles()["Roles"]),
        "alarms": aws.client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": aws.client("cloudwatch").list_dashboards()["DashboardEntries"],
        "rules": [rule["Name"] for rule in aws.client("events").list_rules()["Rules"]],
    }
    return found
