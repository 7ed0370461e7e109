"""What the log says of an invocation: a record for all jobs that ended alike, and one for all of it. Pure.

The names of the fields are those of ``vocabulary``.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from heapq import heapify, heappop
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from multicdn.model import Status, described
from multicdn.provenance import MOST, UNKNOWN, Provenance, first_few, joined, since_1970
from multicdn.queue.retry import Requeue

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from multicdn.model import Job, Outcome, Report
    from multicdn.queue.retry import Decision, MessageHistory

_Item = TypeVar("_Item")

# Bucket, principal, and who asked for it by hand and what for; see ``Provenance.who``.
_Who = tuple[str, str, str, str]

# The places of the targets of a job that has one, as most have at vendors that take no more.
_ONLY = range(1)

#: What became of targets: a vendor took them; they wait in the queue; they are dead letters; the messages that asked
#: for them go back to AWS; nothing will do them.
ACCEPTED, REQUEUED, DEAD, RETURNED, DROPPED = "accepted", "requeued", "dead", "returned", "dropped"

# Records of one provider in one invocation. Whoever must know more finds the counts of all in that of the invocation.
MOST_RECORDS = 20

# Characters of a target or key: few URLs and no keys of S3 are longer.
_LONGEST_TARGET = 1024


class LogRecord(Struct, frozen=True):
    """A line of the log.

    Attributes:
        level: of ``logging``.
        event: its name.
        fields: the others; none is empty.
    """

    level: int
    event: str
    fields: dict[str, Any]


class Fate(Struct, frozen=True):
    """What became of a target that wasn't delivered, and in how many seconds it is tried again."""

    state: str
    delay: int = 0


_ACCEPTED = Fate(ACCEPTED)


class Fates:
    """What became of the targets of an invocation.

    Args:
        decisions: about those that were not delivered.
        failed: those of them that could not be carried out.
        left: what goes back to AWS; what is neither there nor decided is dropped.
    """

    def __init__(self, decisions: Iterable[Decision], failed: Collection[Decision], left: Report) -> None:
        unsent = set(map(id, failed))
        # Of what was accepted nobody asks, and it may be nearly all.
        self._returned = {each for outcome in left.undelivered for each in _targets(outcome.job)}
        self._decided = {
            each: _fate(decision, unsent=id(decision) in unsent)
            for decision in decisions
            for each in _targets(decision.queued.job)
        }

    def of(self, outcome: Outcome) -> Sequence[Fate]:
        """What became of each target of an outcome."""
        if outcome.status is Status.ACCEPTED:
            return (_ACCEPTED,) * len(outcome.job.targets)
        other = {True: Fate(RETURNED), False: Fate(DROPPED)}
        return [self._decided.get(each) or other[each in self._returned] for each in _targets(outcome.job)]


def _targets(job: Job) -> Iterator[tuple[object, ...]]:
    shared = (job.provider, job.action, job.kind, job.soft, job.bucket)
    return ((*shared, target) for target in job.targets)


def _fate(decision: Decision, *, unsent: bool) -> Fate:
    if unsent:
        return Fate(RETURNED)
    return Fate(REQUEUED, decision.delay) if isinstance(decision, Requeue) else Fate(DEAD)


class EndedAlike:
    """Targets that ended alike: what one record of the log is about.

    Args:
        outcome: the first that is among them.
        state: what became of all of them.

    Attributes:
        provider, action, kind, soft, status, state: of all of them.
        targets: how many.
        calls, throttled: to the vendor, and of them those that it answered by asking for a wait.
        seconds: that the longest took, waiting included.
        reason: the first one's.
        provenance: of all of them, once ``close`` was called.
        age: seconds since the oldest upload, or else since the oldest message was sent; None where neither is known.
    """

    def __init__(self, outcome: Outcome, state: str) -> None:
        job = outcome.job
        self.provider, self.action, self.kind, self.soft = job.provider, job.action, job.kind, job.soft
        self.status, self.state, self.reason = outcome.status, state, outcome.reason
        self.targets = self.calls = self.throttled = self.attempt = 0
        self.seconds = 0.0
        self.provenance = UNKNOWN
        self.age: float | None = None
        self._first: list[str] = []
        self._ids: dict[str, None] = {}
        self._note = ""
        self._delays: list[int] = []
        self._behind: dict[int, Provenance] = {}
        self._causes: set[frozenset[str]] = set()

    def add(self, outcome: Outcome, places: Sequence[int], fates: Sequence[Fate], *, counted: bool) -> None:
        """Add some targets of an outcome; its calls as well, unless they are counted with others of its targets."""
        job = outcome.job
        self.targets += len(places)
        if len(self._first) < MOST:
            self._first += [cut(described(job.targets[place])) for place in places[: MOST - len(self._first)]]
        for each in _at(places, job.provenance):
            self._behind[id(each)] = each
        self._causes.update(_at(places, job.causes))
        self.seconds = max(self.seconds, outcome.seconds)
        self._note = self._note or outcome.receipt.note
        if outcome.receipt.id:
            self._ids[outcome.receipt.id] = None
        if not counted:
            self.calls += outcome.calls
            self.throttled += outcome.throttled
        if self.state == REQUEUED:
            self._delays.append(min(fates[place].delay for place in places))

    def close(self, history: MessageHistory, now: float, known: dict[tuple[int, ...], Provenance]) -> None:
        """Find out what is to be found out once for all of them.

        ``known`` is what stands behind others that ended: the same objects, where several vendors are asked for them.
        """
        ids = tuple(self._behind)
        self.provenance = known.get(ids) or joined(self._behind.values())
        known[ids] = self.provenance
        causes = frozenset().union(*self._causes)
        tried = max((history.attempts.get(cause, 0) for cause in causes), default=0) if history.attempts else 0
        self.attempt = tried + 1
        since = since_1970(self.provenance.uploaded)
        if since is None:
            since = min((history.sent[cause] for cause in causes if cause in history.sent), default=None)
        self.age = None if since is None else max(0.0, now - since)
        heap = list(filter(None, causes))
        heapify(heap)  # only a few of them are named: thousands needn't be sorted
        least_first = (heappop(heap) for _ in range(len(heap)))
        origins = (history.origins.get(cause, (cause,)) for cause in least_first)
        self._messages = first_few(chain.from_iterable(origins))

    @property
    def level(self) -> int:
        """How much of a person's attention they deserve."""
        if self.state == DEAD:
            return logging.ERROR
        return logging.INFO if self.status in (Status.ACCEPTED, Status.PACED) else logging.WARNING

    def record(self) -> LogRecord:
        """The line of the log."""
        behind, ids = self.provenance, list(self._ids)
        fields = {
            "provider": self.provider,
            "action": str(self.action),
            "kind": str(self.kind),
            "soft": self.soft,
            "state": self.state,
            "targets": self.targets,
            "first": self._first,
            "bucket": behind.bucket,
            "keys": [cut(key) for key in behind.keys],
            "objects": behind.objects or None,
            "routes": list(behind.routes),
            "messages": self._messages,
            "principal": behind.principal,
            "source_ip": behind.source_ip,
            "by": behind.by,
            "why": behind.why,
            "id": next(iter(ids), ""),
            "ids": ids[:MOST] if len(ids) > 1 else (),
            "note": self._note,
            "calls": self.calls,
            "throttled": self.throttled or None,
            "attempt": self.attempt,
            "ms": round(self.seconds * 1000),
            "age_seconds": None if self.age is None else round(self.age, 3),
            "delay": min(self._delays, default=None),
            "reason": self.reason,
        }
        return LogRecord(self.level, str(self.status), filled(fields))


