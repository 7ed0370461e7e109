"""A site whose objects are written again every few moments, while their purges are still on their way."""

from __future__ import annotations

import heapq
import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from multicdn.simulators.kit.transforms import Transforms

if TYPE_CHECKING:
    from collections.abc import Mapping  # noqa: TC004 - of a dataclass

    from kit.tiers import Tiers  # noqa: TC004 - of a dataclass
    from kit.world import World  # noqa: TC004 - as above

# Seconds between two writes of one object: hexpm/hexpm#1897 has seen these, and 923 false alarms in a week.
_SHORTEST, _LONGEST = 0.2, 4.5

_STYLES = ("weak", "suffix")


@dataclass
class Busy:
    """Uploads of a few objects, each followed by the next of the same one.

    Args:
        world: the function.
        tiers: the CDNs.
        latest: seconds that a purge takes at most to have its effect, by the CDN's name.
        keys: how many objects.
        seed: of all that is random.

    Attributes:
        written: the last bytes of each object.
    """

    world: World
    tiers: Tiers
    latest: Mapping[str, float]
    keys: int = 5
    seed: int = 1
    written: dict[str, str] = field(default_factory=dict)

    def run(self, uploads: int) -> None:
        """Upload so often, and let all end."""
        chance = random.Random(self.seed)
        due = [(time.time() + chance.uniform(0, _LONGEST), place) for place in range(self.keys)]
        heapq.heapify(due)
        for number in range(uploads):
            moment, place = heapq.heappop(due)
            self.world.run(max(0.0, moment - time.time()))
            self._change(chance)
            key = f"{place}.css"
            self.written[key] = f"{number}/{key} " * chance.randint(1, 9)
            self.world.upload(key, self.written[key], copies=chance.random() < 0.05)
            self._ask(key)
            heapq.heappush(due, (moment + chance.uniform(_SHORTEST, _LONGEST), place))
        self.world.run(600)

    def _change(self, chance: random.Random) -> None:
        for name, cdn in self.tiers.cdns.items():
            cdn.topology.purge_delay = chance.uniform(0, self.latest[name])

    def _ask(self, key: str) -> None:
        """Browsers, and others that take no compression."""
        for accepted in ("gzip", "identity"):
            self.tiers.ask(key, **{"Accept-Encoding": accepted})

    def old(self) -> dict[str, list[str]]:
        """Where an object isn't what was written last, by its key."""
        found = {}
        for key, body in self.written.items():
            wrong = [name for name, seen in self.tiers.bodies(key).items() if seen != body]
            if wrong:
                found[key] = wrong
        return found


def compressing(tiers: Tiers) -> None:
    """Let each CDN compress, in the two styles of entity tags."""
    for place, cdn in enumerate(tiers.cdns.values()):
        cdn.topology.transforms = Transforms(compression=_STYLES[place % 2])  # type: ignore[arg-type]
