"""Which CDN is stale? What the routes make of objects and URLs is looked at through each provider, now."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct, structs

from multicdn.errors import MulticdnError, SecretError, bug, did_you_mean
from multicdn.oncall.explain import Explainer
from multicdn.oncall.manual import RequestError
from multicdn.proof.look import look
from multicdn.proof.proving import instrument
from multicdn.routing.router import Router
from multicdn.routing.url_templates import requested
from multicdn.routing.verify import Verify
from multicdn.sequel import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.aws.s3 import StoredObject
    from multicdn.config import Config
    from multicdn.oncall.explain import Source
    from multicdn.plugins.discovery import Plugins
    from multicdn.proof.identity import Verdict
    from multicdn.proof.look import Stored
    from multicdn.provider import Prove
    from multicdn.routing.route import Route

# Seconds for a look at everything, and for S3 before it.
_LOOK, _HEAD = 30.0, 10.0

# Providers that are asked at once; each asks for several URLs.
_PARALLEL = 8

# Seconds between two looks, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


class Probe(Struct, frozen=True):
    """A URL, to be looked at through a provider.

    Attributes:
        provider: name of the instance.
        via: where that is reached; empty where DNS says.
        url: as it is asked for.
        bucket, key: of the object that it should be.
        rule: how it is looked at.
    """

    provider: str
    via: str
    url: str
    bucket: str
    key: str
    rule: Verify


class Outlook(NamedTuple):
    """What a look has found, and whether it goes on.

    Attributes:
        verdicts: of each probe; several where a vendor tells of its POPs.
        pause: seconds until the next look; None after the last one.
    """

    verdicts: Mapping[Probe, Sequence[Verdict]]
    pause: float | None


def probes(
    config: Config,
    plugins: Plugins,
    places: Sequence[str],
    objects: Iterable[tuple[str, str]],
    urls: Iterable[str],
    chosen: Sequence[str] = (),
) -> list[Probe]:
    """What to look at for objects and URLs.

    Args:
        config: the checked config.
        plugins: whose hooks change URLs.
        places: file and line of each route.
        objects: bucket and key of each.
        urls: public ones.
        chosen: names of the providers to look at; empty for all.

    Raises:
        RequestError: there is nothing to look at.
    """
    for name in chosen:
        if name not in config.providers:
            raise RequestError(f"no provider is called {name!r}{did_you_mean(name, config.providers)}")
    hook = plugins.hooks.urls
    try:
        router = Router(config.routes, config.providers, hook)
        explainer = Explainer(config, places, hook)
        asked = [probe for place in objects for probe in _of_object(config, router, *place)]
        asked += [probe for url in urls for probe in _of_url(config, router, explainer, url)]
    except MulticdnError:
        raise
    except Exception as error:
        raise RequestError(bug(error)) from error
    found = [each for each in dict.fromkeys(asked) if not chosen or each.provider in chosen]
    if not found:
        raise RequestError(f"no route purges it at {' or '.join(chosen)}")
    return found


def _of_object(config: Config, router: Router, bucket: str, key: str) -> Iterator[Probe]:
    found = [each for each in router.looked_at(bucket, key) if each.route.purge and each.url]
    if not found:
        raise RequestError(f"no route has a URL for s3://{bucket}/{key}; `multicdn explain` says why")
    for each in found:
        yield from _at_each(config, each.route, each.url, key)


def _of_url(config: Config, router: Router, explainer: Explainer, url: str) -> Iterator[Probe]:
    wanted = _wanted(url)
    # A query may make another copy in a cache, of the same object.
    spelled = next((each for each in (wanted, wanted.partition("?")[0]) if _sources(explainer, each)), "")
    if not spelled:
        raise RequestError(
            f"no route gives {wanted} for one object; `multicdn explain` says which have others at its host"
        )
    sources = _sources(explainer, spelled)
    # The URL of a picture's size is of an object of its own, if there is one, rather than of the picture.
    own = [source for source in sources if _is_own(router, source, spelled)]
    for source in own or sources:
        yield from _at_each(config, source.route, wanted, source.key)


def _wanted(url: str) -> str:
    """A URL as a browser asks for it: without user, password and fragment, which it keeps for itself.

    Raises:
        RequestError: it is no URL.
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.port == 0 or not parts.hostname:
            raise ValueError("no host that can be asked")
        ascii_host = host if host.isascii() else host.encode("idna").decode()
    except ValueError as error:  # and UnicodeError, which is one
        raise RequestError(f"that is no URL: {error}") from None
    return requested(urlunsplit(parts._replace(netloc=ascii_host, fragment="")))


