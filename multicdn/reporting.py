"""The sentences of the log about one invocation: what was read, decided, called, and put back into the queue."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from itertools import chain, islice
from typing import TYPE_CHECKING

import msgspec

from multicdn.errors import told
from multicdn.log import emit, is_shown
from multicdn.model import Status
from multicdn.plugins.discovery import NoHooks
from multicdn.queue.retry import Requeue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from multicdn.events.intake import Intake, Unreadable
    from multicdn.hooks import Hooks
    from multicdn.model import Change, Job, Outcome, Report
    from multicdn.planning.collapse import Decision as CollapseDecision
    from multicdn.queue.retry import Decision
    from multicdn.queue.waiting import Unrouted
    from multicdn.routing.demand import RoutingFailure

# Enough to recognise what a line is about; a batch may hold thousands.
_SHOWN_TARGETS = 5

# Seconds in which plugins look at a report, all together: the next uploads wait for the end of this invocation.
_LONGEST_LOOK = 5.0


def log_unreadable(message: Unreadable) -> None:
    """Log a message that could not be read."""
    emit(logging.ERROR, "unreadable", message=message.cause, reason=message.reason)


def log_unrouted(failure: RoutingFailure) -> None:
    """Log a change of which something could not be found out."""
    emit(logging.ERROR, "incomplete", key=failure.change.key, reason=failure.reason)


def log_unmatched(changes: Sequence[Change], covered: int) -> None:
    """Log in one line the changes that no route acts on: a bucket may be misspelled in the config.

    Args:
        changes: nobody wants them.
        covered: how many of them a route is about that isn't `on` what happened.
    """
    if not changes:
        return
    buckets = dict(Counter(change.bucket for change in changes).most_common(_SHOWN_TARGETS))
    first = [f"s3://{change.bucket}/{change.key}" for change in changes[:_SHOWN_TARGETS]]
    fields = {"no_route": len(changes) - covered, "not_on": covered, "buckets": buckets, "first": first}
    emit(logging.INFO, "unmatched", changes=len(changes), **fields)


def log_gone(preloads: Iterable[Job]) -> None:
    """Log the preloads that waited until there was nothing left to load."""
    for job in preloads:
        fields = {"provider": job.provider, "targets": len(job.targets), "first": job.targets[:_SHOWN_TARGETS]}
        emit(logging.INFO, "gone", **fields)


def log_ignored(intake: Intake) -> None:
    """Log for how many events there was nothing to do; those that nobody knows are a warning."""
    for level, event, names in (
        (logging.INFO, "ignored", intake.ignored),
        (logging.WARNING, "unknown-event", intake.unknown),
    ):
        if names:
            shown = dict(islice(names.items(), _SHOWN_TARGETS))
            emit(level, event, events=sum(names.values()), names=shown)


def log_untargeted(found: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> None:
    """Log keys that a template has no text for, a line for each template.

    Args:
        found: keys and reasons, by bucket and template.
    """
    for (bucket, template), untargeted in found.items():
        first = [key for key, _ in untargeted[:_SHOWN_TARGETS]]
        fields = {"bucket": bucket, "template": template, "keys": len(untargeted), "first": first}
        emit(logging.WARNING, "untargeted", **fields, reason=untargeted[0][1])


def log_collapse(decision: CollapseDecision) -> None:
    """Log why many URLs became prefixes, or why they didn't."""
    level = logging.INFO if decision.directories else logging.DEBUG
    emit(level, "collapse", **msgspec.structs.asdict(decision))


def log_report(report: Report) -> None:
    """Log every outcome that wasn't accepted or only waits for its turn, and a summary by provider.

    What wasn't called for one and the same reason is one line, however many jobs it is.
    """
    for outcome in _grouped(report):
        level = logging.DEBUG if outcome.status in (Status.ACCEPTED, Status.PACED) else logging.WARNING
        if is_shown(level):
            emit(level, outcome.status, **_fields(outcome))
    emit(logging.INFO, "report", providers=summary(report))


