"""Whether what an edge serves is an object as it is in S3 now, or as the event said, or newer. Pure.

Instruments, the strongest first: version id, a write number in the metadata, ETag, MD5, Last-Modified. Equality by any
of the first four proves the bytes, whatever the others say; difference is told by the strongest that both sides show.
Nothing is taken for fresh or stale that only might be.
"""

from __future__ import annotations

import math
import re
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from multicdn.proof import signs
from multicdn.proof.instruments import NO_VERSION, Known, Sign, compared, is_of_its_time, words
from multicdn.provenance import since_1970

if TYPE_CHECKING:
    from collections.abc import Collection

    from multicdn.aws.s3 import StoredObject
    from multicdn.sequel import Subject
    from multicdn.terms import Seen

State = Literal["fresh", "stale", "unknown", "superseded"]


class Verdict(Struct, frozen=True):
    """What was found out at an edge.

    Attributes:
        state: fresh (S3's bytes, or newer than the event), stale, unknown, or superseded (a newer change of the same
            object is on its way and answers for it).
        reason: one sentence, without secrets.
        seen: by what the edge's answer was told, and its age: ``ETag "abc", 312 s old``.
        expected: the same of S3's object.
        pop: name of the place; empty where it isn't known.
        age: seconds since the answer left its origin; None where nothing says.
    """

    state: State
    reason: str = ""
    seen: str = ""
    expected: str = ""
    pop: str = ""
    age: float | None = None


class _Case(NamedTuple):
    """All that a verdict is made of; ``purged`` and ``now`` as in ``judge``."""

    subject: Subject
    stored: StoredObject | None
    seen: Seen
    identity: str
    gone: frozenset[int]
    purged: float | None
    now: float


_GONE = frozenset((403, 404, 410))
_LOGIN = frozenset((401, 403, 407))

# Seconds. Age has whole ones, each cache rounds as it likes, and clocks differ.
_AGE_OFF = 2.0


def judge(
    subject: Subject,
    stored: StoredObject | None,
    seen: Seen,
    *,
    identity: str,
    removed_as: Collection[int] = (),
    purged: float | None,
    now: float,
) -> Verdict:
    """Judge an edge's answer.

    Args:
        subject: the object, as the event told of it.
        stored: the same in S3, asked when the answer had come; None where there is no such object.
        seen: the answer.
        identity: ``auto``, ``version``, ``etag``, ``md5``, ``modified`` or ``metadata:NAME``.
        removed_as: statuses that the site answers for removed objects, besides 403, 404 and 410.
        purged: when the vendor accepted the purge, in seconds since 1970; None where nothing was purged.
        now: when the answer came, in seconds since 1970.
    """
    case = _Case(subject, stored, seen, identity, _GONE | frozenset(removed_as), purged, now)
    closed = subject.gone and not _is_another(case)
    state, reason = _closed(case) if closed else _open(case)
    return Verdict(state, reason, _shown(case), _expected(case, closed=closed), seen.pop, signs.age(seen))


def wants_body(seen: Seen, subject: Subject) -> bool:
    """Whether only the MD5 of a body may tell: headers that would are absent, or of a server's own making."""
    if subject.gone or not 200 <= seen.status < 300 or "-" in subject.etag:
        return False
    return not seen.headers.get("x-amz-version-id") and not signs.is_of_s3(signs.core(seen.headers.get("etag", "")))


def _closed(case: _Case) -> tuple[State, str]:
    """An object that readers shall not have."""
    seen = case.seen
    status, fetched = seen.status, _fetched(case)
    if signs.refused(seen):
        return "unknown", _no_object(seen)
    if status in case.gone and (status >= 300 or fetched is not Sign.OTHER):
        return "fresh", f"answers {status}"
    if signs.is_error_document(seen):
        return "fresh", f"answers {status}{_PAGE}"
    if not 200 <= status < 400:
        return "unknown", _no_object(seen)
    if fetched is Sign.NEWER:
        return "fresh", f"answers {status}, fetched after the purge: what the site serves instead"
    if fetched is Sign.OTHER:
        return "stale", f"answers {status} for an object that is gone{_why(case)}"
    if status >= 300:
        return "unknown", _no_object(seen)
    doubt = "and may be what the site serves instead: if so, name this status in `removed_as`"
    return "unknown", f"answers {status} for an object that is gone, {_undated(case)}, {doubt}"


