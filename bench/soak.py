"""A soak of any length: uploads, failing vendors, killed workers; prints a report and fails if anything is lost.

    python bench/soak.py [--uploads 20000] [--fault-seconds 120] [--kills 60] [--seed 7] ...

Every option is a setting of ``rig.soak_model.SoakSettings``.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from rig.soak import run
from rig.soak_model import SoakSettings

# Ten times what the test suite does.
_LONGER = SoakSettings(
    uploads=24_000,
    keys=4000,
    upload_seconds=90.0,
    fault_seconds=120.0,
    kills=60,
    give_up_after=60,
    drain_timeout=600.0,
)


def main() -> int:
    """Run it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(SoakSettings):
        default = getattr(_LONGER, field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default, help=str(default))
    settings = SoakSettings(**vars(parser.parse_args()))
    report = run(settings, lambda text: print(text, flush=True))
    print("\n".join(report.lines()))
    for provider, action, target in sorted(report.lost | report.unmet)[:20]:
        print(f"  {provider}: {action} of {target.value}", file=sys.stderr)
    return 1 if report.lost or report.unmet else 0


if __name__ == "__main__":
    sys.exit(main())