def ended(report: Report, fates: Fates, history: MessageHistory, now: float) -> list[EndedAlike]:
    """What became of all targets of an invocation, those together that ended alike.

    Alike are those of one provider that share action, kind, softness, status, state and reason, and of which the same
    person or principal is the reason.
    """
    groups: dict[tuple[object, ...], EndedAlike] = {}
    # Of thousands of calls most end like the one before: comparing with it is quicker than finding the group.
    last: tuple[object, ...] = ()
    group: EndedAlike | None = None
    for outcome in report:
        states = fates.of(outcome)
        shared, counted = _shared(outcome), False
        for (state, who), places in _alike(outcome.job, states):
            key = (shared, state, who)
            if group is None or key != last:
                last, group = key, groups.get(key) or EndedAlike(outcome, state)
                groups[key] = group
            group.add(outcome, places, states, counted=counted)
            counted = True
    known: dict[tuple[int, ...], Provenance] = {(): UNKNOWN}
    for each in groups.values():
        each.close(history, now, known)
    return list(groups.values())


def records(found: Iterable[EndedAlike]) -> Iterator[LogRecord]:
    """The lines about what ended, as many of each provider as a person reads, and what was left out of them."""
    by_provider: dict[str, list[EndedAlike]] = defaultdict(list)
    for each in found:
        by_provider[each.provider.partition("/")[0]].append(each)
    for provider, alike in by_provider.items():
        worst_first = sorted(alike, key=lambda each: (-each.level, -each.targets))
        yield from (each.record() for each in worst_first[:MOST_RECORDS])
        if rest := worst_first[MOST_RECORDS:]:
            fields = {"provider": provider, "records": len(rest), "targets": sum(each.targets for each in rest)}
            yield LogRecord(max(each.level for each in rest), "left-out", fields)


def by_provider(found: Iterable[EndedAlike]) -> dict[str, dict[str, int]]:
    """Targets by what became of them, and calls, for each provider instance."""
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for each in found:
        of_provider = totals[each.provider.partition("/")[0]]
        of_provider.update({each.state: each.targets, "calls": each.calls, "throttled": each.throttled})
    return {name: {what: count for what, count in total.items() if count} for name, total in totals.items()}


def cut(text: str) -> str:
    """A text from outside, as long as the log has it."""
    return text if len(text) <= _LONGEST_TARGET else f"{text[:_LONGEST_TARGET]}…"


def _shared(outcome: Outcome) -> tuple[object, ...]:
    job, reason = outcome.job, outcome.reason
    if len(job.targets) == 1 and reason:
        reason = reason.replace(job.described[0], "")  # answers repeat the target
    return job.provider, job.action, job.kind, job.soft, outcome.status, reason


def _alike(job: Job, fates: Sequence[Fate]) -> Iterable[tuple[tuple[str, _Who], Sequence[int]]]:
    """Places of targets by their state and by who wanted them."""
    behind = job.provenance or (UNKNOWN,) * len(job.targets)
    if len(fates) == 1:
        return [((fates[0].state, behind[0].who), _ONLY)]
    states, people = {fate.state for fate in fates}, {each.who for each in {id(one): one for one in behind}.values()}
    if len(states) == len(people) == 1:
        return [((states.pop(), people.pop()), range(len(fates)))]
    found: dict[tuple[str, _Who], list[int]] = defaultdict(list)
    for place, (fate, each) in enumerate(zip(fates, behind, strict=True)):
        found[fate.state, each.who].append(place)
    return found.items()


def _at(places: Sequence[int], found: Sequence[_Item]) -> Iterable[_Item]:
    """What is at some places; nothing where there is nothing at any."""
    return found if len(places) == len(found) else map(found.__getitem__, places if found else ())


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without the fields that are empty."""
    return {name: value for name, value in fields.items() if value not in ("", None) and value != [] and value != ()}
