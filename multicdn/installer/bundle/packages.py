"""Which distributions a bundle needs, and how to get their wheels for another machine and another Python.

pip chooses wheels for a platform, but not that platform's dependencies: it evaluates environment markers for the Python
that it runs on (github.com/pypa/pip/issues/11664). So the closure is walked here, with the runtime's markers, and pip
fetches single wheels, or they were fetched before and are in the cache. What is installed here is taken in the same
version, since that is what was tried out; what isn't, in the newest that all its dependents accept.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from multicdn.installer.bundle import wheel
from multicdn.installer.bundle.cache import digest
from multicdn.installer.bundle.sources import OURS
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from multicdn.installer.bundle.cache import ArchiveCache
    from multicdn.installer.bundle.lock import Locked
    from multicdn.installer.bundle.runtime import Runtime
    from multicdn.installer.bundle.wheel import Wheel

# What multicdn itself requires for the command line, and nothing in Lambda imports.
_COMMAND_LINE = frozenset({"click", "installer", "packaging", "pip", "rich"})

# Only imported where a hook plugin is installed.
_HOOKS = "pluggy"

# Lambda's Python runtimes bring these: docs.aws.amazon.com/lambda/latest/dg/lambda-python.html, "Runtime-included SDK".
BOTO3 = frozenset({"boto3", "botocore", "jmespath", "s3transfer"})

# Each round fetches what the round before has shown to be needed. Real dependency trees take one to four.
_MOST_ROUNDS = 12


@dataclass(frozen=True)
class Constraint:
    """Versions and extras that all dependents of a distribution together ask for."""

    specifier: SpecifierSet = field(default_factory=SpecifierSet)
    extras: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Needs:
    """The distributions that go into a bundle.

    Attributes:
        roots: distributions by canonical name, and the extras that are needed of each.
        copied: those of the closure that are copied from where they are installed.
        hooks: whether there are hook plugins.
        boto3: whether boto3 is to be in the bundle rather than Lambda's own.
    """

    roots: Mapping[str, frozenset[str]]
    copied: Mapping[str, metadata.Distribution]
    hooks: bool
    boto3: bool


class Wheels:
    """Wheels for a runtime, in a folder of their own.

    Args:
        runtime: what they must run on.
        folder: empty.
        cache: of wheels that were fetched before.
        locked: the versions to take, and hashes that wheels must have; None takes what is installed here, unchecked.
    """

    def __init__(
        self, runtime: Runtime, folder: Path, cache: ArchiveCache, locked: Mapping[str, Locked] | None = None
    ) -> None:
        self._runtime = runtime
        self._folder = folder
        self._cache = cache
        self._locked = locked
        self._wheels: dict[str, Wheel] = {}

    def pins(self, needs: Needs) -> dict[str, str] | None:
        """Versions of all that has to be fetched, by canonical name; None if pip has to choose one of them.

        Raises:
            InstallError: two dependents contradict each other, or the lock file.
        """
        constraints = self._missing(needs)
        versions = {name: self._version(name, constraint) for name, constraint in constraints.items()}
        return None if None in versions.values() else {name: str(version) for name, version in versions.items()}

    def resolve(self, needs: Needs) -> dict[str, Wheel]:
        """Fetch the wheels that complete what is copied; by canonical name.

        Raises:
            InstallError: pip can't get one for the runtime, its hash is another one than the lock file's, or two
                dependents contradict each other.
        """
        for number in range(_MOST_ROUNDS):
            missing = self._missing(needs)
            if not missing:
                return {name: self._wheels[name] for name in sorted(self._closure(needs)) if name in self._wheels}
            self._fetch(missing, self._folder / str(number))
        tangle = ", ".join(f"{name}{constraint.specifier}" for name, constraint in missing.items())
        raise InstallError(
            f"pip finds no versions that go together: {tangle}; install them here, and it takes the same"
        )

    def _missing(self, needs: Needs) -> dict[str, Constraint]:
        """Constraints of the distributions that have to be fetched, as far as the metadata at hand tells."""
        constraints = self._closure(needs)
        return {
            name: constraint
            for name, constraint in constraints.items()
            if not self._satisfied(name, constraint, needs.copied)
        }

    def _closure(self, needs: Needs) -> dict[str, Constraint]:
        """Constraints of all distributions that are needed, as far as the metadata at hand tells."""
        constraints: dict[str, Constraint] = {}
        waiting = [Requirement(f"{name}[{','.join(sorted(extras))}]") for name, extras in needs.roots.items()]
        while waiting:
            requirement = waiting.pop()
            name = canonicalize_name(requirement.name)
            known = constraints.get(name)
            before = known or Constraint()
            extras = before.extras | requirement.extras
            constraints[name] = Constraint(before.specifier & requirement.specifier, extras)
            if known is None or extras != known.extras:
                texts = self._requires(name, constraints[name], needs.copied)
                waiting += self._applying(name, texts, extras, needs)
        return constraints

    def _applying(self, name: str, texts: Iterable[str], extras: frozenset[str], needs: Needs) -> Iterator[Requirement]:
        """The requirements of a distribution that hold on the runtime."""
        environments = [{**self._runtime.markers, "extra": extra} for extra in ("", *sorted(extras))]
        left_out = frozenset() if needs.boto3 else BOTO3
        if name == OURS:
            left_out |= _COMMAND_LINE if needs.hooks else _COMMAND_LINE | {_HOOKS}
        for requirement in map(Requirement, texts):
            if canonicalize_name(requirement.name) in left_out:
                continue
            if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
                yield requirement

    def _requires(
        self, name: str, constraint: Constraint, copied: Mapping[str, metadata.Distribution]
    ) -> Iterable[str]:
        """Requirements of a distribution: of the one that goes into the bundle, or else the one that would."""
        if name in copied:
            return copied[name].requires or ()
        if name in self._wheels:
            return self._wheels[name].requires
        installed = _installed(name)
        return (installed.requires or ()) if installed and _accepts(constraint, installed.version) else ()

    def _satisfied(self, name: str, constraint: Constraint, copied: Mapping[str, metadata.Distribution]) -> bool:
        if name in copied:
            if not _accepts(constraint, copied[name].version):
                version = copied[name].version
                raise InstallError(
                    f"a plugin needs {name}{constraint.specifier}, and {version} is installed; upgrade one of them"
                )
            return True
        return name in self._wheels and _accepts(constraint, self._wheels[name].version)

    def _fetch(self, wanted: Mapping[str, Constraint], folder: Path) -> None:
        """Take wheels of known versions out of the cache, and let pip fetch the others."""
        folder.mkdir(parents=True)
        versions = {name: self._version(name, constraint) for name, constraint in wanted.items()}
        found = {name: self._cached(name, version, folder) for name, version in versions.items() if version}
        self._wheels |= {name: cached for name, cached in found.items() if cached}
        requirements = [self._requirement(*item) for item in wanted.items() if not found.get(item[0])]
        if not requirements:
            return
        for name, fetched in self._download(sorted(requirements), folder).items():
            self._wheels[name] = fetched
            if version := versions.get(name):
                self._cache.store(wheel_key(name, version, self._runtime), fetched.path)

    def _cached(self, name: str, version: str, folder: Path) -> Wheel | None:
        """The wheel of a version in the cache; with a lock file only one whose SHA-256 is in it."""
        accepted = None
        if self._locked is not None:
            accepted = [value.removeprefix("sha256:") for value in self._locked[name].hashes]
        copy = folder / f"{name}.zip"
        if not self._cache.fetch(wheel_key(name, version, self._runtime), copy, accepted):
            return None
        found = wheel.read(copy)
        return replace(found, path=copy.replace(folder / f"{found.stem}-{self._runtime.tag}.whl"))

    def _download(self, requirements: Iterable[str], folder: Path) -> dict[str, Wheel]:
        (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
        checked = () if self._locked is None else ("--require-hashes",)
        target = folder / "downloaded"
        options = ("--no-deps", f"--dest={target}", *checked, *self._runtime.pip_options)
        _pip("download", *options, f"--requirement={folder / 'requirements.txt'}")
        return {parse_wheel_filename(file.name)[0]: wheel.read(file) for file in target.glob("*.whl")}

    def _requirement(self, name: str, constraint: Constraint) -> str:
        """A requirement for pip, as a line of a file: of one version if that is known, and with its hashes."""
        version = self._version(name, constraint)
        hashes = self._locked[name].hashes if self._locked is not None else ()
        wanted = f"{name}=={version}" if version else f"{name}{constraint.specifier}"
        return " ".join((wanted, *(f"--hash={value}" for value in hashes)))

    def _version(self, name: str, constraint: Constraint) -> str | None:
        """The version that is locked; without a lock file the one that is installed here, if it will do."""
        if self._locked is None:
            installed = _installed(name)
            return installed.version if installed and _accepts(constraint, installed.version) else None
        if name not in self._locked:
            raise InstallError(f"the lock file has no hash of {name}, which the function needs; make it anew")
        version = self._locked[name].version
        if not _accepts(constraint, version):
            raise InstallError(f"the lock file has {name}=={version}, and {name}{constraint.specifier} is needed")
        return version


def wheel_key(name: str, version: str, runtime: Runtime) -> str:
    """For the wheel of a version that pip chose for a runtime."""
    return f"wheel-{digest(name, version, runtime.architecture, runtime.python)}"


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _accepts(constraint: Constraint, version: str) -> bool:
    return constraint.specifier.contains(version, prereleases=True)


def _pip(command: str, *arguments: str) -> None:
    """Run pip on the interpreter that runs this.

    Raises:
        InstallError: it isn't there, or says no; the text has what it said.
    """
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    program = [sys.executable, "-m", "pip", command, *quiet, *arguments]
    run = subprocess.run(program, capture_output=True, text=True, env={**os.environ, "PIP_USER": "0"}, check=False)  # noqa: S603 - our own arguments
    if run.returncode == 0:
        return
    if "No module named pip" in run.stderr:
        raise InstallError(f"building the bundle needs pip: {sys.executable} -m ensurepip")
    # What an error is about, such as the hash of which file, comes indented below it.
    said = [line.removeprefix("ERROR: ") for line in run.stderr.splitlines() if line.startswith(("ERROR: ", "    "))]
    raise InstallError(f"pip {command} failed: {' '.join(' '.join(said).split()) or run.stderr.strip()[-1000:]}")
