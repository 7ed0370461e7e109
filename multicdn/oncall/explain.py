"""Why a change is, or isn't, a matter of a route; and from which objects a URL comes. Pure."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from functools import cache
from os.path import commonprefix
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct

from multicdn.config import yaml_source
from multicdn.model import Change, ChangeKind, TargetKind
from multicdn.routing import spellings, url_templates
from multicdn.routing.host_names import AllowedHosts
from multicdn.routing.matcher import compiled, ends_with
from multicdn.routing.placeholders import SEGMENTS
from multicdn.routing.route import Route, listed
from multicdn.routing.router import Router
from multicdn.routing.shell_patterns import any_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.config import Config
    from multicdn.routing.matcher import UrlHook

# How far a fault puts a route away from a change: a route of another bucket is rarely the one that was meant.
_FAR, _NEAR, _NEXT = 4.0, 2.0, 1.0

_ON = {
    ChangeKind.CREATED: "created objects",
    ChangeKind.REMOVED: "removed objects",
    ChangeKind.ACCESS: "changes of access",
}


class Match(Struct, frozen=True):
    """A route that acts on a change.

    Attributes:
        at: file and line of the route.
        route: the route.
        untargeted: its templates that have no text for the key, each with the reason.
    """

    at: str
    route: Route
    untargeted: tuple[str, ...] = ()


class Miss(Struct, frozen=True):
    """A route that doesn't act on a change.

    Attributes:
        at: file and line of the route.
        route: the route.
        reasons: everything that keeps it from acting, a clause each.
    """

    at: str
    route: Route
    reasons: tuple[str, ...]


class Explained(Struct, frozen=True):
    """What the routes make of one change.

    Attributes:
        change: the change.
        matches: all routes that act on it.
        misses: the nearest that don't, the nearest first.
    """

    change: Change
    matches: tuple[Match, ...]
    misses: tuple[Miss, ...]


class Source(Struct, frozen=True):
    """A way in which a URL comes from a route.

    Attributes:
        at: file and line of the route.
        route: the route.
        how: its member and template, such as ``urls: https://www.acme.com/{key}``.
        key: of the object that has the URL; empty where the template doesn't tell one object from another.
        spelled: whether the route gives it in the very spelling that was asked about, and not in another one alone.
    """

    at: str
    route: Route
    how: str
    key: str = ""
    spelled: bool = True


class _Fault(NamedTuple):
    reason: str
    distance: float


class Explainer:
    """The routes of a config, with the lines that they stand on.

    Args:
        config: the checked config.
        places: file and line of each route.
        url_hook: as for ``Router``.
    """

    def __init__(self, config: Config, places: Sequence[str], url_hook: UrlHook | None = None) -> None:
        self._places = dict(zip(map(id, config.routes), places, strict=True))
        self._routes = config.routes
        self._router = Router(config.routes, config.providers, url_hook)
        self._alone = {id(route): Router((route,), config.providers, url_hook) for route in config.routes}

    def explain(self, change: Change, nearest: int = 3) -> Explained:
        """Say which routes act on a change, and why the nearest others don't."""
        acting = [route for route in self._router.matching(change.bucket, change.key) if change.kind in route.on]
        known = set(map(id, acting))
        others = [route for route in self._routes if id(route) not in known]
        return Explained(
            change,
            tuple(Match(self._places[id(route)], route, self._untargeted(route, change)) for route in acting),
            tuple(self._misses(others, change))[:nearest],
        )

    def _untargeted(self, route: Route, change: Change) -> tuple[str, ...]:
        found = self._alone[id(route)].untargeted([change])
        return tuple(f"{template}: {why}" for (_, template), ((_, why),) in found.items())

    def sources(self, url: str) -> list[Source]:
        """Say by which routes a URL is purged or preloaded, in whatever spelling, and for which object."""
        wanted = url_templates.requested(url)
        return [source for route in self._routes for source in self._from_route(route, wanted)]

    def serving(self, url: str) -> list[Match]:
        """The routes that have URLs, prefixes or hosts at the host name of a URL."""
        host = urlsplit(url).netloc
        return [Match(self._places[id(route)], route) for route in self._routes if serves(route, host)]

    def _misses(self, routes: Iterable[Route], change: Change) -> list[Miss]:
        found = [(list(_faults(route, change)), route) for route in routes]
        found.sort(key=lambda pair: sum(fault.distance for fault in pair[0]))
        return [
            Miss(self._places[id(route)], route, tuple(fault.reason for fault in faults)) for faults, route in found
        ]

    def _from_route(self, route: Route, url: str) -> Iterator[Source]:
        at, folded = self._places[id(route)], spellings.folded(url)
        for text in route.urls:
            given = {key: self._given(route, key) for key in dict.fromkeys(_candidates(text, route, folded))}
            keys = [key for key, urls in given.items() if _alike(url) in set(map(_alike, urls))]
            yield from (Source(at, route, f"urls: {text}", key, url in given[key]) for key in keys)
            if not keys and _is_vague(text) and _is_like(text, route, folded, re.fullmatch):
                yield Source(at, route, f"urls: {text}")
        for text in route.prefixes:
            if _is_like(text, route, folded, re.match):
                yield Source(at, route, f"prefixes: {text}")
        if urlsplit(url).netloc in route.hosts:
            yield Source(at, route, f"hosts: {urlsplit(url).netloc}")

    def _given(self, route: Route, key: str) -> set[str]:
        """The URLs that the route names at a change of a key: the way there is the router's own."""
        kind = ChangeKind.CREATED if ChangeKind.CREATED in route.on else route.on[0]
        demands, _ = self._alone[id(route)].demands([Change(route.bucket, key, kind)] if key else ())
        return {target.value for demand in demands for target in demand.wants if target.kind is TargetKind.URL}


