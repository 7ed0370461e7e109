"""The sentences of the log about one invocation: what was read, decided, called, and put back into the queue."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from multicdn.errors import told
from multicdn.log import emit
from multicdn.plugins.no_hooks import NoHooks
from multicdn.provenance import MOST, first_few
from multicdn.queue.waiting import HELD, INCOMPLETE
from multicdn.records import DEAD, MOST_RECORDS, REQUEUED, RETURNED, LogRecord, by_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from multicdn.events.intake import Intake, Unreadable
    from multicdn.hooks import Hooks
    from multicdn.model import Change, Job, Report
    from multicdn.planning.collapse import Decision as CollapseDecision
    from multicdn.planning.front import Released
    from multicdn.queue.waiting import Unrouted
    from multicdn.records import EndedAlike
    from multicdn.routing.demand import RoutingFailure


# Seconds in which plugins look at a report, all together: the next uploads wait for the end of this invocation.
_LONGEST_LOOK = 5.0


def log_unreadable(found: Iterable[Unreadable]) -> None:
    """Log what could not be read, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for each in found:
        reasons.setdefault(each.reason, []).append(each.cause)
    _emit_some(
        LogRecord(logging.ERROR, "unreadable", {"parts": len(causes), "messages": _some(causes), "reason": reason})
        for reason, causes in reasons.items()
    )


def log_incomplete(groups: Iterable[Unrouted], failed: Collection[Unrouted], left: Iterable[RoutingFailure]) -> None:
    """Log changes of which something could not be found out, or that wait for their deploy, and what became of them.

    Args:
        groups: that wait in the queue for it, or were given up.
        failed: those of them that could not be sent.
        left: what goes back to AWS.
    """
    unsent = set(map(id, failed))
    found = [_incomplete(group) for group in groups if id(group) not in unsent]
    reasons: dict[str, list[Change]] = {}
    for failure in left:
        reasons.setdefault(failure.reason, []).append(failure.change)
    found += [_of_incomplete(INCOMPLETE, RETURNED, changes, reason, {}) for reason, changes in reasons.items()]
    _emit_some(found)


def _incomplete(group: Unrouted) -> LogRecord:
    waits = {} if group.delay is None else {"delay": group.delay}
    tries = {} if group.status == HELD else {"attempt": group.waiting.attempt}
    state = DEAD if group.delay is None else REQUEUED
    return _of_incomplete(group.status, state, group.changes, group.reason, {**tries, **waits})


def _of_incomplete(event: str, state: str, changes: Sequence[Change], reason: str, more: dict[str, int]) -> LogRecord:
    fields = {
        "state": state,
        "changes": len(changes),
        "first": [f"s3://{change.bucket}/{change.key}" for change in changes[:MOST]],
        "messages": _some(change.cause for change in changes),
        **more,
        "reason": reason,
    }
    level = logging.INFO if event == HELD else logging.WARNING
    return LogRecord(level if state == REQUEUED else logging.ERROR, event, fields)


def log_released(found: Iterable[Released]) -> None:
    """Log which changes have waited for the rest of their deploy, and why they wait no longer."""
    for each in found:
        first = [f"s3://{bucket}/{key}" for bucket, key in each.objects[:MOST]]
        fields = {"changes": len(each.objects), "first": first, "seconds": each.seconds, "reason": each.reason}
        routes = {"routes": list(each.routes)} if each.routes else {}
        emit(logging.WARNING if each.late else logging.INFO, "deployed", **fields, **routes)


def _some(messages: Iterable[str]) -> list[str]:
    return first_few(filter(None, messages))


def _emit_some(found: Iterable[LogRecord]) -> None:
    """Log as many records of one event as a person reads, and how many there are besides."""
    worst_first = sorted(found, key=lambda record: -record.level)
    for record in worst_first[:MOST_RECORDS]:
        emit(record.level, record.event, **record.fields)
    if rest := worst_first[MOST_RECORDS:]:
        emit(rest[0].level, "left-out", of=rest[0].event, records=len(rest))


def log_unmatched(changes: Sequence[Change], covered: int) -> None:
    """Log in one line the changes that no route acts on: a bucket may be misspelled in the config.

    Args:
        changes: nobody wants them.
        covered: how many of them a route is about that isn't `on` what happened.
    """
    if not changes:
        return
    buckets = dict(Counter(change.bucket for change in changes).most_common(MOST))
    first = [f"s3://{change.bucket}/{change.key}" for change in changes[:MOST]]
    fields = {"no_route": len(changes) - covered, "not_on": covered, "buckets": buckets, "first": first}
    emit(logging.INFO, "unmatched", changes=len(changes), **fields)


