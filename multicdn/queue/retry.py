"""What becomes of jobs that an invocation could not deliver: they wait in the queue, or go to the dead letters. Pure.

A job of one provider becomes messages of its own, and the messages that asked for it are done. So a vendor in trouble
costs only its own jobs another try, and none of the others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.model import Job, Outcome, Status, digest
from multicdn.queue import message
from multicdn.queue.message import QueuedJob

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.model import Report

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_LONGEST_DELAY = 900

# 2 ** 20 times any first delay is longer than the longest.
_MOST_DOUBLINGS = 20


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How long jobs are tried, over many invocations.

    Attributes:
        give_up_after: seconds from the first message on after which a job becomes a dead letter.
        first_delay: seconds that a job waits after its first failure; each further time twice as long.
        longest_delay: seconds that it waits at most, unless the vendor asks for more. SQS takes a quarter of an hour.
        refused_attempts: how many invocations may be refused for their credentials. They may be rotated meanwhile.
    """

    give_up_after: float = 6 * 3600.0
    first_delay: float = 30.0
    longest_delay: float = float(_LONGEST_DELAY)
    refused_attempts: int = 6


class MessageHistory(Struct, frozen=True):
    """What happened before to the messages of an invocation, by their ids.

    Attributes:
        sent: when each was sent, in seconds since 1970; for a queued job, when its first cause was.
        attempts: how often each queued job was tried before.
        origins: ids of the messages that asked for a queued job at first.
    """

    sent: Mapping[str, float]
    attempts: Mapping[str, int]
    origins: Mapping[str, tuple[str, ...]]


class Requeue(Struct, frozen=True):
    """The decision to try a job again later.

    Attributes:
        queued: the job as it goes into the queue.
        status, reason: why it was not delivered.
        delay: seconds until SQS hands it out.
    """

    queued: QueuedJob
    status: Status
    reason: str
    delay: int


class DeadLetter(Struct, frozen=True):
    """The decision to give a job up.

    Attributes:
        queued: the job as it goes to the dead letters.
        status, reason: why it was not delivered.
    """

    queued: QueuedJob
    status: Status
    reason: str


Decision = Requeue | DeadLetter


def decide(
    report: Report,
    history: MessageHistory,
    policy: RetryPolicy,
    now: float,
    jitter: Callable[[float], float] | None = None,
) -> list[Decision]:
    """Decide what becomes of every job that was not delivered. Pure, but for the jitter.

    Args:
        report: of the invocation.
        history: of its messages.
        policy: how long to try.
        now: seconds since 1970.
        jitter: draws from 0 to its argument.
    """
    draw = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
    return [
        decision
        for outcome in _joined(report.undelivered)
        for decision in _decisions(outcome, history, policy, now, draw)
    ]


def _joined(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Put jobs of one target together that share all else: some vendors take one a call, and there may be thousands.

    A message for each of those would take longer to send than the function has left.
    """
    alike: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in outcomes:
        if len(outcome.job.targets) == 1:
            alike.setdefault(_kind_of_failure(outcome), []).append(outcome)
        else:
            yield outcome
    for group in alike.values():
        yield group[0] if len(group) == 1 else _as_one(group)


def _kind_of_failure(outcome: Outcome) -> tuple[object, ...]:
    """A key that jobs of one target share if they may wait, or be given up, together."""
    job = outcome.job
    # Answers repeat the target; and why something failed that is tried again matters less than that it did.
    reason = "" if outcome.status in (Status.RETRY, Status.PACED) else outcome.reason.replace(job.described[0], "")
    if outcome.status is Status.PACED:
        # Those whose turn comes about then wait together; thousands at a slow vendor don't all come back for each call.
        reason = f"within minute {(outcome.after or 0.0) // 60:.0f}"
    return job.provider, job.action, job.kind, job.soft, job.bucket, outcome.status, reason


def _as_one(group: Sequence[Outcome]) -> Outcome:
    first, jobs = group[0], [outcome.job for outcome in group]
    references = [job.reference for job in jobs]
    joined = Job(
        provider=first.job.provider,
        action=first.job.action,
        kind=first.job.kind,
        targets=tuple(job.targets[0] for job in jobs),
        causes=tuple(job.causes[0] for job in jobs),
        soft=first.job.soft,
        reference=digest(*references) if all(references) else "",
        bucket=first.job.bucket,
    )
    asked = [outcome.after for outcome in group if outcome.after is not None]
    # When the first one's turn has come, the others are told theirs anew.
    after = (min if first.status is Status.PACED else max)(asked, default=None)
    return Outcome(joined, first.status, f"{first.reason} (and {len(group) - 1:,} more)", after=after)


def _decisions(
    outcome: Outcome, history: MessageHistory, policy: RetryPolicy, now: float, draw: Callable[[float], float]
) -> Iterator[Decision]:
    """Give up the targets that are too old or beyond hope, and requeue the rest of the job.

    They are split so that a target asked for just now does not share the end of one that was asked for long ago.
    """
    job = outcome.job
    hopeless = [
        target
        for target, causes in zip(job.targets, job.causes, strict=True)
        if _is_hopeless(outcome.status, _queued(job, causes, history, now), policy, now)
    ]
    given_up, kept = job.only(hopeless), job.without(hopeless)
    if given_up is not None:
        yield DeadLetter(_queued(given_up, given_up.messages, history, now), outcome.status, outcome.reason)
    if kept is not None:
        queued = _queued(kept, kept.messages, history, now)
        if outcome.status is Status.PACED:  # it was not tried
            queued = msgspec.structs.replace(queued, attempt=max(1, queued.attempt - 1))
        delay = _delay(outcome, queued.attempt, policy, draw)
        yield Requeue(queued, outcome.status, outcome.reason, delay)


def _queued(job: Job, causes: frozenset[str], history: MessageHistory, now: float) -> QueuedJob:
    """A job with what the messages that asked for it have gone through; the oldest and the most tried one counts."""
    attempt = 1 + max((history.attempts.get(cause, 0) for cause in causes), default=0)
    since = min((history.sent.get(cause, now) for cause in causes), default=now)
    origins = frozenset(origin for cause in causes for origin in history.origins.get(cause, (cause,)))
    return QueuedJob(job, attempt, since, message.shortened(origins))


def _is_hopeless(status: Status, queued: QueuedJob, policy: RetryPolicy, now: float) -> bool:
    if status in (Status.REJECTED, Status.REFUSED):
        return True
    if status is Status.UNAUTHORIZED and queued.attempt >= policy.refused_attempts:
        return True
    if status is Status.PACED:
        return False
    return now - queued.since >= policy.give_up_after


def _delay(outcome: Outcome, attempt: int, policy: RetryPolicy, draw: Callable[[float], float]) -> int:
    """Whole seconds: growing, spread, never less than the vendor asked for, and no more than SQS can.

    A vendor that is well is only waited for until the turn comes.
    """
    if outcome.status is Status.PACED:
        return math.ceil(min(_LONGEST_DELAY, outcome.after or 0.0))
    grown = min(policy.longest_delay, policy.first_delay * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
    spread = grown / 2 + draw(grown / 2)
    return math.ceil(min(_LONGEST_DELAY, max(spread, outcome.after or 0.0)))
