"""All that follows accepted purges in one invocation, behind one door for the dispatcher."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from multicdn.proof import telling
from multicdn.proof.followed import Follow
from multicdn.proof.identity import Verdict
from multicdn.proof.ladder import Note, decide
from multicdn.proof.measuring import measures
from multicdn.proof.pursuit import Pursuits
from multicdn.sequel import is_newer, merged

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from multicdn.aws.s3 import Objects
    from multicdn.metrics import Values
    from multicdn.model import Report
    from multicdn.proof.ladder import Rules, Sighting
    from multicdn.proof.pursuit import Pursuit
    from multicdn.provider import Provider
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import Decision, MessageHistory, Requeue
    from multicdn.records import LogRecord
    from multicdn.routing.tiers import Tier
    from multicdn.sequel import Sequel, Subject, Then

    # Provider, URL, bucket and key; and the change that is the newest there, with the look that it is in.
    _Place = tuple[str, str, str, str]
    _Last = dict[_Place, tuple[Subject, QueuedJob]]


_SUPERSEDED = Verdict("superseded", "it has changed again, and that change is looked at")


class Followed(NamedTuple):
    """What is decided about the purges of an invocation.

    Attributes:
        undelivered: the decisions about what was not delivered, with a note in those that nobody waits for any longer.
        steps: what follows: each is a message.
        notes: what there is to tell.
    """

    undelivered: list[Decision]
    steps: list[Decision]
    notes: list[Note]


class FollowReport(NamedTuple):
    """What is told of what was looked at in an invocation.

    Attributes:
        records: lines of the log.
        counts: of each provider instance the targets, by what was found out about them.
        measures: of each provider instance: counts and seconds of metrics.
    """

    records: Sequence[LogRecord] = ()
    counts: Mapping[str, Counter[str]] = {}
    measures: Mapping[str, Values] = {}


class Following:
    """Follows the purges of a config.

    Args:
        providers: instances by name.
        tiers: where those stand that say so, by name.
        rules: how the routes look at objects.
        objects: asks S3.
        concurrency: how many processes share the vendors' rates.
        every: as in ``Follow``.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        tiers: Mapping[str, Tier],
        rules: Rules,
        objects: Objects,
        concurrency: int = 1,
        every: Collection[str] = (),
    ) -> None:
        self._rules = rules
        self._follow = Follow(providers, tiers, every)
        self._pursuits = Pursuits(providers, tiers, rules, objects.stored, concurrency)

    def begin(self, looks: Sequence[QueuedJob], seconds: float, *, hurried: bool = True) -> Pursuit:
        """Begin to look at purges, side by side with whatever else is done; hurried where others wait for its end."""
        pursuit = self._pursuits.begin(without_older(looks), seconds, None if hurried else seconds)
        pursuit.superseded = list(superseded(looks, self._rules, time.time()))
        return pursuit

    def next(
        self,
        report: Report,
        undelivered: Iterable[Decision],
        findings: Iterable[Sighting],
        history: MessageHistory,
        began: float,
        now: float,
    ) -> Followed:
        """What is to be done next.

        Args:
            report: of the delivery.
            undelivered: what was decided about what it didn't deliver.
            findings: about what was looked at meanwhile.
            history: of all messages.
            began: when the first call of the delivery could begin, in seconds since 1970.
            now: the same unit.
        """
        kept, released = self._follow.released(undelivered, now)
        steps: list[Decision] = [*released, *self._follow.accepted(report, history, began, now)]
        notes: list[Note] = [_let_go(each, now) for each in released]
        for finding in findings:
            concrete = self._pursuits.concrete(finding.queued.job.provider)
            found = decide(finding, self._rules, concrete, now)
            notes += found.notes
            waiting, free = self._follow.released(found.decisions, now)
            notes += [_let_go(each, now) for each in free]
            steps += [*waiting, *free]
        return Followed(kept, steps, notes)


