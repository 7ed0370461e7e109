"""A checked config as a module that a bundle starts from: no YAML, no check, no look at what is installed.

The module holds the calls that make the config, so that reading it is running byte code. ``source`` writes it where a
bundle is built, and proves that it makes the same config; ``load`` runs it in Lambda. Where the config file beside it
was changed since, the file counts.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import importlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from multicdn import __version__, secrets
from multicdn.config.checked import Config
from multicdn.errors import MulticdnError, told
from multicdn.plugins.chosen import DISABLE, ChosenPlugins
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

#: Name of the module, which lies beside the config file.
MODULE = "multicdn_compiled"

# Changes whenever an older reader would misunderstand what is written.
_FORMAT = 1

_PLAIN = (type(None), bool, int, float, str, bytes)


class NotCompilableError(MulticdnError):
    """A config can't be written so that it reads as the same one."""


class OutdatedError(MulticdnError):
    """What was compiled is not of this config file, or can't be read."""


class CompiledConfig(Struct, frozen=True):
    """What a bundle starts from."""

    config: Config
    plugins: ChosenPlugins


def source(config: Config, content: bytes, hooks: Mapping[str, str]) -> bytes:
    """Write the module of a checked config.

    Args:
        config: as it was checked.
        content: of its file.
        hooks: of the hook plugins that act on it, the entry points' values by name.

    Raises:
        NotCompilableError: an option of a plugin has a value that can't be written, or doesn't read as the same one.
    """
    try:
        text = _Writer().module(config, _digest(content), hooks)
        made: dict[str, Any] = {}
        exec(compile(text, MODULE, "exec"), made)  # noqa: S102 - written above, out of what was checked
        _refuse_others(config, made["make"](_secret_with(ChosenPlugins(hooks))))
    except NotCompilableError:
        raise
    except Exception as error:  # noqa: BLE001 - of a plugin's own types; then the config file is read each time
        raise NotCompilableError(f"the config can't be compiled: {told(error)}") from None
    return text.encode()


def load(path: Path) -> CompiledConfig | None:
    """Make what was compiled of a config file.

    Returns:
        None where nothing was compiled, or plugins are switched off by ``MULTICDN_DISABLE_PLUGINS``.

    Raises:
        OutdatedError: it is of another file, or of another multicdn, or broken. Then the config file itself counts.
    """
    if os.environ.get(DISABLE, "").strip(" ,"):
        return None
    try:
        found = importlib.import_module(MODULE)
        _refuse_outdated(found, path)
        plugins = ChosenPlugins(found.HOOKS)
        made = found.make(_secret_with(plugins))
        if type(made) is not Config:
            raise OutdatedError(f"{MODULE} can't be used: it makes no config")
        return CompiledConfig(made, plugins)
    except ModuleNotFoundError as error:
        if error.name == MODULE:
            return None
        raise OutdatedError(f"{MODULE} can't be used: {told(error)}") from None
    except OutdatedError:
        raise
    except Exception as error:  # noqa: BLE001 - such as a plugin that isn't there: the config file's errors say it well
        raise OutdatedError(f"{MODULE} can't be used: {told(error)}") from None


def _refuse_outdated(found: ModuleType, path: Path) -> None:
    if (_FORMAT, __version__) != (found.FORMAT, found.VERSION):
        raise OutdatedError(f"{MODULE} was made by multicdn {found.VERSION}, and this is {__version__}")
    if _digest(path.read_bytes()) != found.CONFIG:
        raise OutdatedError(f"{MODULE} is of another {path.name} than the one that is here")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _secret_with(plugins: ChosenPlugins) -> Any:
    return lambda scheme, name: secrets.secret_of(scheme, name, lambda: plugins.hooks)


