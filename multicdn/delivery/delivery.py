"""Calling the vendors: side by side, within their limits, until done or until the time is up.

Each provider instance has a lane of its own, with its own threads: whatever happens in it stays in it. A lane that
hangs is left behind when the time is up, or when it alone holds the invocation up, and what it had not finished counts
as undelivered.
"""

from __future__ import annotations

import math
import random
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from multicdn.delivery.breaker import Breaker, Breakers
from multicdn.delivery.clock import Clock
from multicdn.delivery.discovery import Discoveries
from multicdn.delivery.instance import InstanceRun
from multicdn.delivery.invocation import Run, Terms
from multicdn.delivery.ledger import Ledger
from multicdn.delivery.rate_limit import RateLimits
from multicdn.delivery.shares import by_instance, refused_unknown
from multicdn.delivery.threads import Threads
from multicdn.model import Report, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.delivery.observer import Guarded, Observer
    from multicdn.delivery.shares import InstanceWork
    from multicdn.model import Job, Outcome
    from multicdn.provider import Provider
    from multicdn.routing.demand import Demand

# Seconds for which calls under way are waited for once no further one is to begin.
LINGER = 5.0


class Delivery:
    """Delivers what providers are to do. Keeps between invocations what is worth it: rates, breakers, threads and such.

    Args:
        providers: instances by name.
        terms: how hard to try.
        clock: of this process.
        jitter: draws from 0 to its argument; spreads the retries of many functions.
        observer: told what happens, as it happens. What it raises changes nothing.
    """

    def __init__(
        self,
        providers: Mapping[str, Provider],
        terms: Terms | None = None,
        clock: Clock | None = None,
        jitter: Callable[[float], float] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.providers = dict(providers)
        self._terms = terms or Terms()
        self._clock = clock or Clock()
        self._jitter = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
        self._observer = _guarded(observer)
        self._rates = RateLimits(self._terms.concurrency)
        self._discoveries = Discoveries(self._clock)
        self._breakers = Breakers(partial(_breaker, self._terms, self._clock, self._jitter))
        self._threads = Threads()
        self._runs: list[Run] = []
        self._stopped = False

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
        run = Run(self._terms, self._clock, self._jitter, self._rates, seconds, self._observer)
        self._runs.append(run)
        if self._stopped:
            run.stop()
        try:
            return self._deliver(by_instance(demands, returned), attempts or {}, run)
        finally:
            self._runs.remove(run)

    def prepare(self, name: str) -> None:
        """Have the thread of an instance wait for its first work.

        Raises:
            RuntimeError: the process has too many.
        """
        self._threads.start(name)

    def stop(self) -> None:
        """Begin no further call, now or later: ``deliver`` returns once those under way have ended, or soon.

        From any thread.
        """
        self._stopped = True
        for run in list(self._runs):
            run.stop()

    def _deliver(self, works: Iterable[InstanceWork], attempts: Mapping[str, int], run: Run) -> Report:
        instances: list[InstanceRun] = []
        unknown: list[Outcome] = []
        for work in works:
            if work.instance in self.providers:
                instances.append(self._instance(work, run, attempts.get(work.instance, 0)))
            else:
                unknown += refused_unknown(work)
        outcomes = _outcomes(instances, run, self._threads)
        elapsed = run.elapsed()
        return Report((*(_as_of(outcome, elapsed) for outcome in outcomes), *unknown))

    @property
    def open_breakers(self) -> frozenset[str]:
        """Names of the instances whose circuit breaker is open."""
        return self._breakers.open()

    def _instance(self, work: InstanceWork, run: Run, attempts: int) -> InstanceRun:
        provider, breaker = self.providers[work.instance], self._breakers.of(work.instance)
        ledger = Ledger(self._observer.ended if self._observer else None, self._clock.now)
        return InstanceRun(work, provider, ledger, self._discoveries, run, breaker, attempts)


def _breaker(terms: Terms, clock: Clock, jitter: Callable[[float], float], name: str) -> Breaker:
    return Breaker(
        name,
        clock,
        jitter,
        prompt=terms.prompt,
        longest=terms.read,
        longest_pause=terms.longest_pause,
        enabled=not math.isinf(terms.grace),
    )


def _outcomes(instances: Sequence[InstanceRun], run: Run, threads: Threads) -> list[Outcome]:
    """Let all instances do their part, side by side."""
    run.purged.expect(sum(instance.purges for instance in instances))
    for instance in instances:
        instance.find_peers(instances)
    begun = [instance for instance in instances if instance.begin(threads)]
    run.patience.wait_for(lambda: run.stopped or all(instance.finished for instance in begun), max(0.0, run.left()))
    if run.stopped:
        linger = max(0.0, min(LINGER, run.left()))
        run.patience.wait_for(lambda: not any(instance.is_calling() for instance in begun), linger)
    run.patience.end()
    for instance in begun:
        instance.give_up()
    return [outcome for instance in instances for outcome in instance.close()]


def _as_of(outcome: Outcome, elapsed: float) -> Outcome:
    """An outcome with its turn told from now on: while others were at work, it has come nearer."""
    if outcome.status is not Status.PACED or outcome.after is None or not outcome.ended:
        return outcome
    return msgspec.structs.replace(outcome, after=max(0.0, outcome.after - (elapsed - outcome.ended)))


def _guarded(observer: Observer | None) -> Guarded | None:
    if observer is None:
        return None
    from multicdn.delivery.observer import Guarded

    return Guarded(observer)
