"""Changes that wait for the rest of their deploy: which of a batch, for how long, and what goes on now. Pure.

They wait as those do of which something could not be found out, and come back for the routes that hold them alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

from multicdn.model import ChangeKind
from multicdn.planning import settling
from multicdn.planning.front import Holding, Released
from multicdn.planning.settling import Moment, Ruling
from multicdn.provenance import since_1970
from multicdn.queue.message import shortened
from multicdn.queue.waiting import HELD, Unrouted, Waiting
from multicdn.routing.durations import LONGEST_DELAY, seconds
from multicdn.sequel import is_newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.model import Change
    from multicdn.queue.retry import MessageHistory, RetryPolicy
    from multicdn.routing.matcher import Matcher
    from multicdn.routing.router import Missing, Router

# Changes wait together if their ages differ by no more than a twelfth of the time after which they are given up.
_AGES = 12


class DeployLookup(Protocol):
    """How S3 is asked about deploys. Never raises."""

    def changed(self, bucket: str, prefix: str, since: float) -> Mapping[str, float]:
        """Keys below a prefix that were uploaded since a moment, and when; none where nobody knows."""

    def uploaded(self, bucket: str, key: str) -> tuple[float | None, str]:
        """When an object was uploaded; None where there is none, or nobody knows, with the reason of that."""


class _InHand(NamedTuple):
    """A change that a route acts on and may hold, the parts of the route that it is for, and its times."""

    change: Change
    parts: frozenset[str]
    moment: Moment


class _Hold(NamedTuple):
    """For how long changes wait together, and for what."""

    until: float | None
    parts: frozenset[str]
    age: int


def hold(
    router: Router,
    changes: Sequence[Change],
    missing: Missing,
    history: MessageHistory,
    lookup: DeployLookup,
    policy: RetryPolicy,
    now: float,
) -> Holding:
    """Decide which changes wait for the rest of their deploy.

    Args:
        router: the routes.
        changes: in any order.
        missing: the parts of routes that changes of earlier invocations still wait for.
        history: of the messages that brought them.
        lookup: asked where it matters.
        policy: how long is waited for what doesn't come.
        now: seconds since 1970.
    """
    by_route: dict[Matcher, list[_InHand]] = {}
    routed: dict[Change, frozenset[str]] = {}
    for change in dict.fromkeys(changes):
        parts = router.parts(change, missing)
        waiting = [matcher for matcher in parts if matcher.route.waits]
        if waiting:
            routed[change] = frozenset[str]().union(*(parts[each] for each in parts if not each.route.waits))
        for matcher in waiting:
            moment = _moment(change, history, missing, now)
            by_route.setdefault(matcher, []).append(_InHand(change, parts[matcher], moment))
    held: dict[tuple[Change, float | None], tuple[frozenset[str], str]] = {}
    released: list[Released] = []
    going: set[str] = set()
    for matcher, hand in by_route.items():
        judged = list(zip(hand, _rulings(matcher, hand, changes, lookup, policy, now), strict=True))
        over = [(each, ruling) for each, ruling in judged if ruling.goes_on]
        for each, _ in over:
            routed[each.change] |= each.parts | router.behind(each.change, (matcher,))
        going |= {each.moment.message for each, _ in over if _has_only_waited(each.moment, history)}
        if over:
            released.append(_released(matcher, over, now))
        for each, ruling in _newest((each, ruling) for each, ruling in judged if not ruling.goes_on):
            known, reason = held.get((each.change, ruling.until), (frozenset(), ruling.reason))
            held[each.change, ruling.until] = known | each.parts, reason
    groups = _groups(held, history, policy, now)
    waits = frozenset(change for change, parts in routed.items() if not parts)
    return Holding(dict([*missing.items(), *routed.items()]), groups, waits, released, going)


def _moment(change: Change, history: MessageHistory, missing: Missing, now: float) -> Moment:
    """When a change happened: as S3 says, unless that was later than the message was sent that told of it."""
    sent = min(now, history.sent.get(change.cause, now))
    happened = since_1970(change.time)
    at = sent if happened is None else min(happened, sent)
    return Moment(at, sent, change.cause, change.cause in missing)


def _has_only_waited(moment: Moment, history: MessageHistory) -> bool:
    """Whether a change comes from a wait for its deploy; what was tried in vain since keeps its age."""
    return moment.waited and not history.attempts.get(moment.message)


def _rulings(
    matcher: Matcher,
    hand: Sequence[_InHand],
    changes: Sequence[Change],
    lookup: DeployLookup,
    policy: RetryPolicy,
    now: float,
) -> list[Ruling]:
    route, moments = matcher.route, [each.moment for each in hand]
    if route.after:

        def last() -> tuple[float | None, str]:
            found, why = lookup.uploaded(route.bucket, route.after)
            times = (_moment_of_upload(change, route.bucket, route.after, now) for change in changes)
            told = max((time for time in times if time is not None), default=None)
            return (found, why) if told is None else (max(told, found or told), "")

        key = f"s3://{route.bucket}/{route.after}"
        return settling.ended(moments, key, last, policy.give_up_after, now)
    assert route.settle is not None, "it waits for one or the other"
    quiet = seconds(route.settle.quiet)

    def elsewhere() -> float | None:
        if ChangeKind.CREATED not in route.on:
            return None
        found = lookup.changed(route.bucket, route.fixed_prefix, now - quiet)
        return max((time for key, time in found.items() if _covers(matcher, key)), default=None)

    return settling.settled(moments, quiet, seconds(route.settle.most), elsewhere, now)


def _moment_of_upload(change: Change, bucket: str, key: str, now: float) -> float | None:
    """When an object was uploaded, by a change that may tell of it."""
    if change.kind is not ChangeKind.CREATED or (change.bucket, change.key) != (bucket, key):
        return None
    happened = since_1970(change.time)
    return None if happened is None else min(happened, now)


def _covers(matcher: Matcher, key: str) -> bool:
    return key.startswith(matcher.route.prefix_in(key)) and matcher.covers_below_prefix(key)


def _released(matcher: Matcher, over: Sequence[tuple[_InHand, Ruling]], now: float) -> Released:
    objects = tuple(dict.fromkeys((each.change.bucket, each.change.key) for each, _ in over))
    waited = now - min(each.moment.at for each, _ in over)
    reason = next((ruling for _, ruling in over if ruling.late), over[0][1])
    return Released(matcher.places, objects, round(waited, 1), reason.reason, reason.late)


def _newest(held: Iterable[tuple[_InHand, Ruling]]) -> Iterator[tuple[_InHand, Ruling]]:
    """Of several changes of one key the newest, which answers for the others; and before it what was gone in between.

    For what was removed, or closed to readers, is dropped rather than marked as stale, though it is back.
    """
    by_key: dict[str, list[tuple[_InHand, Ruling]]] = defaultdict(list)
    for each, ruling in held:
        by_key[each.change.key].append((each, ruling))
    for alike in by_key.values():
        newest, ruling = reduce(_newer, alike)
        parts = frozenset[str]().union(*(each.parts for each, _ in alike))
        gone = [pair for pair in alike if pair[0].change.kind is not ChangeKind.CREATED]
        if gone and newest.change.kind is ChangeKind.CREATED:
            yield reduce(_newer, gone)
        yield newest._replace(parts=parts), ruling


def _newer(one: tuple[_InHand, Ruling], other: tuple[_InHand, Ruling]) -> tuple[_InHand, Ruling]:
    return other if is_newer(other[0].change, one[0].change) else one


def _groups(
    held: Mapping[tuple[Change, float | None], tuple[frozenset[str], str]],
    history: MessageHistory,
    policy: RetryPolicy,
    now: float,
) -> list[Unrouted]:
    """The messages to be: what waits equally long, for the same parts of routes, and is about as old, is together."""
    span = policy.give_up_after / _AGES
    groups: dict[_Hold, list[tuple[Change, str]]] = defaultdict(list)
    for (change, until), (parts, reason) in held.items():
        age = int(history.sent.get(change.cause, now) // span)
        groups[_Hold(until, parts, age)].append((change, reason))
    return [_unrouted(alike, group, history, now) for alike, group in groups.items()]


def _unrouted(alike: _Hold, group: Sequence[tuple[Change, str]], history: MessageHistory, now: float) -> Unrouted:
    causes = {change.cause for change, _ in group}
    since = max(history.sent.get(cause, now) for cause in causes)
    origins = frozenset(origin for cause in causes for origin in history.origins.get(cause, (cause,)))
    attempt = min(history.attempts.get(cause, 0) for cause in causes)
    waiting = Waiting(tuple(sorted(alike.parts)), attempt, round(since, 3), shortened(origins))
    delay = None if alike.until is None else min(LONGEST_DELAY, max(1, math.ceil(alike.until - now)))
    changes = tuple(_timed(change, history, now) for change, _ in group)
    return Unrouted(changes, waiting, group[0][1], delay, HELD)


def _timed(change: Change, history: MessageHistory, now: float) -> Change:
    """A change with a time, by which it is told later how long it has waited: that of its message, if it has none."""
    if since_1970(change.time) is not None:
        return change
    sent = datetime.fromtimestamp(max(0.0, min(now, history.sent.get(change.cause, now))), UTC)
    return msgspec.structs.replace(change, time=sent.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
