"""The whole: install.py, then an upload, then new bytes at all seven edges, through the deployed stack's own function.

AWS is on loopback with signatures and policies enforced, so it is the function's own role that reads the secrets, takes
the messages, and is allowed to invalidate, or isn't.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import pytest
import yaml
from kit import installs

from multicdn.testing.loopback.aws import PROGRAM_VARIABLE
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SIMULATED = "E8F6HK73EP0LT"
KEYS = ("index.html", "news/50% off #1.html", "img/cat.png", "downloads/a.zip")
PATIENCE = 60.0


class Guard(ThreadingHTTPServer):
    """CloudFront's API: AWS on loopback decides who may, then the simulated edge does it."""

    daemon_threads = True

    def __init__(self, stage: LocalEnvironment, distribution: str) -> None:
        super().__init__(("127.0.0.1", 0), _Guarded)
        self.aws = urlsplit(stage.aws.endpoint).netloc
        self.distribution = distribution
        self.refusals: list[bytes] = []
        self.edge = _client_of(stage)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Guarded(BaseHTTPRequestHandler):
    server: Guard

    def do_GET(self) -> None:
        self._forward(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._forward(body):
            root = ET.fromstring(body)
            paths = [item.text for item in root.iter() if item.tag.endswith("Path")]
            [reference] = [item.text for item in root.iter() if item.tag.endswith("CallerReference")]
            batch = {"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": reference}
            self.server.edge.create_invalidation(DistributionId=SIMULATED, InvalidationBatch=batch)

    def _forward(self, body: bytes) -> bool:
        """Hand a request on as it was signed; whether it was allowed."""
        connection = HTTPConnection(self.server.aws, timeout=10)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if answer.status >= 400:
            self.server.refusals.append(content)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "text/xml"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        return answer.status < 400

    def log_message(self, *_: object) -> None:
        pass


def _client_of(stage: LocalEnvironment) -> Any:
    import boto3
    from botocore.config import Config

    values = stage.aws.environment()
    return boto3.client(
        "cloudfront",
        endpoint_url=stage.edges["site"].endpoint,
        region_name="us-east-1",
        aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
        config=Config(proxies={}),
    )


class House:
    """A stage without its own queue's notifications, a guarded CloudFront, and the installer's door."""

    def __init__(self, stage: LocalEnvironment, guard: Guard, program: Path) -> None:
        self.stage, self.guard = stage, guard
        self._python = _version(program)
        self.bucket = stage.buckets[0]
        empty: dict[str, Any] = {}
        stage.aws.client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=empty
        )
        self.theirs = installs.put_foreign(stage.aws, self.bucket)

    def configure(self, **install: object) -> None:
        """Write the config that is installed: the example's, with the endpoints of the simulators."""
        config = yaml.load(self.stage.config_path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        config["providers"]["site"] |= {"endpoint": self.guard.endpoint, "distribution": self.guard.distribution}
        machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        target = {"architecture": machine, "python": self._python}
        config["install"] = {**target, "batch_window": 1, "timeout": 20, **install}
        self.stage.config_path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def run(self, *arguments: str) -> dict[str, Any]:
        door = [sys.executable, str(ROOT / "install.py"), *arguments]
        command = [*door, "--config", str(self.stage.config_path), "--json"]
        environment = {**os.environ, **self.stage.aws.environment()}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def failures(self) -> dict[str, list[str]]:
        """What `multicdn doctor --online` finds wrong, by check."""
        command = [sys.executable, "-m", "multicdn", "doctor", "--online", "--json", "--config"]
        environment = {**os.environ, **self.stage.aws.environment()}
        done = subprocess.run(
            [*command, str(self.stage.config_path)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        found: dict[str, list[str]] = {}
        for line in json.loads(done.stdout)["checks"]:
            if line["state"] == "failed":
                found.setdefault(line["check"], []).append(line["text"])
        assert done.returncode == bool(found), done.stderr
        assert "simulated" not in done.stdout
        return found

    def upload(self, version: bytes) -> None:
        for key in KEYS:
            self.stage.put(self.bucket, key, version + b" of " + key.encode())

    def stale(self, version: bytes) -> set[str]:
        """The edges that serve something else than this version of anything."""
        return {
            name
            for name, urls in self.stage.urls(self.bucket, KEYS).items()
            if not urls or any(version not in self.stage.edges[name].fetch(url).body for url in urls.values())
        }

    def stale_in_the_end(self, version: bytes, expected: set[str]) -> set[str]:
        """The same, once it is as expected, or the patience is over."""
        end = time.monotonic() + PATIENCE
        while (found := self.stale(version)) != expected and time.monotonic() < end:
            time.sleep(0.1)
        return found

    def is_refused_in_the_end(self, action: bytes) -> bool:
        """Whether AWS refuses an action before patience is over; the other edges may be fresh before it is asked."""
        end = time.monotonic() + PATIENCE
        while not any(action in refusal for refusal in self.guard.refusals) and time.monotonic() < end:
            time.sleep(0.1)
        return any(action in refusal for refusal in self.guard.refusals)


def _version(program: Path) -> str:
    """Python of the AWS on loopback: its functions run in it, whatever they ask for."""
    answer = subprocess.run([program.with_name("python"), "--version"], capture_output=True, text=True, check=True)
    return re.search(r"3\.\d+", answer.stdout)[0]  # type: ignore[index]


@pytest.fixture
def house(aws_program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv(PROGRAM_VARIABLE, str(aws_program))
    with LocalEnvironment(ROOT / "multicdn.config.yml") as stage:
        made = stage.aws.client("cloudfront").create_distribution(DistributionConfig=_distribution())
        guard = Guard(stage, made["Distribution"]["Id"])
        threading.Thread(target=guard.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield House(stage, guard, aws_program)
        finally:
            guard.shutdown()
            guard.server_close()


def _distribution() -> dict[str, Any]:
    behaviour = {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "MinTTL": 0}
    values = {"QueryString": False, "Cookies": {"Forward": "none"}}
    origin = {
        "Id": "o",
        "DomainName": "acme-site.s3.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    return {
        "CallerReference": "1",
        "Comment": "",
        "Enabled": True,
        "Origins": {"Quantity": 1, "Items": [origin]},
        "DefaultCacheBehavior": {**behaviour, "ForwardedValues": values},
    }


@pytest.mark.timeout(600)
def test_an_upload_reaches_all_seven_edges_through_what_was_installed(house: House) -> None:
    house.configure()
    planned = house.run("plan")
    assert planned["changed"]
    assert installs.notifications(house.stage.aws, house.bucket) == house.theirs
    assert house.run("apply", "--yes")["changed"]
    again = house.run("apply", "--yes")
    assert (again["changed"], again["steps"]) == (False, [])

    assert len(house.stage.edges) == 7
    house.upload(b"version 1")
    assert house.stale_in_the_end(b"version 1", set()) == set()
    house.upload(b"version 2")
    assert house.stale_in_the_end(b"version 2", set()) == set(), house.stage.aws.log()
    assert house.guard.refusals == []

    # With one ARN wrong in the role's policy, that one edge keeps the old bytes, and AWS says why.
    _misdirect(house)
    house.upload(b"version 3")
    assert house.stale_in_the_end(b"version 3", {"site"}) == {"site"}
    assert house.is_refused_in_the_end(b"cloudfront:CreateInvalidation")
    assert house.failures().keys() == {"role"}

    house.configure(memory=700)
    changed = house.run("apply", "--yes")
    assert "      MemorySize: 512 -> 700" in changed["plan"]
    assert house.run("status")["status"] == "UPDATE_COMPLETE"
    house.run("destroy", "--yes", "--drop-messages")
    assert installs.notifications(house.stage.aws, house.bucket) == house.theirs
    names = installs.everything(house.stage.aws)
    assert names["functions"] == ["others"]
    assert names["roles"] == ["others"]
    assert names["buckets"] == [house.bucket]
    assert [name for name in names["queues"] if name.startswith("multicdn-")] == ["multicdn-dlq"]  # the stage's own


def _misdirect(house: House) -> None:
    """Put another distribution's ARN into the deployed role."""
    iam = house.stage.aws.client("iam")
    [name] = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("multicdn-")]
    document = iam.get_role_policy(RoleName=name, PolicyName="multicdn")["PolicyDocument"]
    text = json.dumps(document).replace(house.guard.distribution, "E0000000000000")
    assert text != json.dumps(document)
    iam.put_role_policy(RoleName=name, PolicyName="multicdn", PolicyDocument=text)
