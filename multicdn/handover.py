"""What an invocation hands on: what waits in the queue, what is given up, and what goes back to AWS."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from multicdn.bounds import bounded
from multicdn.errors import told
from multicdn.model import Action, Outcome, Report, Status
from multicdn.queue import waiting
from multicdn.queue.retry import Decision, decide
from multicdn.routing.demand import RoutingFailure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from multicdn.proof.following import Following
    from multicdn.proof.ladder import Note
    from multicdn.proof.pursuit import Pursuit
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import MessageHistory, RetryPolicy
    from multicdn.queue.sender import RetryQueue
    from multicdn.routing.tiers import Tier

_UNSENT = "what follows it could not be sent to the queue"


class HandedOn(NamedTuple):
    """What was decided about undelivered jobs, what of it could not be sent, and what has to go back to AWS.

    Of the latter ``late`` was not delivered; the rest was, and what follows it could not be sent. Notes are of what
    was looked at.
    """

    decisions: Sequence[Decision] = ()
    failed: Sequence[Decision] = ()
    left: Report = Report()
    late: Report = Report()
    trouble: str = ""
    notes: Sequence[Note] = ()


class HeldOver(Struct, frozen=True):
    """The same about changes that could not be routed whole, or wait for the rest of their deploy."""

    groups: Sequence[waiting.Unrouted] = ()
    failed: Sequence[waiting.Unrouted] = ()
    left: Sequence[RoutingFailure] = ()
    trouble: str = ""

    def joined(self, other: HeldOver) -> HeldOver:
        """Both."""
        both = ((*self.groups, *other.groups), (*self.failed, *other.failed), (*self.left, *other.left))
        return HeldOver(*both, self.trouble or other.trouble)


def _changes_of(groups: Iterable[waiting.Unrouted]) -> list[RoutingFailure]:
    return [RoutingFailure(change, group.reason) for group in groups for change in group.changes]


class Handover:
    """Puts into the queue what an invocation leaves, and says what of it has to go back to AWS.

    Args:
        retry_queue: makes the way to the queue; without it everything goes back.
        policy: how long jobs are tried.
        following: what follows accepted purges, made when there is something to follow.
        tiers: where providers stand that say so, by name.
        follows: whether accepted purges may have to be followed.

    Attributes:
        has_queue: whether anything can wait.
    """

    def __init__(
        self,
        retry_queue: Callable[[], RetryQueue] | None,
        policy: RetryPolicy,
        following: Callable[[], Following],
        tiers: Mapping[str, Tier],
        *,
        follows: bool,
    ) -> None:
        self._queue = cache(retry_queue) if retry_queue else None
        self._policy = policy
        self._following = following
        self._tiers = tiers
        self._follows = follows

    @property
    def has_queue(self) -> bool:
        """See the class."""
        return self._queue is not None

    def prepare(self) -> None:
        """Make the way to the queue now: to load boto3 takes longer than the end of an event has.

        Raises:
            Exception: whatever making a client raises.
        """
        if self._queue is not None:
            self._queue()

    def jobs(
        self, report: Report, pursuit: Pursuit | None, history: MessageHistory, began: float, end: float
    ) -> HandedOn:
        """Let what was not delivered wait in the queue, and what was accepted be followed from there."""
        if self._queue is None:
            # A preload that must wait for the end of its purge has no place to wait, and isn't worth another purge.
            left = Report(tuple(outcome for outcome in report if not _is_put_off_preload(outcome)))
            return HandedOn(left=left, late=left)
        if not (report.undelivered or self._follows or pursuit):
            return HandedOn(left=report)
        try:
            findings = pursuit.findings() if pursuit else ()
            now = time.time()
            decisions: list[Decision] = decide(report, history, self._policy, now) if report.undelivered else []
            steps: list[Decision] = []
            notes: list[Note] = []
            if self._follows or pursuit:
                decisions, steps, notes = self._following().next(report, decisions, findings, history, began, now)
            with bounded(end - time.monotonic()):
                way = self._queue()
            failed = way.carry_out([*decisions, *steps], end - time.monotonic())
        except Exception as error:  # noqa: BLE001 - such as no client to be made; then everything goes back to AWS
            looked_at = _returning(pursuit.looks if pursuit else ())
            left = Report((*map(self._not_followed, report), *looked_at))
            return HandedOn(left=left, late=report, trouble=told(error))
        unsent = set(map(id, failed))
        undelivered = [decision for decision in decisions if id(decision) in unsent]
        left, late = _going_back(failed), _going_back(undelivered)
        # What goes back is looked at once more, and told then.
        notes = [*(pursuit.superseded if pursuit else ()), *notes]
        told_now = [note for note in notes if left.failed_messages.isdisjoint(note.queued.job.messages)]
        return HandedOn(decisions, undelivered, left, late, notes=told_now)

    def _not_followed(self, outcome: Outcome) -> Outcome:
        """An outcome as it counts where what follows could not be sent: what was accepted is asked for once more."""
        tier, job = self._tiers.get(outcome.job.instance), outcome.job
        followed = job.sequels or (tier is not None and tier.again and job.action is Action.PURGE)
        if outcome.status is not Status.ACCEPTED or not followed:
            return outcome
        return msgspec.structs.replace(outcome, status=Status.RETRY, reason=_UNSENT)

    def incomplete(self, failures: Sequence[RoutingFailure], history: MessageHistory, end: float) -> HeldOver:
        """Let changes of which something could not be found out wait in the queue for that part alone."""
        if self._queue is None or not failures:
            return HeldOver(left=failures)
        triples = ((failure.change, failure.reason, failure.missing) for failure in failures)
        groups = waiting.decide(triples, history, self._policy, time.time())
        return self.wait(groups, end - time.monotonic())

    def wait(self, groups: Sequence[waiting.Unrouted], seconds: float) -> HeldOver:
        """Put changes into the queue, or among the dead letters; what could not be sent goes back to AWS."""
        if self._queue is None or not groups:
            return HeldOver()
        until = time.monotonic() + seconds
        try:
            with bounded(seconds):
                way = self._queue()
            failed = way.carry_out_unrouted(groups, until - time.monotonic())
        except Exception as error:  # noqa: BLE001 - as above
            return HeldOver(left=_changes_of(groups), trouble=told(error))
        return HeldOver(groups, failed, _changes_of(failed))


def _is_put_off_preload(outcome: Outcome) -> bool:
    return outcome.job.action is Action.PRELOAD and outcome.status is Status.PACED


def _returning(looks: Iterable[QueuedJob]) -> Iterator[Outcome]:
    return (Outcome(queued.job, Status.RETRY, _UNSENT) for queued in looks)


def _going_back(decisions: Iterable[Decision]) -> Report:
    return Report(tuple(Outcome(each.queued.job, _unsent_status(each), each.reason) for each in decisions))


def _unsent_status(decision: Decision) -> Status:
    return Status.RETRY if decision.status is Status.ACCEPTED else decision.status
