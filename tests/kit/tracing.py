"""Coverage of a program with threads, before Python 3.12: there `sys.settrace` fails while another thread is in it.

coverage.py calls it at the start of each thread, and pytest-cov again where a test shall not be traced. Here only the
product's own threads are traced, which begin one at a time, and the end comes once.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

_PRODUCT = "multicdn."
# Rooms for people, as in pyproject.toml; ``__main__`` does something when it is imported.
_OMITTED = ("__main__", "authoring", "cli", "installer", "local", "logbook", "oncall", "simulators", "testing")
_NO_PRODUCT = ("multicdn.simulators.", "multicdn.testing.")


def begin() -> None:
    """Take the tracing of threads over from coverage.py, if it traces at all."""
    if not _running():
        return
    threading.settrace(None)  # type: ignore[arg-type]  # that ends it
    start, one = threading.Thread.start, threading.Lock()

    def traced(run: Callable[[], None]) -> None:
        with one:
            if coverage := _running():
                coverage._collector._start_tracer()
        run()

    def start_traced(thread: threading.Thread) -> None:
        if _is_ours(thread):
            thread.run = partial(traced, thread.run)  # type: ignore[method-assign]
        start(thread)

    threading.Thread.start = start_traced  # type: ignore[method-assign]


@contextmanager
def paused(*packages: str) -> Iterator[None]:
    """Import packages with all that is counted of them, and then trace nothing for a while. No other thread may run."""
    coverage = _running()
    if not coverage:
        yield
        return
    for package in packages:
        for name in _modules(importlib.import_module(package)):
            importlib.import_module(name)
    coverage._collector.pause()
    try:
        yield
    finally:
        coverage._collector.resume()


def _modules(package: ModuleType) -> Iterator[str]:
    """The names of a package's modules but those that coverage leaves out."""
    omitted = tuple(f"{package.__name__}.{name}" for name in _OMITTED)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.startswith(omitted):
            yield found.name


def end() -> None:
    """Trace nothing any more."""
    while coverage := _running():
        coverage.stop()


def _running() -> Any:
    return sys.modules["coverage"].Coverage.current() if "coverage" in sys.modules else None


def _is_ours(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None)
    module = getattr(getattr(target, "func", target) or type(thread), "__module__", "")
    return module.startswith(_PRODUCT) and not module.startswith(_NO_PRODUCT)
