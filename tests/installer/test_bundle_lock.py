"""With a lock file the function's packages are those whose hashes it has, and no others."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from kit.bundles import FASTLY, build_config, fastly_bundle, install_plugin, write_config
from kit.wheels import make_wheel

from multicdn.installer.bundle import lock
from multicdn.installer.bundle.build import WHEELS
from multicdn.installer.bundle.lock import Locked
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.installer.bundle.build import Bundle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

MARKERS = Runtime("arm64", "3.13").markers
A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def wheels() -> dict[str, str]:
    """Hashes of the wheels in the bundle for Fastly, as it names them itself."""
    with zipfile.ZipFile(fastly_bundle().path) as archive:
        found: dict[str, str] = json.loads(archive.read(WHEELS))
    return found


def build_locked(folder: Path, hashes: dict[str, str], providers: dict[str, Any] | None = None) -> Bundle:
    file = write_config(folder, providers or {"fastly": FASTLY}, install={"lock": "locked.txt"})
    text = "".join(f"{name} \\\n    --hash={value}\n    # via multicdn\n" for name, value in hashes.items())
    (folder / "locked.txt").write_text(text, encoding="utf-8")
    return build_config(file, folder)


def test_a_bundle_says_which_wheels_are_in_it() -> None:
    fetched = {name for name in fastly_bundle().packages if not name.startswith("multicdn==")}
    assert set(wheels()) == fetched
    assert all(len(value) == len(A) and value.startswith("sha256:") for value in wheels().values())


def test_the_record_of_one_build_locks_the_next(tmp_path: Path) -> None:
    built = build_locked(tmp_path, wheels())
    assert built.packages == fastly_bundle().packages
    with zipfile.ZipFile(built.path) as archive:
        assert json.loads(archive.read(WHEELS)) == wheels()


def test_a_wheel_with_another_hash_is_refused_though_the_cache_has_the_package(tmp_path: Path) -> None:
    [certifi] = (name for name in wheels() if name.startswith("certifi=="))
    with pytest.raises(InstallError, match="DO NOT MATCH THE HASHES") as raised:
        build_locked(tmp_path, {**wheels(), certifi: A})
    assert certifi in str(raised.value)


def test_a_package_that_is_not_locked_is_named(tmp_path: Path) -> None:
    some = {name: value for name, value in wheels().items() if not name.startswith("certifi==")}
    with pytest.raises(InstallError, match="the lock file has no hash of certifi, which the function needs"):
        build_locked(tmp_path, some)


def test_a_version_that_nothing_takes_is_named(tmp_path: Path) -> None:
    others = {name: value for name, value in wheels().items() if not name.startswith("urllib3==")}
    with pytest.raises(InstallError, match=r"the lock file has urllib3==1\.0, and urllib3[^ ]*>=[^ ]* is needed"):
        build_locked(tmp_path, {**others, "urllib3==1.0": A})


def test_a_lock_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=r"the lock file .*locked\.txt can't be read: .*No such file"):
        build_config(write_config(tmp_path, {"fastly": FASTLY}, install={"lock": "locked.txt"}), tmp_path)


@pytest.mark.parametrize("files", [{}, {"fast.so": ""}], ids=["copied", "fetched"])
def test_a_plugin_in_another_version_than_has_checked_the_config_is_refused(
    files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_plugin(tmp_path, monkeypatch, files=files)
    said = (
        r"^the lock file has multicdn-acme 2\.0, and 1\.2 is installed here, .*: pip install 'multicdn-acme==2\.0' or "
    )
    with pytest.raises(InstallError, match=said):
        build_locked(tmp_path, {**wheels(), "multicdn-acme==2.0": A}, {"acme": {"type": "acme"}})


def test_the_lock_file_may_have_the_plugins_that_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_plugin(tmp_path, monkeypatch)
    built = build_locked(tmp_path, {**wheels(), "multicdn-acme==1.2.0": A}, {"acme": {"type": "acme"}})
    assert "multicdn-acme==1.2" in built.packages


@pytest.mark.parametrize("version", ["99.0", "0.0.1"])
def test_a_multicdn_in_another_version_is_refused(version: str, tmp_path: Path) -> None:
    with pytest.raises(InstallError, match=f"^the lock file has multicdn {version}, and "):
        build_locked(tmp_path, {**wheels(), f"multicdn=={version}": A})


def test_without_a_lock_file_too_no_other_version_of_a_plugin_gets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is compiled, and so comes from an index; and somebody needs a newer one than is installed."""
    install_plugin(tmp_path, monkeypatch, files={"fast.so": ""}, requires=("multicdn-acme>=2",))
    monkeypatch.setenv("PIP_FIND_LINKS", str(make_wheel(tmp_path / "index", "multicdn_acme", "2.0", {}).parent))
    with pytest.raises(InstallError, match=r"^other plugins need multicdn-acme 2\.0, and 1\.2 is installed here"):
        build_config(write_config(tmp_path, {"acme": {"type": "acme"}}), tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"acme==1.0 --hash={A}\n", {"acme": Locked("1.0", (A,))}),
        (f"Acme_SDK[http]==1.0 \\\n    --hash={B} \\\n    --hash={A}\n", {"acme-sdk": Locked("1.0", (A, B))}),
        (f"acme==1.0 --hash={A}  # via somebody\n", {"acme": Locked("1.0", (A,))}),
        (f'acme==1 ; python_version < "3.13" --hash={A}\nacme==2 ; python_version >= "3.13" --hash={B}\n',
         {"acme": Locked("2", (B,))}),
        (f"# a --hash={A}\n--index-url https://pypi.org/simple\n-e .\nacme==1.0\nacme @ file:///tmp/acme\n\n", {}),
    ],
)  # fmt: skip
def test_lock_files_are_read_as_pip_reads_them(tmp_path: Path, text: str, expected: dict[str, Locked]) -> None:
    file = tmp_path / "locked.txt"
    for written in (text, text.replace("\n", "\r\n")):
        file.write_bytes(written.encode())
        assert lock.read(file, MARKERS) == expected


@pytest.mark.parametrize("line", ["acme>=1", "acme", "acme==1,!=2", "=1.0"])
def test_a_line_that_locks_nothing_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "locked.txt").write_text(f"{line} --hash={A}\n", encoding="utf-8")
    with pytest.raises(InstallError, match=rf"locked\.txt: {line!r}"):
        lock.read(tmp_path / "locked.txt", MARKERS)
