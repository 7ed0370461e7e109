"""All figures in one table: ``python bench [--quick] [NAME ...]``, with 1 as exit status where one is missed."""

from __future__ import annotations

import argparse
import sys

from rig import report

#: Modules beside this one, in the order of the table.
BENCHES = ("cold_start", "first_event", "plan", "loading", "uploads", "worker", "isolation")


def main() -> int:
    """Measure, print, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the same rows in less than a minute: noisier")
    parser.add_argument("--write", action="store_true", help="write the table into docs/performance.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(BENCHES)}; all if there is none")
    chosen = parser.parse_args()
    if chosen.write and chosen.names:
        parser.error("the page has all of them: leave out the names, or --write")
    parts = report.run(chosen.names or BENCHES, quick=chosen.quick)
    if chosen.write:
        report.write(parts, quick=chosen.quick)
    return report.show(parts)


if __name__ == "__main__":
    sys.exit(main())
