"""Which jobs are open, and how the others ended: what makes sure that no job is forgotten or counted twice."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.delivery.unpurged import Unpurged
from multicdn.errors import CredentialsRefused, RetryLater, SecretError
from multicdn.model import Action, Job, Outcome, Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from multicdn.errors import ProviderError


# Characters of a reason, and of one that is longer those that are looked at: a part of a secret is one, too.
_LONGEST_REASON, _LOOKED_AT = 2_000, 12_288


class _Calling(Struct, frozen=True):
    """What an open job has gone through when the vendor was called for it the last time."""

    calls: int = 0
    throttled: int = 0
    since: float | None = None


class Ledger:
    """The jobs of one provider instance in one invocation. Closed once; what comes later is too late to count.

    Args:
        watch: told of each job's end as it is noted, from whatever thread that happens in.
        now: of the clock that ``calling`` is told the time by.
    """

    def __init__(
        self, watch: Callable[[Outcome], None] | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._watch = watch
        self._now = now
        self._open: dict[int, Job] = {}
        self._calling: dict[int, _Calling] = {}
        self._answers: dict[int, str] = {}
        self._outcomes: list[Outcome] = []
        self._closed = False
        self._lock = threading.Lock()

    def open(self, jobs: Iterable[Job]) -> None:
        """Take up jobs."""
        with self._lock:
            self._open.update((id(job), job) for job in jobs)

    def replace(self, gone: Iterable[Job], parts: Iterable[Job], ended: Iterable[Outcome] = ()) -> None:
        """Put parts, and the outcomes of others, in the place of jobs, in one step: it may be closed at any moment."""
        with self._lock:
            if not self._closed:
                for job in gone:
                    self._forget(job)
                self._open.update((id(part), part) for part in parts)
                self._outcomes.extend(map(_shortened, ended))

    def calling(self, job: Job, calls: int, throttled: int, since: float) -> None:
        """Note that the vendor is called for an open job: for the how-manieth time, and since when it is tried."""
        with self._lock:
            self._calling[id(job)] = _Calling(calls, throttled, since)
            self._answers.pop(id(job), None)

    def failed(self, job: Job, reason: str) -> None:
        """Note what the vendor answered for an open job that is to be tried again."""
        with self._lock:
            self._answers[id(job)] = reason

    def end(self, outcome: Outcome) -> None:
        """Note how an open job ended. A second end of the same job counts for nothing."""
        outcome = _shortened(outcome)
        with self._lock:
            if self._closed or not self._forget(outcome.job):
                return
            self._outcomes.append(outcome)
        if self._watch is not None:
            self._watch(outcome)

    def abandon(self, reason: str) -> None:
        """End all that is open, for another try."""
        with self._lock:
            if not self._closed:
                self._outcomes += self._given_up(lambda _: reason)
                self._open.clear()

    def unpurged(self) -> list[Outcome]:
        """The purges that were not accepted: how they ended, or as ones to be tried again where they have not yet."""
        with self._lock:
            return self._unpurged()

    def close(self, of_peers: Iterable[Outcome] = (), ends: str = "its time was up") -> list[Outcome]:
        """End all that is still open, and return every outcome.

        Args:
            of_peers: purges of others that were not accepted, and that preloads of this instance have to follow.
            ends: what has happened before they could be done.
        """
        with self._lock:
            self._closed = True
            return self._outcomes + self._given_up(lambda job: self._why_open(job, ends), of_peers)

    def _forget(self, job: Job) -> bool:
        """Take a job from those that are open, and say whether it was; another one may get its id."""
        self._calling.pop(id(job), None)
        self._answers.pop(id(job), None)
        return self._open.pop(id(job), None) is not None

    def _why_open(self, job: Job, ends: str) -> str:
        if answer := self._answers.get(id(job)):
            return f"{answer}; not tried again before {ends}"
        return f"{'no answer' if id(job) in self._calling else 'not called'} before {ends}"

    def _unpurged(self) -> list[Outcome]:
        ended = [outcome for outcome in self._outcomes if outcome.status is not Status.ACCEPTED]
        going_on = [Outcome(job, Status.RETRY, "not done yet") for job in self._open.values()]
        return [outcome for outcome in ended + going_on if outcome.job.action is Action.PURGE]

    def _given_up(self, why: Callable[[Job], str], of_peers: Iterable[Outcome] = ()) -> list[Outcome]:
        """What is open, for another try. A preload of which the turn didn't come takes along what must go before it."""
        unpurged = Unpurged((*self._unpurged(), *of_peers))
        return [self._unanswered(job, unpurged, why(job)) for job in self._open.values()]

    def _unanswered(self, job: Job, unpurged: Unpurged, reason: str) -> Outcome:
        calling = self._calling.get(id(job), _Calling())
        seconds = 0.0 if calling.since is None else self._now() - calling.since
        ended = _following(job, unpurged), Status.RETRY, reason
        return _shortened(Outcome(*ended, calls=calling.calls, seconds=seconds, throttled=calling.throttled))


def _shortened(outcome: Outcome) -> Outcome:
    """An outcome whose reason can be logged a thousand times: a plugin may have put a whole page into it."""
    if len(outcome.reason) <= _LONGEST_REASON:
        return outcome
    reason = redact(outcome.reason[:_LOOKED_AT])[:_LONGEST_REASON]
    return msgspec.structs.replace(outcome, reason=f"{reason}…")


def _following(job: Job, unpurged: Unpurged) -> Job:
    """A job as it waits in the queue: a preload with the purges of its messages."""
    if job.action is not Action.PRELOAD:
        return job
    purges = (found.part for found in unpurged.of(job.messages))
    return msgspec.structs.replace(job, purges=(*job.purges, *purges))


def status_of(error: ProviderError | SecretError) -> Status:
    """How jobs end that an error kept from being done.

    Credentials, and secrets that can't be read, may be put right while the jobs wait; settings need a person. Where
    only the source of a secret is out, nobody has refused anything.
    """
    if isinstance(error, RetryLater) or (isinstance(error, SecretError) and error.passing):
        return Status.RETRY
    return Status.UNAUTHORIZED if isinstance(error, CredentialsRefused | SecretError) else Status.REFUSED
