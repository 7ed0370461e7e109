"""All figures in one table: ``python bench [--quick] [NAME ...]``, with 1 as exit status where one is missed."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import TYPE_CHECKING

from rig import report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rig.figures import Bench

#: Modules beside this one, in the order of the table.
BENCHES = ("cold_start", "first_event", "plan", "uploads")


def benches(names: Sequence[str] = BENCHES) -> list[Bench]:
    """The modules of these names."""
    return [importlib.import_module(name) for name in names]


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same rows in less than a minute: noisier")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHES)}; all if there is none")
    arguments = parser.parse_args()
    return report.show(report.run(benches(arguments.names or BENCHES), quick=arguments.quick))


if __name__ == "__main__":
    sys.exit(main())
