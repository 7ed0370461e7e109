"""Looks at objects through one provider: asks its edge for each, then S3 for what each is now, then judges.

    verdicts = look(subjects, through(tier.via, verify.identity), Objects().stored, purged=..., seconds=20.0,
                    identity=verify.identity, removed_as=verify.removed_as)
    verdict = together(verdicts[subject])

S3 is asked once all edges have answered. So an object that is written again meanwhile is found as superseded, and
never as stale.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from multicdn.aws.s3 import StoredObject
from multicdn.errors import ProviderError, told
from multicdn.proof.fetch import fetch
from multicdn.proof.identity import Verdict, judge, wants_body
from multicdn.terms import Seen

if TYPE_CHECKING:
    from multicdn.aws.s3 import Place
    from multicdn.sequel import Subject

# What an edge, or each of several, serves for the URL of a subject; the second argument is seconds at most.
See = Callable[["Subject", float], Sequence[Seen]]
Stored = Callable[["Collection[Place]", float], "tuple[dict[Place, StoredObject | None], dict[Place, str]]"]

# Edges that are asked at once. Each may take so many seconds, and S3 what is left, but so many at least, or so large a
# part where there is little time.
_PARALLEL = 8
_EACH = 10.0
_FOR_S3, _SHARE_OF_S3 = 3.0, 0.4
_SHORTEST = 0.05

# POPs that a sentence names.
_NAMED = 5


class _Answered(NamedTuple):
    seen: Sequence[Seen]
    when: float


_UNASKED = (Seen(reason="no time was left to ask for it"),)
_NOT_ASKED = Verdict("unknown", _UNASKED[0].reason)


def through(via: str, identity: str) -> See:
    """What asks the edge behind ``via``; a body is read only where headers can't tell."""

    def see(subject: Subject, seconds: float) -> Sequence[Seen]:
        until = time.monotonic() + seconds
        seen = fetch(subject.url, via, seconds, want_md5=identity == "md5" and not subject.gone)
        if identity == "auto" and wants_body(seen, subject):
            again = fetch(subject.url, via, until - time.monotonic(), want_md5=True)
            seen = again if again.status else seen
        return (seen,)

    return see


def look(
    subjects: Collection[Subject],
    see: See,
    stored: Stored,
    *,
    identity: str,
    removed_as: Collection[int] = (),
    purged: float | None,
    seconds: float,
) -> dict[Subject, tuple[Verdict, ...]]:
    """Look at objects, several side by side, and say of each what each edge that answered serves.

    Args:
        subjects: where to look.
        see: asks the edges: ``through``, or an instrument of the vendor's. What it raises makes a subject unknown.
        stored: asks S3, as ``Objects.stored`` does.
        identity: as in ``judge``.
        removed_as: as in ``judge``.
        purged: as in ``judge``.
        seconds: for all of it.
    """
    until, for_s3 = time.monotonic() + seconds, min(_FOR_S3, seconds * _SHARE_OF_S3)
    answers = _asked(subjects, see, max(0.0, seconds - for_s3))
    places = {(each.bucket, each.key) for each in subjects if answers[each].seen is not _UNASKED}
    objects, failed = stored(places, max(for_s3, until - time.monotonic()))
    verdicts: dict[Subject, tuple[Verdict, ...]] = {}
    for subject in subjects:
        place, answer = (subject.bucket, subject.key), answers[subject]
        if answer.seen is _UNASKED:
            verdicts[subject] = (_NOT_ASKED,)
            continue
        judged = (
            judge(
                subject,
                StoredObject("") if place in failed else objects.get(place),
                seen,
                identity=identity,
                removed_as=removed_as,
                purged=purged,
                now=answer.when,
            )
            for seen in answer.seen
        )
        verdicts[subject] = tuple(_doubted(verdict, failed.get(place, "")) for verdict in judged)
    return verdicts


def is_asked(verdicts: Sequence[Verdict]) -> bool:
    """Whether an edge was asked at all, be it in vain; else no time was left to begin with it."""
    return verdicts[:1] != (_NOT_ASKED,)


def _doubted(verdict: Verdict, reason: str) -> Verdict:
    """A verdict where S3 did not answer: only the event's own identity proves something."""
    if not reason or verdict.state == "fresh":
        return verdict
    if not verdict.seen:
        return structs.replace(verdict, expected="", reason=f"{verdict.reason}; nor did S3 say what it has: {reason}")
    return structs.replace(verdict, state="unknown", expected="", reason=f"S3 did not say what it has now: {reason}")


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """One verdict for several edges: one that is stale counts, else all must be known to be fresh."""
    if len(verdicts) == 1:
        return verdicts[0]
    for state in ("stale", "superseded", "unknown"):
        alike = [verdict for verdict in verdicts if verdict.state == state]
        if alike:
            named = ", ".join(each.pop for each in alike[:_NAMED]) + " …" * (len(alike) > _NAMED)
            where = f"{state} at {len(alike)} of {len(verdicts)} POPs ({named})"
            return structs.replace(alike[0], reason=f"{where}: {alike[0].reason}")
    if not verdicts:
        return Verdict("unknown", "no edge answered")
    return structs.replace(verdicts[0], reason=f"{verdicts[0].reason}, at all of {len(verdicts)} POPs", pop="")


def _asked(subjects: Collection[Subject], see: See, seconds: float) -> dict[Subject, _Answered]:
    until = time.monotonic() + seconds

    def ask(subject: Subject) -> _Answered:
        left = until - time.monotonic()
        return _Answered(see(subject, min(_EACH, 0.9 * left)) if left > _SHORTEST else _UNASKED, time.time())

    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="multicdn-edge")
    asked = {}
    for subject in subjects:
        try:
            asked[subject] = pool.submit(ask, subject)
        except RuntimeError:
            break
    wait(asked.values(), timeout=max(0.0, seconds))
    pool.shutdown(wait=False, cancel_futures=True)
    answers = {}
    for subject in subjects:
        future = asked.get(subject)
        if future is None:
            reason = "no thread could be started to ask for it: the process has too many"
        elif future.cancelled():
            answers[subject] = _Answered(_UNASKED, time.time())
            continue
        elif not future.done():
            reason = f"no answer within {seconds:.1f} s"
        elif (bad := future.exception()) is not None:
            reason = bad.reason if isinstance(bad, ProviderError) else told(bad)
        else:
            answers[subject] = future.result()
            continue
        answers[subject] = _Answered((Seen(reason=reason),), time.time())
    return answers
