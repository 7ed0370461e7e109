"""What the log says of purges that are followed: a record for all that ended alike. Pure.

The names of the fields are those of ``vocabulary``.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from multicdn.provenance import MOST, UNKNOWN, joined, since_1970
from multicdn.records import DEAD, MOST_RECORDS, LogRecord, cut, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.proof.identity import Verdict
    from multicdn.proof.ladder import Note
    from multicdn.provenance import Provenance
    from multicdn.queue.message import QueuedJob
    from multicdn.sequel import Subject

_LEVELS = {"stale": logging.WARNING, "unknown": logging.WARNING, "released": logging.WARNING}

# How a purge is known to be finished.
_ASKED, _PUBLISHED = "asked", "published"

_Shown = tuple[tuple["Subject", "Verdict"], ...]


def records(notes: Iterable[Note]) -> list[LogRecord]:
    """The records, as many of each provider as a person reads, and of what was left out of them how much it is.

    The worst aren't left out; they are in the order of the notes, so that the last of an object says how it ended.
    """
    by_provider: dict[str, list[_Alike]] = defaultdict(list)
    for alike in _alike(notes):
        by_provider[alike.note.queued.job.instance].append(alike)
    return [record for provider, found in by_provider.items() for record in _some(provider, found)]


def counts(looks: Iterable[QueuedJob], notes: Iterable[Note]) -> dict[str, Counter[str]]:
    """Of each provider instance the targets that were looked at, and how that ended; those given up as dead, too."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for queued in looks:
        found[queued.job.instance]["looked"] += len(queued.job.targets)
    for note in notes:
        of_provider, targets = found[note.queued.job.instance], len(note.queued.job.targets)
        of_provider[note.event] += targets
        of_provider[DEAD] += targets if note.state == DEAD else 0
    return {name: +of_provider for name, of_provider in found.items()}


def _some(provider: str, found: Iterable[_Alike]) -> Iterator[LogRecord]:
    every = list(found)
    worst_first = sorted(every, key=lambda each: (-each.level, -len(each.targets)))
    chosen = set(map(id, worst_first[:MOST_RECORDS]))
    yield from (each.record() for each in every if id(each) in chosen)
    if rest := worst_first[MOST_RECORDS:]:
        fields = {"provider": provider, "records": len(rest), "targets": sum(len(each.targets) for each in rest)}
        yield LogRecord(rest[0].level, "left-out", fields)


