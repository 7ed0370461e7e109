"""The archive that Lambda runs: multicdn, the configured providers, what they need, and the config file.

It holds no boto3 unless asked to: Lambda's Python runtimes bring one. The calls that multicdn makes are older than any
runtime still offered, while a copy would add 25 MB (unpacked) for every provider, since jobs that must wait go to SQS.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from multicdn import code_archive
from multicdn.config import compiled, text_file
from multicdn.config.checker import parse
from multicdn.config.location import FILE_NAME
from multicdn.installer.bundle import archive, authorities, bytecode, check, lock, sources, wheel
from multicdn.installer.bundle.cache import ArchiveCache, default_folder, digest, sha256
from multicdn.installer.bundle.packages import BOTO3, Needs, Wheels
from multicdn.installer.bundle.runtime import Runtime
from multicdn.installer.errors import InstallError
from multicdn.plugins.discovery import HOOK_GROUP, Plugins

if TYPE_CHECKING:
    from multicdn.config import Config
    from multicdn.installer.bundle.runtime import Architecture

# Says what is in the bundle, to people and to ``build``; nothing reads it at run time.
MANIFEST = "multicdn.bundle.json"

# The SHA-256 of each wheel that was unpacked, so that two builds, or a build and an index, can be compared.
WHEELS = "multicdn.wheels.json"


@dataclass(frozen=True)
class Bundle:
    """A built bundle.

    Attributes:
        path: of the archive, which is named for its hash.
        sha256: of the archive, in hexadecimal digits. The same inputs give the same.
        size, unpacked: bytes of the archive, and of all that is in it.
        files: names in the archive, sorted.
        providers: plugin names of the providers in it, sorted.
        hooks: likewise of the hook plugins.
        packages: distributions in it, ``name==version``, sorted.
        compiled: whether it holds byte code. Without, each cold start takes about twice as long; it takes a Python of
            the function's minor version on the machine that builds.
        uncompiled: why each cold start reads and checks the config file; empty where it was compiled.
    """

    path: Path
    sha256: str
    size: int
    unpacked: int
    files: tuple[str, ...]
    providers: tuple[str, ...]
    hooks: tuple[str, ...]
    packages: tuple[str, ...]
    compiled: bool
    uncompiled: str = ""


@dataclass(frozen=True)
class _Recipe:
    """All that the bytes of a bundle depend on.

    Attributes:
        runtime: that it is for.
        providers: plugin names, sorted.
        hooks: likewise.
        needs: the distributions.
        bundled: of packages that aren't taken whole, the sub-packages that are.
        own: content of the files that don't come out of wheels, by name in the bundle.
        locked: what the lock file says; None without one.
        uncompiled: why the config isn't compiled; empty if it is.
    """

    runtime: Runtime
    providers: tuple[str, ...]
    hooks: tuple[str, ...]
    needs: Needs
    bundled: Mapping[str, Sequence[str]]
    own: Mapping[PurePosixPath, bytes]
    locked: Mapping[str, lock.Locked] | None
    uncompiled: str = ""

    def key(self, pins: Mapping[str, str]) -> str:
        """For the whole bundle."""
        own = {str(name): hashlib.sha256(content).hexdigest() for name, content in self.own.items()}
        return digest(self.packages_key(pins), self.providers, self.hooks, self.needs.boto3, own)

    def packages_key(self, pins: Mapping[str, str]) -> str:
        """For what comes out of wheels in these versions. Byte code is in it where there is a Python to make it."""
        core = Path(__file__).parents[2]
        files = (*Path(__file__).parent.glob("*.py"), core / "code_archive.py", core / "tls.py")
        builder = {file.name: file.read_text(encoding="utf-8") for file in files}
        has_byte_code = self.runtime.interpreter() is not None
        hashes = self.locked and [self.locked[name].hashes for name in sorted(pins)]
        return digest(
            builder, self.runtime.architecture, self.runtime.python, has_byte_code, self.bundled, pins, hashes
        )


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
        InstallError: a wheel can't be had, or isn't the one in the lock file; a plugin would be another version than
            the one that is installed here; credentials would get in, or the bundle is too large.
    """
    recipe = _recipe(Runtime(architecture, python), config, config_path, vendor_boto3=vendor_boto3)
    cache = ArchiveCache(default_folder())
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=work) as folder:
        wheels = Wheels(recipe.runtime, Path(folder, "wheels"), cache, recipe.locked)
        draft = Path(folder, "draft.zip")
        pins = wheels.pins(recipe.needs)
        _refuse_other_plugins(recipe, pins or {})
        if pins is None or not cache.fetch(recipe.key(pins), draft):
            task, own = Path(folder, "task"), Path(folder, "own")
            versions = _add_packages(recipe, task, draft, wheels, pins, cache)
            _refuse_other_plugins(recipe, versions)
            _add_own(recipe, task, draft, own, versions, cache)
            if versions == pins:
                cache.store(recipe.key(pins), draft)
        path = work / f"multicdn-{sha256(draft)[:16]}.zip"
        draft.replace(path)
    return _described(path)


