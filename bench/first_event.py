"""How long an upload waits for a function that has just started, or that is warm, at the share of a small one.

    python bench/first_event.py [--quick]

INIT has a whole processor, as Lambda gives it; from then on the function's process has the share of its megabytes. The
simulated vendors have another processor. The floor of a first event is what it costs to import the vendor's library in
it, which is what happens where nothing is prepared; that of a warm one is the same event with a whole processor.
"""

from __future__ import annotations

import statistics
import sys
from typing import TYPE_CHECKING, NamedTuple

from rig import report
from rig.cold_functions import ALL, cold_functions
from rig.figures import compared, interleaved
from rig.processor_share import share_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig.cold_functions import ColdFunction
    from rig.figures import Figure

TITLE = "First event after INIT, and a warm one"

SIZES = (512, 256)
NAMES = ("fastly", "cloudfront", "cloudflare", ALL)

# Of the time that importing the library takes in the event.
_MOST = 0.2

# Milliseconds at 512 MB while SDKs were imported in the event, on a machine of two such processors.
_ONCE = {"fastly": 66, "cloudfront": 610, "cloudflare": 590, ALL: 1417}

_WARM = 3

ROWS = tuple(f"{which} at {size} MB, {name}" for size in SIZES for which in ("first", "warm") for name in NAMES)


class _Events(NamedTuple):
    """Milliseconds on the clock: of the start, of the first event, and of a warm one."""

    init: float
    first: float
    warm: float


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each function with each share, and a whole processor."""
    functions = cold_functions(NAMES)
    shares = {size: share_of(size) for size in SIZES}
    cases = {
        (name, handler, share): lambda function=functions[name], handler=handler, share=share: (
            _events(function, handler, share)
        )
        for name in NAMES
        for handler, share in (
            *((handler, share) for handler in ("", "bare.late") for share in shares.values()),
            ("", None),
        )
    }
    found = interleaved(cases, 1 if quick else 5, warm_up=False)
    for size, share in shares.items():
        for name in NAMES:
            ours, late = found[name, "", share], [events.first for events in found[name, "bare.late", share]]
            init = statistics.median(events.init for events in ours)
            once = f"; once {_ONCE[name]:,} ms" if size == SIZES[0] else ""
            note = f"floor: the import in the event; INIT: {init:.0f} ms{once}"
            first = [events.first for events in ours]
            yield compared(f"first at {size} MB, {name}", first, late, "ms of wall", limit=_MOST, note=note)
        for name in NAMES:
            warm, whole = ([events.warm for events in found[name, "", each]] for each in (share, None))
            note = "floor: with a whole processor"
            yield compared(f"warm at {size} MB, {name}", warm, whole, "ms of wall", note=note)


def _events(function: ColdFunction, handler: str, share: float | None) -> _Events:
    start, *warm = function.start(handler=handler, share=share, events=1 + (0 if handler else _WARM))
    assert start.init_seconds is not None, "it has just been started"
    median = statistics.median(event.seconds for event in warm) if warm else 0.0
    return _Events(start.init_seconds * 1e3, start.seconds * 1e3, median * 1e3)


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))
