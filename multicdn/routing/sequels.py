"""Who waits for whom, and what is looked at: what follows each target of an object once it is purged. Pure.

A CDN that fetches from another one is not asked for now: its targets become the sequel of the other's, and so do
preloads, which follow the purge of the cache that they fill.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.provider import Confirm
from multicdn.routing.demand import Demand, Want
from multicdn.routing.matcher import Matcher
from multicdn.routing.tiers import PLAIN, Tier, nearest, sources
from multicdn.sequel import MOST_ALSO, Sequel, Subject, Then, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from multicdn.provider import Provider
    from multicdn.routing.route import Route


# What is about some objects, and not about all of a host.
_OF_OBJECTS = (TargetKind.URL, TargetKind.PREFIX, TargetKind.TAG)


class Ordered(Struct, frozen=True):
    """What a route orders for a change from one provider.

    Attributes:
        demand: that the targets go to.
        targets: as routing spells them, and the key behind each.
        change, matcher: the change, and the route.
        want: who asks for it.
    """

    demand: Demand
    targets: Mapping[Target, str]
    change: Change
    matcher: Matcher
    want: Want


class AskedNow(Struct, frozen=True):
    """A target that a provider is asked for now, with all that follows it."""

    order: Ordered
    targets: Mapping[Target, str]
    wants: Mapping[Target, Want]


class Sequels:
    """Turns orders into what is asked for now, and what follows that.

    Args:
        providers: instances by name.
        tiers: where those stand that say so, by name.
    """

    def __init__(self, providers: Mapping[str, Provider], tiers: Mapping[str, Tier]) -> None:
        self._providers = providers
        self._tiers = tiers
        self._fresh = frozenset(name for name, tier in tiers.items() if tier.wait_for == "fresh")

    def chained(self, orders: Iterable[Ordered]) -> Iterator[AskedNow]:
        """What is asked for now; orders that wait for others are among their sequels."""
        by_object: dict[tuple[str, str], list[Ordered]] = defaultdict(list)
        for order in orders:
            by_object[order.change.bucket, order.change.key].append(order)
        looked_at = _sample(by_object.values())
        for group in by_object.values():
            yield from _Chain(group, self._waits(group), looked_at, self._fresh).wanted()

    @classmethod
    def needed(
        cls, routes: Iterable[Route], providers: Mapping[str, Provider], tiers: Mapping[str, Tier]
    ) -> Sequels | None:
        """Made, if there are routes for which anything can follow a purge."""
        made = cls(providers, tiers)
        fetching = any(tier.pulls_from for tier in tiers.values())
        followed = {name for name in providers if made._is_followed(name)}
        is_needed = fetching or any(
            route.verify or (route.preload and not followed.isdisjoint(route.purge)) for route in routes
        )
        return made if is_needed else None

    def is_behind(self, outer: Iterable[str], inner: Collection[str]) -> bool:
        """Whether any of some providers fetches from any of others."""
        return any(not set(inner).isdisjoint(sources(name, self._tiers)) for name in outer)

    def _waits(self, orders: Sequence[Ordered]) -> dict[int, tuple[str, ...]]:
        """The providers whose purge each order waits for, by its place; what waits for none isn't in it."""
        # Without targets, such as those of tags that can't be read, there is nothing that could be waited for.
        purging = dict.fromkeys(
            order.demand.provider for order in orders if order.demand.action is Action.PURGE and order.targets
        )
        inner = {name: nearest(name, purging, self._tiers) for name in purging}
        verified = any(order.matcher.route.verify for order in orders)
        waits = {}
        for place, order in enumerate(orders):
            name = order.demand.provider
            if order.demand.action is Action.PURGE:
                found = inner.get(name, ())
            else:
                found = self._filled(name, inner)
                if not verified and not any(inner[each] or self._is_followed(each) for each in found):
                    found = ()  # delivery itself waits for the published times of these
            if found:
                waits[place] = found
        return waits

    def _filled(self, name: str, inner: Mapping[str, Collection[str]]) -> tuple[str, ...]:
        """The purging providers whose caches a preload fills: its own; else its vendor's; else all outermost ones."""
        provider = self._providers[name]
        named = str(getattr(provider, "of", "") or name)
        if named in inner:
            return (named,)
        peers = tuple(each for each in inner if type(self._providers[each]) is type(provider))
        waited_for = {each for those in inner.values() for each in those}
        return peers or tuple(each for each in inner if each not in waited_for)

    def _is_followed(self, name: str) -> bool:
        """Whether there is a better end of a purge to wait for than its published time in this invocation."""
        return bool(self._tiers.get(name, PLAIN).again) or isinstance(self._providers[name], Confirm)


