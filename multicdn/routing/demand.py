"""What routing asks of the providers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn import provenance, sequel
from multicdn.model import Action, Change, ChangeKind, Target
from multicdn.provenance import Provenance
from multicdn.routing.route import Route
from multicdn.sequel import Sequel

if TYPE_CHECKING:
    from collections.abc import Sequence


class Want(Struct, frozen=True, gc=False):
    """Who asked for a target.

    Attributes:
        asking: ids of the messages.
        marks: identities of the changes behind it, so that a new upload is a new request.
        behind: where it comes from; empty where nobody knows.
        sequels: what follows once it is purged.
    """

    asking: frozenset[str] | set[str]
    marks: frozenset[str] | set[str]
    behind: tuple[Provenance, ...] | list[Provenance] = ()
    sequels: tuple[Sequel, ...] | list[Sequel] = ()

    @property
    def causes(self) -> frozenset[str]:
        """Ids of the messages."""
        return frozenset(self.asking)

    @property
    def provenance(self) -> Provenance:
        """All that is behind it."""
        return self.behind[0] if len(self.behind) == 1 else provenance.joined(self.behind)

    @property
    def sequel(self) -> Sequel | None:
        """All that follows it; None where nothing does."""
        return sequel.joined(self.sequels) if self.sequels else None

    def joined(self, other: Want) -> Want:
        """This want and another. Most targets have one want, which is shared; a tag may have thousands and grows."""
        grows = isinstance(self.asking, set) and isinstance(self.marks, set)
        if grows and isinstance(self.behind, list) and isinstance(self.sequels, list):
            self.asking.update(other.asking)  # type: ignore[union-attr]
            self.marks.update(other.marks)  # type: ignore[union-attr]
            self.behind.extend(other.behind)
            self.sequels.extend(other.sequels)
            return self
        behind = [*self.behind, *other.behind]
        asking, marks = {*self.asking, *other.asking}, {*self.marks, *other.marks}
        return Want(asking, marks, behind, [*self.sequels, *other.sequels])


def joined(wants: Sequence[Want]) -> Want:
    """All wants of one target as one, in time that grows with their number."""
    if len(wants) == 1:
        return wants[0]
    asking = frozenset[str]().union(*(want.asking for want in wants))
    behind = [each for want in wants for each in want.behind]
    sequels = [each for want in wants for each in want.sequels]
    return Want(asking, frozenset[str]().union(*(want.marks for want in wants)), behind, sequels)


class SourceObject(Struct, frozen=True):
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
