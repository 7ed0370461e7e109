"""What the log says of purges that are followed. Pure."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from multicdn.provenance import MOST, joined
from multicdn.records import LogRecord, cut, filled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.proof.ladder import Note

_LEVELS = {"stale": logging.WARNING, "unknown": logging.WARNING, "released": logging.WARNING}


def records(notes: Iterable[Note]) -> Iterator[LogRecord]:
    """A record for each note."""
    for note in notes:
        yield LogRecord(_level(note), note.event, filled(_fields(note)))


def _level(note: Note) -> int:
    return logging.ERROR if note.state == "dead" else _LEVELS.get(note.event, logging.INFO)


def _fields(note: Note) -> dict[str, object]:
    job, (_, verdict) = note.queued.job, note.subjects[0] if note.subjects else (None, None)
    behind = joined(job.provenance) if job.provenance else None
    return {
        "provider": job.provider,
        "action": str(job.action),
        "kind": str(job.kind),
        "state": note.state,
        "targets": len(job.targets),
        "first": [cut(target) for target in job.described[:MOST]],
        "bucket": behind.bucket if behind else "",
        "keys": [cut(key) for key in behind.keys] if behind else [],
        "messages": list(note.queued.origins[:MOST]),
        "asked": note.asked if note.event == "finished" else None,
        "purges": note.purges if note.event == "stale" else None,
        "seen": verdict.seen if verdict else "",
        "expected": verdict.expected if verdict else "",
        "pop": verdict.pop if verdict else "",
        "age_seconds": None if note.seconds is None else round(note.seconds, 3),
        "delay": note.delay or None,
        "reason": note.reason,
    }