def _open(case: _Case) -> tuple[State, str]:
    """An object that readers shall have, unless it was removed since."""
    status, another = case.seen.status, _is_another(case)
    error_page = signs.is_error_document(case.seen)
    missing = error_page or (status in case.gone and not signs.refused(case.seen))
    if missing and (case.stored is None or case.subject.gone):
        return "fresh", f"answers {status}, and the object was removed"
    if 200 <= status < 300 and not error_page:
        state, reason = _told(case)
        return ("superseded", _SUPERSEDED) if another and state != "fresh" else (state, reason)
    old = _fetched(case) is Sign.OTHER
    if status not in (404, 410) and not error_page and not (old and signs.is_missing_in_s3(case.seen)):
        return "unknown", _no_object(case.seen)
    if another:
        return "superseded", _SUPERSEDED
    if old:
        return "stale", f"answers {status} for an object that is there{_why(case)}"
    return "unknown", f"the site doesn't serve it at this URL: it answers {status}{_PAGE * error_page}"


_PAGE = " with its page for errors"
_SUPERSEDED = "the object has changed again in S3, and that change is looked at by itself"


def _told(case: _Case) -> tuple[State, str]:
    """What the identity of a body says."""
    seen, stored = case.seen, case.stored
    made = signs.transformed(seen, stored.type, _size(stored)) if stored else signs.transformed(seen, "", None)
    if not made and case.identity == "auto":
        made = signs.rewritten(seen)
    in_s3 = compared(seen, _of_s3(stored), case.identity, made=bool(made)) if stored else None
    in_event = compared(seen, _of_event(case.subject), case.identity, made=bool(made))
    for told, whose in ((in_s3, "as in S3"), (in_event, "as the event says")):
        if told and told.sign is Sign.SAME:
            return "fresh", f"{told.by} {whose}"
    if in_s3 and in_s3.sign is Sign.NEWER:
        return "fresh", f"{in_s3.by} is newer than in S3"
    if _is_newer(case):
        return "fresh", "Last-Modified is later than the event"
    if in_s3 and stored and not case.subject.etag + case.subject.version and is_of_its_time(seen, stored.modified):
        return "unknown", "written in the same second as the object in S3, and the event didn't say which that was"
    if in_s3:
        return "stale", f"{in_s3.by} is not that of S3{_why(case)}"
    return "unknown", _untold(case, made)


def _of_s3(stored: StoredObject) -> Known:
    md5 = "" if stored.encoding else stored.md5
    return Known(stored.etag, stored.version, md5, _size(stored), stored.modified, stored.metadata)


def _of_event(subject: Subject) -> Known:
    """Its ETag may be no MD5, so that of a body proves it where it is the same, and nothing where it isn't."""
    return Known(subject.etag, subject.version, subject.etag)


def _size(stored: StoredObject) -> int | None:
    return None if stored.encoding else stored.size


def _is_another(case: _Case) -> bool:
    """Whether the object in S3 is another one than the event told of: it was written again, or removed, or came back.

    An object that was closed to readers is there still, written before. What came without a time, as of a batch
    operation, is told by its purge from what was written after that.
    """
    subject, stored = case.subject, case.stored
    if stored is None:
        return not subject.gone
    moment = since_1970(subject.time) or case.purged
    later = moment is not None and stored.modified >= math.floor(moment) + (not subject.gone)
    if subject.gone:
        return later
    if NO_VERSION not in (subject.version, stored.version) and subject.version and stored.version:
        return subject.version != stored.version
    if not (subject.etag and stored.etag):
        return later
    # The same bytes later were written by somebody, too, and others may have been there in between. But of a purge by
    # hand it is known what S3 had, and the clock of a laptop says nothing of what was written when.
    return subject.etag != stored.etag or (later and bool(subject.time))


