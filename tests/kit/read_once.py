"""What doesn't change while tests run, and is read anew for each command, test and client otherwise: here, once."""

from __future__ import annotations

import functools
import sys
import sysconfig
from importlib.metadata import Distribution
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_INSTALLED = sysconfig.get_path("purelib")


def distributions() -> None:
    """Keep what the distributions of this environment declare; those that a test puts on the path are read each time.

    A command reads it several times, a scan for plugins all of it.
    """
    for name in ("entry_points", "metadata"):
        setattr(Distribution, name, property(_kept(vars(Distribution)[name].fget)))


def _kept(read: Callable[[Distribution], Any]) -> Callable[[Distribution], Any]:
    known: dict[str, Any] = {}

    def look(distribution: Distribution) -> Any:
        folder = str(getattr(distribution, "_path", ""))
        if not folder.startswith(_INSTALLED):
            return read(distribution)
        if folder not in known:
            known[folder] = read(distribution)
        return known[folder]

    return look


def aws() -> None:
    """Keep what botocore reads and works out before a session's first client: descriptions of AWS, names of events."""
    if "botocore.session" not in sys.modules:
        return
    session, hooks = sys.modules["botocore.session"], sys.modules["botocore.hooks"]
    if not hasattr(session.create_loader, "cache_info"):
        session.create_loader = functools.cache(session.create_loader)
        _share(hooks.EventAliaser, "_alias_name_cache")


def _share(cls: type, name: str) -> None:
    """Let all instances have the same of what each would work out for itself."""
    make, shared = cls.__init__, {}  # type: ignore[misc, var-annotated]

    def made(self: object, *arguments: Any, **settings: Any) -> None:
        make(self, *arguments, **settings)
        setattr(self, name, shared)

    cls.__init__ = made  # type: ignore[misc]
