"""From an event to the reply: the one place that knows all rooms."""

from __future__ import annotations

import logging
import math
import time
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn import metrics, preparation, reporting
from multicdn.aws.s3 import Objects
from multicdn.delivery.breaker import LONGEST_PAUSE
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.errors import told
from multicdn.events import envelopes
from multicdn.handover import Handover
from multicdn.log import emit
from multicdn.model import Report
from multicdn.planning.front import Holding, ObjectLookup, Spending, find_work, take_back
from multicdn.queue import waiting
from multicdn.queue.retry import RetryPolicy
from multicdn.records import Fates, ended, records
from multicdn.reply import reply
from multicdn.routing.durations import seconds as seconds_of
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multicdn.config import Config
    from multicdn.config.publish import Publish
    from multicdn.config.settings import Retrying
    from multicdn.events.intake import Intake
    from multicdn.handover import HandedOn, HeldOver
    from multicdn.model import Change, Job
    from multicdn.planning.front import Work
    from multicdn.plugins.chosen import ChosenPlugins
    from multicdn.plugins.discovery import Plugins
    from multicdn.proof.following import Following, FollowReport
    from multicdn.proof.ladder import Note
    from multicdn.publishing import Publisher
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import MessageHistory
    from multicdn.queue.sender import RetryQueue
    from multicdn.records import LogRecord
    from multicdn.routing.allowed import Allowed
    from multicdn.routing.router import Missing

# Seconds after the calls in which the queue must be written, for callers that don't say; and the part of them that is
# kept for the log and the reply.
_RESERVE, _REPLY = 1.0, 0.2

# Parts of the time of an invocation that S3 may take to say what it knows of deploys, and the queue to take what waits
# for one: before anything is called, so that it waits no longer than it must.
_ASKING, _HOLDING = 1 / 8, 1 / 8

_NO_PLACE = "routes with `settle` or `after` purge at once, since MULTICDN_QUEUE_URL names no queue to wait in"

# Seconds that plugins have for the report when nothing is left.
_SHORTEST_LOOK = 0.1

# Seconds that the end of an invocation takes for each target on a small function (512 MB have 0.29 of a processor),
# where none of them was delivered; and the part of the time that they may take up.
_PER_TARGET, _LARGEST_SHARE = 200e-6, 0.6


