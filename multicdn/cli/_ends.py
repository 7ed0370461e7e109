"""How purges and preloads by hand ended, for people and for programs."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from multicdn.cli.render import counted
from multicdn.model import Action, Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.model import Outcome, TargetKind
    from multicdn.provider import Provider, Speed

# Targets that are named, and reasons.
_NAMED = 10

# What differs between answers that say the same: seconds, moments, and a request's own id.
_VARYING = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|seconds?)\b|\b\d{1,2}:\d\d:\d\d\b|\b(?=[\w-]{0,64}\d)[\w-]{12,}")

_WORDS = {
    Status.RETRY: "not done, may succeed later",
    Status.PACED: "not done yet",
    Status.REJECTED: "rejected",
    Status.REFUSED: "refused",
    Status.UNAUTHORIZED: "refused for the credentials",
    Status.UNASKED: "not done",
}


def lines(
    outcomes: Iterable[Outcome], action: Action, providers: Mapping[str, Provider] | None = None
) -> Iterator[str]:
    """For each provider what was accepted, and for each reason what wasn't.

    Args:
        outcomes: of all calls.
        action: of all of them.
        providers: by name, for what their vendors say of their speed.
    """
    for name, ended in _by_provider(outcomes):
        provider = (providers or {}).get(ended[0].job.instance)
        yield from _of_provider(name, ended, action, provider.speeds if provider else {})


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


def _alike(outcomes: Iterable[Outcome]) -> list[list[Outcome]]:
    """What wasn't accepted, together where the reasons differ in nothing that a person would act on."""
    groups: dict[tuple[Status, str], list[Outcome]] = defaultdict(list)
    for (status, reason), failed in _by_reason(outcomes).items():
        groups[status, _gist(reason, failed)].extend(failed)
    return sorted(groups.values(), key=_count, reverse=True)


def _gist(reason: str, outcomes: Sequence[Outcome]) -> str:
    """A reason without the targets that it names, nor what varies from call to call."""
    for target in outcomes[0].job.targets[:_NAMED]:
        reason = reason.replace(target, "…") if target else reason
    return _VARYING.sub("…", reason)


def _of_provider(
    name: str, outcomes: Sequence[Outcome], action: Action, speeds: Mapping[TargetKind, Speed]
) -> Iterator[str]:
    accepted = [outcome for outcome in outcomes if outcome.status is Status.ACCEPTED]
    if accepted:
        calls = counted(sum(outcome.calls for outcome in accepted), "call")
        yield f"{name}: {action} of {_how_many(accepted)} accepted in {calls}{_receipts(accepted)}"
        yield from _some_targets(accepted)
        yield from _seen(accepted, speeds) if action is Action.PURGE else ()
    groups = _alike(outcomes)
    for failed in groups[:_NAMED]:
        status, reason = failed[0].status, failed[0].reason
        others = len({outcome.reason for outcome in failed}) - 1
        alike = f" (and {others:,} more like it)" if others else ""
        yield f"{name}: {action} of {_how_many(failed)} {_WORDS[status]}: {reason}{alike}"
        yield from _some_targets(failed)
    if rest := groups[_NAMED:]:
        number = counted(sum(map(_count, rest)), "more target")
        yield f"{name}: {action} of {number} not accepted, for {counted(len(rest), 'other reason')}"


def _accepted(outcome: Outcome) -> dict[str, Any]:
    return {
        "calls": outcome.calls,
        "id": redact(outcome.receipt.id) or None,
        "estimate_seconds": outcome.receipt.estimate,
        "targets": _targets([outcome]),
    }


def _count(outcomes: Iterable[Outcome]) -> int:
    return sum(len(outcome.job.targets) for outcome in outcomes)


def _how_many(outcomes: Sequence[Outcome]) -> str:
    jobs = [outcome.job for outcome in outcomes]
    if all(job.everything for job in jobs):
        return "everything"
    return counted(_count(outcomes), "target")


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
    estimates = _estimates(outcomes)
    done = f"finished within about {max(estimates):g} s by the vendor's estimate" if estimates else ""
    return "".join(f", {part}" for part in (first and f"id {first}", done) if part)


def _estimates(outcomes: Iterable[Outcome]) -> list[float]:
    return [outcome.receipt.estimate for outcome in outcomes if outcome.receipt.estimate is not None]


def _seen(outcomes: Sequence[Outcome], speeds: Mapping[TargetKind, Speed]) -> Iterator[str]:
    """What the time until a purge is seen has to do with the one until the vendor calls it finished."""
    speed = max((speeds[kind] for kind in {outcome.job.kind for outcome in outcomes} if kind in speeds),
                key=lambda speed: speed.seconds, default=None)  # fmt: skip
    estimates = _estimates(outcomes)
    if speed and estimates and speed.seconds < max(estimates):
        share = f" in {speed.share} of cases" if speed.share else ""
        yield f"  seen everywhere after about {speed.seconds:g} s{share}; the vendor calls it finished only later"
