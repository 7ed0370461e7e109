"""What a purge by hand is looked at by: an object in S3, and a URL of it, for as many targets as that is known of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from multicdn.model import TargetKind
from multicdn.routing.router import Router
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from multicdn.config import Config
    from multicdn.oncall.explain import Explainer
    from multicdn.proof.ladder import Rules
    from multicdn.proof.look import Stored
    from multicdn.routing.demand import Demand, Want
    from multicdn.routing.matcher import UrlHook

# Seconds for what S3 has of the objects that are looked at.
_HEAD = 5.0

_DEFAULTS = Verify()


def router(config: Config, url_hook: UrlHook | None, *, every: bool) -> Router:
    """A router whose purges have what they are looked at by, and nothing else that follows them.

    Args:
        config: the checked config.
        url_hook: as for ``Router``.
        every: whether the objects of routes without ``verify`` are looked at as well, by its defaults.
    """
    default = _DEFAULTS if every else None
    routes = [msgspec.structs.replace(route, verify=route.verify or default, preload=()) for route in config.routes]
    return Router(routes, config.providers, url_hook, config.places, {})


def rules(of_routes: Router) -> Rules:
    """How objects are looked at: as their routes say, else by the defaults."""
    return lambda bucket, key, provider: of_routes.verify(bucket, key, provider) or _DEFAULTS


def marked(demands: Iterable[Demand], followed: Collection[str], explainer: Explainer | None) -> list[Demand]:
    """Demands whose targets are followed at some providers.

    Args:
        demands: with what the routes' objects are looked at by.
        followed: names of these providers.
        explainer: says for which object a URL stands that was given by hand; None: these aren't looked at.
    """
    known: dict[str, tuple[Subject, ...]] = {}

    def subjects(kind: TargetKind, value: str) -> tuple[Subject, ...]:
        if kind is not TargetKind.URL or explainer is None:
            return ()
        if value not in known:
            known[value] = tuple(_subject(explainer, value))
        return known[value]

    def followed_want(kind: TargetKind, value: str, want: Want) -> Want:
        if want.sequels:
            return want
        # What the routes have made of an object has its object behind it, and is looked at by that one's URL.
        own = subjects(kind, value) if not is_of_object(want) else ()
        return msgspec.structs.replace(want, sequels=(Sequel(own),))

    return [
        msgspec.structs.replace(
            demand,
            wants={target: followed_want(target.kind, target.value, want) for target, want in demand.wants.items()},
        )
        if demand.provider in followed
        else demand
        for demand in demands
    ]


def is_of_object(want: Want) -> bool:
    """Whether a target was made from an object, rather than given as it is."""
    return any(each.keys for each in want.behind)


def unknown_urls(demands: Iterable[Demand]) -> Iterator[tuple[str, str]]:
    """Provider and URL of what was given by hand, and stands for no object that is known."""
    for demand in demands:
        for target, want in demand.wants.items():
            by_hand = target.kind is TargetKind.URL and not is_of_object(want)
            if by_hand and not any(sequel.subjects for sequel in want.sequels):
                yield demand.provider, target.value


def as_in_s3(demands: Iterable[Demand], stored: Stored) -> list[Demand]:
    """The same demands, with what S3 has now of the objects that are looked at: their identity, or that they are gone.

    So what changes again while it is waited for is told from what the edges never got.
    """
    demands = list(demands)
    subjects = {subject for demand in demands for want in demand.wants.values() for subject in _subjects(want)}
    if not subjects:
        return demands
    found, _ = stored({(subject.bucket, subject.key) for subject in subjects}, _HEAD)

    def known(subject: Subject) -> Subject:
        place = subject.bucket, subject.key
        if place not in found:
            return subject
        now = found[place]
        now_is = {"gone": False, "etag": now.etag, "version": now.version} if now else {"gone": True}
        return msgspec.structs.replace(subject, **now_is)

    return [_with(demand, known) for demand in demands]


def _with(demand: Demand, known: Callable[[Subject], Subject]) -> Demand:
    def renewed(want: Want) -> Want:
        sequels = (
            msgspec.structs.replace(sequel, subjects=tuple(map(known, sequel.subjects))) for sequel in want.sequels
        )
        return msgspec.structs.replace(want, sequels=tuple(sequels)) if want.sequels else want

    return msgspec.structs.replace(demand, wants={target: renewed(want) for target, want in demand.wants.items()})


def _subjects(want: Want) -> Iterator[Subject]:
    return (subject for sequel in want.sequels for subject in sequel.subjects)


def _subject(explainer: Explainer, url: str) -> Iterator[Subject]:
    """The object that a URL stands for; none where the routes name several."""
    sources = [source for source in explainer.sources(url) if source.key]
    exact = [source for source in sources if source.spelled] or sources
    places = {(source.route.bucket, source.key) for source in exact}
    if len(places) == 1:
        yield Subject(url, *places.pop())
