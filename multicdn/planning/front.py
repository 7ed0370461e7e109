"""From changes to what each provider is to do: tags are read, routes applied, many URLs collapsed. Pure.

The function, a purge by hand and an explanation all come this way. What only S3 knows is asked through what they hand
in, so an explanation may ask nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Action, Change, ChangeKind, Job, Outcome, Status, TargetKind
from multicdn.planning.collapse import Count, Decision, collapse
from multicdn.queue.message import QueuedJob
from multicdn.queue.waiting import Unrouted
from multicdn.routing import object_tags
from multicdn.routing.demand import Demand, RoutingFailure
from multicdn.routing.router import Missing, gone_by

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from multicdn.provider import Provider
    from multicdn.routing.router import Router


class ObjectLookup(Struct, frozen=True):
    """How S3 is asked about objects.

    Attributes:
        metadata: of objects by bucket and key.
        unchanged: how many objects below a prefix have not changed lately.
    """

    metadata: object_tags.ReadMetadata
    unchanged: Count


#: Asks nobody: no object has tags, and nothing can be counted.
OFFLINE = ObjectLookup(lambda _: ({}, {}), lambda *_: None)


class Work(Struct, frozen=True):
    """What some changes ask for.

    Attributes:
        demands: for the providers.
        failures: changes of which a part is not in the demands: a plugin failed on their URLs, or S3 did not answer for
            the tags of their objects. What could be found out of them is in the demands all the same.
        decisions: about the demands whose routes have a policy for collapsing.
    """

    demands: list[Demand]
    failures: list[RoutingFailure]
    decisions: list[Decision]


class Released(Struct, frozen=True):
    """Changes that have waited for the rest of their deploy, of one route, and go on now.

    Attributes:
        routes: file and line of the route, where they are known.
        objects: bucket and key of each.
        seconds: since the first of them happened.
        reason: in a sentence.
        late: whether the deploy may go on all the same.
    """

    routes: tuple[str, ...]
    objects: tuple[tuple[str, str], ...]
    seconds: float
    reason: str
    late: bool


class Holding(Struct, frozen=True):
    """Which changes wait for the rest of their deploy.

    Attributes:
        missing: the parts of routes that changes are to be routed for now.
        groups: what waits, or is given up since its deploy never ended.
        changes: those of which nothing is routed now.
        released: what goes on.
        going: ids of the messages of it that had waited: what they ask for is asked for from now on.
    """

    missing: Missing
    groups: Sequence[Unrouted] = ()
    changes: Collection[Change] = ()
    released: Sequence[Released] = ()
    going: Collection[str] = ()


class Returned(Struct, frozen=True):
    """What came back from the queue.

    Attributes:
        jobs: to be done, those that were tried least first.
        refused: how those ended that ask for more than any route could.
        looks: what is only to be looked at.
        gone: what was taken from the jobs, since it is gone meanwhile.
    """

    jobs: list[Job]
    refused: list[Outcome]
    looks: list[QueuedJob]
    gone: list[Job]


class Spending:
    """Targets that this process has asked each vendor for since the month began.

    Vendors charge by account and month, and tell nobody how much is used up. So every process knows its own part alone,
    beginning with nothing: the function's environments one each, and a command only what it does itself.
    """

    def __init__(self) -> None:
        self._month = ""
        self._spent: dict[type[Provider], int] = {}

    def in_month(self, month: str) -> dict[type[Provider], int]:
        """What was spent in a month such as ``2026-11``, to be added to; that of another month is forgotten."""
        if month != self._month:
            self._month, self._spent = month, {}
        return self._spent


def find_work(
    router: Router,
    providers: Mapping[str, Provider],
    changes: Sequence[Change],
    lookup: ObjectLookup,
    spent: dict[type[Provider], int] | None = None,
    choose: Callable[[list[Demand]], Iterable[Demand]] = list,
    missing: Missing | None = None,
) -> Work:
    """Work out what changes ask the providers for.

    Args:
        router: the routes.
        providers: instances by name.
        changes: in any order.
        lookup: asked where a route takes tags from metadata, or a policy needs to know what has not changed.
        spent: see ``Spending``; what is asked for here is added to it.
        choose: leaves out or adds demands before any are collapsed.
        missing: the parts of routes that changes are to be routed for, see ``router.Missing``.
    """
    tags = object_tags.read(router.tagged(changes, missing), lookup.metadata)
    demands, failures = router.demands(changes, tags.tags, missing)
    failures += [
        RoutingFailure(change, tags.failed[place], router.untagged(change, missing))
        for change in changes
        if change.kind is ChangeKind.CREATED and (place := (change.bucket, change.key)) in tags.failed
    ]
    collapsed, decisions = collapse(list(choose(demands)), providers, lookup.unchanged, spent)
    return Work(collapsed, failures, decisions)


def take_back(
    router: Router, refusal: Callable[[Job], str], queued: Sequence[QueuedJob], changes: Sequence[Change]
) -> Returned:
    """Sort what came back from the queue.

    Args:
        router: the routes.
        refusal: why a job asks for more than any route could; empty if it doesn't.
        queued: what came back.
        changes: that came with it.
    """
    reasons = [refusal(each.job) or refusal(_looked_at(each.job)) for each in queued]
    judged = list(zip(queued, reasons, strict=True))
    # What was tried least goes first: else one that fails each time would keep the others from their turn.
    judged.sort(key=lambda pair: pair[0].attempt)
    jobs, gone = _without_gone(router, [each.job for each, reason in judged if not (reason or each.look)], changes)
    refused = [
        Outcome(each.job, Status.REFUSED, f"not done, since it came from the queue: {reason}", final=True)
        for each, reason in judged
        if reason
    ]
    looks = [each for each, reason in zip(queued, reasons, strict=True) if each.look and not reason]
    return Returned(jobs, refused, looks, gone)


def _looked_at(job: Job) -> Job:
    """A purge of the URLs that a job is looked at by."""
    urls = tuple({subject.url for sequel in job.sequels if sequel for subject in sequel.subjects})
    return Job(job.instance, Action.PURGE, TargetKind.URL, urls, (frozenset[str](),) * len(urls))


def _without_gone(router: Router, returned: list[Job], changes: Sequence[Change]) -> tuple[list[Job], list[Job]]:
    """Take from preloads that waited what changes say is gone meanwhile; the purges that they took along stay."""
    waited = any(job.action is Action.PRELOAD for job in returned)
    places = gone_by(changes) if waited else ()
    if not places:
        return returned, []
    urls: dict[str, set[str]] = {}
    for demand in router.demands([Change(*place) for place in places], chained=False)[0]:
        if demand.action is Action.PRELOAD:
            urls.setdefault(demand.provider, set()).update(target.value for target in demand.wants)
    jobs: list[Job] = []
    gone: list[Job] = []
    for job in returned:
        lost = job.only(urls.get(job.instance, ())) if job.action is Action.PRELOAD else None
        left = job.without(lost.targets) if lost else job
        jobs += [left] if left else job.purges
        gone += [lost] if lost else []
    return jobs, gone
