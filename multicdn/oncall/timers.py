"""What has to wait in a process that has no queue: looks, second purges, and purges of what was seen to be stale."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from multicdn.queue.retry import Requeue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.model import Job
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import Decision


class Timer(NamedTuple):
    """When something is due, in seconds since 1970."""

    due: float
    queued: QueuedJob


class Timers:
    """All timers, in the order in which they were set."""

    def __init__(self) -> None:
        self._all: list[Timer] = []

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._all)

    def set(self, steps: Iterable[Decision], now: float) -> None:
        """Set those of some decisions; what is given up was told by its note."""
        self._all += [Timer(_due(step, now), step.queued) for step in steps if isinstance(step, Requeue)]

    def drop(self, timers: Iterable[Timer]) -> None:
        """Forget those whose work has begun."""
        gone = set(map(id, timers))
        self._all = [timer for timer in self._all if id(timer) not in gone]

    def due(self, now: float) -> dict[str, list[Timer]]:
        """Those whose time has come, by instance."""
        found: dict[str, list[Timer]] = defaultdict(list)
        for timer in self._all:
            if timer.due <= now:
                found[timer.queued.job.instance].append(timer)
        return found

    def of(self, name: str) -> list[QueuedJob]:
        """What an instance waits with."""
        return [timer.queued for timer in self._all if timer.queued.job.instance == name]

    @property
    def has_calls(self) -> bool:
        """Whether a vendor is still to be called."""
        return any(timer.queued.look is None for timer in self._all)

    @property
    def owed(self) -> Iterator[Job]:
        """The calls that are part of what was asked for, and not only made since an edge is stale."""
        jobs = (timer.queued.job for timer in self._all if timer.queued.look is None)
        return (job for job in jobs if not is_repetition(job))


def is_repetition(job: Job) -> bool:
    """Whether a job purges again what was seen to be stale; the second of two by ``again`` does not."""
    return any(one and one.tries for one in job.sequels)


def _due(step: Requeue, now: float) -> float:
    """When a step is due. Delays are whole seconds, as SQS counts; a published time may be shorter than one."""
    look = step.queued.look
    return max(look.due, now) if look and not look.finished else now + step.delay
