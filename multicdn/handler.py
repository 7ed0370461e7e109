"""The function that AWS Lambda calls: ``multicdn.handler.handler``."""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Protocol

from multicdn import config, telemetry
from multicdn.aws.s3 import ObjectError, Objects
from multicdn.config.settings import seconds as seconds_of
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.errors import Undelivered
from multicdn.events import envelopes
from multicdn.model import ChangeKind, Outcome, Report
from multicdn.planning import collapse
from multicdn.plugins.discovery import Plugins
from multicdn.queue import sender as parking
from multicdn.queue.retry import Patience, Standing, letters
from multicdn.routing import object_tags
from multicdn.routing.demand import RoutingFailure
from multicdn.routing.router import Router
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.config import Config
    from multicdn.config.settings import Retrying
    from multicdn.events.envelopes import Intake
    from multicdn.provider import Provider
    from multicdn.queue.sender import Parking
    from multicdn.routing.demand import Demand

# Seconds kept back from the function's time, to write the report and the reply.
RESERVE = 1.0

# For callers without a Lambda context.
_DEFAULT_SECONDS = 60.0

# A message of a failed invocation names this many things; all of them are in the log.
_NAMED = 10


class Context(Protocol):
    """What we need of Lambda's context object."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda stops the function."""


class Dispatcher:
    """Everything between an event and the reply, made once and used for many events.

    Args:
        config: the checked config.
        plugins: the installed plugins.
        delivery: made from the config unless given.
        parking: makes the way to the queue, when something has to wait; without it everything goes back to AWS.
    """

    def __init__(
        self,
        config: Config,
        plugins: Plugins,
        delivery: Delivery | None = None,
        parking: Callable[[], Parking] | None = None,
    ) -> None:
        self._hooks = plugins.hooks
        self._router = Router(config.routes, config.providers, self._hooks.urls if self._hooks else None)
        self._delivery = delivery or Delivery(config.providers, Terms(concurrency=config.concurrency))
        self._objects = Objects()
        self._spent: dict[str, dict[type[Provider], int]] = {}
        self._patience = _patience(config.delivery)
        self._make_parking = cache(parking) if parking else None

    def dispatch(self, event: object, seconds: float) -> dict[str, Any]:
        """Act on an event within so many seconds.

        Returns:
            For a batch from SQS, ``batchItemFailures`` with the messages that must come back. For a direct event, how
            many targets each provider accepted.

        Raises:
            Undelivered: a direct event of which something stayed undelivered.
        """
        until = time.monotonic() + seconds
        intake = envelopes.decode(event, self._hooks.read_event if self._hooks else None)
        demands, failures = self._demands(intake, seconds)
        returned = [parked.job for parked in intake.parked]
        report = self._delivery.deliver(demands, until - time.monotonic(), returned)
        self._tell(intake, failures, report)
        left = self._parked(intake, report)
        return self._reply(intake, failures, report, left)

    def _demands(self, intake: Intake, seconds: float) -> tuple[list[Demand], list[RoutingFailure]]:
        """What is to be done for the changes. What has to be asked of S3 first may take half of the time."""
        until = time.monotonic() + seconds / 2
        found = object_tags.read(self._router.tagged(intake.changes), seconds / 4, self._objects)
        demands, failures = self._router.demands(intake.changes, found.tags)
        failures += [
            RoutingFailure(change, found.failed[place])
            for change in intake.changes
            if change.kind is ChangeKind.CREATED and (place := (change.bucket, change.key)) in found.failed
        ]
        demands, decisions = collapse.collapse(
            demands, self._delivery.providers, partial(self._count, until), self._spent_in(time.strftime("%Y-%m"))
        )
        for decision in decisions:
            telemetry.economy(decision)
        return demands, failures

    def _spent_in(self, month: str) -> dict[type[Provider], int]:
        if month not in self._spent:
            self._spent = {month: {}}
        return self._spent[month]

    def _count(self, until: float, bucket: str, prefix: str, limit: int) -> int | None:
        if time.monotonic() > until:
            return None
        try:
            return self._objects.unchanged(bucket, prefix, limit)
        except ObjectError as error:
            telemetry.emit(logging.WARNING, "not-counted", reason=str(error))
            return None

    def _parked(self, intake: Intake, report: Report) -> Report:
        """Let what was not delivered wait in the queue, and return what could not even be put there."""
        if self._make_parking is None or not report.undelivered:
            return report
        standing = Standing.of(intake)
        found = letters(report, standing, self._patience, time.time())
        try:
            failed = self._make_parking().send(found)
        except Exception as error:  # noqa: BLE001 - no SQS client could be made; then everything goes back to AWS
            telemetry.emit(logging.ERROR, "parking-failed", error=f"{type(error).__name__}: {error}")
            return report
        telemetry.parked(found, failed)
        return Report(tuple(Outcome(letter.parked.job, letter.status, letter.reason) for letter in failed))

    def _tell(self, intake: Intake, failures: list[RoutingFailure], report: Report) -> None:
        for message in intake.unreadable:
            telemetry.unreadable(message)
        for failure in failures:
            telemetry.emit(logging.ERROR, "unrouted", key=failure.change.key, reason=failure.reason)
        telemetry.report(report)
        for error in self._hooks.report(report) if self._hooks else ():
            telemetry.emit(
                logging.ERROR, "plugin-bug", hook="multicdn_report", reason=f"{type(error).__name__}: {error}"
            )

    def _reply(self, intake: Intake, failures: list[RoutingFailure], report: Report, left: Report) -> dict[str, Any]:
        if intake.queued:
            failed = {message.cause for message in intake.unreadable}
            failed |= {failure.change.cause for failure in failures} | left.failed_messages
            # In the order of the batch, so that the same failure always reads the same.
            return {"batchItemFailures": [{"itemIdentifier": cause} for cause in intake.messages if cause in failed]}
        problems = list(_problems(intake, failures, left))
        if problems:
            more = f" (and {len(problems) - _NAMED} more)" if len(problems) > _NAMED else ""
            raise Undelivered("; ".join(problems[:_NAMED]) + more)
        return {"providers": telemetry.summary(report)}


