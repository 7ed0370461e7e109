"""Whether a regular expression may match any key that begins or ends as a route wants. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multicdn.config.key_pattern import parsed

if TYPE_CHECKING:
    from multicdn.config.key_pattern import Expression


def may_begin(text: str, prefix: str, *, ignore_case: bool = False) -> bool:
    """Whether a pattern without faults may match a key that begins so."""
    return not prefix or len(prefix) in _reached(parsed(text, ignore_case=ignore_case), prefix, frozenset((0,)), 1)


def may_end(text: str, suffix: str, *, ignore_case: bool = False) -> bool:
    """Whether a pattern without faults may match a key that ends so."""
    return len(suffix) in _reached(parsed(text, ignore_case=ignore_case), suffix[::-1], frozenset((0,)), -1)


def _reached(node: Expression, signs: str, starts: frozenset[int], step: int) -> frozenset[int]:
    """Where a part may end that starts at some of the places of a text; beyond its end, anything may go on.

    Args:
        node: the part.
        signs: the text, in the direction of reading.
        starts: the places.
        step: -1 to read backwards.
    """
    if node.kind == "sign":
        return frozenset(min(place + 1, len(signs)) for place in starts if _fits(node.signs, signs[place : place + 1]))
    if (node.least, node.most) != (1, 1):
        return _repeatedly(node, signs, starts, step)
    if node.kind == "any":
        return frozenset().union(*(_reached(branch, signs, starts, step) for branch in node.below))
    for part in node.below[::step]:
        starts = _reached(part, signs, starts, step)
    return starts


def _repeatedly(node: Expression, signs: str, starts: frozenset[int], step: int) -> frozenset[int]:
    once = node._replace(least=1, most=1)
    found = starts if node.least == 0 else frozenset()
    times = 0
    while times != node.most:
        times += 1
        before, starts = starts, _reached(once, signs, starts, step)
        if times >= node.least or starts == before:
            if starts <= found or starts == before:
                return found | starts
            found |= starts
    return found


def _fits(bits: int, sign: str) -> bool:
    return not sign or bool(bits & (1 << min(ord(sign), 128)))
