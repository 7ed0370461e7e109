"""Decides whether uploads reached the caches: each holds old bytes, which only a purge after the upload removes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.events import envelopes
from multicdn.model import Action, Change, Target, TargetKind
from multicdn.routing.router import Router
from multicdn.simulators.kit.cache import Cache, Entry, Url
from multicdn.simulators.kit.http_server import Headers, Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.config import Config
    from multicdn.oncall.dead_letters import DeadMessage
    from multicdn.simulators import Simulator

_DAY = 86400.0

# In which header each vendor looks for tags.
_TAG_HEADERS = ("Surrogate-Key", "Cache-Tag", "Edge-Cache-Tag")


class Expectation(NamedTuple):
    """A purge or preload that an upload asks of a provider instance."""

    provider: str
    action: Action
    target: Target


class _StaleEntry(NamedTuple):
    """An entry of old bytes, and the cache that it was put into."""

    cache: Cache
    entry: Entry


class CacheOracle:
    """Knows what is expected after uploads, and whether it was met.

    A purge is met when the edge has lost the old bytes that it was given after the upload. A preload is met when the
    API has accepted a call with its URL after the upload.

    Args:
        config: has the routes that say what is expected.
        edges: the simulator of each provider instance.
    """

    def __init__(self, config: Config, edges: Mapping[str, Simulator]) -> None:
        self._providers = config.providers
        self._router = Router(config.routes, config.providers)
        self._edges = edges
        self._purges: dict[Expectation, _StaleEntry] = {}
        self._preloads: dict[Expectation, float] = {}

    def __len__(self) -> int:
        return len(self._purges) + len(self._preloads)

    def upload(self, change: Change) -> None:
        """An object has changed: let every edge concerned have the old bytes from now on."""
        for expectation in self.expectations(change):
            simulator = self._edges[expectation.provider]
            if expectation.action is Action.PURGE:
                self._purges[expectation] = _store_old_bytes(simulator, expectation.target)
            else:
                self._preloads[expectation] = simulator.clock()

    def unmet(self) -> set[Expectation]:
        """Collect the expectations that are still open."""
        purges = {purge for purge, (cache, entry) in self._purges.items() if cache.get(entry.key) is entry}
        accepted = {name: _accepted_at(self._edges[name]) for name in {preload.provider for preload in self._preloads}}
        preloads = {
            preload
            for preload, since in self._preloads.items()
            if accepted[preload.provider].get(preload.target.value, 0.0) < since
        }
        return purges | preloads

    def explained(self, expectations: Iterable[Expectation], messages: Iterable[DeadMessage]) -> set[Expectation]:
        """Choose the expectations that stand in dead letters with a reason."""
        named = {spelling for message in messages if message.reason for spelling in self._named_in(message)}
        return {expectation for expectation in expectations if not named.isdisjoint(self._spellings(expectation))}

    def expectations(self, change: Change) -> Iterator[Expectation]:
        """Derive from one change what is expected of all providers."""
        for demand in self._router.demands([change])[0]:
            for target in demand.wants:
                yield Expectation(demand.provider, demand.action, target)

    def _spellings(self, expectation: Expectation) -> Iterator[tuple[str, Action, str]]:
        """Spell the target as routing does, and as the vendor wants it."""
        provider, action, target = expectation
        for spelled in (target, *self._providers[provider].locate(target, action)):
            yield provider, action, spelled.value

    def _named_in(self, message: DeadMessage) -> Iterator[tuple[str, Action, str]]:
        if message.queued is not None:
            for target in message.queued.job.targets:
                yield message.provider, message.queued.job.action, target
            return
        for change in envelopes.decode(json.loads(message.body)).changes:
            for expectation in self.expectations(change):
                yield from self._spellings(expectation)


def _store_old_bytes(simulator: Simulator, target: Target) -> _StaleEntry:
    """Give an edge something to purge, as if a client had asked for it just before the upload."""
    tagged = target.kind is TargetKind.TAG
    url = Url.parse(f"https://www.acme.com/with-tag/{target.value}" if tagged else simulator.client_url(target.value))
    headers = Headers(dict.fromkeys(_TAG_HEADERS, target.value) if tagged else {})
    edge = simulator.edge_for(Request("GET", url.target, Headers({"Host": url.host})))
    now = edge.clock()
    entry = Entry(edge.cache_key(url), url, 200, headers, b"old bytes", now, now + _DAY, edge.tags(headers))
    while not edge.cache.store(entry, edge.cache.purges):
        pass  # a purge came in between
    return _StaleEntry(edge.cache, entry)


def _accepted_at(simulator: Simulator) -> dict[str, float]:
    """Note for each text in the calls when it was last accepted."""
    accepted: dict[str, float] = {}
    for call in simulator.calls:
        if 200 <= call.status < 300 and call.body:
            for text in _texts(json.loads(call.body)):
                accepted[text] = call.at
    return accepted


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
