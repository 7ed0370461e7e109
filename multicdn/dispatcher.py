"""From an event to the reply: the one place that knows all rooms."""

from __future__ import annotations

import logging
import math
import time
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from multicdn import metrics, reporting
from multicdn.aws.s3 import Objects
from multicdn.delivery.breaker import LONGEST_PAUSE
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.errors import told
from multicdn.events import envelopes
from multicdn.log import emit
from multicdn.model import Action, Job, Outcome, Report, Status, TargetKind
from multicdn.planning.front import Holding, ObjectLookup, Spending, find_work, without_gone
from multicdn.queue import waiting
from multicdn.queue.retry import MessageHistory, RetryPolicy, decide
from multicdn.records import Fates, ended, records
from multicdn.reply import reply
from multicdn.routing.allowed import Allowed
from multicdn.routing.demand import RoutingFailure
from multicdn.routing.durations import seconds as seconds_of
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.config import Config
    from multicdn.config.publish import Publish
    from multicdn.config.settings import Retrying
    from multicdn.events.intake import Intake
    from multicdn.model import Change
    from multicdn.planning.front import Work
    from multicdn.plugins.discovery import Plugins
    from multicdn.proof.following import Following, FollowReport
    from multicdn.proof.ladder import Note
    from multicdn.proof.pursuit import Pursuit
    from multicdn.publishing import Publisher
    from multicdn.queue.message import QueuedJob
    from multicdn.queue.retry import Decision
    from multicdn.queue.sender import RetryQueue
    from multicdn.queue.waiting import Waiting
    from multicdn.records import LogRecord
    from multicdn.routing.router import Missing

# Seconds after the calls in which the queue must be written, for callers that don't say; and the part of them that is
# kept for the log and the reply.
_RESERVE, _REPLY = 1.0, 0.2

# Parts of the time of an invocation that S3 may take to say what it knows of deploys, and the queue to take what waits
# for one: before anything is called, so that it waits no longer than it must.
_ASKING, _HOLDING = 1 / 8, 1 / 8

_NO_PLACE = "routes with `settle` or `after` purge at once, since MULTICDN_QUEUE_URL names no queue to wait in"

