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

from multicdn.model import Outcome, Status, together
from multicdn.queue import message
from multicdn.queue.message import QueuedJob
from multicdn.routing.durations import LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.model import Report

# What was hardly ever tried, since its vendor was never well, is kept for so many times as long as all else.
_UNTRIED = 4

_REFUSED = (Status.REFUSED, Status.UNAUTHORIZED, Status.UNASKED)

# Targets wait together if their ages differ by no more than a twelfth of the time after which they are given up, and if
# they were tried as often, as far as that counts.
_AGES, _LEVELS = 12, 6

# 2 ** 20 times any first delay is longer than the longest.
_MOST_DOUBLINGS = 20


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How long jobs are tried, over many invocations.

    Attributes:
        give_up_after: seconds after which a target becomes a dead letter, from the newest message on that asked for it.
        least_attempts: but not before so many invocations have tried it.
        first_delay: seconds that a job waits after its first failure; each further time twice as long.
        longest_delay: seconds that it waits at most, unless the vendor asks for more. SQS takes a quarter of an hour.
        refused_attempts: how many invocations may be refused. Credentials may be rotated meanwhile, settings mended.
    """

    give_up_after: float = 6 * 3600.0
    least_attempts: int = 6
    first_delay: float = 30.0
    longest_delay: float = float(LONGEST_DELAY)
    refused_attempts: int = 6

    def delay(self, times: int, draw: Callable[[float], float]) -> float:
        """Seconds to wait after so many failures, at least one; up to a half of it is left to chance."""
        grown = min(self.longest_delay, self.first_delay * 2.0 ** min(times - 1, _MOST_DOUBLINGS))
        return grown / 2 + draw(grown / 2)

    def is_over(self, attempts: int, seconds: float) -> bool:
        """Whether what was tried in so many invocations, and asked for so many seconds ago, is given up."""
        longest = self.give_up_after if attempts >= self.least_attempts else self.give_up_after * _UNTRIED
        return seconds >= longest


class MessageHistory(Struct, frozen=True):
    """What happened before to the messages of an invocation, by their ids.

    Attributes:
        sent: when each was sent, in seconds since 1970; for a queued job, when its first cause was.
        attempts: how often each queued job was tried before.
        origins: ids of the messages that asked for a queued job at first.
        refusals: how often each queued job was refused before.
    """

    sent: Mapping[str, float]
    attempts: Mapping[str, int]
    origins: Mapping[str, tuple[str, ...]]
    refusals: Mapping[str, int] = {}


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
        seen: what an edge sent, of one that is still stale.
    """

    queued: QueuedJob
    status: Status
    reason: str
    seen: str = ""


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
    draw = jitter or by_chance
    return [
        decision
        for outcome in _joined(report.undelivered)
        for decision in _decisions(outcome, history, policy, now, draw)
    ]


def by_chance(most: float) -> float:
    """A jitter."""
    return random.uniform(0, most)  # noqa: S311 - spreads load, guards nothing


