"""Purges and preloads that a person asks for, as the demands that delivery and the queue know. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from multicdn.errors import MulticdnError, did_you_mean
from multicdn.model import Action, Change, ChangeKind, Job, Target, TargetKind
from multicdn.oncall.explain import hosts, serves
from multicdn.planning.collapse import Decision
from multicdn.planning.front import OFFLINE, ObjectLookup, find_work
from multicdn.planning.jobs import unlocated
from multicdn.planning.validation import is_blank
from multicdn.provenance import UNKNOWN
from multicdn.provider import SoftPurge, capability, stands_for_others
from multicdn.queue.message import QueuedJob
from multicdn.routing.demand import Demand, Want
from multicdn.routing.route import wished_soft
from multicdn.routing.url_templates import lower_host, requested

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.config import Config
    from multicdn.provider import Provider
    from multicdn.routing.route import Route
    from multicdn.routing.router import Router

# Of one message to the function, so that several invocations share a large piece of work.
_MOST_TARGETS = 1000


class RequestError(MulticdnError):
    """What a person asked for can't be done; the text says what to ask for instead. Nothing has been called."""


class Object(Struct, frozen=True):
    """An object in S3.

    Attributes:
        bucket, key: as in a change.
        listed: whether it was found by listing the bucket rather than named.
        kind: what happened to it; None where nobody says.
    """

    bucket: str
    key: str
    listed: bool = False
    kind: ChangeKind | None = None


class ManualRequest(Struct, frozen=True, kw_only=True):
    """What a person asks for.

    Attributes:
        id: unique, so that no vendor takes a second request for a repetition of the first.
        action: purge or preload.
        objects: whatever the routes make of them.
        targets: URLs, prefixes, tags, or everything, as they are.
        providers: names of the instances to restrict it to; empty for all that the routes name.
        soft: whether to mark as stale; None for what routes and providers say.
    """

    id: str
    action: Action = Action.PURGE
    objects: tuple[Object, ...] = ()
    targets: tuple[Target, ...] = ()
    providers: tuple[str, ...] = ()
    soft: bool | None = None


class Orders(Struct, frozen=True):
    """What a request comes to.

    Attributes:
        demands: for the providers.
        unmatched: objects of which no route, or none with a chosen provider, wants anything.
        failures: S3 URI and reason of objects of which something could not be found out.
        decisions: about demands that could be collapsed.
    """

    demands: tuple[Demand, ...]
    unmatched: tuple[Object, ...] = ()
    failures: tuple[tuple[str, str], ...] = ()
    decisions: tuple[Decision, ...] = ()


def orders(config: Config, router: Router, request: ManualRequest, lookup: ObjectLookup = OFFLINE) -> Orders:
    """Turn a request into demands.

    Args:
        config: the checked config.
        router: of the config.
        request: what is asked for.
        lookup: asked about objects; not about tags if they are to be preloaded, since no tag can be.

    Raises:
        RequestError: a provider is unknown or can't do it, a URL isn't one, or nobody serves its host.
    """
    for name in request.providers:
        _check_name(config, name)
    if request.action is Action.PRELOAD:
        lookup = msgspec.structs.replace(lookup, metadata=OFFLINE.metadata)

    def choose(demands: Iterable[Demand]) -> Iterator[Demand]:
        yield from _of_objects(config, demands, request)
        yield from _of_targets(config, request)

    work = find_work(router, config.providers, tuple(_changes(router, request)), lookup, choose=choose)
    failures = dict.fromkeys((f"s3://{each.change.bucket}/{each.change.key}", each.reason) for each in work.failures)
    failed = {(failure.change.bucket, failure.change.key) for failure in work.failures}
    known = (item for item in request.objects if (item.bucket, item.key) not in failed)
    unmatched = (item for item in known if not _has_route(router, item, request))
    return Orders(tuple(work.demands), tuple(unmatched), tuple(failures), tuple(work.decisions))


def asked_by(orders: Orders, by: str, why: str) -> Orders:
    """The same orders, as the log is to know them: asked for by somebody, for a reason."""
    signed: dict[int, Want] = {}
    for want in (want for demand in orders.demands for want in demand.wants.values()):
        behind = want.behind or (UNKNOWN,)
        marked = tuple(msgspec.structs.replace(each, by=by, why=why) for each in behind)
        signed.setdefault(id(want), msgspec.structs.replace(want, behind=marked))
    demands = (
        msgspec.structs.replace(demand, wants={target: signed[id(want)] for target, want in demand.wants.items()})
        for demand in orders.demands
    )
    return msgspec.structs.replace(orders, demands=tuple(demands))


