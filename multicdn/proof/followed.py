"""What a delivery leaves to be followed: purges that were accepted, and those that hold others up. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from multicdn import provenance
from multicdn.model import Action, Job, Status, TargetKind, together
from multicdn.provider import Confirm, published, stands_for_others
from multicdn.queue.message import Look, QueuedJob, shortened
from multicdn.queue.retry import Requeue
from multicdn.routing.durations import LONGEST_DELAY, seconds
from multicdn.routing.tiers import Tier
from multicdn.sequel import Sequel, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence

    from multicdn.model import Outcome, Report
    from multicdn.provider import Provider
    from multicdn.queue.retry import Decision, MessageHistory
    from multicdn.sequel import Then

# Requests that one message asks a vendor about.
_MOST_RECEIPTS = 20

# Seconds after which a vendor is asked first whose purges take seconds: many are done long before its published time.
_FIRST_QUESTION = 2.0
# Seconds; a vendor that expects to take longer isn't believed.
_LONGEST_WAIT = 86_400.0

# Characters of a receipt that a message has room for; longer ones are no ids.
_LONGEST_RECEIPT = 1024

_PLAIN = Tier()
_REPEATED = Sequel(repeated=True)


class Follow:
    """What follows the purges of a config's providers.

    Args:
        providers: instances by name.
        tiers: where those stand that say so, by name.
        every: names of the instances of which each target with a sequel is looked at, though nothing is in it: somebody
            waits for its end here.
    """

    def __init__(
        self, providers: Mapping[str, Provider], tiers: Mapping[str, Tier], every: Collection[str] = ()
    ) -> None:
        self._providers = providers
        self._tiers = tiers
        self._every = every

    def accepted(self, report: Report, history: MessageHistory, began: float, now: float) -> Iterator[Requeue]:
        """The messages by which accepted purges are followed: looked at later, or made a second time.

        Args:
            report: of a delivery that has just ended.
            history: of its messages.
            began: when its first call could begin, in seconds since 1970.
            now: the same unit.
        """
        looks: dict[tuple[object, ...], list[tuple[Job, Outcome]]] = defaultdict(list)
        for outcome in report:
            if outcome.status is Status.ACCEPTED and outcome.job.action is Action.PURGE:
                once, followed = self._split(outcome.job)
                if once:
                    yield self._second(once, history, now)
                if followed:
                    looks[self._alike(followed, outcome)].append((followed, outcome))
        for pairs in looks.values():
            size = _MOST_RECEIPTS if self._published(*pairs[0])[1] else len(pairs)
            for place in range(0, len(pairs), size):
                yield self._look(pairs[place : place + size], history, began, now)

    def released(self, decisions: Iterable[Decision], now: float) -> tuple[list[Decision], list[Requeue]]:
        """Let others go ahead of purges that were given up, or that hold them up for too long.

        Preloads of what was never purged don't: they would fetch what is to be dropped. And whoever will be purged once
        more isn't looked at before that: it may have fetched old bytes again.

        Returns:
            The decisions, with a note in those that others don't wait for any longer; and the others' jobs.
        """
        kept: list[Decision] = []
        jobs: list[Requeue] = []
        for decision in decisions:
            free = self._free(decision, now)
            kept.append(_marked(decision, free))
            if not free:
                continue
            early = [then for place in free for then in _going(decision.queued.job.sequels[place], decision)]
            why, delay = "given up", 0
            if isinstance(decision, Requeue):
                why, delay = "not done yet", max(0, math.ceil(min(free.values())))
                early = [_unlooked(then) for then in early]
            reason = f"{decision.queued.job.provider}, from which it fetches, has {why}: {decision.reason}"
            found = released(early, decision.queued, reason)
            jobs += (msgspec.structs.replace(each, delay=delay) for each in found)
        return kept, jobs

    def _free(self, decision: Decision, now: float) -> dict[int, float]:
        """The places of targets that others wait for no longer, and seconds until that.

        Before its own next turn nothing can change, so what is due by then counts as due.
        """
        queued, free = decision.queued, {}
        for place, sequel in enumerate(queued.job.sequels):
            waiting = _going(sequel, decision)
            if sequel and waiting and not sequel.released:
                most = min(seconds(self._tiers.get(then.provider, _PLAIN).wait_at_most) for then in waiting)
                left = queued.since + most - now
                if not isinstance(decision, Requeue) or left <= decision.delay:
                    free[place] = left
        return free

    def _split(self, job: Job) -> tuple[Job | None, Job | None]:
        """The targets that are purged a second time before anything follows; and those of which something follows."""
        sequels = job.sequels or (None,) * len(job.targets)
        again = bool(self._tiers.get(job.instance, _PLAIN).again)
        once = [
            target for target, one in zip(job.targets, sequels, strict=True) if again and not (one and one.repeated)
        ]
        left = job.without(once) if once else job
        followed = [
            target
            for target, one in zip(left.targets, left.sequels, strict=False)
            if one and (one.subjects or one.then or job.instance in self._every)
        ] if left else []  # fmt: skip
        return (job.only(once) if once else None), (left.only(followed) if left and followed else None)

    def _second(self, job: Job, history: MessageHistory, now: float) -> Requeue:
        """The second purge, after which the sequels of the first one follow."""
        sequels = tuple(
            msgspec.structs.replace(one, repeated=True) if one else _REPEATED
            for one in job.sequels or (None,) * len(job.targets)
        )
        # Without a reference: a vendor that deduplicates requests would take it for the first one.
        second = msgspec.structs.replace(job, sequels=sequels, reference="")
        delay = math.ceil(seconds(self._tiers[job.instance].again))
        return Requeue(_queued(second, history, now), Status.ACCEPTED, "is purged a second time", delay)

    def _alike(self, job: Job, outcome: Outcome) -> tuple[object, ...]:
        wait, confirms = self._published(job, outcome)
        return job.provider, job.kind, job.soft, job.bucket, job.rank, confirms, wait

    def _look(self, pairs: Sequence[tuple[Job, Outcome]], history: MessageHistory, began: float, now: float) -> Requeue:
        job, outcome = together([job for job, _ in pairs]), pairs[0][1]
        wait, confirms = self._published(job, outcome)
        receipts = tuple(dict.fromkeys(each.receipt.id for _, each in pairs)) if confirms else ()
        accepted = min(now, began + max(each.ended for _, each in pairs))
        look = Look(accepted=round(accepted, 3), due=round(accepted + wait, 3), receipts=receipts)
        return Requeue(_queued(job, history, now, look), Status.ACCEPTED, "is looked at", delay_until(look.due, now))

    def _published(self, job: Job, outcome: Outcome) -> tuple[float, bool]:
        """Seconds until it is looked at first, and whether the vendor is asked then."""
        provider = self._provider(job)
        wait = min(_LONGEST_WAIT, published(provider, job.kind, outcome.receipt)[0])
        if not (0 < len(outcome.receipt.id) <= _LONGEST_RECEIPT and isinstance(provider, Confirm)):
            return wait, False
        speed = provider.speeds.get(job.kind)
        return (min(wait, speed.seconds, _FIRST_QUESTION) if speed else wait), True

    def _provider(self, job: Job) -> Provider:
        provider = self._providers[job.instance]
        return provider.part(job.part) if job.part and stands_for_others(provider) else provider


def released(then: Iterable[Then], cause: QueuedJob, reason: str) -> Iterator[Requeue]:
    """The jobs of those who waited, with what follows them in turn; alike ones together."""
    groups: dict[tuple[str, str, str, bool, str], dict[str, list[Sequel]]] = defaultdict(dict)
    for one in dict.fromkeys(then):
        for place, (kind, value) in enumerate(one.targets):
            found = groups[one.provider, one.action, kind, one.soft, one.bucket].setdefault(value, [])
            found += [one.sequel] if one.sequel and place == 0 else []
    for (provider, action, kind, soft, bucket), wanted in groups.items():
        sequels = tuple(joined(each) if each else None for each in wanted.values())
        job = Job(
            provider,
            Action(action),
            TargetKind(kind),
            tuple(wanted),
            (cause.job.messages,) * len(wanted),
            soft,
            bucket=bucket,
            provenance=(provenance.joined(cause.job.provenance),) * len(wanted) if cause.job.provenance else (),
            sequels=sequels if any(sequels) else (),
        )
        yield Requeue(QueuedJob(job, 0, cause.since, cause.origins), Status.ACCEPTED, reason, 0)


def delay_until(moment: float, now: float) -> int:
    """Whole seconds, as SQS counts: never before the moment, or a look could fetch what is about to be dropped."""
    return max(0, min(LONGEST_DELAY, math.ceil(round(moment - now, 3))))


def _queued(job: Job, history: MessageHistory, now: float, look: Look | None = None) -> QueuedJob:
    since = max((history.sent.get(cause, now) for cause in job.messages), default=now)
    origins = (origin for cause in job.messages for origin in history.origins.get(cause, (cause,)))
    return QueuedJob(job, 0, since, shortened(frozenset(origins)), look=look)


def _purging(sequel: Sequel | None) -> tuple[Then, ...]:
    return tuple(then for then in sequel.then if then.action == Action.PURGE) if sequel else ()


def _going(sequel: Sequel | None, decision: Decision) -> tuple[Then, ...]:
    """Who goes ahead: preloads only of what was purged, though an edge is stale still."""
    is_stale = decision.status is Status.STALE and not isinstance(decision, Requeue)
    return sequel.then if sequel and is_stale else _purging(sequel)


def _unlooked(then: Then) -> Then:
    """A purge after which only further purges follow."""
    further = tuple(map(_unlooked, _purging(then.sequel)))
    return msgspec.structs.replace(then, sequel=Sequel(then=further) if further else None)


def _marked(decision: Decision, places: Container[int]) -> Decision:
    """With a note in those targets that others wait for no longer."""
    job = decision.queued.job
    sequels = tuple(
        msgspec.structs.replace(one, released=True) if one and place in places else one
        for place, one in enumerate(job.sequels)
    )
    if sequels == job.sequels:
        return decision
    queued = msgspec.structs.replace(decision.queued, job=msgspec.structs.replace(job, sequels=sequels))
    return msgspec.structs.replace(decision, queued=queued)