def told(looks: Iterable[QueuedJob], notes: Sequence[Note]) -> FollowReport:
    """What is told of purges that were looked at, and of what was found out."""
    return FollowReport(telling.records(notes), telling.counts(looks, notes), measures(notes))


def _let_go(early: Requeue, now: float) -> Note:
    return Note("released", early.queued, delay=early.delay, reason=early.reason, at=now)


def without_older(looks: Iterable[QueuedJob]) -> list[QueuedJob]:
    """Looks in which each object is looked at once through a provider: for its newest change, after its last purge.

    Who waits until an older change is fresh waits with the look at the newest.
    """
    every = list(looks)
    last = _last(every)
    handed: dict[_Place, list[Then]] = defaultdict(list)
    for queued in every:
        for sequel in filter(None, queued.job.sequels):
            if sequel.subjects and not _left(queued, sequel, last):
                handed[_place(queued, sequel.subjects[0])] += (each for each in sequel.then if each.fresh)
    return [_kept(queued, last, handed) for queued in every]


def superseded(looks: Iterable[QueuedJob], rules: Rules, now: float) -> Iterator[Note]:
    """What is told of the changes that are looked at no more, since a newer one of the same object is.

    Not of those that were purged twice, or whose message came twice: they are looked at once.
    """
    every = list(looks)
    last = _last(every)
    for queued in every:
        older = {
            subject: _SUPERSEDED
            for subject in _subjects(queued)
            if not is_newer(subject, last[_place(queued, subject)][0])
            and rules(subject.bucket, subject.key, queued.job.instance)
        }
        targets = [
            target
            for target, sequel in zip(queued.job.targets, queued.job.sequels, strict=False)
            if sequel and older.keys() & set(sequel.subjects)
        ]
        if job := queued.job.only(targets) if targets else None:
            about = msgspec.structs.replace(queued, job=job)
            yield Note("superseded", about, tuple(older.items()), reason=_SUPERSEDED.reason, at=now)


def _last(looks: Iterable[QueuedJob]) -> _Last:
    last: _Last = {}
    for queued in looks:
        for subject in _subjects(queued):
            place = _place(queued, subject)
            if place not in last or _is_later(subject, queued, *last[place]):
                last[place] = subject, queued
    return last


def _is_later(subject: Subject, queued: QueuedJob, other: Subject, by: QueuedJob) -> bool:
    if subject != other:
        return is_newer(subject, other)
    return bool(queued.look and by.look and queued.look.accepted > by.look.accepted)


def _left(queued: QueuedJob, sequel: Sequel, last: _Last) -> tuple[Subject, ...]:
    return tuple(each for each in sequel.subjects if last[_place(queued, each)][1] is queued)


def _kept(queued: QueuedJob, last: _Last, handed: Mapping[_Place, Sequence[Then]]) -> QueuedJob:
    def left(sequel: Sequel | None) -> Sequel | None:
        if sequel is None:
            return None
        subjects = _left(queued, sequel, last)
        if not subjects:
            then = tuple(each for each in sequel.then if not (sequel.subjects and each.fresh))
        else:
            more = [each for subject in subjects for each in handed.get(_place(queued, subject), ())]
            then = merged((*sequel.then, *more)) if more else sequel.then
        if (subjects, then) == (sequel.subjects, sequel.then):
            return sequel
        return msgspec.structs.replace(sequel, subjects=subjects, then=then)

    sequels = tuple(map(left, queued.job.sequels))
    if sequels == queued.job.sequels:
        return queued
    return msgspec.structs.replace(queued, job=msgspec.structs.replace(queued.job, sequels=sequels))


def _subjects(queued: QueuedJob) -> Iterator[Subject]:
    return (subject for sequel in queued.job.sequels if sequel for subject in sequel.subjects)


def _place(queued: QueuedJob, subject: Subject) -> _Place:
    return queued.job.provider, subject.url, subject.bucket, subject.key