def _is_newer(case: _Case) -> bool:
    """Whether the answer was written after the event.

    A time that is later than that of S3's object, too, may be of the site's own making, but for an ETag of S3's.
    """
    served, moment = signs.modified(case.seen), since_1970(case.subject.time)
    if case.identity not in ("auto", "modified") or served is None or moment is None or served <= moment:
        return False
    if case.stored is not None and served <= case.stored.modified:
        return True
    return signs.is_of_s3(signs.core(case.seen.headers.get("etag", "")))


def _fetched(case: _Case) -> Sign | None:
    """NEWER: the answer left its origin after the purge; OTHER: before; None where that can't be told."""
    age = signs.age(case.seen)
    if age is None or case.purged is None:
        return None
    since = case.now - case.purged
    return Sign.NEWER if age + 1 <= since else Sign.OTHER if age >= since + _AGE_OFF else None


def _no_object(seen: Seen) -> str:
    """Why there is nothing to compare."""
    if not seen.status:
        return seen.reason or "no answer"
    if why := signs.refused(seen):
        return f"refused by the CDN itself ({why}): it answers {seen.status}"
    if seen.status in _LOGIN:
        return f"login needed, or refused: it answers {seen.status}"
    if 300 <= seen.status < 400:
        # What follows may hold a token.
        where = re.split("[?#]", seen.headers.get("location", "nowhere"), maxsplit=1)[0]
        return f"redirects to {signs.short(where)} ({seen.status})"
    return f"answers {seen.status}"


def _untold(case: _Case, made: str) -> str:
    seen, stored = case.seen, case.stored
    if made:
        return f"transformed on its way ({made}), so its bytes can't be compared"
    if case.identity != "auto":
        return f"{words(case.identity)} can't be compared: {seen.reason or 'the answer or S3 does not say it'}"
    served = signs.modified(seen)
    if served is not None and stored and served == math.floor(stored.modified):
        differs = f"{seen.size} bytes where S3 has {stored.size}" if seen.size != stored.size else "another MD5"
        return f"Last-Modified as in S3, but {differs}"
    return "the answer shows no version id, ETag, MD5 or Last-Modified that compares with S3's"


def _undated(case: _Case) -> str:
    if case.purged is None or signs.age(case.seen) is None:
        return "doesn't say since when" if signs.age(case.seen) is None else "from before or after its removal"
    return "as old as the purge"


def _why(case: _Case) -> str:
    """What the edge sent that may say why it has this still."""
    fetched, told = _fetched(case), signs.told(case.seen)
    dated = {
        Sign.OTHER: "cached before the purge, which did not reach this copy or the one behind it",
        Sign.NEWER: "fetched after the purge, so what it fetched from was old: a shield, another CDN, another origin",
    }
    return "".join(f"; {each}" for each in (dated.get(fetched, "") if fetched else "", told) if each)


def _shown(case: _Case) -> str:
    seen = case.seen
    age = signs.age(seen)
    old = f", {age:.0f} s old" if age is not None else ""
    if not 200 <= seen.status < 300:
        return f"{seen.status}{old}" if seen.status else ""
    headers, (_, _, name) = seen.headers, case.identity.partition(":")
    told = (
        (f"x-amz-meta-{name}", headers.get(f"x-amz-meta-{name}", "") if name else ""),
        ("version", headers.get("x-amz-version-id", "") if case.identity == "version" else ""),
        ("MD5", seen.md5 if case.identity == "md5" else ""),
        ("ETag", headers.get("etag", "")),
        ("version", headers.get("x-amz-version-id", "")),
        ("MD5", seen.md5),
        ("Last-Modified", headers.get("last-modified", "")),
    )
    return next((f"{what} {signs.short(value)}" for what, value in told if value), str(seen.status)) + old


def _expected(case: _Case, *, closed: bool) -> str:
    stored, (_, _, name) = case.stored, case.identity.partition(":")
    if closed or stored is None:
        return " or ".join(map(str, sorted(case.gone)))
    if name and (written := stored.metadata.get(name, "")):
        return f"x-amz-meta-{name} {signs.short(written)}"
    if case.identity == "version" and stored.version:
        return f"version {stored.version}"
    if case.identity == "modified":
        return f"Last-Modified {formatdate(stored.modified, usegmt=True)}"
    etag = stored.etag or case.subject.etag
    return f'ETag "{etag}"' if etag else ""
