"""What many uploads cost at once: calls, and time of the processor, beside a loop of one call a file.

    python bench/uploads.py [--quick]

The loop has what a short function has: the vendor's own library, one client, and no thought of limits, failures or
logs. Vendors are simulated in another process. Paces are skipped: a vendor's limits are the same for both.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from rig import report
from rig.dispatching import SECONDS, URL, dispatcher_for, quiet
from rig.events import uploads
from rig.figures import Spent, compared, compared_times, interleaved, timed
from rig.senders import sender
from rig.vendor_process import VendorProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig.figures import Figure

TITLE = "Uploads at once, beside a call for each"

NUMBERS = (1, 1000, 10_000)

#: By the vendors' documented limits; Akamai's is 50,000 bytes, and URLs have 60.
CALLS = {
    "fastly": (1, 1000, 10_000),
    "cloudfront": (1, 1, 4),
    "cloudflare": (1, 10, 100),
    "akamai": (1, 2, 13),
}

ROWS = tuple(f"{what}, {name}, {number:,} at once" for what in ("calls", "CPU") for name in CALLS for number in NUMBERS)

# Of the loop's time, where there are many: what is planned mustn't cost more than it saves.
_MOST = 1.0

# How often the loop calls.
_LOOP = 200

# So that URLs have 60 characters.
_FOLDER = "assets/stylesheets/2026/"


def keys(number: int) -> list[str]:
    """So many keys."""
    return [f"{_FOLDER}style-{place:05}.css" for place in range(number)]


class _Done(NamedTuple):
    spent: Spent
    calls: int


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each vendor with each number."""
    with VendorProcess(tuple(CALLS)) as vendors, quiet():
        os.environ.update(vendors.described.environment)
        found = {name: _measure(name, vendors.described.providers[name], quick=quick) for name in CALLS}
    for name, most in CALLS.items():
        for number, wanted in zip(NUMBERS, most, strict=True):
            calls = [float(done.calls) for done in found[name][number]]
            yield compared(
                f"calls, {name}, {number:,} at once",
                calls,
                [number] * len(calls),
                "",
                limit=wanted / number,
                note=f"by the vendor's limits: {wanted:,}",
            )
    for name in CALLS:
        for number in NUMBERS:
            yield compared_times(
                f"CPU, {name}, {number:,} at once",
                [done.spent.each(number) for done in found[name][number]],
                [done.spent.each(_LOOP) for done in found[name][0]],
                unit="µs",
                limit=None if number == 1 else _MOST,
                note="an upload",
            )


def _measure(name: str, options: dict[str, Any], *, quick: bool) -> dict[int, list[_Done]]:
    """By the number of uploads; 0 is the loop."""
    send = sender(name, options)
    cases: dict[int, Callable[[], _Done]] = {number: lambda number=number: _ours(options, number) for number in NUMBERS}  # type: ignore[misc]
    cases[0] = lambda: _Done(timed(lambda: [send(f"{URL}{number}.css") for number in range(_LOOP)], 0), _LOOP)
    _ours(options, 1)
    send(f"{URL}warm-up.css")
    return interleaved(cases, 1 if quick else 3, warm_up=False)


def _ours(options: dict[str, Any], number: int) -> _Done:
    """Through a dispatcher that is warm, with a pace in which nothing is booked yet."""
    dispatcher = dispatcher_for({"cdn": options})
    dispatcher.dispatch(uploads(["first.css"]), SECONDS)
    event = uploads(keys(number))
    replies = list[dict[str, Any]]()
    spent = timed(lambda: replies.append(dispatcher.dispatch(event, SECONDS)), 0.1 if number == 1 else 0)
    return _Done(spent, replies[0]["providers"]["cdn"]["calls"])


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))
