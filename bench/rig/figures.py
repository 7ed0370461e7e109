"""What a bench finds: each figure is a cost, beside that of a floor or of a naive way in the same run."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

_Case = TypeVar("_Case")
_Found = TypeVar("_Found")

#: How many of a unit a second has.
_A_SECOND = {"s": 1.0, "ms": 1e3, "µs": 1e6}

# Seconds of one measurement: what is quicker is repeated.
_SHORTEST = 0.01


class Spent(NamedTuple):
    """Seconds that some work took: of a processor, and on the clock."""

    cpu: float
    wall: float

    def each(self, number: int) -> Spent:
        """The same for one of so many things."""
        return Spent(self.cpu / number, self.wall / number)

    def over(self, base: Spent) -> Spent:
        """What is left without a base that is no part of the work."""
        return Spent(self.cpu - base.cpu, self.wall - base.wall)


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    Attributes:
        name: what is measured; unlike all others of its bench.
        ours, floor: medians of both costs, in the unit.
        unit: of both.
        ratio: the median of ours to the floor, round by round.
        low, high: the quartiles of that.
        limit: what the ratio may be at most; None where it is only told.
        wall: the same ratio on the clock, where the processor's time is compared.
        note: further numbers, and what they are.
    """

    name: str
    ours: float
    floor: float
    unit: str
    ratio: float
    low: float
    high: float
    limit: float | None = None
    wall: float | None = None
    note: str = ""

    @property
    def is_missed(self) -> bool:
        """Whether it is over its limit. A ratio that isn't known is."""
        return self.limit is not None and not self.ratio <= self.limit

    @property
    def verdict(self) -> str:
        """``ok``, ``MISSED``, or nothing where there is no limit."""
        return "" if self.limit is None else "MISSED" if self.is_missed else "ok"


class Bench(Protocol):
    """A module that measures.

    Attributes:
        TITLE: what its figures are about.
        ROWS: the names of its figures, in their order.
    """

    TITLE: str
    ROWS: Sequence[str]

    def figures(self, *, quick: bool) -> Iterable[Figure]:
        """Measure: ``quick`` is less exact, has the same figures, and takes a few seconds."""


def compared(
    name: str, ours: Sequence[float], floor: Sequence[float], unit: str, *, limit: float | None = None, note: str = ""
) -> Figure:
    """A figure from both costs in each round, or from one of each that never varies.

    Raises:
        ValueError: a floor isn't above zero, so that there is no ratio to it.
    """
    if min(floor) <= 0:
        raise ValueError(f"{name}: a floor of {min(floor):g} {unit}")
    ratios = [one / least for one, least in zip(ours, floor, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Figure(name, statistics.median(ours), statistics.median(floor), unit, middle, low, high, limit, None, note)


def compared_times(
    name: str,
    ours: Sequence[Spent],
    floor: Sequence[Spent],
    *,
    unit: Literal["s", "ms", "µs"] = "ms",
    each: int = 1,
    by: Literal["cpu", "wall"] = "cpu",
    limit: float | None = None,
    note: str = "",
) -> Figure:
    """A figure of times in a unit, for each of so many things; on the clock only where its point is to wait."""
    scale = _A_SECOND[unit] / each
    mine, least = ([getattr(spent, by) * scale for spent in some] for some in (ours, floor))
    if by == "wall":
        return compared(name, mine, least, f"{unit} of wall", limit=limit, note=note)
    made = compared(name, mine, least, unit, limit=limit, note=note)
    wall = medians(ours).wall / medians(floor).wall
    return replace(made, wall=wall)


def interleaved(
    cases: Mapping[_Case, Callable[[], _Found]], rounds: int, *, warm_up: bool = True
) -> dict[_Case, list[_Found]]:
    """Measure all cases in turns, so that what else the machine does hits all alike. The first turn is thrown away."""
    found: dict[_Case, list[_Found]] = {case: [] for case in cases}
    for number in range(-1 if warm_up else 0, rounds):
        for case, measure in cases.items():
            one = measure()
            if number >= 0:
                found[case].append(one)
    return found


def timed(work: Callable[[], object], shortest: float = _SHORTEST) -> Spent:
    """What some work in this process takes, repeated until ``shortest`` seconds are over."""
    gc.collect()
    repeated, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not repeated or time.perf_counter() - wall < shortest:
        work()
        repeated += 1
    return Spent((time.process_time() - cpu) / repeated, (time.perf_counter() - wall) / repeated)


def medians(spent: Sequence[Spent]) -> Spent:
    """The median of each of both times."""
    return Spent(statistics.median(one.cpu for one in spent), statistics.median(one.wall for one in spent))
