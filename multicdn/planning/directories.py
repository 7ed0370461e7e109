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
    from multicdn.routing.demand import Demand, Origin
    from multicdn.routing.route import Route


class Item(NamedTuple):
    """A URL to purge, what the vendor knows it by, and where it is from."""

    target: Target
    spelled: frozenset[Target]
    origin: Origin


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
    covered: tuple[Item, ...]
    saved: int
    innocent: int | None = None

    def changed(self) -> int:
        """How many objects below it were created or removed."""
        return len({item.origin for item in self.covered if item.origin.kind is not None})


def spelled(items: Iterable[Item]) -> set[Target]:
    """What a vendor knows some URLs by, each once."""
    return {one for item in items for one in item.spelled}


def items(demand: Demand, provider: Provider) -> list[Item]:
    """The URLs of a demand that the vendor knows as such: what it refuses, or has as a prefix already, stays alone."""
    found = []
    for target in demand.wants:
        origin = demand.origins.get(target)
        if origin is not None and target.kind is TargetKind.URL:
            known = _located(provider, target)
            if known and all(one.kind is TargetKind.URL for one in known):
                found.append(Item(target, known, origin))
    return found


def directories(route: Route, provider: Provider, items: Iterable[Item]) -> Iterator[Directory]:
    """All directories within a route's prefix that cover any of its URLs.

    Those that would be a whole host aren't among them unless the route allows it.
    """
    anchors = [found for text in route.urls if (found := url_templates.anchor(text))]
    below: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        for path in _ancestors(item.origin.key):
            below[path].append(item)
    for path, inside in below.items():
        if path.startswith(route.prefix):
            texts = url_templates.expand(anchors, route.bucket, path, route.prefix)
            if route.allow_root or not any(map(is_root, texts)):
                yield from _directory(path, texts, inside, provider)


def _directory(path: str, texts: Sequence[str], inside: Sequence[Item], provider: Provider) -> Iterator[Directory]:
    covered = tuple(item for item in inside if item.target.value.startswith(tuple(texts)))
    used = [text for text in texts if any(item.target.value.startswith(text) for item in covered)]
    prefixes = tuple(Target(TargetKind.PREFIX, text) for text in used)
    located = [_located(provider, prefix) for prefix in prefixes]
    if covered and all(located):
        known: frozenset[Target] = frozenset().union(*located)
        yield Directory(path, prefixes, known, covered, len(spelled(covered)) - len(known))


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
