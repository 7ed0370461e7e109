"""Check that a bundle works, in a process that sees nothing else that is installed here."""

from __future__ import annotations

import os
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from multicdn.errors import PluginError
from multicdn.installer.bundle import sources
from multicdn.plugins.discovery import HOOK_GROUP, PROVIDER_GROUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from multicdn.installer.bundle.runtime import Runtime

# What Lambda's runtime has beside the bundle: boto3, and what that requires.
_RUNTIME = ("boto3", "botocore", "jmespath", "s3transfer", "python-dateutil", "six", "urllib3")

_ELF = b"\x7fELF"
_SECONDS = 60

# What Lambda does in its init phase, and first what tells best which provider is to blame.
_PROBE = """
import importlib, sys
bundle, runtime, packages, *names = sys.argv[1:]
sys.path.insert(0, bundle)
sys.path.append(runtime)
from multicdn import handler
from multicdn.config import compiled, location
from multicdn.errors import MulticdnError
from multicdn.plugins.discovery import Plugins
try:
    for name in names:
        Plugins().provider_class(name)
    Plugins().hooks
    compiled.load(location.locate())
    handler.dispatcher()
    for package in packages.split():
        importlib.import_module(package)
except MulticdnError as error:
    sys.exit(str(error))
"""


def check(
    bundle: Path,
    providers: Sequence[str],
    hooks: Sequence[str],
    bundled: Mapping[str, Sequence[str]],
    runtime: Runtime,
) -> None:
    """Discover every provider and hook plugin inside a bundle, by running it where that is possible.

    Args:
        bundle: the folder that becomes the archive.
        providers: names of entry points.
        hooks: likewise.
        bundled: sub-packages by package that were taken alone, and must do without the others.
        runtime: what it was built for.

    Raises:
        PluginError: one is missing or doesn't import, or an extension module is for another processor.
    """
    check_entry_points(bundle, providers, hooks)
    _check_machines(bundle, runtime)
    interpreter = runtime.interpreter()
    if interpreter and runtime.is_here:
        with tempfile.TemporaryDirectory(prefix="multicdn-runtime-") as brought:
            sources.link(_RUNTIME, Path(brought))
            packages = " ".join(f"{package}.{name}" for package, names in bundled.items() for name in names)
            _run(interpreter, bundle, Path(brought), packages, providers)


def check_entry_points(bundle: Path, providers: Sequence[str], hooks: Sequence[str]) -> None:
    """Find the entry points of a bundle, and the module that each names, without running anything.

    Raises:
        PluginError: one is missing.
    """
    entries: dict[tuple[str, str], metadata.EntryPoint] = {}
    for distribution in metadata.distributions(path=[str(bundle)]):
        entries |= {(entry.group, entry.name): entry for entry in distribution.entry_points}
    wanted = [(PROVIDER_GROUP, name) for name in providers] + [(HOOK_GROUP, name) for name in hooks]
    for group, name in wanted:
        entry = entries.get((group, name))
        if entry is None:
            there = ", ".join(sorted(other for other_group, other in entries if other_group == group))
            hint = f"it has {there}" if there else "it has none: are the .dist-info folders in it?"
            raise PluginError(f"the bundle has no entry point {name!r} in {group}; {hint}")
        if not _has_module(bundle, entry.module):
            raise PluginError(f"the bundle has the entry point {name!r}, but not its module {entry.module}")


def _has_module(bundle: Path, name: str) -> bool:
    base = bundle.joinpath(*name.split("."))
    return (base / "__init__.py").exists() or base.with_name(f"{base.name}.py").exists() or _any(base)


def _any(base: Path) -> bool:
    return any(base.parent.glob(f"{base.name}.*.so"))


def _check_machines(bundle: Path, runtime: Runtime) -> None:
    wrong = [
        file.relative_to(bundle).as_posix()
        for file in bundle.rglob("*.so*")
        if (machine := elf_machine(file)) is not None and machine != runtime.elf_machine
    ]
    if wrong:
        raise PluginError(f"the bundle is for {runtime.architecture}, but these aren't: {', '.join(sorted(wrong))}")


def elf_machine(file: Path) -> int | None:
    """The number of the processor that a file is compiled for; None if it isn't compiled code."""
    with file.open("rb") as opened:
        header = opened.read(20)
    return int.from_bytes(header[18:20], "little") if header.startswith(_ELF) else None


def _run(interpreter: str, bundle: Path, brought: Path, packages: str, names: Iterable[str]) -> None:
    """Discover them with a new interpreter that has nothing but the bundle and Lambda's own packages."""
    command = [interpreter, "-I", "-S", "-B", "-c", _PROBE, str(bundle), str(brought), packages, *names]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LAMBDA_TASK_ROOT": str(bundle)}
    run = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=bundle, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if run.returncode != 0:
        raise PluginError(f"the bundle doesn't run: {run.stderr.strip()[-2000:]}")
