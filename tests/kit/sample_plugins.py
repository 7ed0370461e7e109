"""Provider plugins of vendors that don't exist, and hook plugins, for tests that need a kind of plugin.

``installed`` makes entry points of them, so that they are found and imported like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Literal

from multicdn.hooks import hookimpl
from multicdn.model import Change
from multicdn.plugins.discovery import HOOK_GROUP, PROVIDER_GROUP, Plugins
from multicdn.provider import (
    Call,
    Limits,
    PreloadUrls,
    PurgeEverything,
    PurgeHosts,
    PurgePrefixes,
    PurgeTags,
    PurgeUrls,
    Receipt,
    Secret,
    SoftPurge,
    TargetKind,
    option,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.model import Report

SAMPLES = {
    "plain": "Plain",
    "full": "Full",
    "warmer": "Warmer",
    "chosen": "Chosen",
    "ended": "Ended",
    "imagined": "Imagined",
}


def installed(**more: str) -> Plugins:
    """The samples, and further entry points by name."""
    values = {**{name: f"kit.sample_plugins:{cls}" for name, cls in SAMPLES.items()}, **more}
    return Plugins([EntryPoint(name, value, PROVIDER_GROUP) for name, value in values.items()], disabled=())


@dataclass(frozen=True, kw_only=True)
class Plain(PurgeUrls):
    """A vendor that purges URLs, and nothing else."""

    endpoint: str = option(default="https://api.plain.example", help="base URL")
    url_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} purged")


@dataclass(frozen=True, kw_only=True)
class Full(SoftPurge, PurgeUrls, PurgePrefixes, PurgeTags, PurgeHosts, PurgeEverything, PreloadUrls):
    """A vendor that can do everything, and URLs and tags softly."""

    soft_kinds = frozenset((TargetKind.URL, TargetKind.TAG))

    endpoint: str = option(default="https://api.full.example", help="base URL")
    token: Secret = option(repr=False, help="API token")
    service: str = option(help="id of the service")

    url_limits = prefix_limits = tag_limits = host_limits = preload_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} purged")

    def purge_prefixes(self, prefixes: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(prefixes)} purged")

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(tags)} purged")

    def purge_hosts(self, hosts: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(hosts)} purged")

    def purge_everything(self, call: Call) -> Receipt:
        """Accept."""
        return Receipt(id="all purged")

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} loaded")


@dataclass(frozen=True, kw_only=True)
class Warmer(PreloadUrls):
    """A vendor that preloads, and can't purge."""

    endpoint: str = option(default="https://api.warmer.example", help="base URL")
    preload_limits = Limits(targets=10)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} loaded")


class Network(StrEnum):
    """Where a vendor keeps copies."""

    PRODUCTION = "production"
    STAGING = "staging"


@dataclass(frozen=True, kw_only=True)
class Chosen(PurgeUrls):
    """A vendor with options of every type."""

    endpoint: str = option(default="https://api.chosen.example", help="base URL")
    account: str = option(default="", help="id of the account")
    count: int = option(default=1, help="a number")
    ratio: float = option(default=1.0, help="a fraction")
    loud: bool = option(default=False, help="a switch")
    network: Network = option(default=Network.PRODUCTION, help="an enum")
    platform: Literal["large", "small"] = option(default="large", help="one of two")
    names: tuple[str, ...] = option(default=(), help="several")
    password: Secret | None = option(default=None, repr=False, help="a secret that may be absent")

    url_limits = Limits(targets=10)

    def __post_init__(self) -> None:
        """Refuse a negative count.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        super().__post_init__()
        if self.count < 0:
            message = f"count {self.count} is negative"
            raise ValueError(message)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} purged")


@dataclass(frozen=True, kw_only=True)
class Ended(Plain):
    """A vendor that has given up."""

    retired = "the service ended on 2025-01-15"


@dataclass(frozen=True, kw_only=True)
class Imagined(PurgeUrls):
    """A plugin with a switch called ``soft``, of a vendor that has no soft purge."""

    endpoint: str = option(default="https://api.imagined.example", help="base URL")
    soft: bool = option(default=False, help="means something else here")
    url_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Accept."""
        return Receipt(id=f"{len(urls)} purged")


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


class FlakyUrls:
    """Fails on the URLs of ``bad.html`` with whatever it is told to raise; repaired by None."""

    fault: BaseException | None = None

    @hookimpl
    def multicdn_urls(self, change: Change, urls: Sequence[str]) -> Sequence[str] | None:
        del urls
        if self.fault is not None and change.key == "bad.html":
            raise self.fault
        return None


flaky_urls = FlakyUrls()


def hooked(*names: str) -> Plugins:
    """The installed providers, and these hooks."""
    installed = [plugin.entry_point for found in Plugins().providers.values() for plugin in found]
    return Plugins([*installed, *(EntryPoint(name, f"kit.sample_plugins:{name}", HOOK_GROUP) for name in names)], ())
