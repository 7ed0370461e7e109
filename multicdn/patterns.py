"""Regular expressions that are compiled when they are first used: each costs a start a quarter of a millisecond."""

from __future__ import annotations

import re
from typing import Any, cast


def lazy_pattern(text: str, flags: int = 0) -> re.Pattern[str]:
    """A regular expression like one of ``re.compile``, which isn't compiled before it is used.

    What is wrong with it shows no sooner; a test compiles them all.
    """
    return cast("re.Pattern[str]", _Uncompiled(text, flags))


class _Uncompiled:
    def __init__(self, text: str, flags: int) -> None:
        self._source = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        # Found there from now on: a method that is kept costs no more than that of a compiled one.
        setattr(self, name, found)
        return found
