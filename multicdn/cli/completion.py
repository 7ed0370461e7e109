"""What a shell completes: providers, outcomes. Never fails, and says nothing: it runs at each press of a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import CompletionItem

from multicdn import config as config_file
from multicdn.config import text_file, yaml_source
from multicdn.errors import MulticdnError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import click


def types(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The installed providers, as ``multicdn providers`` lists them."""
    from multicdn.plugins.discovery import Plugins

    del context, parameter
    return _beginning(Plugins().providers, incomplete)


def instances(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The providers of the config that the command would use, also where the rest of it has errors."""
    del parameter
    return _beginning(configured(context.params.get("config_path")), incomplete)


def configured(config_path: Path | None) -> list[str]:
    """The providers of a config; none if it can't be read so far."""
    path = config_path or config_file.locate()
    try:
        document = yaml_source.parse(text_file.decoded(path.read_bytes()), path.name)
        return list(map(str, document.data["providers"]))
    except (MulticdnError, OSError, text_file.NotTextError, TypeError, KeyError):
        return []


def outcomes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """How jobs end, and what becomes of them."""
    from multicdn.logbook.outcomes import KNOWN

    del context, parameter
    return _beginning(KNOWN, incomplete)


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, which an argument may name: the shell finds them."""
    del context, parameter
    return [CompletionItem(incomplete, type="file")]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
