"""Whether an outer CDN keeps old bytes for ever, with faults, kills and duplicates: with `pulls_from`, and without.

    python bench/tiers.py [--rounds 200] [--first 0]

Each round is a deploy of some keys through a chain of simulated CDNs, with clients who ask the outermost one whenever
anything has happened, vendors and SQS that fail, and a function that dies after any of its steps. Then all are well,
dead letters are sent back, and all time there is passes. Clocks are skipped, so a round takes less than a second.

Without `pulls_from`, and without verification, old bytes must be seen to stay: else nothing is shown. With it, fail if
a single key is old anywhere in the end, or a message is left. What the ladder of verification mends is not counted on
in the first line: there it is off, and each CDN keeps to its vendor's published time.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from multicdn.simulators import Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_TESTS = Path(__file__).parents[1] / "tests"

# Seconds that Fastly publishes, and longer than that.
_IN_TIME, _LATE = 0.15, 4.0


class Setting(NamedTuple):
    """A chain of CDNs, and how it is told of.

    Attributes:
        name: for people.
        vendors: the innermost first.
        pulls: whether the config says who fetches from whom.
        verify: whether edges are looked at.
        latest: seconds that a purge takes at most to have its effect.
        part: of the rounds.
    """

    name: str
    vendors: Sequence[str]
    pulls: bool
    verify: bool
    latest: float
    part: float = 1.0


SETTINGS = (
    Setting("in no order", ("fastly", "fastly"), pulls=False, verify=False, latest=_IN_TIME),
    Setting("pulls_from", ("fastly", "fastly"), pulls=True, verify=False, latest=_IN_TIME),
    Setting("pulls_from, verify, late purges", ("fastly", "fastly"), pulls=True, verify=True, latest=_LATE, part=0.25),
    Setting("CloudFront inside, asked", ("cloudfront", "fastly"), pulls=True, verify=False, latest=_LATE, part=0.25),
    Setting("three tiers", ("fastly", "cloudfront", "fastly"), pulls=True, verify=True, latest=_LATE, part=0.25),
)


def run(setting: Setting, numbers: range) -> tuple[Counter[str], Counter[str]]:
    """Run rounds, and count what became of them, and what went wrong meanwhile."""
    import pytest
    from kit.tier_rounds import rounds
    from kit.tiers import Tiers

    found, shown = Counter[str](), Counter[str]()
    vendors: Mapping[str, str] = {f"tier{place}": vendor for place, vendor in enumerate(setting.vendors)}
    with pytest.MonkeyPatch.context() as patch, Origin() as origin, Tiers(patch, origin, vendors) as tiers:
        tiers.warp.sleep(patch)
        world = tiers.world(pulls=setting.pulls, verify=setting.verify)
        for number, each in zip(
            numbers,
            rounds(tiers, world, numbers, delays=lambda chance: chance.uniform(0, setting.latest)),
            strict=True,
        ):
            found += Counter(rounds=1, pinned=bool(each.pinned), left=each.left, redriven=each.redriven)
            shown += Counter(each.shown)
            if setting.pulls and (each.pinned or each.left):
                print(f"{setting.name}, round {number}: {dict(each.pinned)}, {each.left} left", file=sys.stderr)
        found["invocations"] = world.invocations
    return found, shown


def is_right(setting: Setting, found: Counter[str]) -> bool:
    """Whether a setting shows what it is to show."""
    return bool(found["pinned"]) if not setting.pulls else not (found["pinned"] or found["left"])


def main() -> int:
    """Run all settings, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="number of the first round: each is seeded by its own")
    arguments: Any = parser.parse_args()
    sys.path.append(str(_TESTS))
    logging.disable(logging.CRITICAL)
    columns = ("", "rounds", "old for ever", "left", "invocations", "kills", "faults", "redriven", "")
    table, passed = Table(*columns, title="Tiers under faults"), True
    for setting in SETTINGS:
        rounds = max(1, round(setting.part * arguments.rounds))
        found, shown = run(setting, range(arguments.first, arguments.first + rounds))
        print(f"{setting.name}: {dict(found)}", file=sys.stderr, flush=True)
        right = is_right(setting, found)
        passed = passed and right
        told = ("rounds", "pinned", "left", "invocations")
        row = [*(f"{found[name]:,}" for name in told), f"{shown['killed']:,}"]
        row += [f"{shown.total() - shown['killed']:,}", f"{found['redriven']:,}"]
        table.add_row(setting.name, *row, "ok" if right else "FAILED")
    Console().print(table)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
