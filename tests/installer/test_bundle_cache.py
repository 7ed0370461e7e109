"""What was built before isn't built again, and whatever befalls the cache, the bundle is the same.

Where pip must not run, it may not ask any index either: then it fails, and says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from kit import bundles
from kit.bundles import FASTLY, HERE, PYTHON, build, fastly_bundle
from kit.wheels import make_wheel

from multicdn.installer.bundle.cache import VARIABLE, ArchiveCache, default_folder, digest
from multicdn.installer.bundle.packages import wheel_key
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ACME = {"type": "acme"}


@pytest.fixture
def cache(tmp_path: Path) -> ArchiveCache:
    return ArchiveCache(tmp_path / "cache")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "archive.zip"
    file.write_bytes(b"an archive")
    return file


@pytest.fixture(scope="module")
def shared() -> Path:
    """The folder of the cache that Fastly's bundle was built with."""
    fastly_bundle()
    return default_folder()


@pytest.fixture
def filled(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own with Fastly's bundle and its packages, and without wheels; returns its folder."""
    own = tmp_path / "own" / "bundles"
    own.mkdir(parents=True, exist_ok=True)
    for entry in shared.glob("[0-9a-f]*.zip"):
        (own / entry.name).write_bytes(entry.read_bytes())
    monkeypatch.setenv(VARIABLE, str(own.parent))
    return own


@pytest.fixture
def wheels(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own with the wheels of Fastly's bundle; returns its folder."""
    fetched = (package for package in fastly_bundle().packages if not package.startswith("multicdn=="))
    own = tmp_path / "own" / "bundles"
    for name, version in (package.split("==") for package in fetched):
        key = wheel_key(name, version, Runtime(HERE, PYTHON))
        assert ArchiveCache(shared).fetch(key, tmp_path / "wheel")
        ArchiveCache(own).store(key, tmp_path / "wheel")
    monkeypatch.setenv(VARIABLE, str(own.parent))
    return own


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip has no index, and no folder to look in either."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")


# What doesn't run pip


@pytest.mark.usefixtures("filled", "offline")
def test_the_same_inputs_are_not_built_again(tmp_path: Path) -> None:
    again = build(tmp_path, {"fastly": FASTLY})
    assert again.path != fastly_bundle().path
    assert again.path.read_bytes() == fastly_bundle().path.read_bytes()
    assert (again.sha256, again.size, again.unpacked) == (
        fastly_bundle().sha256,
        fastly_bundle().size,
        fastly_bundle().unpacked,
    )
    assert (again.files, again.packages, again.providers) == (
        fastly_bundle().files,
        fastly_bundle().packages,
        ("fastly",),
    )


@pytest.mark.usefixtures("filled", "offline")
def test_another_config_takes_the_packages_that_are_there(tmp_path: Path) -> None:
    built = build(tmp_path, {"fastly": {**FASTLY, "service": "7hKvXbXqLnH0XwH5iOEZd2"}})
    assert built.files == fastly_bundle().files
    with zipfile.ZipFile(built.path) as opened:
        assert b"7hKvXbXqLnH0XwH5iOEZd2" in opened.read("multicdn.config.yml")
        assert opened.testzip() is None


@pytest.mark.usefixtures("filled", "offline")
def test_a_changed_working_copy_takes_the_packages_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = bundles.install_working_copy(tmp_path, monkeypatch)
    first = build(tmp_path, {"acme": ACME})
    (package / "words.txt").write_text("changed", encoding="utf-8")
    second = build(tmp_path, {"acme": ACME})
    assert first.sha256 != second.sha256
    with zipfile.ZipFile(second.path) as opened:
        assert opened.read("multicdn_acme/words.txt") == b"changed"


# What does


@pytest.mark.usefixtures("filled", "offline")
def test_another_version_of_a_package_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = tmp_path / "site" / "certifi-9999.1.1.dist-info"
    newer.mkdir(parents=True)
    (newer / "METADATA").write_text("Metadata-Version: 2.1\nName: certifi\nVersion: 9999.1.1\n", encoding="utf-8")
    bundles.make_importable(newer.parent, monkeypatch)
    with pytest.raises(InstallError, match="pip download failed"):
        build(tmp_path, {"fastly": FASTLY})


@pytest.mark.usefixtures("filled", "offline")
@pytest.mark.parametrize("settings", [{"architecture": bundles.ELSEWHERE}, {"vendor_boto3": True}])
def test_other_settings_are_other_packages(settings: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(InstallError, match="pip download failed"):
        build(tmp_path, {"fastly": FASTLY}, **settings)


@pytest.mark.usefixtures("offline")
def test_what_pip_chose_is_chosen_anew(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that isn't installed here has no version that a key could name."""
    bundles.install_plugin(tmp_path, monkeypatch, requires=("multicdn", "foreign-sdk"))
    before = sorted(wheels.glob("wheel-*"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(make_wheel(tmp_path / "index", "foreign_sdk", "1.0", {}).parent))
    built = build(tmp_path, {"acme": ACME})
    assert "foreign-sdk==1.0" in built.packages
    assert sorted(wheels.glob("wheel-*")) == before
    assert [entry.name for entry in wheels.iterdir() if not entry.name.startswith(("wheel-", "code-"))] == []


# Damage


def _cut(entry: Path) -> None:
    os.truncate(entry, entry.stat().st_size // 2)


def _flip(entry: Path) -> None:
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)


def _empty(entry: Path) -> None:
    entry.write_bytes(b"")


@pytest.mark.parametrize("damage", [_cut, _flip, _empty])
def test_a_damaged_entry_counts_as_none_and_goes(
    damage: Callable[[Path], None], cache: ArchiveCache, archive: Path, tmp_path: Path
) -> None:
    cache.store("key", archive)
    [entry] = (tmp_path / "cache").iterdir()
    damage(entry)
    copy = tmp_path / "copy"
    assert not cache.fetch("key", copy)
    assert not copy.exists()
    assert not entry.exists()
    cache.store("key", archive)
    assert cache.fetch("key", copy)
    assert copy.read_bytes() == b"an archive"


@pytest.mark.usefixtures("wheels", "offline")
def test_damaged_bundles_are_built_again_from_wheels_with_the_same_bytes(filled: Path, tmp_path: Path) -> None:
    for entry in filled.glob("[0-9a-f]*.zip"):
        _cut(entry)
    deep = tmp_path / "further" / "down"
    deep.mkdir(parents=True)
    again = build(deep, {"fastly": FASTLY})
    assert (again.sha256, again.path.name) == (fastly_bundle().sha256, fastly_bundle().path.name)
    assert again.path.read_bytes() == fastly_bundle().path.read_bytes()


def test_a_cache_that_cannot_be_written_does_without(
    filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: Path
) -> None:
    del filled
    monkeypatch.setenv(VARIABLE, str(archive))  # a file, where a folder has to be made
    cache = ArchiveCache(default_folder())
    cache.store("key", archive)
    assert not cache.fetch("key", tmp_path / "copy")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InstallError, match="pip download failed"):
        build(tmp_path, {"fastly": FASTLY})


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_others_can_write_is_not_used(
    mode: int, cache: ArchiveCache, archive: Path, tmp_path: Path
) -> None:
    cache.store("key", archive)
    (tmp_path / "cache").chmod(mode)
    assert not cache.fetch("key", tmp_path / "copy")
    cache.store("other", archive)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    (tmp_path / "cache").chmod(0o755)
    assert cache.fetch("key", tmp_path / "copy")


def test_the_null_device_is_no_cache(archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, os.devnull)
    cache = ArchiveCache(default_folder())
    cache.store("key", archive)
    assert not cache.fetch("key", tmp_path / "copy")


# Bounds


def test_the_entries_that_were_not_used_for_the_longest_time_go(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    cache = ArchiveCache(folder, most_bytes=3 * len(archive.read_bytes()))
    for age, key in enumerate(("d", "c", "b"), start=1):
        cache.store(key, archive)
        [entry] = folder.glob(f"{key}-*")
        os.utime(entry, (entry.stat().st_atime, entry.stat().st_mtime - 100 * age))
    assert cache.fetch("b", tmp_path / "copy")
    cache.store("e", archive)
    assert sorted(entry.name[0] for entry in folder.iterdir()) == ["b", "d", "e"]


def test_what_an_interrupted_process_left_goes_too(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    left = folder / "new-left.zip"
    left.write_bytes(b"x" * 100)
    os.utime(left, (0, 0))
    ArchiveCache(folder, most_bytes=50).store("key", archive)
    assert [entry.name.partition("-")[0] for entry in folder.iterdir()] == ["key"]


def test_files_of_others_stay(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "notes.txt").write_text("x" * 100, encoding="utf-8")
    ArchiveCache(folder, most_bytes=10).store("key", archive)
    assert (folder / "notes.txt").exists()


# Several processes

_RUSH = """
import sys
from pathlib import Path
from multicdn.installer.bundle.cache import ArchiveCache
folder, own = Path(sys.argv[1]), Path(sys.argv[2])
cache = ArchiveCache(folder, most_bytes=5_000_000)
own.with_suffix(".in").write_bytes(b"x" * 1_000_000)
for turn in range(60):
    key = f"key{turn % 7}"
    if cache.fetch(key, own):
        assert own.read_bytes() == b"x" * 1_000_000
    else:
        assert not own.exists()
        cache.store(key, own.with_suffix(".in"))
"""


def test_several_processes_never_see_half_an_entry(tmp_path: Path) -> None:
    running = [
        subprocess.Popen([sys.executable, "-c", _RUSH, str(tmp_path / "cache"), str(tmp_path / f"copy{number}")])
        for number in range(4)
    ]
    assert [process.wait(timeout=120) for process in running] == [0, 0, 0, 0]
    assert 0 < sum(entry.stat().st_size for entry in (tmp_path / "cache").iterdir()) <= 6_000_000
    assert not list((tmp_path / "cache").glob("new-*"))


# Where it is, and what is never in it


def test_the_variable_wins_over_the_cache_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv(VARIABLE, "/chosen")
    assert default_folder() == Path("/chosen/bundles")
    monkeypatch.delenv(VARIABLE)
    assert default_folder() == Path("/xdg/multicdn/bundles")


@pytest.mark.parametrize("base", [None, "", "relative/path"])
def test_without_a_directory_of_ones_own_it_is_below_the_home(
    base: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if base is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", base)
    assert default_folder() == tmp_path / ".cache/multicdn/bundles"


def test_nobody_else_may_look_into_it(cache: ArchiveCache, archive: Path, tmp_path: Path) -> None:
    cache.store("key", archive)
    modes = [path.stat().st_mode & 0o077 for path in (tmp_path / "cache", *(tmp_path / "cache").iterdir())]
    assert modes == [0, 0]


def test_refused_credentials_do_not_get_in(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(filled.iterdir())
    package = bundles.install_working_copy(tmp_path, monkeypatch)
    (package / ".edgerc").write_text("client_secret = hunter2", encoding="utf-8")
    with pytest.raises(InstallError, match="would carry credentials"):
        build(tmp_path, {"acme": ACME})
    assert sorted(filled.iterdir()) == before


def test_keys_differ_by_every_input() -> None:
    assert len({digest("a", "b"), digest("b", "a"), digest("ab"), digest(["a", "b"]), digest("a", "b", None)}) == 5
    assert digest({"x": 1, "y": 2}) == digest({"y": 2, "x": 1})
