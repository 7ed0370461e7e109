"""What ``multicdn purge`` and ``multicdn preload`` have in common: from arguments to delivery, or to the queue."""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from multicdn.cli import _aws, arguments, render
from multicdn.cli.progress import bar
from multicdn.cli.terminal import say
from multicdn.model import Action, Change, ChangeKind, Report, Status
from multicdn.queue.sender import QUEUE
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.cli.arguments import Loaded
    from multicdn.model import Outcome
    from multicdn.oncall.manual import ManualRequest, Object, Orders
    from multicdn.oncall.preview import Preview
    from multicdn.routing.router import Router

    _Command = TypeVar("_Command", bound=Callable[..., Any])

# Exit statuses; click itself exits with 2 for wrong usage.
FAILED, PARTIAL = 1, 3

_NAMED = 10

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("what", nargs=-1),
    arguments.config_option,
    click.option("--bucket", default="", metavar="NAME[/FOLDER]",
                 help="Where the keys of lists are that come without their bucket."),
    click.option("--recursive", is_flag=True, help="S3 URIs stand for all objects that begin with them; lists them."),
    click.option("--provider", "providers", multiple=True, metavar="NAME", help="Only this one; may be repeated."),
    click.option("--dry-run", is_flag=True, help="Only show what would be done, as `multicdn explain` does."),
    click.option("--queue", "queue_url", envvar=QUEUE, default="", metavar="URL",
                 help=f"Let the deployed function do it: send the work to its queue. {QUEUE}."),
    click.option("--timeout", default=600.0, show_default=True, metavar="SECONDS",
                 help="Give up what isn't done by then."),
)  # fmt: skip


class CommonOptions(Struct, frozen=True):
    """The options that both commands have; named as those."""

    what: tuple[str, ...]
    config_path: Path | None
    bucket: str
    recursive: bool
    providers: tuple[str, ...]
    dry_run: bool
    queue_url: str
    timeout: float


