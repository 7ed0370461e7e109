"""From what one provider is to do to the fewest calls that its limits allow. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.errors import PluginError, TargetsRefused, bug, told
from multicdn.model import Action, Job, Outcome, Status, Target, TargetKind, digest, is_text
from multicdn.provider import Limits, capability
from multicdn.routing.demand import Demand, Want, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Provider


# Marks a target as one of a job that came back, by that job's reference. No sequencer or ETag begins with it.
_SAME = "="


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
        returned: its jobs of earlier invocations. They are merged with what is new; one that ends up with the same
            targets as before keeps its reference.
    """
    located = _Located(name, provider)
    for job in returned:
        located.take_back(job)
    for demand in demands:
        located.add(demand)
    located.drop_soft_where_hard()
    return Plan(tuple(located.jobs()), tuple(located.rejected), located.bug, tuple(located.widened))


class _Located:
    """Targets in the vendor's spelling, without duplicates, by what a call can hold together."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name = name
        self._provider = provider
        # Who wants a target is listed, and joined once: a tag may have come back in thousands of jobs.
        self._groups: dict[tuple[Action, TargetKind, bool], dict[str, list[Want]]] = {}
        self._returned: dict[str, int] = {}
        self.rejected: list[Outcome] = []
        self.bug: Exception | None = None
        self.widened: list[tuple[str, str]] = []

    def take_back(self, job: Job) -> None:
        """Add the targets of a job of an earlier invocation, which are spelled for the vendor already."""
        if capability(self._provider, job.action, job.kind) is None:
            reason = f"{type(self._provider).__name__} can't {job.action} by {job.kind}, as the config once had it"
            self.rejected.append(Outcome(job, Status.REFUSED, reason))
            return
        mark = job.reference and f"{_SAME}{job.reference}"
        self._returned[mark] = len(job.targets)
        group = self._group(job.action, job.kind, soft=job.soft)
        for target, causes in zip(job.targets, job.causes, strict=True):
            group.setdefault(target, []).append(Want(causes, frozenset((mark,))))

    def add(self, demand: Demand) -> None:
        action, soft, locate = demand.action, demand.soft, self._provider.locate
        groups: dict[TargetKind, dict[str, list[Want]]] = {}
        for target, want in demand.wants.items():
            if is_blank(target):
                self._reject_unspelled(demand, target, want, "it is empty, which at some vendors means everything")
                continue
            try:
                for spelled in _checked(target, locate(target, action)):
                    group = groups.get(spelled.kind)
                    if group is None:
                        group = groups[spelled.kind] = self._group(action, spelled.kind, soft=soft)
                    group.setdefault(spelled.value, []).append(want)
                    if spelled.kind is TargetKind.PREFIX and target.kind is TargetKind.URL:
                        self.widened.append((target.value, spelled.value))
            except TargetsRefused as refusal:
                self._reject_unspelled(demand, target, want, refusal.reason)
            except BaseException as error:  # noqa: BLE001 - a bug that one odd target lays bare must not cost the others
                self._noted(error)
                self._reject_unspelled(demand, target, want, bug(error), Status.RETRY)

    def _noted(self, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        self.bug = self.bug or (error if isinstance(error, Exception) else PluginError(told(error)))

    def _group(self, action: Action, kind: TargetKind, *, soft: bool) -> dict[str, list[Want]]:
        group = self._groups.get((action, kind, soft))
        if group is None:
            self._limits(action, kind)
            group = self._groups[action, kind, soft] = {}
        return group

    def drop_soft_where_hard(self) -> None:
        """A target that must be dropped needn't be marked stale as well."""
        for (action, kind, soft), group in self._groups.items():
            hard = self._groups.get((action, kind, False), {}) if soft else {}
            for value in group.keys() & hard.keys():
                hard[value] += group.pop(value)

    def jobs(self) -> Iterator[Job]:
        # Purges stand before preloads: "purge" sorts after "preload", hence the explicit key.
        for (action, kind, soft), group in sorted(self._groups.items(), key=lambda item: item[0][0] != Action.PURGE):
            wanted = {value: joined(wants) for value, wants in group.items()}
            try:
                batches = list(self._batches(action, kind, wanted, _checked_limits(self._limits(action, kind))))
            except BaseException as error:  # noqa: BLE001 - what a plugin says of one kind must not cost the others
                self._noted(error)
                batch = list(wanted.items())
                self.rejected.append(Outcome(self._job(action, kind, batch, soft=soft), Status.RETRY, bug(error)))
                continue
            for batch in batches:
                yield self._job(action, kind, batch, soft=soft)

    def _limits(self, action: Action, kind: TargetKind) -> Limits:
        way = capability(self._provider, action, kind)
        if way is None:  # a plugin's `locate` made a kind that its provider lacks
            raise TypeError(f"{type(self._provider).__name__}.locate made a {kind}, which it can't {action}")
        return getattr(self._provider, way.limits)  # type: ignore[no-any-return]

    def _batches(
        self, action: Action, kind: TargetKind, group: dict[str, Want], limits: Limits
    ) -> Iterator[list[tuple[str, Want]]]:
        """Fill each batch up to the vendor's count and bytes before the next one is begun."""
        batch: list[tuple[str, Want]] = []
        size = limits.envelope
        # A character takes at most four bytes: most targets needn't be measured.
        short = math.inf if limits.target_bytes is None else limits.target_bytes // 4
        for value, want in group.items():
            try:
                weight = _checked_weight(self._provider.weigh(value)) if limits.bytes is not None else 0
            except BaseException as error:  # noqa: BLE001 - as in ``add``
                self._noted(error)
                self._reject(action, Target(kind, value), want, bug(error), Status.RETRY)
                continue
            if (weight or len(value) > short) and self._too_long(action, kind, value, want, weight, limits):
                continue
            full = len(batch) == limits.targets or (limits.bytes is not None and size + weight > limits.bytes)
            if batch and full:
                yield batch
                batch, size = [], limits.envelope
            batch.append((value, want))
            size += weight
        if batch:
            yield batch

    def _too_long(self, action: Action, kind: TargetKind, value: str, want: Want, weight: int, limits: Limits) -> bool:
        length = len(value) if value.isascii() else len(value.encode())
        if limits.target_bytes is not None and length > limits.target_bytes:
            reason = f"it is {length} bytes long, and the vendor takes {limits.target_bytes} at most"
        elif limits.bytes is not None and limits.envelope + weight > limits.bytes:
            reason = f"it alone makes a body of over {limits.bytes} bytes, which is all that the vendor takes"
        else:
            return False
        self._reject(action, Target(kind, value), want, reason)
        return True

    def _reject(
        self, action: Action, target: Target, want: Want, reason: str, status: Status = Status.REJECTED
    ) -> None:
        job = Job(self._name, action, target.kind, (target.value,), (want.causes,))
        self.rejected.append(Outcome(job, status, reason))

    def _reject_unspelled(
        self, demand: Demand, target: Target, want: Want, reason: str, status: Status = Status.REJECTED
    ) -> None:
        """Reject what isn't spelled for the vendor, and say so: should it come back, the provider is asked again."""
        rejected = (demand.action, target.kind, (target.value,), (want.causes,), demand.soft)
        self.rejected.append(Outcome(Job(self._name, *rejected, bucket=demand.bucket), status, reason))

    def _job(self, action: Action, kind: TargetKind, batch: list[tuple[str, Want]], *, soft: bool) -> Job:
        targets = tuple(value for value, _ in batch)
        causes = tuple(want.causes for _, want in batch)
        return Job(self._name, action, kind, targets, causes, soft, self._reference(action, kind, batch, soft=soft))

    def _reference(self, action: Action, kind: TargetKind, batch: list[tuple[str, Want]], *, soft: bool) -> str:
        marks = set().union(*(want.marks for _, want in batch)) if self._returned else set()
        if len(marks) == 1 and self._returned.get(mark := marks.pop()) == len(batch):
            return mark.removeprefix(_SAME)
        parts: list[str] = []
        for value, want in batch:
            if "" in want.marks:
                return ""
            parts += value, " ".join(want.marks if len(want.marks) == 1 else sorted(want.marks))
        return digest(self._name, action.value, kind.value, str(soft), *parts)


