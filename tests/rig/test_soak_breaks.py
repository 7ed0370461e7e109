"""The soak's deliberate breaks: each still finds in the code what it replaces."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
from rig import soak_breaks
gone = {}
for name in soak_breaks.BREAKS:
    try:
        exec(soak_breaks.code(name), {})
    except Exception as error:
        gone[name] = error
assert gone == {}, gone
"""


def test_every_break_finds_what_it_replaces() -> None:
    bench = Path(__file__).parents[2] / "bench"
    done = subprocess.run([sys.executable, "-c", PROBE, bench], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
