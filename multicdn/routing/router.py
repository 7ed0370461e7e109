"""Which routes a change matches, and what the CDNs are to be told of it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multicdn.errors import told
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind
from multicdn.routing.matcher import Bucket, Matcher, Tags, UrlHook
from multicdn.routing.route import Route
from multicdn.routing.route_checks import wished_soft

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.config import Config

__all__ = ["Demand", "Failure", "Origin", "Router", "Tags", "UrlHook", "Want", "supersedes"]


class Want(Struct, frozen=True):
    """Who asked for a target.

    Attributes:
        asking: ids of the messages.
        marks: identities of the changes behind it, so that a new upload is a new request.
    """

    asking: frozenset[str] | set[str]
    marks: frozenset[str] | set[str]

    @property
    def causes(self) -> frozenset[str]:
        """Ids of the messages."""
        return frozenset(self.asking)

    def joined(self, other: Want) -> Want:
        """This want and another. Most targets have one want, which is shared; a tag may have thousands and grows."""
        if isinstance(self.asking, set) and isinstance(self.marks, set):
            self.asking.update(other.asking)
            self.marks.update(other.marks)
            return self
        return Want({*self.asking, *other.asking}, {*self.marks, *other.marks})


class Origin(NamedTuple):
    """From which key a URL was made, and what happened to its object; None for a key that another one's change made."""

    key: str
    kind: ChangeKind | None


class Demand(Struct, frozen=True):
    """What one provider instance is to do for the changes of one bucket.

    Attributes:
        provider: name of the instance.
        action: purge or preload.
        soft: whether to mark as stale.
        bucket: where the changes happened.
        wants: targets as routing spells them (the provider hasn't been asked yet), and who asked for each.
        route: the one route behind it, if that has a policy for collapsing; else None.
        origins: then, of each URL.
    """

    provider: str
    action: Action
    soft: bool
    bucket: str
    wants: dict[Target, Want]
    route: Route | None = None
    origins: dict[Target, Origin] = {}


class Failure(Struct, frozen=True):
    """A change of which something could not be found out, so that its message has to come back."""

    change: Change
    reason: str


class Router:
    """The routes of a config, ready for many changes.

    Args:
        config: the checked config.
        url_hook: adds to or rewrites the URLs of a change.
    """

    def __init__(self, config: Config, url_hook: UrlHook | None = None) -> None:
        self._buckets: dict[str, Bucket] = {}
        for route in config.routes:
            soft = {name: wished_soft(route, config.providers[name]) for name in route.purge}
            self._buckets.setdefault(route.bucket, Bucket()).add(Matcher(route, soft))
        self._url_hook = url_hook

    def matching(self, bucket: str, key: str) -> Iterator[Route]:
        """Every route that covers a key, whatever happened to it."""
        for matcher in self._covering(bucket, key):
            yield matcher.route

    def tagged(self, changes: Iterable[Change]) -> set[tuple[str, str, str]]:
        """Bucket, key and name of the metadata that routes take tags from. Removed objects have none."""
        return {
            (change.bucket, change.key, matcher.route.metadata)
            for change in changes
            if change.kind is ChangeKind.CREATED and self._tagged(change.bucket)
            for matcher in self._covering(change.bucket, change.key)
            if matcher.route.tags_from and ChangeKind.CREATED in matcher.route.on
        }

    def _tagged(self, bucket: str) -> bool:
        routes = self._buckets.get(bucket)
        return routes is not None and routes.tagged

    def demands(self, changes: Iterable[Change], tags: Tags | None = None) -> tuple[list[Demand], list[Failure]]:
        """What every provider is to do, and the changes that a plugin failed on.

        Of several changes of one key the newest decides, for each route among those that it listens to.

        Args:
            changes: in any order.
            tags: from the objects' metadata, for routes that take them from there.
        """
        newest: dict[tuple[int, str], tuple[Matcher, Change]] = {}
        for change in changes:
            for matcher in self._covering(change.bucket, change.key):
                if change.kind in matcher.route.on:
                    place = (id(matcher), change.key)
                    known = newest.get(place)
                    if known is None or supersedes(change, known[1]):
                        newest[place] = (matcher, change)
        return self._collect(newest.values(), tags or {})

    def _covering(self, bucket: str, key: str) -> Iterable[Matcher]:
        routes = self._buckets.get(bucket)
        return routes.covering(key) if routes else ()

    def _collect(self, matched: Iterable[tuple[Matcher, Change]], tags: Tags) -> tuple[list[Demand], list[Failure]]:
        demands = _Demands()
        failures = []
        for matcher, change in matched:
            try:
                targets = matcher.targets(change, self._url_hook, tags)
            except Exception as error:  # noqa: BLE001 - a plugin's hook; its failure must cost this change only
                failures.append(Failure(change, f"a plugin failed on its URLs: {told(error)}"))
                continue
            want = Want(frozenset((change.cause,)), frozenset((_mark(change),)))
            for demand in demands.of(matcher, change.kind):
                _add(demand, targets, change, want)
        return demands.all(), failures


class _Demands:
    """The demands of one invocation as they grow."""

    def __init__(self) -> None:
        self._demands: dict[tuple[str, Action, bool, str, int], Demand] = {}
        self._known: dict[tuple[int, ChangeKind], list[Demand]] = {}

    def of(self, matcher: Matcher, kind: ChangeKind) -> list[Demand]:
        """Those that a change of a kind belongs to under a route."""
        known = self._known.get((id(matcher), kind))
        if known is None:
            known = self._known[id(matcher), kind] = [self._one(matcher, *order) for order in matcher.orders(kind)]
        return known

    def _one(self, matcher: Matcher, provider: str, action: Action, soft: bool) -> Demand:  # noqa: FBT001
        route = matcher.route
        collapsing = route.collapse != "never" and action is Action.PURGE
        place = (provider, action, soft, route.bucket, id(matcher) if collapsing else 0)
        if place not in self._demands:
            self._demands[place] = Demand(*place[:4], {}, route if collapsing else None, {})
        return self._demands[place]

    def all(self) -> list[Demand]:
        """All that have something to do."""
        return [demand for demand in self._demands.values() if demand.wants]


def supersedes(new: Change, old: Change) -> bool:
    """Whether a change of the same key is the newer one, or the same again.

    Sequencers are compared as text after padding the shorter one with zeros on the right:
    docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. Without them the times decide,
    and without those the order of arrival.
    """
    if new.sequencer and old.sequencer:
        width = max(len(new.sequencer), len(old.sequencer))
        return new.sequencer.upper().ljust(width, "0") >= old.sequencer.upper().ljust(width, "0")
    if new.time and old.time:
        # S3 writes milliseconds and EventBridge doesn't: "Z" would sort after the point.
        return new.time.rstrip("Z") >= old.time.rstrip("Z")
    return True


def _mark(change: Change) -> str:
    """What tells a change from the next one of its key; empty if nothing does."""
    return change.sequencer or " ".join(filter(None, (change.time, change.version, change.etag))) or change.cause


def _add(demand: Demand, targets: Mapping[Target, str], change: Change, want: Want) -> None:
    wants = demand.wants
    for target in targets:
        if demand.action is Action.PURGE or target.kind is TargetKind.URL:
            known = wants.setdefault(target, want)
            if known is not want:
                wants[target] = known.joined(want)
    if demand.route is not None:
        for target, key in targets.items():
            known_origin = demand.origins.get(target)
            if known_origin is None or known_origin.kind is None:
                demand.origins[target] = Origin(key, change.kind if key == change.key else None)
