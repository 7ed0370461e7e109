"""The byte code of a bundle: many modules in one file, so that a cold start doesn't look for hundreds of files.

The sources lie where they always do: tracebacks show them, and packages find their own data. Where there is no such
file, or it is of another Python, modules are imported as everywhere else.
"""

from __future__ import annotations

import marshal
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType, ModuleType
    from typing import Self

#: Names of the files: of what came out of wheels; and of multicdn, the config, and plugins that were copied.
PACKAGES, OWN = "packages.code", "multicdn.code"

#: Where one module's byte code lies in the file: its offset, its length, and whether the module is a package.
Place = tuple[int, int, bool]

_SIZE = 8  # bytes of each of the numbers that say how long the index and the code are


class CodeArchive:
    """Finds the modules of one file; it is what ``sys.meta_path`` wants.

    Args:
        folder: where the sources lie.
        file: descriptor of the file, open as long as the process runs.
        base: where the code begins in it, after the index.
        index: places by the modules' full names.
    """

    def __init__(self, folder: str, file: int, base: int, index: Mapping[str, Place]) -> None:
        self._folder = folder
        self._file = file
        self._base = base
        self._index = index

    @classmethod
    def opened(cls, folder: str, name: str) -> Self | None:
        """Open an archive; None where there is none that this Python can read."""
        try:
            file = os.open(f"{folder}/{name}", os.O_RDONLY)
        except OSError:
            return None
        head = os.read(file, len(MAGIC_NUMBER) + 2 * _SIZE)
        numbers = head[len(MAGIC_NUMBER) :]
        size, code = int.from_bytes(numbers[:_SIZE], "big"), int.from_bytes(numbers[_SIZE:], "big")
        base = len(MAGIC_NUMBER) + 2 * _SIZE + size
        if not head.startswith(MAGIC_NUMBER) or os.fstat(file).st_size != base + code:
            os.close(file)
            return None
        return cls(folder, file, base, marshal.loads(os.read(file, size)))  # noqa: S302 - as byte code is

    def modules(self) -> Iterable[str]:
        """Full names of all modules."""
        return self._index.keys()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """How a module is imported; None if it isn't here. See ``importlib.abc.MetaPathFinder``."""
        del target
        place = self._index.get(name)
        base = f"{self._folder}/{name.replace('.', '/')}"
        if place is None or not _is_first(name, base.rpartition("/")[0], sys.path if path is None else path):
            return None
        offset, size, is_package = place
        source = f"{base}/__init__.py" if is_package else f"{base}.py"
        loader = _Loader(name, source, (self._file, size, self._base + offset))
        spec = ModuleSpec(name, loader, origin=source, is_package=is_package)
        spec.has_location = True
        if is_package:
            spec.submodule_search_locations = [base]
        return spec


class _Loader(SourceFileLoader):
    """Loads the module of a source file, whose byte code lies elsewhere."""

    def __init__(self, name: str, source: str, where: tuple[int, int, int]) -> None:
        super().__init__(name, source)
        self._where = where

    def get_code(self, fullname: str) -> CodeType:
        """The module's code."""
        del fullname
        code: CodeType = marshal.loads(os.pread(*self._where))  # noqa: S302 - as byte code is
        return code


def _is_first(name: str, folder: str, path: Iterable[str]) -> bool:
    """Whether a path leads to a folder, and to no module of that name before."""
    places = [*path]
    if folder not in places:  # the package is another one, such as a layer's
        return False
    before = places[: places.index(folder)]
    found = PathFinder.find_spec(name, before) if before else None
    return found is None or found.loader is None  # which a folder that is no package has


def use(folder: str) -> None:
    """Import the modules that a bundle has in archives from there, from now on.

    What others do with imports, such as a layer that measures libraries, comes before as it did without.

    Args:
        folder: the bundle's, or one without archives: then nothing changes.
    """
    archives = [found for name in (OWN, PACKAGES) if (found := CodeArchive.opened(folder, name))]
    place = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
    sys.meta_path[place:place] = archives


def written(magic: bytes, codes: Iterable[tuple[str, bool, bytes]]) -> bytes:
    """Write an archive.

    Args:
        magic: of the Python that the byte code is of: the first bytes of any of its files.
        codes: of each module its full name, whether it is a package, and its code, marshalled.
    """
    index: dict[str, Place] = {}
    content = bytearray()
    for name, is_package, code in codes:
        index[name] = (len(content), len(code), is_package)
        content += code
    head = marshal.dumps(index)
    return magic + len(head).to_bytes(_SIZE, "big") + len(content).to_bytes(_SIZE, "big") + head + content
