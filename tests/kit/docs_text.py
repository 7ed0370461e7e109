"""The prose of the documentation: without examples, which are run, and without what generators wrote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kit.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MADE = ("options.md",)  # from the program, as those of docs/vendors/ from the plugins

#: The pages that people write.
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in sorted(ROOT.glob("docs/*.md")) if path.name not in _MADE),
]

_FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_GENERATED = re.compile(r"<!-- ([\w-]+) -->.*?<!-- /\1 -->", re.DOTALL)
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def prose(page: Path) -> str:
    """What people wrote on a page, in one line: blanks and line ends are alike."""
    return " ".join(_GENERATED.sub("", _FENCE.sub("", page.read_text(encoding="utf-8"))).split())


def examples(page: Path) -> str:
    """What stands in blocks, with lines that go on in one."""
    return "\n".join(_FENCE.findall(page.read_text(encoding="utf-8"))).replace("\\\n", " ")


def spans(page: Path) -> Iterator[str]:
    """What stands in backticks."""
    for found in _SPAN.finditer(prose(page)):
        yield found[2].strip()
