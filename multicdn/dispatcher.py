"""From an event to the reply: the one place that knows all rooms."""

from __future__ import annotations

import logging
import math
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from multicdn import reporting
from multicdn.aws.s3 import Objects
from multicdn.config.settings import seconds as seconds_of
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.errors import Undelivered, told
from multicdn.events import envelopes
from multicdn.log import emit
from multicdn.model import Action, Outcome, Report, Status
from multicdn.planning.front import ObjectLookup, Spending, find_work
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.routing.router import Router
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from multicdn.config import Config
    from multicdn.config.settings import Retrying
    from multicdn.events.envelopes import Intake
    from multicdn.planning.front import Work
    from multicdn.plugins.discovery import Plugins
    from multicdn.queue.sender import RetryQueue
    from multicdn.routing.demand import RoutingFailure

# A message of a failed invocation names this many things; all of them are in the log.
_NAMED = 10


class Dispatcher:
    """Everything between an event and the reply, made once and used for many events.

    Args:
        config: the checked config.
        plugins: the installed plugins.
        delivery: made from the config unless given.
        retry_queue: makes the way to the queue, when a job has to wait; without it everything goes back to AWS.

    Attributes:
        settings: of the installation, from the config.
    """

    def __init__(
        self,
        config: Config,
        plugins: Plugins,
        delivery: Delivery | None = None,
        retry_queue: Callable[[], RetryQueue] | None = None,
    ) -> None:
        self.settings = config.install
        self._hooks = plugins.hooks
        self._router = Router(config.routes, config.providers, self._hooks.urls)
        # Without a queue what is left undelivered fails the invocation, and nothing is gained by ending it sooner.
        grace = seconds_of(config.delivery.grace) if retry_queue else math.inf
        self._delivery = delivery or Delivery(config.providers, Terms(concurrency=config.concurrency, grace=grace))
        self._objects = Objects()
        self._spending = Spending()
        self._retry_policy = _retry_policy(config.delivery)
        self._retry_queue = cache(retry_queue) if retry_queue else None

    def dispatch(self, event: object, seconds: float) -> dict[str, Any]:
        """Act on an event within so many seconds.

        Returns:
            For a batch from SQS, ``batchItemFailures`` with the messages that must come back. For a direct event, how
            many targets each provider accepted.

        Raises:
            Undelivered: a direct event of which something stayed undelivered.
        """
        until = time.monotonic() + seconds
        intake = envelopes.decode(event, self._hooks.read_event)
        work = self._find_work(intake, seconds)
        # What was tried least goes first: else one that fails each time would keep the others from their turn.
        returned = [queued.job for queued in sorted(intake.queued_jobs, key=lambda queued: queued.attempt)]
        report = self._delivery.deliver(work.demands, until - time.monotonic(), returned, _attempts(intake))
        # Before anything else, so that no hook that hangs can keep the function from writing it.
        left = self._requeue(intake, report)
        self._tell(intake, work.failures, report)
        return _reply(intake, work.failures, report, left)

    def _find_work(self, intake: Intake, seconds: float) -> Work:
        """What is to be done for the changes. What has to be asked of S3 first may take half of the time."""
        lookup = ObjectLookup(
            partial(self._objects.metadata, seconds=seconds / 4),
            self._objects.counter(_log_uncounted, seconds / 2),
        )
        spent = self._spending.in_month(time.strftime("%Y-%m"))
        work = find_work(self._router, self._delivery.providers, intake.changes, lookup, spent)
        for decision in work.decisions:
            reporting.log_collapse(decision)
        return work

    def _requeue(self, intake: Intake, report: Report) -> Report:
        """Let what was not delivered wait in the queue, and return what could not even be put there."""
        if self._retry_queue is None:
            # A preload that must wait for the end of its purge has no place to wait, and isn't worth another purge.
            return Report(tuple(outcome for outcome in report if not _is_put_off_preload(outcome)))
        if not report.undelivered:
            return report
        decisions = decide(report, _history(intake), self._retry_policy, time.time())
        try:
            failed = self._retry_queue().carry_out(decisions)
        except Exception as error:  # noqa: BLE001 - no SQS client could be made; then everything goes back to AWS
            emit(logging.ERROR, "requeue-failed", reason=told(error))
            return report
        reporting.log_decisions(decisions, failed)
        return Report(tuple(Outcome(each.queued.job, each.status, each.reason) for each in failed))

    def _tell(self, intake: Intake, failures: Iterable[RoutingFailure], report: Report) -> None:
        for message in intake.unreadable:
            reporting.log_unreadable(message)
        for failure in failures:
            reporting.log_unrouted(failure)
        reporting.log_report(report)
        reporting.show_to_plugins(report, self._hooks, _log_hook_bug)


