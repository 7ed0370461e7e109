"""Jobs as messages: what could not be delivered waits in the queue, a message for each job of one provider.

A message is JSON, so that a person can read it in the console. From 64 KiB on, where SQS begins to charge for a second
request, the targets are packed. None is larger than 256 KiB: docs.aws.amazon.com/AWSSimpleQueueService/latest/
SQSDeveloperGuide/quotas-messages.html (newer queues take a megabyte, older ones don't).
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from multicdn.errors import EventError
from multicdn.model import Action, Job, Rank, TargetKind, is_text
from multicdn.provenance import Provenance, condensed, joined
from multicdn.sequel import Moment, Sequel, depth

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The member by which a message is known as ours; its value is the version of its form.
MARK = "multicdn"
VERSION = 1

# Of 256 KiB, with room for the attributes of a dead letter.
LARGEST = 240 * 1024

_CHARGED_TWICE = 64 * 1024

# Few URLs shrink to less than a quarter: more characters than this are halved at once, since packing takes its time.
_MOST_PACKED = 1024 * 1024
_MOST_TARGETS = 100_000

# Bytes: characters of up to four, and quotes and a comma for each target. What unpacks to more was made to hurt.
_MOST_UNPACKED = 4 * _MOST_PACKED + 3 * _MOST_TARGETS
# What follows a target names it again, with its object, and what other providers do for it.
_MOST_UNPACKED_SEQUELS = 16 * _MOST_PACKED

# Characters of them beside URLs and keys.
_AROUND_SUBJECT, _AROUND_THEN = 220, 90

# Providers that wait for each other: more in a row were made to hurt.
_DEEPEST = 32

# Ids of the first messages that asked for a job; enough to find the uploads in a log.
_MOST_ORIGINS = 10


class Look(Struct, frozen=True, omit_defaults=True):
    """A purge that a vendor has accepted, and that is followed until it is finished, and seen to be fresh.

    All times are in seconds since 1970.

    Attributes:
        accepted: when the vendor had accepted it.
        due: when it is finished by the vendor's published time, or is asked about next.
        receipts: the vendor's ids of the requests that it can be asked about; empty where the published time counts.
        finished: when it was found to be finished, else 0.
        asked: whether the vendor itself said so; else its published time was over.
        times: how often was looked, since the purge was accepted or finished.
        heard: when the vendor last said that it isn't, else 0.
    """

    accepted: Moment
    due: Moment
    receipts: tuple[str, ...] = ()
    finished: Moment = 0.0
    asked: bool = False
    times: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    heard: Moment = 0.0


class QueuedJob(Struct, frozen=True):
    """A job that waits in the queue.

    Attributes:
        job: what is to be done, or was done and is looked at.
        attempt: how many invocations have tried it in vain.
        since: when the newest message that asked for it was sent, in seconds since 1970.
        origins: ids of the first messages that asked for it, some of them if they were many.
        refusals: how many invocations met a refusal that was about it, be it for the credentials or for its kind.
        look: how far it is, if a vendor has accepted it; a job that is still to be done has none.
    """

    job: Job
    attempt: int
    since: float
    origins: tuple[str, ...] = ()
    refusals: int = 0
    look: Look | None = None


class _Purge(Struct, frozen=True, omit_defaults=True):
    """A purge that goes before a preload; its members are those of a message."""

    provider: str
    kind: TargetKind
    targets: tuple[str, ...] = ()
    soft: bool = False
    bucket: str = ""
    packed: str = ""


class _Message(Struct, frozen=True, omit_defaults=True):
    multicdn: int
    provider: str
    action: Action
    kind: TargetKind
    attempt: int
    since: Moment
    reference: str = ""
    soft: bool = False
    bucket: str = ""
    targets: tuple[str, ...] = ()
    packed: str = ""
    origins: tuple[str, ...] = ()
    refusals: int = 0
    alone: bool = False
    purges: tuple[_Purge, ...] = ()
    behind: Any = None
    sequels: tuple[Sequel | None, ...] = ()
    packed_sequels: str = ""
    look: Look | None = None


class _Behind(Struct, frozen=True, omit_defaults=True):
    """Where the targets of a message come from: a few groups, and for each target the digit of its own."""

    groups: tuple[Provenance, ...]
    places: str = ""


_Part = TypeVar("_Part", _Message, _Purge)
_Thing = TypeVar("_Thing")


def encode(queued: QueuedJob, largest: int = LARGEST) -> Iterator[str]:
    """The messages that hold a queued job: one, or several if one would have more bytes than ``largest``."""
    job, weight = queued.job, _weight(queued.job)
    halves = _halves(job)
    if not halves or (len(job.targets) <= _MOST_TARGETS and weight <= _MOST_PACKED):
        body = _encoded(queued, weight)
        if len(body) > largest and len(job.targets) == 1:
            body = _encoded(msgspec.structs.replace(queued, job=msgspec.structs.replace(job, provenance=())), weight)
        if len(body) <= largest or not halves:
            yield body
            return
    for half in halves:
        yield from encode(msgspec.structs.replace(queued, job=half), largest)


def _halves(job: Job) -> tuple[Job, ...]:
    """Both halves of a job; of one with a single target those of what follows it. None where it can't be parted.

    A tag, or a prefix in the place of thousands of URLs, is followed by more than one message holds.
    """
    if len(job.targets) > 1:
        return job.halves()
    sequel = job.sequels[0] if job.sequels else None
    if sequel is None or max(len(sequel.subjects), len(sequel.then)) <= 1:
        return ()
    parts = zip(_parted(sequel.subjects), _parted(sequel.then), strict=True)
    return tuple(
        msgspec.structs.replace(
            job, reference="", sequels=(msgspec.structs.replace(sequel, subjects=subjects, then=then),)
        )
        for subjects, then in parts
    )


def _parted(things: tuple[_Thing, ...]) -> tuple[tuple[_Thing, ...], tuple[_Thing, ...]]:
    """Both halves; a single one is in both, so that who waits for it to be fresh does so in either."""
    middle = len(things) // 2
    return (things[:middle], things[middle:]) if middle else (things, things)


def _weight(job: Job) -> int:
    """About how many characters a message has that isn't packed: to write one that is too large takes its time."""
    return sum(map(len, job.targets)) + sum(_heft(sequel) for sequel in job.sequels if sequel)


