"""What one upload takes at all seven vendors at once, beside one bare call to one of them.

    python bench/fan_out.py [--quick]

Each answer of a vendor takes 50 ms, or 300. The bare call is one of http.client on a connection of its own that is kept
open. The first event of a process comes after all has been prepared that is prepared before an event, and so does the
first bare call: both still have to connect. Beside the processor's time of a warm event stand the same calls by the
vendors' own libraries, from seven threads that do nothing else. Vendors are simulated in another process, and their
paces are skipped.
"""

from __future__ import annotations

import gc
import itertools
import multiprocessing
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from rig import report
from rig.dispatching import SECONDS, URL, dispatcher_for, quiet
from rig.events import uploads
from rig.figures import Spent, compared_times
from rig.senders import sender
from rig.vendor_process import VendorProcess

from multicdn.simulators import VENDORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rig.figures import Figure

    from multicdn.dispatcher import Dispatcher
    from multicdn.testing.loopback.simulator_config import SimulatorConfig

TITLE = "One upload to all seven vendors, beside one bare call"

# Seconds of an answer, and what the event may take, in bare calls.
_LATENCIES = {0.05: 1.2, 0.3: 1.1}

_CPU = "CPU, a warm event"

ROWS = (
    *(f"{which} event, {latency * 1000:.0f} ms a call" for latency in _LATENCIES for which in ("first", "warm")),
    _CPU,
)


class _Pair(NamedTuple):
    ours: Spent
    floor: Spent


class _Measured(NamedTuple):
    """What one process has found: events beside bare calls, the first one first, and beside the libraries' calls."""

    beside_bare: list[_Pair]
    beside_libraries: list[_Pair]


def figures(*, quick: bool) -> Iterator[Figure]:
    """Measure each latency, in several fresh processes."""
    processes, events = (1, 6) if quick else (5, 20)
    beside_libraries = list[_Pair]()
    for latency, most in _LATENCIES.items():
        with VendorProcess(tuple(VENDORS), latency) as vendors:
            found = [_in_a_process(vendors.described, events) for _ in range(processes)]
        beside_libraries += [pair for each in found for pair in each.beside_libraries]
        of_processes = [each.beside_bare for each in found]
        by_row = [each[0] for each in of_processes], [pair for each in of_processes for pair in each[1:]]
        for which, pairs in zip(("first", "warm"), by_row, strict=True):
            ours, bare = _columns(pairs)
            computed = statistics.median(spent.cpu for spent in ours) * 1000
            yield compared_times(
                f"{which} event, {latency * 1000:.0f} ms a call",
                ours,
                bare,
                by="wall",
                limit=most,
                note=f"{computed:.1f} ms of CPU for {len(VENDORS)} vendors",
            )
    yield compared_times(_CPU, *_columns(beside_libraries), note="the vendors' libraries, side by side")


def _columns(pairs: Sequence[_Pair]) -> tuple[list[Spent], list[Spent]]:
    return [pair.ours for pair in pairs], [pair.floor for pair in pairs]


def _in_a_process(described: SimulatorConfig, events: int) -> _Measured:
    """The first event of a fresh process, and then so many others, each beside a bare call, and again so many."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(described, events, there), daemon=True)
    process.start()
    there.close()
    try:
        measured: _Measured = here.recv()
    finally:
        process.kill()
        process.join()
    return measured


def _measure(described: SimulatorConfig, events: int, pipe: Any) -> None:
    os.environ.update(described.environment)
    dispatcher = dispatcher_for(described.providers)
    dispatcher.prepare()
    gc.freeze()  # as the function does at the end of INIT
    bare = _bare(described.providers["fastly"])
    with quiet():
        beside_bare = _pairs(dispatcher, bare, events + 1)
        beside_libraries = _pairs(dispatcher, _libraries(described.providers), events + 1)[1:]
    pipe.send(_Measured(beside_bare, beside_libraries))


def _pairs(dispatcher: Dispatcher, floor: Callable[[], None], number: int) -> list[_Pair]:
    return [
        _Pair(_spent(lambda key=f"{key}.css": _dispatched(dispatcher, key)), _spent(floor))  # type: ignore[misc]
        for key in range(number)
    ]


def _libraries(providers: Mapping[str, dict[str, Any]]) -> Callable[[], None]:
    """A call to each vendor by its own library, all at once, from threads that are there already."""
    senders = [sender(name, options) for name, options in providers.items()]
    threads = ThreadPoolExecutor(len(senders))
    numbers = itertools.count()

    def call() -> None:
        url = f"{URL}library-{next(numbers)}.css"
        for each in [threads.submit(send, url) for send in senders]:
            each.result()

    return call


def _dispatched(dispatcher: Dispatcher, key: str) -> None:
    reply = dispatcher.dispatch(uploads([key]), SECONDS)
    assert len(reply["providers"]) == len(VENDORS), reply


def _bare(options: dict[str, str]) -> Callable[[], None]:
    """A call to a vendor with nothing around it."""
    at = urlsplit(options["endpoint"])
    assert at.hostname, options
    connection = HTTPConnection(at.hostname, at.port)
    headers = {"Fastly-Key": os.environ[options["token"].removeprefix("${env:").removesuffix("}")]}

    def call() -> None:
        connection.request("POST", f"/purge/{URL}bare.css", headers=headers)
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
