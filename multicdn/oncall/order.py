"""In which order providers are purged by hand: those that fetch from others come after these. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.routing.tiers import PLAIN, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from multicdn.routing.tiers import Tier


class Order(Struct, frozen=True):
    """Who waits for whom.

    Attributes:
        waits: the providers that each one waits for; those that wait for none aren't in it.
        fresh: names of those that wait until these are fresh.
        again: names of those that are purged a second time, and after how long, as the config says it.
        at_most: how long those that wait do so, as the config says it.
    """

    waits: Mapping[str, tuple[str, ...]] = {}
    fresh: frozenset[str] = frozenset()
    again: Mapping[str, str] = {}
    at_most: Mapping[str, str] = {}

    @property
    def is_plain(self) -> bool:
        """Whether all may be called at once, and once."""
        return not (self.waits or self.again)

    @property
    def waited_for(self) -> frozenset[str]:
        """Names of those that others wait for."""
        return frozenset(name for names in self.waits.values() for name in names)

    def after(self, name: str) -> list[str]:
        """Those that wait for a provider."""
        return [each for each, names in self.waits.items() if name in names]


def order(names: Iterable[str], tiers: Mapping[str, Tier]) -> Order:
    """The order of providers that are purged by one command.

    Args:
        names: of the instances.
        tiers: where those stand that say so, by name.
    """
    purged = tuple(dict.fromkeys(names))
    waits = {name: found for name in purged if (found := nearest(name, purged, tiers))}
    return Order(
        waits,
        frozenset(name for name in waits if tiers[name].wait_for == "fresh"),
        {name: again for name in purged if (again := tiers.get(name, PLAIN).again)},
        {name: tiers[name].wait_at_most for name in waits},
    )


def waves(names: Collection[str], waits: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """The providers in the order of their turns: those of one wave wait for some of those before."""
    left, found = list(dict.fromkeys(names)), list[list[str]]()
    while left:
        turn = [name for name in left if not any(each in left for each in waits.get(name, ()))]
        turn = turn or left  # a loop, which the config check refuses
        found.append(turn)
        left = [name for name in left if name not in turn]
    return found
