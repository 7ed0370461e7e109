"""A word to who looks for a provider that the config doesn't have: nothing will be found, and nobody would say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.cli import completion
from multicdn.cli.terminal import say
from multicdn.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def warn(providers: Iterable[str], config_path: Path | None) -> None:
    """Warn of names that a readable config hasn't; another one may be deployed, so that it is no error."""
    known = completion.configured(config_path)
    for name in providers:
        instance = name.partition("/")[0]
        if known and instance not in known and not name.startswith("("):
            say(f"the config has no provider {name!r}{did_you_mean(instance, known)} (warning)", err=True)
