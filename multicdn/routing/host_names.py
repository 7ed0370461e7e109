"""Host names that are made from keys: which are names of hosts at all, and which of them a route allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 253

# RFC 1123, section 2.1: labels of letters, digits and hyphens, which stand neither first nor last.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = lazy_pattern(rf"{_LABEL}(?:\.{_LABEL})*")

_ANY_LABEL = "*."


def is_host_name(text: str) -> bool:
    """Whether a text in lower case is the name of a host, without a port."""
    return len(text) <= _LONGEST and _NAME.fullmatch(text) is not None


def fault_of_pattern(pattern: str) -> str:
    """Say what is wrong with an allowed host; empty if nothing is. A star is one label, as in certificates."""
    name = pattern.lower().removeprefix(_ANY_LABEL)
    if not is_host_name(name):
        return f"{pattern!r} isn't a host name; write www.example.com, or *.example.com for any one label before it"
    if name != pattern.lower() and "." not in name:
        return f"{pattern!r} would be hosts of anybody; write a domain of yours, such as *.example.com"
    return ""


class AllowedHosts:
    """Host names, and ``*.example.com`` for any one label before a name.

    Args:
        patterns: in any case.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        found = [pattern.lower() for pattern in patterns]
        self._names = frozenset(pattern for pattern in found if not pattern.startswith(_ANY_LABEL))
        self._parents = frozenset(pattern[2:] for pattern in found if pattern.startswith(_ANY_LABEL))

    def allows(self, name: str) -> bool:
        """Whether a host name in lower case is among them."""
        return name in self._names or (name.partition(".")[2] in self._parents and is_host_name(name))
