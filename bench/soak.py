"""A soak of any length: uploads, sick vendors, killed workers; prints the ledger and fails if anything is lost.

    python bench/soak.py [--uploads 20000] [--storm 120] [--kills 60] [--seed 7] ...

Every option is a setting of ``rig.soak.Settings``.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from rig.soak import Settings, run

# Ten times what the test suite does.
_LONGER = Settings(uploads=24_000, keys=4000, seconds=90.0, storm=120.0, kills=60, give_up_after=60, patience=600.0)


def main() -> int:
    """Run it, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for field in dataclasses.fields(Settings):
        default = getattr(_LONGER, field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default, help=str(default))
    settings = Settings(**vars(parser.parse_args()))
    ledger = run(settings, lambda text: print(text, flush=True))
    print("\n".join(ledger.lines()))
    for owed in sorted(ledger.lost | ledger.undone)[:20]:
        print(f"  {owed.provider}: {owed.action} of {owed.target.value}", file=sys.stderr)
    return 1 if ledger.lost or ledger.undone else 0


if __name__ == "__main__":
    sys.exit(main())