class _Chain:
    """The orders for one object.

    Args:
        orders: of all routes.
        waits: see ``Sequels._waits``.
        looked_at: ids of the matchers, and keys, of the objects that are looked at.
        fresh: names of the providers that wait until those that they fetch from are fresh.
    """

    def __init__(
        self,
        orders: Sequence[Ordered],
        waits: Mapping[int, tuple[str, ...]],
        looked_at: Collection[tuple[int, str]],
        fresh: Collection[str],
    ) -> None:
        self._fresh = fresh
        self._orders = orders
        self._waits = waits
        self._looked_at = looked_at
        self._targets: dict[str, dict[Target, None]] = defaultdict(dict)
        for order in orders:
            if order.demand.action is Action.PURGE:
                self._targets[order.demand.provider].update(dict.fromkeys(order.targets))
        self._made: dict[tuple[str, Target], Sequel | None] = {}

    def wanted(self) -> Iterator[AskedNow]:
        for place, order in enumerate(self._orders):
            if place not in self._waits:
                yield AskedNow(order, order.targets, {target: self._want(order, target) for target in order.targets})

    def _want(self, order: Ordered, target: Target) -> Want:
        sequel = self._sequel(order, target)
        return msgspec.structs.replace(order.want, sequels=(sequel,)) if sequel else order.want

    def _sequel(self, order: Ordered, target: Target) -> Sequel | None:
        if order.demand.action is Action.PRELOAD:
            return None
        provider = order.demand.provider
        if (provider, target) not in self._made:
            subjects = tuple(self._subjects(provider, target))
            then = tuple(self._then(provider, target, whole=bool(subjects)))
            self._made[provider, target] = Sequel(subjects, then) if subjects or then else None
        return self._made[provider, target]

    def _subjects(self, provider: str, target: Target) -> Iterator[Subject]:
        seen = set()
        for order in self._orders:
            change, matcher = order.change, order.matcher
            mine = order.demand.provider == provider and order.demand.action is Action.PURGE
            if mine and (id(matcher), change.key) in self._looked_at and id(matcher) not in seen:
                seen.add(id(matcher))
                url = url_of(order)
                if url and target == _holder(url, self._targets[provider]):
                    yield _subject(url, change, self._also(provider, target))

    def _also(self, provider: str, target: Target) -> tuple[tuple[str, str], ...]:
        """What else is purged for the object alone: an edge that missed one purge has missed the others."""
        mine = (order for order in self._orders if order.demand.provider == provider)
        own = dict.fromkeys(each for order in mine for each, key in order.targets.items() if key == order.change.key)
        return tuple((str(each.kind), each.value) for each in own if each != target and each.kind in _OF_OBJECTS)[
            :MOST_ALSO
        ]

    def _then(self, provider: str, target: Target, *, whole: bool) -> Iterator[Then]:
        """What others do after a target: with the same target, and after the one that is looked at, with all."""
        for place, waits in self._waits.items():
            if provider in waits:
                order = self._orders[place]
                covered = {each for name in waits for each in self._targets[name]}
                alike = [each for each in order.targets if whole or each == target]
                rest = [each for each in order.targets if not whole and each not in covered]
                if chosen := [each for each in (*alike, *rest) if _can(order, each)]:
                    yield self._following(order, chosen)

    def _following(self, order: Ordered, targets: Sequence[Target]) -> Then:
        demand = order.demand
        sequels = [sequel for target in targets if (sequel := self._sequel(order, target))]
        fresh = demand.action is Action.PRELOAD or demand.provider in self._fresh
        return Then(
            demand.provider,
            str(demand.action),
            demand.bucket,
            tuple((str(target.kind), target.value) for target in targets),
            soft=demand.soft,
            fresh=fresh,
            sequel=joined(sequels) if sequels else None,
        )


def url_of(order: Ordered) -> str:
    """The URL by which the object of an order is looked at; empty where there is none."""
    return url_at(order.matcher, order.change, order.targets)


def url_at(matcher: Matcher, change: Change, targets: Mapping[Target, str]) -> str:
    """The URL by which a route looks at an object, given its targets and the key behind each; empty if it has none."""
    if matcher.route.verify and matcher.route.verify.urls:
        return matcher.looked_at(change)
    own = matcher.of_object(
        change, [target.value for target, key in targets.items() if key == change.key and is_url(target)]
    )
    return _as_shown(own, matcher.route) if own else ""


def _as_shown(urls: Sequence[str], route: Route) -> str:
    """The likeliest URL of an object: as the address bar shows it, without what the route lets URLs go without."""
    first = urls[0]
    endings = [f"/{route.index}"] if route.index else []
    for ending in (*endings, *route.strip):
        short = first.removesuffix(ending) + ("/" if ending in endings else "")
        if first.endswith(ending) and short in urls:
            return short
    return first


def is_url(target: Target) -> bool:
    """Whether a target is a single URL."""
    return target.kind is TargetKind.URL


def _can(order: Ordered, target: Target) -> bool:
    return order.demand.action is Action.PURGE or is_url(target)


def _holder(url: str, targets: Mapping[Target, None]) -> Target | None:
    """The target with which a URL is looked at: its own, else the first."""
    own = Target(TargetKind.URL, url)
    return own if own in targets else next(iter(targets), None)


def _subject(url: str, change: Change, also: tuple[tuple[str, str], ...]) -> Subject:
    return Subject(
        url,
        change.bucket,
        change.key,
        gone=change.kind is ChangeKind.REMOVED,
        time=change.time,
        etag=change.etag,
        version=change.version,
        sequencer=change.sequencer,
        also=also,
    )


def _sample(groups: Iterable[Sequence[Ordered]]) -> set[tuple[int, str]]:
    """Which objects of which routes are looked at: all, or as many as a route says, spread over those that changed."""
    candidates: dict[int, dict[str, Matcher]] = defaultdict(dict)
    for orders in groups:
        for order in orders:
            # Whether a change of who may read it opens or closes an object isn't known.
            if order.matcher.route.verify and order.change.kind is not ChangeKind.ACCESS and url_of(order):
                candidates[id(order.matcher)][order.change.key] = order.matcher
    return {(route, key) for route, keys in candidates.items() for key in _spread(list(keys), keys)}


def _spread(keys: Sequence[str], matchers: Mapping[str, Matcher]) -> Iterable[str]:
    verify = matchers[keys[0]].route.verify
    most = verify.sample if verify else "all"
    if most == "all" or len(keys) <= most:
        return keys
    return [keys[place * len(keys) // most] for place in range(most)]