def _grouped(report: Report) -> Iterator[Outcome]:
    uncalled: dict[tuple[object, ...], list[Outcome]] = {}
    for outcome in report:
        if outcome.status in (Status.UNASKED, Status.RETRY) and not outcome.calls:
            job = outcome.job
            shared = (job.provider, job.action, job.kind, job.soft, outcome.status, outcome.reason)
            uncalled.setdefault(shared, []).append(outcome)
        else:
            yield outcome
    for alike in uncalled.values():
        targets = tuple(chain.from_iterable(outcome.job.targets for outcome in alike))
        yield msgspec.structs.replace(alike[0], job=msgspec.structs.replace(alike[0].job, targets=targets))


def log_decisions(decisions: Iterable[Decision], failed: Collection[Decision]) -> None:
    """Log which jobs wait in the queue, which went to the dead letters, and which could not be sent there."""
    unsent = set(map(id, failed))
    for decision in decisions:
        queued = decision.queued
        delay = decision.delay if isinstance(decision, Requeue) else 0
        sent = "requeued" if isinstance(decision, Requeue) else "dead-letter"
        event = "not-requeued" if id(decision) in unsent else sent
        fields = {"provider": queued.job.provider, "attempt": queued.attempt, "targets": len(queued.job.targets)}
        level = logging.INFO if event == "requeued" else logging.ERROR
        emit(level, event, **fields, delay=delay, reason=decision.reason)


def log_unrouted_groups(groups: Iterable[Unrouted], failed: Collection[Unrouted]) -> None:
    """Log which changes wait in the queue for what could not be found out, which were given up, which weren't sent."""
    unsent = set(map(id, failed))
    for group in groups:
        event = "not-requeued" if id(group) in unsent else "requeued" if group.delay is not None else "dead-letter"
        fields = {"changes": len(group.changes), "attempt": group.waiting.attempt, "delay": group.delay or 0}
        emit(logging.INFO if event == "requeued" else logging.ERROR, event, **fields, reason=group.reason)


class Audience:
    """The plugins that see reports. What goes wrong in one of them changes nothing; one that hangs is left behind.

    Args:
        hooks: of the plugins.
        complain: told in one line of what goes wrong, from any thread.
    """

    def __init__(self, hooks: Hooks | NoHooks, complain: Callable[[str], None]) -> None:
        self._hooks = hooks
        self._complain = complain
        self._hanging: threading.Thread | None = None

    def see(self, report: Report, seconds: float = _LONGEST_LOOK) -> None:
        """Show a report to every plugin that wants to see it, for so many seconds at most."""
        if isinstance(self._hooks, NoHooks):
            return
        if self._hanging is not None and self._hanging.is_alive():
            self._complain("not shown, since a plugin still looks at an earlier report")
            return
        thread = threading.Thread(target=self._show, args=(report,), name="multicdn-report", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._complain("not shown, since no thread could be started: the process has too many")
            return
        limit = min(seconds, _LONGEST_LOOK)
        thread.join(limit)
        if thread.is_alive():
            self._hanging = thread
            self._complain(f"a plugin looks at the report for more than {limit:.1f} s, and isn't waited for")

    def _show(self, report: Report) -> None:
        for error in self._hooks.report(report):
            self._complain(told(error))


def summary(report: Report) -> dict[str, dict[str, int]]:
    """Calls, targets by status, for each provider."""
    totals: dict[str, dict[str, int]] = {}
    for outcome in report:
        total = totals.setdefault(outcome.job.provider, {"calls": 0})
        total["calls"] += outcome.calls
        total[outcome.status] = total.get(outcome.status, 0) + len(outcome.job.targets)
    return totals


def _fields(outcome: Outcome) -> dict[str, object]:
    job = outcome.job
    fields: dict[str, object] = {
        "provider": job.provider,
        "action": job.action,
        "kind": job.kind,
        "soft": job.soft,
        "targets": len(job.targets),
        "first": job.targets[:_SHOWN_TARGETS],
        "calls": outcome.calls,
        "seconds": round(outcome.seconds, 3),
    }
    optional = {"reason": outcome.reason, "id": outcome.receipt.id, "note": outcome.receipt.note}
    return {**fields, **{name: value for name, value in optional.items() if value}}
