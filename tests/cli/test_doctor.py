"""``multicdn doctor``: a line a finding, a remedy for each red one, JSON, and an exit status for CI."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from multicdn import secrets
from multicdn.cli import main
from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

CONFIG = """\
version: 1
providers:
  fastly: {{token: "${{env:DOCTOR_TOKEN}}", service: SU1Z0isxPaozGVKXdv0eY, endpoint: "{endpoint}"}}
routes:
  - {{bucket: acme-site, urls: ["https://www.acme.com/{{key}}"], purge: [fastly]}}
install: {{region: eu-west-1}}
"""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "DOCTOR_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    made = tmp_path / "c.yml"
    made.write_text(CONFIG.format(endpoint="https://api.fastly.com"))
    return made


def doctor(path: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--config", str(path), *options])


def test_without_network_it_tells_what_this_machine_knows(path: Path) -> None:
    result = doctor(path)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert f"ok       config: {path}: 1 provider, 1 route" in lines
    assert "ok       extras: all that the config needs is installed here" in lines
    warned = lines.index("warning  config: install.alarm_topic is empty: the alarms tell nobody")
    assert lines[warned + 1].strip() == "-> write the ARN of an SNS topic that somebody reads"
    assert lines[-1].endswith("1 warning; --online asks AWS and the vendors, too")


@pytest.mark.parametrize("text", ["version: 2\n", "version: 1\nproviders: {a: {type: nosuch}}\nroutes: []\n", "a: ["])
def test_a_wrong_config_fails_and_the_rest_is_looked_at(path: Path, text: str) -> None:
    path.write_text(text)
    result = doctor(path, "--online")
    assert result.exit_code == 1
    assert "FAILED   config: c.yml:" in result.output
    assert "ok       plugins: installed:" in result.output
    assert "Traceback" not in result.output


def test_no_config_at_all_is_a_line_too(path: Path) -> None:
    path.unlink()
    result = doctor(path)
    assert (result.exit_code, "FAILED   config: " in result.output) == (1, True)


def test_a_missing_package_is_a_line_with_the_one_command(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing or too old, as everywhere; online too, where an import fails, and once for all that needs it."""

    def version(name: str) -> str:
        if name == "cloudflare":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "boto3" else real(name)

    real = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    path.write_text(
        'version: 1\nproviders: {edge: {type: cloudflare, zone: z, token: "${ssm:/t}"}}\n'
        'routes: [{bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [edge]}]\n'
    )
    checks = json.loads(doctor(path, "--json").stdout)["checks"]
    [line] = [line for line in checks if line["check"] == "extras"]
    assert line["text"].startswith("edge and ${ssm:...} need cloudflare and boto3>=")
    assert line["text"].endswith("(not 1.0), which aren't installed here")
    assert line["remedy"].endswith("pip install 'multicdn[aws,cloudflare]'")


def test_without_the_sdk_of_aws_its_checks_say_so_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    checks = json.loads(doctor(path, "--online", "--json").stdout)["checks"]
    lines = {line["check"]: line for line in checks}
    assert lines["aws"]["text"] == "this command needs boto3, which isn't installed here"
    assert lines["aws"]["remedy"].endswith("pip install 'multicdn[aws]'")
    assert [line["check"] for line in checks if "boto3" in line["text"]] == ["aws"]
    assert {lines[name]["text"] for name in ("stack", "function", "queue")} == {
        "not looked at: who we are in AWS isn't known"
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--region", "x y"), "--region: 'x y' can't be one: write one such as eu-west-1"),
        (("--stack", "9x", "--region", "eu-west-1"), "--stack: '9x' can't be one: letters, digits"),
        (("--timeout", "0"), "0.0 is not in the range"),
    ],
)
def test_what_makes_no_sense_is_status_2(path: Path, options: tuple[str, ...], words: str) -> None:
    result = doctor(path, "--online", *options)
    assert (result.exit_code, words in result.output) == (2, True)
    assert "Traceback" not in result.output


@pytest.mark.slow
def test_one_that_is_sick_stops_no_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS doesn't know us; the vendor is asked all the same. JSON has what the screen has, and no secret."""
    with FastlySimulator("http://127.0.0.1:9") as cdn:
        monkeypatch.setenv("DOCTOR_TOKEN", cdn.token)
        path.write_text(CONFIG.format(endpoint=cdn.endpoint))
        result = doctor(path, "--online", "--json")
        assert len(cdn.calls) == 1
    answer: dict[str, Any] = json.loads(result.stdout)
    assert (answer["version"], answer["config"], answer["online"]) == (1, str(path), True)
    lines = {(line["check"], line["state"]): line for line in answer["checks"]}
    assert answer["counts"]["failed"] == sum(line["state"] == "failed" for line in answer["checks"]) == 1
    assert "no AWS credentials found" in lines["aws", "failed"]["text"]
    assert "sign in" in lines["aws", "failed"]["remedy"]
    assert lines["function", "unknown"]["text"].startswith("not looked at")
    assert "with scope purge_all purge_select" in lines["vendor fastly online", "ok"]["text"]
    assert result.exit_code == 1
    assert cdn.token not in result.output


def test_secrets_are_read_in_the_region_of_the_config(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And in no other that the shell names; afterwards the shell's own is back."""
    seen: list[str | None] = []
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setitem(
        secrets.BUILT_IN, "ssm", lambda _: seen.append(os.environ.get("AWS_DEFAULT_REGION")) or "x" * 20
    )
    path.write_text(CONFIG.format(endpoint="http://127.0.0.1:9").replace("env:DOCTOR_TOKEN", "ssm:/t"))
    doctor(path, "--online")
    assert seen == ["eu-west-1"]
    assert (os.environ["AWS_REGION"], os.environ.get("AWS_DEFAULT_REGION")) == ("us-west-2", None)


@pytest.mark.slow
def test_a_token_that_is_refused_is_told_with_what_it_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCTOR_TOKEN", "simulated-token-that-nobody-knows")
    with FastlySimulator("http://127.0.0.1:9") as cdn:
        path.write_text(CONFIG.format(endpoint=cdn.endpoint))
        result = doctor(path, "--online")
    lines = result.output.splitlines()
    [place] = [place for place, line in enumerate(lines) if "the credentials aren't" in line]
    assert lines[place].startswith("FAILED   vendor fastly online: the credentials aren't accepted: GET ")
    assert lines[place + 1].strip().startswith("-> store credentials with: purge_select; purge_all")
    assert "nobody-knows" not in result.output
