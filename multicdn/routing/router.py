"""Which routes a change matches, and what the CDNs are to be told of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, repeat
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import told
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.provenance import Provenance
from multicdn.routing.bucket_routes import BucketRoutes
from multicdn.routing.demand import Demand, RoutingFailure, SourceObject, Want
from multicdn.routing.matcher import FROM_METADATA, Matcher
from multicdn.routing.route import Route, wished_soft
from multicdn.routing.sequels import Ordered, Sequels, is_url, url_at
from multicdn.sequel import is_newer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from multicdn.provider import Provider
    from multicdn.routing.matcher import Tags, UrlHook
    from multicdn.routing.tiers import Tier
    from multicdn.routing.verify import Verify


# The parts of routes that the changes of a message still wait for, by its id; other messages wait for all. And those
# that a change is to be routed for now, by the change itself, where a route waits for the rest of a deploy.
Missing = Mapping[str | Change, frozenset[str]]

# The member of a route whose targets go through a plugin's hook.
_HOOKED = "urls"

_NONE: frozenset[str] = frozenset()

# To look a member up in its class costs Python 3.11 as much as a call, and it is done for each object.
_PURGE, _PRELOAD, _CREATED, _REMOVED, _URL = (
    Action.PURGE,
    Action.PRELOAD,
    ChangeKind.CREATED,
    ChangeKind.REMOVED,
    TargetKind.URL,
)


class LookedAt(Struct, frozen=True):
    """Where a route looks at an object.

    Attributes:
        route: the route.
        url: the one URL by which it would be verified; empty where it has none.
        urls: all of the object itself, not those of others that are stale with it.
    """

    route: Route
    url: str
    urls: frozenset[str]


class Router:
    """Routes, ready for many changes.

    Args:
        routes: have passed all checks.
        providers: all that the routes name, by name.
        url_hook: adds to or rewrites the URLs of a change.
        places: file and line of each route, for the log.
        tiers: where providers stand, by name; None where nothing can follow a purge, since it has no queue to wait in:
            then all is asked for at once.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        providers: Mapping[str, Provider],
        url_hook: UrlHook | None = None,
        places: Iterable[str] = (),
        tiers: Mapping[str, Tier] | None = None,
    ) -> None:
        routes = tuple(routes)
        self._sequels = None if tiers is None else Sequels.needed(routes, providers, tiers)
        self._buckets: dict[str, BucketRoutes] = {}
        for route, place in zip(routes, chain(places, repeat("")), strict=False):
            soft = {name: wished_soft(route, providers[name]) for name in route.purge}
            self._buckets.setdefault(route.bucket, BucketRoutes()).add(Matcher(route, soft, place))
        self._url_hook = url_hook

    @property
    def has_sequels(self) -> bool:
        """Whether anything follows a purge."""
        return self._sequels is not None

    def matching(self, bucket: str, key: str) -> Iterator[Route]:
        """Every route that covers a key, whatever happened to it."""
        for matcher in self._covering(bucket, key):
            yield matcher.route

    def verify(self, bucket: str, key: str, provider: str) -> Verify | None:
        """How an object is looked at through a provider; None if no route does."""
        found = (route.verify for route in self.matching(bucket, key) if provider in route.purge and route.verify)
        return next(found, None)

    def looked_at(self, bucket: str, key: str) -> Iterator[LookedAt]:
        """Where each route that covers an object would look at it, whether it has ``verify`` or not."""
        change = Change(bucket, key)
        for matcher in self._covering(bucket, key):
            targets = matcher.targets(change, self._url_hook, {})
            urls = (target.value for target, behind in targets.items() if behind == key and is_url(target))
            yield LookedAt(matcher.route, url_at(matcher, change, targets), frozenset(urls))

    def tagged(self, changes: Iterable[Change], missing: Missing | None = None) -> set[tuple[str, str, str]]:
        """Bucket, key and name of the metadata that routes take tags from. Removed objects have none."""
        return {
            (change.bucket, change.key, matcher.route.metadata)
            for change in changes
            if change.kind is _CREATED and self._tagged(change.bucket)
            for matcher in self._covering(change.bucket, change.key)
            if self._takes_tags(matcher, self._wanted(change, missing))
        }

    def untagged(self, change: Change, missing: Missing | None = None) -> frozenset[str]:
        """The parts of routes that a created object has no targets for where its metadata can't be read."""
        wanted = self._wanted(change, missing)
        covering = self._covering(change.bucket, change.key)
        found = [matcher for matcher in covering if self._takes_tags(matcher, wanted)]
        return frozenset(matcher.part(FROM_METADATA) for matcher in found) | self.behind(change, found)

    def behind(self, change: Change, late: Collection[Matcher]) -> frozenset[str]:
        """The parts of other routes at CDNs that fetch from those of some that are late: purged once more after them.

        They were purged when the change came, for nobody knew how late these would be, and fetched from them what was
        old.
        """
        if not late or self._sequels is None:
            return frozenset()
        inner = {name for matcher in late for name in matcher.route.purge}
        covering = self._covering(change.bucket, change.key)
        others = (
            each for each in covering if each not in late and change.kind in each.route.on and not each.route.waits
        )
        behind = [each for each in others if self._sequels.is_behind(each.route.purge, inner)]
        return frozenset(each.part(member) for each in behind for member in each.members)

    @staticmethod
    def _takes_tags(matcher: Matcher, wanted: frozenset[str] | None) -> bool:
        if not matcher.route.tags_from or _CREATED not in matcher.route.on:
            return False
        return wanted is None or matcher.part(FROM_METADATA) in wanted

    def _tagged(self, bucket: str) -> bool:
        routes = self._buckets.get(bucket)
        return routes is not None and routes.tagged

    def demands(
        self,
        changes: Iterable[Change],
        tags: Tags | None = None,
        missing: Missing | None = None,
        *,
        chained: bool = True,
    ) -> tuple[list[Demand], list[RoutingFailure]]:
        """What every provider is to do, and the changes that a plugin failed on.

        Of several changes of one key the newest decides, for each route among those that it listens to; but what was
        removed, or closed to readers, in between is dropped: were it only marked stale, a cache could go on serving it.
        And what is gone by the newest of all changes is preloaded for no route, though one may not hear of removals.

        Args:
            changes: in any order.
            tags: from the objects' metadata, for routes that take them from there.
            missing: see ``Missing``.
            chained: whether those who wait for others are among the sequels of these; else all is asked for at once.
        """
        newest: dict[tuple[int, str], _Match] = {}
        dropped: set[tuple[int, str]] = set()
        changes = tuple(changes)
        for change in changes:
            wanted = self._wanted(change, missing) if missing else None
            routes = self._buckets.get(change.bucket)
            for matcher in routes.covering(change.key) if routes is not None else ():
                members = None if wanted is None else matcher.members_of(wanted)
                if change.kind in matcher.route.on and members != _NONE:
                    key = (id(matcher), change.key)
                    earlier = newest.get(key)
                    if earlier is None:
                        newest[key] = _Match(matcher, change, members)
                    else:
                        newer = change if is_newer(change, earlier.change) else earlier.change
                        newest[key] = _Match(matcher, newer, _both(members, earlier.members))
                    if change.kind is not _CREATED:
                        dropped.add(key)
        sequels = self._sequels if chained else None
        return self._collect(newest.values(), dropped, gone_by(changes), tags or {}, sequels)

    def _wanted(self, change: Change, missing: Missing | None) -> frozenset[str] | None:
        """The parts of routes that a change still waits for; None for all of them.

        All, too, where a part is of a route that the config no longer has: which one stands in its place isn't known.
        """
        if not missing:
            return None
        wanted = missing.get(change) if change in missing else missing.get(change.cause)
        if wanted is None:
            return None
        routes = self._buckets.get(change.bucket)
        return wanted if routes is not None and wanted <= routes.parts else None

    @property
    def waits(self) -> bool:
        """Whether any route waits for whole deploys."""
        return any(routes.waiting for routes in self._buckets.values())

    def parts(self, change: Change, missing: Missing | None = None) -> dict[Matcher, frozenset[str]]:
        """The routes that act on a change, and the parts of each for which the change is to be routed."""
        wanted = self._wanted(change, missing)
        acting = (each for each in self._covering(change.bucket, change.key) if change.kind in each.route.on)
        found = {each: frozenset(map(each.part, each.members)) for each in acting}
        return found if wanted is None else {each: left for each, all_ in found.items() if (left := all_ & wanted)}

    def covers(self, change: Change) -> bool:
        """Whether any route is about a changed key, whatever happened to it."""
        return any(True for _ in self._covering(change.bucket, change.key))

    def acts_on(self, change: Change) -> bool:
        """Whether any route is about a changed key, and about what happened to it."""
        return any(change.kind in matcher.route.on for matcher in self._covering(change.bucket, change.key))

    def untargeted(self, changes: Iterable[Change]) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Key and reason of changes for which a template has no text, by bucket and template.

        Such as one that makes a host name from a folder, for an object in none, or in one that no host is called after.
        """
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for change in changes:
            routes = self._buckets.get(change.bucket)
            for matcher in routes.covering(change.key) if routes is not None and routes.partial else ():
                if matcher.is_partial and change.kind in matcher.route.on:
                    for text, why in matcher.lacking(change):
                        found.setdefault((change.bucket, text), []).append((change.key, why))
        return found

    def _covering(self, bucket: str, key: str) -> Iterable[Matcher]:
        routes = self._buckets.get(bucket)
        return routes.covering(key) if routes else ()

    def _collect(
        self,
        matched: Iterable[_Match],
        dropped: set[tuple[int, str]],
        gone: set[tuple[str, str]],
        tags: Tags,
        sequels: Sequels | None,
    ) -> tuple[list[Demand], list[RoutingFailure]]:
        demands = _Demands()
        failures = []
        orders: list[Ordered] = []
        for match in matched:
            matcher, change, members = match.matcher, match.change, match.members
            try:
                targets = matcher.targets(change, self._url_hook, tags, members)
            except Exception as error:  # noqa: BLE001 - a plugin's hook; its failure must cost the URLs of this change only
                reason = f"a plugin failed on its URLs: {told(error)}"
                missing = frozenset((matcher.part(_HOOKED),)) | self.behind(change, (matcher,))
                failures.append(RoutingFailure(change, reason, missing))
                targets = matcher.targets(change, None, tags, (members or matcher.members) - {_HOOKED})
            want = Want(frozenset((change.cause,)), frozenset((_mark(change),)), (_provenance(change, matcher),))
            hard = bool(dropped) and (id(matcher), change.key) in dropped
            preload = not gone or (change.bucket, change.key) not in gone
            for demand in demands.changed_by(matcher, change.kind, hard=hard, preload=preload):
                preloads = gone and demand.action is _PRELOAD
                chosen = _left(targets, change.bucket, gone) if preloads else targets
                if sequels is None:
                    _add(demand, chosen, change, want)
                else:
                    orders.append(Ordered(demand, chosen, change, matcher, want))
        if sequels is not None:
            for wanted in sequels.chained(orders):
                order = wanted.order
                for target, each in wanted.wants.items():
                    _add(order.demand, {target: wanted.targets[target]}, order.change, each)
        return demands.all(), failures


class _Match(Struct, frozen=True, gc=False):
    """A change that a route covers, and by which of the route's members it is to be purged; None for all."""

    matcher: Matcher
    change: Change
    members: frozenset[str] | None


