"""What a vendor that hangs costs the six others: time until they are done, as a ratio to the same without it.

    python bench/hanging.py [--keys 10] [--rounds 3] [--seconds 4]

An invocation in which a vendor hangs may last until its time is up. So what is measured is not its end, but when the
six others are done: when the last of their purges reached a simulator. Fails if they take more than 1.1 times as long
as beside a seventh that is well, over all vendors in turn; what each of them costs is shown, and noisier.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rig.events import BUCKET, uploads

from multicdn import config
from multicdn.dispatcher import Dispatcher
from multicdn.errors import Undelivered
from multicdn.plugins.discovery import Plugins
from multicdn.simulators import VENDORS, Origin, load
from multicdn.simulators.kit import faults
from multicdn.testing.loopback.simulator_config import config_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.simulators import Simulator

_MOST = 1.1

# Before its pace makes CloudFront wait: five calls at once.
_MEASURED = 3


class Bench:
    """All vendors, in front of one origin.

    Args:
        edges: their simulators.
        keys: objects an event has.
    """

    def __init__(self, edges: dict[str, Simulator], keys: int) -> None:
        self._edges = edges
        self._keys = keys
        self._uploads = 0

    def times(self, names: Sequence[str], sick: str, seconds: float, *, hangs: bool = False) -> list[float]:
        """Seconds until all but one are done, for a few events in a process that is warm."""
        dispatcher = self._dispatcher(names)
        self._dispatch(dispatcher, seconds)
        others = [name for name in names if name != sick]
        if hangs:
            self._edges[sick].faults.always(faults.hang())
        seconds_each = [self._time(dispatcher, others, seconds) for _ in range(_MEASURED)]
        self._edges[sick].faults.clear()
        return seconds_each

    def _dispatcher(self, names: Sequence[str]) -> Dispatcher:
        """A new one, with a pace that nothing was booked in yet."""
        described = config_for({name: self._edges[name] for name in names})
        os.environ.update(described.environment)
        routes = [{"bucket": BUCKET, "urls": ["https://www.acme.com/{key}"], "purge": list(names)}]
        settings = {"delivery": {"concurrency": 1}, "routes": routes}
        text = json.dumps({"version": 1, "providers": described.providers, **settings})
        plugins = Plugins()
        return Dispatcher(config.parse(text, "bench", plugins), plugins)

    def _time(self, dispatcher: Dispatcher, others: Sequence[str], seconds: float) -> float:
        for name in others:
            self._edges[name].forget_calls()
        began = time.time()
        self._dispatch(dispatcher, seconds)
        ends = [max(call.at for call in self._edges[name].calls) for name in others]
        assert all(sum(call.items for call in self._edges[name].calls) == self._keys for name in others)
        return max(ends) - began

    def _dispatch(self, dispatcher: Dispatcher, seconds: float) -> None:
        with contextlib.suppress(Undelivered):
            dispatcher.dispatch(self._event(), seconds)

    def _event(self) -> dict[str, Any]:
        self._uploads += 1
        return uploads((f"{self._uploads}/{number}.css" for number in range(self._keys)), self._uploads)


def _medians(bench: Bench, sick: str, rounds: int, seconds: float) -> tuple[float, float, float]:
    """Time of the six without the seventh, with it, and while it hangs, in turns."""
    six = [name for name in VENDORS if name != sick]
    without, well, hangs = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        without += bench.times(six, sick, seconds)
        well += bench.times(list(VENDORS), sick, seconds)
        hangs += bench.times(list(VENDORS), sick, seconds, hangs=True)
    return statistics.median(without), statistics.median(well), statistics.median(hangs)


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=10, help="objects an event has; over 12 Edgecast's pace shows")
    parser.add_argument("--rounds", type=int, default=3, help="processes whose events are measured")
    parser.add_argument("--seconds", type=float, default=4.0, help="time of an invocation")
    arguments = parser.parse_args()
    logging.getLogger("multicdn").setLevel(logging.CRITICAL)
    table = Table(
        "the seventh", "without, ms", "well, ms", "hangs, ms", "hangs / without", "hangs / well", title="Six are done"
    )
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(Origin())
        edges = {name: stack.enter_context(load(name)(origin.url, limits=False)) for name in VENDORS}
        bench = Bench(edges, arguments.keys)
        ratios = []
        for sick in VENDORS:
            without, well, hangs = _medians(bench, sick, arguments.rounds, arguments.seconds)
            shown = [f"{value * 1e3:.0f}" for value in (without, well, hangs)]
            table.add_row(sick, *shown, f"{hangs / without:.2f}", f"{hangs / well:.2f}")
            ratios.append(hangs / well)
    ratio = statistics.median(ratios)
    table.caption = f"hangs / well in the median: {ratio:.2f}, {'ok' if ratio <= _MOST else 'FAILED'}"
    Console().print(table)
    return 0 if ratio <= _MOST else 1


if __name__ == "__main__":
    sys.exit(main())
