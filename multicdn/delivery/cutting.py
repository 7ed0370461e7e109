"""Which parts a batch goes on in, when its vendor refuses it, fails with it, or is only to be tried. Pure.

The calls that a batch took are counted once, with its first part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.model import Job, Rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# A batch that is throttled this often may be larger than the vendor ever admits at once: it is halved.
_THROTTLED_TOO_OFTEN = 3

# A batch that fails this often for no reason that the vendor names may hold a target that makes it fail.
_FAILED_TOO_OFTEN = 3


class Try(Struct, frozen=True):
    """A job on its way.

    Attributes:
        job: the job.
        since: when its way began.
        tries: how often it was tried.
        throttled: how often the vendor asked for a wait, since the batch was last cut.
        calls: all calls that it took, those before it was cut included.
        waits: how many of them were answered by asking for a wait.
        probed: whether one of its targets was cut off, to see if the vendor is well.
    """

    job: Job
    since: float
    tries: int = 0
    throttled: int = 0
    calls: int = 0
    waits: int = 0
    probed: bool = False


Parts = tuple[Try, ...]


def halves(attempt: Try, tries: int = 0, rank: Rank = Rank.ALONE) -> Parts:
    """Both halves, as if each had been tried so often."""
    first, second = (msgspec.structs.replace(half, rank=rank) for half in attempt.job.halves())
    return Try(first, attempt.since, tries, calls=attempt.calls, waits=attempt.waits), Try(second, attempt.since, tries)


def suspects(attempt: Try, most_tries: int, *, others_are_accepted: bool) -> Parts:
    """The parts of a batch that fails without a reason, if one of its targets may be what makes it fail; none if not.

    Where the vendor has accepted others of its kind, it is halved. Else one target goes ahead, to see if it does.

    Args:
        attempt: the batch.
        most_tries: that a job has.
        others_are_accepted: whether the vendor has accepted others of its kind.
    """
    job, tries = attempt.job, attempt.tries
    if len(job.targets) == 1 or tries < _FAILED_TOO_OFTEN - others_are_accepted:
        return ()
    if others_are_accepted:
        # Each half has one more try before it is halved itself.
        return halves(attempt, tries - 1)
    if attempt.probed:
        return ()
    first, rest = job.split(1)
    probe = msgspec.structs.replace(first, rank=Rank.ALONE)
    return (
        Try(probe, attempt.since, most_tries - 1, calls=attempt.calls, waits=attempt.waits),
        Try(rest, attempt.since, tries - 1, probed=True),
    )


def admissible(attempt: Try) -> Parts:
    """Both halves of a batch that is throttled again and again; none if it isn't, or can't be halved."""
    if attempt.throttled < _THROTTLED_TOO_OFTEN or len(attempt.job.targets) == 1:
        return ()
    return halves(attempt, attempt.tries, attempt.job.rank)


def by_host(attempt: Try, hosts: Iterable[Sequence[str]]) -> Parts:
    """A part for the targets of each host: a refusal may be about one of them."""
    first, *others = (Try(part, attempt.since) for targets in hosts if (part := attempt.job.only(targets)))
    return msgspec.structs.replace(first, calls=attempt.calls, waits=attempt.waits), *others


def first_and_rest(attempt: Try, halvings: int) -> Parts:
    """The first part of a batch that was halved so often, and the rest if there is one."""
    job, size = attempt.job, max(1, len(attempt.job.targets) >> halvings)
    if size == len(job.targets):
        return (attempt,)
    first, rest = job.split(size)
    return msgspec.structs.replace(attempt, job=first), Try(rest, attempt.since)