class _Writer:
    """Writes values as the calls that make them, and collects the modules whose names stand in those."""

    def __init__(self) -> None:
        self._modules: dict[str, str] = {}

    def module(self, config: Config, digest: str, hooks: Mapping[str, str]) -> str:
        made = self._made(config)
        imports = [f"    import {module} as {name}" for module, name in self._modules.items()]
        constants = {"FORMAT": _FORMAT, "VERSION": __version__, "CONFIG": digest, "HOOKS": dict(sorted(hooks.items()))}
        lines = ["# Made of the config file beside it, whenever a bundle is built.", ""]
        lines += [f"{name} = {value!r}" for name, value in constants.items()]
        return "\n".join([*lines, "", "", "def make(secret):", *imports, f"    return {made}", ""])

    def _value(self, value: object) -> str:
        kind = type(value)
        if kind in _PLAIN:
            return repr(value) if value not in (float("inf"), float("-inf")) else f"float({str(value)!r})"
        if kind is Secret and (reference := secrets.parse_reference(value.reference)):  # type: ignore[attr-defined]
            return f"secret{reference!r}"
        if isinstance(value, enum.Enum):
            return f"{self._name(kind)}({self._value(value.value)})"
        if kind in (tuple, list, set, frozenset, dict):
            return self._collection(value)
        if isinstance(value, tuple) and hasattr(kind, "_fields"):
            return f"{self._name(kind)}({self._listed(value)})"
        return self._made(value)

    def _collection(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self._value(key)}: {self._value(one)}" for key, one in value.items()) + "}"
        if isinstance(value, tuple):
            return f"({self._listed(value)},)" if value else "()"
        if isinstance(value, list):
            return f"[{self._listed(value)}]"
        # Sets have no order, and the same inputs shall give the same bytes.
        return f"{type(value).__name__}(({''.join(f'{one}, ' for one in sorted(map(self._value, value)))}))"

    def _listed(self, values: Iterable[object]) -> str:
        return ", ".join(map(self._value, values))

    def _made(self, value: object) -> str:
        """The call that makes a struct or a dataclass. What is as by default is left out."""
        given = (f"{name}={self._value(one)}" for name, one in self._members(value))
        return f"{self._name(type(value))}({', '.join(given)})"

    def _name(self, cls: type) -> str:
        if "<locals>" in cls.__qualname__:
            raise NotCompilableError(f"{cls.__qualname__} is defined within a function, where nothing else finds it")
        alias = self._modules.setdefault(cls.__module__, f"m{len(self._modules)}")
        return f"{alias}.{cls.__qualname__}"

    def _members(self, value: object) -> Iterator[tuple[str, object]]:
        """The members that a struct or a dataclass is made of, but for those that are as by default."""
        kind: Any = type(value)
        for name, default in _defaults(kind):
            member = getattr(value, name)
            if member is not default and not self.is_same(member, default):
                yield name, member

    def is_same(self, one: object, other: object) -> bool:
        """Whether two values are written alike. Equal ones may not be: ``(1,)`` and ``(True,)``, 0.0 and -0.0."""
        return type(one) is type(other) and one == other and self._value(one) == self._value(other)


@functools.cache  # to ask msgspec takes half a millisecond, which thousands of routes would each
def _defaults(kind: type) -> tuple[tuple[str, object], ...]:
    if issubclass(kind, msgspec.Struct):
        return tuple((field.name, field.default) for field in msgspec.structs.fields(kind))
    if dataclasses.is_dataclass(kind):
        return tuple((field.name, field.default) for field in dataclasses.fields(kind) if field.init)
    raise NotCompilableError(f"a value is a {kind.__name__}, which can't be written")


def _refuse_others(wanted: Config, made: Config) -> None:
    """Refuse what reads as another config.

    Raises:
        NotCompilableError: names the member.
    """
    is_same = _Writer().is_same
    for member in Config.__struct_fields__:
        if member != "providers" and not is_same(getattr(wanted, member), getattr(made, member)):
            raise NotCompilableError(f"`{member}` doesn't read as it is written")
    for name, provider in wanted.providers.items():
        if type(provider) is not type(made.providers[name]):
            raise NotCompilableError(f"{name}: its type isn't found by its name")
        for field in dataclasses.fields(provider):
            before, after = getattr(provider, field.name), getattr(made.providers[name], field.name)
            # What is derived may be of any type.
            if not (is_same(before, after) if field.init else type(before) is type(after) and before == after):
                raise NotCompilableError(f"{name}: the option `{field.name}` doesn't read as it is written")
