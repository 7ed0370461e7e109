"""Calling the vendors: side by side, within their limits, until done or until the time is up.

Each provider instance has a lane of its own, with its own threads: whatever happens in it stays in it. A lane that
hangs is left behind when the time is up, or when it alone holds the invocation up, and what it had not finished counts
as undelivered.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from multicdn.delivery.breaker import Breaker, Breakers
from multicdn.delivery.clock import Clock
from multicdn.delivery.discovery import Discoveries
from multicdn.delivery.instance import InstanceRun
from multicdn.delivery.invocation import Run, Terms
from multicdn.delivery.ledger import Ledger
from multicdn.delivery.rate_limit import RateLimits
from multicdn.delivery.shares import by_instance, refused_unknown
from multicdn.model import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.delivery.shares import InstanceWork
    from multicdn.model import Job, Outcome
    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand


class Delivery:
    """Delivers what providers are to do. Keeps what is worth keeping between invocations: rates, discoveries, breakers.

    Args:
        providers: instances by name.
        terms: how hard to try.
        clock: of this process.
        jitter: draws from 0 to its argument; spreads the retries of many functions.
        watch: told of each job that a vendor was called for, as it ends, from whatever thread that happens in.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        terms: Terms | None = None,
        clock: Clock | None = None,
        jitter: Callable[[float], float] | None = None,
        watch: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.providers = dict(providers)
        self._terms = terms or Terms()
        self._clock = clock or Clock()
        self._jitter = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
        self._watch = watch
        self._rates = RateLimits(self._terms.concurrency)
        self._discoveries = Discoveries(self._clock)
        self._breakers = Breakers(self._breaker)

    def deliver(
        self,
        demands: Iterable[Demand],
        seconds: float,
        returned: Iterable[Job] = (),
        attempts: Mapping[str, int] | None = None,
    ) -> Report:
        """Act on all demands, and return how each job ended, at the latest when the seconds are over.

        Never raises for anything that a vendor or a plugin does.

        Args:
            demands: what is new.
            seconds: that there are.
            returned: jobs of earlier invocations. They are merged with what is new.
            attempts: how many invocations have tried those of an instance in vain, at most.
        """
        run = Run(self._terms, self._clock, self._jitter, self._rates, seconds)
        instances: list[InstanceRun] = []
        unknown: list[Outcome] = []
        for work in by_instance(demands, returned):
            if work.instance in self.providers:
                instances.append(self._instance(work, run, (attempts or {}).get(work.instance, 0)))
            else:
                unknown += refused_unknown(work)
        return Report((*_outcomes(instances, run), *unknown))

    @property
    def open_breakers(self) -> frozenset[str]:
        """Names of the instances whose circuit breaker is open."""
        return self._breakers.open()

    def _instance(self, work: InstanceWork, run: Run, attempts: int) -> InstanceRun:
        provider, breaker = self.providers[work.instance], self._breakers.of(work.instance)
        return InstanceRun(
            work, provider, Ledger(self._watch, self._clock.now), self._discoveries, run, breaker, attempts
        )

    def _breaker(self, name: str) -> Breaker:
        terms = self._terms
        return Breaker(
            name,
            self._clock,
            self._jitter,
            prompt=terms.prompt,
            longest=terms.read,
            longest_pause=terms.longest_pause,
            enabled=not math.isinf(terms.grace),
        )


def _outcomes(instances: Sequence[InstanceRun], run: Run) -> list[Outcome]:
    """Let all instances do their part, side by side."""
    run.purged.expect(sum(instance.purges for instance in instances))
    for instance in instances:
        instance.find_peers(instances)
    begun = [instance for instance in instances if instance.begin()]
    run.patience.wait_for(lambda: all(instance.finished for instance in begun), max(0.0, run.left()))
    run.patience.end()
    for instance in begun:
        instance.give_up()
    return [outcome for instance in instances for outcome in instance.close()]
