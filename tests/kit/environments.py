"""What a test run needs of this machine: the wheel, environments, and programs that may be missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"


def unavailable(reason: str) -> None:
    """Skip, unless this is CI: there a missing part would go unnoticed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def build(source: Path, target: Path) -> None:
    """Build the wheel, by way of an empty folder that gets a copy of what git knows."""
    command = ["git", "ls-files", "-coz", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source)


def install(folder: Path, *requirements: Path | str) -> None:
    """Make an environment in a folder, with these in it."""
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", CONSTRAINTS]
    run(*pip, *requirements)


def run(*command: object, cwd: Path | None = None) -> str:
    """Run a program that must succeed, and return what it wrote."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{words}:\n{done.stdout}{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Keep other processes out while the block runs."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
