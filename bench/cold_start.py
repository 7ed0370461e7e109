"""What the first event after a pause costs: processor, memory and megabytes, through AWS's own runtime client.

    python bench/cold_start.py [--quick]

For each config its bundle is built and run by Lambda's runtime client on loopback, against simulated vendors. The floor
is what no design with that library can avoid: a handler that imports it, in the same environment, and does nothing
else. From both the time of an empty process is taken: a Python without anything. The note has the same ratio where an
empty handler is taken instead, whose runtime client has loaded some of what both use. This machine has neither
Lambda's processors nor its disks: use the ratios.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
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

# What the function of a config with a queue has at hand, for jobs that wait; its floor imports boto3 for that.
_QUEUED = "fastly with a queue"
_QUEUE = {
    "MULTICDN_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/work",
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "nothing-is-sent"),
}

ROWS = (
    *LIBRARIES,
    _QUEUED,
    *(f"memory, {name}" for name in LIBRARIES),
    *(f"bundle, {name}" for name in LIBRARIES),
)

_EMPTY, _BARE = ("", "bare.empty"), ("", "")


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
    fastly = functions["fastly"]
    queued = fastly._replace(environment={**fastly.environment, **_QUEUE})
    cases[_QUEUED, ""] = lambda: _start(queued, "")
    cases[_EMPTY] = lambda: _start(fastly, "bare.empty")
    cases[_BARE] = _python
    found = interleaved(cases, 3 if quick else 11, warm_up=not quick)
    handler, process = (medians([start.spent for start in found[case]]) for case in (_EMPTY, _BARE))
    for name, library in (*zip(LIBRARIES, LIBRARIES, strict=True), (_QUEUED, "cloudfront")):
        ours, floor = ([start.spent for start in found[case]] for case in ((name, ""), (library, "library.empty")))
        strict = medians(ours).over(handler).cpu / medians(floor).over(handler).cpu
        beyond = ([spent.over(process) for spent in some] for some in (ours, floor))
        yield compared_times(name, *beyond, limit=_MOST.get(name), note=f"beyond an empty handler: {strict:.2f}")
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


def _python() -> _Start:
    """A process with nothing in it."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-S", "-s", "-c", ""])  # noqa: S603 - Python itself
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0  # it has been waited for
    return _Start(Spent(used.ru_utime + used.ru_stime, time.perf_counter() - began), 0.0)


def _memory(starts: Sequence[_Start]) -> list[float]:
    return [start.memory for start in starts]


def _size(name: str, function: ColdFunction) -> Figure:
    most, note = (_LEAN, "what is allowed") if name in _NO_SDK else (_UPLOAD, "what Lambda takes directly")
    return compared(f"bundle, {name}", [function.megabytes], [most], "MB zipped", limit=1.0, note=f"floor: {note}")


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))
