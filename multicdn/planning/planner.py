"""From what one provider is to do to the fewest calls that its limits allow. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from multicdn.errors import PluginError, TargetsRefused, bug, told
from multicdn.model import Action, Job, Outcome, Rank, Status, Target, TargetKind
from multicdn.planning.jobs import Batch, Batching, JobMaker, each_target, mark_of, provenance_of, sequels_of
from multicdn.planning.validation import checked_limits, checked_targets, checked_weight, is_blank, needs_no_check
from multicdn.provider import Limits, PurgePrefixes, capability
from multicdn.routing.demand import Demand, Want, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Provider


class Plan(Struct, frozen=True):
    """What one provider will be asked.

    Attributes:
        jobs: purges first.
        rejected: targets that the provider can't act on, as outcomes that need no call.
        bug: the first exception that a plugin raised in spelling a target; these targets are among the rejected, to
            be tried again when the plugin is repaired.
        widened: URLs that the vendor can only purge by a prefix, each with that prefix: more than was asked for goes.
    """

    jobs: tuple[Job, ...] = ()
    rejected: tuple[Outcome, ...] = ()
    bug: Exception | None = None
    widened: tuple[tuple[str, str], ...] = ()


def plan(name: str, provider: Provider, demands: Sequence[Demand], returned: Sequence[Job] = ()) -> Plan:
    """Cut what one provider instance is to do into jobs.

    Args:
        name: of the instance, for the jobs.
        provider: the instance.
        demands: of this instance alone.
        returned: its jobs of earlier invocations, those that were tried least first. Those that were never tried are
            merged with what is new, the others with one another; one that ends up with the same targets as before
            keeps its reference.
    """
    located = _Located(name, provider)
    for demand in demands:
        located.add(demand)
    # What was in vain before comes last, and is joined by nothing new: what is wrong with it would grow.
    for job in sorted(returned, key=lambda job: job.rank is not Rank.NEW):
        located.take_back(job)
    located.ask_once()
    located.absorb()
    return Plan(tuple(located.jobs()), tuple(located.rejected), located.bug, tuple(located.widened))


class _Gathered:
    """Targets that a call can hold together, and who wants each.

    Attributes:
        first: nearly every target is wanted by one.
        others: further ones. They are listed, and joined once: a tag may have come back in thousands of jobs.
    """

    def __init__(self) -> None:
        self.first: dict[str, Want] = {}
        self.others: dict[str, list[Want]] = {}

    def add(self, value: str, want: Want) -> None:
        """Add one who wants a target."""
        if self.first.setdefault(value, want) is not want:
            self.others.setdefault(value, []).append(want)

    def move(self, value: str, group: _Gathered, stead: str) -> None:
        """Have all who want a target want that of another group in its stead."""
        for want in (self.first.pop(value), *self.others.pop(value, ())):
            group.add(stead, want)

    def joined(self) -> dict[str, Want]:
        """All who want a target as one."""
        return self.first | {value: joined([self.first[value], *wants]) for value, wants in self.others.items()}


class _Located:
    """Targets in the vendor's spelling, without duplicates, by what a call can hold together."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name = name
        self._provider = provider
        self._groups: dict[Batching, _Gathered] = {}
        self._returned: dict[str, int] = {}
        self.rejected: list[Outcome] = []
        self.bug: Exception | None = None
        self.widened: list[tuple[str, str]] = []

    def take_back(self, job: Job) -> None:
        """Add the targets of a job of an earlier invocation, which are spelled for the vendor already."""
        if capability(self._provider, job.action, job.kind) is None:
            reason = f"{type(self._provider).__name__} can't {job.action} by {job.kind}, as the config once had it"
            self.rejected.append(Outcome(job, Status.REFUSED, reason, final=True))
            return
        mark = mark_of(job)
        self._returned[mark] = len(job.targets)
        place = len(self._groups) if job.rank is Rank.ALONE else 0
        group = self._group(Batching(job.action, job.kind, job.soft, job.rank, place))
        for target, causes, provenance, sequel in each_target(job):
            group.add(target, Want(causes, frozenset((mark,)), (provenance,), sequel))

    def add(self, demand: Demand) -> None:
        action, soft, locate = demand.action, demand.soft, self._provider.locate
        groups: dict[TargetKind, _Gathered] = {}
        for target, want in demand.wants.items():
            if not target.value.strip() and is_blank(target):
                self._reject_unspelled(demand, target, want, "it is empty, which at some vendors means everything")
                continue
            try:
                found = locate(target, action)
                for spelled in found if needs_no_check(found, target) else checked_targets(target, found):
                    kind, value = spelled.kind, spelled.value
                    group = groups.get(kind)
                    if group is None:
                        group = groups[kind] = self._group(Batching(action, kind, soft))
                    group.add(value, want)
                    if kind is not target.kind and kind is TargetKind.PREFIX and target.kind is TargetKind.URL:
                        self.widened.append((target.value, value))
            except TargetsRefused as refusal:
                self._reject_unspelled(demand, target, want, refusal.reason)
            except BaseException as error:  # noqa: BLE001 - a bug that one odd target lays bare must not cost the others
                self._noted(error)
                self._reject_unspelled(demand, target, want, bug(error), Status.RETRY)

    def _noted(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        self.bug = self.bug or (error if isinstance(error, Exception) else PluginError(told(error)))

    def _group(self, key: Batching) -> _Gathered:
        group = self._groups.get(key)
        if group is None:
            self._limits(key.action, key.kind)
            group = self._groups[key] = _Gathered()
        return group

    def ask_once(self) -> None:
        """Leave each target in the first group that has it; one that must be dropped isn't marked stale as well."""
        if len(self._groups) == len({(key.action, key.kind) for key in self._groups}):
            return
        holders: dict[tuple[Action, TargetKind], dict[str, Batching]] = {}
        for key, group in list(self._groups.items()):
            held = holders.setdefault((key.action, key.kind), {})
            for value in list(group.first):
                earlier = held.setdefault(value, key)
                if earlier is not key:
                    held[value] = msgspec.structs.replace(earlier, soft=earlier.soft and key.soft)
                    both = _Gathered()
                    for holder in (self._groups[earlier], group):
                        holder.move(value, both, value)
                    both.move(value, self._group(held[value]), value)

    def absorb(self) -> None:
        """Leave out URLs and narrower prefixes that a prefix reaches as well: some vendors charge for each.

        A prefix that only marks as stale can't stand for what must be dropped. What was in vain before stays by itself.
        """
        ending = self._provider.prefix_ending if isinstance(self._provider, PurgePrefixes) else None
        if ending is None:
            return
        kinds = (TargetKind.PREFIX, TargetKind.URL)
        keys = [Batching(Action.PURGE, kind, soft) for kind in kinds for soft in (False, True)]
        new = [key for key in keys if key in self._groups]
        for key in (key for key in new if key.kind is TargetKind.PREFIX):
            wide, widest = self._groups[key], _Widest(self._groups[key].first, ending)
            for narrow in (self._groups[other] for other in new if other.soft >= key.soft):
                for value in list(narrow.first):
                    prefix = widest.above(value)
                    if prefix is not None and not (narrow is wide and value == prefix):
                        narrow.move(value, wide, prefix)

    def jobs(self) -> Iterator[Job]:
        for key, group in sorted(self._groups.items(), key=lambda item: _turn(item[0])):
            wanted, maker = group.joined(), JobMaker(self._name, key, self._returned)
            try:
                limits = checked_limits(self._limits(key.action, key.kind))
                batches = list(self._batches(key, wanted, limits))
            except BaseException as error:  # noqa: BLE001 - what a plugin says of one kind must not cost the others
                self._noted(error)
                self.rejected.append(Outcome(maker.job(list(wanted.items())), Status.RETRY, bug(error)))
                continue
            yield from map(maker.job, batches)

    def _limits(self, action: Action, kind: TargetKind) -> Limits:
        way = capability(self._provider, action, kind)
        if way is None:  # a plugin's `locate` made a kind that its provider lacks
            raise TypeError(f"{type(self._provider).__name__}.locate made a {kind}, which it can't {action}")
        return way.limits_of(self._provider)

    def _batches(self, key: Batching, wanted: dict[str, Want], limits: Limits) -> Iterator[Batch]:
        """Fill each batch up to the vendor's count and bytes before the next one is begun."""
        if limits.bytes is not None:
            yield from self._weighed(key, wanted, limits)
            return
        # A character takes at most four bytes: most targets needn't be measured.
        short = math.inf if limits.target_bytes is None else limits.target_bytes // 4
        fitting = [
            pair for pair in wanted.items() if len(pair[0]) <= short or not self._too_long(key, *pair, 0, limits)
        ]
        for place in range(0, len(fitting), limits.targets):
            yield fitting[place : place + limits.targets]

    def _weighed(self, key: Batching, wanted: dict[str, Want], limits: Limits) -> Iterator[Batch]:
        assert limits.bytes is not None
        batch: Batch = []
        size = limits.envelope
        for value, want in wanted.items():
            try:
                weight = checked_weight(self._provider.weigh(value))
            except BaseException as error:  # noqa: BLE001 - as in ``add``
                self._noted(error)
                self._reject(key.action, Target(key.kind, value), want, bug(error), Status.RETRY)
                continue
            if self._too_long(key, value, want, weight, limits):
                continue
            if batch and (len(batch) == limits.targets or size + weight > limits.bytes):
                yield batch
                batch, size = [], limits.envelope
            batch.append((value, want))
            size += weight
        if batch:
            yield batch

    def _too_long(self, key: Batching, value: str, want: Want, weight: int, limits: Limits) -> bool:
        length = len(value) if value.isascii() else len(value.encode())
        if limits.target_bytes is not None and length > limits.target_bytes:
            reason = f"it is {length} bytes long, and the vendor takes {limits.target_bytes} at most"
        elif limits.bytes is not None and limits.envelope + weight > limits.bytes:
            reason = f"it alone makes a body of over {limits.bytes} bytes, which is all that the vendor takes"
        else:
            return False
        self._reject(key.action, Target(key.kind, value), want, reason)
        return True

    def _reject(
        self, action: Action, target: Target, want: Want, reason: str, status: Status = Status.REJECTED
    ) -> None:
        rejected = (self._name, action, target.kind, (target.value,), (want.causes,))
        job = Job(*rejected, provenance=provenance_of((want,)), sequels=sequels_of((want,)))
        self.rejected.append(Outcome(job, status, reason))

    def _reject_unspelled(
        self, demand: Demand, target: Target, want: Want, reason: str, status: Status = Status.REJECTED
    ) -> None:
        """Reject what isn't spelled for the vendor, and say so: should it come back, the provider is asked again."""
        rejected = (demand.action, target.kind, (target.value,), (want.causes,), demand.soft)
        beside = provenance_of((want,)), sequels_of((want,))
        job = Job(self._name, *rejected, "", demand.bucket, Rank.NEW, (), *beside)
        self.rejected.append(Outcome(job, status, reason))


class _Widest:
    """Prefixes without those that are below others.

    Args:
        prefixes: as the vendor spells them.
        ending: what they end with; the rest is what all below begins with.
    """

    def __init__(self, prefixes: Iterable[str], ending: str) -> None:
        self._ending = ending
        self._stems: list[str] = []
        for stem in sorted(prefix.removesuffix(ending) for prefix in prefixes if prefix.endswith(ending)):
            if not self._stems or not stem.startswith(self._stems[-1]):
                self._stems.append(stem)

    def above(self, value: str) -> str | None:
        """The prefix that a target is below, or that it is itself; None if there is none."""
        place = bisect_right(self._stems, value) - 1
        return f"{self._stems[place]}{self._ending}" if place >= 0 and value.startswith(self._stems[place]) else None


def _turn(key: Batching) -> tuple[bool, bool]:
    """Purges stand before preloads, and what is new before what came back; otherwise all stays as it is."""
    return key.action is not Action.PURGE, key.rank is not Rank.NEW
