"""A wheel: what it says of itself, and its files."""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import installer
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.records import RecordEntry
from installer.sources import WheelFile

from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from installer.sources import WheelContentElement

# What reading a damaged one raises.
_UNSOUND = (InstallerError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)

_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Wheel:
    """A wheel and its metadata.

    Attributes:
        path: of the file.
        stem: name and version as its folders have them, and its file name must.
        version: of the distribution.
        requires: its requirements.
    """

    path: Path
    stem: str
    version: str
    requires: tuple[str, ...]


def read(path: Path) -> Wheel:
    """Read the metadata of a wheel."""
    [folder] = (each for each in zipfile.Path(path).iterdir() if each.name.endswith(".dist-info"))
    found = metadata.PathDistribution(folder)
    return Wheel(path, folder.name.removesuffix(".dist-info"), found.version, tuple(found.requires or ()))


def unpack(path: Path, folder: Path, bundled: Mapping[str, Collection[str]]) -> None:
    """Write the files of a wheel where they can be imported from, as pip does.

    Args:
        path: of the wheel.
        folder: may have files already; those of the wheel win.
        bundled: sub-packages by package that are written alone, without the others of that package.

    Raises:
        InstallError: it isn't what its RECORD says, or has a file that would lie outside.
    """
    schemes = {**dict.fromkeys(("purelib", "platlib", "data"), str(folder)), "scripts": str(folder / "bin")}
    schemes["headers"] = str(folder / "include")
    target = SchemeDictionaryDestination(schemes, sys.executable, "posix", overwrite_existing=True)
    with warnings.catch_warnings():
        # Byte code, which is made anew for the runtime.
        warnings.filterwarnings("ignore", "Skip installing .*__pycache__", RuntimeWarning)
        try:
            with zipfile.ZipFile(path) as opened:
                source = _CheckedPart(opened, bundled)
                source.validate_record(validate_contents=False)
                installer.install(source, target, {})
        except _UNSOUND as error:
            said = str(error).replace(str(path), path.name)[:_MOST_CHARACTERS]
            raise InstallError(f"the wheel {path.name} is damaged, or was made wrong: {said}") from None


class _CheckedPart(WheelFile):
    """The files of a wheel that are needed, and each compared with RECORD before it is written.

    Checking a whole wheel first would take longer than to unpack the part of a large SDK.
    """

    def __init__(self, opened: zipfile.ZipFile, bundled: Mapping[str, Collection[str]]) -> None:
        super().__init__(opened)
        self._bundled = {f"{package.replace('.', '/')}/": kept for package, kept in bundled.items()}

    def get_contents(self) -> Iterator[WheelContentElement]:
        """Raises ValueError for a file that isn't the recorded one."""
        for recorded, stream, is_executable in super().get_contents():
            if self._is_left_out(recorded[0]):
                continue
            content = io.BytesIO(stream.read())
            if not RecordEntry.from_elements(*recorded).validate_stream(content):
                raise ValueError(f"{recorded[0]} isn't what RECORD says")
            content.seek(0)
            yield recorded, content, is_executable

    def _is_left_out(self, name: str) -> bool:
        for package, kept in self._bundled.items():
            if name.startswith(package):
                child, below, _ = name.removeprefix(package).partition("/")
                return bool(below) and child not in kept
        return False
