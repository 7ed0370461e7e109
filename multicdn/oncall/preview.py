"""What the providers would be asked: batches, calls, price, time. Made by the same planning that delivery goes by.

Pure, unless the caller hands in a way to look up what a provider stands for (``distribution: auto``).
"""

from __future__ import annotations

import math
import typing
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.config.checker import option_types
from multicdn.delivery.delivery import Delivery, Terms
from multicdn.errors import ProviderError, SecretError, bug
from multicdn.facts import Price, Speed
from multicdn.model import Action, Job, Outcome, TargetKind
from multicdn.planning import planner
from multicdn.provider import Call, Discover, Provider, capability
from multicdn.routing.router import Demand
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from multicdn.config import Config

    Resolve = Callable[[Discover, str], Mapping[str, Provider]]

# Said of a provider that nobody was asked about.
UNRESOLVED = "what it stands for can only be found out by asking the vendor (--online); shown as if for one of them"


class Ask(Struct, frozen=True):
    """What a provider would be asked by one of its methods.

    Attributes:
        action, kind, soft: as in a job.
        batches: the targets of each call, in the vendor's spelling.
        speed: how soon the vendor says that it is seen; None where it doesn't say.
    """

    action: Action
    kind: TargetKind
    soft: bool
    batches: tuple[tuple[str, ...], ...]
    speed: Speed | None = None

    @property
    def targets(self) -> int:
        """How many targets there are."""
        return sum(map(len, self.batches))


class Preview(Struct, frozen=True):
    """What one provider would be asked.

    Attributes:
        name: of the instance, or of what it was found to stand for.
        type: name of the plugin; empty for a provider that the config doesn't have.
        where: the options that say on what it acts: zone, service, network, environment.
        asks: purges first.
        rejected: targets that it can't act on.
        seconds: that pass before the last call may begin at the vendor's pace; 0 where all may begin at once.
        price: of a target, where the vendor has one.
        note: what keeps this from being exact, or from happening at all, or that the vendor has ended; else empty.
        exact: whether it is known how many calls and targets there would be.
    """

    name: str
    type: str = ""
    where: dict[str, str] = {}
    asks: tuple[Ask, ...] = ()
    rejected: tuple[Outcome, ...] = ()
    seconds: float = 0.0
    price: Price | None = None
    note: str = ""
    exact: bool = True

    @property
    def calls(self) -> int:
        """How many calls it would take, if none has to be repeated."""
        return sum(len(ask.batches) for ask in self.asks)

    @property
    def targets(self) -> int:
        """How many targets it would act on."""
        return sum(ask.targets for ask in self.asks)

    @property
    def dollars(self) -> float | None:
        """What the purges cost at most: as if nothing were left of what is free. None where there is no price."""
        if self.price is None:
            return None
        return self.price.dollars * sum(ask.targets for ask in self.asks if ask.action is Action.PURGE)


def previews(
    config: Config, demands: Iterable[Demand], returned: Iterable[Job] = (), resolve: Resolve | None = None
) -> list[Preview]:
    """Show what each provider would be asked, in the order of the config.

    Args:
        config: the checked config.
        demands: what is to be done.
        returned: jobs that wait in the queue.
        resolve: asks a vendor what a provider stands for in front of a bucket; without it nobody is asked.
    """
    shares = _Shares(config, resolve)
    for demand in demands:
        shares.add(demand)
    for job in returned:
        shares.take_back(job)
    pace = Delivery({}, Terms(concurrency=config.concurrency))
    found = [_preview(share, config, pace) for share in shares.parts.values()]
    order = {name: place for place, name in enumerate(config.providers)}
    return sorted(found + shares.impossible, key=lambda each: order.get(_instance(each.name), len(order)))


def where(provider: Provider) -> dict[str, str]:
    """The options that tell one zone, service, network or environment from another.

    These are all that differ from their defaults, and those with a few named values (production or staging) even where
    they don't. Secrets, and what the plugin keeps out of its ``repr``, are left out.
    """
    found = {name: _shown(provider, name, hint) for name, hint in option_types(type(provider)).items()}
    found["endpoint"] = found.pop("endpoint")  # at the end: it is rarely what one looks for
    return {name: shown for name, shown in found.items() if shown}


def resolve_online(provider: Discover, bucket: str) -> Mapping[str, Provider]:
    """Ask the vendor. Calls the network, and may read secrets."""
    return provider.discover(bucket, Call())


class _Share(Struct):
    """What falls to one concrete provider."""

    name: str
    provider: Provider
    demands: list[Demand]
    returned: list[Job]
    note: str = ""
    exact: bool = True


