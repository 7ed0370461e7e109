"""What a vendor in trouble, or a paced one, costs uploads that come after: the others' lag, as a ratio to all well.

    python bench/isolation.py [--quick] [--mode deployed|worker] [--state silent ...] [--uploads 30] [--grace 1s]

An upload each two seconds, through the deployed stack (two invocations at once) and through the worker. The lag is
from the upload until a vendor that is well is called for it. Fails if it is more than 1.2 times as long as where all
are well in the median, or 1.5 times at the 95th percentile. In the verdict less than the noise of a machine, 0.25 s,
counts as that noise; the table shows ratios as they were measured.
``--grace 1h`` shows what it is like without: it must fail.
"""

from __future__ import annotations

import argparse
import sys
import threading

from rich.console import Console
from rich.table import Table
from rig.isolation import WELL, IsolationWorld, percentile, worlds
from rig.sick_vendor import STATES

_MOST = {0.5: 1.2, 0.95: 1.5}

# Seconds by which lags of this kind differ where nothing is the matter: a long poll's answer, a busy processor.
_NOISE = 0.25

_SICK = [*(state for state in STATES if state not in ("well", "drowsy")), "paced"]


def _measure(world: IsolationWorld, states: list[str], uploads: int, every: float) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for state in ["well", *states, "well again"]:
        found[state] = world.lags("well" if state == "well again" else state, uploads, every)
        shown = {name: [round(lag, 2) for lag in lags] for name, lags in found[state].items()}
        print(f"{state}: {shown}", file=sys.stderr, flush=True)
    return found


def _judge(mode: str, found: dict[str, dict[str, list[float]]], table: Table) -> bool:
    """Add the rows of a mode; whether all of them are as they should be."""
    others = {state: [lag for name in WELL for lag in lags[name]] for state, lags in found.items()}
    well = others.pop("well") + others.pop("well again")
    passed = True
    for state, lags in {"well": well, **others}.items():
        row, good = [], True
        for share, most in _MOST.items():
            base, value = percentile(well, share), percentile(lags, share)
            ratio = max(value, _NOISE) / max(base, _NOISE)
            good = good and (state == "well" or ratio <= most)
            row += [f"{value:.2f}", f"{value / base:.2f}"]
        own = found.get(state, {}).get("site")
        row.append(f"{percentile(own, 0.5):.1f} / {max(own):.1f}" if own else "")
        table.add_row(mode, state, *row, "" if state == "well" else "ok" if good else "FAILED")
        passed = passed and good
    return passed


def main() -> int:
    """Measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer uploads: noisier")
    parser.add_argument("--mode", action="append", choices=["deployed", "worker"], help="default: both")
    parser.add_argument("--state", action="append", choices=_SICK, help="default: all")
    parser.add_argument("--uploads", type=int, default=0, help="of each case; default 40, quick 12")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from one upload to the next")
    parser.add_argument("--grace", default="", help="delivery.grace of the config")
    arguments = parser.parse_args()
    uploads = arguments.uploads or (12 if arguments.quick else 40)
    states = arguments.state or _SICK
    modes = arguments.mode or ["deployed", "worker"]
    table = Table(
        "through", "one vendor", "median, s", "ratio", "p95, s", "ratio", "its own, s", "", title="Others' lag"
    )
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    delivery = {"grace": arguments.grace} if arguments.grace else {}
    with worlds(modes, delivery=delivery) as made:

        def run(mode: str) -> None:
            results[mode] = _measure(made[mode][0], states, uploads, arguments.every)

        threads = [threading.Thread(target=run, args=(mode,)) for mode in modes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    # All of them, so that a table with one that failed still shows the others.
    passed = [_judge(mode, results[mode], table) for mode in modes if mode in results]
    Console(width=110).print(table)
    return 0 if all(passed) and len(results) == len(modes) else 1


if __name__ == "__main__":
    sys.exit(main())
