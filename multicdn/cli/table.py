"""Tables without lines: columns with two spaces between them, as narrow as a terminal needs, broken between words."""

from __future__ import annotations

import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_GAP = 2


def table(head: Sequence[str], rows: Sequence[Sequence[str]], columns: int | None) -> Iterator[str]:
    """Lines of a table.

    Args:
        head: titles of its columns.
        rows: as many cells each, in one line each.
        columns: of the terminal; None where lines may be as long as they are. Where not even the longest words fit side
            by side, each row is a list of its cells.
    """
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if columns is not None:
        least = [max(map(_longest_word, column)) for column in zip(*cells, strict=True)]
        room = columns - _GAP * (len(head) - 1)
        if sum(least) > room:
            yield from _listed(head, rows)
            return
        widths = _narrowed(widths, least, room)
    for row in cells:
        yield from _row(row, widths)


def _row(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    broken = [_lines(cell, width) for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*broken, fillvalue=""):
        padded = (part.ljust(width + _GAP) for part, width in zip(parts, widths, strict=True))
        yield "".join(padded).rstrip()


def _listed(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for first, *others in rows:
        yield first
        yield from (f"  {title}: {cell}" for title, cell in zip(head[1:], others, strict=True) if cell)


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Take from the widest column, again and again, what is too much."""
    narrowed = list(widths)
    while sum(narrowed) > room:
        spare = [place for place, width in enumerate(narrowed) if width > least[place]]
        narrowed[max(spare, key=narrowed.__getitem__)] -= 1
    return narrowed


def _longest_word(cell: str) -> int:
    return max(map(len, cell.split()), default=0)


def _lines(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, max(1, width), break_long_words=False, break_on_hyphens=False) or [""]
