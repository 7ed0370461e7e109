"""From what one provider is to do to the fewest calls that its limits allow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import TargetsRefused
from multicdn.model import Action, Job, Outcome, Status, Target, TargetKind, digest
from multicdn.provider import capability
from multicdn.routing import Want

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Limits, Provider
    from multicdn.routing import Demand


class Plan(Struct, frozen=True):
    """What one provider will be asked.

    Attributes:
        jobs: purges first.
        rejected: targets that the provider can't act on, as outcomes that need no call.
    """

    jobs: tuple[Job, ...] = ()
    rejected: tuple[Outcome, ...] = ()


def plan(name: str, provider: Provider, demands: Sequence[Demand]) -> Plan:
    """Cut what one provider instance is to do into jobs.

    Args:
        name: of the instance, for the jobs.
        provider: the instance.
        demands: of this instance alone.
    """
    located = _Located(name, provider)
    for demand in demands:
        located.add(demand)
    located.drop_soft_where_hard()
    return Plan(tuple(located.jobs()), tuple(located.rejected))


class _Located:
    """Targets in the vendor's spelling, without duplicates, by what a call can hold together."""

    def __init__(self, name: str, provider: Provider) -> None:
        self._name = name
        self._provider = provider
        self._groups: dict[tuple[Action, TargetKind, bool], dict[str, Want]] = {}
        self.rejected: list[Outcome] = []

    def add(self, demand: Demand) -> None:
        action, soft, provider = demand.action, demand.soft, self._provider
        for target, want in demand.wants.items():
            try:
                for spelled in provider.locate(target, action):
                    self._want(action, spelled, soft, want)
            except TargetsRefused as refusal:
                self._reject(action, target, want, refusal.reason)

    def _want(self, action: Action, target: Target, soft: bool, want: Want) -> None:  # noqa: FBT001
        group = self._groups.get((action, target.kind, soft))
        if group is None:
            group = self._groups[action, target.kind, soft] = {}
        known = group.get(target.value)
        if known is None:
            group[target.value] = want
        else:
            group[target.value] = Want(known.causes | want.causes, max(known.mark, want.mark))

    def drop_soft_where_hard(self) -> None:
        """A target that must be dropped needn't be marked stale as well."""
        for (action, kind, soft), group in self._groups.items():
            if soft:
                for value in group.keys() & self._groups.get((action, kind, False), {}).keys():
                    want = group.pop(value)
                    self._want(action, Target(kind, value), soft=False, want=want)

    def jobs(self) -> Iterator[Job]:
        # Purges stand before preloads: "purge" sorts after "preload", hence the explicit key.
        for (action, kind, soft), group in sorted(self._groups.items(), key=lambda item: item[0][0] != Action.PURGE):
            limits = self._limits(action, kind)
            for batch in self._batches(action, kind, group, limits):
                yield self._job(action, kind, batch, soft=soft)

    def _limits(self, action: Action, kind: TargetKind) -> Limits:
        found = capability(self._provider, action, kind)
        if found is None:  # a plugin's `locate` made a kind that its provider lacks
            raise TypeError(f"{type(self._provider).__name__}.locate made a {kind}, which it can't {action}")
        return getattr(self._provider, found.limits)  # type: ignore[no-any-return]

    def _batches(
        self, action: Action, kind: TargetKind, group: dict[str, Want], limits: Limits
    ) -> Iterator[list[tuple[str, Want]]]:
        """Fill each batch up to the vendor's count and bytes before the next one is begun."""
        batch: list[tuple[str, Want]] = []
        size = limits.envelope
        for value, want in group.items():
            weight = self._provider.weigh(value) if limits.bytes is not None else 0
            if self._too_long(action, kind, value, want, weight, limits):
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

    def _reject(self, action: Action, target: Target, want: Want, reason: str) -> None:
        job = Job(self._name, action, target.kind, (target.value,), (want.causes,))
        self.rejected.append(Outcome(job, Status.REJECTED, reason))

    def _job(self, action: Action, kind: TargetKind, batch: list[tuple[str, Want]], *, soft: bool) -> Job:
        targets = tuple(value for value, _ in batch)
        causes = tuple(want.causes for _, want in batch)
        marks: Iterable[str] = (want.mark for _, want in batch)
        reference = digest(self._name, action, kind, str(soft), *targets, *marks)
        return Job(self._name, action, kind, targets, causes, soft, reference)
