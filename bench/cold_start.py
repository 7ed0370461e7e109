"""What the first event after a pause costs: processor, memory and megabytes, through AWS's own runtime client.

    python bench/cold_start.py [--quick]

For each config its bundle is built and run by Lambda's runtime client on loopback, against simulated vendors. The floor
is what no design with that library can avoid: a handler that imports it, in the same environment, and does nothing
else. From both the time of an empty handler is taken. This machine has neither Lambda's processors nor its disks: use
the ratios.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from rig import report
from rig.cold_functions import ALL, LIBRARIES, cold_functions
from rig.figures import Spent, compared, compared_times, interleaved, medians

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rig.cold_functions import ColdFunction
    from rig.figures import Figure

TITLE = "Cold start"

# What a start may cost at most, of importing the vendor's library.
_MOST = {
    **dict.fromkeys(("fastly", "edgecast", "highwinds", "pixboost"), 1.0),
    "akamai": 1.2,
    "cloudfront": 1.2,
    "cloudflare": 1.35,
    ALL: 1.2,
}

# Of the memory of the libraries.
_MOST_MEMORY = 1.1

# Megabytes of an archive: of a vendor that needs no SDK; and what Lambda takes in a direct upload.
_LEAN, _UPLOAD = 3.0, 50.0
_NO_SDK = ("fastly", "edgecast", "highwinds", "pixboost")

ROWS = (
    *LIBRARIES,
    *(f"memory, {name}" for name in LIBRARIES),
    *(f"bundle, {name}" for name in LIBRARIES),
)

_EMPTY = ("", "bare.empty")


class _Start(NamedTuple):
    spent: Spent
    memory: float


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each vendor, and all."""
    functions = cold_functions()
    cases: dict[tuple[str, str], Callable[[], _Start]] = {
        (name, handler): lambda function=function, handler=handler: _start(function, handler)  # type: ignore[misc]
        for name, function in functions.items()
        for handler in ("", "library.empty")
    }
    cases[_EMPTY] = lambda: _start(functions["fastly"], "bare.empty")
    found = interleaved(cases, 2 if quick else 11, warm_up=not quick)
    empty = medians([start.spent for start in found[_EMPTY]])
    for name in functions:
        ours, floor = ([start.spent.over(empty) for start in found[name, which]] for which in ("", "library.empty"))
        yield compared_times(name, ours, floor, limit=_MOST[name], note=f"an empty handler: {empty.cpu * 1e3:.0f} ms")
    for name in functions:
        ours_mb, floor_mb = (_memory(found[name, which]) for which in ("", "library.empty"))
        limit = _MOST_MEMORY if name == ALL else None
        yield compared(f"memory, {name}", ours_mb, floor_mb, "MB", limit=limit, note="most in memory")
    for name, function in functions.items():
        yield _size(name, function)


def _start(function: ColdFunction, handler: str) -> _Start:
    [invocation] = function.start(handler=handler)
    assert invocation.init_seconds is not None, "it has just been started"
    return _Start(Spent(invocation.cpu, invocation.init_seconds + invocation.seconds), invocation.memory / 1e6)


def _memory(starts: Sequence[_Start]) -> list[float]:
    return [start.memory for start in starts]


def _size(name: str, function: ColdFunction) -> Figure:
    most, note = (_LEAN, "what is allowed") if name in _NO_SDK else (_UPLOAD, "what Lambda takes directly")
    return compared(f"bundle, {name}", [function.megabytes], [most], "MB zipped", limit=1.0, note=f"floor: {note}")


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))
