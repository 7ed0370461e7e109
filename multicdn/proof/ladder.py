"""What is done about purges that were looked at: look again, purge again, tell; and whose turn it is now. Pure.

An edge that is stale after *finished* is purged again; then hard, where it was soft; then by a wider spelling of the
same object, where the vendor has one; then a person is told. The distances grow, and all of it has an end.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from multicdn.model import Job, Status
from multicdn.proof import repeating
from multicdn.proof.followed import delay_until, released
from multicdn.proof.identity import Verdict
from multicdn.provenance import since_1970
from multicdn.queue.message import QueuedJob
from multicdn.queue.retry import DeadLetter, Requeue
from multicdn.routing.durations import seconds
from multicdn.routing.verify import Verify
from multicdn.sequel import Sequel, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.provider import Provider
    from multicdn.queue.retry import Decision
    from multicdn.sequel import Then

    # How an object of a bucket and key is looked at through the provider of a name; None: no longer.
    Rules = Callable[[str, str, str], Verify | None]

# Seconds before the first further purge of an edge that is stale, the second, and the third.
_DISTANCES = (0, 5, 15)

# A vendor is asked again after this part of the time that it has taken so far: so its end is seen soon after it is.
_SHARE = 0.15
_LONGEST_DISTANCE = 60.0

# Seconds after which a vendor isn't waited for any longer: the slowest publishes three quarters of an hour.
_LONGEST_FINISH = 3600.0

# Looks after which it is told that nothing can be told, and the seconds between them.
_UNKNOWN = (2, 8, 20)

# Objects of which a dead letter says what was seen.
_MOST_SHOWN = 3

_PLAIN = Verify()

# The state of an object that wasn't asked for, since others took all the time.
_UNSEEN = "unseen"


class Sighting(Struct, frozen=True):
    """What was found out about a purge that is looked at.

    Attributes:
        queued: the purge, with its look.
        finished: whether it is finished.
        asked: whether the vendor said so itself.
        failed: why the vendor gave it up; empty if it didn't.
        reason: why it isn't finished, or couldn't be asked about.
        verdicts: of what was looked at; empty where nothing was.
        receipts: ids of the requests that the vendor hasn't said yet to be done.
    """

    queued: QueuedJob
    finished: bool
    asked: bool = False
    failed: str = ""
    reason: str = ""
    verdicts: Mapping[Subject, Verdict] = {}
    receipts: tuple[str, ...] = ()


class Note(Struct, frozen=True):
    """What is told of targets of a purge: an event of the log.

    Attributes:
        event: finished, fresh, stale, unknown, superseded, or released.
        queued: the purge, with the targets that it is about.
        subjects: the objects that it is about, with what was seen of each; empty for ``finished`` and ``released``.
        state: what happens next: looked (again), purged (again), dead, or done.
        purges: how many there have been.
        delay: seconds until it happens.
        reason: why, in a sentence.
        asked: for ``finished``: whether the vendor said so; else its published time was over.
        seconds: since the oldest upload, or None.
        at: when it was found out, in seconds since 1970.
    """

    event: str
    queued: QueuedJob
    subjects: tuple[tuple[Subject, Verdict], ...] = ()
    state: str = "done"
    purges: int = 1
    delay: int = 0
    reason: str = ""
    asked: bool = False
    seconds: float | None = None
    at: float = 0.0


class Steps(NamedTuple):
    """What is done next, and what is told."""

    decisions: list[Decision]
    notes: list[Note]


def decide(finding: Sighting, rules: Rules, provider: Provider | None, now: float) -> Steps:
    """Decide what is done about a purge that was looked at. Pure.

    Args:
        finding: about it.
        rules: how the routes look at objects.
        provider: the concrete provider, for what it can do; None where the config has it no longer.
        now: seconds since 1970.
    """
    return _Ladder(finding, rules, provider, now).steps()


class _Ladder:
    def __init__(self, finding: Sighting, rules: Rules, provider: Provider | None, now: float) -> None:
        look = finding.queued.look
        assert look is not None, "only what was accepted is looked at"
        # Times from a clock that was ahead, or of a message that was made to hurt, would never be over.
        look = msgspec.structs.replace(
            look, accepted=min(look.accepted, now), finished=min(look.finished, now), heard=min(look.heard, now)
        )
        self._finding, self._queued, self._job, self._look = (
            finding,
            finding.queued,
            _timely(finding.queued.job, now),
            look,
        )
        self._rules, self._provider, self._now = rules, provider, now
        self._decisions: list[Decision] = []
        self._notes: list[Note] = []

    def steps(self) -> Steps:
        finding = self._finding
        if finding.failed:
            self._purge_again(self._each(), (), f"the vendor gave it up: {finding.failed}")
        elif finding.finished:
            self._finished()
        elif self._now - self._look.accepted > _LONGEST_FINISH:
            self._finished(f"the vendor doesn't say that it is, after {_LONGEST_FINISH / 60:.0f} minutes")
        else:
            self._look_later(finding.reason)
        return Steps(self._decisions, self._notes)

    def _look_later(self, reason: str) -> None:
        due = max(self._look.due, self._next())
        left = self._finding.receipts or self._look.receipts
        heard = round(self._now, 3) if self._finding.asked else self._look.heard
        look = msgspec.structs.replace(
            self._look, due=round(due, 3), times=self._look.times + 1, receipts=left, heard=heard
        )
        queued = msgspec.structs.replace(self._queued, look=look)
        self._decisions.append(Requeue(queued, Status.ACCEPTED, reason, delay_until(due, self._now)))

    def _next(self) -> float:
        """When a vendor is asked again: soon at first, and seldom if it takes long."""
        taken = self._now - self._look.accepted
        return self._now + min(_LONGEST_DISTANCE, max(1.0, _SHARE * taken))

    def _finished(self, reason: str = "") -> None:
        first = not self._look.finished
        if first:
            at = round(self._now, 3)
            self._look = msgspec.structs.replace(self._look, finished=at, asked=self._finding.asked, times=0)
            told = self._note("finished", self._job.targets, reason=reason)
            self._notes.append(msgspec.structs.replace(told, asked=self._finding.asked))
        everyone = self._each()
        # What was purged again lets the others go once it is fresh: what they fetched meanwhile was stale as well.
        self._release(then for _, one in everyone for then in one.then if first and not (then.fresh or one.tries))
        looked_at = [(target, one) for target, one in everyone if self._is_looked_at(one)]
        kept = {target for target, _ in looked_at}
        self._release_at_end(pair for pair in everyone if first and pair[0] not in kept)
        self._verified(looked_at)

    def _is_looked_at(self, sequel: Sequel) -> bool:
        return any(self._rule(subject) for subject in sequel.subjects)

    def _rule(self, subject: Subject) -> Verify | None:
        return self._rules(subject.bucket, subject.key, self._job.instance)

    def _verified(self, looked_at: Sequence[tuple[str, Sequel]]) -> None:
        """Go on with each target by the worst that was seen of its objects."""
        by_state: dict[str, list[tuple[str, Sequel]]] = {}
        for target, sequel in looked_at:
            by_state.setdefault(self._state(sequel), []).append((target, sequel))
        for state, found in by_state.items():
            if state == "stale":
                self._stale(found)
            elif state == _UNSEEN:
                self._unseen(found)
            elif state == "unknown":
                self._unknown(found)
            else:
                self._done(found)

    def _state(self, sequel: Sequel) -> str:
        looked_at = [subject for subject in sequel.subjects if self._rule(subject)]
        states = {str(self._verdict(subject).state) for subject in looked_at}
        if not self._is_tired() and any(subject not in self._finding.verdicts for subject in looked_at):
            states.add(_UNSEEN)
        return next(state for state in ("stale", _UNSEEN, "unknown", "superseded", "fresh") if state in states)

    def _is_tired(self) -> bool:
        """Whether what never had its turn isn't waited for any longer."""
        return self._now - self._look.finished > _LONGEST_FINISH

    def _verdict(self, subject: Subject) -> Verdict:
        return self._finding.verdicts.get(subject) or Verdict("unknown", self._finding.reason)

    def _done(self, found: Sequence[tuple[str, Sequel]], reason: str = "") -> None:
        self._tell(found, reason=reason)
        self._release_at_end(found)

    def _unseen(self, found: Sequence[tuple[str, Sequel]]) -> None:
        """Go on with what had no turn, since there were too many: that is no sign of anything, and no try."""
        waited = self._now - self._look.finished
        delay = 1.0 if self._finding.verdicts else min(_LONGEST_DISTANCE, max(float(_UNKNOWN[0]), _SHARE * waited))
        left, told = [], []
        for target, one in found:
            over = [subject for subject in one.subjects if str(self._verdict(subject).state) in ("fresh", "superseded")]
            # What didn't answer comes after what wasn't asked, or it would take its turn again.
            rest = tuple(
                sorted((each for each in one.subjects if each not in over), key=self._finding.verdicts.__contains__)
            )
            left.append((target, msgspec.structs.replace(one, subjects=rest)))
            told.append((target, msgspec.structs.replace(one, subjects=tuple(over))))
        self._tell(told)
        self._look_again(left, math.ceil(delay), times=self._look.times)

    def _unknown(self, found: Sequence[tuple[str, Sequel]]) -> None:
        if self._look.times < len(_UNKNOWN):
            self._look_again(found, _UNKNOWN[self._look.times])
        else:
            self._done(found)

    def _stale(self, found: Sequence[tuple[str, Sequel]]) -> None:
        """Look once more where only the published time says that it should be finished; then purge again."""
        believed = self._look.asked or self._now - self._look.finished >= self._grace()
        if not believed:
            self._look_again(found, max(1, math.ceil(_SHARE * (self._now - self._look.accepted))))
            return
        old = tuple(pair for pair in self._shown(found) if pair[1].state == "stale")
        self._purge_again(found, old, "an edge still has old bytes")

    def _grace(self) -> float:
        """Seconds after which what a vendor publishes, for most of its purges, is surely over."""
        return max(1.0, self._look.finished - self._look.accepted)

    def _look_again(self, found: Sequence[tuple[str, Sequel]], delay: int, times: int | None = None) -> None:
        job = self._only(found)
        look = msgspec.structs.replace(self._look, times=self._look.times + 1 if times is None else times)
        queued = msgspec.structs.replace(self._queued, job=job, look=look)
        self._decisions.append(Requeue(queued, Status.ACCEPTED, "is looked at again", delay))

    def _purge_again(
        self, found: Sequence[tuple[str, Sequel]], shown: Sequence[tuple[Subject, Verdict]], reason: str
    ) -> None:
        """Take the next step of the ladder with targets that are stale, each by how far it is."""
        for tries in sorted({one.tries for _, one in found}):
            alike = [(target, one) for target, one in found if one.tries == tries]
            own = {subject for _, one in alike for subject in one.subjects}
            seen = tuple(pair for pair in shown if pair[0] in own)
            over = [pair for pair in alike if self._left(pair[1]) <= 0]
            left = [pair for pair in alike if pair not in over]
            self._give_up(over, seen, reason)
            if left and tries < len(_DISTANCES):
                self._again(left, tries)
                note = self._note("stale", [target for target, _ in left], seen, reason)
                told = {"state": "purged", "delay": _DISTANCES[tries], "purges": tries + 1}
                self._notes.append(msgspec.structs.replace(note, **told))
            elif left:
                soonest = min(self._left(one) for _, one in left)
                waited = self._now - min(one.stale for _, one in left)
                self._look_again(left, math.ceil(min(max(1.0, _SHARE * waited), max(1.0, soonest))))

    def _left(self, sequel: Sequel) -> float:
        """Seconds for which an edge may still be stale before it is told, from when it was first seen to be."""
        rules = (rule for subject in sequel.subjects if (rule := self._rule(subject)))
        within = max((seconds(rule.within) for rule in rules), default=seconds(_PLAIN.within))
        return within - (self._now - sequel.stale) if sequel.stale else within

    def _again(self, found: Sequence[tuple[str, Sequel]], tries: int) -> None:
        renewed = [
            (
                target,
                msgspec.structs.replace(one, tries=tries + 1, stale=one.stale or round(self._now, 3), repeated=False),
            )
            for target, one in found
        ]
        hardest = tries == len(_DISTANCES) - 1
        for job in repeating.jobs(self._job, renewed, self._provider if hardest else None, soft=tries == 0):
            queued = QueuedJob(job, 0, self._queued.since, self._queued.origins)
            self._decisions.append(Requeue(queued, Status.STALE, "an edge still has old bytes", _DISTANCES[tries]))

    def _give_up(
        self, found: Sequence[tuple[str, Sequel]], shown: Sequence[tuple[Subject, Verdict]], reason: str
    ) -> None:
        if not found:
            return
        purges = max(one.tries for _, one in found) + 1
        where = shown[0][1].pop if shown and shown[0][1].pop else self._job.provider
        what = f": {shown[0][1].reason}" if shown else f": {reason}"
        told = f"still stale at {where} after {purges} purges{what}"
        queued = msgspec.structs.replace(self._queued, job=self._begun_anew(found), look=None)
        self._decisions.append(DeadLetter(queued, Status.STALE, told, _sent_by_edges(shown)))
        note = self._note("stale", [target for target, _ in found], shown, told)
        self._notes.append(msgspec.structs.replace(note, state="dead", purges=purges))

    def _begun_anew(self, found: Sequence[tuple[str, Sequel]]) -> Job:
        """As a dead letter holds it: whoever redrives it begins the ladder anew."""
        job = self._only(found)
        sequels = tuple(one and msgspec.structs.replace(one, tries=0, stale=0.0) for one in job.sequels)
        return msgspec.structs.replace(job, sequels=sequels, reference="")

    def _release_at_end(self, found: Iterable[tuple[str, Sequel]]) -> None:
        self._release(then for _, one in found for then in one.then if then.fresh or one.tries)

    def _release(self, then: Iterable[Then]) -> None:
        reason = f"{self._job.provider} has finished"
        self._decisions += released(then, self._queued, reason)

    # Telling

    def _tell(self, found: Sequence[tuple[str, Sequel]], reason: str = "") -> None:
        shown = list(self._shown(found))
        for state in ("fresh", "superseded", "unknown"):
            alike = tuple(pair for pair in shown if str(pair[1].state) == state)
            if alike:
                subjects = {subject for subject, _ in alike}
                targets = [target for target, one in found if subjects.intersection(one.subjects)]
                self._notes.append(self._note(state, targets, alike, reason or alike[0][1].reason))

    def _shown(self, found: Iterable[tuple[str, Sequel]]) -> Iterator[tuple[Subject, Verdict]]:
        for subject in dict.fromkeys(subject for _, one in found for subject in one.subjects):
            if self._rule(subject):
                yield subject, self._verdict(subject)

    def _note(
        self,
        event: str,
        targets: Iterable[str],
        shown: Sequence[tuple[Subject, Verdict]] = (),
        reason: str = "",
    ) -> Note:
        job = self._job.only(targets) or self._job
        queued = msgspec.structs.replace(self._queued, job=job, look=self._look)
        moments = [at for subject, _ in shown if (at := since_1970(subject.time)) is not None]
        moments = moments or [at for each in job.provenance if (at := since_1970(each.uploaded)) is not None]
        seconds_ = max(0.0, self._now - min(moments)) if moments else None
        return Note(event, queued, tuple(shown), reason=reason, seconds=seconds_, at=self._now)

    # Parts of the job

    def _each(self) -> list[tuple[str, Sequel]]:
        return [(target, one) for target, one in zip(self._job.targets, self._job.sequels, strict=True) if one]

    def _only(self, found: Sequence[tuple[str, Sequel]]) -> Job:
        return repeating.only(self._job, found)


def _sent_by_edges(shown: Sequence[tuple[Subject, Verdict]]) -> str:
    """What a person reads of a dead letter beside its reason: the first few objects, here and in S3."""
    return "; ".join(
        f"{subject.url}: {verdict.seen or 'nothing'}{f' at {verdict.pop}' if verdict.pop else ''}, "
        f"where S3 has {verdict.expected or 'another'}"
        for subject, verdict in shown[:_MOST_SHOWN]
    )


def _timely(job: Job, now: float) -> Job:
    """A job in which nothing has happened later than now."""
    if not any(one and one.stale > now for one in job.sequels):
        return job
    sequels = (one and msgspec.structs.replace(one, stale=min(one.stale, now)) for one in job.sequels)
    return msgspec.structs.replace(job, sequels=tuple(sequels))
