"""What a job from the queue may ask for: nothing that no route could. Pure.

Whoever may send to the queue could else empty every zone, or purge at hosts that the config says nothing of.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multicdn.model import Action, Target, TargetKind
from multicdn.patterns import lazy_pattern
from multicdn.routing.host_names import AllowedHosts
from multicdn.routing.route import is_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from multicdn.model import Job
    from multicdn.provider import Provider
    from multicdn.routing.route import Route

_QUERY = lazy_pattern(r"[?#].*", re.DOTALL)
_AUTHORITY = lazy_pattern(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#]*)(.*)", re.DOTALL)
_PATH = lazy_pattern(r"/(?!/)")


class Allowed:
    """The limits that the routes set.

    Args:
        routes: have passed all checks.
        providers: by their names; they tell whether ``//a`` is a host, or the path of the key ``/a``.
        rewritten: whether a plugin may put other URLs in the place of the routes' ones; their hosts aren't known then.
    """

    def __init__(self, routes: Iterable[Route], providers: Mapping[str, Provider], *, rewritten: bool = False) -> None:
        self._providers = providers
        self._emptied: set[str] = set()
        self._whole: set[str] = set()
        self._hosts: set[str] = set()
        self._open = rewritten
        patterns: set[str] = set()
        for route in routes:
            self._hosts.update(named_hosts(route))
            patterns.update(route.allowed_hosts)
            if route.everything:
                self._emptied |= set(route.purge)
            if route.everything or route.allow_root or route.hosts or any(map(is_root, route.prefixes)):
                self._whole |= set(route.purge)
        self._made = AllowedHosts(patterns)

    def refusal(self, job: Job) -> str:
        """Why a job, or a purge that it takes along, asks for more than any route could; empty if it doesn't."""
        return next(filter(None, map(self._refusal, (job, *job.purges))), "")

    def _refusal(self, job: Job) -> str:
        name = job.instance
        if job.kind is TargetKind.EVERYTHING:
            return "" if name in self._emptied else f"no route with `everything: true` purges at {name}"
        if job.kind is TargetKind.TAG:
            return ""
        for target in job.targets:
            host, rest = _split(target, job.kind)
            if host and target.startswith("//") and self._takes_paths(name):
                host, rest = "", target
            if host and not self._open and not self._knows(_bare(host)):
                return f"no route has anything at the host {_bare(host)!r}"
            if job.kind is not TargetKind.HOST and _is_whole(rest, job.kind) and name not in self._whole:
                return f"{target!r} is a whole host, and no route with `allow_root` or `everything` purges at {name}"
        return ""

    def _takes_paths(self, name: str) -> bool:
        """Whether a vendor is told paths without a host, by what its plugin makes of a URL."""
        provider = self._providers.get(name)
        if provider is None:
            return False
        try:
            located = provider.locate(Target(TargetKind.URL, "https://www.example.com/a"), Action.PURGE)
        except Exception:  # noqa: BLE001 - a plugin that wants other hosts spells them
            return False
        return bool(located) and all(_PATH.match(each.value) for each in located)

    def _knows(self, host: str) -> bool:
        return host in self._hosts or self._made.allows(host)


def named_hosts(route: Route) -> Iterator[str]:
    """The hosts of a route that don't depend on the key, as they stand in its templates."""
    return (_bare(authority) for authority in _authorities(route) if "{" not in authority)


def _authorities(route: Route) -> Iterable[str]:
    texts = (text.replace("{bucket}", route.bucket) for text in (*route.urls, *route.prefixes))
    yield from (urlsplit(text).netloc for text in texts)
    yield from route.hosts


def _bare(authority: str) -> str:
    """A host name without its port, in lower case."""
    host = authority.rpartition("@")[2].lower()
    return host if host.startswith("[") else host.partition(":")[0]


def _split(target: str, kind: TargetKind) -> tuple[str, str]:
    """Host and rest of a target, however a vendor spells it; no host for one that knows paths alone."""
    if kind is TargetKind.HOST:
        return target, ""
    if target.startswith("{"):
        target = _url_of(target)
    if match := _AUTHORITY.match(target):
        return match[1], match[2]
    if target.startswith("/"):
        return "", target
    host, slash, rest = target.partition("/")
    return host, slash + rest


def _url_of(target: str) -> str:
    """The URL of a target that is a JSON object."""
    try:
        return str(json.loads(target)["url"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return target


def _is_whole(rest: str, kind: TargetKind) -> bool:
    """Whether some vendor takes what follows a host for all of it: stars may be escaped, and prefixes lose a query."""
    path = rest.replace("%2A", "*").replace("%2a", "*")
    if kind is TargetKind.PREFIX:
        path = _QUERY.sub("", path)
        return not path.strip("/*") or is_root(f"//host{path.rstrip('*')}")
    return path.endswith("*") and not path.strip("/*?")