def _heft(sequel: Sequel) -> int:
    looked_at = sum(_AROUND_SUBJECT + len(each.url) + len(each.key) for each in sequel.subjects)
    following = (_AROUND_THEN + sum(len(value) for _, value in one.targets) for one in sequel.then)
    return looked_at + sum(following) + sum(_heft(one.sequel) for one in sequel.then if one.sequel)


def decode(content: dict[str, Any], cause: str) -> QueuedJob:
    """Read a message of ours.

    Args:
        content: the parsed body; it has the member ``multicdn``.
        cause: id of the message, for the job to name as its only cause.

    Raises:
        EventError: the message is damaged, or of a newer version.
    """
    if content.get(MARK) != VERSION:
        raise EventError(f"a queued job of form {content.get(MARK)!r}, and this multicdn knows {VERSION}; upgrade it")
    try:
        read = msgspec.convert(content, _Message)
        targets = _targets_of(read)
        behind = _provenance(read.behind, len(targets))
        purges = tuple(_read_purge(purge, cause, behind) for purge in read.purges)
        sequels = _sequels_of(read, len(targets))
    except (msgspec.ValidationError, msgspec.DecodeError, ValueError, zlib.error, RecursionError) as error:
        raise EventError(f"a queued job that can't be read: {error}") from None
    causes = (frozenset((cause,)),) * len(targets)
    rank = Rank.TRIED if read.attempt or read.refusals else Rank.NEW
    rank = Rank.ALONE if read.alone else rank
    shared = (read.provider, read.action, read.kind, targets, causes, read.soft, read.reference, read.bucket, rank)
    job = Job(*shared, purges, behind, sequels)
    return QueuedJob(job, read.attempt, read.since, read.origins, read.refusals, read.look)


def _read_purge(read: _Purge, cause: str, behind: tuple[Provenance, ...]) -> Job:
    targets = _targets_of(read)
    causes = (frozenset((cause,)),) * len(targets)
    shared = (read.provider, Action.PURGE, read.kind, targets, causes, read.soft)
    provenance = (joined(behind),) * len(targets) if behind else ()
    return Job(*shared, bucket=read.bucket, rank=Rank.TRIED, provenance=provenance)


def _provenance(content: object, targets: int) -> tuple[Provenance, ...]:
    """Where each target comes from. It is for the log alone: what is damaged in it must not cost the job."""
    if content is None:
        return ()
    try:
        read = msgspec.convert(content, _Behind)
        groups = [read.groups[int(place)] for place in read.places] or [read.groups[0]] * targets
    except (msgspec.ValidationError, ValueError, IndexError):
        return ()
    return tuple(groups) if len(groups) == targets else ()


def _behind(job: Job) -> _Behind | None:
    if not job.provenance:
        return None
    groups, places = condensed(job.provenance)
    return _Behind(groups, "".join(map(str, places)) if len(groups) > 1 else "")