def queued_jobs(demands: Iterable[Demand], request: ManualRequest, now: float) -> Iterator[QueuedJob]:
    """The demands as jobs for the function's queue, of a size that several invocations share.

    Targets stay as routing spells them: the function asks its own providers, and merges what arrives together.
    """
    for demand in demands:
        for job in unlocated(demand):
            for part in _parts(job):
                yield QueuedJob(part, attempt=0, since=now, origins=(request.id,))


def _parts(job: Job) -> Iterator[Job]:
    if len(job.targets) <= _MOST_TARGETS:
        yield job
    else:
        for half in job.halves():
            yield from _parts(half)


def _of_objects(config: Config, demands: Iterable[Demand], request: ManualRequest) -> list[Demand]:
    """The part that is asked for of what the routes demand for the objects."""
    chosen = request.providers or tuple(config.providers)
    return [
        _softened(config, demand, request.soft)
        for demand in demands
        if demand.action is request.action and demand.provider in chosen
    ]


def _changes(router: Router, request: ManualRequest) -> Iterator[Change]:
    """A change for each object; one of another kind for each route that doesn't listen to uploads, so that it acts.

    What is known to be removed counts as that, unless nothing would act on it then.
    """
    for item in request.objects:
        routes = router.matching(item.bucket, item.key)
        if item.kind is ChangeKind.REMOVED:
            heard = request.action is Action.PRELOAD or any(ChangeKind.REMOVED in route.on for route in routes)
            yield Change(item.bucket, item.key, item.kind if heard else ChangeKind.CREATED, cause=request.id)
            continue
        if request.action is Action.PURGE:
            for kind in dict.fromkeys(route.on[0] for route in routes if ChangeKind.CREATED not in route.on):
                yield Change(item.bucket, item.key, kind, cause=request.id)
        yield Change(item.bucket, item.key, cause=request.id)


def _has_route(router: Router, item: Object, request: ManualRequest) -> bool:
    chosen = set(request.providers)
    for route in router.matching(item.bucket, item.key):
        acting = set(_acting(route, request.action))
        if acting & chosen if chosen else acting:
            return True
    return False


def _softened(config: Config, demand: Demand, soft: bool | None) -> Demand:  # noqa: FBT001
    if soft is None or demand.action is Action.PRELOAD:
        return demand
    if soft:
        for kind in {target.kind for target in demand.wants}:
            _require_soft(config, demand.provider, kind)
    return msgspec.structs.replace(demand, soft=soft)


def _of_targets(config: Config, request: ManualRequest) -> list[Demand]:
    demands: dict[tuple[str, bool, str], Demand] = {}
    asking = frozenset((request.id,))
    for target in dict.fromkeys(map(_spelled, request.targets)):
        _check(target)
        for name, soft, bucket in _takers(config, request, target):
            demand = demands.setdefault((name, soft, bucket), Demand(name, request.action, soft, bucket, {}))
            demand.wants[target] = Want(asking, asking)
    return list(demands.values())


def _takers(config: Config, request: ManualRequest, target: Target) -> Iterator[tuple[str, bool, str]]:
    """Provider, softness and bucket of each demand for a target.

    The bucket matters to providers that stand for others: they are looked up by it.
    """
    chosen = request.providers or tuple(dict.fromkeys(_serving(config, request.action, target)))
    for name in chosen:
        provider = _capable(config, name, request.action, target, chosen)
        routes = [route for route in config.routes if name in _acting(route, request.action)]
        if not request.providers:
            routes = [route for route in routes if _serves(route, target)]
        if request.soft:
            _require_soft(config, name, target.kind)
        soft = request.action is Action.PURGE and _is_soft(provider, routes, target.kind, request.soft)
        for bucket in _buckets(config, name, provider, routes):
            yield name, soft, bucket