def options(command: _Command) -> _Command:
    """Add what both commands take."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def new_id() -> str:
    """An id that no request has had, for vendors that take a second request of the same id for a repetition."""
    return f"by-hand-{uuid.uuid4().hex}"


def run(loaded: Loaded, request: ManualRequest, settings: CommonOptions, left_out: int = 0) -> int:
    """Do what is asked for, say how it ended, and return the exit status: of a part, if something was left out before.

    Raises:
        RequestError: it can't be done; nothing was called.
    """
    from multicdn.oncall import manual

    orders = _orders(loaded, request)
    _tell_unmatched(loaded, orders, request)
    if not orders.demands:
        _tell_failures(orders)
        raise manual.RequestError(f"nothing to {request.action}")
    if settings.dry_run:
        return _show(loaded, orders)
    _aws.refuse_other_account(loaded.config.install)
    if settings.queue_url:
        status = _enqueue(loaded, request, orders, settings.queue_url)
    else:
        status = _deliver(loaded, request, orders, settings.timeout)
    return status or (PARTIAL if left_out else 0)


def _orders(loaded: Loaded, request: ManualRequest) -> Orders:
    """What the request comes to. S3 is asked only where a route takes tags from metadata, or collapses by count."""
    from multicdn.oncall import manual
    from multicdn.routing.router import Router

    router = Router(loaded.config.routes, loaded.config.providers, loaded.plugins.hooks.urls)
    orders = manual.orders(loaded.config, router, request, arguments.s3_lookup())
    for line in render.collapse(orders.decisions):
        say(line)
    _tell_untargeted(router, request)
    return orders


def _tell_untargeted(router: Router, request: ManualRequest) -> None:
    """Name the objects for which a template of their route has nothing."""
    changes = (Change(item.bucket, item.key, kind) for item in request.objects for kind in ChangeKind)
    for (bucket, template), untargeted in router.untargeted(changes).items():
        (key, why), *others = dict.fromkeys(untargeted)
        more = f" and {render.counted(len(others), 'more object')}" if others else ""
        say(f"s3://{bucket}/{key}{more}: nothing for {template}: {why}", err=True)


def _tell_unmatched(loaded: Loaded, orders: Orders, request: ManualRequest) -> None:
    """Name the objects that nothing will be done for.

    Raises:
        RequestError: one was named by the user, who must not believe that it was done.
    """
    from multicdn.oncall.manual import RequestError

    named = [item for item in orders.unmatched if not item.listed]
    if named:
        raise RequestError("\n".join(_why(loaded, item, request) for item in named[:_NAMED]))
    if orders.unmatched:
        say(f"no route for {render.counted(len(orders.unmatched), 'object')}, left alone", err=True)
        for item in orders.unmatched[:_NAMED]:
            say(f"  s3://{item.bucket}/{item.key}", err=True)


def _why(loaded: Loaded, item: Object, request: ManualRequest) -> str:
    from multicdn.oncall.explain import Explainer

    explainer = Explainer(loaded.config, loaded.places, loaded.plugins.hooks.urls)
    misses = explainer.explain(Change(item.bucket, item.key), nearest=1).misses
    nearest = f" (nearest: {misses[0].at}, but {'; '.join(misses[0].reasons)})" if misses else ""
    chosen = f" at {', '.join(request.providers)}" if request.providers else ""
    return f"s3://{item.bucket}/{item.key}: no route has anything to {request.action}{chosen} for it{nearest}"


def _tell_failures(orders: Orders) -> None:
    for name, reason in orders.failures:
        say(redact(f"{name}: {reason}"), err=True)


def _previews(loaded: Loaded, orders: Orders) -> list[Preview]:
    from multicdn.oncall.preview import previews

    return previews(loaded.config, orders.demands)


def _show(loaded: Loaded, orders: Orders) -> int:
    for line in render.previews(_previews(loaded, orders), _NAMED):
        say(line)
    _tell_failures(orders)
    say("no vendor was called")
    return 0


def _enqueue(loaded: Loaded, request: ManualRequest, orders: Orders, queue_url: str) -> int:
    """Send the work to the function's queue, through the same door as what it puts there itself.

    Raises:
        RequestError: the function would refuse a part of it.
    """
    from multicdn.aws import sqs
    from multicdn.oncall.manual import RequestError, queued_jobs
    from multicdn.queue.sender import RetryQueue, messages
    from multicdn.routing.allowed import Allowed

    jobs = list(queued_jobs(orders.demands, request, time.time()))
    allowed = Allowed(loaded.config.routes, rewritten=loaded.plugins.hooks.rewrites_urls)
    for job in jobs:
        if reason := allowed.refusal(job.job):
            remedy = "leave out --queue and MULTICDN_QUEUE_URL to call the vendors from here"
            raise RequestError(f"the function takes no such job from its queue: {reason}; {remedy}")
    wanted = [message for job in jobs for message in messages(job)]
    failed = RetryQueue(sqs.client(queue_url), queue_url).send(wanted)
    _tell_failures(orders)
    say(f"{render.counted(len(wanted) - len(failed), 'message')} sent to {queue_url}")
    if failed:
        say(f"{render.counted(len(failed), 'message')} could not be sent", err=True)
    return _status(len(wanted) - len(failed), len(failed) + len(orders.failures))


def _deliver(loaded: Loaded, request: ManualRequest, orders: Orders, seconds: float) -> int:
    from multicdn.delivery.delivery import Delivery
    from multicdn.delivery.invocation import Terms
    from multicdn.reporting import Audience

    config = loaded.config
    doing = "purging" if request.action is Action.PURGE else "preloading"
    with bar(doing, _total(_previews(loaded, orders))) as advance:
        terms = Terms(concurrency=config.concurrency)
        delivery = Delivery(config.providers, terms, watch=lambda outcome: advance(len(outcome.job.targets)))
        report = delivery.deliver(orders.demands, seconds)
    Audience(loaded.plugins.hooks, _tell_hook_bug).see(report)
    _tell_failures(orders)
    for line in _ends(report, request.action):
        say(redact(line))
    accepted = len(report.outcomes) - len(report.undelivered)
    return _status(accepted, len(report.undelivered) + len(orders.failures))


def _tell_hook_bug(reason: str) -> None:
    say(redact(f"a plugin failed on the report: {reason}"), err=True)


def _total(previews: Sequence[Preview]) -> int | None:
    """How many targets there are, unless a provider must first be asked what it stands for."""
    return sum(preview.targets for preview in previews) if all(preview.exact for preview in previews) else None


def _status(done: int, failed: int) -> int:
    if not failed:
        return 0
    return PARTIAL if done else FAILED


def _ends(report: Report, action: Action) -> Iterator[str]:
    by_provider: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in report:
        by_provider[outcome.job.provider].append(outcome)
    for name, outcomes in sorted(by_provider.items()):
        yield from _ends_of(name, outcomes, action)


def _ends_of(name: str, outcomes: Sequence[Outcome], action: Action) -> Iterator[str]:
    """One line on what was accepted, and one for each reason why something wasn't."""
    accepted = [outcome for outcome in outcomes if outcome.status is Status.ACCEPTED]
    if accepted:
        calls = render.counted(sum(outcome.calls for outcome in accepted), "call")
        yield f"{name}: {action} of {_targets(accepted)} accepted in {calls}{_receipts(accepted)}"
    reasons: dict[tuple[Status, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status is not Status.ACCEPTED:
            reasons[outcome.status, outcome.reason].append(outcome)
    for (status, reason), failed in reasons.items():
        yield f"{name}: {action} of {_targets(failed)} {_WORDS[status]}: {reason}"
        yield from (f"  {target}" for target in _some_targets(failed))


_WORDS = {
    Status.RETRY: "not done, may succeed later",
    Status.PACED: "not done yet",
    Status.REJECTED: "rejected",
    Status.REFUSED: "refused",
    Status.UNAUTHORIZED: "refused for the credentials",
    Status.UNASKED: "not done",
}


def _targets(outcomes: Iterable[Outcome]) -> str:
    jobs = [outcome.job for outcome in outcomes]
    if all(job.everything for job in jobs):
        return "everything"
    return render.counted(sum(len(job.targets) for job in jobs), "target")


def _some_targets(outcomes: Iterable[Outcome]) -> list[str]:
    return [target for outcome in outcomes for target in outcome.job.described][:_NAMED]


def _receipts(outcomes: Sequence[Outcome]) -> str:
    """The vendor's id of a single call, and the longest of its estimates."""
    first = outcomes[0].receipt.id if len(outcomes) == 1 else ""
    estimates = [outcome.receipt.estimate for outcome in outcomes if outcome.receipt.estimate is not None]
    done = f"done in about {max(estimates):g} s by the vendor's estimate" if estimates else ""
    return "".join(f", {part}" for part in (first and f"id {first}", done) if part)
