"""What is wrong with where the providers of a file stand: how they are reached, and which one waits for which. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.config.fault import Fault
from multicdn.config.settings import Trigger
from multicdn.errors import did_you_mean
from multicdn.model import Action
from multicdn.provider import PreloadUrls, capabilities
from multicdn.routing.durations import seconds, too_long
from multicdn.routing.tiers import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multicdn.config.checked import Config
    from multicdn.config.yaml_source import Path
    from multicdn.routing.route import Route

_DEFAULT = Tier()
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")

NO_QUEUE = (
    "needs a queue, in which what has to be looked at later can wait, and `install.trigger: direct` has none: write "
    "`trigger: queue` there"
)


def faults(config: Config, places: Sequence[int]) -> Iterator[Fault]:
    """Find what is wrong with the tiers of a file; paths are those of the file.

    Args:
        config: each of its values is right by itself.
        places: of each route, its place in the file.
    """
    for name, tier in config.tiers.items():
        for fault in _of_tier(name, tier, config):
            yield fault._replace(path=("providers", name, *fault.path))
    yield from _loops(config.tiers)
    yield from _fillers(config)
    for route, place in zip(config.routes, places, strict=True):
        yield from _without_inner(route, ("routes", place), config)


def fault_of_via(text: str) -> str:
    """Say what is wrong with the way to a CDN; empty if nothing is. What may be a password is never repeated."""
    if "@" in text:
        return "is where to connect, and takes no user: write the host alone, such as d111111abcdef8.cloudfront.net"
    scheme, sign, rest = text.partition("://") if "://" in text else ("https", "", text)
    if scheme not in ("http", "https"):
        return f"{text!r} begins with {scheme + sign}: write the host alone, or https:// before it"
    if re.search(r"[/?#]", rest):
        return f"{text!r} is where to connect, and takes no path or query: write {re.split('[/?#]', rest)[0]!r}"
    try:
        parts = urlsplit(f"//{rest}")
        known = _is_host(parts.hostname or "") and parts.port != 0
    except ValueError:  # brackets that hold no address, or a port that is none
        known = False
    return "" if known else f"{text!r} is no host: write `host` or `host:port`, such as d111111abcdef8.cloudfront.net"


def _is_host(name: str) -> bool:
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return _NAME.fullmatch(name) is not None


def _is_loopback(via: str) -> bool:
    name = urlsplit(via).hostname or ""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _of_tier(name: str, tier: Tier, config: Config) -> Iterator[Fault]:
    if tier.via and (text := fault_of_via(tier.via) or _in_clear(name, tier.via, config)):
        yield Fault(("via",), text)
    if tier.again and (why := too_long(tier.again)):
        yield Fault(("again",), why)
    yield from _of_inner(name, tier, config)
    if config.install.trigger is Trigger.DIRECT:
        yield from (Fault((option,), NO_QUEUE) for option in ("pulls_from", "again") if getattr(tier, option))
    if name in config.providers and not _purges(name, config):
        does_nothing = f"does nothing: {name} ({config.types[name]}) can't purge"
        yield from (Fault((option,), does_nothing) for option in ("pulls_from", "again") if getattr(tier, option))
    for option in ("wait_for", "wait_at_most"):
        if not tier.pulls_from and getattr(tier, option) != getattr(_DEFAULT, option):
            yield Fault((option,), "does nothing without `pulls_from`", warning=True)
    longest = config.delivery.give_up_after
    if tier.wait_at_most != _DEFAULT.wait_at_most and seconds(tier.wait_at_most) > seconds(longest):
        text = f"is longer than `give_up_after` {longest}, at which what waits is given up"
        yield Fault(("wait_at_most",), text, warning=True)


def _of_inner(name: str, tier: Tier, config: Config) -> Iterator[Fault]:
    for place, inner in enumerate(tier.pulls_from):
        path = ("pulls_from", place)
        if inner == name:
            yield Fault(path, f"{name} can't pull from itself: name the CDN that it fetches from")
        elif inner not in config.types:
            yield Fault(path, f"no provider is called {inner!r}{did_you_mean(inner, config.types)}")
        elif inner in config.providers:
            yield from _of_known_inner(path, inner, config)
    if tier.pulls_from and tier.wait_for == "fresh" and not _is_verified(name, tier, config):
        text = "is never so: no route that purges both has `verify`; write it there, or wait for `finished`"
        yield Fault(("wait_for",), text, warning=True)


def _of_known_inner(path: Path, inner: str, config: Config) -> Iterator[Fault]:
    if not _purges(inner, config):
        yield Fault(path, f"{inner} ({config.types[inner]}) can't purge, so there is nothing to wait for")
    elif config.providers[inner].retired:
        yield Fault(path, f"{inner} ({config.types[inner]}) is retired, and never finishes: take it out", warning=True)


def _purges(name: str, config: Config) -> bool:
    return any(what.action is Action.PURGE for what in capabilities(config.providers[name]))


def _is_verified(name: str, tier: Tier, config: Config) -> bool:
    """Whether anybody looks whether the inner ones are fresh for what this one is purged for."""
    inner = set(tier.pulls_from)
    of_inner = [route for route in config.routes if inner.intersection(route.purge)]
    both = [route for route in of_inner if name in route.purge]
    return any(route.verify for route in both or of_inner)


def _in_clear(name: str, via: str, config: Config) -> str:
    if not via.startswith("http://") or _is_loopback(via):
        return ""
    for route, at in zip(config.routes, config.places, strict=True):
        urls = (route.verify and route.verify.urls) or route.urls
        if name in (*route.purge, *route.preload) and any(url.startswith("https://") for url in urls):
            remedy = f"write {via.removeprefix('http://')!r}"
            return f"{via!r} would ask in clear for the https URLs of the route at {at}: {remedy}"
    return ""


def _loops(tiers: Mapping[str, Tier]) -> Iterator[Fault]:
    known: set[frozenset[str]] = set()
    for name in tiers:
        loop = _way(name, name, tiers, set())
        if len(loop) > 1 and frozenset(loop) not in known:  # of itself alone is said elsewhere
            known.add(frozenset(loop))
            shown = " → ".join((*loop, name))
            yield Fault(
                ("providers", name, "pulls_from"), f"goes round in a circle ({shown}): take out one of these arrows"
            )


def _way(name: str, goal: str, tiers: Mapping[str, Tier], seen: set[str]) -> tuple[str, ...]:
    """The names on a way from one provider to another along ``pulls_from``, without the last; empty without a way."""
    seen.add(name)
    inner = [other for other in tiers.get(name, _DEFAULT).pulls_from if other != name]
    if goal in inner:
        return (name,)
    for other in inner:
        if other not in seen and (rest := _way(other, goal, tiers, seen)):
            return (name, *rest)
    return ()


def _fillers(config: Config) -> Iterator[Fault]:
    """Providers that fill the cache of another one, whose purge they follow."""
    for name, provider in config.providers.items():
        purger = str(getattr(provider, "of", "")) if isinstance(provider, PreloadUrls) else ""
        path = ("providers", name, "of")
        if purger and purger not in config.types:
            yield Fault(path, f"no provider is called {purger!r}{did_you_mean(purger, config.types)}")
        elif purger in config.providers and not _purges(purger, config):
            yield Fault(path, f"{purger} ({config.types[purger]}) can't purge, so there is nothing to follow")


def _without_inner(route: Route, path: Path, config: Config) -> Iterator[Fault]:
    """What is purged here of an outer CDN, and nowhere of the one that it fetches from."""
    near = {name for other in config.routes if _may_meet(route, other) for name in other.purge}
    for place, name in enumerate(route.preload):
        purger = getattr(config.providers.get(name), "of", "")
        if purger in config.types and purger not in near:
            text = (
                f"{name} fills the cache of {purger}, which nobody purges for these keys: what is kept there stays; "
                f"name {purger} under `purge`, too"
            )
            yield Fault((*path, "preload", place), text, warning=True)
    for place, name in enumerate(route.purge):
        for inner in config.tiers.get(name, _DEFAULT).pulls_from:
            if inner in config.types and inner != name and inner not in near:
                text = (
                    f"{name} pulls from {inner}, which nobody purges for these keys: there is nothing to wait for, and "
                    f"{name} may fetch the old bytes from it again; name {inner} here, too"
                )
                yield Fault((*path, "purge", place), text, warning=True)


def _may_meet(one: Route, other: Route) -> bool:
    """Whether two routes may act on the same key."""
    prefixes = sorted((one.fixed_prefix, other.fixed_prefix), key=len)
    return one.bucket == other.bucket and prefixes[1].startswith(prefixes[0])
