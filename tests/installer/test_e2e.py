"""The whole: the README's page from the wheel, then new bytes at all seven edges, by the deployed stack's own function.

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
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from kit import installs
from kit.environments import with_extras
from kit.guarded_cloudfront import guarded

from multicdn.simulators.kit import faults
from multicdn.testing.loopback.aws import PROGRAM_VARIABLE
from multicdn.testing.loopback.environment import LocalEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kit.guarded_cloudfront import Guard

ROOT = Path(__file__).parents[2]
KEYS = ("index.html", "news/50% off #1.html", "img/cat.png", "downloads/a.zip")
PATIENCE = 60.0

# The commands of the page, in their order.
_SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## From nothing to the first purge")[2]
_BLOCKS = re.findall(r"^```sh\n(.*?)^```$", _SECTION.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
PAGE = "".join(_BLOCKS).replace("\\\n", "").splitlines()


class House:
    """A stage without its own queue's notifications, a guarded CloudFront, and the installer's door."""

    def __init__(self, stage: LocalEnvironment, guard: Guard, program: Path) -> None:
        self.stage, self.guard = stage, guard
        machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
        self.target = {"architecture": machine, "python": _version(program), "batch_window": 1, "timeout": 20}
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
        config["install"] = {**self.target, **install}
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

    def put(self, content: bytes) -> None:
        self.stage.put(self.bucket, "index.html", content)

    def served(self, *names: str) -> dict[str, bytes]:
        """The site's first page at the edges of the README's two vendors."""
        edges = {name: self.stage.edges[name] for name in names or ("site", "fastly")}
        return {
            name: edge.fetch(edge.client_url("https://www.acme.com/index.html")).body for name, edge in edges.items()
        }

    def served_in_the_end(self, content: bytes, *names: str) -> bool:
        """One edge after the other: Fastly's fetches from CloudFront's; asked too soon it would keep the old page."""
        wanted = [{name: content} for name in names or ("site", "fastly")]
        return all(_in_the_end(lambda each=each: self.served(*each) == each) for each in wanted)  # type: ignore[misc]

    def waits_in_the_end(self) -> bool:
        """Whether a job comes to wait in the installed queue, hidden for its delay."""
        sqs = self.stage.aws.client("sqs")
        [url] = [url for url in sqs.list_queues()["QueueUrls"] if re.search(r"/multicdn-Queue-\w+$", url)]
        name = "ApproximateNumberOfMessagesDelayed"
        return _in_the_end(
            lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name] != "0"
        )

    def function_log(self) -> str:
        """What the installed function has logged."""
        logs = self.stage.aws.client("logs")
        groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
        events = [event for group in groups for event in logs.filter_log_events(logGroupName=group)["events"]]
        return "\n".join(event["message"] for event in events)[-5000:]

    def stale(self, version: bytes) -> set[str]:
        """The edges that serve something else than this version of anything."""
        return {
            name
            for name, urls in self.stage.urls(self.bucket, KEYS).items()
            if not urls or any(version not in self.stage.edges[name].fetch(url).body for url in urls.values())
        }

    def stale_in_the_end(self, version: bytes, expected: set[str]) -> set[str]:
        """The same, once it is as expected, or the patience is over."""
        _in_the_end(lambda: self.stale(version) == expected)
        return self.stale(version)

    def is_refused_in_the_end(self, action: bytes) -> bool:
        """Whether AWS refuses an action before patience is over; the other edges may be fresh before it is asked."""
        return _in_the_end(lambda: any(action in refusal for refusal in self.guard.refusals))


def _in_the_end(happens: Callable[[], bool]) -> bool:
    """Whether something happens before the patience is over."""
    end = time.monotonic() + PATIENCE
    while not (happened := happens()) and time.monotonic() < end:
        time.sleep(0.1)
    return happened


def _version(program: Path) -> str:
    """Python of the AWS on loopback: its functions run in it, whatever they ask for."""
    answer = subprocess.run([program.with_name("python"), "--version"], capture_output=True, text=True, check=True)
    return re.search(r"3\.\d+", answer.stdout)[0]  # type: ignore[index]


@pytest.fixture
def house(aws_program: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setenv(PROGRAM_VARIABLE, str(aws_program))
    with LocalEnvironment(ROOT / "multicdn.config.yml") as stage, guarded(stage, stage.buckets[0]) as guard:
        yield House(stage, guard, aws_program)


class Newcomer:
    """Somebody with the README, the wheel and an empty folder, who types what the page says.

    Not typed as it stands: pip links packages instead of fetching them, and `aws` is this process. What the vendors'
    endpoints are and for which machine the function is built is written into the file that `init` has made.
    """

    def __init__(self, house: House, programs: Path, folder: Path) -> None:
        self.house, self.folder = house, folder
        self._environment = {**os.environ, **house.stage.aws.environment()}
        self._environment["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        (folder / "fastly.token").write_text(house.stage.edges["fastly"].secrets()["token"] + "\n")

    def type(self, command: str) -> str:
        """Run a command that must succeed; what it printed."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def adapt(self) -> None:
        file = self.folder / "multicdn.config.yml"
        config = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        config["providers"]["cloudfront"]["endpoint"] = self.house.guard.endpoint
        config["providers"]["fastly"]["endpoint"] = self.house.stage.edges["fastly"].endpoint
        config["delivery"] = {"first_delay": "1s"}
        config["install"] = {**config.get("install", {}), **self.house.target}
        file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


