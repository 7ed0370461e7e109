"""What became of an object: who changed it, what was planned, what each vendor was asked, and how that ended. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.logbook import words
from multicdn.logbook.entries import LogEntry
from multicdn.logbook.parts import Parts
from multicdn.logbook.subject import About

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.logbook.subject import AskedAbout

# Lines that are kept, the newest, whatever a log holds.
_MOST = 10_000

# Of the lines that only may be about it, as many are shown to people.
_SHOWN = 10

# Columns of the word for what happened.
_WIDTH = 9

# What stands at the beginning of a job: an upload or the like, or a request.
_BEGINNINGS = ("changed", "by hand")

# What the reader of a history knows, or reads of the change that began it.
_KNOWN = ("bucket", "keys", "objects", "routes", "messages", "principal", "source_ip", "by", "why", "age_seconds")

# Seconds within which two changes are taken for one where no message tells them apart: ages are rounded.
_ALIKE = 1.0


class Step(Struct, frozen=True):
    """Something that happened.

    Attributes:
        at: when, in seconds since 1970; None where the log doesn't say.
        what: ``changed``, ``by hand``, a state, or an event.
        text: to whom, by whom and why.
        sure: whether it is known to be about what is asked.
        entry: the line of the log that says so.
    """

    at: float | None
    what: str
    text: str
    sure: bool
    entry: LogEntry


class History(Struct, frozen=True):
    """All that the log says.

    Attributes:
        steps: oldest first.
        last: for each provider and action the line that says how it ended, as far as it did.
        complete: whether no older lines were dropped.
    """

    steps: Sequence[Step]
    last: Sequence[LogEntry]
    complete: bool = True


def make(entries: Iterable[LogEntry], subject: AskedAbout) -> History:
    """Tell the history of something from the lines of a log, in whatever order."""
    kept: deque[tuple[LogEntry, About]] = deque(maxlen=_MOST)
    number = 0
    for entry in entries:
        about = subject.about(entry) if entry.event else None
        if about is not None:
            number += 1
            kept.append((entry, about))
    found = sorted(kept, key=lambda pair: pair[0].at or 0.0)
    asking = set(chain.from_iterable(_asking(entry) for entry, about in found if about is About.SURELY))
    judged = [(entry, about is About.SURELY or bool(asking & {*entry.texts("messages")})) for entry, about in found]
    steps = [*_beginnings([entry for entry, sure in judged if sure]), *(_step(entry, sure) for entry, sure in judged)]
    return History(
        sorted(steps, key=_moment), _last((entry for entry, sure in judged if sure), subject), number <= _MOST
    )


def _asking(entry: LogEntry) -> Iterator[str]:
    """Ids of messages that asked for nothing else, so that whatever they asked for is about the same object."""
    if entry.number("objects") == 1:
        yield from entry.texts("messages")


def _moment(step: Step) -> tuple[float, bool]:
    return step.at or 0.0, step.what not in _BEGINNINGS


def _beginnings(entries: Sequence[LogEntry]) -> Iterator[Step]:
    """The changes and the requests that the jobs go back to, each once: several vendors have a job for each."""
    messages, moments = set[str](), set[tuple[str, int]]()
    for entry in entries:
        if entry.at is None or "age_seconds" not in entry.record:
            continue
        at, who, asking = entry.at - entry.number("age_seconds"), _who(entry), entry.texts("messages")
        moment = int(at // _ALIKE)
        known = messages.intersection(asking) or moments & {(who, moment + beside) for beside in (-1, 0, 1)}
        messages.update(asking)
        moments.add((who, moment))
        if known:
            continue
        yield Step(at, _BEGINNINGS["by" in entry.record], _begun(entry, who), sure=True, entry=entry)


def _who(entry: LogEntry) -> str:
    return str(entry.record.get("by") or entry.record.get("principal") or "")


def _begun(entry: LogEntry, who: str) -> str:
    record, number = entry.record, entry.number("objects")
    source = f"from {record['source_ip']}" if record.get("source_ip") else ""
    # A job may stand for a request and an upload; where the request came from isn't known then.
    uploaded = f"also changed by {record['principal']} {source}".rstrip() if _is_of_both(entry) else ""
    parts = [f"by {who}" if who else "", "" if uploaded else source]
    others = f"the oldest of {number:,.0f} changes of the job" if number > 1 else ""
    why = f"because: {record['why']}" if record.get("why") else ""
    routes = ", ".join(entry.texts("routes"))
    applied = f"{routes} applied" if routes else ""
    return "; ".join(filter(None, (" ".join(filter(None, parts)), others, why, uploaded, applied)))


def _is_of_both(entry: LogEntry) -> bool:
    return bool(entry.record.get("by") and entry.record.get("principal"))


def _step(entry: LogEntry, sure: bool) -> Step:  # noqa: FBT001
    text = words.said(entry, _KNOWN)
    if entry.is_job and "age_seconds" in entry.record:
        text += f", {words.seconds(entry.number('age_seconds'))} after it was asked for"
    if not sure:
        number = entry.number("objects") or entry.number("targets")
        text += (
            f"; one of {number:,.0f}: which, the log doesn't say" if entry.is_job else "; which, the log doesn't say"
        )
    return Step(entry.at, entry.state or entry.event, text, sure, entry)


def _last(entries: Iterable[LogEntry], subject: AskedAbout) -> list[LogEntry]:
    """The newest line on each provider and action; where a job was cut into parts, of one that isn't done."""
    found: dict[tuple[str, str], Parts] = {}
    for entry in entries:
        if entry.state:
            name = (entry.provider, str(entry.record.get("action")))
            subject.note(entry, found.setdefault(name, Parts()))
    return [last for name in sorted(found) if (last := found[name].last)]


