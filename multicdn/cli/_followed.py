"""A purge by hand that is followed: which, for how long, and how that is said to people and to programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.cli.render import counted
from multicdn.oncall.courses import ENDED_WELL
from multicdn.oncall.follow_through import FollowThrough, Times
from multicdn.oncall.order import Announcement, Turns, waves

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from multicdn.config import Config
    from multicdn.delivery.delivery import Delivery
    from multicdn.oncall.board import Board
    from multicdn.oncall.courses import Course, Sight
    from multicdn.oncall.preview import Preview
    from multicdn.proof.ladder import Note, Rules
    from multicdn.routing.demand import Demand

_BY = {
    "vendor": "says the vendor",
    "published time": "by its published time",
    "nothing": "the vendor can't be asked, and publishes no time",
}

# Objects that are named.
_NAMED = 10


class Pursued(NamedTuple):
    """What is followed, and how.

    Attributes:
        order: of the providers.
        names: of the instances that are followed to the end.
        demands: of all providers, with what is looked at.
        rules: how objects are looked at.
        wait: seconds; None where only others wait for the end of a purge.
        unknown: provider and URL of what can't be looked at.
    """

    order: Turns
    names: frozenset[str]
    demands: Sequence[Demand]
    rules: Rules
    wait: float | None
    unknown: Sequence[tuple[str, str]] = ()


def runner(
    pursued: Pursued, config: Config, times: Times, *, verbose: bool, courses: Any
) -> Callable[[Delivery, Board], FollowThrough]:
    """What makes the loop that purges and follows.

    Args:
        pursued: what is followed.
        config: the checked config.
        times: how long it may take.
        verbose: whether each step is told.
        courses: ``Courses`` of these purges.
    """
    from multicdn.aws.s3 import Objects
    from multicdn.proof.following import Following

    def made(delivery: Delivery, board: Board) -> FollowThrough:
        shared = (delivery.providers, config.tiers, pursued.rules, Objects(), config.concurrency)
        following = Following(*shared, every=pursued.names)

        said: set[str] = set()

        def tell(event: Note | Announcement) -> None:
            known = courses.by_name()
            for line in _told(event, known, verbose=verbose, waited=pursued.wait is not None):
                if line not in said or (isinstance(event, Announcement) and event.event != "again"):
                    said.add(line)
                    board.tell(line)

        return FollowThrough(delivery, following, pursued.order, times, board, courses, tell)

    return made


# While it happens


def _told(event: Note | Announcement, known: Mapping[str, Course], *, verbose: bool, waited: bool) -> Iterator[str]:
    if isinstance(event, Announcement):
        yield turn(event)
        return
    course = known.get(event.queued.job.provider)
    if course is None:
        return
    if event.event in ("finished", "fresh"):
        if course.finished is not None or verbose:
            yield f"{course.name}: {_finished(course)}"
        if course.fresh is not None:
            yield f"{course.name}: fresh{_after(course.fresh)}"
    elif event.event == "stale" and event.state == "purged":
        when = f"in {event.delay} s" if event.delay else "now"
        yield f"{course.name}: {_first(event)}stale: {_why(event)}; purged again {when}"
    elif waited or event.event == "stale":
        yield f"{course.name}: {_first(event)}{event.event}: {event.reason}"


def turn(event: Announcement) -> str:
    """A line on a provider that waits for others, or is purged again."""
    name, others = event.provider, " and ".join(event.of)
    if event.event == "held":
        return f"{name}: waits until {others} {_have(event)} finished, {event.seconds:,.0f} s at most"
    if event.event == "released":
        return f"{name}: {others} {_have(event)} finished, so it is purged now"
    if event.event == "overdue":
        return f"{name}: purged now, without waiting any longer for {others}: {event.reason}"
    if event.event == "redone":
        return f"{name}: purged once more, since it fetches from {others}"
    return f"{name}: purged a second time, as `again` says"


def _have(event: Announcement) -> str:
    return "have" if len(event.of) > 1 else "has"


def _first(note: Note) -> str:
    urls = list(dict.fromkeys(subject.url for subject, _ in note.subjects))
    more = f" and {counted(len(urls) - 1, 'more object')}" if len(urls) > 1 else ""
    return f"{urls[0]}{more} " if urls else ""


def _why(note: Note) -> str:
    return note.subjects[0][1].reason if note.subjects else note.reason


def _after(seconds: float | None) -> str:
    return "" if seconds is None else f" after {seconds:.1f} s"


def _finished(course: Course) -> str:
    if course.finished is None:
        reason = f": {course.reason}" if course.reason else ""
        return f"{course.done:,} of {course.targets:,} finished{reason}" if course.done else f"not finished{reason}"
    return f"finished{_after(course.finished)} ({_BY[course.by]})"


# How it ended


def is_proven(courses: Iterable[Course]) -> bool:
    """Whether all that was accepted is fresh; or finished, where there is nothing to look at."""
    return all(course.state in (*ENDED_WELL, "finished") for course in courses)


def lines(courses: Iterable[Course]) -> Iterator[str]:
    """For each provider how far it came, and each object that wasn't seen to be fresh."""
    for course in courses:
        how = (f"accepted{_after(course.accepted)}", _finished(course), _looked_at(course))
        yield f"{course.name}: {', '.join(filter(None, how))}"
        bad = (
            [sight for sight in course.sights if sight.verdict.state != "fresh"] if course.finished is not None else []
        )
        yield from (f"  {_sight(sight)}" for sight in bad[:_NAMED])
        if len(bad) > _NAMED:
            yield f"  and {len(bad) - _NAMED:,} more"
        yield from (f"  {url}: unknown: no object is known for this URL" for url in course.unknown[:_NAMED])
        if len(course.unknown) > _NAMED:
            yield f"  and {len(course.unknown) - _NAMED:,} more"


