"""What a visitor meets before anything is installed: install.py, the demo, pre-commit, the page on PyPI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from multicdn.cli import main
from multicdn.testing.loopback.aws import MINISTACK, PROGRAM_VARIABLE

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone's install.py and, as an editable install leaves it, metadata beside it."""
    shutil.copy(ROOT / "install.py", tmp_path)
    (tmp_path / "multicdn.egg-info").mkdir()
    (tmp_path / "multicdn.egg-info" / "PKG-INFO").write_text("Name: multicdn\nVersion: 0.1.0\n")
    (tmp_path / "multicdn" / "cli").mkdir(parents=True)
    (tmp_path / "multicdn" / "cli" / "install.py").write_text("import click_that_is_not_there\n")
    return tmp_path


def install(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it in a Python that has no packages."""
    command = [sys.executable, "-S", clone / "install.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_it_may_be_run_as_it_lies_in_the_repository() -> None:
    assert os.access(ROOT / "install.py", os.X_OK)
    assert (ROOT / "install.py").read_text(encoding="utf-8").startswith("#!/usr/bin/env python3\n")


@pytest.mark.slow
def test_without_an_environment_it_says_what_to_type(clone: Path) -> None:
    done = install(clone, "plan")
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert f"once, in {clone}: python3 -m venv .venv && .venv/bin/python -m pip install -e '.[all]'" in line


@pytest.mark.slow
def test_it_goes_on_in_the_environment_of_the_clone(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    python = clone / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    done = install(clone, "plan", "--stack", "a b")
    assert done.stdout.splitlines() == [str(clone / "install.py"), "plan", "--stack", "a b"]


@pytest.mark.slow
def test_an_environment_that_lacks_multicdn_is_not_entered_again_and_again(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    done = install(clone, "plan")
    assert done.returncode == 1
    assert "install.py needs multicdn" in done.stderr


@pytest.mark.parametrize("command", ["demo", "local"])
def test_where_no_aws_can_be_made_it_is_said_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    monkeypatch.setenv("MULTICDN_CACHE", "/dev/null")
    result = CliRunner().invoke(main, [command, "--config", str(ROOT / "multicdn.config.yml")])
    assert result.exit_code == 1
    assert "no AWS for loopback could be made: /dev/null/aws/" in result.stderr
    how = "python3 -m venv ~/aws-sim && ~/aws-sim/bin/python -m pip install"
    assert f"{how} {' '.join(MINISTACK)}; export {PROGRAM_VARIABLE}=" in result.stderr


def test_the_demo_of_no_config_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "multicdn.config.yml: no such file" in result.stderr


def test_make_installs_the_same_aws_as_the_demo_names() -> None:
    assert f"MINISTACK := {' '.join(MINISTACK)}\n" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_pre_commit_runs_a_command_that_there_is() -> None:
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert hook["language"] == "python"
    program, *words = hook["entry"].split()
    assert program == "multicdn"
    assert CliRunner().invoke(main, [*words, str(ROOT / "multicdn.config.yml")]).exit_code == 0
    chosen = ["multicdn.config.yml", "sites/multicdn.staging.yaml"]
    others = ["multicdn.in.yml", "multicdn.config.yml.bak", "docs/multicdn.schema.json", "my-multicdn.config.yml"]
    taken = [
        name for name in chosen + others if re.search(hook["files"], name) and not re.search(hook["exclude"], name)
    ]
    assert taken == chosen


def test_the_page_on_pypi_says_what_it_is_and_where(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    page = message_from_bytes(archive.read(name))
    links = dict(link.split(", ") for link in page.get_all("Project-URL", []))
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog", "Security"} == set(links)
    assert all(link.startswith("https://") for link in links.values())
    assert page["License-Expression"] == "MIT"
    classifiers = page.get_all("Classifier", [])
    assert not any(classifier.startswith("License ::") for classifier in classifiers)  # PyPI refuses both
    assert "Programming Language :: Python :: 3.13" in classifiers
    assert "## From nothing to the first purge" in page.get_payload()
