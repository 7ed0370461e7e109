"""What ``multicdn purge`` and ``multicdn preload`` have in common: from arguments to delivery, or to the queue."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import msgspec
from msgspec import Struct

from multicdn.cli import _aws, _ends, _going_on, _left_alone, _person, _signals, _turns, arguments, render
from multicdn.cli._json import say_json
from multicdn.cli.terminal import say
from multicdn.model import Action
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.cli._followed import Pursued
    from multicdn.cli._options import CommonOptions
    from multicdn.cli.arguments import Loaded
    from multicdn.model import Outcome
    from multicdn.oncall.courses import Course
    from multicdn.oncall.manual import ManualRequest, Orders
    from multicdn.oncall.preview import Preview
    from multicdn.routing.router import Router


# Exit statuses; click itself exits with 2 for wrong usage.
FAILED, PARTIAL, UNPROVEN = 1, 3, 4

_NAMED = 10


def new_id() -> str:
    """An id that no request has had, for vendors that take a second request of the same id for a repetition."""
    return f"by-hand-{uuid.uuid4().hex}"


class Ended(NamedTuple):
    """How a request ended, as far as it came.

    Attributes:
        status: to exit with.
        planned: what a dry run shows; None where it was none.
        sent: to the function's queue; None where it wasn't to be.
        outcomes: of the calls from here.
        interrupted: whether Ctrl-C, or a signal like it, ended them.
        by: who asked; empty where nothing was done.
        courses: how far it came that was waited for; None where nobody waited.
    """

    status: int
    planned: Sequence[Preview] | None = None
    sent: Enqueued | None = None
    outcomes: tuple[Outcome, ...] = ()
    interrupted: bool = False
    by: str = ""
    courses: Sequence[Course] | None = None


@contextlib.contextmanager
def misuse() -> Iterator[None]:
    """Take for misuse of the command what these providers can't be asked for: nothing was called."""
    from multicdn.oncall.manual import RequestError

    try:
        yield
    except RequestError as error:
        raise click.UsageError(str(error)) from None


class Enqueued(Struct, frozen=True):
    """Messages to a queue: how many it took, and how many it didn't."""

    queue: str
    messages: int
    failed: int


@contextlib.contextmanager
def calling_nobody() -> Iterator[None]:
    """If Ctrl-C ends what only prepares, say that no vendor was called."""
    try:
        yield
    except KeyboardInterrupt:
        say("No vendor was called.", err=True)
        raise


def tell_nothing(action: Action, settings: CommonOptions) -> None:
    """Say that a list says that nothing has changed, which is no failure."""
    from multicdn.oncall.manual import ManualRequest, Orders

    settings.print(["the list names nothing; no vendor was called"])
    if settings.as_json:
        say_json(_answer(ManualRequest(id="", action=action), Orders(()), Ended(0), 0, 0))


def run(
    loaded: Loaded, request: ManualRequest, settings: CommonOptions, left_out: int = 0, wait: float | None = None
) -> int:
    """Do what is asked for, say how it ended, and return the exit status: of a part, if something was left out before.

    Args:
        loaded: the config.
        request: what is asked for.
        settings: the options.
        left_out: how many lines of lists could not be done.
        wait: seconds for what was accepted to be finished, and fresh; None: nobody waits for it.

    Raises:
        UsageError: it can't be asked of these providers.
        ClickException: there is nothing to do.
    """
    with misuse():
        with calling_nobody():
            router = _turns.router(loaded, request, wait)
            orders = _orders(router, loaded, request, settings)
            _left_alone.unmatched(loaded, orders, request)
        ended = _ended(loaded, request, settings, orders, router, wait)
    status = ended.status or (PARTIAL if left_out and not settings.dry_run else 0)
    if settings.as_json:
        say_json(_answer(request, orders, ended, status, left_out, settings.reason))
    return status


def _ended(
    loaded: Loaded,
    request: ManualRequest,
    settings: CommonOptions,
    orders: Orders,
    router: Router,
    wait: float | None,
) -> Ended:
    from multicdn.oncall import manual

    if not orders.demands and not orders.failures:
        raise click.ClickException(f"nothing to {request.action}")
    if not orders.demands:
        _left_alone.failures(orders)
        return Ended(FAILED)
    if settings.dry_run:
        _warn_of_old(loaded, request, orders)
        return _show(loaded, orders, settings, _turns.pursued(loaded, request, orders, router, wait))
    _aws.refuse_other_account(loaded.config.install)
    queue_url = settings.queue()
    by = _person.of_aws(_region_of(queue_url)) if queue_url else _person.at_this_machine()
    settings.print([f"by {by}: {settings.reason}"] if settings.reason else [])
    orders = manual.asked_by(orders, by, settings.reason)
    if queue_url:
        _warn_of_old(loaded, request, orders)
        return _enqueue(loaded, request, orders, queue_url, settings)._replace(by=by)
    pursued = _turns.pursued(loaded, request, orders, router, wait)
    return _deliver(loaded, request, orders, settings, pursued)._replace(by=by)


def _warn_of_old(loaded: Loaded, request: ManualRequest, orders: Orders) -> None:
    for line in _turns.alone(loaded, request, orders):
        say(line, err=True)


def _region_of(queue_url: str) -> str:
    from multicdn.aws import sqs

    return sqs.region_of(queue_url)


