"""How far purges by hand are, provider by provider: accepted, finished, fresh. Pure, but for a lock.

The loop writes it, and whoever shows it reads.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.proof.identity import Verdict
from multicdn.provider import published
from multicdn.sequel import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from multicdn.model import Outcome
    from multicdn.proof.ladder import Note, Sighting
    from multicdn.provider import Provider

WAITING = Verdict("unknown", "not seen in time")

#: Of an object that ends like this nothing is left to be done.
ENDED_WELL = ("fresh", "superseded")


class Sight(Struct, frozen=True):
    """An object as it was seen last through a provider.

    Attributes:
        subject: the object, and the URL that it is looked at by.
        verdict: what was seen.
        seconds: from the beginning until then; None before the first look.
        purges: how many there were by then.
        dead: whether it is purged no more, though an edge is stale.
    """

    subject: Subject
    verdict: Verdict = WAITING
    seconds: float | None = None
    purges: int = 1
    dead: bool = False


class Course(Struct, frozen=True):
    """How far the purges of one provider are. Seconds count from the beginning of the command.

    Attributes:
        name: of the instance, or of what it was found to stand for.
        targets: how many were accepted.
        accepted: when the last of these was.
        done: how many of them have finished.
        finished: when the last of these had; None until all have.
        by: who said so of all: ``vendor``; else its ``published time``, or ``nothing`` where it publishes none.
        reason: why those that are left haven't finished.
        sights: the objects that are looked at.
        unknown: URLs that stand for no known object, so that nothing can be looked at.
    """

    name: str
    targets: int
    accepted: float
    done: int = 0
    finished: float | None = None
    by: str = "nothing"
    reason: str = ""
    sights: tuple[Sight, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The worst that is known of it: stale, unfinished, unknown, finished, superseded or fresh.

        It is finished where there is nothing to look at.
        """
        states = {str(sight.verdict.state) for sight in self.sights}
        if "stale" in states:
            return "stale"
        if self.finished is None:
            return "unfinished"
        if "unknown" in states or self.unknown:
            return "unknown"
        return next((state for state in ENDED_WELL[::-1] if state in states), "finished")

    @property
    def words(self) -> str:
        """How far it is, in few words."""
        if self.finished is None:
            return f"finished {self.done:,} of {self.targets:,}" if self.done else "accepted, not finished yet"
        if not self.sights:
            return "finished"
        states = [str(sight.verdict.state) for sight in self.sights]
        ended = sum(state in ENDED_WELL for state in states)
        stale = states.count("stale")
        behind = f", {stale:,} stale" if stale else ""
        return "fresh" if ended == len(states) else f"finished, {ended:,} of {len(states):,} fresh{behind}"

    @property
    def fresh(self) -> float | None:
        """When the last of its objects was seen to be fresh; None where not all are, or there are none."""
        if self.state not in ENDED_WELL:
            return None
        return max((sight.seconds for sight in self.sights if sight.seconds is not None), default=None)


@dataclass
class _Leg:
    targets: set[str] = field(default_factory=set)
    accepted: float = 0.0
    finished: set[str] = field(default_factory=set)
    at: float = 0.0
    asked: bool = True
    timed: bool = True
    reason: str = ""
    sights: dict[tuple[str, str, str], Sight] = field(default_factory=dict)


class Courses:
    """How far all providers are.

    Args:
        providers: by name, for those that are followed to the end.
        unknown: provider and URL of what can't be looked at.
    """

    def __init__(self, providers: Mapping[str, Provider], unknown: Iterable[tuple[str, str]] = ()) -> None:
        self._providers = dict(providers)
        self._unknown = tuple(unknown)
        self._places: dict[str, _Leg] = {}
        self._lock = threading.Lock()

    def accepted(self, outcome: Outcome, seconds: float) -> None:
        """A vendor has accepted a purge; that of what it had accepted before changes nothing."""
        job = outcome.job
        provider = self._providers.get(job.instance)
        if provider is None:
            return
        with self._lock:
            place = self._places.setdefault(job.provider, _Leg())
            if not place.targets.issuperset(job.targets) and not any(one and one.tries for one in job.sequels):
                place.targets.update(job.targets)
                place.accepted = seconds
                place.timed = place.timed and published(provider, job.kind, outcome.receipt)[1]
            for subject in (subject for one in job.sequels if one for subject in one.subjects):
                place.sights.setdefault(_key(subject), Sight(subject))

    def note(self, note: Note, seconds: float) -> None:
        """Something was found out."""
        with self._lock:
            place = self._places.get(note.queued.job.provider)
            if place is None:
                return
            if note.event == "finished":
                new = set(note.queued.job.targets) & place.targets - place.finished
                place.finished |= new
                place.at = seconds if new else place.at
                place.asked = place.asked and (note.asked or not new)
            for subject, verdict in note.subjects:
                sight = Sight(subject, verdict, seconds, note.purges, dead=note.state == "dead")
                place.sights[_key(subject)] = sight

    def found(self, finding: Sighting, seconds: float) -> None:
        """A purge was looked at, whatever follows from that."""
        job = finding.queued.job
        with self._lock:
            place = self._places.get(job.provider)
            if place is None:
                return
            place.reason = finding.failed or finding.reason
            for one in filter(None, job.sequels):
                for subject in one.subjects:
                    if verdict := finding.verdicts.get(subject):
                        place.sights[_key(subject)] = Sight(subject, verdict, seconds, one.tries + 1)

    def all(self) -> list[Course]:
        """How far each is whose vendor has accepted something, by name."""
        with self._lock:
            return [self._course(name, place) for name, place in sorted(self._places.items())]

    def by_name(self) -> Mapping[str, Course]:
        """The same, by name."""
        return {course.name: course for course in self.all()}

    def _course(self, name: str, place: _Leg) -> Course:
        over = place.finished >= place.targets
        instance = name.partition("/")[0]
        return Course(
            name,
            len(place.targets),
            place.accepted,
            len(place.finished),
            place.at if over else None,
            "vendor" if place.asked else "published time" if place.timed else "nothing",
            "" if over else place.reason,
            tuple(place.sights.values()),
            tuple(url for each, url in self._unknown if each == instance),
        )


def _key(subject: Subject) -> tuple[str, str, str]:
    return subject.url, subject.bucket, subject.key
