"""Which routes a change matches, and what the CDNs are to be told of it. Pure."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn import templates
from multicdn.config import MEMBERS, wished_soft
from multicdn.model import Action, Change, ChangeKind, Target, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.config import Config, Route
    from multicdn.templates import Template

    UrlHook = Callable[[Change, Sequence[str]], Sequence[str]]


class Want(Struct):
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

    def join(self, asking: frozenset[str], marks: frozenset[str]) -> None:
        """Add another change. Most targets have one and share its sets; a tag may have thousands and needs its own."""
        if isinstance(self.asking, frozenset):
            self.asking, self.marks = set(self.asking), set(self.marks)
        self.asking |= asking
        self.marks |= marks


class Demand(Struct, frozen=True):
    """What one provider instance is to do for the changes of one bucket.

    Attributes:
        provider: name of the instance.
        action: purge or preload.
        soft: whether to mark as stale.
        bucket: where the changes happened.
        wants: targets as routing spells them (the provider hasn't been asked yet), and who asked for each.
    """

    provider: str
    action: Action
    soft: bool
    bucket: str
    wants: dict[Target, Want]


class Failure(Struct, frozen=True):
    """A change for which a plugin's URL hook failed."""

    change: Change
    reason: str


class Router:
    """The routes of a config, ready for many changes.

    Args:
        config: the checked config.
        url_hook: adds to or rewrites the URLs of a change.
    """

    def __init__(self, config: Config, url_hook: UrlHook | None = None) -> None:
        self._buckets: dict[str, _Bucket] = {}
        for route in config.routes:
            soft = {name: wished_soft(route, config.providers[name]) for name in route.purge}
            self._buckets.setdefault(route.bucket, _Bucket()).add(_Compiled(route, soft))
        self._url_hook = url_hook

    def matching(self, bucket: str, key: str) -> Iterator[Route]:
        """Every route that covers a key, whatever happened to it."""
        for compiled in self._covering(bucket, key):
            yield compiled.route

    def demands(self, changes: Iterable[Change]) -> tuple[list[Demand], list[Failure]]:
        """What every provider is to do, and the changes that a plugin failed on.

        Of several changes of one key the newest decides, for each route among those that it listens to.
        """
        newest: dict[tuple[int, str], tuple[_Compiled, Change]] = {}
        for change in changes:
            for compiled in self._covering(change.bucket, change.key):
                if change.kind in compiled.route.on:
                    place = (id(compiled), change.key)
                    known = newest.get(place)
                    if known is None or supersedes(change, known[1]):
                        newest[place] = (compiled, change)
        return self._collect(newest.values())

    def _covering(self, bucket: str, key: str) -> Iterator[_Compiled]:
        routes = self._buckets.get(bucket)
        return routes.covering(key) if routes else iter(())

    def _collect(self, matched: Iterable[tuple[_Compiled, Change]]) -> tuple[list[Demand], list[Failure]]:
        demands: dict[tuple[str, Action, bool, str], Demand] = {}
        failures = []
        for compiled, change in matched:
            try:
                targets = list(compiled.targets(change, self._url_hook))
            except Exception as error:  # noqa: BLE001 - a plugin's hook; its failure must cost this change only
                failures.append(Failure(change, f"a plugin failed on its URLs: {type(error).__name__}: {error}"))
                continue
            asking, marks = frozenset((change.cause,)), frozenset((_mark(change),))
            for provider, action, soft in compiled.orders(change.kind):
                place = (provider, action, soft, change.bucket)
                demand = demands.get(place)
                if demand is None:
                    demand = demands[place] = Demand(*place[:3], bucket=change.bucket, wants={})
                _add(demand.wants, targets, action, asking, marks)
        return list(demands.values()), failures


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


def _add(
    wants: dict[Target, Want],
    targets: list[Target],
    action: Action,
    asking: frozenset[str],
    marks: frozenset[str],
) -> None:
    for target in targets:
        if action is Action.PRELOAD and target.kind is not TargetKind.URL:
            continue
        want = wants.get(target)
        if want is None:
            wants[target] = Want(asking, marks)
        else:
            want.join(asking, marks)


class _Bucket:
    """The routes of one bucket. Time grows with the number of different prefix lengths, not of routes."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, list[_Compiled]] = {}
        self._lengths: list[int] = []

    def add(self, compiled: _Compiled) -> None:
        prefix = compiled.route.prefix
        self._by_prefix.setdefault(prefix, []).append(compiled)
        self._lengths = sorted({len(known) for known in self._by_prefix})

    def covering(self, key: str) -> Iterator[_Compiled]:
        for length in self._lengths:
            if length > len(key):
                return
            for compiled in self._by_prefix.get(key[:length], ()):
                if not compiled.excludes(key):
                    yield compiled


class _Compiled:
    """A route with its patterns and templates parsed."""

    def __init__(self, route: Route, soft: dict[str, bool]) -> None:
        self.route = route
        self._excluded = re.compile("|".join(map(translate, route.exclude))) if route.exclude else None
        self._templates = [
            (kind, [templates.parse(text) for text in route.texts(member)])
            for member, kind in MEMBERS.items()
            if route.texts(member)
        ]
        self._orders = {kind: tuple(self._for_kind(kind, soft)) for kind in ChangeKind}

    def excludes(self, key: str) -> bool:
        return self._excluded is not None and self._excluded.match(key) is not None

    def orders(self, kind: ChangeKind) -> tuple[tuple[str, Action, bool], ...]:
        """Provider, action and softness for a change of a kind."""
        return self._orders[kind]

    def _for_kind(self, kind: ChangeKind, soft: dict[str, bool]) -> Iterator[tuple[str, Action, bool]]:
        for name in self.route.purge:
            # A removed object must not be served as stale either.
            yield name, Action.PURGE, soft[name] and kind is not ChangeKind.REMOVED
        if kind is ChangeKind.CREATED:
            for name in self.route.preload:
                yield name, Action.PRELOAD, False

    def targets(self, change: Change, url_hook: UrlHook | None) -> Iterator[Target]:
        for kind, parsed in self._templates:
            texts = self._texts(parsed, change)
            if url_hook is not None and kind is TargetKind.URL:
                texts = url_hook(change, texts)
            for text in texts:
                # A tag such as "{dir}" is empty for an object at the root, and must never come to mean everything.
                if text or kind is TargetKind.EVERYTHING:
                    yield Target(kind, text)

    def _texts(self, parsed: Sequence[Template], change: Change) -> Sequence[str]:
        return templates.expand(parsed, change.bucket, change.key, self.route.prefix, self.route.index)
