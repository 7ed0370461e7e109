"""Explanations and previews as text for people, and as JSON for programs."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from multicdn.cli import render_stages
from multicdn.model import Action, ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.model import Job
    from multicdn.oncall.explain import Explained, Source
    from multicdn.oncall.preview import Ask, Preview
    from multicdn.oncall.stages import Stages
    from multicdn.planning.collapse import Decision
    from multicdn.provider import Speed
    from multicdn.routing.route import Route

# Of the JSON; it changes when a member changes its meaning or goes away.
VERSION = 1


def counted(number: int, name: str) -> str:
    """``1 call``, ``2,000 calls``."""
    return f"{number:,} {name}{'' if number == 1 else 's'}"


def explained(explanations: Sequence[Explained], limit: int) -> Iterator[str]:
    """Lines on objects and their routes."""
    for explanation in explanations[:limit]:
        change = explanation.change
        yield f"s3://{change.bucket}/{change.key} {change.kind}"
        for match in explanation.matches:
            yield f"  {match.at} applies: {_does(match.route, change.kind)}"
            if waits_for := match.route.waits_for:
                yield f"    but waits {waits_for}"
            yield from (f"    but has nothing for {untargeted}" for untargeted in match.untargeted)
        if not explanation.matches:
            yield "  no route applies"
        for miss in explanation.misses:
            yield f"  {miss.at} doesn't: {'; '.join(miss.reasons)}"
        yield ""
    rest = explanations[limit:]
    if rest:
        without = sum(not explanation.matches for explanation in rest)
        yield f"and {counted(len(rest), 'more object')}, {without:,} of them without a route"
        yield ""


def sources(url: str, origins: Sequence[Source], serving: Sequence[str]) -> Iterator[str]:
    """Lines on a URL and where it comes from."""
    yield url
    for source in origins:
        bucket = source.route.bucket
        key = f"s3://{bucket}/{source.key}" if source.key else f"more than one object of s3://{bucket}"
        other = "" if source.spelled else ", but not in this spelling: a cache that tells them apart keeps it"
        yield f"  {source.at} gives it for {key} ({source.how}){other}"
    if not origins:
        near = f"; {', '.join(serving)} {'has' if len(serving) == 1 else 'have'} others at its host" if serving else ""
        yield f"  no route gives it{near}"
    yield ""


def collapse(decisions: Sequence[Decision]) -> Iterator[str]:
    """Lines on what routes with a policy for it have made of many URLs."""
    for decision in decisions:
        if not decision.directories:
            yield f"{decision.provider}: nothing collapsed in {decision.bucket}: {decision.reason}"
            continue
        innocent = decision.innocent
        unchanged = "" if innocent is None else f", which drops {counted(innocent, 'unchanged object')}"
        names = ", ".join(decision.directories)
        fewer = f"{decision.targets:,} targets collapsed to {decision.left:,}"
        yield f"{decision.provider}: {fewer} ({names}){unchanged}: {decision.reason}"
    if decisions:
        yield ""


def previews(shown: Iterable[Preview], limit: int, stages: Stages | None = None) -> Iterator[str]:
    """Lines on what the providers would be asked, and when, and what comes after it."""
    for preview in in_order(shown, stages or {}):
        settings = ", ".join(f"{name} {value}" for name, value in preview.where.items())
        kind = f" ({preview.type}{': ' if settings else ''}{settings})" if preview.type else ""
        yield f"{preview.name}{kind}"
        if preview.note:
            yield f"  {preview.note}"
        for ask in preview.asks:
            yield from _ask(ask, limit)
            stage = (stages or {}).get((preview.instance, str(ask.action)))
            yield from render_stages.told(stage, ask.speed) if stage else ()
        for outcome in preview.rejected[:limit]:
            yield f"  not {_past(outcome.job)}: {outcome.reason}"
        if len(preview.rejected) > limit:
            yield f"  and {len(preview.rejected) - limit:,} more that it can't act on"
        yield from _cost(preview)
        yield ""


def in_order(shown: Iterable[Preview], stages: Stages) -> list[Preview]:
    """Those that wait for others behind these."""
    turns = {name: stage.turn for (name, action), stage in stages.items() if action == Action.PURGE}
    turns = {**{name: stage.turn for (name, _), stage in stages.items()}, **turns}
    return sorted(shown, key=lambda preview: turns.get(preview.instance, 0))


def total(shown: Sequence[Preview]) -> Iterator[str]:
    """A line on all providers together, where there is more than one."""
    if len(shown) < 2:
        return
    targets = counted(sum(preview.targets for preview in shown), "target")
    calls = counted(sum(preview.calls for preview in shown), "call")
    dollars = sum(preview.dollars or 0 for preview in shown)
    known = "" if all(preview.exact for preview in shown) else ", as far as is known here"
    price = f", up to ${dollars:,.3f}" if dollars else ""
    yield f"in all{known}: {targets} in {calls} at {len(shown):,} providers{price}"


def as_json(
    name: str,
    objects: Sequence[Explained],
    urls: Sequence[tuple[str, Sequence[Source]]],
    unreadable: Iterable[tuple[str, str]],
    notes: Iterable[str],
    decisions: Iterable[Decision],
    previewed: Iterable[Preview],
    stages: Stages | None = None,
) -> dict[str, Any]:
    """Everything, in the form that docs/on-call.md describes."""
    return {
        "version": VERSION,
        "config": name,
        "objects": [_object(explanation) for explanation in objects],
        "urls": [{"url": url, "sources": [_source(source) for source in origins]} for url, origins in urls],
        "unreadable": [{"message": message, "reason": reason} for message, reason in unreadable],
        "notes": list(notes),
        "collapse": [msgspec.to_builtins(decision) for decision in decisions],
        "providers": [provider_as_json(preview, stages) for preview in in_order(previewed, stages or {})],
    }


def _does(route: Route, kind: ChangeKind) -> str:
    """Word what a route does with a change, and at which providers."""
    purges = f"purge at {', '.join(route.purge)}" if route.purge else ""
    preloads = f"preload at {', '.join(route.preload)}" if route.preload and kind is ChangeKind.CREATED else ""
    return "; ".join(filter(None, (purges, preloads))) or "nothing to do"


def _ask(ask: Ask, limit: int) -> Iterator[str]:
    soft = "soft " if ask.soft else ""
    yield f"  {soft}{ask.action} by {ask.kind}: {counted(ask.targets, 'target')} in {counted(len(ask.batches), 'call')}"
    for target in islice(ask.described(), limit):
        yield f"    {target}"
    if ask.targets > limit:
        yield f"    and {ask.targets - limit:,} more"
    if ask.action is Action.PURGE:
        yield f"    seen everywhere {_soon(ask.speed)}"


def _soon(speed: Speed | None) -> str:
    if speed is None:
        return "at a time for which the vendor publishes no figure"
    share = f" in {speed.share} of cases" if speed.share else ""
    return f"after about {speed.seconds:g} s{share} ({speed.page})"


def _past(job: Job) -> str:
    done = "purged" if job.action is Action.PURGE else "preloaded"
    return f"{done}: {job.described[0]}"


def _cost(preview: Preview) -> Iterator[str]:
    if preview.seconds:
        yield f"  at the vendor's pace the last call begins after {preview.seconds:,.0f} s"
    if preview.price is not None and preview.dollars:
        terms = f"${preview.price.dollars:g} a target after the account's first {preview.price.free:,} a month"
        yield f"  price: up to ${preview.dollars:,.3f} ({terms}; {preview.price.page})"


def _object(explanation: Explained) -> dict[str, Any]:
    change = explanation.change
    return {
        "bucket": change.bucket,
        "key": change.key,
        "kind": str(change.kind),
        "routes": [match.at for match in explanation.matches],
        "waits": [
            f"{match.at} waits {waits_for}" for match in explanation.matches if (waits_for := match.route.waits_for)
        ],
        "untargeted": [text for match in explanation.matches for text in match.untargeted],
        "misses": [{"route": miss.at, "reasons": list(miss.reasons)} for miss in explanation.misses],
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "route": source.at,
        "how": source.how,
        "bucket": source.route.bucket,
        "key": source.key or None,
        "spelled": source.spelled,
    }


def provider_as_json(preview: Preview, stages: Stages | None = None) -> dict[str, Any]:
    """What a provider would be asked, and what comes after it where that is known."""
    return {
        "name": preview.name,
        "type": preview.type,
        "where": preview.where,
        "calls": preview.calls,
        "targets": preview.targets,
        "asks": [_ask_as_json(ask) | _stage_as_json(preview, ask, stages) for ask in preview.asks],
        "rejected": [
            {"target": target, "reason": outcome.reason}
            for outcome in preview.rejected
            for target in outcome.job.targets
        ],
        "begins_within_seconds": round(preview.seconds, 3),
        "dollars_at_most": None if preview.dollars is None else round(preview.dollars, 3),
        "note": preview.note,
        "exact": preview.exact,
    }


def _stage_as_json(preview: Preview, ask: Ask, stages: Stages | None) -> dict[str, Any]:
    return {} if stages is None else render_stages.as_json(stages.get((preview.instance, str(ask.action))))


def _ask_as_json(ask: Ask) -> dict[str, Any]:
    speed = ask.speed
    return {
        "action": str(ask.action),
        "kind": str(ask.kind),
        "soft": ask.soft,
        "batches": [list(batch) for batch in ask.batches],
        "seen_after": None if speed is None else {"seconds": speed.seconds, "share": speed.share, "page": speed.page},
    }
