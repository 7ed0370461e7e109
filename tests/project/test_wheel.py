"""The wheel, not only the tree, works."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from kit.environments import PIP, run

ROOT = Path(__file__).parents[2]


def test_lists_the_providers_from_an_empty_environment(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "multicdn", "providers", "--markdown"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert all(f"| `{name}` | alive |" in listed for name in ("cloudflare", "cloudfront", "fastly"))


def test_checks_a_config_from_an_empty_environment(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "multicdn", "config", "check", ROOT / "multicdn.config.yml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert checked.startswith("multicdn.config.yml: ok")


def test_needs_nothing_that_it_does_not_declare(python: Path) -> None:
    """The environment was made of what the wheel declares."""
    run(*PIP, "--python", python, "check")


def test_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"multicdn", "multicdn_providers", next(top for top in tops if top.endswith(".dist-info"))}
    assert {"multicdn/py.typed", "multicdn_providers/py.typed"} <= set(names)


def test_holds_the_files_that_new_provider_writes(wheel: Path) -> None:
    folder = ROOT / "multicdn" / "cli" / "new_provider" / "template"
    written = {str(path.relative_to(ROOT)) for path in folder.rglob("*-tpl")}
    assert written
    assert written <= set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_folder_cannot_be_imported_under_its_own_name(tmp_path: Path) -> None:
    """From the tree, `import providers` would make a second set of the same classes."""
    done = subprocess.run(
        [sys.executable, "-c", "import providers"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "multicdn_providers" in done.stderr
