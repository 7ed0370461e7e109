"""The config file, read and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multicdn.config.checked import Config
    from multicdn.config.checker import load, parse
    from multicdn.config.location import CONFIG, locate

__all__ = ["CONFIG", "Config", "load", "locate", "parse"]


def __getattr__(name: str) -> Any:
    """Import the checker when it is wanted: what was compiled needs none."""
    if name not in __all__:
        raise AttributeError(name)
    from multicdn.config import checker

    return getattr(checker, name)
