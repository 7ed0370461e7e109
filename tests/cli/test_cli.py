"""The command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from multicdn.cli import main
from multicdn.plugins.chosen import DISABLE

ROOT = Path(__file__).parents[2]
EXAMPLE = str(ROOT / "multicdn.config.yml")


def run(*arguments: str, **settings: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, arguments, **settings)  # type: ignore[arg-type]
    return result.exit_code, result.output


def test_help_lists_every_command() -> None:
    code, text = run("--help")
    assert code == 0
    assert all(name in text for name in ("config", "demo", "providers", "worker"))


@pytest.mark.parametrize("command", ["config", "demo", "providers", "worker"])
def test_every_command_has_help(command: str) -> None:
    assert run(command, "--help")[0] == 0


def test_config_check_says_what_it_checked() -> None:
    code, text = run("config", "check", EXAMPLE)
    assert code == 0
    assert "multicdn.config.yml: ok: " in text


def test_config_check_lists_problems_and_fails(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text("version: 2\nproviders: {}\nroutes: [{}]\n")
    code, text = run("config", "check", str(file))
    assert code == 1
    assert text.splitlines()[0] == "bad.yml:1: version: write `version: 1`, the only version that there is"


def test_config_check_of_a_missing_file_says_so(tmp_path: Path) -> None:
    code, text = run("config", "check", str(tmp_path / "none.yml"))
    assert code == 1
    assert "no such file" in text


def test_config_check_shows_warnings_and_passes(tmp_path: Path) -> None:
    file = tmp_path / "odd.yml"
    text = (ROOT / "multicdn.config.yml").read_text(encoding="utf-8").replace("prefix: news/", "prefix: /news/")
    file.write_text(text)
    code, output = run("config", "check", str(file))
    assert code == 0
    assert "begins with a slash, and keys in S3 rarely do (warning)" in output


def test_config_schema_prints_json() -> None:
    code, text = run("config", "schema")
    assert code == 0
    assert json.loads(text)["title"] == "multicdn.config.yml"


def test_providers_lists_all_with_their_distribution() -> None:
    code, text = run("providers", env={"COLUMNS": "200"})
    assert code == 0
    assert all(name in text for name in ("cloudflare", "cloudfront", "fastly", "multicdn 0."))


@pytest.mark.parametrize("name", ["cloudflare", "cloudfront", "fastly"])
def test_providers_describes_one(name: str) -> None:
    code, text = run("providers", name)
    assert code == 0
    assert "What it can do:" in text
    assert "Options:" in text
    assert "The credentials need:" in text
    assert f"Example:\n  providers:\n    {name}:" in text


def test_an_unknown_provider_is_an_error_with_a_suggestion() -> None:
    code, text = run("providers", "fasty")
    assert code == 2
    assert "did you mean 'fastly'?" in text


def test_a_provider_that_is_switched_off_is_shown_as_broken() -> None:
    code, text = run("providers", "--markdown", env={DISABLE: "fastly"})
    assert code == 0
    assert "| `fastly` | broken |" in text


def test_worker_refuses_settings_out_of_range() -> None:
    code, text = run(
        "worker",
        "--queue",
        "http://127.0.0.1:1/1/q",
        "--batch-size",
        "0",
        env={"MULTICDN_CONFIG": EXAMPLE, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-1"},
    )
    assert code == 2, text
    assert "batch" in text


def test_worker_without_a_region_says_so() -> None:
    environment = {"MULTICDN_CONFIG": EXAMPLE, "AWS_REGION": None, "AWS_DEFAULT_REGION": None}
    code, text = run("worker", "--queue", "http://127.0.0.1:1/1/q", env=environment)
    assert code == 2, text
    assert "set AWS_REGION" in text


@pytest.mark.slow
def test_help_imports_no_sdk() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from multicdn.cli import main; "
        "CliRunner().invoke(main, ['--help']); "
        "heavy = ('boto3', 'botocore', 'cloudflare', 'akamai', 'requests', 'rich'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