@pytest.fixture
def newcomer(house: House, python: Path, tmp_path: Path) -> Newcomer:
    [extras] = re.findall(r"^pip install 'multicdn\[([\w,]+)\]'$", "\n".join(PAGE), re.MULTILINE)
    programs = with_extras(python.parents[1], tmp_path / "environment", extras.split(","))
    (tmp_path / "site").mkdir()
    return Newcomer(house, programs, tmp_path / "site")


@pytest.mark.timeout(600)
def test_from_nothing_to_the_first_purge_and_on_to_seven_vendors(newcomer: Newcomer) -> None:
    house = newcomer.house
    _walk(newcomer)
    _survives_a_vendor_that_fails_for_a_while(house)

    house.configure(memory=700)
    changed = house.run("apply", "--yes")
    assert "      MemorySize: 512 -> 700" in changed["plan"]
    assert changed["status"]["status"] == "UPDATE_COMPLETE"
    assert len(house.stage.edges) == 7
    for version in (b"version 5", b"version 6"):
        house.upload(version)
        assert house.stale_in_the_end(version, set()) == set(), house.stage.aws.log()
    assert house.guard.refusals == []

    # With one ARN wrong in the role's policy, that one edge keeps the old bytes, and AWS says why.
    _misdirect(house)
    house.upload(b"version 7")
    # Fastly, which fetches from it, waits for it, lest it fetch them once more.
    assert house.stale_in_the_end(b"version 7", {"site", "fastly"}) == {"site", "fastly"}
    assert house.is_refused_in_the_end(b"cloudfront:CreateInvalidation")
    assert house.failures().keys() == {"role"}

    installs.let_send_batches(house.stage.aws, allowed=False)
    house.run("destroy", "--yes", "--drop-messages")
    assert installs.notifications(house.stage.aws, house.bucket) == house.theirs
    names = installs.everything(house.stage.aws)
    assert names["functions"] == ["others"]
    assert names["roles"] == ["others"]
    assert names["buckets"] == [house.bucket]
    assert [name for name in names["queues"] if name.startswith("multicdn-")] == ["multicdn-dlq"]  # the stage's own