def _recipe(runtime: Runtime, config: Config, config_path: Path, *, vendor_boto3: bool) -> _Recipe:
    plugins = Plugins()
    providers, hooks = tuple(sorted(set(config.types.values()))), _hooks(plugins)
    needs = _needs(plugins, providers, hooks, vendor_boto3=vendor_boto3)
    own = {PurePosixPath(FILE_NAME): config_path.read_bytes()}
    made, uncompiled = _compiled_config(own[PurePosixPath(FILE_NAME)], plugins, hooks)
    if made:
        own[PurePosixPath(f"{compiled.MODULE}.py")] = made
    for distribution in needs.copied.values():
        own |= {name: source.read_bytes() for name, source in sources.files(distribution).items()}
        own |= {name: text.encode() for name, text in sources.information(distribution).items()}
    asked = [plugins.provider_class(name).aws_operations for name in providers]
    own |= _service_models(text_file.decoded(own[PurePosixPath(FILE_NAME)]), asked)
    lock_file = config.install.lock
    locked = lock.read(config_path.parent / lock_file, runtime.markers) if lock_file else None
    return _Recipe(
        runtime, providers, tuple(sorted(hooks)), needs, _bundled(plugins, providers), own, locked, uncompiled
    )


def _compiled_config(source: bytes, plugins: Plugins, hooks: Mapping[str, metadata.EntryPoint]) -> tuple[bytes, str]:
    """The config as a function starts from it, with the name that its file has there; or why there is no such form."""
    config = parse(text_file.decoded(source), FILE_NAME, plugins)
    try:
        return compiled.source(config, source, {name: entry.value for name, entry in hooks.items()}), ""
    except compiled.NotCompilableError as error:
        return b"", str(error)


def _refuse_other_plugins(recipe: _Recipe, versions: Mapping[str, str]) -> None:
    """Refuse plugins, and a multicdn, of other versions than those that have checked and compiled the config.

    Raises:
        InstallError: the lock file has one, or what is fetched is one.
    """
    locked = {name: each.version for name, each in (recipe.locked or {}).items()}
    said = "the lock file has" if recipe.locked else "other plugins need"
    remedy = " or make the lock file anew" if recipe.locked else ""
    for name, wanted in {**versions, **locked}.items():
        installed = metadata.version(name) if name in recipe.needs.roots and name not in BOTO3 else None
        if installed and not SpecifierSet(f"=={wanted}").contains(installed, prereleases=True):
            raise InstallError(
                f"{said} {name} {wanted}, and {installed} is installed here, by which the config was checked: "
                f"pip install '{name}=={wanted}'{remedy}"
            )


def _service_models(text: str, asked: Sequence[Mapping[str, Sequence[str]]]) -> Mapping[PurePosixPath, bytes]:
    """What clients of AWS are made from; nothing where botocore isn't installed: the function takes all of its own."""
    try:
        from multicdn.installer.bundle import service_models
    except ImportError:
        return {}
    return service_models.files([*service_models.own_operations(text), *asked])


def _bundled(plugins: Plugins, providers: Sequence[str]) -> dict[str, list[str]]:
    """The sub-packages that stay of packages that the providers don't use whole."""
    kept: dict[str, set[str]] = {}
    for name in providers:
        for package, names in plugins.provider_class(name).bundled.items():
            kept.setdefault(package, set()).update(names)
    return {package: sorted(names) for package, names in sorted(kept.items())}


def _hooks(plugins: Plugins) -> dict[str, metadata.EntryPoint]:
    """The hook plugins installed here, which all act on every config."""
    entries = metadata.entry_points(group=HOOK_GROUP)
    return {entry.name: entry for entry in entries if entry.dist and entry.name not in plugins.disabled}


