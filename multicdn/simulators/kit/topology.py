"""The places of one simulated CDN, and how a purge gets to them. All of it may be changed while the CDN runs."""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from multicdn.simulators.kit.transforms import Transforms

if TYPE_CHECKING:
    from collections.abc import Iterator


class Occasion(NamedTuple):
    """One purge as its sender sees it, however many entries of however many caches it concerns.

    Attributes:
        number: another one for each.
        at: when it set out, in seconds of the CDN's clock; None means now.
    """

    number: int
    at: float | None = None


_numbers = itertools.count(1)
_here = threading.local()


@contextlib.contextmanager
def one_purge(at: float | None = None) -> Iterator[None]:
    """What this thread purges within the ``with`` statement is one purge: a place ignores all of it, or nothing.

    Args:
        at: when it set out, where that was before now.
    """
    before = getattr(_here, "occasion", None)
    _here.occasion = Occasion(next(_numbers), at)
    try:
        yield
    finally:
        _here.occasion = before


def occasion() -> Occasion:
    """The purge that this thread is at; one of its own outside of ``one_purge``."""
    found: Occasion | None = getattr(_here, "occasion", None)
    return found or Occasion(next(_numbers))


@dataclass(eq=False)
class Pop:
    """A point of presence: a place with caches of its own.

    Attributes:
        name: what the vendor's headers call it; another one for each place, best an airport's code.
        delay: seconds until a purge has its effect here, beside the CDN's ``purge_delay``.
        ignores: how many of the next purges change nothing here; ``math.inf`` for all.
        hangs: whether clients and the vendor's own checks wait here in vain.
    """

    name: str = "FRA"
    delay: float = 0.0
    ignores: float = 0
    hangs: bool = False
    _ignored: set[int] = field(default_factory=set, init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def misses(self, number: int) -> bool:
        """Tell if this place ignores a purge, and count down if it does."""
        with self._lock:
            if number not in self._ignored and self.ignores > 0:
                self.ignores -= 1
                if self.ignores < math.inf:  # else there is nothing to remember
                    self._ignored.add(number)
                return True
            return number in self._ignored


@dataclass(eq=False)
class Topology:
    """One CDN's places, and what its edges do to answers.

    Attributes:
        pops: the edges' places; clients who don't choose are at the first. Neither it nor ``shield`` is exchanged for
            another one once something is cached.
        shield: where the others fetch what they lack, rather than from the origin. It may be one of ``pops``. With a
            longer delay than theirs it still hands out old bytes when they ask after a purge, which they then keep.
        purge_delay: seconds until an accepted purge has its effect anywhere.
        ignores_purges: whether all purges are accepted and none has an effect.
        forwards_host: whether the origin is asked under the site's name, as one does whose origin is another CDN; else
            under its own, with the site's in ``X-Forwarded-Host``.
        transforms: what is done to answers.
    """

    pops: Sequence[Pop] = field(default_factory=lambda: (Pop(),))
    shield: Pop | None = None
    purge_delay: float = 0.0
    ignores_purges: bool = False
    forwards_host: bool = False
    transforms: Transforms = field(default_factory=Transforms)

    def __post_init__(self) -> None:
        """Refuse places that can't be told apart.

        Raises:
            ValueError: there is none, or two have one name.
        """
        names = [place.name for place in self.places]
        if not self.pops or len(set(names)) < len(names):
            message = f"a CDN has at least one POP, each with a name of its own: {', '.join(names) or 'none'}"
            raise ValueError(message)

    @property
    def places(self) -> tuple[Pop, ...]:
        """All of them, each once."""
        shield = () if self.shield is None or self.shield in self.pops else (self.shield,)
        return (*self.pops, *shield)

    @property
    def longest_delay(self) -> float:
        """Seconds until a purge that is accepted now has its effect everywhere."""
        return self.purge_delay + max(place.delay for place in self.places)

    def pop(self, name: str = "") -> Pop:
        """The POP of a name; by default the first.

        Raises:
            KeyError: there is none.
        """
        if not name:
            return self.pops[0]
        return {each.name: each for each in self.pops}[name]

    def missed(self, number: int) -> tuple[Pop, ...]:
        """The places that ignore a purge. It counts at each of them, whatever is cached there."""
        missed = tuple(place for place in self.places if place.misses(number))
        return self.places if self.ignores_purges else missed
