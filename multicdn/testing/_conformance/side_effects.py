"""Side effects of a piece of code: sleep, log, print, open files and sockets, import, show secrets."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import pickle
import subprocess
import sys
import time
import traceback
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from urllib.parse import quote

from multicdn.secrets import Secret

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Sequence
    from types import ModuleType

    import pytest

    from multicdn.provider import Provider

# Events of Python's audit hooks that mean work outside of the process.
_OUTSIDE = frozenset(("open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"))

# Run in a fresh interpreter: what does importing a module bring along, does it talk to anybody, and what is imported
# only by the first call of its provider?
_START = """
import importlib, json, pickle, sys
path, module, cls, options, method, arguments = pickle.load(sys.stdin.buffer)
sys.path[:] = path
import multicdn.http, multicdn.provider
before, outside, late = set(sys.modules), [], []
sys.addaudithook(lambda event, _: outside.append(event) if event.startswith(("socket.", "subprocess.")) else None)
found = importlib.import_module(module)
brought, heard = set(sys.modules) - before, list(outside)
if method:
    secret = multicdn.provider.Secret.literal
    provider = getattr(found, cls)(**{name: secret(value) if kept else value for name, kept, value in options})
    provider.prepare()
    before = set(sys.modules)
    try:
        getattr(provider, method)(*arguments, multicdn.provider.Call())
    except Exception:
        pass
    late = sorted(set(sys.modules) - before)
print(json.dumps([sorted(brought), sorted(set(heard)), late]))
"""


class Slept(BaseException):
    """Raised in place of sleeping, to end a loop that waits for better times; no ``except Exception`` holds it up."""


class Import(NamedTuple):
    """The effects of importing a module, and of using its provider.

    Attributes:
        packages: top-level packages that it brought along, the standard library's and its own left out.
        outside: what it did outside of the process, as names of audit events.
        late: modules that a call imported although the provider had prepared, the standard library's and ours left out.
        error: the end of the trace if it failed.
    """

    packages: frozenset[str]
    outside: tuple[str, ...]
    late: tuple[str, ...] = ()
    error: str = ""


def import_afresh(module: str) -> Import:
    """Import a module in a new interpreter, beside the contract and nothing else."""
    return _afresh(module, pickle.dumps((list(sys.path), module, "", (), "", ())))


def start_afresh(provider: Provider, method: str, arguments: Sequence[object]) -> Import:
    """The same with a provider's module; then let a provider of its options prepare, and make a call.

    Where they can't be handed over, such as a stub's, it is imported and no more.
    """
    cls = type(provider)
    try:
        what = (list(sys.path), cls.__module__, cls.__qualname__, _options(provider), method, arguments)
        return _afresh(cls.__module__, pickle.dumps(what))
    except (pickle.PicklingError, TypeError, AttributeError):
        return import_afresh(cls.__module__)


def _afresh(module: str, what: bytes) -> Import:
    command = [sys.executable, "-c", _START]
    run = subprocess.run(command, input=what, capture_output=True, check=False)  # noqa: S603 - the module under test
    if run.returncode:
        return Import(frozenset(), (), error="\n".join(run.stderr.decode().strip().splitlines()[-3:]))
    modules, outside, late = json.loads(run.stdout.splitlines()[-1])
    known = {*sys.stdlib_module_names, "multicdn"}
    packages = frozenset(map(_top, modules)) - known - {_top(module)}
    return Import(packages, tuple(outside), tuple(name for name in late if _top(name) not in known))


def _options(provider: Provider) -> list[tuple[str, bool, object]]:
    """Name, whether it is a secret, and value of each."""
    fields = [field for field in dataclasses.fields(provider) if field.init and not field.metadata.get("internal")]
    values = ((field.name, getattr(provider, field.name)) for field in fields)
    return [
        (name, True, value.reveal()) if isinstance(value, Secret) else (name, False, value) for name, value in values
    ]


def _top(module: str) -> str:
    return module.partition(".")[0]


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
