"""Finding plugins, and being loud about every way in which that fails silently elsewhere.

Providers are found by the entry-point group ``multicdn.providers`` (name -> class), hook implementations by
``multicdn.hooks`` (name -> module or object). One scan finds both; only what the config names is imported.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from functools import cached_property
from importlib import metadata
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.errors import PluginError, did_you_mean, told
from multicdn.plugins.chosen import DISABLE
from multicdn.plugins.no_hooks import NoHooks
from multicdn.provider import API_VERSION, Provider, capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.hooks import Hooks

PROVIDER_GROUP = "multicdn.providers"
HOOK_GROUP = "multicdn.hooks"


class Plugin(NamedTuple):
    """An entry point and where it comes from."""

    name: str
    value: str
    distribution: str
    version: str
    entry_point: metadata.EntryPoint

    def __str__(self) -> str:
        return f"{self.name!r} ({self.value} from {self.distribution} {self.version})"


class Plugins:
    """All installed plugins.

    Args:
        entry_points: what is installed; by default what this Python finds.
        disabled: names to leave alone; by default those in ``MULTICDN_DISABLE_PLUGINS``.
    """

    def __init__(
        self, entry_points: Iterable[metadata.EntryPoint] | None = None, disabled: Iterable[str] | None = None
    ) -> None:
        found = tuple(_installed() if entry_points is None else entry_points)
        names = os.environ.get(DISABLE, "").split(",") if disabled is None else disabled
        self.disabled = frozenset(name.strip() for name in names if name.strip())
        self._providers = _by_name(found, PROVIDER_GROUP)
        self._hooks = _by_name(found, HOOK_GROUP)

    @property
    def providers(self) -> Mapping[str, tuple[Plugin, ...]]:
        """Installed provider plugins by name; more than one where distributions fight over it."""
        return self._providers

    def provider_class(self, name: str) -> type[Provider]:
        """Import the provider of a name.

        Raises:
            PluginError: there is none, or two, or it doesn't import, or it isn't what a provider must be.
        """
        plugin = self._only(name)
        cls = _load(plugin)
        _check(cls, plugin)
        return cls  # type: ignore[no-any-return]

    @cached_property
    def hooks(self) -> Hooks | NoHooks:
        """The hook implementations that are installed. Where there are none, pluggy isn't imported.

        Raises:
            PluginError: one of them doesn't import, or implements a hook that doesn't exist.
        """
        wanted = {name: found for name, found in self._hooks.items() if name not in self.disabled}
        if not wanted:
            return NoHooks()
        from multicdn.hooks import Hooks

        return Hooks({name: _load(_sole(name, found, "hook plugin")) for name, found in wanted.items()})

    def _only(self, name: str) -> Plugin:
        if name in self.disabled:
            raise PluginError(f"provider plugin {name!r} is switched off by {DISABLE}")
        found = self._providers.get(name, ())
        if not found:
            raise PluginError(self._missing(name))
        return _sole(name, found, "provider plugin")

    def _missing(self, name: str) -> str:
        installed = sorted(self._providers)
        if not installed:
            return f"no provider plugin named {name!r} (installed: none - is the .dist-info folder in the bundle?)"
        return f"no provider plugin named {name!r}{did_you_mean(name, installed)}"


def _installed() -> Iterator[metadata.EntryPoint]:
    """Scan once for both groups: a scan reads a file of every installed distribution."""
    found = metadata.entry_points()
    for group in (PROVIDER_GROUP, HOOK_GROUP):
        yield from found.select(group=group)


def _by_name(entry_points: Iterable[metadata.EntryPoint], group: str) -> dict[str, tuple[Plugin, ...]]:
    found: dict[str, dict[tuple[str, str], Plugin]] = {}
    sources: dict[metadata.Distribution | None, tuple[str, str]] = {None: ("unknown", "?")}
    for entry in entry_points:
        if entry.group != group:
            continue
        if entry.dist is not None and entry.dist not in sources:
            about = entry.dist.metadata  # parsed anew each time that it is asked for
            sources[entry.dist] = about["Name"], about["Version"]
        name, version = sources[entry.dist]
        # One distribution is listed twice when its folder is on the path twice (an editable install, a bundle).
        found.setdefault(entry.name, {})[name, entry.value] = Plugin(entry.name, entry.value, name, version, entry)
    return {name: tuple(plugins.values()) for name, plugins in found.items()}


def _sole(name: str, found: tuple[Plugin, ...], what: str) -> Plugin:
    if len(found) > 1:
        claims = ", ".join(sorted(f"{plugin.distribution} {plugin.version}" for plugin in found))
        raise PluginError(f"{what} {name!r} is claimed by {claims}; uninstall all but one")
    return found[0]


def _load(plugin: Plugin) -> Any:
    try:
        return plugin.entry_point.load()
    except Exception as error:
        extra = _extra(plugin) if isinstance(error, ImportError) else ""
        hint = extra or f"; mend or uninstall {plugin.distribution}, or do without it: {DISABLE}={plugin.name}"
        raise PluginError(f"plugin {plugin} does not import: {told(error)}{hint}") from error


def _extra(plugin: Plugin) -> str:
    extras = plugin.entry_point.dist.metadata.get_all("Provides-Extra") if plugin.entry_point.dist else None
    if plugin.name in (extras or ()):
        return f"; pip install '{plugin.distribution}[{plugin.name}]'"
    return ""


def _check(cls: object, plugin: Plugin) -> None:
    """Refuse what would go wrong later, and far from here."""
    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        raise PluginError(f"plugin {plugin} is no provider: it must be a class that inherits from multicdn.provider")
    if cls.api_version != API_VERSION:
        versions = f"for version {cls.api_version} of the provider contract, and this is version {API_VERSION}"
        raise PluginError(f"plugin {plugin} was written {versions}; upgrade {plugin.distribution} or multicdn")
    if inspect.isabstract(cls):
        lacking = ", ".join(sorted(cls.__abstractmethods__))
        raise PluginError(f"plugin {plugin} is incomplete: it lacks {lacking}")
    if not capabilities(cls):
        raise PluginError(f"plugin {plugin} can do nothing: inherit from PurgeUrls or another capability")
    if "__dataclass_params__" not in vars(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise PluginError(f"plugin {plugin} must be decorated with @dataclass(frozen=True, kw_only=True)")
    for field in dataclasses.fields(cls):
        if field.init and field.name.startswith("_") and not field.metadata.get("internal"):
            raise PluginError(f"plugin {plugin}: its option {field.name!r} can't begin with an underscore")
