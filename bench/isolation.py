"""What a vendor in trouble, or a paced one, costs uploads that come after: the others' lag, beside that of all well.

    python bench/isolation.py [--quick] [--mode deployed|worker] [--state silent ...] [--uploads 40] [--grace 1s]

An upload each two seconds, through the deployed stack (two invocations at once) and through the worker. The lag is
from the upload until a vendor that is well is called for it, on the clock. At most it may be 1.2 times as long as where
all are well in the median, and 1.5 times at the 95th percentile. Less than the noise of a machine, 0.25 s, counts as
that noise; the note says what was measured. The one table has two states, since each takes two minutes; alone this
measures with all.
``--grace 1h`` shows what it is like without: it must fail.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from rig import report
from rig.figures import compared
from rig.isolation import WELL, IsolationWorld, percentile, worlds
from rig.sick_vendor import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rig.figures import Figure

TITLE = "Isolation"

_MODES = ("deployed", "worker")
_SHOWN = ("paced", "silent")
_MOST = {"median": (0.5, 1.2), "p95": (0.95, 1.5)}

# Seconds by which lags of this kind differ where nothing is the matter: a long poll's answer, a busy processor.
_NOISE = 0.25

# Lags of which a 95th percentile can be told.
_ENOUGH = 20

_SICK = [*(state for state in STATES if state not in ("well", "drowsy")), "paced"]

# Lags by vendor, by state.
_Lags = dict[str, dict[str, list[float]]]


class _Course(NamedTuple):
    """How it is measured: what is done in each state, and which settings of delivery there are.

    Attributes:
        uploads, every: how many, and seconds from one to the next.
        careful: whether each state begins anew, and all well is measured again at the end.
        delivery: settings of the config.
    """

    uploads: int
    every: float
    careful: bool = True
    delivery: Mapping[str, str] = {}


def _rows(modes: Sequence[str], states: Sequence[str]) -> list[str]:
    return [f"{mode}, {state}, {which}" for mode in modes for state in states for which in _MOST]


ROWS = tuple(_rows(_MODES, _SHOWN))


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure both modes with two states."""
    yield from _measured(_MODES, _SHOWN, _Course(6, 0.8, careful=False) if quick else _Course(20, 2.0))


def _measured(modes: Sequence[str], states: Sequence[str], course: _Course) -> Iterator[Figure]:
    with worlds(list(modes), delivery=course.delivery) as made, ThreadPoolExecutor(len(modes)) as pool:
        found = pool.map(lambda mode: _lags(made[mode][0], states, course), modes)
        results = dict(zip(modes, found, strict=True))
    for mode in modes:
        for state in states:
            yield from _judged(mode, state, results[mode])


def _lags(world: IsolationWorld, states: Sequence[str], course: _Course) -> _Lags:
    found: _Lags = {}
    for state in ["well", *states, *(["well again"] if course.careful else [])]:
        vendor = "well" if state == "well again" else state
        renew = course.careful or state == "well"
        found[state] = world.lags(vendor, course.uploads, course.every, renew=renew)
        shown = {name: [round(lag, 2) for lag in lags] for name, lags in found[state].items()}
        print(f"{state}: {shown}", file=sys.stderr, flush=True)
    return found


def _judged(mode: str, state: str, found: _Lags) -> Iterator[Figure]:
    well = [lag for each in ("well", "well again") if each in found for name in WELL for lag in found[each][name]]
    lags = [lag for name in WELL for lag in found[state][name]]
    own = found[state].get("site")
    itself = f"; its own {percentile(own, 0.5):.1f}, most {max(own):.1f}" if own else ""
    for which, (share, most) in _MOST.items():
        base, value = percentile(well, share), percentile(lags, share)
        judged = [max(value, _NOISE)], [max(base, _NOISE)]
        note = f"measured: {value:.2f} s and {base:.2f} s{itself}"
        limit = most if len(lags) >= _ENOUGH or share == 0.5 else None  # of ten lags the 95th percentile is the worst
        yield compared(f"{mode}, {state}, {which}", *judged, "s of wall", limit=limit, note=note)


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer uploads: noisier")
    parser.add_argument("--mode", action="append", choices=_MODES, help="default: both")
    parser.add_argument("--state", action="append", choices=_SICK, help="default: all")
    parser.add_argument("--uploads", type=int, default=0, help="of each case; default 40, quick 12")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from one upload to the next")
    parser.add_argument("--grace", default="", help="delivery.grace of the config")
    chosen = parser.parse_args()
    delivery = {"grace": chosen.grace} if chosen.grace else {}
    course = _Course(chosen.uploads or (12 if chosen.quick else 40), chosen.every, delivery=delivery)
    found = list(_measured(chosen.mode or _MODES, chosen.state or _SICK, course))
    return report.show([(TITLE, found)])


if __name__ == "__main__":
    sys.exit(main())
