"""The wheel, not only the tree, works."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what git knows, so that leftovers in the tree can't get in."""
    source = tmp_path_factory.mktemp("source")
    archive = subprocess.run(["git", "ls-files", "-coz", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, archive.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(source)]
    subprocess.run(command, check=True, capture_output=True)
    [built] = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel and what it depends on, and no extras."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    constraints = ROOT / ".ci" / "constraints.txt"
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", constraints, wheel]
    subprocess.run(command, check=True, capture_output=True)
    return python


def test_lists_the_providers_from_an_empty_environment(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "multicdn", "providers", "--markdown"]
    listed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert all(f"| `{name}` | alive |" in listed for name in ("cloudflare", "cloudfront", "fastly"))


def test_checks_a_config_from_an_empty_environment(python: Path, tmp_path: Path) -> None:
    command = [python, "-m", "multicdn", "config", "check", ROOT / "multicdn.config.yml"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert checked.startswith("multicdn.config.yml: ok")


def test_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"multicdn", "multicdn_providers", next(top for top in tops if top.endswith(".dist-info"))}
    assert {"multicdn/py.typed", "multicdn_providers/py.typed"} <= set(names)


def test_the_folder_cannot_be_imported_under_its_own_name(tmp_path: Path) -> None:
    """From the tree, `import providers` would make a second set of the same classes."""
    run = subprocess.run(
        [sys.executable, "-c", "import providers"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode != 0
    assert "multicdn_providers" in run.stderr
