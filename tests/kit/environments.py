"""What a test run needs of this machine: the wheel, environments, and programs that may be missing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import venv
from importlib.metadata import Distribution, EntryPoint, PathDistribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[2]
PIP = (sys.executable, "-m", "pip", "-q", "--disable-pip-version-check", "--no-input")


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


def install(folder: Path, wheel: Path, *tools: str) -> None:
    """Make an environment of the wheel, what it needs, and tools.

    What it needs is linked from this environment, by what the distributions declare: nothing undeclared gets in, and
    nobody waits for the network.
    """
    venv.create(folder, symlinks=True)
    run(*PIP, "--python", folder / "bin" / "python", "install", "--no-deps", wheel)
    _link_needed(folder, (), tools)


def with_extras(plain: Path, folder: Path, extras: Iterable[str]) -> Path:
    """Copy an environment, and add what some extras of multicdn ask for; the folder of its programs."""
    shutil.copytree(plain, folder, symlinks=True)
    _link_needed(folder, extras)
    return folder / "bin"


def _link_needed(folder: Path, extras: Iterable[str], tools: Iterable[str] = ()) -> None:
    [site] = folder.glob("lib/python*/site-packages")
    [metadata] = site.glob("multicdn-*.dist-info")
    installed = PathDistribution(metadata)
    for needed in [installed, *_closure([*(installed.requires or ()), *tools], extras)]:
        if needed is not installed:
            _link(needed, site)
        for script in needed.entry_points.select(group="console_scripts"):
            _write_script(folder / "bin", script)


def _closure(requirements: Iterable[str], extras: Iterable[str]) -> list[Distribution]:
    """The installed distributions that some requirements ask for, with some extras, and those that these ask for."""
    found: dict[str, Distribution] = {}
    waiting = [(text, ("", *extras)) for text in requirements]
    while waiting:
        text, wanted = waiting.pop()
        requirement = Requirement(text)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in wanted):
            continue
        if requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            waiting += ((below, ("",)) for below in found[requirement.name].requires or ())
    return [*found.values()]


def _link(linked: Distribution, site: Path) -> None:
    files = linked.files or ()
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        target = Path(str(linked.locate_file(top)))
        if not (site / top).exists():
            (site / top).symlink_to(target)


def _write_script(folder: Path, script: EntryPoint) -> None:
    call = f"import sys\nfrom {script.module} import {script.attr}\nsys.exit({script.attr}())\n"
    (folder / script.name).write_text(f"#!{folder / 'python'}\n{call}", encoding="utf-8")
    (folder / script.name).chmod(0o755)


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
