"""Installed distributions, copied to where a function's process finds them, and compiled as in a bundle."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from multicdn.installer.bundle import bytecode
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.bundle.sources import link
from rig.lambda_runtime import CLIENT, SDK

if TYPE_CHECKING:
    from collections.abc import Iterable

#: The function's runtime that is like this machine.
RUNTIME = Runtime(
    "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64",
    f"{sys.version_info.major}.{sys.version_info.minor}",
)


def copy(names: Iterable[str], folder: Path) -> None:
    """Copy distributions into a folder that isn't there yet, and compile them."""
    with tempfile.TemporaryDirectory(prefix="multicdn-links-") as links:
        link(names, Path(links))
        shutil.copytree(links, folder, ignore=shutil.ignore_patterns("__pycache__"))
    bytecode.compile_all(folder, RUNTIME)


def fill_runtime(folder: Path) -> None:
    """Copy what Lambda's runtime brings, compiled as it is there."""
    copy((*CLIENT, *SDK), folder)


def needed_by(*names: str) -> set[str]:
    """Distributions, and all that they need, extras aside."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = wanted.pop()
        if name not in found:
            found.add(name)
            needs = map(Requirement, metadata.requires(name) or ())
            wanted += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found
