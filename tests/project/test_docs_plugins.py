"""docs/plugins.md is a walk, so its blocks are executed in their order, in one folder, as a reader would."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from kit.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = ROOT / "docs" / "plugins.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
FILE = re.compile(r"# (in )?([\w./-]+\.\w+)\n")


class Block(NamedTuple):
    """A block of the page, and the line that it stands in."""

    language: str
    text: str
    line: int


class Walk:
    """Does what the blocks say. Commands share a current folder, as in a terminal."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = dict(environment)
        self._pwd = folder / ".pwd"

    def do(self, block: Block) -> None:
        """Run commands; write files, or exchange a function in one; run programs that name no file."""
        file = FILE.match(block.text)
        if block.language == "console":
            for command, shown in COMMAND.findall(block.text):
                self._run(command, shown)
        elif file and file[1]:
            self._exchange(self.folder / file[2], block.text[file.end() :])
        elif file:
            (self.folder / file[2]).write_text(block.text[file.end() :], encoding="utf-8")
        elif block.language == "python":
            subprocess.run(["python", "-c", block.text], env=self._environment, cwd=self.folder, check=True)

    def _run(self, command: str, shown: str) -> None:
        script = f"{command}\nstatus=$?; pwd > {self._pwd}; exit $status"
        done = subprocess.run(
            ["bash", "-c", script], env=self._environment, cwd=self.folder, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert matches(said, shown), f"$ {command}\n{said}\nand the page shows\n{shown}"
        assert done.returncode == ("FAILED" in shown), f"$ {command} ended with status {done.returncode}"
        self.folder = type(self.folder)(self._pwd.read_text().strip())

    def _exchange(self, file: Path, new: str) -> None:
        """Put a function in the place of the one with its name."""
        text = file.read_text(encoding="utf-8")
        [function] = ast.parse(new).body
        assert isinstance(function, ast.FunctionDef)
        [old] = [node for node in ast.parse(text).body if getattr(node, "name", "") == function.name]
        lines = text.splitlines(keepends=True)
        lines[old.lineno - 1 : old.end_lineno] = [new]
        file.write_text("".join(lines), encoding="utf-8")


def matches(said: str, shown: str) -> bool:
    """Whether an output is the one shown, where three dots stand for anything."""
    pattern = ".*".join(map(re.escape, shown.strip().split("...")))
    return re.fullmatch(pattern, said.strip(), re.DOTALL) is not None


def blocks() -> list[Block]:
    text = PAGE.read_text(encoding="utf-8")
    return [Block(match[1], match[2], text.count("\n", 0, match.start()) + 1) for match in BLOCK.finditer(text)]


def test_the_walk_from_nothing_to_a_vendor_works(workshop: Path, mypy_cache: dict[str, str], tmp_path: Path) -> None:
    walk = Walk(
        tmp_path,
        {
            **os.environ,
            **mypy_cache,
            "PATH": f"{workshop.parent}{os.pathsep}{os.environ['PATH']}",
            "PIP_NO_INDEX": "1",  # all is there
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as the value of `build_isolation`
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    for block in blocks():
        walk.do(block)
    assert walk.folder == tmp_path / "multicdn-acme"


def test_what_is_announced_in_toml_is_what_was_written(tmp_path: Path) -> None:
    from multicdn.cli.new_provider import Names, files
    from multicdn.testing.loopback.simulators import GROUP

    shown, simulators, hooks = (
        tomllib.loads(block.text)["project"]["entry-points"] for block in blocks() if block.language == "toml"
    )
    assert shown == tomllib.loads(files(Names.of("acme"))["pyproject.toml"])["project"]["entry-points"]
    assert list(simulators) == [GROUP]
    assert list(hooks) == ["multicdn.hooks"]


def test_every_kind_of_block_is_one_that_the_walk_knows() -> None:
    assert {block.language for block in blocks()} == {"console", "python", "yaml", "toml"}


@pytest.mark.parametrize(
    ("said", "shown", "same"),
    [
        ("a\n", "a", True),
        ("a\nb\nc\n", "a\n...\nc", True),
        ("12 passed in 0.31s", "12 passed in ...", True),
        ("13 passed in 0.31s", "12 passed in ...", False),
        ("a\nb", "a", False),
    ],
)
def test_dots_stand_for_anything(said: str, shown: str, same: bool) -> None:
    assert matches(said, shown) is same