def _answer(
    request: ManualRequest, orders: Orders, ended: Ended, status: int, left_out: int, why: str = ""
) -> dict[str, Any]:
    return {
        "action": str(request.action),
        "id": request.id or None,
        "by": ended.by or None,
        "why": why or None,
        "exit_status": status,
        "interrupted": ended.interrupted,
        "providers": _ends.as_json(ended.outcomes),
        "followed": _turns.as_json(ended.courses),
        "sent": None if ended.sent is None else msgspec.to_builtins(ended.sent),
        "planned": None if ended.planned is None else [render.provider_as_json(each) for each in ended.planned],
        "collapse": [msgspec.to_builtins(decision) for decision in orders.decisions],
        "unmatched": [f"s3://{item.bucket}/{item.key}" for item in orders.unmatched],
        "failures": [{"target": name, "reason": redact(reason)} for name, reason in orders.failures],
        "left_out": left_out,
    }


def _orders(router: Router, loaded: Loaded, request: ManualRequest, settings: CommonOptions) -> Orders:
    """What the request comes to. S3 is asked only where a route takes tags from metadata, or collapses by count."""
    from multicdn.oncall import manual

    orders = manual.orders(loaded.config, router, request, arguments.s3_lookup())
    settings.print(render.collapse(orders.decisions))
    _left_alone.untargeted(router, request)
    _left_alone.waiting(loaded, router, request)
    return orders


def _previews(loaded: Loaded, orders: Orders) -> list[Preview]:
    from multicdn.oncall.preview import previews

    return previews(loaded.config, orders.demands)


def _show(loaded: Loaded, orders: Orders, settings: CommonOptions, pursued: Pursued | None) -> Ended:
    shown = _previews(loaded, orders)
    settings.print((*render.previews(shown, _NAMED), *render.total(shown)))
    if pursued is not None:
        settings.print(_turns.told(loaded, orders, pursued, shown))
    _left_alone.failures(orders)
    settings.print(["no vendor was called"])
    return Ended(0, planned=shown)


def _enqueue(loaded: Loaded, request: ManualRequest, orders: Orders, queue_url: str, settings: CommonOptions) -> Ended:
    """Send the work to the function's queue, through the same door as what it puts there itself.

    Raises:
        RequestError: the function would refuse a part of it.
    """
    from multicdn.aws import sqs
    from multicdn.oncall.manual import RequestError, queued_jobs
    from multicdn.queue.sender import RetryQueue, messages
    from multicdn.routing.allowed import Allowed

    jobs = list(queued_jobs(orders.demands, request, time.time()))
    allowed = Allowed(loaded.config.routes, loaded.config.providers, rewritten=loaded.plugins.hooks.rewrites_urls)
    for job in jobs:
        if reason := allowed.refusal(job.job):
            remedy = "leave out --queue, --stack and MULTICDN_QUEUE_URL to call the vendors from here"
            raise RequestError(f"the function takes no such job from its queue: {reason}; {remedy}")
    in_order = _turns.in_order(loaded, request, orders)
    wanted = [message for job in queued_jobs(in_order, request, time.time()) for message in messages(job)]
    try:
        refusals = RetryQueue(sqs.client(queue_url), queue_url).send(wanted)
    except KeyboardInterrupt:
        say("Whether the queue took it isn't known: sending it again does no harm.", err=True)
        raise
    _left_alone.failures(orders)
    taken = len(wanted) - len(refusals)
    settings.print(_going_on.sent(jobs, taken, queue_url, request, settings.installation) if taken else ())
    settings.print(_turns.told(loaded, orders) if taken and request.action is Action.PURGE else ())
    for (code, reason), count in Counter(refusals.values()).items():
        why = f"{code}: {reason}" if code else reason
        say(redact(f"{render.counted(count, 'message')} could not be sent: {why}"), err=True)
    failed = len(refusals)
    return Ended(_status(taken, failed + len(orders.failures)), sent=Enqueued(queue_url, taken, failed))


def _deliver(
    loaded: Loaded, request: ManualRequest, orders: Orders, settings: CommonOptions, pursued: Pursued | None
) -> Ended:
    from multicdn import extras
    from multicdn.cli._delivering import delivered
    from multicdn.reporting import plugins_that_look

    config = loaded.config
    extras.refuse(extras.lacking(config, loaded.plugins, {demand.provider for demand in orders.demands}))
    _warn_of_old(loaded, request, orders)
    shown = _previews(loaded, orders)
    courses: Sequence[Course] | None = None
    unfinished: tuple[str, ...] = ()
    if pursued is None:
        report, interrupted = delivered(config, orders.demands, request.action, shown, settings)
    else:
        with calling_nobody():
            pursued = _turns.as_in_s3(pursued)
        report, interrupted, courses, unfinished = _turns.follow(config, request, shown, settings, pursued)
    if plugins := plugins_that_look(loaded.plugins.hooks, _tell_hook_bug):
        plugins.see(report)
    _left_alone.failures(orders)
    settings.print(redact(line) for line in _ends.lines(report, request.action, config.providers))
    proven = _turns.tell_courses(courses, settings)
    for line in _going_on.undelivered(report, unfinished):
        say(line, err=True)
    accepted = len(report.outcomes) - len(report.undelivered)
    failed = len(report.undelivered) + len(orders.failures)
    status = _status(accepted, failed)
    if interrupted and (report.undelivered or not proven):
        status = _signals.status()
    elif not status and not proven:
        status = UNPROVEN
    return Ended(status, outcomes=tuple(report), interrupted=interrupted, courses=courses)


def _tell_hook_bug(reason: str) -> None:
    say(redact(f"a plugin failed on the report: {reason}"), err=True)


def _status(done: int, failed: int) -> int:
    if not failed:
        return 0
    return PARTIAL if done else FAILED
