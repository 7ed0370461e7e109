"""Hook plugins for tests of the handler: one that observes reports, one that fails at everything."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from multicdn.hooks import hookimpl
from multicdn.model import Change
from multicdn.plugins.discovery import HOOK_GROUP, Plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.model import Report


class Observer:
    """Keeps the reports and what it sees when it gets them, reads events of its own kind."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.look: Callable[[], object] = lambda: None
        self.seen: list[object] = []

    @hookimpl
    def multicdn_report(self, report: Report) -> None:
        self.reports.append(report)
        self.seen.append(self.look())

    @hookimpl
    def multicdn_read_event(self, message: object) -> Sequence[Change] | None:
        if isinstance(message, dict) and "uploaded" in message:
            return [Change("acme-site", key) for key in message["uploaded"]]
        return None


class Failing:
    """Raises in every hook, with a change of the key ``poison`` only."""

    @hookimpl
    def multicdn_report(self, report: Report) -> None:
        raise KeyError("metrics are down")

    @hookimpl
    def multicdn_urls(self, change: Change, urls: Sequence[str]) -> Sequence[str] | None:
        if change.key == "poison":
            raise ValueError("no URL for poison")
        return None


observer, failing = Observer(), Failing()


def hooked(*names: str) -> Plugins:
    """The installed providers, and these hooks."""
    installed = [plugin.entry_point for found in Plugins().providers.values() for plugin in found]
    return Plugins([*installed, *(EntryPoint(name, f"kit.report_hooks:{name}", HOOK_GROUP) for name in names)], ())
