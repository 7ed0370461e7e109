"""What purges that are followed are measured by: the metrics of ``vocabulary`` from notes. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from multicdn.provenance import since_1970
from multicdn.records import DEAD

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.metrics import Values
    from multicdn.proof.ladder import Note

# SQS keeps no message for longer; an event that says that it is older says something else.
_FORTNIGHT = 14 * 86_400.0

_SECONDS = {"finished": "UploadToFinishedSeconds", "fresh": "UploadToFreshSeconds"}
_OBJECTS = {"fresh": "Fresh", "unknown": "Unknown"}


def measures(notes: Iterable[Note]) -> dict[str, Values]:
    """Counts and seconds of each provider instance."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    seconds: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for note in notes:
        name = note.queued.job.instance
        for metric, number in _counted(note):
            counts[name][metric] += number
        if note.event in _SECONDS:
            seconds[name][_SECONDS[note.event]] += _since_uploads(note)
    names = counts.keys() | seconds.keys()
    return {
        name: {**counts[name], **{metric: values for metric, values in seconds[name].items() if values}}
        for name in names
    }


def _counted(note: Note) -> Iterator[tuple[str, float]]:
    targets = len(note.queued.job.targets)
    if note.event in _OBJECTS:
        yield _OBJECTS[note.event], len(note.subjects)
    elif note.state == "purged":
        yield "PurgedAgain", targets
    elif note.state == DEAD:
        yield DEAD.capitalize(), targets
        yield "Stale", len(note.subjects) or targets


def _since_uploads(note: Note) -> Iterator[float]:
    """Seconds from each upload: those that were looked at; else those that are known to be behind the targets."""
    job = note.queued.job
    subjects = dict.fromkeys(subject for subject, _ in note.subjects)
    subjects = subjects or dict.fromkeys(subject for one in job.sequels if one for subject in one.subjects)
    uploads = [subject.time for subject in subjects] or list(dict.fromkeys(each.uploaded for each in job.provenance))
    for uploaded in uploads:
        since = since_1970(uploaded)
        if since is not None and note.at - since <= _FORTNIGHT:
            yield max(0.0, note.at - since)