class _Alike:
    """Targets of one provider of which the same is told, and behind which the same person or principal stands."""

    def __init__(self, note: Note) -> None:
        self.note = note
        self.targets: dict[str, None] = {}
        self._notes: list[Note] = []
        self._shown: dict[Subject, Verdict] = {}
        self._behind: dict[int, Provenance] = {}

    @property
    def level(self) -> int:
        return logging.ERROR if self.note.state == DEAD else _LEVELS.get(self.note.event, logging.INFO)

    def add(self, note: Note, targets: Iterable[str], behind: Iterable[Provenance], shown: _Shown) -> None:
        self._notes.append(note)
        self.targets.update(dict.fromkeys(targets))
        self._behind.update((id(each), each) for each in behind)
        self._shown.update(shown)

    def record(self) -> LogRecord:
        note, job = self.note, self.note.queued.job
        origins = dict.fromkeys(origin for each in self._notes for origin in each.queued.origins)
        fields = {
            "provider": job.provider,
            "action": str(job.action),
            "kind": str(job.kind),
            "soft": job.soft,
            "state": _state(note),
            "targets": len(self.targets),
            "first": [cut(target or "(everything)") for target in list(self.targets)[:MOST]],
            **self._provenance(),
            "messages": list(origins)[:MOST],
            **self._times(),
            **self._of_vendor(),
            **self._seen(),
            "reason": self._reason(),
        }
        return LogRecord(self.level, note.event, filled(fields))

    def _reason(self) -> str:
        first = next(iter(self._shown.values()), None)
        return f"{self.note.reason}: {first.reason}" if first and self.note.state == "purged" else self.note.reason

    def _provenance(self) -> dict[str, object]:
        """Who is behind it; and of what was looked at the very objects."""
        behind = joined(self._behind.values()) if self._behind else UNKNOWN
        bucket, keys, objects = behind.bucket, behind.keys, behind.objects
        if self._shown:
            places = list(dict.fromkeys((each.bucket, each.key) for each in self._shown))
            bucket, objects = places[0][0], len(places)
            keys = tuple(key if where == bucket else f"s3://{where}/{key}" for where, key in places[:MOST])
        return {
            "bucket": bucket,
            "keys": [cut(key) for key in keys],
            "objects": objects or None,
            "routes": list(behind.routes),
            "principal": behind.principal,
            "source_ip": behind.source_ip,
            "by": behind.by,
            "why": behind.why,
        }

    def _times(self) -> dict[str, float | int | None]:
        at = max(note.at for note in self._notes)
        uploaded = [since for subject in self._shown if (since := since_1970(subject.time)) is not None]
        uploaded = uploaded or [
            since for each in self._behind.values() if (since := since_1970(each.uploaded)) is not None
        ]
        accepted = [note.queued.look.accepted for note in self._notes if note.queued.look]
        return {
            "age_seconds": _since(min(uploaded), at) if uploaded else None,
            "accepted_seconds": _since(min(accepted), at) if accepted else None,
            "delay": min(note.delay for note in self._notes) if self.note.state == "purged" else None,
        }

    def _of_vendor(self) -> dict[str, object]:
        if self.note.event != "finished":
            return {}
        looks = [note.queued.look for note in self._notes if note.queued.look]
        ids = list(dict.fromkeys(receipt for look in looks for receipt in look.receipts))
        return {
            "basis": _basis(self.note),
            "id": ids[0] if ids else "",
            "ids": ids[:MOST] if len(ids) > 1 else (),
        }

    def _seen(self) -> dict[str, object]:
        """What was seen first, and where; the URLs only where the targets themselves don't say them."""
        first = next(iter(self._shown.values()), None)
        urls = [cut(subject.url) for subject in list(self._shown)[:MOST]]
        return {
            "purges": max(note.purges for note in self._notes) if self.note.event == "stale" else None,
            "urls": urls if set(urls) - self.targets.keys() else (),
            "seen": first.seen if first else "",
            "expected": first.expected if first else "",
            "pop": first.pop if first else "",
        }


def _alike(notes: Iterable[Note]) -> Iterable[_Alike]:
    groups: dict[tuple[object, ...], _Alike] = {}
    for note in notes:
        job = note.queued.job
        shared = (job.provider, job.action, job.kind, job.soft, note.event, note.state, note.reason, _basis(note))
        for who, places, shown in _parts(note):
            group = groups.setdefault((*shared, *who), _Alike(note))
            behind = [job.provenance[place] for place in places] if job.provenance else ()
            group.add(note, (job.targets[place] for place in places), behind, shown)
    return groups.values()


def _parts(note: Note) -> Iterator[tuple[tuple[str, ...], Sequence[int], _Shown]]:
    """Places of targets by who is behind them, with what was seen of their own objects."""
    job = note.queued.job
    by_who: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, each in enumerate(job.provenance or (UNKNOWN,) * len(job.targets)):
        by_who[each.who].append(place)
    if len(by_who) == 1:
        yield next(iter(by_who)), range(len(job.targets)), note.subjects
        return
    for who, places in by_who.items():
        own = {subject for place in places if (one := job.sequels[place]) for subject in one.subjects}
        yield who, places, tuple(pair for pair in note.subjects if pair[0] in own)


def _state(note: Note) -> str:
    """What became of the targets; where nothing more happens, that is what the record is about."""
    return note.event if note.state == "done" else note.state


def _basis(note: Note) -> str:
    return "" if note.event != "finished" else _ASKED if note.asked else _PUBLISHED


def _since(moment: float, at: float) -> float:
    return round(max(0.0, at - moment), 3)
