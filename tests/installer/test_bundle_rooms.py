"""Which rooms of multicdn go into bundles: what Lambda imports, and nothing that people run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from kit.bundles import FASTLY, build, fastly_bundle

import multicdn
from multicdn.installer.bundle.rooms import PUBLIC, in_lambda

PACKAGE = Path(multicdn.__file__).parent
FOR_PEOPLE = {"__main__", "authoring", "cli", "installer", "oncall", "simulators", "testing", "worker"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of multicdn, to be changed."""
    return shutil.copytree(PACKAGE, tmp_path / "multicdn", ignore=shutil.ignore_patterns("__pycache__"))


def append(file: Path, text: str) -> None:
    file.write_text(f"{file.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


def test_nothing_that_runs_in_lambda_imports_what_people_run() -> None:
    assert in_lambda(PACKAGE) & FOR_PEOPLE == set()


def test_every_room_is_either_in_lambda_or_for_people() -> None:
    rooms = {entry.stem for entry in PACKAGE.iterdir() if entry.suffix in ("", ".py") and entry.name != "__pycache__"}
    assert rooms - in_lambda(PACKAGE) == FOR_PEOPLE
    assert in_lambda(PACKAGE) >= {"__init__", *PUBLIC, "delivery", "events", "planning", "queue", "routing"}


@pytest.mark.parametrize(
    ("file", "text", "room"),
    [
        ("routing/router.py", "from multicdn.authoring.schema import write", "authoring"),
        ("delivery/lane.py", "def late():\n    import multicdn.simulators.fastly", "simulators"),
        ("queue/retry.py", "from ..oncall import explain", "oncall"),
        ("events/__init__.py", "from multicdn import worker", "worker"),
        ("handler.py", "from . import testing", "testing"),
        ("aws/s3.py", "if not TYPE_CHECKING:\n    from multicdn.cli import main", "cli"),
        ("secrets.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import multicdn.installer", "installer"),
    ],
)
def test_a_new_import_of_what_people_run_is_noticed(file: str, text: str, room: str, package: Path) -> None:
    append(package / file, text)
    assert room in in_lambda(package) & FOR_PEOPLE


def test_what_only_type_checkers_import_is_not_needed(package: Path) -> None:
    append(package / "routing/router.py", "if TYPE_CHECKING:\n    from multicdn.oncall.explain import Explanation")
    append(package / "secrets.py", "if typing.TYPE_CHECKING:\n    from .authoring import schema")
    assert in_lambda(package) == in_lambda(PACKAGE)


def test_a_room_that_nothing_imports_any_more_stays_out(package: Path) -> None:
    (package / "telescope").mkdir()
    (package / "telescope/lens.py").touch()
    assert "telescope" not in in_lambda(package)
    append(package / "planning/planner.py", "import multicdn.telescope.lens")
    assert "telescope" in in_lambda(package)


def test_names_that_the_package_itself_defines_are_no_rooms(package: Path) -> None:
    append(package / "model.py", "from multicdn import __version__")
    assert "__version__" not in in_lambda(package)


@pytest.mark.slow
def test_no_file_that_people_run_is_in_a_bundle(tmp_path: Path) -> None:
    cloudfront = {"type": "cloudfront", "distribution": "E8F6HK73EP0LT"}
    for built in (fastly_bundle(), build(tmp_path, {"fastly": FASTLY, "cloudfront": cloudfront})):
        rooms = {Path(name.split("/")[1]).stem for name in built.files if name.startswith("multicdn/")}
        assert rooms - {"__pycache__"} == in_lambda(PACKAGE)
