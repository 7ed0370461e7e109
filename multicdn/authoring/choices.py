"""Numbered choices, and what people answer to them: numbers, names, or both. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from multicdn.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BETWEEN = re.compile(r"[\s,;]+")
_MEANT = re.compile(r"; did you mean '(.*)'\?")


class UnclearError(ValueError):
    """An answer that can't be taken; the text says why.

    Attributes:
        likely: what was probably meant, to be taken by Enter; may be empty.
    """

    def __init__(self, reason: str, likely: str = "") -> None:
        self.likely = likely
        super().__init__(reason)


def numbered(names: Sequence[str], marks: Sequence[str] = (), most: int = 20) -> Iterator[str]:
    """The lines that show choices, the first of them with what is to be said beside each."""
    for number, name in enumerate(names[:most], 1):
        mark = marks[number - 1] if number <= len(marks) else ""
        yield f"  {number:>2}  {name}{f'  ({mark})' if mark else ''}"
    if len(names) > most:
        yield f"      and {len(names) - most:,} more, by name"


def one(text: str, names: Sequence[str], most: int = 20) -> str:
    """The name that a number stands for, or the text itself where it is no number of those shown.

    Raises:
        UnclearError: nothing was answered.
    """
    if not text:
        how = ": a number, or a name" if names else "; Ctrl-C stops, and prints the command that goes on from here"
        raise UnclearError(f"an answer is needed{how}")
    if text in names or not (text.isascii() and text.isdigit()):
        return text
    number = int(text[:9])
    return names[number - 1] if 0 < number <= min(most, len(names)) else text


def several(text: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names that an answer holds, with commas or blanks between them, each once.

    Raises:
        UnclearError: there is none, or one that isn't among them; then the others are likely, and what it resembles.
    """
    found: list[str] = []
    reasons: list[str] = []
    for word in filter(None, _BETWEEN.split(text)):
        name = one(word, names, len(names))
        if name in names:
            found.append(name)
            continue
        hint = did_you_mean(name, names)
        reasons.append(f"{name!r} is none of them{hint}")
        if meant := _MEANT.fullmatch(hint):
            found.append(meant[1])
    if reasons:
        raise UnclearError("; ".join(reasons), ", ".join(dict.fromkeys(found)))
    if not found:
        raise UnclearError("name at least one, by number or by name")
    return tuple(dict.fromkeys(found))
