"""Side effects of a piece of code: sleep, log, print, open files and sockets, import, show secrets."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import traceback
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator
    from types import ModuleType

    import pytest

# Events of Python's audit hooks that mean work outside of the process.
_OUTSIDE = frozenset(("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"))

# Run in a fresh interpreter: what does importing a module bring along, and does it talk to anybody?
_IMPORT = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[2])
import multicdn.http, multicdn.provider
before, outside = set(sys.modules), []
sys.addaudithook(lambda event, _: outside.append(event) if event.startswith(("socket.", "subprocess.")) else None)
importlib.import_module(sys.argv[1])
print(json.dumps([sorted(set(sys.modules) - before), sorted(set(outside))]))
"""


class Slept(BaseException):
    """Raised in place of sleeping, to end a loop that waits for better times; no ``except Exception`` holds it up."""


class Import(NamedTuple):
    """The effects of importing a module.

    Attributes:
        packages: top-level packages that it brought along, the standard library's and its own left out.
        outside: what it did outside of the process, as names of audit events.
        error: the end of the trace if it failed.
    """

    packages: frozenset[str]
    outside: tuple[str, ...]
    error: str = ""


def import_afresh(module: str) -> Import:
    """Import a module in a new interpreter, beside the contract and nothing else."""
    command = [sys.executable, "-c", _IMPORT, module, json.dumps(sys.path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the module under test
    if run.returncode:
        return Import(frozenset(), (), "\n".join(run.stderr.strip().splitlines()[-3:]))
    modules, outside = json.loads(run.stdout.splitlines()[-1])
    expected = {*sys.stdlib_module_names, "multicdn", module.partition(".")[0]}
    return Import(frozenset(name.partition(".")[0] for name in modules) - expected, tuple(outside))


def own_modules(module: str) -> list[ModuleType]:
    """The imported modules of the package that a module belongs to."""
    top = module.partition(".")[0]
    return [loaded for name, loaded in sys.modules.items() if name.partition(".")[0] == top]


def forbid_sleep(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Raise ``Slept`` wherever somebody sleeps, by whatever name a module's own package calls it.

    Waiting in other ways, on a lock or a selector, isn't noticed.
    """

    def sleep(seconds: float) -> NoReturn:
        raise Slept(f"{seconds:g} seconds")

    async def sleep_asynchronously(seconds: float, result: object = None) -> NoReturn:
        del result
        sleep(seconds)

    for real, replacement in ((time.sleep, sleep), (asyncio.sleep, sleep_asynchronously)):
        for loaded in list(sys.modules.values()):
            if getattr(loaded, "__dict__", {}).get("sleep") is real:
                monkeypatch.setattr(loaded, "sleep", replacement)
        for loaded in own_modules(module):
            for name in [name for name, value in vars(loaded).items() if value is real]:
                monkeypatch.setattr(loaded, name, replacement)


def logged_by(records: Iterable[logging.LogRecord], module: str) -> list[str]:
    """The messages that a module's own package logged, whatever its loggers are called."""
    file = sys.modules[module].__file__
    own = Path(file).resolve() if file else Path()
    package = own.parent if "." in module or own.name == "__init__.py" else own
    return [record.getMessage() for record in records if Path(record.pathname).resolve().is_relative_to(package)]


@contextmanager
def outside_work() -> Iterator[list[str]]:
    """Collect what this thread and others do outside of the process while the block runs.

    Audit hooks stay until the process ends, so there is one, and it is told when to listen.
    """
    _hook.install()
    seen: list[str] = []
    _hook.listener = seen
    try:
        yield seen
    finally:
        _hook.listener = None


class _Hook:
    """The one audit hook of this process."""

    def __init__(self) -> None:
        self.listener: list[str] | None = None
        self._installed = False

    def install(self) -> None:
        """Install it, once."""
        if not self._installed:
            sys.addaudithook(self._heard)
            self._installed = True

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.listener is not None and event in _OUTSIDE:
            self.listener.append(f"{event}({arguments[0]!r})" if arguments else event)


_hook = _Hook()


def everything_said(error: BaseException | None) -> str:
    """Collect the texts that a log could show of an exception: message, attributes and trace, those of its causes too.

    What ``raise ... from None`` cuts off is shown by no log.
    """
    texts = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        texts += [*traceback.format_exception(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(texts)


def shown_in(text: str, secrets: Iterable[str]) -> bool:
    """Tell if a text shows one of these secrets: as it is, or as it may stand in JSON, a URL or base64."""
    return any(spelling in text for secret in secrets for spelling in _spellings(secret))


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield quote(secret, safe="")
    yield b64encode(secret.encode()).decode()