def places(text: str, name: str) -> list[str]:
    """File and line of each route of a config's text: one for each bucket of those that have several."""
    source = yaml_source.parse(text, name)
    return [
        source.at(("routes", place))
        for place, route in enumerate(source.data["routes"])
        for _ in dict.fromkeys(listed(route["bucket"]))
    ]


def hosts(route: Route) -> frozenset[str]:
    """The host names of a route's URLs, prefixes and hosts, in lower case, with their ports.

    For those that are made from keys there are the patterns of the route's allowed hosts.
    """
    texts = [text.replace("{bucket}", route.bucket) for text in (*route.urls, *route.prefixes)]
    names = (*(urlsplit(text).netloc.lower() for text in texts), *route.hosts)
    return frozenset((*(name for name in names if "{" not in name), *map(str.lower, route.allowed_hosts)))


def serves(route: Route, host: str) -> bool:
    """Whether a route has anything at a host, which may have a port."""
    name = host.lower()
    return name in hosts(route) or AllowedHosts(route.allowed_hosts).allows(name.partition(":")[0])


def _faults(route: Route, change: Change) -> Iterator[_Fault]:
    if route.bucket != change.bucket:
        yield _Fault(f"its bucket is {route.bucket}", _FAR + _unlikeness(route.bucket, change.bucket))
    flags = re.IGNORECASE if route.ignore_case else re.NOFLAG
    if not change.key.startswith(route.prefix_in(change.key)):
        unlike = 1 - len(commonprefix((route.prefix, change.key))) / len(route.prefix)
        yield _Fault(f"the key doesn't begin with its prefix {route.prefix}{_hint(route, change)}", _NEAR + unlike)
    if route.suffix and not ends_with(change.key, route):
        yield _Fault(f"the key doesn't end with its suffix {' or '.join(route.suffix)}", _NEXT)
    if route.include and not any_of(route.include, ignore_case=route.ignore_case)(change.key):
        yield _Fault(f"none of its include patterns matches the key: {', '.join(route.include)}", _NEXT)
    if route.match and not compiled(route.match, flags).fullmatch(change.key):
        yield _Fault(f"its match {route.match} doesn't match the whole key", _NEXT)
    for pattern in route.exclude:
        if any_of((pattern,), ignore_case=route.ignore_case)(change.key):
            yield _Fault(f"its exclude pattern {pattern} matches the key", _NEXT)
    if change.kind not in route.on:
        yield _Fault(f"it acts on {' and '.join(_ON[kind] for kind in route.on)} alone", _NEXT)