def _both(members: frozenset[str] | None, others: frozenset[str] | None) -> frozenset[str] | None:
    """What two changes of one key ask for together."""
    return None if members is None or others is None else members | others


class _Demands:
    """The demands of one invocation as they grow."""

    def __init__(self) -> None:
        self._demands: dict[tuple[str, Action, bool, str, int], Demand] = {}
        self._by_route: dict[tuple[int, ChangeKind, bool, bool], list[Demand]] = {}

    def changed_by(self, matcher: Matcher, kind: ChangeKind, *, hard: bool, preload: bool) -> list[Demand]:
        """The demands that get the targets of a change: one for each order that its route gives for its kind."""
        demands = self._by_route.get((id(matcher), kind, hard, preload))
        if demands is None:
            orders = [order for order in matcher.orders(kind) if preload or order[1] is _PURGE]
            demands = [self._demand(matcher, name, action, soft and not hard) for name, action, soft in orders]
            self._by_route[id(matcher), kind, hard, preload] = demands
        return demands

    def _demand(self, matcher: Matcher, provider: str, action: Action, soft: bool) -> Demand:  # noqa: FBT001
        route = matcher.route
        collapsing = route.collapse != "never" and action is _PURGE
        shared = (provider, action, soft, route.bucket, id(matcher) if collapsing else 0)
        if shared not in self._demands:
            self._demands[shared] = Demand(*shared[:4], {}, route if collapsing else None, {})
        return self._demands[shared]

    def all(self) -> list[Demand]:
        """All that have something to do."""
        return [demand for demand in self._demands.values() if demand.wants]