def _looked_at(course: Course) -> str:
    if course.finished is None:
        return ""
    if not course.sights:
        return "" if course.unknown else "and nothing can be looked at"
    fresh = sum(sight.verdict.state == "fresh" for sight in course.sights)
    if fresh == len(course.sights):
        return f"fresh{_after(course.fresh)}: {counted(fresh, 'object')} looked at"
    return f"{fresh:,} of {counted(len(course.sights), 'object')} fresh"


def _sight(sight: Sight) -> str:
    verdict = sight.verdict
    said = ", ".join(filter(None, (
        f"shows {verdict.seen}" if verdict.seen else "",
        f"S3 has {verdict.expected}" if verdict.expected else "",
        f"at {verdict.pop}" if verdict.pop else "",
        f"after {sight.purges} purges" if sight.purges > 1 else "",
    )))  # fmt: skip
    return f"{sight.subject.url}: {verdict.state}: {verdict.reason}{f' ({said})' if said else ''}"


def as_json(courses: Iterable[Course]) -> list[dict[str, Any]]:
    """The same, in the form that docs/commands.md describes."""
    return [
        {
            "name": course.name,
            "state": course.state,
            "targets": course.targets,
            "accepted_seconds": round(course.accepted, 3),
            "finished_seconds": _rounded(course.finished),
            "finished_by": None if course.finished is None else course.by,
            "fresh_seconds": _rounded(course.fresh),
            "reason": course.reason or None,
            "objects": [*map(_sight_as_json, course.sights), *map(_unknown_as_json, course.unknown)],
        }
        for course in courses
    ]


def _sight_as_json(sight: Sight) -> dict[str, Any]:
    subject, verdict = sight.subject, sight.verdict
    return {
        "url": subject.url,
        "bucket": subject.bucket,
        "key": subject.key,
        "state": str(verdict.state),
        "seconds": _rounded(sight.seconds),
        "reason": verdict.reason or None,
        "seen": verdict.seen or None,
        "expected": verdict.expected or None,
        "pop": verdict.pop or None,
        "purges": sight.purges,
    }


def _unknown_as_json(url: str) -> dict[str, Any]:
    nothing = dict.fromkeys(("bucket", "key", "seconds", "seen", "expected", "pop"))
    return {"url": url, **nothing, "state": "unknown", "reason": "no object is known for this URL", "purges": 1}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


# Before it begins


def foretold(
    names: Collection[str], order: Turns, pursued: Pursued | None, shown: Collection[Preview] = ()
) -> Iterator[str]:
    """Lines on the order of the providers, on what would be waited for, and what comes to the previews shown."""
    if order.waits:
        turns = "; then ".join(", ".join(turn) for turn in waves(names, order.waits))
        yield f"in this order: {turns}"
    for name, others in order.waits.items():
        state = "are fresh" if name in order.fresh else "have finished"
        state = state if len(others) > 1 else state.replace("are", "is").replace("have", "has")
        yield f"{name} waits until {' and '.join(others)} {state}, {order.at_most[name]} at most"
    for name, again in order.again.items():
        dollars = sum(each.dollars or 0 for each in shown if each.name.partition("/")[0] == name)
        price = f", up to ${dollars:,.3f} more" if dollars else ""
        yield f"{name} is purged a second time, {again} after the first was accepted: as many calls again{price}"
    if pursued is not None and pursued.wait is not None:
        objects = {
            (subject.bucket, subject.key)
            for demand in pursued.demands
            for want in demand.wants.values()
            for sequel in want.sequels
            for subject in sequel.subjects
        }
        looked = f"and {counted(len(objects), 'object')} fresh" if objects else "; nothing can be looked at"
        yield f"then up to {pursued.wait:,.0f} s until all has finished{' ' if objects else ''}{looked}"
