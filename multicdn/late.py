"""Imports put off: for a module that a library imports at its top and hardly ever uses.

A cold start pays for each. ``dataclasses`` imports ``inspect``, and that ``ast`` and ``dis``, to describe classes that
have no docstring; urllib3 imports ``importlib.metadata``, and that ``zipfile``, ``csv`` and ``tempfile``, for the
version of an optional package. Together they are a tenth of what the smallest function takes to start.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class _LateModule(ModuleType):
    """Stands where a library has a module, and imports that one when it is asked for something."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system asks, and so do debuggers
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # `from module import function`, while the library is imported
            return lambda *args, **kwargs: getattr(importlib.import_module(self.__name__), name)(*args, **kwargs)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Let what is imported meanwhile get a module only when it uses it. Nobody else does, nor does anything later.

    For libraries that use nothing of the module while they are imported, and take only functions out of it by name.
    Where it has been imported already it stays. Not for several threads at once.

    Args:
        name: of the module.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _LateModule(name)
    try:
        yield
    finally:
        del sys.modules[name]
