"""No name of an object and no answer of a vendor steers the terminal of who looks at it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from multicdn.cli import main
from multicdn.cli.terminal import visible_lines
from multicdn.steering import visible

CLI = Path(__file__).parents[2] / "multicdn" / "cli"

# Sets the window's title, clears the screen, begins a line of its own; CSI of the second set; text from right to left.
STEERING = "a\x1b]0;pwned\x07\x1b[2J\nb\x9b31m\u202egnp.exe"
SHOWN = r"a\u001b]0;pwned\u0007\u001b[2J\u000ab\u009b31m\u202egnp.exe"

CONFIG = """\
version: 1
providers:
  www: {type: fastly, service: SU1Z0isxPaozGVKXdv0eY, token: "${env:WWW_TOKEN}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [www]}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "c.yml"
    file.write_text(CONFIG)
    return str(file)


def test_every_such_character_shows_as_json_writes_it() -> None:
    assert visible(STEERING) == SHOWN
    assert json.loads(f'"{visible(STEERING)}"') == STEERING
    assert visible_lines("one\ntwo\x1b") == "one\ntwo\\u001b"
    assert visible("\udc80") == r"\udc80"
    assert visible("naïve 日本 🎉") == "naïve 日本 🎉"


@pytest.mark.parametrize("key", [STEERING, "\x9b2J", "\x7f\x08", "\r s3://other/fake"])
def test_keys_in_explain(config: str, key: str) -> None:
    result = CliRunner().invoke(main, ["explain", f"s3://acme-site/{key}", "--config", config])
    assert result.exit_code == 0, result.output
    assert visible_lines(result.output) == result.output
    assert f"s3://acme-site/{visible(key)} " in result.output


@pytest.mark.parametrize("command", [["dlq", "list"], ["dlq", "redrive", "--queue", "x"], ["dlq", "drop"]])
def test_a_queue_of_no_region_is_a_sentence(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It was a trace, with whatever the URL held."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/none")
    result = CliRunner().invoke(main, [*command, "--dlq", STEERING])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert "no region: the URL" in result.output
    assert visible_lines(result.output) == result.output


def test_json_stays_json(config: str) -> None:
    result = CliRunner().invoke(main, ["explain", "s3://acme-site/\x9b2J", "--json", "--config", config])
    assert "\x9b" not in result.output
    assert json.loads(result.output)["objects"][0]["key"] == "\x9b2J"


def test_errors_too(config: str) -> None:
    result = CliRunner().invoke(main, ["explain", f"nonsense{STEERING}", "--config", config])
    assert result.exit_code == 2
    assert visible_lines(result.output) == result.output
    gone = CliRunner().invoke(main, ["config", "check", "--config", "gone\x1b[2J.yml"])
    assert gone.exit_code != 0
    assert "\x1b" not in gone.output


def test_no_command_prints_but_through_here() -> None:
    others = [file for file in CLI.rglob("*.py") if file.name != "terminal.py"]
    assert len(others) > 10
    printing = re.compile(r"\bclick\.s?echo\(|(?<![.\w])print\(|sys\.std(out|err)\.write\(")
    found = [f"{file.name}: {line.strip()}" for file in others for line in file.read_text().splitlines()
             if printing.search(line) and "def print(" not in line]  # fmt: skip
    assert found == []


@pytest.mark.parametrize(
    "command",
    [
        ["init", "--bucket", "acme-site", "--domain", "a.acme.com", "--vendor", "fastly", "--set", "fastly.service=S"],
        ["new-provider", "acme"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("folder", ["nowhere", "c.yml"])
def test_a_file_that_can_not_be_written_is_a_sentence(config: str, command: list[str], folder: str) -> None:
    """Its folder isn't there, or is no folder."""
    place = Path(config).with_name(folder)
    where = ["--into", str(place / "x")] if command[0] == "new-provider" else ["--output", str(place / "x.yml")]
    result = CliRunner().invoke(main, [*command, *where])
    [line] = result.stderr.splitlines()[-1:]
    assert result.exit_code in (1, 2)
    assert line.startswith("Error: ")
    assert str(place) in line