_UNSENT = "what follows it could not be sent to the queue"

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
        plugins: Plugins,
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
        self._router = Router(config.routes, config.providers, self._hooks.urls, config.places, tiers)
        self._tiers = config.tiers
        self._concurrency = config.concurrency
        self._follows = retry_queue is not None and (
            self._router.has_sequels or any(tier.again for tier in config.tiers.values())
        )
        self._delivery = delivery or Delivery(config.providers, terms(config, queued=retry_queue is not None))
        self._objects = Objects()
        self._spending = Spending()
        self._retry_policy = _retry_policy(config.delivery)
        self._retry_queue = cache(retry_queue) if retry_queue else None
        self._own_queue = own_queue
        self._allowed = Allowed(config.routes, config.providers, rewritten=self._hooks.rewrites_urls)
        if self._router.waits and retry_queue is None:
            emit(logging.WARNING, "config", warning=_NO_PLACE)

    @cached_property
    def _following(self) -> Following:
        """Made when there is something to follow: most configs have nothing, and a message may be of an older one."""
        from multicdn.proof.following import Following

        rules, providers = self._router.verify, self._delivery.providers
        return Following(providers, self._tiers, rules, self._objects, self._concurrency)

    def prepare(self) -> None:
        """Make what the end of an event needs now, before the first: to load boto3 takes longer than the end has."""
        if self._retry_queue is not None:
            try:
                self._retry_queue()
            except Exception as error:  # noqa: BLE001 - it is tried again when it is needed; purges don't depend on it
                emit(logging.ERROR, "requeue-failed", reason=told(error))
        if self._publisher is not None:
            try:
                self._publisher.prepare()
            except Exception as error:  # noqa: BLE001 - as above
                _log_unpublished(told(error))

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
        history, end = _history(intake), until + reserve - _REPLY
        holding = self._hold(intake, history, seconds * _ASKING)
        history = msgspec.structs.replace(history, sent={**history.sent, **dict.fromkeys(holding.going, time.time())})
        held = self._wait(holding.groups, seconds * _HOLDING)
        work = self._find_work(intake, holding.missing, began + seconds / 2 - time.monotonic())
        returned, refused = self._returned(intake)
        returned, gone = without_gone(self._router, returned, intake.changes)
        unmatched = [change for change in intake.changes if not self._router.acts_on(change)]
        looks = [queued for queued in intake.queued_jobs if queued.look and not self._refusal(queued)]
        left_seconds = until - time.monotonic()
        kept = min(left_seconds * _LARGEST_SHARE, _PER_TARGET * _size(work, [*returned, *(each.job for each in looks)]))
        calling = time.time()
        pursuit = self._following.begin(looks, left_seconds - kept) if looks else None
        report = self._delivery.deliver(work.demands, left_seconds - kept, returned, _attempts(intake))
        report = Report((*report.outcomes, *refused))
        # Before any line of the log and any hook, so that nothing can keep the function from writing it.
        sent = self._requeue(report, pursuit, history, calling, end)
        if self.on_followed is not None:
            self.on_followed(sent.notes)
        told_of = _told(looks, sent.notes)
        unrouted = held.joined(self._requeue_unrouted(work.failures, history, end))
        if self.on_measured is not None:
            try:
                ending = self._ending(intake, report, sent, unrouted, len(unmatched), history, calling)
                ending = ending._replace(followed=told_of.measures if told_of else {}, going=holding.going)
                self.on_measured(metrics.measure(ending, self._delivery.providers), ending.now)
            except Exception as error:  # noqa: BLE001 - such as a plugin's own price; the reply doesn't depend on it
                emit(logging.ERROR, "not-measured", reason=told(error))
        reporting.log_gone(gone)
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

    def _returned(self, intake: Intake) -> tuple[list[Job], list[Outcome]]:
        """The jobs that came back, and how those end that ask for more than any route could."""
        jobs, refused = [], []
        # What was tried least goes first: else one that fails each time would keep the others from their turn.
        for queued in sorted(intake.queued_jobs, key=lambda queued: queued.attempt):
            reason = self._refusal(queued)
            if reason:
                reason = f"not done, since it came from the queue: {reason}"
                refused.append(Outcome(queued.job, Status.REFUSED, reason, final=True))
            elif not queued.look:
                jobs.append(queued.job)
        return jobs, refused

    def _hold(self, intake: Intake, history: MessageHistory, seconds: float) -> Holding:
        """Which changes wait for the rest of their deploy, by what S3 says within so many seconds."""
        missing: Missing = {cause: frozenset(each.missing) for cause, each in intake.waiting.items()}
        if self._retry_queue is None or not self._router.waits:
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

    def _refusal(self, queued: QueuedJob) -> str:
        """Why a job from the queue, or the URLs that it is looked at by, are nothing that a route could ask for."""
        urls = tuple({subject.url for sequel in queued.job.sequels if sequel for subject in sequel.subjects})
        nobody = (frozenset[str](),) * len(urls)
        looked_at = Job(queued.job.instance, Action.PURGE, TargetKind.URL, urls, nobody)
        return self._allowed.refusal(queued.job) or self._allowed.refusal(looked_at)

    def _requeue(
        self, report: Report, pursuit: Pursuit | None, history: MessageHistory, began: float, end: float
    ) -> _Sent:
        """Let what was not delivered wait in the queue, and what was accepted be followed from there."""
        if self._retry_queue is None:
            # A preload that must wait for the end of its purge has no place to wait, and isn't worth another purge.
            left = Report(tuple(outcome for outcome in report if not _is_put_off_preload(outcome)))
            return _Sent(left=left, late=left)
        if not (report.undelivered or self._follows or pursuit):
            return _Sent(left=report)
        try:
            findings = pursuit.findings() if pursuit else ()
            now = time.time()
            decisions: list[Decision] = decide(report, history, self._retry_policy, now) if report.undelivered else []
            steps: list[Decision] = []
            notes: list[Note] = []
            if self._follows or pursuit:
                decisions, steps, notes = self._following.next(report, decisions, findings, history, began, now)
            failed = self._retry_queue().carry_out([*decisions, *steps], end - time.monotonic())
        except Exception as error:  # noqa: BLE001 - such as no client to be made; then everything goes back to AWS
            looked_at = _returning(pursuit.looks if pursuit else ())
            left = Report((*map(self._not_followed, report), *looked_at))
            return _Sent(left=left, late=report, trouble=told(error))
        unsent = set(map(id, failed))
        undelivered = [decision for decision in decisions if id(decision) in unsent]
        left, late = _going_back(failed), _going_back(undelivered)
        # What goes back is looked at once more, and told then.
        notes = [*(pursuit.superseded if pursuit else ()), *notes]
        told_now = [note for note in notes if left.failed_messages.isdisjoint(note.queued.job.messages)]
        return _Sent(decisions, undelivered, left, late, notes=told_now)

    def _not_followed(self, outcome: Outcome) -> Outcome:
        """An outcome as it counts where what follows could not be sent: what was accepted is asked for once more."""
        tier, job = self._tiers.get(outcome.job.instance), outcome.job
        followed = job.sequels or (tier is not None and tier.again and job.action is Action.PURGE)
        if outcome.status is not Status.ACCEPTED or not followed:
            return outcome
        return msgspec.structs.replace(outcome, status=Status.RETRY, reason=_UNSENT)

    def _requeue_unrouted(self, failures: Sequence[RoutingFailure], history: MessageHistory, end: float) -> _Unrouted:
        """Let changes of which something could not be found out wait in the queue for that part alone."""
        if self._retry_queue is None or not failures:
            return _Unrouted(left=failures)
        triples = ((failure.change, failure.reason, failure.missing) for failure in failures)
        groups = waiting.decide(triples, history, self._retry_policy, time.time())
        return self._wait(groups, end - time.monotonic())

    def _wait(self, groups: Sequence[waiting.Unrouted], seconds: float) -> _Unrouted:
        """Put changes into the queue, or among the dead letters; what could not be sent goes back to AWS."""
        if self._retry_queue is None or not groups:
            return _Unrouted()
        try:
            failed = self._retry_queue().carry_out_unrouted(groups, seconds)
        except Exception as error:  # noqa: BLE001 - as above
            return _Unrouted(left=_changes_of(groups), trouble=told(error))
        return _Unrouted(groups, failed, _changes_of(failed))

    def _ending(
        self,
        intake: Intake,
        report: Report,
        sent: _Sent,
        unrouted: _Unrouted,
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
        sent: _Sent,
        unrouted: _Unrouted,
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


class _Sent(NamedTuple):
    """What was decided about undelivered jobs, what of it could not be sent, and what has to go back to AWS.

    Of the latter ``late`` was not delivered; the rest was, and what follows it could not be sent. Notes are of what
    was looked at.
    """

    decisions: Sequence[Decision] = ()
    failed: Sequence[Decision] = ()
    left: Report = Report()
    late: Report = Report()
    trouble: str = ""
    notes: Sequence[Note] = ()


class _Unrouted(NamedTuple):
    """The same about changes that could not be routed whole, or wait for the rest of their deploy."""

    groups: Sequence[waiting.Unrouted] = ()
    failed: Sequence[waiting.Unrouted] = ()
    left: Sequence[RoutingFailure] = ()
    trouble: str = ""

    def joined(self, other: _Unrouted) -> _Unrouted:
        """Both."""
        both = ((*self.groups, *other.groups), (*self.failed, *other.failed), (*self.left, *other.left))
        return _Unrouted(*both, self.trouble or other.trouble)


def _changes_of(groups: Iterable[waiting.Unrouted]) -> list[RoutingFailure]:
    return [RoutingFailure(change, group.reason) for group in groups for change in group.changes]


def _size(work: Work, returned: Iterable[Job]) -> int:
    """Targets that may have to wait in the queue."""
    return sum(len(demand.wants) for demand in work.demands) + sum(len(job.targets) for job in returned)


def _is_put_off_preload(outcome: Outcome) -> bool:
    return outcome.job.action is Action.PRELOAD and outcome.status is Status.PACED


def _log_unlisted(level: int, reason: str) -> None:
    emit(level, "not-listed", reason=reason)


def _returning(looks: Iterable[QueuedJob]) -> Iterator[Outcome]:
    return (Outcome(queued.job, Status.RETRY, _UNSENT) for queued in looks)


def _going_back(decisions: Iterable[Decision]) -> Report:
    return Report(tuple(Outcome(each.queued.job, _unsent_status(each), each.reason) for each in decisions))


def _told(looks: Sequence[QueuedJob], notes: Sequence[Note]) -> FollowReport | None:
    """What there is to tell of purges that are followed, if there are any."""
    if not (looks or notes):
        return None
    from multicdn.proof.following import told

    return told(looks, notes)


def _unsent_status(decision: Decision) -> Status:
    return Status.RETRY if decision.status is Status.ACCEPTED else decision.status


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


def _history(intake: Intake) -> MessageHistory:
    jobs = {next(iter(queued.job.messages)): queued for queued in intake.queued_jobs}
    by_message: dict[str, QueuedJob | Waiting] = {**jobs, **intake.waiting}
    return MessageHistory(
        sent={**intake.sent, **{cause: queued.since for cause, queued in by_message.items()}},
        attempts={cause: queued.attempt for cause, queued in by_message.items()},
        origins={cause: queued.origins for cause, queued in by_message.items()},
        refusals={cause: queued.refusals for cause, queued in jobs.items()},
    )


def terms(config: Config, *, queued: bool) -> Terms:
    """How hard to try. Without a queue what is left fails the invocation, and nothing is gained by ending it sooner."""
    return Terms(
        concurrency=config.concurrency,
        grace=seconds_of(config.delivery.grace) if queued else math.inf,
        longest_pause=min(LONGEST_PAUSE, seconds_of(config.delivery.longest_delay)),
    )


def _attempts(intake: Intake) -> dict[str, int]:
    """How often the jobs that came back were tried, by instance: the most of each, once if they were paced."""
    attempts: dict[str, int] = {}
    for queued in (each for each in intake.queued_jobs if not each.look):
        attempts[queued.job.instance] = max(1, queued.attempt, attempts.get(queued.job.instance, 0))
    return attempts


def _retry_policy(retrying: Retrying) -> RetryPolicy:
    return RetryPolicy(
        give_up_after=seconds_of(retrying.give_up_after),
        first_delay=seconds_of(retrying.first_delay),
        longest_delay=seconds_of(retrying.longest_delay),
    )