def _joined(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Put jobs of one target together that share all else: some vendors take one a call, and there may be thousands.

    A message for each of those would take longer to send than the function has left. So do preloads that wait for
    purges: several of one message would each take along all of its purges.
    """
    alike: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in outcomes:
        if len(outcome.job.targets) == 1 or outcome.job.purges:
            alike.setdefault(_kind_of_failure(outcome), []).append(outcome)
        else:
            yield outcome
    for group in alike.values():
        yield group[0] if len(group) == 1 else _as_one(group)


def _kind_of_failure(outcome: Outcome) -> tuple[object, ...]:
    """A key that jobs of one target share if they may wait, or be given up, together."""
    job = outcome.job
    # Answers repeat the target; and why something failed that is tried again matters less than that it did.
    waits = outcome.status in (Status.RETRY, Status.PACED, Status.UNASKED)
    reason = "" if waits else outcome.reason.replace(job.described[0], "")
    if outcome.status is Status.PACED:
        # Those whose turn comes together wait together; thousands at a slow vendor don't all come back for each call.
        reason = f"in {outcome.after or 0.0:.0f} s"
    return job.provider, job.action, job.kind, job.soft, job.bucket, job.rank, outcome.calls > 0, outcome.status, reason


def _as_one(group: Sequence[Outcome]) -> Outcome:
    first, joined = group[0], together([outcome.job for outcome in group])
    asked = [outcome.after for outcome in group if outcome.after is not None]
    # When the first one's turn has come, the others are told theirs anew.
    after = (min if first.status is Status.PACED else max)(asked, default=None)
    reason = f"{first.reason} (and {len(group) - 1:,} more)"
    return Outcome(joined, first.status, reason, after=after, calls=first.calls, final=first.final)


class _Age(Struct, frozen=True):
    """What a target has gone through: of several messages that asked for it the newest counts, for it asks for all.

    Attributes:
        since: when that message was sent.
        attempt, refusals: as in a queued job, this invocation included.
    """

    since: float
    attempt: int
    refusals: int


def _decisions(
    outcome: Outcome, history: MessageHistory, policy: RetryPolicy, now: float, draw: Callable[[float], float]
) -> Iterator[Decision]:
    """Give up the targets that are too old or beyond hope, and requeue the rest of the job.

    They are split so that a target asked for just now shares neither the end nor the delay of an older one.
    """
    job = outcome.job
    ages: dict[frozenset[str], _Age] = {}
    groups: dict[tuple[object, ...], tuple[list[str], list[_Age]]] = {}
    for target, causes in zip(job.targets, job.causes, strict=True):
        age = ages.get(causes)
        if age is None:
            age = ages[causes] = _age(outcome, causes, history, now)
        targets, alike = groups.setdefault(_alike(outcome, age, policy, now), ([], []))
        targets.append(target)
        alike.append(age)
    for (given_up, *_), (targets, alike) in groups.items():
        part = job.only(targets)
        assert part is not None, "each group has some of its targets"
        since, attempt = max(age.since for age in alike), max(age.attempt for age in alike)
        refusals = max(age.refusals for age in alike)
        origins = (origin for cause in part.messages for origin in history.origins.get(cause, (cause,)))
        queued = QueuedJob(part, attempt, since, message.shortened(frozenset(origins)), refusals)
        if given_up:
            yield DeadLetter(queued, outcome.status, outcome.reason)
        else:
            yield Requeue(queued, outcome.status, outcome.reason, _delay(outcome, queued, policy, draw))


def _age(outcome: Outcome, causes: frozenset[str], history: MessageHistory, now: float) -> _Age:
    newest = max(causes, key=lambda cause: (history.sent.get(cause, now), cause), default="")
    tried = outcome.calls > 0 or outcome.status is Status.REJECTED
    return _Age(
        history.sent.get(newest, now),
        history.attempts.get(newest, 0) + tried,
        history.refusals.get(newest, 0) + (outcome.status in _REFUSED),
    )


def _alike(outcome: Outcome, age: _Age, policy: RetryPolicy, now: float) -> tuple[object, ...]:
    """What targets share that are given up, or wait, together: first of all, which of the two."""
    if _is_hopeless(outcome, age, policy, now):
        return (True,)
    span = policy.give_up_after / _AGES
    return False, age.since // span if span else 0, min(age.attempt, _LEVELS), min(age.refusals, _LEVELS)


def _is_hopeless(outcome: Outcome, age: _Age, policy: RetryPolicy, now: float) -> bool:
    status = outcome.status
    if status is Status.REJECTED or outcome.final:
        return True
    if status is Status.PACED:
        return False
    if status in _REFUSED and age.refusals >= policy.refused_attempts:
        return True
    return policy.is_over(age.attempt + age.refusals, now - age.since)


def _delay(outcome: Outcome, queued: QueuedJob, policy: RetryPolicy, draw: Callable[[float], float]) -> int:
    """Whole seconds: growing, spread, never less than the vendor asked for, and no more than SQS can.

    A vendor that is well is only waited for until the turn comes.
    """
    if outcome.status is Status.PACED:
        return math.ceil(min(LONGEST_DELAY, outcome.after or 0.0))
    spread = policy.delay(max(1, queued.attempt, queued.refusals), draw)
    return math.ceil(min(LONGEST_DELAY, max(spread, outcome.after or 0.0)))