def _serving(config: Config, action: Action, target: Target) -> list[str]:
    """The providers to ask where none is named: those whose routes have something at the URL's host, or have tags.

    Raises:
        RequestError: there are none.
    """
    if target.kind is TargetKind.EVERYTHING:
        raise RequestError("name the providers to empty with --provider")
    names = [name for route in config.routes if _serves(route, target) for name in _acting(route, action)]
    if not names and target.kind is TargetKind.TAG:
        raise RequestError(f"no route purges by tag; name the providers for tag {target.value!r} with --provider")
    if not names:
        known = sorted({host for route in config.routes if _acting(route, action) for host in hosts(route)})
        where = f"no route has providers to {action} {urlsplit(target.value).netloc}"
        raise RequestError(f"{where} (known: {', '.join(known) or 'none'}); name them with --provider")
    return names


def _serves(route: Route, target: Target) -> bool:
    if target.kind is TargetKind.TAG:
        return route.wants("tags")
    return serves(route, urlsplit(target.value).netloc)


def _acting(route: Route, action: Action) -> tuple[str, ...]:
    if action is Action.PRELOAD:
        return route.preload if ChangeKind.CREATED in route.on else ()
    return route.purge


def _capable(config: Config, name: str, action: Action, target: Target, chosen: Sequence[str]) -> Provider:
    """The instance of a name.

    Raises:
        RequestError: it can't do it. Leaving it out silently would leave its cache stale.
    """
    provider = config.providers[name]
    lacking = provider.lacks(action, target.kind)
    if capability(provider, action, target.kind) is not None and not lacking:
        return provider
    others = [other for other in chosen if capability(config.providers[other], action, target.kind)]
    remedy = f"; name those that can with --provider: {', '.join(others)}" if others and not lacking else ""
    why = f": {lacking}" if lacking else ""
    raise RequestError(f"{name} ({config.types[name]}) can't {action} by {target.kind}{why}{remedy}")


def _is_soft(provider: Provider, routes: Sequence[Route], kind: TargetKind, wish: bool | None) -> bool:  # noqa: FBT001
    """Whether to mark as stale: as wished, else if all the routes do so; one that drops must not be let down."""
    if not isinstance(provider, SoftPurge) or kind not in provider.soft_kinds:
        return False
    if wish is not None:
        return wish
    return all(wished_soft(route, provider) for route in routes) if routes else provider.soft


def _require_soft(config: Config, name: str, kind: TargetKind) -> None:
    provider = config.providers[name]
    if not isinstance(provider, SoftPurge) or kind not in provider.soft_kinds:
        raise RequestError(f"{name} ({config.types[name]}) has no soft purge by {kind}; leave out --soft")


def _buckets(config: Config, name: str, provider: Provider, routes: Sequence[Route]) -> Iterable[str]:
    """The buckets by which to look a provider up; any one will do for those that needn't be."""
    found = dict.fromkeys(route.bucket for route in routes)
    if not stands_for_others(provider):
        return list(found or {config.routes[0].bucket: None})[:1]
    if not found:
        raise RequestError(f"{name} is found out by a bucket, and no route names one for it")
    return found


def _check_name(config: Config, name: str) -> None:
    if name not in config.providers:
        raise RequestError(f"no provider is called {name!r}{did_you_mean(name, config.providers)}")


def _spelled(target: Target) -> Target:
    """A target as browsers ask for it."""
    if target.kind is TargetKind.URL:
        return Target(target.kind, requested(target.value))
    return Target(target.kind, lower_host(target.value)) if target.kind is TargetKind.PREFIX else target


def _check(target: Target) -> None:
    """Refuse what names nothing, which may mean everything to a vendor, and a URL that no browser sends.

    Raises:
        RequestError: with what to write instead.
    """
    if is_blank(target):
        raise RequestError(f"the {target.kind} is empty; is the variable set that it comes from?")
    if target.kind not in (TargetKind.URL, TargetKind.PREFIX):
        return
    parts = urlsplit(target.value)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RequestError(f"{target.value!r} isn't an absolute URL; write https://www.example.com/path")
    if re.search(r"[^!-~]", target.value):
        encoded = quote(target.value, safe="!#$%&'()*+,/:;=?@[]~")
        raise RequestError(f"{target.value!r} holds characters that must be percent-encoded: {encoded}")
    if "#" in target.value:
        raise RequestError(f"{target.value!r} has a fragment, which browsers keep to themselves; leave out #...")