def _walk(newcomer: Newcomer) -> None:
    """Type the page, and look at what each command says and does."""
    house, said = newcomer.house, dict[str, str]()
    house.stage.aws.client("ssm").delete_parameter(Name="/multicdn/fastly/token")  # the newcomer is to store it
    house.put(b"version 1")
    assert house.served() == {"site": b"version 1", "fastly": b"version 1"}
    for command in PAGE:
        name = " ".join(command.split()[:3] if "install " in command else command.split()[:2])
        if command.startswith("aws s3 cp "):
            assert command.split()[3:] == ["index.html", f"s3://{house.bucket}/index.html"]
            house.put(b"version 2")
            assert house.served_in_the_end(b"version 2"), f"{house.served()} {house.function_log()}"
        elif not command.startswith("pip "):
            said[name] = newcomer.type(command)
        if name == "multicdn init":
            newcomer.adapt()
        elif name == "multicdn install plan":
            assert installs.notifications(house.stage.aws, house.bucket) == house.theirs
        elif name == "multicdn install apply":
            installs.let_send_batches(house.stage.aws)
    assert "Then:            multicdn secret check\n                 multicdn install plan\n" in said["multicdn init"]
    assert said["multicdn config"] == "multicdn.config.yml: ok: 2 providers, 1 route\n"
    assert said["multicdn secret"].startswith("stored ")
    assert "https://www.acme.com/index.html" in said["multicdn explain"]
    assert "Stack multicdn: make it" in said["multicdn install plan"]
    assert "`multicdn install test` tells it of an upload" in said["multicdn install apply"]
    assert "CREATE_COMPLETE" in said["multicdn install status"]
    assert "which is the config here" in said["multicdn install status"]
    assert re.search(r"^cloudfront\S*: purge of 2 targets accepted", said["multicdn purge"], re.MULTILINE)
    assert re.search(r"^fastly: purge of 2 targets accepted", said["multicdn purge"], re.MULTILINE)
    _look_at_the_log(newcomer)


def _look_at_the_log(newcomer: Newcomer) -> None:
    """Try the installation, and ask its log who has done what."""
    page = f"s3://{newcomer.house.bucket}/index.html"
    tried = newcomer.type(f"multicdn install test {page} --yes --json")
    assert json.loads(tried)["ok"], tried
    # Fastly is called for both at once, and either may end first.
    log = newcomer.type("multicdn logs --since 30m --outcome accepted --provider fastly")
    assert re.search(
        r"^20\d\d-.*Z  fastly: purge of 2 urls accepted \(https://www.acme.com/(?:, |index.html)", log, re.MULTILINE
    )
    told = newcomer.type(f"multicdn history {page}")
    assert re.search(r"changed +by arn:aws:\S+ \(multicdn install test\); multicdn.config.yml:\d+ applied", told), told
    assert re.search(r"^fastly: purge accepted at 20", told, re.MULTILINE), told


def _survives_a_vendor_that_fails_for_a_while(house: House) -> None:
    """What the function could not deliver waits in the stack's own queue, and is delivered when the vendor is well."""
    fastly = house.stage.edges["fastly"]
    assert set(house.served().values()) == {b"version 2"}  # and is cached from now on
    fastly.faults.always(faults.status(503))
    house.put(b"version 3")
    assert house.served_in_the_end(b"version 3", "site")
    assert house.waits_in_the_end(), house.function_log()
    assert house.served() == {"site": b"version 3", "fastly": b"version 2"}
    fastly.faults.clear()
    assert house.served_in_the_end(b"version 3"), house.function_log()


def _misdirect(house: House) -> None:
    """Put another distribution's ARN into the deployed role."""
    iam = house.stage.aws.client("iam")
    [name] = [role["RoleName"] for role in iam.list_roles()["Roles"] if role["RoleName"].startswith("multicdn-")]
    document = iam.get_role_policy(RoleName=name, PolicyName="multicdn")["PolicyDocument"]
    text = json.dumps(document).replace(house.guard.distribution, "E0000000000000")
    assert text != json.dumps(document)
    iam.put_role_policy(RoleName=name, PolicyName="multicdn", PolicyDocument=text)
