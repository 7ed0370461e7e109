"""What an invocation brought: changes, jobs that come back, and what of it could not be read."""

from __future__ import annotations

from msgspec import Struct

from multicdn.model import Change
from multicdn.queue.message import QueuedJob
from multicdn.queue.retry import MessageHistory
from multicdn.queue.waiting import Waiting


class Unreadable(Struct, frozen=True):
    """A message, or a record of one, that could not be read.

    Attributes:
        cause: id of the SQS message; empty without a queue.
        reason: what was wrong and what was seen.
    """

    cause: str
    reason: str


class Tasks(Struct, frozen=True):
    """The tasks of one invocation.

    Attributes:
        schema: version of the form, to be answered in the same.
        invocation: id of the invocation.
        ids: of the tasks, by the causes of their changes.
    """

    schema: str
    invocation: str
    ids: dict[str, str]


class Intake(Struct, frozen=True):
    """What an invocation brought.

    Attributes:
        changes: in the order of arrival.
        unreadable: what could not be read; its neighbours are in ``changes`` all the same.
        queued: whether it came from SQS, so that the reply names the failed messages.
        messages: ids of all SQS messages in the batch.
        queued_jobs: jobs of ours that come back from the queue; each names its message as its only cause.
        waiting: what messages have gone through whose changes waited in the queue, by their ids.
        sent: when each SQS message was sent, in seconds since 1970, where SQS said so.
        ignored: for how many events there is nothing to do, by their names.
        unknown: the same of those of which nobody knows what they mean.
        tasks: what S3 Batch Operations is to be answered; None for any other caller.
    """

    changes: tuple[Change, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    queued: bool = False
    messages: tuple[str, ...] = ()
    queued_jobs: tuple[QueuedJob, ...] = ()
    sent: dict[str, float] = {}
    waiting: dict[str, Waiting] = {}
    ignored: dict[str, int] = {}
    unknown: dict[str, int] = {}
    tasks: Tasks | None = None

    @property
    def history(self) -> MessageHistory:
        """What its messages have gone through."""
        jobs = {next(iter(queued.job.messages)): queued for queued in self.queued_jobs}
        by_message: dict[str, QueuedJob | Waiting] = {**jobs, **self.waiting}
        return MessageHistory(
            sent={**self.sent, **{cause: queued.since for cause, queued in by_message.items()}},
            attempts={cause: queued.attempt for cause, queued in by_message.items()},
            origins={cause: queued.origins for cause, queued in by_message.items()},
            refusals={cause: queued.refusals for cause, queued in jobs.items()},
        )

    @property
    def attempts(self) -> dict[str, int]:
        """How often the jobs that came back were tried, by instance: the most of each, once if they were paced."""
        attempts: dict[str, int] = {}
        for queued in (each for each in self.queued_jobs if not each.look):
            attempts[queued.job.instance] = max(1, queued.attempt, attempts.get(queued.job.instance, 0))
        return attempts
