"""When a deploy is over: as nothing came for a while, or as the object was uploaded that comes last. Pure.

Nobody remembers anything between two invocations. The changes that wait come back, and what is at hand of them, and
what S3 says at that moment, decide anew. So all moments lie on grids of wall-clock time: messages that don't know of
each other come back together, and what meets goes on as one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Seconds of the grid of routes that settle: a quarter of what they wait for, within these.
_FINEST, _COARSEST = 1.0, 5.0

# Seconds between two looks for the object that comes last.
_POLL = 10.0

# Several invocations may have a part each of what came back within so many seconds after a moment of the grid. They
# put it into the queue once more, joined, for so many seconds after that moment: then one of them gets it all.
_MEETING, _MET = 3.0, 5.0

# S3 says seconds of an object, and thousandths of an event; and its clocks aren't one.
_TOLERANCE = 2.0


class Moment(NamedTuple):
    """A change that a route acts on, as far as time goes, which is in seconds since 1970.

    Attributes:
        at: when it happened.
        since: when the newest message that brought it was sent.
        message: id of the one that brought it now.
        waited: whether it has waited for the deploy before.
    """

    at: float
    since: float
    message: str = ""
    waited: bool = False


class Ruling(NamedTuple):
    """What becomes of a change.

    Attributes:
        until: when it is looked at again; None where it waits no longer.
        reason: in a sentence.
        given_up: whether it becomes a dead letter.
        late: whether it is purged though the deploy may go on.
    """

    until: float | None
    reason: str
    given_up: bool = False
    late: bool = False

    @property
    def goes_on(self) -> bool:
        """Whether it waits no longer, and is purged."""
        return self.until is None and not self.given_up


def settled(
    hand: Sequence[Moment], quiet: float, most: float, elsewhere: Callable[[], float | None], now: float
) -> list[Ruling]:
    """Decide about the changes of a route that waits until none came for a while.

    Args:
        hand: all of the route that are at hand; at least one.
        quiet: seconds without a change after which a deploy is over.
        most: seconds after the first change of a deploy after which it is purged in any case.
        elsewhere: when the newest object was uploaded that S3 knows of; None where that isn't known, or there is none.
            Asked only where it matters.
        now: in seconds since 1970.
    """
    grid = min(_COARSEST, max(_FINEST, quiet / 4))
    newest = max(each.at for each in hand)
    if now >= newest + quiet:
        newest = max(newest, min(now, elsewhere() or newest))
    due = _on(grid, newest + quiet)
    if now >= due:
        return [_meeting(hand, due, now, Ruling(None, f"no change came for {quiet:.0f} s"))] * len(hand)
    found: dict[int, Ruling] = {}
    left = sorted(range(len(hand)), key=lambda place: hand[place].at)
    # What came after that is of another deploy, such as one that goes on while an old message comes back.
    while left and now >= (limit := _on(grid, hand[left[0]].at + most)):
        end = hand[left[0]].at + most
        over = [place for place in left if hand[place].at <= end]
        late = Ruling(None, f"the first change came {most:.0f} s ago, and the deploy may go on", late=True)
        found |= dict.fromkeys(over, _meeting([hand[place] for place in over], limit, now, late))
        left = left[len(over) :]
    if left:
        until = min(due, _on(grid, hand[left[0]].at + most))
        reason = f"the last change came {now - newest:.0f} s ago, and the route waits until none came for {quiet:.0f} s"
        found |= dict.fromkeys(left, Ruling(until, reason))
    return [found[place] for place in range(len(hand))]


def ended(
    hand: Sequence[Moment], key: str, last: Callable[[], tuple[float | None, str]], give_up_after: float, now: float
) -> list[Ruling]:
    """Decide about the changes of a route that waits for the object that a deploy uploads last.

    Args:
        hand: all of the route that are at hand; at least one.
        key: URI of that object.
        last: when it was uploaded, None where it wasn't, or nobody knows, with the reason. Asked only where it matters.
        give_up_after: seconds for which a change waits for it.
        now: in seconds since 1970.
    """
    looked = math.floor(now / _POLL) * _POLL
    if not any(each.waited for each in hand):
        # Others of the same deploy wait already, and come back then.
        return [Ruling(looked + _POLL, f"waits until {key} is uploaded")] * len(hand)
    moment, why = last()
    over = [moment is not None and each.at < moment + _TOLERANCE for each in hand]
    done = [each for each, is_over in zip(hand, over, strict=True) if is_over]
    release = _meeting(done, looked, now, Ruling(None, f"{key} was uploaded")) if done else None
    missing = why or f"{key} was not uploaded since"
    waits = Ruling(looked + _POLL, f"waits until {key} is uploaded: {missing}" if why else f"{missing}; waits for it")
    dead = Ruling(None, f"the deploy never ended: {missing}", given_up=True)
    return [
        release if release and is_over else dead if now - each.since >= give_up_after else waits
        for each, is_over in zip(hand, over, strict=True)
    ]


def _meeting(hand: Sequence[Moment], due: float, now: float, release: Ruling) -> Ruling:
    """A release, or a last wait in which the parts that several invocations may have come together."""
    if len({each.message for each in hand}) > 1 and now < due + _MEETING:
        return Ruling(due + _MET, f"{release.reason}; its messages are joined")
    return release


def _on(grid: float, moment: float) -> float:
    return math.ceil(moment / grid) * grid
