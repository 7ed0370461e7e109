"""Make spellings.txt anew: ``python tests/data/record_spellings.py``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from kit.spelling_table import table  # noqa: E402 - found by the line above

(HERE / "spellings.txt").write_text(table(), encoding="utf-8")
