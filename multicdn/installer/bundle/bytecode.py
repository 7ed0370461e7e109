"""Byte code of what is in a bundle. Lambda can't keep what it compiles, so it would compile at every cold start."""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from multicdn import code_archive
from multicdn.installer.bundle import archive
from multicdn.installer.bundle.cache import digest
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from multicdn.installer.bundle.cache import ArchiveCache
    from multicdn.installer.bundle.runtime import Runtime

# Where Lambda unpacks the archive; tracebacks name files by it.
TASK_ROOT = "/var/task"

# From so many files on it's worth a process for each of this machine's processors to compile them.
_MANY_FILES = 500

# The code isn't checked against its source at run time, since neither changes.
_INVALIDATION = "unchecked-hash"

# peps.python.org/pep-0552: bytes before the code in a file, of which the first are the Python's number.
_MAGIC, _HEADER = 4, 16

# What Lambda imports before an archive is in use.
_BEFORE = ("multicdn/__init__.py", "multicdn/handler.py", "multicdn/code_archive.py")


def compile_all(folder: Path, runtime: Runtime) -> None:
    """Compile everything in a folder for the runtime.

    Where no Python of its minor version is at hand, nothing is done: byte code is valid for that version alone.
    """
    _compile(folder, folder, runtime)


def compile_packages(folder: Path, runtime: Runtime, cache: ArchiveCache) -> bool:
    """Do the same package by package, and take the byte code of those that were compiled before out of a cache.

    Args:
        folder: has the packages, and modules that stand alone.
        runtime: to compile for.
        cache: of byte code by sources.

    Returns:
        Whether there is byte code of multicdn.
    """
    if runtime.interpreter() is not None:
        for top in sorted(folder.iterdir()):
            sources = sorted(top.rglob("*.py") if top.is_dir() else {top} & set(folder.glob("*.py")))
            if sources:
                _compile_package(top, sources, folder, runtime, cache)
    return any(folder.glob("multicdn/__pycache__/handler.*.pyc"))


def gather(folder: Path, name: str, runtime: Runtime) -> None:
    """Put the byte code of all modules in a folder into one archive there, but for what runs before that is read.

    What something else hides that has the same name keeps its own file, as templates do that are no modules.

    Args:
        folder: has the packages; nothing is done where they weren't compiled.
        name: of the archive.
        runtime: that they were compiled for.
    """
    codes: list[tuple[str, bool, bytes]] = []
    for file in sorted(folder.rglob("*.py")):
        compiled, source = _compiled(file, runtime), file.relative_to(folder)
        if not compiled.is_file() or source.as_posix() in _BEFORE or not _is_what_is_imported(file, folder):
            continue
        content = compiled.read_bytes()
        magic = content[:_MAGIC]
        codes.append((*_module(source), content[_HEADER:]))
        compiled.unlink()
        with suppress(OSError):  # there is more in it
            compiled.parent.rmdir()
    if codes:
        (folder / name).write_bytes(code_archive.written(magic, codes))


def _is_what_is_imported(file: Path, folder: Path) -> bool:
    """Whether a file is the module that its name says: packages come before modules, and compiled ones before sources.

    See ``importlib.machinery.FileFinder``.
    """
    places = [file.with_suffix("")]
    if file.name != "__init__.py":
        places.append(file.with_suffix("") / "__init__")
    beside = {other for place in places for other in place.parent.glob(f"{glob.escape(place.name)}.*")}
    hiding = {other for other in beside if other.suffix == ".so" or other.name == "__init__.py"}
    return hiding <= {file} and "." not in "".join(file.relative_to(folder).with_suffix("").parts)


def _module(file: Path) -> tuple[str, bool]:
    """The full name of a module, and whether it is a package."""
    is_package = file.name == "__init__.py"
    return ".".join((file.parent if is_package else file.with_suffix("")).parts), is_package


def _compile_package(top: Path, sources: list[Path], folder: Path, runtime: Runtime, cache: ArchiveCache) -> None:
    """Compile a package or module in a process of its own.

    What else a process compiles shows in the bytes: which constants marshal writes as references to earlier ones
    depends on who else holds them (github.com/python/cpython/issues/98819).
    """
    hashes = {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in sources}
    key = f"code-{digest(runtime.python, TASK_ROOT, _INVALIDATION, hashes)}"
    with tempfile.TemporaryDirectory(prefix="code-", dir=folder.parent) as work:
        kept = Path(work, "code.zip")
        if cache.fetch(key, kept):
            archive.unpack(kept, folder)
        elif _compile(top, folder, runtime):
            for file in sources:
                compiled = _compiled(file, runtime)
                copy = Path(work, "code", compiled.relative_to(folder))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(compiled, copy)
            archive.pack(Path(work, "code"), kept)
            cache.store(key, kept)


def _compiled(source: Path, runtime: Runtime) -> Path:
    """Where byte code lies, as PEP 3147 says."""
    return source.parent / "__pycache__" / f"{source.stem}.cpython-{''.join(map(str, runtime.version))}.pyc"


def _compile(what: Path, folder: Path, runtime: Runtime) -> bool:
    """Compile a folder or a file; False if some of it has no byte code now, as templates that aren't Python.

    Raises:
        InstallError: it was killed half-way, and what there is of it would be kept.
    """
    interpreter = runtime.interpreter()
    if interpreter is None:
        return False
    workers = "0" if sum(1 for _ in what.rglob("*.py")) >= _MANY_FILES else "1"
    mode = ("--invalidation-mode", _INVALIDATION, "-s", str(folder), "-p", TASK_ROOT)
    command = [interpreter, "-P", "-s", "-S", "-m", "compileall", "-q", "-j", workers, *mode, str(what)]
    # A fixed seed, so that sets of constants are written in one order.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONHASHSEED": "0"}
    ended = subprocess.run(command, capture_output=True, env=environment, check=False).returncode  # noqa: S603 - our own arguments
    if ended < 0:
        raise InstallError(f"compiling {what.name} was ended by signal {-ended}; is there too little memory?")
    return ended == 0
