"""The prose of the documentation: without examples, which are run, and without what generators wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kit.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The pages that people write. Those of docs/vendors/ are made from the plugins.
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")), *sorted(ROOT.glob("docs/*.md"))]

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_GENERATED = re.compile(r"<!-- ([\w-]+) -->.*?<!-- /\1 -->", re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def prose(page: Path) -> str:
    """What people wrote on a page, in one line: blanks and line ends are alike."""
    return " ".join(_GENERATED.sub("", _FENCE.sub("", page.read_text(encoding="utf-8"))).split())


def spans(page: Path) -> Iterator[str]:
    """What stands in backticks."""
    for found in _SPAN.finditer(prose(page)):
        yield found[2].strip()