class _Shares:
    """Sorts demands and jobs by concrete provider, as delivery does."""

    def __init__(self, config: Config, resolve: Resolve | None) -> None:
        self._config = config
        self._resolve = resolve
        self._known: dict[tuple[str, str], Mapping[str, Provider] | None] = {}
        self.parts: dict[str, _Share] = {}
        self.impossible: list[Preview] = []

    def add(self, demand: Demand) -> None:
        name = demand.provider
        provider = self._config.providers.get(name)
        if provider is None:
            self._impossible(name, f"the config has no provider called {name!r}")
        elif not (isinstance(provider, Discover) and provider.discovers):
            self._share(name, provider).demands.append(demand)
        elif self._resolve is None:
            self._share(name, provider, exact=False).demands.append(demand)
        else:
            for part, concrete in self._found(name, provider, demand.bucket).items():
                self._share(f"{name}/{part}", concrete).demands.append(demand)

    def take_back(self, job: Job) -> None:
        if job.bucket:
            return self.add(planner.as_demand(job))
        instance, _, part = job.provider.partition("/")
        provider = self._config.providers.get(instance)
        try:
            if provider is None:
                raise LookupError(f"the config has no provider called {instance!r}")
            if part and not isinstance(provider, Discover):
                raise LookupError(f"{instance} doesn't stand for others")
            concrete = provider.part(part) if part and isinstance(provider, Discover) else provider
        except Exception as error:  # noqa: BLE001 - a plugin's `part` may refuse the name in any way
            return self._impossible(job.provider, str(error))
        return self._share(job.provider, concrete).returned.append(job)

    def _found(self, name: str, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        assert self._resolve is not None, "only asked when there is a way to ask"
        if (name, bucket) not in self._known:
            found: Mapping[str, Provider] = {}
            try:
                found = self._resolve(provider, bucket)
                fault = "" if found else f"nothing found that serves the bucket {bucket!r}"
            except (ProviderError, SecretError) as error:
                fault = str(error)
            self._known[name, bucket] = found
            if fault:
                self._impossible(name, fault)
        return self._known[name, bucket] or {}

    def _share(self, name: str, provider: Provider, *, exact: bool = True) -> _Share:
        notes = ("" if exact else UNRESOLVED, provider.retired and f"retired: {provider.retired}")
        return self.parts.setdefault(name, _Share(name, provider, [], [], "; ".join(filter(None, notes)), exact))

    def _impossible(self, name: str, why: str) -> None:
        instance = _instance(name)
        provider = self._config.providers.get(instance)
        settings = where(provider) if provider else {}
        preview = Preview(name, self._config.types.get(instance, ""), settings, note=why, exact=False)
        if preview not in self.impossible:
            self.impossible.append(preview)


def _preview(share: _Share, config: Config, pace: Delivery) -> Preview:
    provider = share.provider
    kind, settings = config.types[_instance(share.name)], where(provider)
    try:
        plan = planner.plan(share.name, provider, share.demands, share.returned)
    except Exception as error:  # noqa: BLE001 - a plugin whose `locate` or limits fail; the others can be shown
        return Preview(share.name, kind, settings, note=bug(error), exact=False)
    return Preview(
        name=share.name,
        type=kind,
        where=settings,
        asks=tuple(_asks(provider, plan.jobs)),
        rejected=plan.rejected,
        seconds=max((_begins(share.name, provider, job, pace) for job in plan.jobs), default=0.0),
        price=provider.price,
        note=share.note,
        exact=share.exact,
    )


def _asks(provider: Provider, jobs: Sequence[Job]) -> Iterator[Ask]:
    groups: dict[tuple[Action, TargetKind, bool], list[tuple[str, ...]]] = defaultdict(list)
    for job in jobs:
        groups[job.action, job.kind, job.soft].append(job.targets)
    for (action, kind, soft), batches in groups.items():
        speed = provider.speeds.get(kind) if action is Action.PURGE else None
        yield Ask(action, kind, soft, tuple(batches), speed)


def _begins(name: str, provider: Provider, job: Job, pace: Delivery) -> float:
    """Seconds until a job's call may begin, after all that were booked before it."""
    what = capability(provider, job.action, job.kind)
    assert what is not None, "planning makes no job that the provider can't do"
    return pace.book(name, what.limits, getattr(provider, what.limits), len(job.targets), 0.0, math.inf)


def _instance(name: str) -> str:
    """``site/E8F6HK73EP0LT`` is a part of the instance ``site``."""
    return name.partition("/")[0]


def _shown(provider: Provider, name: str, hint: Any) -> str:
    field = type(provider).__dataclass_fields__[name]
    value = getattr(provider, name)
    if isinstance(value, Secret) or not field.repr or value is None:
        return ""
    if value == field.default and typing.get_origin(hint) is not typing.Literal:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
