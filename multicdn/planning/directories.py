"""Directories of which all that a route purges could be purged by prefix instead. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from multicdn.errors import TargetsRefused
from multicdn.model import Action, Target, TargetKind
from multicdn.routing import url_templates
from multicdn.routing.demand import SourceObject
from multicdn.routing.route import is_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand
    from multicdn.routing.route import Route

_Item = TypeVar("_Item")


class LocatedUrl(Struct, frozen=True):
    """A URL to purge.

    Attributes:
        target: as routing spells it.
        spelled: as the vendor does.
        origin: the object that it was made from.
    """

    target: Target
    spelled: frozenset[Target]
    origin: SourceObject


class Directory(Struct, frozen=True):
    """A directory that could be purged by prefix.

    Attributes:
        path: prefix of keys, with a slash at its end; empty for the root.
        prefixes: as routing spells them.
        spelled: as the vendor does.
        saved: how many targets fewer the vendor is asked for.
        changed: how many objects below it were created or removed.
        inside: the URLs of all keys below it, in the order of their keys, from ``low`` on and before ``high``.
        low, high: the same for no two directories unless one is inside of the other.
        own: those of the URLs that it covers which no directory below it covers.
        innocent: objects that have not changed and would be dropped as well; None where nobody asked.
    """

    path: str
    prefixes: tuple[Target, ...]
    spelled: frozenset[Target]
    saved: int
    changed: int
    inside: Sequence[LocatedUrl]
    low: int
    high: int
    own: tuple[LocatedUrl, ...]
    innocent: int | None = None

    @property
    def covered(self) -> tuple[LocatedUrl, ...]:
        """The URLs that its prefixes make superfluous. Found anew each time, lest every URL be kept at every depth."""
        texts = tuple(prefix.value for prefix in self.prefixes)
        return tuple(url for url in self.inside[self.low : self.high] if url.target.value.startswith(texts))


def spelled(urls: Iterable[LocatedUrl]) -> set[Target]:
    """All that URLs are for the vendor, each target once."""
    return {target for url in urls for target in url.spelled}


def located_urls(demand: Demand, provider: Provider) -> list[LocatedUrl]:
    """The URLs of a demand that a prefix could take in.

    Left out are those that the vendor refuses, and those that it spells as something else than a URL.
    """
    urls = []
    for target in demand.wants:
        origin = demand.origins.get(target)
        if origin is not None and target.kind is TargetKind.URL:
            targets = _located(provider, target)
            if targets and all(spelled.kind is TargetKind.URL for spelled in targets):
                urls.append(LocatedUrl(target, targets, origin))
    return urls


def directories(route: Route, provider: Provider, urls: Iterable[LocatedUrl]) -> list[Directory]:
    """The directories within a route's prefix that save a target, each after those below it.

    Of directories that hold the same URLs, one in the other, only the narrowest that the vendor takes is among them;
    and none that would be a whole host, unless the route allows it. Keys may be a thousand characters long, so time and
    memory grow with the keys, not with their depth.
    """
    tree = _Tree(route, provider, sorted(urls, key=lambda url: url.origin.key))
    return tree.found()


class _Node:
    """A directory in which keys part, or lie: what is known of all that is below."""

    def __init__(self, path: str, low: int, texts: tuple[str, ...]) -> None:
        self.path, self.low, self.texts = path, low, texts
        self.targets: set[Target] = set()
        self.changed: set[SourceObject] = set()
        self.starts: set[str] = set()
        self.own: list[LocatedUrl] = []
        self.uncovered: list[LocatedUrl] = []

    def add(self, url: LocatedUrl) -> None:
        start = next((text for text in self.texts if url.target.value.startswith(text)), None)
        if start is None:
            self.uncovered.append(url)
            return
        self.own.append(url)
        self.starts.add(start)
        self.targets |= url.spelled
        if url.origin.kind is not None:
            self.changed.add(url.origin)

    def take(self, child: _Node, own: list[LocatedUrl]) -> None:
        """Take over what is known of a directory below, and ``own`` of its URLs."""
        self.targets = merged(self.targets, child.targets)
        self.changed = merged(self.changed, child.changed)
        self.starts |= {text for text in self.texts if any(start.startswith(text) for start in child.starts)}
        self.own = _longer(self.own, own)
        uncovered, child.uncovered = child.uncovered, []
        for url in uncovered:
            self.add(url)


class _Tree:
    """The directories of some URLs, in the order of their keys."""

    def __init__(self, route: Route, provider: Provider, urls: Sequence[LocatedUrl]) -> None:
        self._route, self._provider, self._urls = route, provider, urls
        self._anchors = [anchor for text in route.urls if (anchor := url_templates.anchor(text))]
        self._open: list[_Node] = []
        self._found: list[Directory] = []

    def found(self) -> list[Directory]:
        for place, url in enumerate(self._urls):
            path = _directory_of(url.origin.key)
            self._leave(path, place)
            if not self._open or self._open[-1].path != path:
                self._open.append(self._node(path, place))
            if self._is_coverable(url):
                self._open[-1].add(url)
        self._leave(None, len(self._urls))
        return self._found

    def _node(self, path: str, low: int) -> _Node:
        return _Node(path, low, self._texts(path))

    def _texts(self, path: str) -> tuple[str, ...]:
        """The prefixes of a directory as routing spells them; none where it may not be purged as a whole."""
        route = self._route
        prefix = route.prefix_in(path)
        if not path.startswith(prefix):
            return ()
        texts = url_templates.expand(self._anchors, route.bucket, path, prefix, clients=route.clients)
        return tuple(texts) if route.allow_root or not any(map(is_root, texts)) else ()

    def _is_coverable(self, url: LocatedUrl) -> bool:
        """Whether the widest directory would cover a URL; if not, no narrower one does."""
        key, end = url.origin.key, len(self._route.prefix)
        while True:
            path = key[: key.find("/", max(0, end - 1)) + 1] if end else ""
            texts = self._texts(path)
            if texts or len(path) < end or (end and not path):
                return url.target.value.startswith(texts) if texts else False
            end = len(path) + 1

    def _leave(self, path: str | None, place: int) -> None:
        """Leave the open directories that the next one, or the end, isn't in."""
        while self._open and (path is None or not path.startswith(self._open[-1].path)):
            node = self._open.pop()
            common = "" if path is None else _common(node.path, path)
            if path is not None and (not self._open or len(self._open[-1].path) < len(common)):
                self._open.append(self._node(common, node.low))
            self._close(node, place, self._open[-1] if self._open else None)

    def _close(self, node: _Node, high: int, parent: _Node | None) -> None:
        """A directory is known whole: it is one to purge by prefix, or what it has goes to the one above it."""
        own = node.own
        wider = parent.path if parent is not None else None
        for path in _unparted(node.path, wider) if node.targets else ():
            texts = self._texts(path)
            used = [text for text in texts if any(start.startswith(text) for start in node.starts)]
            prefixes = tuple(Target(TargetKind.PREFIX, text) for text in used)
            located = [_located(self._provider, prefix) for prefix in prefixes]
            if not used or not all(located):
                continue
            targets: frozenset[Target] = frozenset().union(*located)
            saved = len(node.targets) - len(targets)
            if saved > 0:
                counts = saved, len(node.changed)
                found = Directory(path, prefixes, targets, *counts, self._urls, node.low, high, tuple(own))
                self._found.append(found)
                own = []
            break
        if parent is not None:
            parent.take(node, own)


