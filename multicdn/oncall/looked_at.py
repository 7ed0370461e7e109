"""What a purge by hand is looked at by: an object in S3, and a URL of it, for as many targets as that is known of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from multicdn.model import TargetKind
from multicdn.routing.router import Router
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from multicdn.config import Config
    from multicdn.model import Target
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
    demands = list(demands)
    known = {url: tuple(_subject(explainer, url)) for url in _sample(demands)} if explainer is not None else {}

    def followed_want(target: Target, want: Want) -> Want:
        if want.sequels:
            return want
        # What the routes have made of an object is looked at by that one's URL.
        own = known.get(target.value, ()) if _is_by_hand(target, want) else ()
        return msgspec.structs.replace(want, sequels=(Sequel(own),))

    return [
        msgspec.structs.replace(
            demand, wants={target: followed_want(target, want) for target, want in demand.wants.items()}
        )
        if demand.provider in followed
        else demand
        for demand in demands
    ]


def unknown_urls(demands: Sequence[Demand]) -> Iterator[tuple[str, str]]:
    """Provider and URL of what was given by hand, and stands for no object that is known."""
    looked_at = _sample(demands)
    for demand in demands:
        for target, want in demand.wants.items():
            known = any(sequel.subjects for sequel in want.sequels)
            if not known and target.value in looked_at and _is_by_hand(target, want):
                yield demand.provider, target.value


def _is_by_hand(target: Target, want: Want) -> bool:
    """Whether it is a URL that was given as it is, and not made from an object."""
    return target.kind is TargetKind.URL and not any(each.keys for each in want.behind)


def _sample(demands: Iterable[Demand]) -> frozenset[str]:
    """The URLs given by hand that are looked at: as many as objects of a route, spread over all."""
    wants = (pair for demand in demands for pair in demand.wants.items())
    urls = list(dict.fromkeys(target.value for target, want in wants if _is_by_hand(target, want)))
    most = min(int(_DEFAULTS.sample), len(urls))
    return frozenset(urls[place * len(urls) // most] for place in range(most))


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
