"""What routing asks of the providers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multicdn.model import Action, Change, ChangeKind, Target
from multicdn.routing.route import Route

if TYPE_CHECKING:
    from collections.abc import Sequence


class Want(Struct, frozen=True):
    """Who asked for a target.

    Attributes:
        asking: ids of the messages.
        marks: identities of the changes behind it, so that a new upload is a new request.
    """

    asking: frozenset[str] | set[str]
    marks: frozenset[str] | set[str]

    @property
    def causes(self) -> frozenset[str]:
        """Ids of the messages."""
        return frozenset(self.asking)

    def joined(self, other: Want) -> Want:
        """This want and another. Most targets have one want, which is shared; a tag may have thousands and grows."""
        if isinstance(self.asking, set) and isinstance(self.marks, set):
            self.asking.update(other.asking)
            self.marks.update(other.marks)
            return self
        return Want({*self.asking, *other.asking}, {*self.marks, *other.marks})


def joined(wants: Sequence[Want]) -> Want:
    """All wants of one target as one, in time that grows with their number."""
    if len(wants) == 1:
        return wants[0]
    asking = frozenset[str]().union(*(want.asking for want in wants))
    return Want(asking, frozenset[str]().union(*(want.marks for want in wants)))


class SourceObject(NamedTuple):
    """The object that a URL was made from.

    Attributes:
        key: of the object.
        kind: what happened to it; None where nothing did, and the change of another object made this one stale.
    """

    key: str
    kind: ChangeKind | None


class Demand(Struct, frozen=True):
    """What one provider instance is to do for the changes of one bucket.

    Attributes:
        provider: name of the instance.
        action: purge or preload.
        soft: whether to mark as stale.
        bucket: where the changes happened.
        wants: targets as routing spells them (the provider hasn't been asked yet), and who asked for each.
        route: the one route behind it, if that has a policy for collapsing; else None.
        origins: with a route, the object behind each URL; else empty.
    """

    provider: str
    action: Action
    soft: bool
    bucket: str
    wants: dict[Target, Want]
    route: Route | None = None
    origins: dict[Target, SourceObject] = {}


class RoutingFailure(Struct, frozen=True):
    """A change of which something could not be found out, so that it has to come back.

    Attributes:
        change: the change.
        reason: in one sentence.
        missing: the parts of routes that are not in the demands, as ``Matcher.part`` names them.
    """

    change: Change
    reason: str
    missing: frozenset[str] = frozenset()