def log_gone(preloads: Iterable[Job]) -> None:
    """Log the preloads that waited until there was nothing left to load, a line for each provider."""
    targets: dict[str, list[str]] = {}
    for job in preloads:
        targets.setdefault(job.provider, []).extend(job.targets)
    for provider, gone in targets.items():
        emit(logging.INFO, "gone", provider=provider, targets=len(gone), first=gone[:MOST])


def log_ignored(intake: Intake) -> None:
    """Log for how many events there was nothing to do; those that nobody knows are a warning."""
    for level, event, names in (
        (logging.INFO, "ignored", intake.ignored),
        (logging.WARNING, "unknown-event", intake.unknown),
    ):
        if names:
            shown = dict(islice(names.items(), MOST))
            emit(level, event, events=sum(names.values()), names=shown)


def log_untargeted(found: Mapping[tuple[str, str], Sequence[tuple[str, str]]]) -> None:
    """Log keys that a template has no text for, a line for each template.

    Args:
        found: keys and reasons, by bucket and template.
    """
    for (bucket, template), untargeted in found.items():
        first = [key for key, _ in untargeted[:MOST]]
        fields = {"bucket": bucket, "template": template, "objects": len(untargeted), "first": first}
        emit(logging.WARNING, "untargeted", **fields, reason=untargeted[0][1])


def log_collapse(decision: CollapseDecision) -> None:
    """Log why many URLs became prefixes, or why they didn't."""
    level = logging.INFO if decision.directories else logging.DEBUG
    named, more = decision.directories[:MOST], len(decision.directories) - MOST
    fields = {**msgspec.structs.asdict(decision), "directories": named, **({"more": more} if more > 0 else {})}
    emit(level, "collapse", **fields)


def log_records(found: Iterable[LogRecord]) -> None:
    """Log what became of the jobs of an invocation."""
    for record in found:
        emit(record.level, record.event, **record.fields)


def log_invocation(
    intake: Intake,
    found: Iterable[EndedAlike],
    unmatched: int,
    seconds: float,
    followed: Mapping[str, Counter[str]] | None = None,
) -> None:
    """Log one line about all of an invocation.

    Args:
        intake: what came.
        found: what became of jobs.
        unmatched: how many changes no route acts on.
        seconds: that it took.
        followed: of each provider the targets by what was found out about them, if any were looked at.
    """
    looks = sum(queued.look is not None for queued in intake.queued_jobs)
    providers = by_provider(found)
    for name, counts in (followed or {}).items():
        known = Counter(providers.get(name, {}))
        known.update(counts)
        providers[name] = dict(known)
    emit(
        logging.INFO,
        "invocation",
        messages=len(intake.messages),
        changes=len(intake.changes),
        jobs=len(intake.queued_jobs) - looks,
        **({"looks": looks} if looks else {}),
        unmatched=unmatched,
        unreadable=len(intake.unreadable),
        ms=round(seconds * 1000),
        providers=providers,
    )


class Audience:
    """Who looks on at what happened. What goes wrong in it changes nothing; if it hangs, it is left behind.

    Args:
        who: it is, for sentences.
        look: shows it to them; what it raises is told.
        complain: told in one line of what goes wrong, from any thread.
    """

    def __init__(self, who: str, look: Callable[..., None], complain: Callable[[str], None]) -> None:
        self._who = who
        self._look = look
        self._complain = complain
        self._hanging: threading.Thread | None = None

    def see(self, *shown: object, seconds: float = _LONGEST_LOOK) -> None:
        """Show something to them, for so many seconds at most."""
        if self._hanging is not None and self._hanging.is_alive():
            self._complain(f"not shown, since {self._who} still looks at an earlier report")
            return
        thread = threading.Thread(target=self._show, args=shown, name="multicdn-report", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._complain("not shown, since no thread could be started: the process has too many")
            return
        limit = min(seconds, _LONGEST_LOOK)
        thread.join(limit)
        if thread.is_alive():
            self._hanging = thread
            self._complain(f"{self._who} looks at the report for more than {limit:.1f} s, and isn't waited for")

    def _show(self, *shown: object) -> None:
        try:
            self._look(*shown)
        except Exception as error:  # noqa: BLE001 - whatever they do
            self._complain(told(error))


def plugins_that_look(hooks: Hooks | NoHooks, complain: Callable[[str], None]) -> Audience | None:
    """The plugins that see reports; None where there are none."""
    if isinstance(hooks, NoHooks):
        return None

    def look(report: Report) -> None:
        for error in hooks.report(report):
            complain(told(error))

    return Audience("a plugin", look, complain)


def summary(report: Report) -> dict[str, dict[str, int]]:
    """Calls, targets by status, for each provider."""
    totals: dict[str, dict[str, int]] = {}
    for outcome in report:
        total = totals.setdefault(outcome.job.provider, {"calls": 0})
        total["calls"] += outcome.calls
        total[outcome.status] = total.get(outcome.status, 0) + len(outcome.job.targets)
    return totals
