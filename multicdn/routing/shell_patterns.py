"""Shell patterns over whole keys: whether one of many matches. Pure."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WILDCARDS = frozenset("*?[")


@cache
def any_of(patterns: tuple[str, ...], *, ignore_case: bool = False) -> Callable[[str], bool]:
    """Tells whether any of some shell patterns matches a whole key; ``*`` also matches slashes and line breaks.

    As a regular expression each pattern walks through the key by itself. But nearly all are a text with a star before
    it, behind it or on both sides, and texts are looked for together.
    """
    flags = re.IGNORECASE if ignore_case else re.NOFLAG
    ends, starts, within, others = [], [], [], []
    for pattern in patterns:
        text = pattern.strip("*")
        if not _WILDCARDS.isdisjoint(text) or text == pattern:
            others.append(pattern)
        elif pattern.startswith("*") and pattern.endswith("*"):
            within.append(text)
        elif ignore_case:  # other letters may be the same to an expression than to ``lower``
            others.append(pattern)
        elif pattern.startswith("*"):
            ends.append(text)
        else:
            starts.append(text)
    searched = re.compile("|".join(map(re.escape, within)), flags).search if within else None
    matched = re.compile("|".join(map(translate, others)), flags).match if others else None
    return _any(tuple(ends), tuple(starts), searched, matched)


def _any(
    ends: tuple[str, ...],
    starts: tuple[str, ...],
    searched: Callable[[str], object] | None,
    matched: Callable[[str], object] | None,
) -> Callable[[str], bool]:
    if not (starts or searched or matched):
        return lambda key: key.endswith(ends)
    return lambda key: (
        key.endswith(ends)
        or key.startswith(starts)
        or (searched is not None and searched(key) is not None)
        or (matched is not None and matched(key) is not None)
    )
