"""Directories of which all that a route purges could be purged by prefix instead. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from multicdn.errors import TargetsRefused
from multicdn.model import Action, Target, TargetKind
from multicdn.routing import url_templates
from multicdn.routing.route import is_root

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand, SourceObject
    from multicdn.routing.route import Route


class LocatedUrl(NamedTuple):
    """A URL to purge.

    Attributes:
        target: as routing spells it.
        spelled: as the vendor does.
        origin: the object that it was made from.
    """

    target: Target
    spelled: frozenset[Target]
    origin: SourceObject


class Directory(NamedTuple):
    """A directory that could be purged by prefix.

    Attributes:
        path: prefix of keys, with a slash at its end; empty for the root.
        prefixes: as routing spells them.
        spelled: as the vendor does.
        covered: the URLs that they make superfluous.
        saved: how many targets fewer the vendor is asked for.
        innocent: objects that have not changed and would be dropped as well; None where nobody asked.
    """

    path: str
    prefixes: tuple[Target, ...]
    spelled: frozenset[Target]
    covered: tuple[LocatedUrl, ...]
    saved: int
    innocent: int | None = None

    def changed(self) -> int:
        """How many objects below it were created or removed."""
        return len({url.origin for url in self.covered if url.origin.kind is not None})


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


def directories(route: Route, provider: Provider, urls: Iterable[LocatedUrl]) -> Iterator[Directory]:
    """All directories within a route's prefix that cover any of its URLs.

    Those that would be a whole host aren't among them unless the route allows it.
    """
    anchors = [anchor for text in route.urls if (anchor := url_templates.anchor(text))]
    below: dict[str, list[LocatedUrl]] = defaultdict(list)
    for url in urls:
        for path in _ancestors(url.origin.key):
            below[path].append(url)
    for path, inside in below.items():
        if path.startswith(route.prefix):
            texts = url_templates.expand(anchors, route.bucket, path, route.prefix)
            if route.allow_root or not any(map(is_root, texts)):
                yield from _directory(path, texts, inside, provider)


def _directory(
    path: str, texts: Sequence[str], inside: Sequence[LocatedUrl], provider: Provider
) -> Iterator[Directory]:
    covered = tuple(url for url in inside if url.target.value.startswith(tuple(texts)))
    used = [text for text in texts if any(url.target.value.startswith(text) for url in covered)]
    prefixes = tuple(Target(TargetKind.PREFIX, text) for text in used)
    located = [_located(provider, prefix) for prefix in prefixes]
    if covered and all(located):
        targets: frozenset[Target] = frozenset().union(*located)
        yield Directory(path, prefixes, targets, covered, len(spelled(covered)) - len(targets))


def _located(provider: Provider, target: Target) -> frozenset[Target]:
    """As the vendor spells a target; empty if it can't."""
    try:
        return frozenset(provider.locate(target, Action.PURGE))
    except TargetsRefused:
        return frozenset()
    except Exception:  # noqa: BLE001 - a plugin's bug: planning comes upon it again, and reports it
        return frozenset()


def _ancestors(key: str) -> Iterator[str]:
    """All directories that a key lies in, the root among them; ``a/`` for ``a/``."""
    yield ""
    end = key.find("/")
    while end >= 0:
        yield key[: end + 1]
        end = key.find("/", end + 1)