def _problems(intake: Intake, failures: list[RoutingFailure], report: Report) -> Iterator[str]:
    for message in intake.unreadable:
        yield redact(message.reason)
    for failure in failures:
        yield redact(f"{failure.change.key}: {failure.reason}")
    for outcome in report.undelivered:
        job = outcome.job
        more = f" and {len(job.targets) - 1} more" if len(job.targets) > 1 else ""
        what = f"{job.provider}: {job.action} of {job.described[0]}{more}"
        yield redact(f"{what}: {outcome.status}: {outcome.reason}")


def _patience(retrying: Retrying) -> Patience:
    return Patience(
        give_up_after=seconds_of(retrying.give_up_after),
        first_delay=seconds_of(retrying.first_delay),
        longest_delay=seconds_of(retrying.longest_delay),
    )


_dispatcher: Dispatcher | None = None
_lock = threading.Lock()


def dispatcher() -> Dispatcher:
    """The dispatcher of this process, made on first use from the config that the environment names.

    Raises:
        ConfigError, PluginError: the config can't be used.
    """
    global _dispatcher  # noqa: PLW0603 - a Lambda environment is one process with one config
    with _lock:
        if _dispatcher is None:
            telemetry.configure()
            plugins = Plugins()
            loaded = config.load(plugins=plugins)
            for warning in loaded.warnings:
                telemetry.emit(logging.WARNING, "config", warning=warning)
            _dispatcher = Dispatcher(loaded, plugins, parking=parking.from_environment())
        return _dispatcher


def handler(event: object, context: Context | None = None) -> dict[str, Any]:
    """Purge and preload what an event from AWS asks for.

    Args:
        event: S3, SQS, SNS or EventBridge event.
        context: Lambda's context; without one, a minute is taken as the time that there is.

    Returns:
        See ``Dispatcher.dispatch``.

    Raises:
        Undelivered: something of a direct event stayed undelivered.
        ConfigError, PluginError: the config can't be used.
    """
    prepared = dispatcher()  # before the time is read: the first event may have to wait for the config
    seconds = context.get_remaining_time_in_millis() / 1000 if context is not None else _DEFAULT_SECONDS
    return prepared.dispatch(event, max(0.0, seconds - RESERVE))


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    # In the initialisation phase Lambda gives a burst of CPU, and its time isn't taken from the first event.
    dispatcher()