class Dispatcher:
    """Everything between an event and the reply, made once and used for many events.

    Args:
        config: the checked config.
        plugins: the installed plugins.
        delivery: made from the config unless given.
        retry_queue: makes the way to the queue; without it everything goes back to AWS.
        own_queue: URL of the queue from which jobs are taken.

    Attributes:
        settings: of the installation, from the config.
        on_measured: takes the measures of each invocation, and when it ended; in Lambda it writes them to the log.
        on_followed: takes what was found out about purges that are followed; nobody does in Lambda.
    """

    def __init__(
        self,
        config: Config,
        plugins: Plugins | ChosenPlugins,
        delivery: Delivery | None = None,
        retry_queue: Callable[[], RetryQueue] | None = None,
        own_queue: str = "",
    ) -> None:
        self.settings = config.install
        self._hooks = plugins.hooks
        self._audience = reporting.plugins_that_look(self._hooks, _log_hook_bug)
        self._publisher = _publisher(config.publish)
        self._subscribers = _subscribers(self._publisher)
        self.on_measured: Callable[[metrics.Measured, float], None] | None = None
        if metrics.is_wanted():
            self.on_measured = metrics.write
        self.on_followed: Callable[[Sequence[Note]], None] | None = None
        tiers = config.tiers if retry_queue is not None else None
        url_hook = self._hooks.urls if self._hooks.rewrites_urls else None
        self._router = Router(config.routes, config.providers, url_hook, config.places, tiers)
        self._config = config
        self._delivery = delivery or Delivery(config.providers, terms(config, queued=retry_queue is not None))
        self._objects = Objects()
        self._spending = Spending()
        self._retry_policy = _retry_policy(config.delivery)
        follows = self._router.has_sequels or any(tier.again for tier in config.tiers.values())
        self._handover = Handover(
            retry_queue, self._retry_policy, lambda: self._following, config.tiers, follows=follows
        )
        self._own_queue = own_queue
        if self._router.waits and retry_queue is None:
            emit(logging.WARNING, "config", warning=_NO_PLACE)

    @cached_property
    def _allowed(self) -> Allowed:
        """Made when a job comes back: where all goes well none does."""
        from multicdn.routing.allowed import Allowed

        return Allowed(self._config.routes, self._config.providers, rewritten=self._hooks.rewrites_urls)

    @cached_property
    def _following(self) -> Following:
        """Made when there is something to follow: most configs have nothing, and a message may be of an older one."""
        from multicdn.proof.following import Following

        rules, providers = self._router.verify, self._delivery.providers
        return Following(providers, self._config.tiers, rules, self._objects, self._config.concurrency)

    def prepare(self) -> None:
        """Load and make what the first event needs, before it. What fails or takes long is logged, and done by it."""
        parts = (self._handover, self._publisher, self._objects, lambda: self._following, self._delivery)
        preparation.take(preparation.steps(self._config, *parts))

    def dispatch(self, event: object, seconds: float, reserve: float = _RESERVE) -> dict[str, Any]:
        """Act on an event.

        Args:
            event: from AWS.
            seconds: that there are for it.
            reserve: seconds that there are besides, to write the queue. Where there is much that may have to wait, a
                part of the others is kept for it, too.

        Returns:
            For a batch from SQS, ``batchItemFailures`` with the messages that must come back. For S3 Batch Operations,
            a result for each task. For a direct event, how many targets each provider accepted.

        Raises:
            Undelivered: a direct event of which something stayed undelivered.
        """
        began = time.monotonic()
        until = began + seconds
        intake = envelopes.decode(event, self._hooks.read_event, self._own_queue)
        history, end = intake.history, until + reserve - _REPLY
        holding = self._hold(intake, history, seconds * _ASKING)
        history = msgspec.structs.replace(history, sent={**history.sent, **dict.fromkeys(holding.going, time.time())})
        held = self._handover.wait(holding.groups, seconds * _HOLDING)
        work = self._find_work(intake, holding.missing, began + seconds / 2 - time.monotonic())
        returned = take_back(self._router, lambda job: self._allowed.refusal(job), intake.queued_jobs, intake.changes)
        unmatched = [change for change in intake.changes if not self._router.acts_on(change)]
        looks = returned.looks
        left_seconds = until - time.monotonic()
        kept = min(
            left_seconds * _LARGEST_SHARE, _PER_TARGET * _size(work, [*returned.jobs, *(each.job for each in looks)])
        )
        calling = time.time()
        pursuit = self._following.begin(looks, left_seconds - kept) if looks else None
        report = self._delivery.deliver(work.demands, left_seconds - kept, returned.jobs, intake.attempts)
        report = Report((*report.outcomes, *returned.refused))
        # Before any line of the log and any hook, so that nothing can keep the function from writing it.
        sent = self._handover.jobs(report, pursuit, history, calling, end)
        if self.on_followed is not None:
            self.on_followed(sent.notes)
        told_of = _told(looks, sent.notes)
        unrouted = held.joined(self._handover.incomplete(work.failures, history, end))
        if self.on_measured is not None:
            try:
                ending = self._ending(intake, report, sent, unrouted, len(unmatched), history, calling)
                followed = told_of.measures if told_of else {}
                ending = msgspec.structs.replace(ending, followed=followed, going=holding.going)
                self.on_measured(metrics.measure(ending, self._delivery.providers), ending.now)
            except Exception as error:  # noqa: BLE001 - such as a plugin's own price; the reply doesn't depend on it
                emit(logging.ERROR, "not-measured", reason=told(error))
        reporting.log_gone(returned.gone)
        found = ended(report, Fates(sent.decisions, sent.failed, sent.left), history, time.time())
        said = [*records(found), *(told_of.records if told_of else ())]
        self._tell(intake, work, holding, said, sent, unrouted, unmatched)
        counts = told_of.counts if told_of else {}
        reporting.log_invocation(intake, found, len(unmatched), time.monotonic() - began, counts)
        if self._audience is not None:
            self._audience.see(report, seconds=max(_SHORTEST_LOOK, end - time.monotonic()))
        if self._subscribers is not None:
            self._subscribers.see(said, seconds=max(_SHORTEST_LOOK, end - time.monotonic()))
        return reply(intake, unrouted.left, report, sent.left)

    def _hold(self, intake: Intake, history: MessageHistory, seconds: float) -> Holding:
        """Which changes wait for the rest of their deploy, by what S3 says within so many seconds."""
        missing: Missing = {cause: frozenset(each.missing) for cause, each in intake.waiting.items()}
        if not (self._handover.has_queue and self._router.waits):
            return Holding(missing)
        from multicdn.aws.uploads import Uploads
        from multicdn.planning import deploys

        lookup = Uploads(self._objects, _log_unlisted, seconds)
        return deploys.hold(self._router, intake.changes, missing, history, lookup, self._retry_policy, time.time())

    def _find_work(self, intake: Intake, missing: Missing, seconds: float) -> Work:
        """What is to be done for the changes. What has to be asked of S3 first may take so many seconds."""
        lookup = ObjectLookup(
            partial(self._objects.metadata, seconds=seconds / 2),
            self._objects.counter(_log_uncounted, seconds),
        )
        spent = self._spending.in_month(time.strftime("%Y-%m"))
        return find_work(self._router, self._delivery.providers, intake.changes, lookup, spent, missing=missing)

    def _ending(
        self,
        intake: Intake,
        report: Report,
        sent: HandedOn,
        unrouted: HeldOver,
        unmatched: int,
        history: MessageHistory,
        calling: float,
    ) -> metrics.Ending:
        now, unsent = time.time(), set(map(id, sent.failed))
        waits = {failure.change.cause: 0.0 for failure in unrouted.left}
        incomplete = (group for group in unrouted.groups if group.status == waiting.INCOMPLETE)
        waits |= {change.cause: float(group.delay or 0) for group in incomplete for change in group.changes}
        return metrics.Ending(
            report=report,
            decisions=[decision for decision in sent.decisions if id(decision) not in unsent],
            returned=sent.late,
            incomplete=waits,
            unrouted=unmatched,
            unreadable=len(intake.unreadable),
            open_breakers=self._delivery.open_breakers,
            times=metrics.event_times(intake.changes, history.sent, now),
            began=calling,
            now=now,
        )

    def _tell(
        self,
        intake: Intake,
        work: Work,
        holding: Holding,
        said: Iterable[LogRecord],
        sent: HandedOn,
        unrouted: HeldOver,
        unmatched: Sequence[Change],
    ) -> None:
        for trouble in dict.fromkeys(filter(None, (sent.trouble, unrouted.trouble))):
            emit(logging.ERROR, "requeue-failed", reason=trouble)
        for decision in work.decisions:
            reporting.log_collapse(decision)
        reporting.log_unreadable(intake.unreadable)
        reporting.log_unmatched(unmatched, covered=sum(map(self._router.covers, unmatched)))
        routed = (change for change in intake.changes if change not in holding.changes)
        reporting.log_untargeted(self._router.untargeted(routed))
        reporting.log_ignored(intake)
        reporting.log_incomplete(unrouted.groups, unrouted.failed, unrouted.left)
        reporting.log_released(holding.released)
        reporting.log_records(said)


