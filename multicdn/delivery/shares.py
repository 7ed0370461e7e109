"""Who does what: demands, and jobs that came back, sorted by instance and then by the provider that is to do them.

Pure, but for the vendors that ``find`` asks: delivery does as it says here, and the tools that foretell it show it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.delivery.ledger import status_of
from multicdn.errors import ProviderError, SecretError, bug, told
from multicdn.model import Job, Outcome, Status
from multicdn.planning import planner
from multicdn.planning.jobs import as_demand, unlocated
from multicdn.provider import Discover, Provider, stands_for_others
from multicdn.routing.demand import Demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Finds out what a provider stands for in front of a bucket.
Find = Callable[[Discover, str], Mapping[str, Provider]]


class InstanceWork(Struct, frozen=True):
    """What falls to one configured instance.

    Attributes:
        instance: its name.
        demands: of which the targets have to be spelled for the vendor yet, those of jobs that came back among them.
        returned: jobs that came back, spelled for the vendor.
        jobs: all of it as jobs, in the spelling that it has now.
    """

    instance: str
    demands: tuple[Demand, ...]
    returned: tuple[Job, ...]
    jobs: tuple[Job, ...]


class Share(Struct, frozen=True):
    """What falls to one concrete provider: to an instance itself, or to one of those that it stands for."""

    name: str
    provider: Provider
    demands: list[Demand]
    returned: list[Job]

    def plan(self) -> planner.Plan:
        """The calls that it takes."""
        return planner.plan(self.name, self.provider, self.demands, self.returned)


def by_instance(demands: Iterable[Demand], returned: Iterable[Job]) -> list[InstanceWork]:
    """Sort what is new, and what came back, by instance."""
    demanded: dict[str, list[Demand]] = defaultdict(list)
    located: dict[str, list[Job]] = defaultdict(list)
    for job in (each for one in returned for each in (*one.purges, one)):
        if job.located:
            located[job.instance].append(job)
        else:
            demanded[job.instance].append(as_demand(job))
    for demand in demands:
        demanded[demand.provider].append(demand)
    return [_work(name, demanded[name], located[name]) for name in dict.fromkeys([*demanded, *located])]


def _work(instance: str, demands: list[Demand], returned: list[Job]) -> InstanceWork:
    jobs = (*(job for demand in demands for job in unlocated(demand)), *returned)
    return InstanceWork(instance, tuple(demands), tuple(returned), jobs)


def refused_unknown(work: InstanceWork) -> list[Outcome]:
    """The work of an instance that the config doesn't have."""
    reason = f"the config has no provider called {work.instance!r}"
    return [Outcome(job, Status.REFUSED, reason, final=True) for job in work.jobs]


def shares(work: InstanceWork, provider: Provider, find: Find | None, end: Callable[[Outcome], None]) -> list[Share]:
    """Sort the work of an instance by the provider that is to do it.

    Args:
        work: of the instance.
        provider: the instance.
        find: asked once for each bucket if the instance stands for others. Without it, what would have to be asked
            stays with the instance.
        end: told of each job that nobody can do, as soon as that is known.
    """
    by_name: dict[str, Share] = {}
    for name, concrete, demand in _assigned(work, provider, find, end):
        by_name.setdefault(name, Share(name, concrete, [], [])).demands.append(demand)
    for job in work.returned:
        if reason := _mismatch(provider, job):
            end(Outcome(job, Status.REFUSED, reason, final=True))
        elif share := by_name.get(job.provider) or _returned_to(provider, job, end):
            by_name[share.name] = share
            share.returned.append(job)
    return list(by_name.values())


def _assigned(
    work: InstanceWork, provider: Provider, find: Find | None, end: Callable[[Outcome], None]
) -> Iterator[tuple[str, Provider, Demand]]:
    """Each demand with each provider that it turns out to be for."""
    if find is None or not stands_for_others(provider):
        yield from ((work.instance, provider, demand) for demand in work.demands)
        return
    for bucket in dict.fromkeys(demand.bucket for demand in work.demands):
        try:
            parts = find(provider, bucket)
        except BaseException as error:  # noqa: BLE001 - also a plugin's bug, which must not cost the other buckets
            for job in work.jobs:
                if job.bucket == bucket:
                    end(_not_found(job, error))
            continue
        for part, concrete in parts.items():
            for demand in work.demands:
                if demand.bucket == bucket:
                    yield f"{work.instance}/{part}", concrete, demand


def _not_found(job: Job, error: BaseException) -> Outcome:
    if isinstance(error, ProviderError | SecretError):
        return Outcome(job, status_of(error), str(error), after=getattr(error, "after", None))
    return Outcome(job, Status.RETRY, bug(error))


def _mismatch(provider: Provider, job: Job) -> str:
    """Why a job can't be meant for an instance as it is configured now; empty if it can."""
    if stands_for_others(provider):
        return "" if job.part else f"{job.instance} stands for others now, and the job names none of them"
    if job.provider != job.instance:
        return f"{job.instance} no longer stands for others; {job.provider} is not in the config"
    return ""


def _returned_to(provider: Provider, job: Job, end: Callable[[Outcome], None]) -> Share | None:
    """A share for a job that came back, without asking anybody; None if its provider can't be made."""
    try:
        concrete = provider.part(job.part) if stands_for_others(provider) else provider
    except BaseException as error:  # noqa: BLE001 - the plugin's, or a message of an older config
        end(Outcome(job, Status.REFUSED, f"{job.provider} can't be made: {told(error)}", final=True))
        return None
    return Share(job.provider, concrete, [], [])
