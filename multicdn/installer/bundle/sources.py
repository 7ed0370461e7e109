"""Distributions that are copied into the bundle from where they are installed: multicdn itself, and its plugins.

They need not be on any index, and may be installed from a working copy (``pip install -e``).
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
from fnmatch import fnmatch, translate
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from multicdn.installer.bundle.rooms import in_lambda
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

OURS, PROVIDERS = "multicdn", "multicdn_providers"

# Files that hold credentials by their very purpose.
_SECRETS = (
    ".env",
    ".env.*",
    ".edgerc",
    ".netrc",
    ".pypirc",
    ".npmrc",
    ".aws",
    ".ssh",
    "id_rsa",
    "id_ed25519",
    "*.pfx",
    "*.p12",
)
_SECRET = re.compile("|".join(map(translate, _SECRETS)), re.IGNORECASE)

_COMPILED = (".so", ".pyd", ".dylib")
_TESTS = ("test_*.py", "*_test.py", "conftest.py")


def is_secret(path: PurePosixPath) -> bool:
    """Whether a file, or a folder that it is in, is one that holds credentials."""
    return any(map(_SECRET.match, path.parts))


def is_test_folder(folder: Path) -> bool:
    """Whether a folder holds tests. Its name alone doesn't say so: one vendor's SDK has an API that is called tests."""
    if folder.name not in ("test", "tests"):
        return False
    return any(fnmatch(file.name, pattern) for file in folder.iterdir() for pattern in _TESTS)


def files(distribution: metadata.Distribution) -> dict[PurePosixPath, Path]:
    """The files of an installed distribution that run: where each goes in the bundle, and where it is.

    Raises:
        InstallError: one of them is a file that holds credentials, or none can be found.
    """
    located = dict(_located(distribution))
    secrets = [str(source) for name, source in located.items() if is_secret(name)]
    if secrets:
        raise InstallError(
            f"{distribution.name} would carry credentials into the bundle: {', '.join(secrets)}; move them out"
        )
    if not located:
        raise InstallError(f"no files of {distribution.name} {distribution.version} can be found; install it again")
    package = located.get(PurePosixPath(OURS, "__init__.py"))
    rooms = in_lambda(package.parent) if package else frozenset()
    own = {name: source for name, source in located.items() if _is_code(name) and _is_in(rooms, name)}
    return {name: source for name, source in own.items() if not _is_for_doctor(name)}


def is_pure(distribution: metadata.Distribution) -> bool:
    """Whether a distribution is the same on every machine."""
    return not any(name.suffix in _COMPILED for name, _ in _located(distribution))


def information(distribution: metadata.Distribution) -> dict[PurePosixPath, str]:
    """Texts of the ``.dist-info`` folder: what a plugin is found by, its metadata, its licence."""
    folder = PurePosixPath(f"{re.sub(r'[-_.]+', '_', distribution.name)}-{distribution.version}.dist-info")
    texts = {
        # Its body is the README, which would make another bundle of the same code.
        "METADATA": _head(distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""),
        "entry_points.txt": distribution.read_text("entry_points.txt"),
    }
    for name in distribution.metadata.get_all("License-File") or ():
        texts[f"licenses/{name}"] = _license(distribution, name)
    return {folder / name: text for name, text in texts.items() if text}


def link(names: Iterable[str], folder: Path) -> None:
    """Make installed distributions, and no others, importable from a folder. Skips what isn't installed."""
    for name in names:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for top in sorted({file.parts[0] for file in distribution.files or () if file.parts[0] != ".."}):
            link = folder / top
            if not link.exists():
                link.symlink_to(Path(str(distribution.locate_file(top))))


def _head(metadata_text: str) -> str:
    return metadata_text.partition("\n\n")[0].rstrip("\n") + "\n"


def _license(distribution: metadata.Distribution, name: str) -> str | None:
    """A licence: where wheels have it, where old ones had it, or beside the metadata of a working copy."""
    return next(filter(None, (distribution.read_text(f"{place}{name}") for place in ("licenses/", "", "../"))), None)


def _is_in(rooms: frozenset[str], name: PurePosixPath) -> bool:
    """Whether a file is of one of these rooms of ours, or isn't ours at all."""
    return name.parts[0] != OURS or Path(name.parts[1]).stem in rooms


def _is_for_doctor(name: PurePosixPath) -> bool:
    """Whether a file is what one of our providers says to ``multicdn doctor``, and to nobody else."""
    return name.parts[0] == PROVIDERS and name.name.endswith("checks.py")


def _is_code(name: PurePosixPath) -> bool:
    return "__pycache__" not in name.parts and name.suffix not in (".pyc", ".pyi") and not name.name.startswith(".")


def _is_editable(distribution: metadata.Distribution) -> bool:
    """Whether the files are elsewhere than beside the metadata, as ``direct_url.json`` (PEP 610) says; or no wheel."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable")) or distribution.read_text("RECORD") is None


def _located(distribution: metadata.Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """All files of a distribution, but for tests: where each goes, and where it is."""
    return _from_working_copy(distribution) if _is_editable(distribution) else _from_record(distribution)


def _from_record(distribution: metadata.Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    """Files that the installer of the wheel wrote, without scripts and the metadata."""
    for file in distribution.files or ():
        source = Path(str(distribution.locate_file(file)))
        outside = file.parts[0] == ".." or file.parts[0].endswith(".dist-info")
        if not outside and source.suffix != ".pth" and not any(map(is_test_folder, _folders(source, len(file.parts)))):
            yield PurePosixPath(file), source


def _folders(source: Path, depth: int) -> Iterator[Path]:
    return (folder for folder in list(source.parents)[: depth - 1] if folder.is_dir())


def _from_working_copy(distribution: metadata.Distribution) -> Iterator[tuple[PurePosixPath, Path]]:
    for name in _packages(distribution):
        spec = importlib.util.find_spec(name)
        if spec is None:
            continue
        if spec.submodule_search_locations is None and spec.origin:
            yield PurePosixPath(Path(spec.origin).name), Path(spec.origin)
        for folder in spec.submodule_search_locations or ():
            yield from _walk(Path(folder), PurePosixPath(name))


def _packages(distribution: metadata.Distribution) -> list[str]:
    """Names that one can import: as the build back end wrote them down, else those that the entry points name."""
    listed = (distribution.read_text("top_level.txt") or "").split()
    return listed or sorted({entry.module.partition(".")[0] for entry in distribution.entry_points})


def _walk(folder: Path, name: PurePosixPath) -> Iterator[tuple[PurePosixPath, Path]]:
    for parent, folders, names in os.walk(folder):
        here = Path(parent)
        folders[:] = [child for child in folders if child != "__pycache__" and not is_test_folder(here / child)]
        for file in names:
            source = here / file
            yield name / PurePosixPath(source.relative_to(folder).as_posix()), source
