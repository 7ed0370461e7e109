"""The wheel and environments to install it in: they are costly, so all workers of a test run share them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from environments import build, install, locked

# Makes what a name stands for in an empty folder, unless another worker has; returns the folder.
Shared = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def make(name: str, fill: Callable[[Path], None]) -> Path:
        folder, done = base / f"shared-{name}", base / f"shared-{name}.done"
        with locked(base / f"shared-{name}.lock"):
            if not done.exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def wheel(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows, so that leftovers in the tree can't get in."""
    [built] = shared("wheel", lambda folder: build(tmp_path_factory.mktemp("source"), folder)).glob("*.whl")
    return built


@pytest.fixture(scope="session")
def python(shared: Shared, wheel: Path) -> Path:
    """The Python of an environment with the wheel and what it depends on, and no extras."""
    return shared("plain", lambda folder: install(folder, wheel)) / "bin" / "python"


@pytest.fixture(scope="session")
def workshop(shared: Shared, wheel: Path) -> Path:
    """The Python of a plugin author's environment: the wheel, pytest and mypy."""
    return shared("workshop", lambda folder: install(folder, wheel, "pytest", "mypy")) / "bin" / "python"


@pytest.fixture(autouse=True)
def _own_aws_session() -> None:
    """boto3 keeps one session for a process, with the credentials of whichever test was the first to ask."""
    if "boto3" in sys.modules:
        sys.modules["boto3"].DEFAULT_SESSION = None
