"""How purges and preloads by hand ended, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from multicdn.cli.render import counted
from multicdn.model import Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.model import Action, Outcome

_NAMED = 10

_WORDS = {
    Status.RETRY: "not done, may succeed later",
    Status.PACED: "not done yet",
    Status.REJECTED: "rejected",
    Status.REFUSED: "refused",
    Status.UNAUTHORIZED: "refused for the credentials",
    Status.UNASKED: "not done",
}


def lines(outcomes: Iterable[Outcome], action: Action) -> Iterator[str]:
    """For each provider what was accepted, and for each reason what wasn't."""
    for name, ended in _by_provider(outcomes):
        yield from _of_provider(name, ended, action)


def as_json(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """The same, with all targets, in the form that docs/commands.md describes."""
    return [
        {
            "name": name,
            "accepted": [_accepted(outcome) for outcome in ended if outcome.status is Status.ACCEPTED],
            "undelivered": [
                {"status": str(status), "reason": redact(reason), "targets": _targets(failed)}
                for (status, reason), failed in _by_reason(ended).items()
            ],
        }
        for name, ended in _by_provider(outcomes)
    ]


def _by_provider(outcomes: Iterable[Outcome]) -> list[tuple[str, list[Outcome]]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.job.provider].append(outcome)
    return sorted(found.items())


def _by_reason(outcomes: Iterable[Outcome]) -> dict[tuple[Status, str], list[Outcome]]:
    reasons: dict[tuple[Status, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.status is not Status.ACCEPTED:
            reasons[outcome.status, outcome.reason].append(outcome)
    return reasons


def _of_provider(name: str, outcomes: Sequence[Outcome], action: Action) -> Iterator[str]:
    accepted = [outcome for outcome in outcomes if outcome.status is Status.ACCEPTED]
    if accepted:
        calls = counted(sum(outcome.calls for outcome in accepted), "call")
        yield f"{name}: {action} of {_how_many(accepted)} accepted in {calls}{_receipts(accepted)}"
        yield from _some_targets(accepted)
    for (status, reason), failed in _by_reason(outcomes).items():
        yield f"{name}: {action} of {_how_many(failed)} {_WORDS[status]}: {reason}"
        yield from _some_targets(failed)


def _accepted(outcome: Outcome) -> dict[str, Any]:
    return {
        "calls": outcome.calls,
        "id": redact(outcome.receipt.id) or None,
        "estimate_seconds": outcome.receipt.estimate,
        "targets": _targets([outcome]),
    }


def _how_many(outcomes: Iterable[Outcome]) -> str:
    jobs = [outcome.job for outcome in outcomes]
    if all(job.everything for job in jobs):
        return "everything"
    return counted(sum(len(job.targets) for job in jobs), "target")


def _targets(outcomes: Iterable[Outcome]) -> list[str]:
    return [target for outcome in outcomes for target in outcome.job.described]


def _some_targets(outcomes: Sequence[Outcome]) -> Iterator[str]:
    if all(outcome.job.everything for outcome in outcomes):
        return
    targets = _targets(outcomes)
    yield from (f"  {target}" for target in targets[:_NAMED])
    if len(targets) > _NAMED:
        yield f"  and {len(targets) - _NAMED:,} more"


def _receipts(outcomes: Sequence[Outcome]) -> str:
    """The vendor's id of a single call, and the longest of its estimates."""
    first = outcomes[0].receipt.id if len(outcomes) == 1 else ""
    estimates = [outcome.receipt.estimate for outcome in outcomes if outcome.receipt.estimate is not None]
    done = f"finished within about {max(estimates):g} s by the vendor's estimate" if estimates else ""
    return "".join(f", {part}" for part in (first and f"id {first}", done) if part)
