"""From a folder of distributions to an archive that is the same for the same inputs."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from multicdn.installer.bundle.sources import is_secret, is_test_folder
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Unpacked, layers included: docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LARGEST = 250 * 1024 * 1024

# The earliest moment that the format knows, and the same for every file.
_MOMENT = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_READABLE = 0o100644 << 16

# Notes of the installer that differ from machine to machine, or that only an uninstaller reads.
_INSTALLERS_NOTES = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")

# What wheels carry by mistake beside their packages.
_STRAY = ("bin", "ci", "docs", "examples", "include", "share", "test", "tests")


# Parts of packages, by the names of their folders, for machines that are no Lambda: Python in a browser.
_ELSEWHERE = ("emscripten",)


def prune(folder: Path) -> None:
    """Remove what no function imports.

    Raises:
        InstallError: there is a file among it that holds credentials.
    """
    for name in _STRAY:
        shutil.rmtree(folder / name, ignore_errors=True)
    for parent, folders, files in os.walk(folder, topdown=False):
        here = Path(parent)
        for name in folders:
            if name == "__pycache__" or name in _ELSEWHERE or is_test_folder(here / name):
                shutil.rmtree(here / name)
        for name in files:
            _prune_file(here / name, PurePosixPath((here / name).relative_to(folder).as_posix()))


def _prune_file(file: Path, name: PurePosixPath) -> None:
    if is_secret(name):
        raise InstallError(f"{name} would carry credentials into the bundle")
    note = file.parent.suffix == ".dist-info" and file.name in _INSTALLERS_NOTES
    if note or file.suffix in (".pyc", ".pyi", ".pth"):
        file.unlink(missing_ok=True)


def pack(folder: Path, archive: Path) -> None:
    """Put the files of a folder into an archive, which is made if need be; they win over what is in it.

    The archive's bytes depend on names and contents only.
    """
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as opened:
        for name in sorted(_names(folder)):
            if name in opened.NameToInfo:
                opened.filelist.remove(opened.NameToInfo.pop(name))
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.create_system, entry.external_attr, entry.compress_type = _UNIX, _READABLE, zipfile.ZIP_DEFLATED
            opened.writestr(entry, (folder / name).read_bytes(), compresslevel=9)
        opened.filelist.sort(key=lambda entry: entry.filename)


def unpack(archive: Path, folder: Path) -> None:
    """Write what ``pack`` put into an archive. With byte code, since to compile it for the check takes longer."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)


def refuse_if_too_large(archive: Path) -> None:
    """Add up what an archive unpacks to, as Lambda does.

    Raises:
        InstallError: it is more than Lambda takes.
    """
    sizes: dict[str, int] = {}
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            top = entry.filename.partition("/")[0]
            sizes[top] = sizes.get(top, 0) + entry.file_size
    total = sum(sizes.values())
    if total > LARGEST:
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
        shown = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in largest)
        raise InstallError(
            f"the bundle has {total / 1e6:.0f} MB, and Lambda takes {LARGEST / 1e6:.0f}; largest: {shown}"
        )


def _names(folder: Path) -> Iterator[str]:
    return (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
