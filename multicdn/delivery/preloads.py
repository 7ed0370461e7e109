"""The preloads of one provider: never before their purges, nor before these are done by the vendor's estimate."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from multicdn.delivery.unpurged import Unpurged
from multicdn.model import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.delivery.clock import Clock
    from multicdn.delivery.ledger import Ledger
    from multicdn.delivery.unpurged import UnpurgedPart
    from multicdn.model import Job

# Seconds by which a preload may precede the estimated end of its purge: estimates are no more exact.
_SOON = 1.0


class Preloads:
    """What a lane is to load once it has purged. It is false where there is nothing.

    Args:
        jobs: the preloads.
        ledger: where the ends of those are noted that can't go ahead.
        clock: of the invocation.
    """

    def __init__(self, jobs: Sequence[Job], ledger: Ledger, clock: Clock) -> None:
        self._jobs = jobs
        self._ledger = ledger
        self._clock = clock
        self._purged_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._jobs)

    def ready(self, unpurged: Sequence[Outcome]) -> list[Job]:
        """Those that may go ahead; the others end here.

        Args:
            unpurged: the purges that were not accepted. What may become of them yet goes into the queue with the
                preload; what can't be purged isn't loaded at all.
        """
        waited_for = Unpurged(outcome for outcome in unpurged if not _is_hopeless(outcome))
        hopeless = Unpurged(filter(_is_hopeless, unpurged))
        ready: list[Job] = []
        for job in self._jobs:
            lost = job.only(_lost_targets(job, hopeless))
            left = job.without(lost.targets) if lost else job
            late = left.of_messages(waited_for.messages) if left else None
            now = left.without(late.targets) if left and late else left
            if lost or late:
                self._end_unpurged(job, lost, late, now, hopeless, waited_for)
            if now:
                ready += self._by_estimate(now)
        return ready

    def note_estimate(self, job: Job, seconds: float) -> None:
        """Remember until when a purge takes: what is loaded before may be the old bytes."""
        until = self._clock.now() + seconds
        with self._lock:
            for message in job.messages:
                self._purged_at[message] = max(until, self._purged_at.get(message, until))

    def _by_estimate(self, job: Job) -> Iterator[Job]:
        """The part of a preload that may go ahead; what must wait for longer than there is time waits in the queue."""
        if not self._purged_at:
            yield job
            return
        early = [target for target, causes in zip(job.targets, job.causes, strict=True) if self._is_early(causes)]
        waiting, ready = job.only(early), job.without(early)
        self._ledger.replace([job], [part for part in (waiting, ready) if part])
        if waiting:
            wait = self._purged_in(waiting)
            reason = f"its purge takes {wait:.0f} s more by the vendor's estimate"
            self._ledger.end(Outcome(waiting, Status.PACED, reason, after=wait))
        if ready:
            yield ready

    def _is_early(self, causes: frozenset[str]) -> bool:
        now = self._clock.now() + _SOON
        return any(self._purged_at.get(cause, now) > now for cause in causes)

    def _end_unpurged(
        self, job: Job, lost: Job | None, late: Job | None, now: Job | None, hopeless: Unpurged, waited_for: Unpurged
    ) -> None:
        """End the parts of a preload that may not go before their purges, which they take along."""
        lost = lost and _with_purges(lost, (*hopeless.of(lost.messages), *waited_for.of(lost.messages)))
        mine = waited_for.of(late.messages) if late else []
        late = late and _with_purges(late, mine)
        self._ledger.replace([job], [part for part in (lost, late, now) if part])
        if lost:
            why = hopeless.of(lost.messages)[0].outcome.reason
            self._ledger.end(Outcome(lost, Status.REJECTED, f"not loaded, since it can't be purged: {why}"))
        if late:
            waits = [found.outcome.after for found in mine if found.outcome.after is not None]
            reason = "not loaded, since it could not be purged before"
            self._ledger.end(Outcome(late, Status.RETRY, reason, after=max(waits, default=None)))

    def _purged_in(self, job: Job) -> float:
        """Seconds until all purges of the messages behind a job are done by their vendor's estimate."""
        now = self._clock.now()
        return max((self._purged_at.get(message, now) - now for message in job.messages), default=0.0)


def _is_hopeless(purge: Outcome) -> bool:
    return purge.final or purge.status is Status.REJECTED


def _lost_targets(job: Job, hopeless: Unpurged) -> Iterator[str]:
    """The targets of a preload that can't be purged.

    The messages behind them tell which purge is whose. A job that came back has one message for many targets, and a
    change several spellings: then a few bad purges must not cost all the others their preload, and each costs that of
    its own URL.
    """
    wanted: dict[str, list[str]] = defaultdict(list)
    for target, causes in zip(job.targets, job.causes, strict=True):
        for message in causes & hopeless.messages:
            wanted[message].append(target)
    for message, targets in wanted.items():
        bad = hopeless.of(frozenset((message,)))
        purges = [target for found in bad for target in found.part.targets]
        own = set(map(_bare, purges))
        yield from targets if len(purges) >= len(targets) else (each for each in targets if _bare(each) in own)


def _bare(url: str) -> str:
    """A URL without its scheme, which some vendors want to be another for a purge, or none."""
    return url.partition("//")[2] or url


def _with_purges(job: Job, purges: Iterable[UnpurgedPart]) -> Job:
    return msgspec.structs.replace(job, purges=tuple(found.part for found in purges))
