"""Decides whether uploads reached the caches: each holds old bytes, which only a purge after the upload removes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, NamedTuple

from multicdn.events import envelopes
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.provider import SoftPurge
from multicdn.routing.router import Router
from multicdn.simulators.kit.cache import Cache, Entry, Url
from multicdn.simulators.kit.http_server import Headers, Request
from rig.accepted_calls import AcceptedCalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.config import Config
    from multicdn.oncall.letters import Letter
    from multicdn.sequel import Sequel
    from multicdn.simulators import Simulator

_DAY = 86400.0

# In which header each vendor looks for tags.
_TAG_HEADERS = ("Surrogate-Key", "Cache-Tag", "Edge-Cache-Tag")

_OLD, _TAKEN_DOWN = b"old bytes", b"bytes that were taken down"

# Seconds: the moment of a message is known to SQS in milliseconds.
_EXACT = 0.01


class Expectation(NamedTuple):
    """A purge or preload that a change asks of a provider instance.

    Attributes:
        hard: whether it must be dropped: what was removed may not be kept as stale where the vendor can tell these.
    """

    provider: str
    action: Action
    target: Target
    hard: bool = False


class _Asked(NamedTuple):
    """The newest change that asked for something: when it happened, and its sequencer."""

    at: float
    sequencer: str


class _StaleEntry(NamedTuple):
    """An entry of old bytes, and the cache that it was put into."""

    cache: Cache
    entry: Entry

    def is_left(self, *, hard: bool) -> bool:
        """Whether they are there. What was taken down counts even if it is stale, or came back for another upload."""
        held = self.cache.get(self.entry.key)
        return held is not None and held.body == _TAKEN_DOWN if hard else held is self.entry


class _Order(NamedTuple):
    """A preload and what must have been purged before it, since when."""

    preload: Expectation
    purges: tuple[Expectation, ...]
    since: float


class CacheOracle:
    """Knows what is expected after changes, and whether it was met.

    A purge is met when the edge has lost the old bytes that it was given after the change. A preload is met when the
    API has accepted a call with its URL after the change.

    Args:
        config: has the routes that say what is expected.
        edges: the simulator of each provider instance.
    """

    def __init__(self, config: Config, edges: Mapping[str, Simulator]) -> None:
        self._providers = config.providers
        self._router = Router(config.routes, config.providers)
        self._edges = edges
        self._asked: dict[Expectation, _Asked] = {}
        self._stored: dict[Expectation, _StaleEntry] = {}
        self._orders: dict[Expectation, _Order] = {}
        loading = {name for route in config.routes for name in route.preload}
        self._accepted = {name: AcceptedCalls(edges[name]) for name in loading}

    def __len__(self) -> int:
        return len(self._asked)

    def upload(self, change: Change) -> None:
        """An object has changed: let every edge concerned have the old bytes from now on."""
        expectations = list(self.expectations(change))
        for expectation in expectations:
            simulator = self._edges[expectation.provider]
            self._asked[expectation] = _Asked(simulator.clock(), change.sequencer)
            if expectation.action is Action.PURGE:
                self._stored[expectation] = _store_old_bytes(simulator, expectation)
            else:
                self._orders.setdefault(expectation, self._order(expectation, expectations))

    def unmet(self) -> set[Expectation]:
        """Collect the expectations that are still open."""
        return {each for each, asked in self._asked.items() if not self._is_met(each, asked)}

    def hasty(self) -> list[Expectation]:
        """Collect the preloads that the API accepted before it had accepted a purge that belongs to them.

        Each must come after its change and the purges for it. Where a URL changes several times, any of the changes
        may be the one that a preload belongs to, so only those before the first one's purge are found.
        """
        return [
            preload
            for preload, order in self._orders.items()
            for call in self._accepted[preload.provider].of(preload.target.value, loads=True)
            if call.came >= order.since
            and not all(self._was_purged(purge, order.since, call.came) for purge in order.purges)
        ]

    def explained(self, expectations: Iterable[Expectation], messages: Iterable[Letter]) -> set[Expectation]:
        """Choose the expectations that stand in dead letters with a reason.

        A dead letter speaks for what had been asked for when its newest message was sent, and not for a later change
        of the same object.
        """
        jobs: dict[tuple[str, Action, str, bool], float] = {}
        changes: dict[Expectation, str] = {}  # their sequencers
        for message in messages:
            if message.reason and message.queued is not None:
                job, since = message.queued.job, message.queued.since
                keys = [(job.instance, job.action, target, job.soft) for target in job.targets]
                for key in (*keys, *_following(job.sequels)):
                    jobs[key] = max(since, jobs.get(key, -math.inf))
            elif message.reason:
                for change in envelopes.decode(json.loads(message.body)).changes:
                    for expectation in self.expectations(change):
                        changes[expectation] = max(change.sequencer, changes.get(expectation, ""))
        return {
            each
            for each in expectations
            if (each in changes and self._asked[each].sequencer <= changes[each])
            or self._asked[each].at <= self._since(each, jobs)
        }

    def expectations(self, change: Change) -> Iterator[Expectation]:
        """Derive from one change what is expected of all providers."""
        removed = change.kind is ChangeKind.REMOVED
        for demand in self._router.demands([change])[0]:
            provider = self._providers[demand.provider]
            for target in demand.wants:
                hard = removed and isinstance(provider, SoftPurge) and target.kind in provider.soft_kinds
                yield Expectation(demand.provider, demand.action, target, hard)

    def _order(self, preload: Expectation, expectations: Iterable[Expectation]) -> _Order:
        purges = [each for each in expectations if each.provider == preload.provider and each.action is Action.PURGE]
        own = [each for each in purges if each.target == preload.target]  # else it is purged by its tag
        return _Order(preload, tuple(own or purges), self._asked[preload].at)

    def _is_met(self, expectation: Expectation, asked: _Asked) -> bool:
        if expectation.action is Action.PURGE:
            return not self._stored[expectation].is_left(hard=expectation.hard)
        calls = self._accepted[expectation.provider].of(expectation.target.value, loads=True)
        return any(call.came >= asked.at for call in calls)

    def _was_purged(self, purge: Expectation, since: float, until: float) -> bool:
        calls = (
            call
            for spelled in self._spellings(purge)
            for call in self._accepted[purge.provider].of(spelled, loads=False)
        )
        return any(since <= call.came and call.done <= until for call in calls)

    def _since(self, expectation: Expectation, jobs: Mapping[tuple[str, Action, str, bool], float]) -> float:
        """The age of the newest dead letter that has it; what must be dropped isn't in one that only marks as stale."""
        provider, action, _, hard = expectation
        found = (
            jobs.get((provider, action, spelled, soft), -math.inf)
            for spelled in self._spellings(expectation)
            for soft in (False, True)[: 1 if hard else 2]
        )
        return max(found) + _EXACT

    def _spellings(self, expectation: Expectation) -> Iterator[str]:
        """Spell the target as routing does, and as the vendor wants it."""
        provider, action, target, _ = expectation
        for spelled in (target, *self._providers[provider].locate(target, action)):
            yield spelled.value