def _written(purges: Iterable[Job]) -> tuple[_Purge, ...]:
    """Each target once, and those together that share all else."""
    alike: dict[tuple[str, TargetKind, bool, str], dict[str, None]] = {}
    for purge in purges:
        shared = (purge.provider, purge.kind, purge.soft, purge.bucket)
        alike.setdefault(shared, {}).update(dict.fromkeys(purge.targets))
    return tuple(
        _Purge(provider, kind, tuple(targets), soft, bucket)
        for (provider, kind, soft, bucket), targets in alike.items()
    )


def shortened(ids: frozenset[str]) -> tuple[str, ...]:
    """As many ids as a message has room for, in an order that doesn't change from run to run."""
    return tuple(sorted(filter(None, ids))[:_MOST_ORIGINS])


def _encoded(queued: QueuedJob, weight: int) -> str:
    job = queued.job
    message = _Message(
        multicdn=VERSION,
        provider=job.provider,
        action=job.action,
        kind=job.kind,
        attempt=queued.attempt,
        since=round(queued.since, 3),
        reference=job.reference,
        soft=job.soft,
        bucket=job.bucket,
        targets=job.targets,
        origins=queued.origins,
        refusals=queued.refusals,
        alone=job.rank is Rank.ALONE,
        purges=_written(job.purges),
        behind=_behind(job),
        sequels=job.sequels,
        look=queued.look,
    )
    body = _text(message) if weight <= 2 * _CHARGED_TWICE else ""
    if not body or len(body) > _CHARGED_TWICE:
        purges = tuple(map(_with_targets_packed, message.purges))
        packed = _with_targets_packed(_with_sequels_packed(message))
        body = _text(msgspec.structs.replace(packed, purges=purges))
    return body


def _text(message: _Message) -> str:
    """JSON in ASCII: SQS refuses some characters, and counts bytes."""
    return json.dumps(msgspec.to_builtins(message), separators=(",", ":"))


def _with_targets_packed(part: _Part) -> _Part:
    return msgspec.structs.replace(part, targets=(), packed=_packed(part.targets))


def _with_sequels_packed(message: _Message) -> _Message:
    if not message.sequels:
        return message
    return msgspec.structs.replace(message, sequels=(), packed_sequels=_packed(message.sequels))


def _packed(content: tuple[object, ...]) -> str:
    return base64.b64encode(zlib.compress(msgspec.json.encode(content))).decode()


def _unpacked(packed: str, most: int = _MOST_UNPACKED) -> bytes:
    stream = zlib.decompressobj()
    content = stream.decompress(base64.b64decode(packed, validate=True), most)
    if not stream.eof:
        raise ValueError(f"its targets are damaged, or more than {most:,} bytes")
    return content


def _sequels_of(read: _Message, targets: int) -> tuple[Sequel | None, ...]:
    """What follows each target.

    Raises:
        ValueError: it isn't said of each, or has no end.
    """
    if not read.packed_sequels:
        sequels = read.sequels
    else:
        content = _unpacked(read.packed_sequels, _MOST_UNPACKED_SEQUELS)
        sequels = msgspec.json.decode(content, type=tuple[Sequel | None, ...])
    if sequels and len(sequels) != targets:
        raise ValueError(f"it says of {len(sequels):,} of {targets:,} targets what follows")
    if any(depth(sequel, _DEEPEST) >= _DEEPEST for sequel in sequels):
        raise ValueError(f"more than {_DEEPEST} providers wait for each other")
    if not all(is_text(text) for sequel in sequels for text in _texts(sequel)):
        raise ValueError("something in it is no text")
    return sequels or (() if read.look is None else (None,) * targets)


def _texts(sequel: Sequel | None) -> Iterator[str]:
    for subject in sequel.subjects if sequel else ():
        yield from (subject.url, subject.bucket, subject.key)
    for one in sequel.then if sequel else ():
        yield from (one.provider, one.bucket, *(value for _, value in one.targets))
        yield from _texts(one.sequel)


def _targets_of(part: _Message | _Purge) -> tuple[str, ...]:
    """The targets, if one of our jobs can have them.

    Raises:
        ValueError: there are none, or too many, or one is empty: at some vendors that means everything.
    """
    targets = msgspec.json.decode(_unpacked(part.packed), type=tuple[str, ...]) if part.packed else part.targets
    if not targets:
        raise ValueError("it has no targets")
    if len(targets) > 2 * _MOST_TARGETS:
        raise ValueError(f"it has {len(targets):,} targets")
    if part.kind is not TargetKind.EVERYTHING and not all(map(str.strip, targets)):
        raise ValueError("one of its targets is empty")
    if not all(map(is_text, targets)):
        raise ValueError("one of its targets is no text")
    return targets
