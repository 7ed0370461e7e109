"""Imports put off: for a module that a library imports at its top and hardly ever uses.

A cold start pays for each. ``dataclasses`` imports ``inspect``, and that ``ast`` and ``dis``, to describe classes that
have no docstring; urllib3 imports ``importlib.metadata``, and that ``zipfile``, ``csv`` and ``tempfile``, for the
version of an optional package. Together they are a tenth of what the smallest function takes to start.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


_lock = threading.Lock()


class _LateModule(ModuleType):
    """Stands where a library has a module, and imports that one when it is asked for something.

    Whatever another thread imports meanwhile gets the module itself.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._thread = threading.get_ident()

    @property
    def __spec__(self) -> None:  # type: ignore[override]  # each import that finds it in sys.modules looks at it
        if threading.get_ident() != self._thread:
            self._imported()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks, and so do debuggers
            raise AttributeError(name)
        is_put_off = sys.modules.get(self.__name__) is self and threading.get_ident() == self._thread
        if is_put_off:  # `from module import function`, while the library is imported
            return lambda *args, **kwargs: getattr(self._imported(), name)(*args, **kwargs)
        return getattr(self._imported(), name)

    def _imported(self) -> ModuleType:
        self.end()
        return importlib.import_module(self.__name__)

    def end(self) -> None:
        """Let imports find the module itself."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Let what is imported meanwhile get a module only when it uses it. Nobody else does, nor does anything later.

    For libraries that take only functions out of it by name. Where it has been imported already it stays.

    Args:
        name: of the module.
    """
    if name in sys.modules:
        yield
        return
    late = sys.modules[name] = _LateModule(name)
    try:
        yield
    finally:
        late.end()