def _following(sequels: Iterable[Sequel | None]) -> Iterator[tuple[str, Action, str, bool]]:
    """What others will do after a job, and what follows that."""
    for then in (then for sequel in sequels if sequel for then in sequel.then):
        for _, target in then.targets:
            yield then.provider, Action(then.action), target, then.soft
        yield from _following([then.sequel])


def _store_old_bytes(simulator: Simulator, expectation: Expectation) -> _StaleEntry:
    """Give an edge something to purge, as if a client had asked for it just before the change."""
    target = expectation.target
    tagged = target.kind is TargetKind.TAG
    url = Url.parse(f"https://www.acme.com/with-tag/{target.value}" if tagged else simulator.client_url(target.value))
    headers = Headers(dict.fromkeys(_TAG_HEADERS, target.value) if tagged else {})
    edge = simulator.edge_for(Request("GET", url.target, Headers({"Host": url.host})))
    key, now = edge.cache_key(url), edge.clock()
    while True:
        purges, held = edge.cache.purges, edge.cache.get(key)
        # What was taken down is still that if the object is uploaded again before it was dropped.
        body = _TAKEN_DOWN if expectation.hard or (held is not None and held.body == _TAKEN_DOWN) else _OLD
        entry = Entry(key, url, 200, headers, body, now, now + _DAY, edge.tags(headers))
        if edge.cache.store(entry, purges):  # else a purge came in between
            return _StaleEntry(edge.cache, entry)
