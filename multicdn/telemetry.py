"""What is logged: one line of JSON for each thing that a person may have to look at, and one for each invocation."""

from __future__ import annotations

import json
import logging
import os
import traceback
from typing import TYPE_CHECKING

import msgspec

from multicdn.model import Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multicdn.events.envelopes import Unreadable
    from multicdn.model import Outcome, Report
    from multicdn.planning.collapse import Decision
    from multicdn.queue.retry import Letter

LEVEL = "MULTICDN_LOG_LEVEL"

_log = logging.getLogger("multicdn")

# Enough to recognise what a line is about; a batch may hold thousands.
_SHOWN_TARGETS = 5


def configure() -> None:
    """Set the level of multicdn's own logger, and of no other: some SDKs log signing keys at DEBUG.

    Raises:
        ValueError: the environment names a level that doesn't exist.
    """
    level = os.environ.get(LEVEL, "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        known = ", ".join(logging.getLevelNamesMapping())
        raise ValueError(f"{LEVEL}={level}: no such level (known: {known})")
    _log.setLevel(level)
    if not logging.getLogger().handlers and not _log.handlers:
        _log.addHandler(logging.StreamHandler())


def emit(level: int, event: str, **fields: object) -> None:
    """Log one line of JSON, with secrets blacked out."""
    if _log.isEnabledFor(level):
        line = redact(json.dumps({"event": event, **fields}, ensure_ascii=False, default=str))
        # Half a surrogate pair, which JSON can carry into a key, would make the handler drop the whole line.
        _log.log(level, "%s", line.encode("utf-8", "backslashreplace").decode())


def unreadable(message: Unreadable) -> None:
    """Log a message that could not be read."""
    emit(logging.ERROR, "unreadable", message=message.cause, reason=message.reason)


def economy(decision: Decision) -> None:
    """Log why many URLs became prefixes, or why they didn't."""
    level = logging.INFO if decision.directories else logging.DEBUG
    emit(level, "economy", **msgspec.structs.asdict(decision))


def plugin_bug(provider: str, error: Exception) -> None:
    """Log an exception that a plugin's author has to look at, with its trace."""
    trace = "".join(traceback.format_exception(error))
    emit(logging.ERROR, "plugin-bug", provider=provider, error=f"{type(error).__name__}: {error}", trace=trace)


def report(report: Report) -> None:
    """Log every outcome that wasn't accepted, and a summary by provider."""
    for outcome in report:
        level = logging.DEBUG if outcome.status is Status.ACCEPTED else logging.WARNING
        if _log.isEnabledFor(level):
            emit(level, outcome.status, **_fields(outcome))
    emit(logging.INFO, "report", providers=summary(report))


def parked(found: Sequence[Letter], failed: Sequence[Letter]) -> None:
    """Log what waits in the queue and what went to the dead letters."""
    lost = set(map(id, failed))
    for letter in found:
        job = letter.parked.job
        event = "not-parked" if id(letter) in lost else "dead-letter" if letter.dead else "parked"
        fields = {"provider": job.provider, "attempt": letter.parked.attempt, "targets": len(job.targets)}
        level = logging.INFO if event == "parked" else logging.ERROR
        emit(level, event, **fields, delay=letter.delay, reason=letter.reason)


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