def is_blank(target: Target) -> bool:
    """Whether a target names nothing. Only everything has no name."""
    return target.kind is not TargetKind.EVERYTHING and not target.value.strip()


def _checked(target: Target, spelled: Iterable[Any]) -> tuple[Target, ...]:
    """What a plugin made of a target, if it may be sent.

    Raises:
        TypeError, ValueError: it is something else than targets, or means more than the target did.
    """
    found = tuple(spelled)
    if not found:
        raise ValueError("locate returned no target at all; to refuse one, raise TargetsRefused")
    for each in found:
        if not isinstance(each, Target) or each.kind not in TargetKind or not is_text(each.value):
            raise TypeError(f"locate returned {each!r:.80}, which is no Target of text")
        if each.kind is TargetKind.EVERYTHING and target.kind is not TargetKind.EVERYTHING:
            raise ValueError(f"locate made everything of a {target.kind}")
        if is_blank(each):
            raise ValueError(f"locate made an empty {each.kind}")
    return found


def _checked_limits(limits: Any) -> Limits:
    if not isinstance(limits, Limits):
        raise TypeError(f"its limits are {limits!r:.80}")
    if not isinstance(getattr(limits, "targets"), int) or limits.targets < 1:  # noqa: B009 - hidden from mypy
        raise TypeError(f"its limits allow {limits.targets!r:.80} targets")
    return limits


def _checked_weight(weight: Any) -> int:
    if not isinstance(weight, int):
        raise TypeError(f"weigh returned {weight!r:.80}, which is no number of bytes")
    return weight


def unlocated(demand: Demand) -> Iterator[Job]:
    """A demand as jobs whose targets aren't spelled for the vendor: to hold its place, or to be queued as it is."""
    kinds: dict[TargetKind, list[tuple[str, frozenset[str]]]] = {}
    for target, want in demand.wants.items():
        kinds.setdefault(target.kind, []).append((target.value, want.causes))
    for kind, pairs in kinds.items():
        values, causes = zip(*pairs, strict=True)
        yield Job(demand.provider, demand.action, kind, values, causes, demand.soft, bucket=demand.bucket)


def as_demand(job: Job) -> Demand:
    """Turn a job of ``unlocated`` back into a demand.

    Its messages stand for the changes, of which it knows nothing: no vendor has been asked for it yet, so there is no
    earlier request of which this one must be a repetition.
    """
    wants = {
        Target(job.kind, value): Want(set(causes), set(causes))
        for value, causes in zip(job.targets, job.causes, strict=True)
    }
    return Demand(job.provider, job.action, job.soft, job.bucket, wants)
