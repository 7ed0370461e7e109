"""Whatever is wrong is said in one message with its remedy, before anything is done."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from kit import installs

from multicdn.errors import MulticdnError
from multicdn.installer import permissions, run, sessions
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from multicdn.testing.loopback.aws import LoopbackAws

    Trouble = Callable[[LoopbackAws, pytest.MonkeyPatch], str]

OTHER = "210987654321"


def make_plan(folder: Path, text: str) -> None:
    """Plan as the command line does; every trouble here shows before the bundle is built."""
    path = folder / "multicdn.config.yml"
    path.write_text(text, encoding="utf-8")
    run.make_plan(sessions.sign_in(sessions.read(path)), folder, lambda step: None)


def no_bucket(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    aws.client("s3").delete_bucket(Bucket=installs.BUCKET)
    return installs.text()


def two_missing(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    return installs.text(routes=f"\n  - {{bucket: one, {installs.PURGE}}}\n  - {{bucket: two, {installs.PURGE}}}")


def other_region(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    there = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket="far-away", CreateBucketConfiguration=there)
    return installs.text(routes=f"\n  - {{bucket: far-away, {installs.PURGE}}}")


def other_account(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    _of_another(aws, "not-ours")
    return installs.text(routes=f"\n  - {{bucket: not-ours, {installs.PURGE}}}")


def taken_artifacts(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    _of_another(aws, f"multicdn-{installs.ACCOUNT}-us-east-1")
    return installs.text()


def no_alias(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    return installs.text("kms_key: alias/not-there")


def not_elsewhere(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    return installs.text(f"trigger: eventbridge, forwarded: [{{bucket: {installs.BUCKET}, region: us-east-1}}]")


def taken_stack(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    body = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
    aws.client("cloudformation").create_stack(StackName="multicdn", TemplateBody=body)
    return installs.text()


def overlap(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    arn = installs.let_s3_send(aws, "others")
    entry = {"QueueArn": arn, "Events": ["s3:ObjectCreated:Put"]}
    configuration = {"QueueConfigurations": [entry]}
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=installs.BUCKET, NotificationConfiguration=configuration
    )
    return installs.text()


def env_secret(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    return installs.text().replace("${ssm:/multicdn/fastly/token}", "${env:FASTLY_TOKEN}")


def unknown_key(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    return installs.text()


def wrong_secret(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    installs.become(aws, monkeypatch, denied=())
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x" * 40)
    return installs.text()


def no_credentials(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    return installs.text()


def may_not_look(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    installs.become(aws, monkeypatch, denied=("s3:GetBucketNotification",))
    return installs.text()


def may_not_write(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> str:
    installs.become(aws, monkeypatch, denied=("s3:PutBucketNotification", "iam:CreateRole"))
    return installs.text()


TROUBLES: dict[Trouble, tuple[str, ...]] = {
    no_bucket: ("there is no bucket 'acme-site'", "make it first"),
    two_missing: ("there is no bucket 'one'", "there is no bucket 'two'"),
    other_region: (
        "the bucket 'far-away' is in eu-west-1",
        "--region eu-west-1",
        "`forwarded: [{bucket: far-away, region: eu-west-1}]` under `install`",
    ),
    other_account: (
        "the bucket 'not-ours' belongs to another account than 123456789012",
        "`trigger: eventbridge` and `forwarded: [{bucket: not-ours, account: ITS ACCOUNT}]` under `install`",
        "multicdn install instructions",
    ),
    taken_artifacts: ("multicdn-123456789012-us-east-1", "name one of yours: install.artifact_bucket"),
    no_alias: ("there is no KMS key 'alias/not-there' in us-east-1",),
    not_elsewhere: ("install.forwarded[0]: the bucket 'acme-site'", "own account and region", "take it out"),
    taken_stack: ("there is a stack 'multicdn' that multicdn didn't make", "--stack NAME"),
    overlap: ("acme-site: s3:ObjectCreated:*", "is already sent to arn:aws:sqs", "trigger: eventbridge"),
    env_secret: ("${env:FASTLY_TOKEN} can't be installed", "multicdn secret put ssm:/multicdn/fastly/NAME"),
    unknown_key: ("AWS doesn't accept the credentials",),
    wrong_secret: ("AWS doesn't accept the credentials",),
    no_credentials: ("no AWS credentials found", "aws sso login"),
    may_not_look: ("not allowed: s3:GetBucketNotification", "docs/install.md"),
    may_not_write: (
        "may not do what installing takes; nothing was done",
        "s3:PutBucketNotification on arn:aws:s3:::acme-site",
        "iam:CreateRole on arn:aws:iam::123456789012:role/multicdn-*",
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_is_one_clear_message_and_nothing_is_done(
    trouble: Trouble, account: LoopbackAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = trouble(account, monkeypatch)
    before = installs.everything(account)
    with pytest.raises(InstallError) as refused:
        make_plan(tmp_path, text)
    for words in TROUBLES[trouble]:
        assert words in str(refused.value)
    assert "Traceback" not in str(refused.value)
    assert installs.everything(account) == before


class _Expired(BaseHTTPRequestHandler):
    """Answers as STS does to a session that is over."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        said = "<Code>ExpiredToken</Code><Message>The security token included in the request is expired</Message>"
        body = f"<ErrorResponse><Error><Type>Sender</Type>{said}</Error></ErrorResponse>".encode()
        self.send_response(403)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def expired(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), _Expired)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "x")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    yield
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.usefixtures("expired")
def test_expired_credentials_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="the AWS credentials have expired"):
        make_plan(tmp_path, installs.text())


def test_a_config_with_problems_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(MulticdnError, match="unknown setting 'stak'"):
        make_plan(tmp_path, installs.text("stak: x"))


@pytest.mark.parametrize(("stack", "region"), [("a_b", ""), ("", "Frankfurt"), ("9x", "")])
def test_options_of_the_command_line_are_checked_too(stack: str, region: str) -> None:
    with pytest.raises(InstallError, match=r"--(stack|region): '.* can't be one: "):
        sessions.overridden(installs.config().install, stack, region)


@pytest.mark.parametrize(
    ("arn", "source"),
    [
        ("arn:aws:iam::123456789012:user/me", "arn:aws:iam::123456789012:user/me"),
        ("arn:aws:sts::123456789012:assumed-role/Admin/me", "arn:aws:iam::123456789012:role/Admin"),
        ("arn:aws-cn:sts::123456789012:assumed-role/Admin/me", "arn:aws-cn:iam::123456789012:role/Admin"),
        ("arn:aws:iam::123456789012:root", ""),
        ("arn:aws:sts::123456789012:federated-user/me", ""),
    ],
)
def test_iam_is_asked_about_users_and_roles(arn: str, source: str) -> None:
    assert permissions.principal(arn) == source


def _of_another(aws: LoopbackAws, bucket: str) -> None:
    import boto3

    values = aws.environment()
    client = boto3.client(
        "s3",
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=OTHER,
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=bucket)
