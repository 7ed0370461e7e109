"""Jobs of targets and of those who want them, and these of jobs again. Pure."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Action, Job, Rank, Target, TargetKind, digest
from multicdn.provenance import UNKNOWN
from multicdn.routing.demand import Demand, Want

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from multicdn.provenance import Provenance
    from multicdn.sequel import Sequel

Batch = list[tuple[str, Want]]

# Marks a target as one of a job that came back, by that job's reference. No sequencer or ETag begins with it.
_SAME = "="


class Batching(Struct, frozen=True):
    """What the targets of a call have in common; ``place`` tells those apart that are to be alone."""

    action: Action
    kind: TargetKind
    soft: bool
    rank: Rank = Rank.NEW
    place: int = 0


def mark_of(job: Job) -> str:
    """What marks the targets of a job that came back, by which they make the same job again; empty without one."""
    return job.reference and f"{_SAME}{job.reference}"


class JobMaker:
    """Makes jobs of one group's targets.

    Args:
        name: of the instance.
        key: of the group.
        returned: how many targets each job had that came back, by its mark.
    """

    def __init__(self, name: str, key: Batching, returned: Mapping[str, int]) -> None:
        self._key, self._returned = key, returned
        self._of = name, key.action, key.kind
        self._words = [name, key.action.value, key.kind.value, str(key.soft)]

    def job(self, batch: Batch) -> Job:
        """The job of a batch."""
        key, of, reference = self._key, self._of, self._reference(batch)
        if len(batch) == 1:  # at some vendors all are
            [(value, want)] = batch
            source, sequel = want.provenance if want.behind else UNKNOWN, want.sequel
            behind, sequels = () if source is UNKNOWN else (source,), (sequel,) if sequel else ()
            return Job(*of, (value,), (want.causes,), key.soft, reference, "", key.rank, (), behind, sequels)
        targets, wants = zip(*batch, strict=True)
        causes = tuple([want.causes for want in wants])
        beside = provenance_of(wants), sequels_of(wants)
        return Job(*of, targets, causes, key.soft, reference, "", key.rank, (), *beside)

    def _reference(self, batch: Batch) -> str:
        same = set().union(*(want.marks for _, want in batch)) if self._returned else set()
        if len(same) == 1 and self._returned.get(mark := same.pop()) == len(batch):
            return mark.removeprefix(_SAME)
        parts = self._words.copy()
        for value, want in batch:
            marks = want.marks
            if "" in marks:
                return ""
            parts += value, next(iter(marks)) if len(marks) == 1 else " ".join(sorted(marks))
        return digest(*parts)


def provenance_of(wants: Sequence[Want]) -> tuple[Provenance, ...]:
    """Where each target comes from; empty where it is known of none."""
    found = [want.behind[0] if len(want.behind) == 1 else want.provenance if want.behind else UNKNOWN for want in wants]
    return tuple(found) if any(each is not UNKNOWN for each in found) else ()


def sequels_of(wants: Sequence[Want]) -> tuple[Sequel | None, ...]:
    """What follows each target; empty where nothing follows any."""
    return tuple(want.sequel for want in wants) if any(want.sequels for want in wants) else ()


def each_target(job: Job) -> Iterator[tuple[str, frozenset[str], Provenance, tuple[Sequel, ...]]]:
    """Each target of a job, and what there is beside it."""
    behind = job.provenance or (UNKNOWN,) * len(job.targets)
    sequels = ((one,) if one else () for one in job.sequels) if job.sequels else repeat(())
    return zip(job.targets, job.causes, behind, sequels, strict=False)


def unlocated(demand: Demand) -> Iterator[Job]:
    """A demand as jobs whose targets aren't spelled for the vendor: to hold its place, or to be queued as it is."""
    kinds: dict[TargetKind, list[tuple[str, Want]]] = {}
    for target, want in demand.wants.items():
        kinds.setdefault(target.kind, []).append((target.value, want))
    for kind, pairs in kinds.items():
        values, wants = zip(*pairs, strict=True)
        causes = tuple(want.causes for want in wants)
        shared = (demand.provider, demand.action, kind, values, causes, demand.soft)
        yield Job(*shared, bucket=demand.bucket, provenance=provenance_of(wants), sequels=sequels_of(wants))


def as_demand(job: Job) -> Demand:
    """Turn a job of ``unlocated`` back into a demand.

    Its messages stand for the changes, of which it knows nothing: no vendor has been asked for it yet, so there is no
    earlier request of which this one must be a repetition.
    """
    wants = {
        Target(job.kind, value): Want(set(causes), set(causes), [provenance], list(sequels))
        for value, causes, provenance, sequels in each_target(job)
    }
    return Demand(job.provider, job.action, job.soft, job.bucket, wants)
