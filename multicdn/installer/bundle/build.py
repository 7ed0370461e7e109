"""The archive that Lambda runs: multicdn, the configured providers, what they need, and the config file.

It holds no boto3 unless asked to: Lambda's Python runtimes bring one. The calls that multicdn makes are older than any
runtime still offered, while a copy would add 25 MB (unpacked) for every provider, since jobs that must wait go to SQS.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from multicdn.config.checker import FILE_NAME
from multicdn.installer.bundle import archive, check, sources
from multicdn.installer.bundle.packages import BOTO3, Needs, Wheels, opened
from multicdn.installer.bundle.runtime import Target
from multicdn.plugins.discovery import HOOK_GROUP, Plugins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multicdn.config import Config
    from multicdn.installer.bundle.runtime import Architecture

# Says what is in the bundle; for people, nothing reads it at run time.
MANIFEST = "multicdn.bundle.json"


@dataclass(frozen=True)
class Bundle:
    """A built bundle.

    Attributes:
        path: of the archive, which is named for its hash.
        sha256: of the archive, in hexadecimal digits. The same inputs give the same.
        size, unpacked: bytes of the archive, and of all that is in it.
        files: names in the archive, sorted.
        providers: plugin names of the providers in it, sorted.
        packages: distributions in it, ``name==version``, sorted.
        compiled: whether it holds byte code. Without, each cold start takes about twice as long; it takes a Python of
            the function's minor version on the machine that builds.
    """

    path: Path
    sha256: str
    size: int
    unpacked: int
    files: tuple[str, ...]
    providers: tuple[str, ...]
    packages: tuple[str, ...]
    compiled: bool


def build(
    config: Config,
    config_path: Path,
    *,
    architecture: Architecture,
    python: str,
    work: Path,
    vendor_boto3: bool = False,
) -> Bundle:
    """Build the bundle of a config, from wheels for Lambda's platform, whatever machine this is.

    Args:
        config: the checked config.
        config_path: its file, which goes into the bundle under its usual name. Files that it refers to don't.
        architecture: processor of the function.
        python: its minor version, such as ``3.13``.
        work: folder for the archive; it is made if need be.
        vendor_boto3: put boto3 into the bundle, in the version that is installed here, rather than use Lambda's own.

    Raises:
        PluginError: a configured provider isn't installed, or can't be found in the bundle.
        InstallError: a wheel can't be had, credentials would get in, or the bundle is too large.
    """
    target = Target(architecture, python)
    providers, hooks = tuple(sorted(set(config.types.values()))), _hooks()
    needs = _needs(providers, hooks, vendor_boto3=vendor_boto3)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=work) as folder:
        task, draft = Path(folder, "task"), Path(folder, "draft.zip")
        packages = _assemble(task, needs, Wheels(target, Path(folder, "wheels")))
        shutil.copyfile(config_path, task / FILE_NAME)
        archive.prune(task)
        compiled = archive.compile_all(task, target)
        _write_manifest(task / MANIFEST, target, providers, packages, compiled=compiled, boto3=vendor_boto3)
        unpacked = archive.unpacked_size(task)
        check.check(task, providers, tuple(hooks), target)
        files = archive.pack(task, draft)
        sha256 = hashlib.sha256(draft.read_bytes()).hexdigest()
        path = work / f"multicdn-{sha256[:16]}.zip"
        draft.replace(path)
    return Bundle(path, sha256, path.stat().st_size, unpacked, files, providers, packages, compiled)


def _hooks() -> dict[str, metadata.Distribution]:
    """The hook plugins installed here, which all act on every config, and where each comes from."""
    disabled = Plugins().disabled
    entries = metadata.entry_points(group=HOOK_GROUP)
    return {entry.name: entry.dist for entry in entries if entry.dist and entry.name not in disabled}


def _needs(providers: Sequence[str], hooks: Mapping[str, metadata.Distribution], *, vendor_boto3: bool) -> Needs:
    """The distributions to start from: ours, and those of the plugins, each with the extra of the plugin's name."""
    found = [("", metadata.distribution(sources.OURS)), *hooks.items(), *map(_provider, providers)]
    roots: dict[str, frozenset[str]] = {}
    copied: dict[str, metadata.Distribution] = {}
    for name, distribution in found:
        key = canonicalize_name(distribution.name)
        extras = roots.get(key, frozenset()) | ({name} if name in _extras(distribution) else set())
        roots[key] = extras
        if sources.is_pure(distribution):
            copied[key] = distribution
    if vendor_boto3:
        roots["boto3"] = frozenset()
    return Needs(roots, copied, bool(hooks), vendor_boto3)


def _provider(name: str) -> tuple[str, metadata.Distribution]:
    plugins = Plugins()
    plugins.provider_class(name)  # raises PluginError for what is missing, doubled or broken
    [plugin] = plugins.providers[name]
    return name, metadata.distribution(plugin.distribution)


def _extras(distribution: metadata.Distribution) -> list[str]:
    return distribution.metadata.get_all("Provides-Extra") or []


def _assemble(task: Path, needs: Needs, wheels: Wheels) -> tuple[str, ...]:
    """Put all distributions into a folder, and return what they are."""
    resolved = wheels.resolve(needs)
    task.mkdir()
    wheels.install(resolved.values(), task)
    for distribution in needs.copied.values():
        _copy(distribution, task)
    versions = {name: opened(wheel).version for name, wheel in resolved.items()}
    versions |= {name: distribution.version for name, distribution in needs.copied.items()}
    return tuple(f"{name}=={version}" for name, version in sorted(versions.items()))


def _copy(distribution: metadata.Distribution, task: Path) -> None:
    for name, source in sources.files(distribution).items():
        _made(task / name).write_bytes(source.read_bytes())
    for name, text in sources.information(distribution).items():
        _made(task / name).write_text(text, encoding="utf-8", newline="\n")


def _made(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _write_manifest(
    file: Path, target: Target, providers: Sequence[str], packages: Sequence[str], *, compiled: bool, boto3: bool
) -> None:
    content = {
        "architecture": target.architecture,
        "python": target.python,
        "byte_code": compiled,
        "providers": list(providers),
        "packages": list(packages),
        "from_the_runtime": [] if boto3 else sorted(BOTO3),
    }
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
