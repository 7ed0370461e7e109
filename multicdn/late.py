"""Imports put off: for a module that a library imports at its top and hardly ever uses.

A cold start pays for each. ``dataclasses`` imports ``inspect``, and that ``ast`` and ``dis``, to describe classes that
have no docstring; urllib3 imports ``importlib.metadata``, and that ``zipfile``, ``csv`` and ``tempfile``, for the
version of an optional package; botocore what writes its documentation. Together these are an eighth of a start.
"""

from __future__ import annotations

import importlib
import sys
import threading
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.machinery import ModuleSpec

#: What comes later, by the module that imports it.
PUT_OFF = {
    "dataclasses": ("inspect",),
    "calendar": ("locale",),  # for names of days in other languages
    "urllib.parse": ("ipaddress",),  # for hosts in brackets
    "urllib3.util.ssl_match_hostname": ("ipaddress",),  # where OpenSSL doesn't match names itself
    "urllib3.fields": ("mimetypes",),  # for parts of forms
    "urllib3.http2": ("importlib.metadata",),
    "certifi.core": ("importlib.resources",),  # where somebody asks for the file of authorities
    "http.cookiejar": ("urllib.request",),
    "requests.compat": ("urllib.request",),  # for the proxies of its own sessions
    "requests.utils": ("tempfile", "zipfile"),
    "botocore.configloader": ("configparser",),  # where there is a file of profiles
    # Where somebody asks for the documentation of a client.
    "botocore.docs": ("botocore.docs.service",),
    "botocore.docs.docstring": (
        "botocore.docs.bcdoc.restdoc",
        "botocore.docs.method",
        "botocore.docs.paginator",
        "botocore.docs.waiter",
    ),
}


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
def put_off(*names: str) -> Iterator[None]:
    """Let what is imported meanwhile get modules only when it uses them. Nobody else does, nor does anything later.

    For libraries that call what they take out of them by name, and no more. One that was imported already stays.

    Args:
        names: of the modules.
    """
    late = [_LateModule(name) for name in names if name not in sys.modules]
    sys.modules.update((module.__name__, module) for module in late)
    try:
        yield
    finally:
        for module in late:
            module.end()


class LateImports:
    """Finds the modules that import one too early; it is what ``sys.meta_path`` wants.

    Args:
        put_off: as ``PUT_OFF``.
    """

    def __init__(self, put_off: Mapping[str, Sequence[str]]) -> None:
        self._put_off = put_off

    def begin(self) -> None:
        """Put imports off, from now on."""
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Import everything at once again. What was put off still comes when it is used."""
        sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See ``importlib.abc.MetaPathFinder``."""
        late = self._put_off.get(name)
        if not late:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            # Of this one loader: what else it can do stays as it is.
            spec.loader.exec_module = _without(late, spec.loader.exec_module)  # type: ignore[method-assign,assignment]
        return spec


def _without(late: Sequence[str], run: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
    def run_without(module: ModuleType) -> None:
        try:
            with put_off(*late):
                run(module)
        except Exception:  # noqa: BLE001 - another version of it, which needs more: it gets all
            run(module)

    return run_without