def _is_put_off_preload(outcome: Outcome) -> bool:
    return outcome.job.action is Action.PRELOAD and outcome.status is Status.PACED


def _log_uncounted(error: Exception) -> None:
    emit(logging.WARNING, "not-counted", reason=str(error))


def _log_hook_bug(reason: str) -> None:
    emit(logging.ERROR, "plugin-bug", hook="multicdn_report", reason=reason)


def _history(intake: Intake) -> MessageHistory:
    by_message = {next(iter(queued.job.messages)): queued for queued in intake.queued_jobs}
    return MessageHistory(
        sent={**intake.sent, **{cause: queued.since for cause, queued in by_message.items()}},
        attempts={cause: queued.attempt for cause, queued in by_message.items()},
        origins={cause: queued.origins for cause, queued in by_message.items()},
        refusals={cause: queued.refusals for cause, queued in by_message.items()},
    )


def _attempts(intake: Intake) -> dict[str, int]:
    """How often the jobs that came back were tried, by instance: the most of each, once if they were paced."""
    attempts: dict[str, int] = {}
    for queued in intake.queued_jobs:
        attempts[queued.job.instance] = max(1, queued.attempt, attempts.get(queued.job.instance, 0))
    return attempts


def _retry_policy(retrying: Retrying) -> RetryPolicy:
    return RetryPolicy(
        give_up_after=seconds_of(retrying.give_up_after),
        first_delay=seconds_of(retrying.first_delay),
        longest_delay=seconds_of(retrying.longest_delay),
    )


def _reply(intake: Intake, failures: Iterable[RoutingFailure], report: Report, left: Report) -> dict[str, Any]:
    """What AWS is answered.

    Args:
        intake: of the event.
        failures: changes of which something could not be found out.
        report: of all that was delivered or not.
        left: the part of it that neither was delivered nor waits in the queue.

    Raises:
        Undelivered: as ``Dispatcher.dispatch`` does.
    """
    if intake.queued:
        failed = {message.cause for message in intake.unreadable}
        failed |= {failure.change.cause for failure in failures} | left.failed_messages
        # In the order of the batch, so that the same failure always reads the same.
        return {"batchItemFailures": [{"itemIdentifier": cause} for cause in intake.messages if cause in failed]}
    problems = list(_problems(intake, failures, left))
    if problems:
        more = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
        raise Undelivered("; ".join(problems[:_NAMED]) + more)
    return {"providers": reporting.summary(report)}


def _problems(intake: Intake, failures: Iterable[RoutingFailure], left: Report) -> Iterator[str]:
    for message in intake.unreadable:
        yield redact(message.reason)
    for failure in failures:
        yield redact(f"{failure.change.key}: {failure.reason}")
    for outcome in left.undelivered:
        job = outcome.job
        more = f" and {len(job.targets) - 1} more" if len(job.targets) > 1 else ""
        wanted = f"{job.provider}: {job.action} of {job.described[0]}{more}"
        yield redact(f"{wanted}: {outcome.status}: {outcome.reason}")
