"""What the page shows, as ``GET /api/state`` answers it."""

from __future__ import annotations

from msgspec import Struct

#: What can be wrong with a provider, beside ``none``.
FAULTS = ("throttle", "outage", "hang", "slow", "ignore")
WELL = "none"


class CachedUrl(Struct, frozen=True):
    """A URL at an edge.

    Attributes:
        url: as clients spell it.
        key: of the object behind it.
        cache: fresh, stale, soft (marked as stale: the next client makes the edge ask the origin) or none.
        version: number of the version that is cached; empty where that isn't known.
        age: seconds since it was fetched.
    """

    url: str
    key: str
    cache: str
    version: int | str = ""
    age: int = 0


class ProviderState(Struct, frozen=True):
    """A provider, and its simulated edge.

    Attributes:
        name, type: of the instance.
        faults: those that can be switched on.
        fault: the one that is.
        breaker: closed or open.
        calls: that the vendor's API has seen.
        targets: that it has accepted.
        price: what they cost, in words; empty where the vendor has no price.
        edge: what is cached of the objects that were uploaded last.
    """

    name: str
    type: str
    faults: tuple[str, ...]
    fault: str
    breaker: str
    calls: int
    targets: int
    price: str
    edge: tuple[CachedUrl, ...]


class ProviderProgress(Struct, frozen=True):
    """How far a change has come at a provider.

    Attributes:
        state: waiting, calling, requeued, accepted, finished, stale (an edge still has old bytes), unknown, superseded,
            dead or fresh.
        accepted: seconds from the change until the vendor accepted all that it asks for; None before.
        fresh: seconds until the new bytes were seen; where nobody verifies, until no client got old ones any more.
        attempts: invocations that have tried.
        reason: why it was not accepted at last, or what was seen at the edge.
        finished: seconds until the purge was done; None before, and where nothing waits for it.
        asked: whether the vendor said so; else its published time was over.
        purges: how many there were.
        verified: whether multicdn itself looks at the edge; else only this page does.
    """

    state: str
    accepted: float | None = None
    fresh: float | None = None
    attempts: int = 0
    reason: str = ""
    finished: float | None = None
    asked: bool = False
    purges: int = 1
    verified: bool = False


class UploadState(Struct, frozen=True):
    """A change of an object.

    Attributes:
        id: of the change.
        bucket, key: of the object.
        version: counted by us, from 1.
        at: when it happened, in seconds since 1970.
        kind: created or removed.
        providers: by the names of those that are told.
    """

    id: str
    bucket: str
    key: str
    version: int
    at: float
    kind: str
    providers: dict[str, ProviderProgress]


class WaitingJob(Struct, frozen=True):
    """A message in the queue, or a dead letter.

    Attributes:
        provider: empty for a change that wasn't read yet.
        action: purge, preload or change.
        targets: how many.
        first: one of them.
        attempt: invocations that have tried.
        age: seconds since the change.
        due: seconds until it is tried again; 0 for a dead letter.
        reason: why it waits.
    """

    provider: str
    action: str
    targets: int
    first: str
    attempt: int
    age: int
    due: int
    reason: str


class QueueState(Struct, frozen=True):
    """The queue and the dead letters; of each no more than the first messages are shown.

    Attributes:
        waiting, in_flight, delayed, dead: messages.
        jobs, dead_jobs: what they hold.
        looked_at: purges that were accepted and are looked at, which the others don't count.
        looks: those; ``due`` says when each is looked at next.
    """

    waiting: int = 0
    in_flight: int = 0
    delayed: int = 0
    dead: int = 0
    jobs: tuple[WaitingJob, ...] = ()
    dead_jobs: tuple[WaitingJob, ...] = ()
    looked_at: int = 0
    looks: tuple[WaitingJob, ...] = ()


class LogLine(Struct, frozen=True):
    """A record of the handler's log, as a person reads it."""

    at: float
    level: str
    text: str


class LocalState(Struct, frozen=True):
    """Everything.

    Attributes:
        config: path of the config file.
        s3: the line to type that uploads a file.
        started: seconds since 1970.
        buckets: that can be uploaded to.
        notes: what is otherwise here than in AWS: who is left out, waits that are shorter.
        providers, uploads, queue, log: uploads newest first, the log oldest first.
    """

    config: str
    s3: str
    started: float
    buckets: tuple[str, ...]
    notes: tuple[str, ...]
    providers: tuple[ProviderState, ...]
    uploads: tuple[UploadState, ...]
    queue: QueueState
    log: tuple[LogLine, ...]
