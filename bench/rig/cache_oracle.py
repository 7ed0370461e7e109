"""Caches that hold the old bytes of every upload: only a purge that comes after an upload makes them right again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

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


class Owed(NamedTuple):
    """What an upload asks of a provider instance."""

    provider: str
    action: Action
    target: Target


class _Spoilt(NamedTuple):
    """An entry that a cache was given."""

    cache: Cache
    entry: Entry


class Stale:
    """What is owed for uploads, and whether it was done.

    A purge is done when the edge has lost the old bytes that it was given after the upload. A preload is done when the
    API has accepted a call with its URL after the upload.

    Args:
        config: by whose routes it is owed.
        edges: the simulator of each provider instance.
    """

    def __init__(self, config: Config, edges: Mapping[str, Simulator]) -> None:
        self._providers = config.providers
        self._router = Router(config)
        self._edges = edges
        self._purges: dict[Owed, _Spoilt] = {}
        self._preloads: dict[Owed, float] = {}

    def __len__(self) -> int:
        return len(self._purges) + len(self._preloads)

    def upload(self, change: Change) -> None:
        """An object has changed: let every edge concerned have the old bytes from now on."""
        for owed in self.asked_by(change):
            simulator = self._edges[owed.provider]
            if owed.action is Action.PURGE:
                self._purges[owed] = _spoil(simulator, owed.target)
            else:
                self._preloads[owed] = simulator.clock()

    def undone(self) -> set[Owed]:
        """What is still owed."""
        purges = {owed for owed, (cache, entry) in self._purges.items() if cache.get(entry.key) is entry}
        loaded = {name: _loaded(self._edges[name]) for name in {owed.provider for owed in self._preloads}}
        preloads = {
            owed for owed, since in self._preloads.items() if loaded[owed.provider].get(owed.target.value, 0.0) < since
        }
        return purges | preloads

    def explained(self, owed: Iterable[Owed], messages: Iterable[DeadMessage]) -> set[Owed]:
        """What of this stands in dead letters that give a reason."""
        known = {each for message in messages if message.reason for each in self._named_in(message)}
        return {each for each in owed if not known.isdisjoint(self._spellings(each))}

    def asked_by(self, change: Change) -> Iterator[Owed]:
        """What one change asks of all providers."""
        for demand in self._router.demands([change])[0]:
            for target in demand.wants:
                yield Owed(demand.provider, demand.action, target)

    def _spellings(self, owed: Owed) -> Iterator[tuple[str, Action, str]]:
        """As routing spells it, and as the vendor wants it."""
        spelled = self._providers[owed.provider].locate(owed.target, owed.action)
        for target in (owed.target, *spelled):
            yield owed.provider, owed.action, target.value

    def _named_in(self, message: DeadMessage) -> Iterator[tuple[str, Action, str]]:
        if message.queued is not None:
            for target in message.queued.job.targets:
                yield message.provider, message.queued.job.action, target
            return
        from multicdn.events import envelopes

        for change in envelopes.decode(json.loads(message.body)).changes:
            for owed in self.asked_by(change):
                yield from self._spellings(owed)


def _spoil(simulator: Simulator, target: Target) -> _Spoilt:
    """Give an edge something to purge, as if a client had asked for it just before the upload."""
    tagged = target.kind is TargetKind.TAG
    url = Url.parse(f"https://www.acme.com/with-tag/{target.value}" if tagged else simulator.client_url(target.value))
    headers = Headers(dict.fromkeys(_TAG_HEADERS, target.value) if tagged else {})
    edge = simulator.edge_for(Request("GET", url.target, Headers({"Host": url.host})))
    now = edge.clock()
    entry = Entry(edge.cache_key(url), url, 200, headers, b"old bytes", now, now + _DAY, edge.tags(headers))
    while not edge.cache.store(entry, edge.cache.purges):
        pass  # a purge came in between
    return _Spoilt(edge.cache, entry)


def _loaded(simulator: Simulator) -> dict[str, float]:
    """When each text in a call was last accepted."""
    found: dict[str, float] = {}
    for call in simulator.calls:
        if 200 <= call.status < 300 and call.body:
            for text in _texts(json.loads(call.body)):
                found[text] = call.at
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
