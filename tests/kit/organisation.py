"""An account that isn't asked, or whose answers are written down, and what is made for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse

from kit import installs
from multicdn.installer import permissions, plan
from multicdn.installer.account import Account
from multicdn.installer.state import Artifacts, Current
from multicdn.installer.template.stack import State, template

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from multicdn.config.settings import Install

ID = "123456789012"
OTHER = "210987654321"
KEY = f"arn:aws:kms:us-east-1:{ID}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
SECOND = f"arn:aws:kms:us-east-1:{ID}:key/mrk-1234abcd12ab34cd56ef1234567890ab"
ROLE = f"arn:aws:iam::{ID}:role/service/cdn"
BOUNDARY = f"arn:aws:iam::{ID}:policy/limits"
VPC = "vpc: {subnets: [subnet-0a], security_groups: [sg-0b]}"
SECRETS = """
  a: {type: fastly, token: "${ssm:/a}", service: S}
  b: {type: fastly, token: "${secretsmanager:b}", service: S}
  c: {type: cloudfront, distribution: E8F6HK73EP0LT}
"""
ALL = "\n  - {bucket: acme-site, urls: ['https://h/{key}'], purge: [a, b, c]}"
ELSEWHERE = f"trigger: eventbridge, forwarded: [{{bucket: media, account: '{OTHER}', region: eu-west-1}}]"
TWO = f"\n  - {{bucket: acme-site, {installs.PURGE}}}\n  - {{bucket: media, prefix: img/, {installs.PURGE}}}"
CODE = Artifacts("code", ready=True, ours=True)
NOTHING = Current(ID, "us-east-1", None, {"acme-site": {}}, CODE)


def no_client(service: str) -> Any:
    raise AssertionError(f"{service} is asked")


def account(client: Callable[[str], Any] = no_client, region: str = "us-east-1", partition: str = "aws") -> Account:
    return Account(ID, f"arn:{partition}:iam::{ID}:user/u", region, client)


def resources(install: str, **more: str) -> dict[str, Any]:
    made = template(installs.config(install, **more), State(), revision="r")["Resources"]
    return json.loads(json.dumps(made))


def policy(settings: Install) -> list[dict[str, Any]]:
    return permissions.policy(settings, ID, "us-east-1", "aws", ["acme-site"])["Statement"]


def statement_with(action: str, settings: Install) -> dict[str, Any]:
    [found] = [one for one in policy(settings) if action in one["Action"]]
    return found


def planned(folder: Path, install: str = "", current: Current = NOTHING, **more: str) -> Any:
    desired = plan.Desired(installs.config(install, **more), "c" * 64, installs.bundle(folder), "1")
    return plan.make(desired, current)


class Wire:
    """Clients that send nothing: each request is kept, and answered by the next answer."""

    def __init__(self, *answers: tuple[int, Any]) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)

    def client(self, service: str) -> Any:
        import boto3

        made = boto3.client(service, "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        made.meta.events.register("before-send", self._send)
        return made

    def _send(self, request: Any, **_: object) -> AWSResponse:
        self.requests.append(request)
        status, content = self._answers.pop(0) if self._answers else (200, "")
        body = content if isinstance(content, str) else json.dumps(content)

        class Raw:
            def stream(self, **_: object) -> Any:
                yield body.encode()

        return AWSResponse(request.url, status, {}, Raw())
