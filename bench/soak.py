"""A soak of any length: uploads, failing vendors, killed workers; prints a report and fails if anything is wrong.

    python bench/soak.py [--uploads 20000] [--fault-seconds 120] [--kills 60] [--seed 7] ...

    python bench/soak.py --breaks [PART OF A NAME]

Every option is a setting of ``rig.soak_model.SoakSettings``. ``--breaks`` breaks the workers, or sending back dead
letters, on purpose, one way at a time, in small soaks, and fails if one of them goes unnoticed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from rig.soak import run
from rig.soak_breaks import BREAKS
from rig.soak_model import SMALL, SoakSettings

# Sixty times what the test suite does.
_LONGER = SoakSettings(
    uploads=24_000,
    keys=4000,
    upload_seconds=90.0,
    fault_seconds=120.0,
    kills=60,
    largest=150,
    give_up_after=60,
    drain_timeout=600.0,
)

# Enough of all that each break shows.
_FOR_BREAKS = dataclasses.replace(
    SMALL,
    uploads=800,
    removals=0.3,
    keys=800,
    upload_seconds=6.0,
    fault_seconds=7.0,
    kills=3,
    largest=15,
    batch=60,
    swallowed=SoakSettings().swallowed,
)


def check_breaks(part: str) -> int:
    """Run a small soak for each break whose name has this part, and return the exit status."""
    # Without a break all must be well, else the breaks would be noticed for another reason.
    if sign := _sign(_FOR_BREAKS):
        print(f"nothing broken: {sign}", file=sys.stderr)
        return 1
    print("nothing broken: nothing noticed", flush=True)
    unnoticed = 0
    for name in (name for name in BREAKS if part in name):
        sign = _sign(dataclasses.replace(_FOR_BREAKS, broken=name))
        unnoticed += not sign
        print(f"{name}: {f'noticed, {sign}' if sign else 'NOT NOTICED'}", flush=True)
    return 1 if unnoticed else 0


def _sign(settings: SoakSettings) -> str:
    """What shows that something is wrong; empty if nothing does. A soak that isn't done in time shows nothing."""
    report = run(settings)
    if report.stderr:
        # A break that crashes the workers would prove nothing.
        raise RuntimeError(report.stderr)
    return ", ".join(report.signs)


def main() -> int:
    """Run it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(SoakSettings):
        default = getattr(_LONGER, field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default, help=str(default))
    parser.add_argument("--breaks", nargs="?", const="", help="check that breaks are noticed; part of their names")
    arguments = vars(parser.parse_args())
    part = arguments.pop("breaks")
    if part is not None:
        return check_breaks(part)
    settings = SoakSettings(**arguments)
    report = run(settings, lambda text: print(text, flush=True))
    print("\n".join(report.lines()))
    for provider, action, target, _ in sorted({*report.lost, *report.hasty, *report.unmet}, key=str)[:20]:
        print(f"  {provider}: {action} of {target.value}", file=sys.stderr)
    return 1 if report.signs else 0


if __name__ == "__main__":
    sys.exit(main())
