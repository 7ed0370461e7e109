"""Which rooms of multicdn go into bundles: what Lambda imports, and nothing that people run."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import multicdn_providers
import pytest
from kit.bundles import FASTLY, build, fastly_bundle

import multicdn
from multicdn.installer.bundle.rooms import PUBLIC, in_lambda

PACKAGE = Path(multicdn.__file__).parent
FOR_PEOPLE = {
    "__main__", "authoring", "extras", "cli", "installer", "local", "logbook",
    "oncall", "simulators", "testing", "vocabulary", "worker",
}  # fmt: skip


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of multicdn, to be changed; of what people run it has the empty folders."""

    def left_out(folder: str, names: list[str]) -> list[str]:
        return names if Path(folder).name in FOR_PEOPLE else ["__pycache__"]

    return shutil.copytree(PACKAGE, tmp_path / "multicdn", ignore=left_out)


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


@pytest.mark.parametrize(
    "text",
    [
        "def f():\n    async def g():\n        {}",
        "class C:\n    def f(self):\n        with x:\n            {}",
        "for x in ():\n    pass\nelse:\n    {}",
        "while x:\n    {}",
        "try:\n    {}\nexcept OSError:\n    pass",
        "try:\n    pass\nexcept OSError:\n    {}",
        "try:\n    pass\nexcept* OSError:\n    {}",
        "try:\n    pass\nexcept OSError:\n    pass\nelse:\n    {}",
        "try:\n    pass\nfinally:\n    {}",
        "match x:\n    case 1:\n        {}",
        "if x:\n    pass\nelif y:\n    {}",
        "if x.TYPE_CHECKING or y:\n    {}",
    ],
)
def test_an_import_counts_in_whatever_statement_it_is(text: str, tmp_path: Path) -> None:
    (tmp_path / "multicdn/late").mkdir(parents=True)
    for name in ("__init__", *PUBLIC):
        (tmp_path / f"multicdn/{name}.py").touch()
    assert "late" not in in_lambda(tmp_path / "multicdn")
    append(tmp_path / "multicdn/handler.py", text.format("from .late import imported"))
    assert "late" in in_lambda(tmp_path / "multicdn")


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
        assert not [name for name in built.files if "checks." in name and name.startswith("multicdn_providers/")]


def test_what_providers_say_to_the_doctor_is_imported_by_nothing_else() -> None:
    """A bundle has none of it."""
    importing: dict[str, set[str]] = {}
    for file in Path(multicdn_providers.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(file.read_bytes())):
            for node in ast.iter_child_nodes(function):
                if isinstance(node, ast.ImportFrom) and (node.module or "").endswith("checks"):
                    importing.setdefault(getattr(function, "name", "?"), set()).add(file.stem)
    assert importing.keys() == {"diagnose"}
