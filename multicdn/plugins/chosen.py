"""The plugins of a config that was compiled: nothing is looked for, since all is known by name."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any

from multicdn.errors import PluginError, told
from multicdn.plugins.no_hooks import NoHooks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.hooks import Hooks

# Comma-separated names of entry points to leave alone, to find out which plugin is to blame.
DISABLE = "MULTICDN_DISABLE_PLUGINS"

#: Of an entry point: ``module`` or ``module:object``.
HookSource = str


class ChosenPlugins:
    """The hook plugins that were installed when a config was compiled.

    Args:
        sources: of their entry points, by name.
    """

    def __init__(self, sources: Mapping[str, HookSource]) -> None:
        self._sources = dict(sources)

    @cached_property
    def hooks(self) -> Hooks | NoHooks:
        """The hook implementations. Where there are none, pluggy isn't imported.

        Raises:
            PluginError: one of them doesn't import, or implements a hook that doesn't exist.
        """
        if not self._sources:
            return NoHooks()
        from multicdn.hooks import Hooks

        return Hooks({name: _load(name, source) for name, source in self._sources.items()})


def _load(name: str, source: HookSource) -> Any:
    module, _, path = source.partition(":")
    try:
        found: Any = importlib.import_module(module.strip())
        for part in filter(None, path.partition("[")[0].strip().split(".")):
            found = getattr(found, part)
    except Exception as error:
        raise PluginError(f"hook plugin {name!r} ({source}) does not import: {told(error)}") from error
    return found
