"""The memory of a caching edge: entries, and the ways to lose them. No clock and no network in here."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.http_server import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ABSOLUTE_URL = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]+)(?P<target>[^#]*)", re.IGNORECASE)
_DIRECTIVE = re.compile(r"""([a-z-]+)(?:\s*=\s*"?(\d+)"?)?""", re.IGNORECASE)


class Url(NamedTuple):
    """A URL as a client asked an edge for it; nothing of the target is decoded or normalised.

    Attributes:
        scheme: http or https.
        host: in lower case, with the port if one was given.
        target: raw path and query, beginning with a slash.
    """

    scheme: str
    host: str
    target: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """Split an absolute URL. A fragment is dropped, since no client sends it.

        Raises:
            ValueError: not an absolute http or https URL.
        """
        match = _ABSOLUTE_URL.match(text)
        if match is None:
            message = f"not an absolute URL: {text!r}"
            raise ValueError(message)
        target = match["target"]
        return cls(match["scheme"].lower(), match["host"].lower(), target if target[:1] == "/" else f"/{target}")

    @property
    def path(self) -> str:
        """The raw path."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query without its question mark; empty where there is none."""
        return self.target.partition("?")[2]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}{self.target}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One cached answer.

    Attributes:
        key: what the edge finds it by.
        url: what was asked for when it was stored.
        status, headers, body: the answer of the origin.
        stored_at: when it was stored or last revalidated, in seconds of the edge's clock.
        fresh_until: from when on it is stale.
        tags: what it can be purged by beside its URL.
    """

    key: str
    url: Url
    status: int
    headers: Headers
    body: bytes
    stored_at: float
    fresh_until: float
    tags: frozenset[str] = field(default_factory=frozenset)

    def is_stale(self, now: float) -> bool:
        """Tell if it must be revalidated at the origin before it is served."""
        return now >= self.fresh_until


class Cache:
    """Entries by key, safe for many threads.

    A purge also concerns what is being fetched while it happens: an answer that left the origin before the purge is
    served to its client, but not kept.

    Attributes:
        ignores_purges: whether purges change nothing, as at a place that they don't reach.
    """

    def __init__(self) -> None:
        self.ignores_purges = False
        self._entries: dict[str, Entry] = {}
        self._purges = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries as of now."""
        with self._lock:
            return tuple(self._entries.values())

    @property
    def purges(self) -> int:
        """The number of purges so far; read it before a fetch and hand it to ``store`` after it."""
        return self._purges

    def get(self, key: str) -> Entry | None:
        """Return the entry, fresh or stale."""
        return self._entries.get(key)

    def store(self, entry: Entry, purges: int) -> bool:
        """Keep an entry unless something was purged since ``purges`` was read; return whether it was kept."""
        with self._lock:
            if purges != self._purges:
                return False
            self._entries[entry.key] = entry
            return True

    def forget(self, key: str) -> None:
        """Drop one entry for another reason than a purge."""
        with self._lock:
            self._entries.pop(key, None)

    def drop(self, key: str) -> int:
        """Drop one entry; return how many there were."""
        with self._lock:
            return self._drop([key] if key in self._entries else [])

    def drop_where(self, matches: Callable[[Entry], bool]) -> int:
        """Drop all entries that match; return how many there were."""
        with self._lock:
            return self._drop([key for key, entry in self._entries.items() if matches(entry)])

    def expire(self, key: str, now: float) -> int:
        """Mark one entry stale (soft purge); return how many there were."""
        with self._lock:
            return self._expire([key] if key in self._entries else [], now)

    def expire_where(self, matches: Callable[[Entry], bool], now: float) -> int:
        """Mark all entries stale that match; return how many there were."""
        with self._lock:
            return self._expire([key for key, entry in self._entries.items() if matches(entry)], now)

    def _drop(self, keys: list[str]) -> int:
        if not self.ignores_purges:
            self._purges += 1
            for key in keys:
                del self._entries[key]
        return len(keys)

    def _expire(self, keys: list[str], now: float) -> int:
        if not self.ignores_purges:
            self._purges += 1
            for key in keys:
                entry = self._entries[key]
                self._entries[key] = replace(entry, fresh_until=min(entry.fresh_until, now))
        return len(keys)


def cache_control(headers: Mapping[str, str], name: str = "Cache-Control") -> dict[str, int]:
    """The directives of a caching header in lower case; those without a number of seconds have 0."""
    return {match[1].lower(): int(match[2] or 0) for match in _DIRECTIVE.finditer(headers.get(name, ""))}


def time_to_live(headers: Mapping[str, str], default: float, name: str = "Cache-Control") -> float:
    """Seconds that a shared cache may keep an answer: 0 if never, ``default`` if the origin doesn't say."""
    directives = cache_control(headers, name)
    if not directives.keys().isdisjoint(("no-store", "no-cache", "private")):
        return 0.0
    return float(directives.get("s-maxage", directives.get("max-age", default)))
