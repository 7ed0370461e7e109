"""What a plugin hands to planning, and whether it may be taken for what it should be. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multicdn.model import Target, TargetKind, is_text
from multicdn.provider import Limits

if TYPE_CHECKING:
    from collections.abc import Iterable


def is_blank(target: Target) -> bool:
    """Whether a target names nothing. Only everything has no name."""
    return target.kind is not TargetKind.EVERYTHING and not target.value.strip()


def needs_no_check(found: Any, target: Target) -> bool:
    """Whether a plugin made of a target one of the same kind, and of ASCII: nothing else is to be looked at."""
    if type(found) is not tuple or len(found) != 1:
        return False
    one = found[0]
    if one is target:
        return one.value.isascii()
    if type(one) is not Target or one.kind is not target.kind:
        return False
    value = one.value
    return type(value) is str and value.isascii() and bool(value.strip())


def checked_targets(target: Target, spelled: Iterable[Any]) -> tuple[Target, ...]:
    """What a plugin made of a target, if it may be sent.

    Raises:
        TypeError, ValueError: it is something else than targets, or means more than the target did.
    """
    found = tuple(spelled)
    if not found:
        raise ValueError("locate returned no target at all; to refuse one, raise TargetsRefused")
    for each in found:
        if not isinstance(each, Target) or each.kind not in TargetKind or not is_text(each.value):
            raise TypeError(f"locate returned {each!r:.80}, which is no Target of text")
        if each.kind is TargetKind.EVERYTHING and target.kind is not TargetKind.EVERYTHING:
            raise ValueError(f"locate made everything of a {target.kind}")
        if is_blank(each):
            raise ValueError(f"locate made an empty {each.kind}")
    return found


def checked_limits(limits: Any) -> Limits:
    """What a plugin says of its limits, if it is that.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(limits, Limits):
        raise TypeError(f"its limits are {limits!r:.80}")
    return limits


def checked_weight(weight: Any) -> int:
    """What a plugin says of a target's weight, if it is that.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(weight, int):
        raise TypeError(f"weigh returned {weight!r:.80}, which is no number of bytes")
    return weight
