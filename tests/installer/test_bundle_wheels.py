"""Wheels: fetched once for each runtime, unpacked as pip does, and taken only as they were made.

pip has no index here but a folder of the test's own: what isn't there and is found all the same was in the cache.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from kit.bundles import ELSEWHERE, HERE, PYTHON, make_importable
from kit.wheels import make_wheel

from multicdn.installer.bundle import wheel
from multicdn.installer.bundle.cache import ArchiveCache
from multicdn.installer.bundle.lock import Locked
from multicdn.installer.bundle.packages import Needs, Wheels, wheel_key
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Most of these run pip.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNTIME = Runtime(HERE, PYTHON)
CODE = {"acme_sdk/__init__.py": b"fetched = True\n"}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Fetching:
    """Wheels in the versions that are installed here, from a cache and a folder that pip looks into."""

    def __init__(self, folder: Path) -> None:
        self.index = folder / "index"
        self.cache = ArchiveCache(folder / "cache")
        self._folder = folder
        self._turns = 0

    def resolve(
        self, *names: str, runtime: Runtime = RUNTIME, locked: Mapping[str, Locked] | None = None
    ) -> dict[str, str]:
        """SHA-256 of each wheel that is found, by name."""
        self._turns += 1
        wheels = Wheels(runtime, self._folder / f"turn{self._turns}", self.cache, locked)
        resolved = wheels.resolve(Needs(dict.fromkeys(names, frozenset()), {}, hooks=False, boto3=False))
        return {name: sha256(each.path) for name, each in resolved.items()}

    def keep(self, name: str, version: str, path: Path, runtime: Runtime = RUNTIME) -> None:
        self.cache.store(wheel_key(name, version, runtime), path)


@pytest.fixture
def fetching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    """acme-sdk 1.0 and other-sdk 2.0 are installed here."""
    for name in ("acme_sdk-1.0", "other_sdk-2.0"):
        folder = tmp_path / "site" / f"{name}.dist-info"
        folder.mkdir(parents=True)
        distribution, version = name.split("-")
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
    make_importable(tmp_path / "site", monkeypatch)
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return Fetching(tmp_path)


# The cache of wheels


def test_pip_is_asked_once_for_each_wheel(fetching: Fetching) -> None:
    acme = make_wheel(fetching.index, "acme_sdk", "1.0", CODE)
    first = fetching.resolve("acme-sdk")
    acme.unlink()
    other = make_wheel(fetching.index, "other_sdk", "2.0", {})
    assert fetching.resolve("acme-sdk", "other-sdk") == {**first, "other-sdk": sha256(other)}
    other.unlink()
    assert set(fetching.resolve("acme-sdk", "other-sdk")) == {"acme-sdk", "other-sdk"}


@pytest.mark.parametrize("runtime", [Runtime(ELSEWHERE, PYTHON), Runtime(HERE, "3.9")])
def test_a_wheel_for_another_runtime_is_another(fetching: Fetching, runtime: Runtime, tmp_path: Path) -> None:
    fetching.keep("acme-sdk", "1.0", make_wheel(tmp_path, "acme_sdk", "1.0", CODE))
    with pytest.raises(InstallError, match=r"No matching distribution found for acme-sdk==1\.0"):
        fetching.resolve("acme-sdk", runtime=runtime)


def test_a_damaged_wheel_is_fetched_again(fetching: Fetching, tmp_path: Path) -> None:
    acme = make_wheel(fetching.index, "acme_sdk", "1.0", CODE)
    fetching.keep("acme-sdk", "1.0", acme)
    [entry] = (tmp_path / "cache").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1])
    assert fetching.resolve("acme-sdk") == {"acme-sdk": sha256(acme)}
    assert entry.read_bytes() == acme.read_bytes()


def test_a_wheel_that_is_not_locked_is_not_taken_from_the_cache(fetching: Fetching, tmp_path: Path) -> None:
    fetching.keep("acme-sdk", "1.0", make_wheel(tmp_path, "acme_sdk", "1.0", CODE))
    wanted = make_wheel(fetching.index, "acme_sdk", "1.0", {**CODE, "acme_sdk/more.py": b""})
    right = sha256(wanted)
    locked = {"acme-sdk": Locked("1.0", (f"sha256:{right}",))}
    assert fetching.resolve("acme-sdk", locked=locked) == {"acme-sdk": right}
    wanted.unlink()
    # Now the cache has both.
    assert fetching.resolve("acme-sdk", locked=locked) == {"acme-sdk": right}
    with pytest.raises(InstallError, match=r"No matching distribution found for acme-sdk==1\.0"):
        fetching.resolve("acme-sdk", locked={"acme-sdk": Locked("1.0", (f"sha256:{'a' * 64}",))})


def test_a_version_that_pip_must_choose_is_not_taken_from_the_cache(fetching: Fetching, tmp_path: Path) -> None:
    fetching.keep("foreign-sdk", "1.0", make_wheel(tmp_path, "foreign_sdk", "1.0", {}))
    newer = make_wheel(fetching.index, "foreign_sdk", "1.1", {})
    assert fetching.resolve("foreign-sdk") == {"foreign-sdk": sha256(newer)}


def test_keys_of_wheels_differ_by_name_version_and_runtime() -> None:
    keys = {
        wheel_key("acme", "1.0", RUNTIME),
        wheel_key("acme", "1.1", RUNTIME),
        wheel_key("acm", "1.0", RUNTIME),
        wheel_key("acme", "1.0", Runtime(ELSEWHERE, PYTHON)),
        wheel_key("acme", "1.0", Runtime(HERE, "3.9")),
    }
    assert len(keys) == 5


# Metadata, and files


def test_metadata_is_read_from_a_wheel(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "acme_sdk", "3.1", {})
    assert wheel.read(path) == wheel.Wheel(path, "acme_sdk-3.1", "3.1", ("idna; extra == 'idna'",))


def unpacked(folder: Path) -> dict[str, bytes]:
    files = (file for file in folder.rglob("*") if file.is_file() and not file.parent.name.endswith(".dist-info"))
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_files_lie_where_python_looks_for_them(tmp_path: Path) -> None:
    data = "acme_sdk-1.0.data"
    files = {
        **CODE,
        f"{data}/purelib/acme_sdk/pure.py": b"1",
        f"{data}/platlib/fast.so": b"2",
        f"{data}/data/t.txt": b"3",
    }
    scripts = {f"{data}/scripts/acme": b"#!python\n", "acme_sdk/__pycache__/pure.cpython-311.pyc": b"5"}
    wheel.unpack(make_wheel(tmp_path, "acme_sdk", "1.0", files | scripts), tmp_path / "task", {})
    found = {name: content for name, content in unpacked(tmp_path / "task").items() if not name.startswith("bin/")}
    assert found == {**CODE, "acme_sdk/pure.py": b"1", "fast.so": b"2", "t.txt": b"3"}
    assert (tmp_path / "task/acme_sdk-1.0.dist-info/METADATA").exists()


def test_a_file_that_two_wheels_have_is_that_of_the_last(tmp_path: Path) -> None:
    wheel.unpack(
        make_wheel(tmp_path, "acme_sdk", "1.0", {"shared/a.py": b"1", "shared/b.py": b"1"}), tmp_path / "task", {}
    )
    wheel.unpack(make_wheel(tmp_path, "other_sdk", "1.0", {"shared/b.py": b"2"}), tmp_path / "task", {})
    assert unpacked(tmp_path / "task") == {"shared/a.py": b"1", "shared/b.py": b"2"}


def test_only_the_sub_packages_that_are_used_are_unpacked(tmp_path: Path) -> None:
    names = ("acme/api/a/x.py", "acme/api/b/x.py", "acme/api/c.py", "acme/apis/b/x.py", "other/acme/api/b/x.py")
    path = make_wheel(tmp_path, "acme_sdk", "1.0", dict.fromkeys(names, b""))
    wheel.unpack(path, tmp_path / "task", {"acme.api": ["a"]})
    assert unpacked(tmp_path / "task").keys() == set(names) - {"acme/api/b/x.py"}


@pytest.mark.parametrize(
    ("files", "recorded", "said"),
    [
        (CODE, {"acme_sdk/__init__.py": b"fetched = None\n"}, "acme_sdk/__init__.py isn't what RECORD says"),
        ({**CODE, "late.pth": b"import os"}, CODE, "late.pth is not mentioned in RECORD"),
        ({"../outside.py": b""}, None, "Attempting to write ../outside.py outside of the target directory"),
        ({"/tmp/outside.py": b""}, None, "Can't mix absolute and relative paths"),
    ],
)
def test_a_wheel_that_was_tampered_with_is_refused(
    files: dict[str, bytes], recorded: dict[str, bytes] | None, said: str, tmp_path: Path
) -> None:
    path = make_wheel(tmp_path, "acme_sdk", "1.0", files, recorded)
    with pytest.raises(InstallError, match=r"the wheel acme_sdk-1\.0-.*\.whl is damaged, or was made wrong") as refused:
        wheel.unpack(path, tmp_path / "task", {})
    assert said in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_wheel_with_a_broken_archive_is_refused(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "acme_sdk", "1.0", CODE)
    path.write_bytes(path.read_bytes().replace(b"fetched = True", b"fetched = Trux"))
    with pytest.raises(InstallError, match="Bad CRC-32"):
        wheel.unpack(path, tmp_path / "task", {})
    path.write_bytes(b"no archive at all")
    with pytest.raises(InstallError, match="not a zip file"):
        wheel.unpack(path, tmp_path / "task", {})