def _needs(
    plugins: Plugins, providers: Sequence[str], hooks: Mapping[str, metadata.EntryPoint], *, vendor_boto3: bool
) -> Needs:
    """The distributions to start from: ours, and those of the plugins, each with the extra of the plugin's name."""
    ours = ("", metadata.distribution(sources.OURS))
    behind = ((name, entry.dist) for name, entry in hooks.items() if entry.dist)
    origins = [ours, *behind, *((name, _origin(plugins, name)) for name in providers)]
    roots: dict[str, frozenset[str]] = {}
    copied: dict[str, metadata.Distribution] = {}
    for name, distribution in origins:
        key = canonicalize_name(distribution.name)
        extras = roots.get(key, frozenset()) | ({name} if name in _extras(distribution) else set())
        roots[key] = extras
        if key not in copied and sources.is_pure(distribution):
            copied[key] = distribution
    if vendor_boto3:
        roots["boto3"] = frozenset()
    return Needs(roots, copied, bool(hooks), vendor_boto3)


def _origin(plugins: Plugins, provider: str) -> metadata.Distribution:
    plugins.provider_class(provider)  # raises PluginError for what is missing, doubled or broken
    [plugin] = plugins.providers[provider]
    return metadata.distribution(plugin.distribution)


def _extras(distribution: metadata.Distribution) -> list[str]:
    return distribution.metadata.get_all("Provides-Extra") or []


def _add_packages(
    recipe: _Recipe, task: Path, draft: Path, wheels: Wheels, pins: Mapping[str, str] | None, cache: ArchiveCache
) -> dict[str, str]:
    """Put all that comes out of wheels into a folder and into an archive, and return the versions."""
    task.mkdir()
    if pins is not None and cache.fetch(recipe.packages_key(pins), draft):
        archive.unpack(draft, task)
        return dict(pins)
    resolved = wheels.resolve(recipe.needs)
    for each in resolved.values():
        wheel.unpack(each.path, task, recipe.bundled)
    archive.prune(task)
    authorities.add(task)
    bytecode.compile_all(task, recipe.runtime)
    bytecode.gather(task, code_archive.PACKAGES, recipe.runtime)
    versions = {name: each.version for name, each in resolved.items()}
    hashes = {f"{name}=={each.version}": f"sha256:{sha256(each.path)}" for name, each in resolved.items()}
    (task / WHEELS).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    archive.pack(task, draft)
    if versions == pins:
        cache.store(recipe.packages_key(versions), draft)
    return versions


def _add_own(
    recipe: _Recipe, task: Path, draft: Path, own: Path, versions: Mapping[str, str], cache: ArchiveCache
) -> None:
    """Add what is copied and the config, and look whether all of it runs."""
    for name, content in recipe.own.items():
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_bytes(content)
    archive.prune(own)
    has_byte_code = bytecode.compile_packages(own, recipe.runtime, cache)
    bytecode.gather(own, code_archive.OWN, recipe.runtime)
    _write_manifest(own / MANIFEST, recipe, versions, compiled=has_byte_code)
    archive.pack(own, draft)
    archive.refuse_if_too_large(draft)
    shutil.copytree(own, task, copy_function=os.replace, dirs_exist_ok=True)
    check.check(task, recipe.providers, recipe.hooks, recipe.bundled, recipe.runtime)


def _write_manifest(file: Path, recipe: _Recipe, versions: Mapping[str, str], *, compiled: bool) -> None:
    copied = {name: distribution.version for name, distribution in recipe.needs.copied.items()}
    content = {
        "architecture": recipe.runtime.architecture,
        "python": recipe.runtime.python,
        "byte_code": compiled,
        "uncompiled": recipe.uncompiled,
        "providers": list(recipe.providers),
        "hooks": list(recipe.hooks),
        "packages": [f"{name}=={version}" for name, version in sorted({**versions, **copied}.items())],
        "from_the_runtime": [] if recipe.needs.boto3 else sorted(BOTO3),
    }
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _described(path: Path) -> Bundle:
    """Read what a finished archive says of itself."""
    with zipfile.ZipFile(path) as bundle:
        manifest = json.loads(bundle.read(MANIFEST))
        entries = bundle.infolist()
    return Bundle(
        path,
        sha256(path),
        path.stat().st_size,
        sum(entry.file_size for entry in entries),
        tuple(entry.filename for entry in entries),
        tuple(manifest["providers"]),
        tuple(manifest["hooks"]),
        tuple(manifest["packages"]),
        manifest["byte_code"],
        manifest["uncompiled"],
    )