def merged(one: set[_Item], other: set[_Item]) -> set[_Item]:
    """Both sets in the larger of them, so that no item is moved more often than sizes double."""
    small, large = sorted((one, other), key=len)
    large |= small
    return large


def _longer(one: list[_Item], other: list[_Item]) -> list[_Item]:
    """Both lists in the longer of them."""
    short, long = sorted((one, other), key=len)
    long += short
    return long


def _directory_of(key: str) -> str:
    """The directory that a key lies in; ``a/`` for ``a/``, and empty for the root."""
    return key[: key.rfind("/") + 1]


def _common(one: str, other: str) -> str:
    """The deepest directory that two directories lie in."""
    same, differs = 0, min(len(one), len(other)) + 1
    while differs - same > 1:
        middle = (same + differs) // 2
        same, differs = (middle, differs) if one[:middle] == other[:middle] else (same, middle)
    return _directory_of(one[:same])


def _unparted(path: str, wider: str | None) -> Iterator[str]:
    """A directory, and some of those above it in which no other keys lie, the narrowest first.

    A vendor may limit the depth of a prefix. Each further one is half as deep below the wider directory, so that a key
    of a thousand slashes isn't tried a thousand times.
    """
    least = 0 if wider is None else wider.count("/") + 1
    yield path
    parts = path.split("/")
    depth = (least + len(parts) - 1) // 2
    while least <= depth < len(parts) - 1 and depth > 0:
        yield "/".join(parts[:depth]) + "/"
        if depth == least:
            return
        depth = (least + depth) // 2


def _located(provider: Provider, target: Target) -> frozenset[Target]:
    """As the vendor spells a target; empty if it can't."""
    try:
        return frozenset(provider.locate(target, Action.PURGE))
    except TargetsRefused:
        return frozenset()
    except Exception:  # noqa: BLE001 - a plugin's bug: planning comes upon it again, and reports it
        return frozenset()
