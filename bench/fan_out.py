"""What one upload takes at all seven vendors at once, beside one bare call to one of them.

    python bench/fan_out.py [--quick]

Each answer of a vendor takes 50 ms, or 300. The bare call is one of http.client on a connection of its own that is kept
open. The first event of a process comes after all has been prepared that is prepared before an event, and so does the
first bare call: both still have to connect. Vendors are simulated in another process, and their paces are skipped.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import multiprocessing
import os
import statistics
import sys
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from rig import report
from rig.events import BUCKET, uploads
from rig.figures import Spent, compared_times
from rig.vendor_process import VendorProcess

from multicdn import config
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from multicdn.simulators import VENDORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rig.figures import Figure

    from multicdn.testing.loopback.simulator_config import SimulatorConfig

TITLE = "One upload to all seven vendors, beside one bare call"

# Seconds of an answer, and what the event may take, in bare calls.
_LATENCIES = {0.05: 1.2, 0.3: 1.1}

ROWS = tuple(f"{which} event, {latency * 1000:.0f} ms a call" for latency in _LATENCIES for which in ("first", "warm"))

_SECONDS = 60.0
_URL = "https://www.acme.com/"


class _SkippingClock(Clock):
    """Nobody waits for a pace: it is over at once."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return super().now() + self._skipped

    def sleep(self, seconds: float) -> None:
        self._skipped += seconds


class _Pair(NamedTuple):
    ours: Spent
    bare: Spent


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each latency, in several fresh processes."""
    processes, events = (1, 6) if quick else (5, 20)
    for latency, most in _LATENCIES.items():
        with VendorProcess(tuple(VENDORS), latency) as vendors:
            found = [_in_a_process(vendors.described, events) for _ in range(processes)]
        by_row = [each[0] for each in found], [pair for each in found for pair in each[1:]]
        for which, pairs in zip(("first", "warm"), by_row, strict=True):
            ours, bare = [pair.ours for pair in pairs], [pair.bare for pair in pairs]
            computed = statistics.median(spent.cpu for spent in ours) * 1000
            yield compared_times(
                f"{which} event, {latency * 1000:.0f} ms a call",
                ours,
                bare,
                by="wall",
                limit=most,
                note=f"{computed:.1f} ms of CPU for {len(VENDORS)} vendors",
            )


def _in_a_process(described: SimulatorConfig, events: int) -> list[_Pair]:
    """The first event of a fresh process, and then so many others, each beside a bare call."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(described, events, there), daemon=True)
    process.start()
    there.close()
    try:
        pairs: list[_Pair] = here.recv()
    finally:
        process.kill()
        process.join()
    return pairs


def _measure(described: SimulatorConfig, events: int, pipe: Any) -> None:
    os.environ.update(described.environment)
    route = {"bucket": BUCKET, "urls": [f"{_URL}{{key}}"], "purge": list(described.providers)}
    text = json.dumps({"version": 1, "providers": described.providers, "routes": [route]})
    logging.getLogger("multicdn").addHandler(logging.StreamHandler(io.StringIO()))
    logging.getLogger("multicdn").setLevel(logging.INFO)
    logging.getLogger("multicdn").propagate = False
    plugins = Plugins()
    loaded = config.parse(text, "bench", plugins)
    dispatcher = Dispatcher(loaded, plugins, Delivery(loaded.providers, clock=_SkippingClock()))
    dispatcher.prepare()
    bare = _bare(described.providers["fastly"])
    with contextlib.redirect_stdout(io.StringIO()):
        pairs = [
            _Pair(_spent(lambda number=number: _dispatched(dispatcher, f"{number}.css")), _spent(bare))  # type: ignore[misc]
            for number in range(events + 1)
        ]
    pipe.send(pairs)


def _dispatched(dispatcher: Dispatcher, key: str) -> None:
    reply = dispatcher.dispatch(uploads([key]), _SECONDS)
    assert len(reply["providers"]) == len(VENDORS), reply


def _bare(options: dict[str, str]) -> Callable[[], None]:
    """A call to a vendor with nothing around it."""
    at = urlsplit(options["endpoint"])
    assert at.hostname, options
    connection = HTTPConnection(at.hostname, at.port)
    headers = {"Fastly-Key": os.environ[options["token"].removeprefix("${env:").removesuffix("}")]}

    def call() -> None:
        connection.request("POST", f"/purge/{_URL}bare.css", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    return call


def _spent(work: Callable[[], None]) -> Spent:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Spent(time.process_time() - cpu, time.perf_counter() - wall)


if __name__ == "__main__":
    sys.exit(report.main(sys.modules[__name__], __doc__))
