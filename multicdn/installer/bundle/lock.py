"""A lock file: requirements with versions and hashes, as pip's hash-checking mode reads them.

pip.pypa.io/en/stable/topics/secure-installs/; ``pip-compile --generate-hashes`` and ``uv export`` write such files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HASH = "--hash="


@dataclass(frozen=True)
class Locked:
    """What a lock file says of a distribution.

    Attributes:
        version: the only one to take.
        hashes: of its files, each ``algorithm:digits``; at least one.
    """

    version: str
    hashes: tuple[str, ...]


def read(file: Path, markers: Mapping[str, str]) -> dict[str, Locked]:
    """The distributions that a lock file has hashes for, by canonical name.

    Args:
        file: the lock file.
        markers: of the runtime; lines that aren't for it are left out.

    Raises:
        InstallError: the file can't be read.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InstallError(f"the lock file {file} can't be read: {error}") from None
    locked: dict[str, Locked] = {}
    for line in text.replace("\\\r\n", " ").replace("\\\n", " ").splitlines():
        wanted, *hashes = line.partition(" #")[0].split(_HASH)
        if not hashes or wanted.lstrip().startswith("#"):
            continue
        requirement = _requirement(wanted, file)
        if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
            [exact] = requirement.specifier
            found = tuple(sorted(value.strip() for value in hashes))
            locked[canonicalize_name(requirement.name)] = Locked(exact.version, found)
    return locked


def _requirement(text: str, file: Path) -> Requirement:
    try:
        requirement = Requirement(text.strip())
    except InvalidRequirement as error:
        raise InstallError(f"the lock file {file}: {text.strip()!r}: {error}") from None
    if [each.operator for each in requirement.specifier] != ["=="]:
        raise InstallError(f"the lock file {file}: {text.strip()!r} has hashes, and no version after ==")
    return requirement
