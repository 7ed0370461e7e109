"""The memory of a caching edge: entries, and the ways to lose them. No network in here."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.http_server import Headers
from multicdn.simulators.kit.topology import occasion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.simulators.kit.topology import Pop, Topology

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
        aged: seconds that it was old when it was stored, as the inner cache said that it came from.
        encoding: the content coding of the clients that it is kept for. A purge by key drops all of a key.
    """

    key: str
    url: Url
    status: int
    headers: Headers
    body: bytes
    stored_at: float
    fresh_until: float
    tags: frozenset[str] = field(default_factory=frozenset)
    aged: float = 0.0
    encoding: str = ""

    def age(self, now: float) -> float:
        """Seconds since it left the origin."""
        return max(0.0, now - self.stored_at) + self.aged

    def is_stale(self, now: float) -> bool:
        """Tell if it must be revalidated at the origin before it is served."""
        return now >= self.fresh_until


class _Removal(NamedTuple):
    """What is purged: the entries of a key, or those that match; whether they are marked stale rather than dropped."""

    key: str = ""
    matches: Callable[[Entry], bool] | None = None
    soft: bool = False


class Cache:
    """Entries by key, safe for many threads: what one edge has cached at one place.

    A purge also concerns what is being fetched while it happens: an answer that left the origin before the purge is
    served to its client, but not kept. It goes to the caches of the same edge at all places, and has its effect when
    it gets there.

    Args:
        clock: seconds since 1970.
        siblings: those of the same edge at other places.

    Attributes:
        ignores_purges: whether purges change nothing, as at a place that they don't reach.
        siblings: all caches of the edge, this one among them.
    """

    def __init__(self, clock: Callable[[], float] = lambda: 0.0, siblings: list[Cache] | None = None) -> None:
        self.ignores_purges = False
        self.siblings = [] if siblings is None else siblings
        self.siblings.append(self)
        self._clock = clock
        self._topology: Topology | None = None
        self._place: Pop | None = None
        self._entries: dict[str, dict[str, Entry]] = {}  # by key, then by encoding
        self._on_their_way: list[tuple[float, _Removal]] = []
        self._purges = 0
        self._lock = threading.RLock()

    def stand(self, topology: Topology, place: Pop) -> None:
        """Be at a place of a CDN, which says when purges get here."""
        self._topology, self._place = topology, place

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries as of now."""
        with self._lock:
            self._receive()
            return tuple(entry for forms in self._entries.values() for entry in forms.values())

    @property
    def purges(self) -> int:
        """The number of purges so far; read it before a fetch and hand it to ``store`` after it."""
        with self._lock:
            self._receive()
            return self._purges

    def get(self, key: str, encoding: str = "") -> Entry | None:
        """Return the entry, fresh or stale."""
        with self._lock:
            self._receive()
            return self._entries.get(key, {}).get(encoding)

    def store(self, entry: Entry, purges: int) -> bool:
        """Keep an entry unless something was purged since ``purges`` was read; return whether it was kept."""
        with self._lock:
            self._receive()
            if purges != self._purges:
                return False
            self._entries.setdefault(entry.key, {})[entry.encoding] = entry
            return True

    def forget(self, key: str, encoding: str = "") -> None:
        """Drop one entry for another reason than a purge."""
        with self._lock:
            self._entries.get(key, {}).pop(encoding, None)

    def drop(self, key: str) -> int:
        """Drop the entries of a key; return how many there are here."""
        return self._purge(_Removal(key), self._clock())

    def drop_where(self, matches: Callable[[Entry], bool]) -> int:
        """Drop all entries that match; return how many there are here."""
        return self._purge(_Removal(matches=matches), self._clock())

    def expire(self, key: str, now: float) -> int:
        """Mark the entries of a key stale (soft purge); return how many there are here."""
        return self._purge(_Removal(key, soft=True), now)

    def expire_where(self, matches: Callable[[Entry], bool], now: float) -> int:
        """Mark all entries stale that match; return how many there are here."""
        return self._purge(_Removal(matches=matches, soft=True), now)

    def _purge(self, purge: _Removal, now: float) -> int:
        number, at = occasion()
        missed = self._topology.missed(number) if self._topology else ()
        count: int | None = None
        for cache in tuple(self.siblings):
            if not cache.ignores_purges and cache._place not in missed:  # noqa: SLF001 - another one of this class
                done = cache._send(purge, now if at is None else at)  # noqa: SLF001
                count = done if cache is self else count
        with self._lock:
            return len(self._found(purge)) if count is None else count

    def _send(self, purge: _Removal, at: float) -> int | None:
        """Let a purge arrive here when its time has come; return how many entries it was about if that is now."""
        delay = self._topology.purge_delay + self._place.delay if self._topology and self._place else 0.0
        with self._lock:
            if delay <= 0:
                return self._carry_out(purge, at)
            self._on_their_way.append((at + delay, purge))
            return None

    def _receive(self) -> None:
        if not self._on_their_way:
            return
        now = self._clock()
        arrived = [(at, purge) for at, purge in self._on_their_way if at <= now]
        self._on_their_way = [(at, purge) for at, purge in self._on_their_way if at > now]
        for at, purge in sorted(arrived, key=lambda each: each[0]):
            self._carry_out(purge, at)

    def _carry_out(self, purge: _Removal, at: float) -> int:
        self._purges += 1
        found = self._found(purge)
        for entry in found:
            forms = self._entries[entry.key]
            if purge.soft:
                forms[entry.encoding] = replace(entry, fresh_until=min(entry.fresh_until, at))
            else:
                del forms[entry.encoding]
                if not forms:
                    del self._entries[entry.key]
        return len(found)

    def _found(self, purge: _Removal) -> list[Entry]:
        if purge.matches is None:
            return list(self._entries.get(purge.key, {}).values())
        return [entry for forms in self._entries.values() for entry in forms.values() if purge.matches(entry)]


def cache_control(headers: Mapping[str, str], name: str = "Cache-Control") -> dict[str, int]:
    """The directives of a caching header in lower case; those without a number of seconds have 0."""
    return {match[1].lower(): int(match[2] or 0) for match in _DIRECTIVE.finditer(headers.get(name, ""))}


def time_to_live(headers: Mapping[str, str], default: float, name: str = "Cache-Control") -> float:
    """Seconds that a shared cache may keep an answer: 0 if never, ``default`` if the origin doesn't say."""
    directives = cache_control(headers, name)
    if not directives.keys().isdisjoint(("no-store", "no-cache", "private")):
        return 0.0
    return float(directives.get("s-maxage", directives.get("max-age", default)))