def _sources(explainer: Explainer, url: str) -> list[Source]:
    return [each for each in explainer.sources(url) if each.key and each.route.purge]


def _is_own(router: Router, source: Source, url: str) -> bool:
    found = router.looked_at(source.route.bucket, source.key)
    return any(each.route is source.route and url in each.urls for each in found)


def _at_each(config: Config, route: Route, url: str, key: str) -> Iterator[Probe]:
    for name in route.purge:
        tier = config.tiers.get(name)
        yield Probe(name, tier.via if tier else "", url, route.bucket, key, route.verify or Verify())


def outlooks(asked: Sequence[Probe], config: Config, stored: Stored, wait: float) -> Iterator[Outlook]:
    """Look, and look again after growing pauses at what isn't fresh, until all is, or the time is over.

    Args:
        asked: what to look at.
        config: its providers.
        stored: asks S3.
        wait: seconds for all looks and pauses but the first look.
    """
    until, pause = time.monotonic() + wait, _FIRST_PAUSE
    verdicts = _looked(asked, config, stored)
    while True:
        left = until - time.monotonic()
        stale = [each for each, found in verdicts.items() if not is_fresh(found)]
        if not stale or left <= 0:
            yield Outlook(verdicts, None)
            return
        pause = min(pause, left)
        yield Outlook(verdicts, pause)
        time.sleep(pause)
        verdicts |= _looked(stale, config, stored)
        pause = min(2 * pause, _LONGEST_PAUSE)


def is_fresh(verdicts: Sequence[Verdict]) -> bool:
    """Whether every edge that answered is."""
    return bool(verdicts) and all(verdict.state == "fresh" for verdict in verdicts)


def _looked(asked: Sequence[Probe], config: Config, stored: Stored) -> dict[Probe, Sequence[Verdict]]:
    """One look at everything, the providers side by side."""
    objects, _ = stored({(each.bucket, each.key) for each in asked}, _HEAD)
    groups: dict[tuple[str, Verify], dict[Subject, Probe]] = {}
    for each in _of_objects_there(asked, objects):
        subject, place = Subject(each.url, each.bucket, each.key), (each.bucket, each.key)
        if found := objects.get(place):
            subject = structs.replace(subject, etag=found.etag, version=found.version)
        elif place in objects:
            subject = structs.replace(subject, gone=True)
        groups.setdefault((each.provider, each.rule), {})[subject] = each

    def ask(group: tuple[tuple[str, Verify], dict[Subject, Probe]]) -> dict[Probe, Sequence[Verdict]]:
        (name, rule), subjects = group
        via = next(iter(subjects.values())).via
        see = instrument(name, config.providers[name], via, rule.identity, _has_secrets)
        verdicts = look(
            subjects, see, stored, identity=rule.identity, removed_as=rule.removed_as, purged=None, seconds=_LOOK
        )
        return {subjects[subject]: found for subject, found in verdicts.items()}

    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="multicdn-fresh")
    try:
        return {each: found for part in pool.map(ask, groups.items()) for each, found in part.items()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt waits for nobody


def _of_objects_there(
    asked: Sequence[Probe], objects: Mapping[tuple[str, str], StoredObject | None]
) -> Iterator[Probe]:
    """Leave out objects that aren't there where another one has the URL, as of ``a/`` and ``a/index.html``."""
    there = {(each.provider, each.url) for each in asked if objects.get((each.bucket, each.key))}
    for each in asked:
        if objects.get((each.bucket, each.key)) or (each.provider, each.url) not in there:
            yield each


def _has_secrets(provider: Prove) -> bool:
    """Whether the vendor can be asked from here; else a request has to do."""
    try:
        for secret in provider.secrets():
            secret.reveal()
    except SecretError:
        return False
    return True
