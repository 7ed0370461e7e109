"""In which order providers are purged by hand: those that fetch from others come after these. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.routing.tiers import PLAIN, nearest
from multicdn.sequel import Sequel, Then, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from multicdn.model import Target
    from multicdn.routing.demand import Demand, Want
    from multicdn.routing.tiers import Tier


class Turns(Struct, frozen=True):
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


class Announcement(Struct, frozen=True):
    """What there is to tell of providers that wait, and of second purges.

    Attributes:
        event: held; released (its turn has come); overdue (it waits no longer); redone (purged once more, since one
            that it fetches from was); again (a second purge, by ``again``).
        provider: name of the instance.
        of: names of those that it waits for, or waited for in vain.
        seconds: that it waits at most.
        reason: why it waits no longer.
    """

    event: str
    provider: str
    of: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str = ""


def order(names: Iterable[str], tiers: Mapping[str, Tier]) -> Turns:
    """The order of providers that are purged by one command.

    Args:
        names: of the instances.
        tiers: where those stand that say so, by name.
    """
    purged = tuple(dict.fromkeys(names))
    waits = {name: found for name in purged if (found := nearest(name, purged, tiers))}
    return Turns(
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


def chained(demands: Iterable[Demand], order: Turns) -> list[Demand]:
    """The demands for the queue of a function: what waits for others is among the sequels of these.

    A target waits for those of the same object, or of the same text; if there are none, for the last one of each
    provider that it waits for.
    """
    found: dict[str, list[Demand]] = {}
    for demand in demands:
        found.setdefault(demand.provider, []).append(demand)
    for name in (name for turn in reversed(waves(list(found), order.waits)) for name in turn):
        if names := order.waits.get(name):
            for outer in found.pop(name):
                for inner in names:
                    found[inner] = _followed(found[inner], outer, fresh=name in order.fresh)
    return [demand for each in found.values() for demand in each]


def _followed(inner: list[Demand], outer: Demand, *, fresh: bool) -> list[Demand]:
    """The demands of one provider with those of another one that come after them."""
    places: dict[object, dict[tuple[int, Target], None]] = {}
    last = (0, next(iter(inner[0].wants)))
    for number, demand in enumerate(inner):
        for target, want in demand.wants.items():
            last = number, target
            for about in _about(target, want):
                places.setdefault(about, {})[last] = None
    after: dict[tuple[int, Target], list[Sequel]] = {}
    for target, want in outer.wants.items():
        sequel = joined(want.sequels) if want.sequels else None
        named = ((str(target.kind), target.value),)
        then = Then(outer.provider, str(outer.action), outer.bucket, named, outer.soft, fresh, sequel)
        alike = dict.fromkeys(place for about in _about(target, want) for place in places.get(about, ()))
        for place in alike or (last,):
            after.setdefault(place, []).append(Sequel(then=(then,)))
    return [
        msgspec.structs.replace(
            demand,
            wants={
                target: msgspec.structs.replace(want, sequels=(*want.sequels, *after.get((number, target), ())))
                for target, want in demand.wants.items()
            },
        )
        for number, demand in enumerate(inner)
    ]


def _about(target: Target, want: Want) -> Iterator[object]:
    """By what targets of two providers are known to be about the same: their objects, else their own text."""
    keys = {(each.bucket, key) for each in want.behind for key in each.keys}
    yield from keys
    if not keys:
        yield target
