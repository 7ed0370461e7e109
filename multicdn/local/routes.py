"""What the config's routes say of an object: whom a change of it concerns, and by which URLs clients get it there."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, NamedTuple

from multicdn.errors import MulticdnError
from multicdn.model import Action, Change, ChangeKind, TargetKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.routing.router import Router
    from multicdn.simulators import Simulator

# URLs of one object at one edge that are shown; an index has two.
_MOST_URLS = 3


class ObjectPlace(NamedTuple):
    """An object, as the providers know it.

    Attributes:
        urls: by the names of all providers that are told of it, the URLs by which clients get it there.
        public: all URLs that its routes give it.
        tags: all its tags.
        actions: by the names of the providers, what they are asked to do.
    """

    urls: Mapping[str, tuple[str, ...]]
    public: frozenset[str]
    tags: frozenset[str]
    actions: Mapping[str, frozenset[Action]]


class Places:
    """Finds the places of objects.

    Args:
        router: of the config.
        edges: simulators, by the names of the providers.
    """

    def __init__(self, router: Router, edges: Mapping[str, Simulator]) -> None:
        self._router = router
        self._edges = edges
        self.of = functools.lru_cache(maxsize=10_000)(self._of)

    def _of(self, bucket: str, key: str, kind: ChangeKind = ChangeKind.CREATED) -> ObjectPlace:
        """The place of an object, for a change of a kind."""
        urls: dict[str, dict[str, None]] = {}
        public: set[str] = set()
        tags: set[str] = set()
        actions: dict[str, set[Action]] = {}
        for demand in self._router.demands([Change(bucket, key, kind)])[0]:
            name = demand.provider
            actions.setdefault(name, set()).add(demand.action)
            shown = urls.setdefault(name, {})
            for target in demand.wants:
                if target.kind is TargetKind.URL:
                    public.add(target.value)
                    with contextlib.suppress(ValueError, MulticdnError):
                        shown[self._spelled(name, demand.action, target.value)] = None
                elif target.kind is TargetKind.TAG:
                    tags.add(target.value)
        return ObjectPlace(
            {name: tuple(found)[:_MOST_URLS] for name, found in urls.items()},
            frozenset(public),
            frozenset(tags),
            {name: frozenset(asked) for name, asked in actions.items()},
        )

    def _spelled(self, name: str, action: Action, url: str) -> str:
        """What clients ask for: a preload says that itself."""
        return url if action is Action.PRELOAD else self._edges[name].client_url(url)
