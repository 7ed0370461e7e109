"""What flows through multicdn. Everything here is frozen, and knows nothing of clocks, networks or vendors.

AWS event -> Change -> Target -> Job -> Outcome -> Report
"""

from __future__ import annotations

import hashlib
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import is_seconds
from multicdn.provenance import Provenance
from multicdn.sequel import Sequel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


def is_text(value: object) -> bool:
    """Whether a value is text that has a UTF-8 form, as all that is sent must have; half a surrogate pair has none."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


class ChangeKind(StrEnum):
    """What happened to an object.

    ACCESS is a change of who may read it: its ACL, its tags, a restore from an archive that has ended or expired.
    """

    __hash__ = str.__hash__  # that of an enum is Python, and is asked several times for each object
    CREATED = "created"
    REMOVED = "removed"
    ACCESS = "access"


class Action(StrEnum):
    """What a CDN is asked to do."""

    __hash__ = str.__hash__  # as above
    PURGE = "purge"
    PRELOAD = "preload"


class TargetKind(StrEnum):
    """By what a CDN knows the things it is asked to purge."""

    __hash__ = str.__hash__  # as above
    URL = "url"
    PREFIX = "prefix"
    TAG = "tag"
    HOST = "host"
    EVERYTHING = "everything"


class Change(Struct, frozen=True, gc=False):
    """What happened to one object.

    Attributes:
        bucket: name of the bucket.
        key: the object's key, decoded: exactly the bytes that S3 stores, as text.
        kind: created, removed, or open to others than before.
        etag, version: the object's identity where S3 said it, else empty.
        sequencer: hexadecimal text that orders the events of one key, else empty.
        time: ISO 8601 time of the event as S3 wrote it, else empty.
        cause: id of the SQS message that it came in; empty for an event without a queue.
        principal, source_ip: who did it, and from where, as S3 says; else empty. For the log alone.
    """

    bucket: str
    key: str
    kind: ChangeKind = ChangeKind.CREATED
    etag: str = ""
    version: str = ""
    sequencer: str = ""
    time: str = ""
    cause: str = ""
    principal: str = ""
    source_ip: str = ""


class Target(Struct, frozen=True, gc=False, cache_hash=True):
    """What one CDN knows an object by, spelled as that CDN wants it.

    Attributes:
        kind: url, prefix, tag, host or everything.
        value: the URL, prefix, tag or host; empty for everything.
    """

    kind: TargetKind
    value: str


class Rank(IntEnum):
    """What a job has gone through in earlier invocations; new targets share calls with ``NEW`` ones alone.

    NEW: nothing: it is new, or came back before its vendor was called for it. TRIED: it was tried in vain, or held back
    for a refusal. ALONE: it was cut from a batch that failed as a whole, and shares its calls with nobody.
    """

    NEW = 0
    TRIED = 1
    ALONE = 2


class Job(Struct, frozen=True, gc=False):
    """One call to one provider.

    Attributes:
        provider: name of the provider instance.
        action: purge or preload.
        kind: the one kind that all targets have.
        targets: what to act on; never empty. Once the job is ``located``, they are spelled for the vendor, and no more
            than its limits allow.
        causes: for each target, the ids of the messages that asked for it.
        soft: whether to mark as stale rather than to drop.
        reference: text that is the same for the same batch of the same changes, and differs otherwise. Vendors that
            deduplicate requests (CloudFront's CallerReference) are given it. Empty where a change says nothing by
            which to tell it from the next one of its key.
        bucket: where the changes happened, for a job that is not ``located``; else empty.
        rank: what it has gone through.
        purges: for a preload that waits, the purges that must go before it, since they were not made yet.
        provenance: for each target, where it comes from; empty where nobody knows. For the log alone.
        sequels: for each target, what follows once it is purged, or None; empty where nothing does.
    """

    provider: str
    action: Action
    kind: TargetKind
    targets: tuple[str, ...]
    causes: tuple[frozenset[str], ...]
    soft: bool = False
    reference: str = ""
    bucket: str = ""
    rank: Rank = Rank.NEW
    purges: tuple[Job, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    sequels: tuple[Sequel | None, ...] = ()

    @property
    def instance(self) -> str:
        """Name of the configured instance: ``site`` of ``site/E8F6HK73EP0LT``, and of ``site``."""
        return self.provider.partition("/")[0]

    @property
    def part(self) -> str:
        """Name of what the instance was found to stand for: ``E8F6HK73EP0LT``; empty for the instance itself."""
        return self.provider.partition("/")[2]

    @property
    def located(self) -> bool:
        """Whether its targets are spelled for the vendor; if not, they are as routing spells them."""
        return not self.bucket

    @property
    def everything(self) -> bool:
        """Whether it is for all that the provider has; then its only target is an empty text."""
        return self.kind is TargetKind.EVERYTHING

    @property
    def described(self) -> tuple[str, ...]:
        """Its targets, for people to read."""
        return tuple(map(described, self.targets))

    @property
    def messages(self) -> frozenset[str]:
        """Ids of all the messages that asked for something in this job."""
        return frozenset().union(*self.causes)

    def halves(self) -> tuple[Job, Job]:
        """Both halves of this job. Only for a job of two targets or more."""
        return self.split(len(self.targets) // 2)

    def split(self, place: int) -> tuple[Job, Job]:
        """What is before a place, and the rest; neither may be nothing."""
        return self._part(range(place)), self._part(range(place, len(self.targets)))

    def without(self, refused: Iterable[str]) -> Job | None:
        """This job without some targets, or None where nothing is left."""
        gone = frozenset(refused)
        return self._kept(lambda target: target not in gone)

    def only(self, wanted: Iterable[str]) -> Job | None:
        """The part of this job that has these targets, or None where it has none of them."""
        return self._kept(frozenset(wanted).__contains__)

    def of_messages(self, messages: frozenset[str]) -> Job | None:
        """The part of this job that some messages asked for, or None where they asked for nothing of it."""
        asked = {target for target, causes in zip(self.targets, self.causes, strict=True) if causes & messages}
        return self._kept(asked.__contains__)

    def _kept(self, keep: Callable[[str], bool]) -> Job | None:
        places = [place for place, target in enumerate(self.targets) if keep(target)]
        if len(places) == len(self.targets):
            return self
        return self._part(places) if places else None

    def _part(self, places: Iterable[int]) -> Job:
        chosen = list(places)
        messages = frozenset().union(*(self.causes[place] for place in chosen)) if self.purges else frozenset()
        return Job(
            provider=self.provider,
            action=self.action,
            kind=self.kind,
            targets=tuple(self.targets[place] for place in chosen),
            causes=tuple(self.causes[place] for place in chosen),
            soft=self.soft,
            reference=self.reference and digest(self.reference, *map(str, chosen)),
            bucket=self.bucket,
            rank=self.rank,
            purges=tuple(part for purge in self.purges if (part := purge.of_messages(messages))),
            provenance=tuple(self.provenance[place] for place in chosen) if self.provenance else (),
            sequels=tuple(self.sequels[place] for place in chosen) if self.sequels else (),
        )


class Receipt(Struct, frozen=True):
    """What a vendor said when it accepted a call. Accepted is not finished, and finished is not fresh.

    Attributes:
        id: the vendor's id for the request, for its support desk, and for ``Confirm``; empty where it gives none.
        estimate: seconds until the vendor expects to be done, or None. Where it can't be asked, that is when a purge
            counts as finished.
        note: anything else that a reader of the report should know.
        pause: seconds to leave before the next call, where the answer says that the vendor's budget is used up.

    Raises:
        TypeError: a plugin hands over something else.
    """

    id: str = ""
    estimate: float | None = None
    note: str = ""
    pause: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what would go wrong later, and far from here."""
        if not (is_text(self.id) and is_text(self.note)):
            raise TypeError("the id and the note of a Receipt are texts")
        if not (self.estimate is None or is_seconds(self.estimate)):
            raise TypeError("the estimate of a Receipt is a number of seconds, or None")
        if not is_seconds(self.pause):
            raise TypeError("the pause of a Receipt is a number of seconds")


class Status(StrEnum):
    """How a job ended."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    PACED = "paced"
    REJECTED = "rejected"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    UNASKED = "unasked"
    STALE = "stale"


class Outcome(Struct, frozen=True):
    """A job and how it ended.

    Attributes:
        job: the job; after a batch was cut, only the part that this outcome is about.
        status: accepted; retry (it may succeed later); paced (the vendor was not called, since its rate allows it only
            later); rejected (these targets never will); refused (the settings are wrong: a person is needed);
            unauthorized (the credentials are, unless they are being rotated); unasked (the vendor was not called, since
            it had refused something else that stands for it); stale (accepted and finished, and an edge has old bytes).
        reason: why it was not accepted, in one sentence; empty when it was.
        receipt: what the vendor said, when it accepted.
        after: seconds until a retry makes sense, where the vendor said so.
        calls: how many calls to the vendor this took.
        throttled: how many of them the vendor answered by asking for a wait.
        seconds: how long it took, waiting included.
        final: whether another try makes no sense although it is none of these targets that is wrong.
        ended: seconds from the moment on at which the first call of the invocation could begin.
    """

    job: Job
    status: Status
    reason: str = ""
    receipt: Receipt = Receipt()
    after: float | None = None
    calls: int = 0
    seconds: float = 0.0
    final: bool = False
    throttled: int = 0
    ended: float = 0.0


class Report(Struct, frozen=True):
    """All outcomes of one invocation."""

    outcomes: tuple[Outcome, ...] = ()

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    @property
    def undelivered(self) -> tuple[Outcome, ...]:
        """Outcomes that weren't accepted."""
        return tuple(outcome for outcome in self.outcomes if outcome.status is not Status.ACCEPTED)

    @property
    def failed_messages(self) -> frozenset[str]:
        """Ids of the messages of which something stayed undelivered."""
        return frozenset().union(*(outcome.job.messages for outcome in self.undelivered))


def together(jobs: Sequence[Job]) -> Job:
    """Jobs that share provider, action, kind, softness, bucket and rank as one, which may be more than one call."""
    if len(jobs) == 1:
        return jobs[0]
    first, references = jobs[0], [job.reference for job in jobs]
    behind = all(job.provenance for job in jobs)
    followed = any(job.sequels for job in jobs)
    return Job(
        provider=first.provider,
        action=first.action,
        kind=first.kind,
        targets=tuple(target for job in jobs for target in job.targets),
        causes=tuple(causes for job in jobs for causes in job.causes),
        soft=first.soft,
        reference=digest(*references) if all(references) else "",
        bucket=first.bucket,
        rank=first.rank,
        purges=tuple({id(purge): purge for job in jobs for purge in job.purges}.values()),
        provenance=tuple(each for job in jobs for each in job.provenance) if behind else (),
        sequels=tuple(each for job in jobs for each in job.sequels or (None,) * len(job.targets)) if followed else (),
    )


def described(target: str) -> str:
    """A target for people to read: everything has no name of its own."""
    return target or "(everything)"


def digest(*parts: str) -> str:
    """A short, stable fingerprint of some texts; their order and their borders count."""
    # Where one of them has the sign in it, the repr of a tuple shows borders all the same.
    joined = repr(parts) if "\0" in "".join(parts) else "\0".join(parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest()[:32]
