"""What the tests of delivery share: a provider that acts as it is told, time that passes at once, demands."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.model import Action, Receipt, Report, Status, Target, TargetKind
from multicdn.provider import (
    Call,
    Discover,
    Limits,
    PreloadUrls,
    Provider,
    PurgeEverything,
    PurgeTags,
    PurgeUrls,
    Secret,
    SoftPurge,
)
from multicdn.routing.demand import Demand, Want

HUNDRED = Limits(targets=100)


class Seen(NamedTuple):
    """One call that a provider got."""

    method: str
    targets: tuple[str, ...]
    call: Call


Answer = Callable[[Seen], Receipt]


def accept(seen: Seen) -> Receipt:
    return Receipt(id=f"id-{seen.targets[0] if seen.targets else 'all'}")


def script(*steps: Exception | Receipt) -> Answer:
    """Raise or return one step a call, and accept everything after the last."""
    left = list(steps)
    lock = threading.Lock()

    def answer(seen: Seen) -> Receipt:
        with lock:
            step = left.pop(0) if left else accept(seen)
        if isinstance(step, Exception):
            raise step
        return step

    return answer


@dataclass(frozen=True, kw_only=True)
class Scripted(SoftPurge, PurgeUrls, PurgeTags, PurgeEverything, PreloadUrls):
    """A vendor that answers as its script says and remembers what it was asked."""

    endpoint: str = "https://api.vendor.test"
    answer: Answer = accept
    limits: Limits = HUNDRED
    limits_of_tags: Limits = HUNDRED
    limits_of_urls: Limits | None = None
    token: Secret | None = None
    spell: Callable[[Target], tuple[Target, ...]] = lambda target: (target,)
    calls: list[Seen] = field(default_factory=list)

    @property
    def url_limits(self) -> Limits:
        return self.limits_of_urls or self.limits

    @property
    def preload_limits(self) -> Limits:
        return self.limits

    @property
    def tag_limits(self) -> Limits:
        return self.limits_of_tags

    def locate(self, target: Target, action: Action) -> tuple[Target, ...]:
        return self.spell(target)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return self._asked("purge_urls", urls, call)

    def purge_tags(self, tags: Sequence[str], call: Call) -> Receipt:
        return self._asked("purge_tags", tags, call)

    def purge_everything(self, call: Call) -> Receipt:
        return self._asked("purge_everything", (), call)

    def preload_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        return self._asked("preload_urls", urls, call)

    def _asked(self, method: str, targets: Sequence[str], call: Call) -> Receipt:
        seen = Seen(method, tuple(targets), call)
        self.calls.append(seen)
        return self.answer(seen)


@dataclass(frozen=True, kw_only=True)
class Finder(Scripted, Discover):
    """A vendor that stands for others."""

    find: Callable[[str], Mapping[str, Provider]]
    asked: list[str] = field(default_factory=list)

    @property
    def discovers(self) -> bool:
        return True

    def discover(self, bucket: str, call: Call) -> Mapping[str, Provider]:
        self.asked.append(bucket)
        return self.find(bucket)

    def part(self, name: str) -> Provider:
        return self.find("")[name]


class FakeClock(Clock):
    """Sleeping takes no time, and is remembered."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds
            self.slept.append(seconds)


class ManualClock(Clock):
    """A clock that stands still until it is told that time has passed."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> float:
        return self._now

    def pass_(self, seconds: float) -> None:
        self._now += seconds


def most(limit: float) -> float:
    """The jitter that waits as long as it may."""
    return limit


def urls(count: int) -> list[str]:
    return [f"https://www.acme.com/{number}" for number in range(count)]


class Hanging:
    """A vendor that doesn't answer before it is released."""

    def __init__(self) -> None:
        self._released = threading.Event()
        self.release = self._released.set

    def __call__(self, seen: Seen) -> Receipt:
        self._released.wait(30)
        return accept(seen)


def demand(
    targets: Iterable[str],
    provider: str = "acme",
    *,
    action: Action = Action.PURGE,
    kind: TargetKind = TargetKind.URL,
    bucket: str = "acme-site",
    soft: bool = False,
) -> Demand:
    """Each target is asked for by a message of its own, named for it."""
    wants = {Target(kind, target): Want({f"m:{target}"}, {"1"}) for target in targets}
    return Demand(provider, action, soft, bucket, wants)


def delivery(
    *providers: Provider, clock: Clock | None = None, jitter: Callable[[float], float] = most, **terms: Any
) -> Delivery:
    """Deliver to providers named acme, bravo, charlie and so on."""
    names = ("acme", "bravo", "charlie", "delta", "echo")
    by_name = dict(zip(names, providers, strict=False))
    return Delivery(by_name, Terms(**terms), clock or FakeClock(), jitter)


def ends(report: Report) -> dict[tuple[str, str], list[Status]]:
    """How each target of each provider ended, all endings listed."""
    found: dict[tuple[str, str], list[Status]] = defaultdict(list)
    for outcome in report:
        for target in outcome.job.targets:
            found[outcome.job.provider, target].append(outcome.status)
    return dict(found)


def of(report: Report, status: Status) -> list[str]:
    """The targets that ended so, in order."""
    return sorted(target for (_, target), all_ends in ends(report).items() if all_ends == [status])