def _size(work: Work, returned: Iterable[Job]) -> int:
    """Targets that may have to wait in the queue."""
    return sum(len(demand.wants) for demand in work.demands) + sum(len(job.targets) for job in returned)


def _log_unlisted(level: int, reason: str) -> None:
    emit(level, "not-listed", reason=reason)


def _told(looks: Sequence[QueuedJob], notes: Sequence[Note]) -> FollowReport | None:
    """What there is to tell of purges that are followed, if there are any."""
    if not (looks or notes):
        return None
    from multicdn.proof.following import told

    return told(looks, notes)


def _log_uncounted(error: Exception) -> None:
    emit(logging.WARNING, "not-counted", reason=str(error))


def _publisher(publish: Publish) -> Publisher | None:
    """Who tells other systems; None where the config names none."""
    if not publish.to:
        return None
    from multicdn.publishing import Publisher

    return Publisher(publish)


def _subscribers(publisher: Publisher | None) -> reporting.Audience | None:
    return reporting.Audience("`publish`", publisher.tell, _log_unpublished) if publisher is not None else None


def _log_unpublished(reason: str) -> None:
    emit(logging.WARNING, "publish-failed", reason=reason)


def _log_hook_bug(reason: str) -> None:
    emit(logging.ERROR, "plugin-bug", hook="multicdn_report", reason=reason)


def terms(config: Config, *, queued: bool) -> Terms:
    """How hard to try. Without a queue what is left fails the invocation, and nothing is gained by ending it sooner."""
    return Terms(
        concurrency=config.concurrency,
        grace=seconds_of(config.delivery.grace) if queued else math.inf,
        longest_pause=min(LONGEST_PAUSE, seconds_of(config.delivery.longest_delay)),
    )


def _retry_policy(retrying: Retrying) -> RetryPolicy:
    return RetryPolicy(
        give_up_after=seconds_of(retrying.give_up_after),
        first_delay=seconds_of(retrying.first_delay),
        longest_delay=seconds_of(retrying.longest_delay),
    )