def gone_by(changes: Iterable[Change]) -> set[tuple[str, str]]:
    """Bucket and key of the objects that the newest of their changes has removed, whoever listens to that."""
    changes = tuple(changes)
    removed: dict[tuple[str, str], Change] = {}
    for change in changes:
        if change.kind is _REMOVED:
            _keep_newest(removed, change)
    created: dict[tuple[str, str], Change] = {}
    for change in changes if removed else ():
        if change.kind is _CREATED:
            _keep_newest(created, change)
    return {place for place, removal in removed.items() if not _is_back(created.get(place), removal)}


def _keep_newest(found: dict[tuple[str, str], Change], change: Change) -> None:
    place = (change.bucket, change.key)
    earlier = found.get(place)
    if earlier is None or is_newer(change, earlier):
        found[place] = change


def _is_back(created: Change | None, removed: Change) -> bool:
    """Whether an object was created again after its removal. In doubt, as within the same second, it wasn't."""
    if created is None:
        return False
    if created.sequencer and removed.sequencer:
        return not is_newer(removed, created)
    width = min(len(change.time.rstrip("Z")) for change in (created, removed))
    return created.time[:width] > removed.time[:width]


def _left(targets: Mapping[Target, str], bucket: str, gone: set[tuple[str, str]]) -> dict[Target, str]:
    """The targets but for those made of keys that are gone, as a key that a route names by ``also`` may be."""
    return {target: key for target, key in targets.items() if (bucket, key) not in gone}


def _provenance(change: Change, matcher: Matcher) -> Provenance:
    return Provenance(
        change.bucket, (change.key,), 1, matcher.places, change.principal, change.source_ip, "", "", change.time
    )


def _mark(change: Change) -> str:
    """What tells a change from the next one of its key; empty if nothing does."""
    return change.sequencer or " ".join(filter(None, (change.time, change.version, change.etag))) or change.cause


def _add(demand: Demand, targets: Mapping[Target, str], change: Change, want: Want) -> None:
    wants, purges = demand.wants, demand.action is _PURGE
    for target in targets:
        if purges or target.kind is _URL:
            earlier = wants.setdefault(target, want)
            if earlier is not want:
                wants[target] = earlier.joined(want)
    if demand.route is not None:
        for target, key in targets.items():
            origin = demand.origins.get(target)
            if origin is None or origin.kind is None:
                demand.origins[target] = SourceObject(key, change.kind if key == change.key else None)