def lines(history: History) -> Iterator[tuple[str, LogEntry | None]]:
    """The history for people, with the line of the log that each is from, for its colour."""
    perhaps = [step for step in history.steps if not step.sure]
    hidden = set(map(id, perhaps[: max(0, len(perhaps) - _SHOWN)]))
    for step in history.steps:
        if id(step) not in hidden:
            mark = step.what if step.sure else f"{step.what}?"
            told = step.entry if step.sure and step.what not in _BEGINNINGS else None
            yield f"{words.clock(step.at)}  {mark:<{_WIDTH}} {step.text}".rstrip(), told
    if hidden:
        yield f"and {len(hidden):,} older jobs that may be about it, of which the log doesn't name all objects", None
    if not history.complete:
        yield f"only the newest {_MOST:,} lines are shown; shorten --since", None
    if history.steps and len(perhaps) == len(history.steps):
        yield "where it stands isn't known: no line of the log names it for certain", None
    for entry in history.last:
        yield f"{entry.provider}: {ended(entry)}", entry


def ended(entry: LogEntry) -> str:
    """Where a job stands by the last line about it."""
    action, when = entry.record.get("action"), words.clock(entry.at)
    age = (
        f", {words.seconds(entry.number('age_seconds'))} after it was asked for"
        if "age_seconds" in entry.record
        else ""
    )
    if entry.state in ("accepted", "fresh"):
        return f"{action} {entry.state} at {when}{age}"
    if entry.state == "finished":
        how = "as the vendor says" if entry.record.get("basis") == "asked" else "by the vendor's published time"
        return f"{action} finished at {when}{age}, {how}"
    reason = f": {entry.record['reason']}" if entry.record.get("reason") else ""
    if entry.state == "dead":
        return f"{action} given up at {when}{age}{reason}; `multicdn dlq list` shows what may be sent back"
    if entry.state == "returned":
        return f"{action} went back to AWS at {when}, which brings it again{reason}"
    waits = {
        "requeued": "waits in the queue",
        "purged": "made again for a stale edge",
        "unknown": "finished, and whether it is fresh is unknown",
        "superseded": "superseded",
    }
    return f"{action} {waits.get(entry.state, entry.state)} since {when}{reason}"
