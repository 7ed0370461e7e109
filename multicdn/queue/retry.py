"""What becomes of jobs that an invocation could not deliver: they wait in the queue, or go to the dead letters. Pure.

A job of one provider becomes messages of its own, and the messages that asked for it are done. So a vendor in trouble
costs only its own jobs another try, and none of the others.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Job, Outcome, Status, digest
from multicdn.queue import message
from multicdn.queue.message import Parked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.events.envelopes import Intake
    from multicdn.model import Report

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
_LONGEST_DELAY = 900

# 2 ** 20 times any first delay is longer than the longest.
_MOST_DOUBLINGS = 20


class Patience(Struct, frozen=True, kw_only=True):
    """For how long jobs are tried, over many invocations.

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


class Letter(Struct, frozen=True):
    """A message to be sent.

    Attributes:
        parked: the job in it.
        body: as text.
        delay: seconds until SQS hands it out; 0 for a dead letter.
        dead: whether it goes to the dead letters.
        status, reason: why the job was not delivered.
        messages: ids of the messages that are done once this is sent.
    """

    parked: Parked
    body: str
    delay: int
    dead: bool
    status: Status
    reason: str
    messages: frozenset[str]


class Standing(Struct, frozen=True):
    """What is known of the messages of an invocation.

    Attributes:
        sent: when each was sent, in seconds since 1970; for a parked job, when its first cause was.
        attempts: how often each parked job was tried before.
        origins: ids of the messages that asked for a parked job at first.
    """

    sent: Mapping[str, float]
    attempts: Mapping[str, int]
    origins: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, intake: Intake) -> Standing:
        """What an invocation's intake tells of its messages."""
        by_message = {next(iter(parked.job.messages)): parked for parked in intake.parked}
        return cls(
            sent={**intake.sent, **{cause: parked.since for cause, parked in by_message.items()}},
            attempts={cause: parked.attempt for cause, parked in by_message.items()},
            origins={cause: parked.origins for cause, parked in by_message.items()},
        )


def letters(
    report: Report, standing: Standing, patience: Patience, now: float, jitter: Callable[[float], float] | None = None
) -> list[Letter]:
    """Decide what becomes of every job that was not delivered. Pure, but for the jitter.

    Args:
        report: of the invocation.
        standing: of its messages.
        patience: how long to try.
        now: seconds since 1970.
        jitter: draws from 0 to its argument.
    """
    draw = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
    found = []
    for outcome in _joined(report.undelivered):
        for parked, dead in _parts(outcome, standing, patience, now):
            delay = 0 if dead else _delay(outcome, parked.attempt, patience, draw)
            found += [
                Letter(parked, body, delay, dead, outcome.status, outcome.reason, parked.job.messages)
                for body in message.encode(parked)
            ]
    return found


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
    """What jobs of one target must share to wait, or to be given up, together."""
    job = outcome.job
    # Answers repeat the target; and why something failed that is tried again matters less than that it did.
    reason = "" if outcome.status is Status.RETRY else outcome.reason.replace(job.described[0], "")
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
    return Outcome(
        joined, first.status, f"{first.reason} (and {len(group) - 1:,} more)", after=max(asked, default=None)
    )


def _parts(outcome: Outcome, standing: Standing, patience: Patience, now: float) -> Iterator[tuple[Parked, bool]]:
    """The job, with the targets to be given up apart from the others, whom that must not cost their time."""
    job = outcome.job
    over = [
        target
        for target, causes in zip(job.targets, job.causes, strict=True)
        if _is_over(outcome.status, _parked(job, causes, standing, now), patience, now)
    ]
    for part, dead in ((job.only(over), True), (job.without(over), False)):
        if part is not None:
            yield _parked(part, part.messages, standing, now), dead


def _parked(job: Job, causes: frozenset[str], standing: Standing, now: float) -> Parked:
    attempt = 1 + max((standing.attempts.get(cause, 0) for cause in causes), default=0)
    since = min((standing.sent.get(cause, now) for cause in causes), default=now)
    first = frozenset(origin for cause in causes for origin in standing.origins.get(cause, (cause,)))
    return Parked(job, attempt, since, message.some(first))


def _is_over(status: Status, parked: Parked, patience: Patience, now: float) -> bool:
    if status in (Status.REJECTED, Status.REFUSED):
        return True
    if status is Status.UNAUTHORIZED and parked.attempt >= patience.refused_attempts:
        return True
    return now - parked.since >= patience.give_up_after


def _delay(outcome: Outcome, attempt: int, patience: Patience, draw: Callable[[float], float]) -> int:
    """Whole seconds: growing, spread, never less than the vendor asked for, and no more than SQS can."""
    grown = min(patience.longest_delay, patience.first_delay * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))
    spread = grown / 2 + draw(grown / 2)
    return math.ceil(min(_LONGEST_DELAY, max(spread, outcome.after or 0.0)))
