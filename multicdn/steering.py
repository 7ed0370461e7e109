"""What must not reach a terminal from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    import re

# What steers a terminal besides the control characters that JSON escapes: those of the second set, and what turns the
# direction of text. And halves of surrogates, for which a handler would drop the whole line.
# https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters
STEERING = "\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"

_STEERING = lazy_pattern(f"[{STEERING}]")
_ANY = lazy_pattern(f"[\x00-\x1f{STEERING}]")


def without_steering(text: str) -> str:
    """A text of which nothing steers a terminal, if its control characters are escaped already, as in JSON."""
    return _STEERING.sub(escaped, text)


def visible(text: str) -> str:
    """A text of which nothing steers a terminal or ends a line."""
    return _ANY.sub(escaped, text)


def escaped(match: re.Match[str]) -> str:
    r"""A character as JSON writes it, ``\u001b``."""
    return f"\\u{ord(match[0]):04x}"