@cache
def _unlikeness(one: str, other: str) -> float:
    return 1 - SequenceMatcher(None, one, other).ratio()


def _hint(route: Route, change: Change) -> str:
    if change.key.lower().startswith(route.prefix.lower()):
        return ", but for upper and lower case"
    if change.key.lstrip("/").startswith(route.prefix.lstrip("/")):
        return ", but for the slash before it"
    return ""


# What a placeholder may stand for. Pieces of a key are found from the left: {stem} takes as little as it can, so that
# {ext} is the last extension.
_PIECES = {
    "dir": "(?:.*/)?", "name": "[^/]*", "stem": "[^/]*?", "ext": r"(?:\.[^/.]*)?",
    **dict.fromkeys(("first", *SEGMENTS), "[^/]+"),
}  # fmt: skip
_FIELD = re.compile(r"\{([a-z][a-z0-9_]*)\}")


def _pattern(text: str, route: Route) -> str:
    """A regular expression of the texts that a template gives, with a group for each placeholder."""
    seen: set[str] = set()

    def group(name: str) -> str:
        if name == "bucket":
            return re.escape(quote(route.bucket, safe=""))
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{_PIECES.get(name, '.*')})"

    pieces = _FIELD.split(spellings.folded(text, template=True))
    return "(?s:" + "".join(group(piece) if place % 2 else re.escape(piece) for place, piece in enumerate(pieces)) + ")"


def _alike(url: str) -> str:
    """The same for all spellings of a URL, with ``+`` for blank and plus: which of them is meant, a key tells."""
    return spellings.folded(url).replace("%20", "+").replace("%2B", "+")


def _is_vague(text: str) -> bool:
    """Whether a template gives one text for many objects, or no key can be read from its text."""
    fields = set(_FIELD.findall(text))
    return not fields & {"key", "path"} and not any(map(fields.issuperset, _WHOLE_KEYS))


def _is_like(text: str, route: Route, url: str, match: Callable[[str, str], object]) -> bool:
    """Whether a template may give a URL for some key."""
    return match(_pattern(text, route), url) is not None and serves(route, urlsplit(url).netloc)


# Placeholders that tell all of a key.
_WHOLE_KEYS = ({"dir", "name"}, {"dir", "stem", "ext"}, {"first", "rest"})


def _candidates(text: str, route: Route, url: str) -> Iterator[str]:
    """Keys that may have a URL; too many rather than too few."""
    encoded = _key_of(text, route, url, quote(route.prefix))
    if encoded is None:
        return
    for spelled in (encoded, encoded.replace("+", " ")):
        for key in (unquote(spelled), *_served_as(unquote(spelled), route)):
            yield key
            yield from _made_from(key, route)


def _key_of(text: str, route: Route, found: str, prefix: str) -> str | None:
    """The key in a text that a template gave, spelled as in the text; None where it can't be told."""
    match = re.fullmatch(_pattern(text, route), found)
    fields = match.groupdict() if match else {}
    if "key" in fields:
        return str(fields["key"])
    if "path" in fields:
        return f"{prefix}{fields['path']}"
    if fields.keys() >= {"first", "rest"}:
        return f"{prefix}{fields['first']}/{fields['rest']}"
    if "dir" not in fields:
        return None
    return str(fields["dir"] + fields.get("name", fields.get("stem", "") + fields.get("ext", "")))


def _served_as(key: str, route: Route) -> Iterator[str]:
    """Keys of the documents that are served where no object has the URL's own key."""
    if route.index:
        yield f"{key}{'' if not key or key.endswith('/') else '/'}{route.index}"
    yield from (f"{key}{ending}" for ending in route.strip)


def _made_from(key: str, route: Route) -> Iterator[str]:
    """Keys with which another one is stale: the picture, for one of its sizes."""
    for also in route.also:
        for text in also.as_:
            found = _key_of(text, route, key, route.prefix)
            if found is not None:
                yield found
