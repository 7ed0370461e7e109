"""The simulated edges: what they have cached, what their vendors were asked, and what trouble they are in."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from multicdn.local.state import FAULTS, WELL, CachedUrl, ProviderState
from multicdn.model import ChangeKind
from multicdn.simulators import Url
from multicdn.simulators.kit import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.local.objects import ObjectVersions
    from multicdn.local.routes import Places
    from multicdn.provider import Provider
    from multicdn.simulators import Entry, Simulator

    Object = tuple[str, str, str]

# URLs of one edge that are shown, and characters of a body.
_MOST_SHOWN, _LONGEST_BODY = 100, 500

# Calls that a simulator keeps for tests; nobody looks at them here.
_MOST_CALLS = 1000

# Seconds that a purge takes at a vendor that is slow: more than any of them publishes, but for the slowest.
SLOW = 8.0

_THROTTLED = faults.status(429, {"Retry-After": "2"}, "too many requests\n")
_DOWN = faults.status(503, {}, "the service is unavailable\n")


class EdgeAnswer(Struct, frozen=True):
    """What a client got.

    Attributes:
        status: HTTP status.
        cache: HIT, MISS, STALE, REVALIDATED or ERROR.
        age: seconds since the edge fetched it.
        verdict: fresh, stale, or empty where it isn't known which object that is.
        body: its first characters.
    """

    status: int
    cache: str
    age: int
    verdict: str
    body: str


class SimulatedEdges:
    """All of them.

    Args:
        simulators: by the names of the instances.
        types: provider types by the names of the instances.
        providers: by the same names.
        places: of objects.
        objects: as they are now.
    """

    def __init__(
        self,
        simulators: Mapping[str, Simulator],
        types: Mapping[str, str],
        providers: Mapping[str, Provider],
        places: Places,
        objects: ObjectVersions,
    ) -> None:
        self._simulators = simulators
        self._types = types
        self._providers = providers
        self._places = places
        self._objects = objects
        self._faults = dict.fromkeys(simulators, WELL)

    def fault(self, name: str, fault: str) -> None:
        """Switch a fault on in place of the one before, or off.

        Raises:
            KeyError: there is none of that name.
        """
        if fault not in (*FAULTS, WELL):
            raise KeyError(fault)
        simulator = self._simulators[name]
        simulator.faults.clear()
        simulator.ignores_purges = fault == "ignore"
        simulator.topology.purge_delay = SLOW if fault == "slow" else 0.0
        shown = {"throttle": _THROTTLED, "outage": _DOWN, "hang": faults.hang()}.get(fault)
        if shown is not None:
            simulator.faults.always(shown)
        self._faults[name] = fault

    def fetch(self, name: str, url: str, objects: Iterable[Object]) -> EdgeAnswer:
        """Get a URL as a client does.

        Raises:
            ValueError: it is no URL that a client can ask for.
        """
        Url.parse(url)  # which says what is wrong with it as it was typed
        url = quote(url, safe=string.punctuation)  # as browsers spell it
        got = self._simulators[name].fetch(url)
        place = next(((b, k) for b, k, kind in objects if url in self._urls(name, b, k, kind)), None)
        verdict = ""
        if place is not None:
            verdict = "fresh" if self._objects.is_answer(*place, got.status, got.headers) else "stale"
        return EdgeAnswer(got.status, got.cache, got.age, verdict, got.body.decode(errors="replace")[:_LONGEST_BODY])

    def is_fresh(self, name: str, bucket: str, key: str) -> bool | None:
        """Whether clients of an edge get an object as it is now, at all of its URLs; None where it has none there."""
        simulator = self._simulators[name]
        urls = self._urls(name, bucket, key)
        if not urls:
            return None
        return all(self._serves(simulator, simulator.cached(url), bucket, key) for url in urls)

    def states(self, objects: Sequence[Object], breaker: Callable[[str], str], now: float) -> tuple[ProviderState, ...]:
        """What there is to see.

        Args:
            objects: those that are shown.
            breaker: whether the circuit breaker of an instance is open or closed.
            now: seconds since 1970.
        """
        return tuple(self._state(name, objects, breaker(name), now) for name in self._simulators)

    def trim(self) -> None:
        """Forget the calls of simulators that were asked for long."""
        for simulator in self._simulators.values():
            if len(simulator.calls) > _MOST_CALLS:
                simulator.forget_calls()

    def _state(self, name: str, objects: Sequence[Object], breaker: str, now: float) -> ProviderState:
        simulator = self._simulators[name]
        calls, targets = simulator.tally
        shown = [
            self._cached(simulator, url, bucket, key, now)
            for bucket, key, kind in objects
            for url in self._urls(name, bucket, key, kind)
        ]
        price = _price(self._providers[name], targets)
        fault, edge = self._faults[name], tuple(shown[:_MOST_SHOWN])
        return ProviderState(name, self._types[name], FAULTS, fault, breaker, calls, targets, price, edge)

    def _urls(self, name: str, bucket: str, key: str, kind: str = "created") -> tuple[str, ...]:
        urls = self._places.of(bucket, key, ChangeKind(kind)).urls.get(name, ())
        return urls or self._places.of(bucket, key).urls.get(name, ())

    def _cached(self, simulator: Simulator, url: str, bucket: str, key: str, now: float) -> CachedUrl:
        entry = simulator.cached(url)
        if entry is None:
            return CachedUrl(url, key, "none")
        current = "fresh" if self._objects.is_current(bucket, key, entry) else "stale"
        word = "soft" if entry.is_stale(simulator.clock()) else current
        age = max(0, int(now - entry.stored_at))
        return CachedUrl(url, key, word, self._objects.version_of(bucket, key, entry.headers), age)

    def _serves(self, simulator: Simulator, entry: Entry | None, bucket: str, key: str) -> bool:
        """Whether the next client gets what is current: the edge has it, or asks the origin first."""
        if entry is None or self._objects.is_current(bucket, key, entry):
            return True
        return simulator.clock() >= entry.fresh_until + simulator.edge.grace(entry)


def _price(provider: Provider, targets: int) -> str:
    price = provider.price
    if price is None:
        return ""
    dollars = price.dollars * targets
    return f"up to ${dollars:,.3f} (${price.dollars:g} a target after the account's first {price.free:,} a month)"
