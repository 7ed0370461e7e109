"""Byte code is compiled once for each package and kept by its sources, and is the same bytes wherever it comes from."""

from __future__ import annotations

import importlib.machinery
import os
import shutil
from typing import TYPE_CHECKING

import pytest
from kit.bundles import HERE, PYTHON

from multicdn.code_archive import PACKAGES, CodeArchive
from multicdn.installer.bundle.bytecode import compile_all, compile_packages, gather
from multicdn.installer.bundle.cache import ArchiveCache
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

RUNTIME = Runtime(HERE, PYTHON)
SOURCES = {
    "multicdn/__init__.py": "",
    "multicdn/handler.py": 'WORDS = {"one", "two", "three"}\ndef handler(event): return event["one"]\n',
    "multicdn/events/s3.py": "def names(event): return [one for one in event]\n",
    "acme.py": 'ONE, TWO = "one", "two"\n',
}


def task(folder: Path, **changed: str) -> Path:
    """A folder of its own with the sources, to be compiled."""
    for name, text in (SOURCES | {name.replace("__", "/") + ".py": text for name, text in changed.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def compiled(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix().split(".")[0]: file.read_bytes() for file in folder.rglob("*.pyc")}


@pytest.fixture
def cache(tmp_path: Path) -> ArchiveCache:
    return ArchiveCache(tmp_path / "cache")


@pytest.fixture
def first(cache: ArchiveCache, tmp_path: Path) -> dict[str, bytes]:
    """The byte code of the sources, which is in the cache now."""
    folder = task(tmp_path / "first")
    assert compile_packages(folder, RUNTIME, cache)
    return compiled(folder)


@pytest.fixture
def without_compiler(first: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, whoever compiles gets nothing."""
    del first
    monkeypatch.setattr(Runtime, "interpreter", lambda _: shutil.which("false"))


def test_every_module_has_byte_code_that_names_where_lambda_has_it(first: dict[str, bytes]) -> None:
    where = {name.rpartition("/")[0].replace("__pycache__", "").strip("/") for name in first}
    assert where == {"", "multicdn", "multicdn/events"}
    assert len(first) == len(SOURCES)
    assert b"/var/task/multicdn/handler.py" in first["multicdn/__pycache__/handler"]


@pytest.mark.usefixtures("without_compiler")
def test_what_was_compiled_before_is_not_compiled_again(
    first: dict[str, bytes], cache: ArchiveCache, tmp_path: Path
) -> None:
    again = task(tmp_path / "further" / "down")
    assert compile_packages(again, RUNTIME, cache)
    assert compiled(again) == first


@pytest.mark.usefixtures("without_compiler")
@pytest.mark.parametrize("name", ["multicdn__handler", "multicdn__new", "multicdn__events__deeper__new"])
def test_a_package_with_another_source_is_compiled_anew(name: str, cache: ArchiveCache, tmp_path: Path) -> None:
    again = task(tmp_path / "again", **{name: "CHANGED = 1\n"})
    assert not compile_packages(again, RUNTIME, cache)
    assert [name.split("/")[-1] for name in compiled(again)] == ["acme"]


@pytest.mark.usefixtures("without_compiler")
def test_a_moved_source_is_compiled_anew(cache: ArchiveCache, tmp_path: Path) -> None:
    again = task(tmp_path / "again")
    (again / "acme.py").rename(again / "acme2.py")
    (again / "multicdn/events/s3.py").rename(again / "multicdn/events/s4.py")
    assert not compile_packages(again, RUNTIME, cache)
    assert compiled(again) == {}


def test_neither_damage_nor_neighbours_change_the_bytes(
    first: dict[str, bytes], cache: ArchiveCache, tmp_path: Path
) -> None:
    for entry in (tmp_path / "cache").iterdir():
        os.truncate(entry, entry.stat().st_size - 1)
    beside = task(tmp_path / "beside", another='one = "one"; two = "two"; event = "event"\n')
    assert compile_packages(beside, RUNTIME, cache)
    found = compiled(beside)
    assert {name: found[name] for name in first} == first


def test_what_is_no_python_stays_without_and_is_tried_again(cache: ArchiveCache, tmp_path: Path) -> None:
    folder = task(tmp_path / "task", acme="{{ a template }}")
    assert compile_packages(folder, RUNTIME, cache)
    assert len(compiled(folder)) == len(SOURCES) - 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_without_that_python_nothing_is_taken_from_the_cache_either(
    first: dict[str, bytes], cache: ArchiveCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del first
    monkeypatch.setattr(Runtime, "interpreter", lambda _: None)
    folder = task(tmp_path / "task")
    assert not compile_packages(folder, RUNTIME, cache)
    assert compiled(folder) == {}


def test_what_is_killed_half_way_is_not_kept(
    cache: ArchiveCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nkill -9 $$\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(Runtime, "interpreter", lambda _: str(program))
    with pytest.raises(InstallError, match=r"^compiling acme\.py was ended by signal 9; is there too little memory\?$"):
        compile_packages(task(tmp_path / "task"), RUNTIME, cache)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("hiding", "hidden"),
    [
        ("acme/twin/__init__.py", "acme/twin.py"),
        ("acme/quick{suffix}", "acme/quick.py"),
        ("acme/quick.abi3.so", "acme/quick.py"),
        ("acme/whole/__init__{suffix}", "acme/whole/__init__.py"),
        ("acme/whole/__init__{suffix}", "acme/whole.py"),
        ("acme/deep/words.py", "acme/deep.words.py"),
    ],
)
def test_what_something_else_of_its_name_hides_is_not_in_the_archive(hiding: str, hidden: str, tmp_path: Path) -> None:
    """The archive is looked at first, and Python's own order has to hold: packages, compiled modules, sources."""
    names = ["acme/__init__.py", hiding.format(suffix=importlib.machinery.EXTENSION_SUFFIXES[0]), hidden]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"HERE = {name!r}\n" * name.endswith(".py"), encoding="utf-8")
    compile_all(tmp_path, RUNTIME)
    gather(tmp_path, PACKAGES, RUNTIME)
    found = CodeArchive.opened(str(tmp_path), PACKAGES)
    assert found is not None
    sources = {name for name in names if name.endswith(".py") and name != hidden}
    assert {*found.modules()} == {
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources
    }
    for module in found.modules():
        spec = found.find_spec(module, [str(tmp_path.joinpath(*module.split(".")[:-1]))])
        assert spec is not None
        assert spec.origin in {str(tmp_path / name) for name in sources}
    assert len([*tmp_path.rglob("*.pyc")]) == 1
