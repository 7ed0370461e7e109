"""What the providers would be asked: batches, calls, price, time. Made by the same planning that delivery goes by.

Pure, unless the caller hands in a way to look up what a provider stands for (``distribution: auto``).
"""

from __future__ import annotations

import math
import typing
from collections import defaultdict
from itertools import chain
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.delivery.discovery import discover
from multicdn.delivery.rate_limit import RateLimits
from multicdn.delivery.shares import by_instance, refused_unknown, shares
from multicdn.errors import bug
from multicdn.model import Action, Job, Outcome, TargetKind, described
from multicdn.plugins.options import option_types
from multicdn.provider import Call, Price, Provider, Speed, capability, stands_for_others
from multicdn.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.config import Config
    from multicdn.delivery.shares import Find, InstanceWork, Share
    from multicdn.planning.planner import Plan
    from multicdn.provider import Discover
    from multicdn.routing.demand import Demand

# Said of a provider that nobody was asked about.
UNRESOLVED = (
    "what it stands for can only be found out by asking the vendor, as `multicdn explain --online` does; "
    "shown as if for one of them"
)


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

    def described(self) -> Iterator[str]:
        """The targets, for people to read."""
        return map(described, chain.from_iterable(self.batches))


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
    def instance(self) -> str:
        """Name of the configured instance."""
        return self.name.partition("/")[0]

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
    config: Config, demands: Iterable[Demand], returned: Iterable[Job] = (), resolve: Find | None = None
) -> list[Preview]:
    """Show what each provider would be asked, in the order of the config.

    Args:
        config: the checked config.
        demands: what is to be done.
        returned: jobs that wait in the queue.
        resolve: asks a vendor what a provider stands for in front of a bucket; without it nobody is asked.
    """
    order = {name: place for place, name in enumerate(config.providers)}
    work = sorted(by_instance(demands, returned), key=lambda work: order.get(work.instance, len(order)))
    rates = RateLimits(config.concurrency)
    return [preview for of_instance in work for preview in _previews(of_instance, config, resolve, rates)]


def where(provider: Provider) -> dict[str, str]:
    """The options that tell one zone, service, network or environment from another.

    These are all that differ from their defaults, and those with a few named values (production or staging) even where
    they don't. Secrets, and what the plugin keeps out of its ``repr``, are left out.
    """
    options = {name: _shown(provider, name, hint) for name, hint in option_types(type(provider)).items()}
    options["endpoint"] = options.pop("endpoint")  # at the end: it is rarely what one looks for
    return {name: shown for name, shown in options.items() if shown}


def resolve_online(provider: Discover, bucket: str) -> Mapping[str, Provider]:
    """Ask the vendor. Calls the network, and may read secrets."""
    return discover(provider, bucket, Call())


def _previews(work: InstanceWork, config: Config, resolve: Find | None, rates: RateLimits) -> Iterator[Preview]:
    """What an instance, or each of those that it stands for, would be asked; then what nobody can do."""
    provider = config.providers.get(work.instance)
    kind, settings = config.types.get(work.instance, ""), where(provider) if provider else {}
    undone: list[Outcome] = []
    if provider is None:
        undone += refused_unknown(work)
    else:
        by_provider = shares(work, provider, resolve, undone.append)
        try:
            plans = [(share, share.plan()) for share in by_provider]
        except Exception as error:  # noqa: BLE001 - a plugin whose `locate` or limits fail; the others can be shown
            yield Preview(work.instance, kind, settings, note=bug(error), exact=False)
        else:
            yield from (_preview(share, plan, kind, rates) for share, plan in plans)
    for name, reason in dict.fromkeys((outcome.job.provider, outcome.reason) for outcome in undone):
        yield Preview(name, kind, settings, note=reason, exact=False)


def _preview(share: Share, plan: Plan, kind: str, rates: RateLimits) -> Preview:
    provider, found = share.provider, not stands_for_others(share.provider)
    exact = found and plan.bug is None
    broken = bug(plan.bug) if plan.bug is not None else ""
    wide = _wide(plan.widened)
    notes = ("" if found else UNRESOLVED, provider.retired and f"retired: {provider.retired}", broken, wide)
    return Preview(
        name=share.name,
        type=kind,
        where=where(provider),
        asks=tuple(_asks(provider, plan.jobs)),
        rejected=plan.rejected,
        seconds=max((_begins(share.name, provider, job, rates) for job in plan.jobs), default=0.0),
        price=provider.price,
        note="; ".join(filter(None, notes)),
        exact=exact,
    )


def _wide(widened: Sequence[tuple[str, str]]) -> str:
    if not widened:
        return ""
    url, prefix = widened[0]
    more = f" (and {len(widened) - 1} more)" if len(widened) > 1 else ""
    return f"{url}{more} can only be purged by the wider {prefix}"


def _asks(provider: Provider, jobs: Sequence[Job]) -> Iterator[Ask]:
    groups: dict[tuple[Action, TargetKind, bool], list[tuple[str, ...]]] = defaultdict(list)
    for job in jobs:
        groups[job.action, job.kind, job.soft].append(job.targets)
    for (action, kind, soft), batches in groups.items():
        speed = provider.speeds.get(kind) if action is Action.PURGE else None
        yield Ask(action, kind, soft, tuple(batches), speed)


def _begins(name: str, provider: Provider, job: Job, rates: RateLimits) -> float:
    """Seconds until a job's call may begin, after all that were booked before it."""
    way = capability(provider, job.action, job.kind)
    assert way is not None, "planning makes no job that the provider can't do"
    return rates.book(name, way.limits, way.limits_of(provider), len(job.targets), 0.0, math.inf)


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
