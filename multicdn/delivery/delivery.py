"""Calling the vendors: side by side, within their limits, until done or until the time is up.

Each provider instance has a lane of its own, with its own threads: whatever happens in it stays in it. A lane that
hangs is left behind when the time is up, and what it had not finished counts as undelivered.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multicdn.delivery.lane import (
    SHORTEST_CALL,
    Lane,
    call_within,
    forget_secrets,
    refused_status,
    side_by_side,
    wait_before,
)
from multicdn.delivery.ledger import Countdown, Ledger
from multicdn.delivery.rate_limit import Pace
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, SecretError, bug
from multicdn.log import plugin_bug
from multicdn.model import Action, Job, Outcome, Report, Status
from multicdn.planning import planner
from multicdn.provider import Discover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from multicdn.provider import Limits, Provider
    from multicdn.routing.router import Demand


class Terms(Struct, frozen=True, kw_only=True):
    """How hard delivery tries within one invocation.

    Attributes:
        tries: calls for one batch.
        base, longest: seconds; a wait is drawn from 0 to base * 2 ** try, and never above ``longest``.
        connect, read: seconds a call may wait for its connection and for its answer.
        concurrency: how many invocations run at once; each takes its share of a vendor's pace.
    """

    tries: int = 8
    base: float = 0.5
    longest: float = 20.0
    connect: float = 3.0
    read: float = 10.0
    concurrency: int = 1


class Clock:
    """Time for delivery; tests have their own."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Discovered(NamedTuple):
    """What a provider that stands for others stands for, and until when that may be believed."""

    providers: Mapping[str, Provider]
    until: float


class Delivery:
    """Delivers what providers are to do. Keeps what is worth keeping between invocations: pace, discoveries.

    Args:
        providers: instances by name.
        terms: how hard to try.
        clock: of this process.
        jitter: draws from 0 to its argument; spreads the retries of many functions.
        watch: told of each job that a vendor was called for, as it ends, from whatever thread that happens in.
    """

    # A distribution that was added or changed is seen after this many seconds.
    DISCOVERY_LIFETIME = 300.0

    def __init__(
        self,
        providers: Mapping[str, Provider],
        terms: Terms | None = None,
        clock: Clock | None = None,
        jitter: Callable[[float], float] | None = None,
        watch: Callable[[Outcome], None] | None = None,
    ) -> None:
        self.providers = dict(providers)
        self.terms = terms or Terms()
        self.clock = clock or Clock()
        self.jitter = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
        self.watch = watch
        self._paces: dict[tuple[str, ...], Pace] = {}
        self._discovered: dict[tuple[str, str], Discovered] = {}
        self._lock = threading.Lock()

    def deliver(self, demands: Iterable[Demand], seconds: float, returned: Iterable[Job] = ()) -> Report:
        """Act on all demands, and return how each job ended, at the latest when the seconds are over.

        Never raises for anything that a vendor or a plugin does.

        Args:
            demands: what is new.
            seconds: that there are.
            returned: jobs of earlier invocations. They are merged with what is new.
        """
        run = Run(self, self.clock.now() + seconds)
        fresh, back = _by_instance(demands, returned)
        names = dict.fromkeys([*fresh, *back])
        instances = [_Instance(name, fresh[name], back[name], run) for name in names if name in self.providers]
        unknown = [
            Outcome(job, Status.REFUSED, f"the config has no provider called {name!r}")
            for name in names
            if name not in self.providers
            for job in (*back[name], *(job for demand in fresh[name] for job in planner.unlocated(demand)))
        ]
        return Report((*run.all(instances), *unknown))

    def book(self, name: str, method: str, limits: Limits, targets: int, at: float, latest: float) -> float:
        """Book a call in a provider's pace, and return the moment from which it may be made.

        What could only be made after ``latest`` isn't booked: it won't be, and must not delay others.
        """
        with self._lock:
            calls = self._pace(_budget("calls", name, method, limits), *_calls(limits))
            amounts = self._pace(_budget("targets", name, method, limits), *_targets(limits))
            start = max(calls.start(1, at), amounts.start(targets, at))
            if start <= latest:
                # Both at the moment of the call: the one that had room before would fill up again meanwhile.
                calls.book(1, start)
                amounts.book(targets, start)
            return start

    def _pace(self, place: tuple[str, ...], per_second: float, burst: float) -> Pace:
        """A pace that is kept, since the vendor remembers as well. Each invocation under way has its share of it."""
        if place not in self._paces:
            share = 1 / self.terms.concurrency
            self._paces[place] = Pace(per_second * share, max(1.0, burst * share))
        return self._paces[place]

    def remembered(self, name: str, bucket: str) -> Mapping[str, Provider] | None:
        """What an instance was last found to stand for, if that is recent."""
        with self._lock:
            known = self._discovered.get((name, bucket))
        return known.providers if known and known.until > self.clock.now() else None

    def remember(self, name: str, bucket: str, found: Mapping[str, Provider]) -> None:
        """Keep a discovery for the next invocations."""
        with self._lock:
            self._discovered[name, bucket] = Discovered(found, self.clock.now() + self.DISCOVERY_LIFETIME)


class Run:
    """One invocation.

    Attributes:
        delivery: what outlives it.
        deadline: on the delivery's clock; nothing is begun that could not end before.
        purged: opens when all instances have made their purges.
    """

    def __init__(self, delivery: Delivery, deadline: float) -> None:
        self.delivery = delivery
        self.deadline = deadline
        self.purged = Countdown()

    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.delivery.clock.now()

    def all(self, instances: Sequence[_Instance]) -> list[Outcome]:
        """Let all instances do their part, side by side."""
        self.purged.expect(sum(instance.purges for instance in instances))
        for instance in instances:
            instance.start()
        for instance in instances:
            instance.join(max(0.0, self.left()))
        return [outcome for instance in instances for outcome in instance.ledger.close()]


class _Share(NamedTuple):
    """What one concrete provider is to do."""

    provider: Provider
    demands: list[Demand]
    returned: list[Job]


class _Instance(threading.Thread):
    """One configured provider instance in one invocation: discovers, plans, and runs a lane for each provider found."""

    def __init__(self, name: str, demands: Sequence[Demand], returned: Sequence[Job], run: Run) -> None:
        super().__init__(name=f"multicdn-{name}", daemon=True)
        self.ledger = Ledger(run.delivery.watch)
        self._instance = name
        self._demands = demands
        self._returned = returned
        self._run = run
        actions = {*(demand.action for demand in demands), *(job.action for job in returned)}
        self.purges = Action.PURGE in actions
        self._said_so = False
        # Until they are planned, the demands themselves stand in the ledger: a plugin may hang while planning, too.
        self._unplanned = [*(job for demand in demands for job in planner.unlocated(demand)), *returned]
        self.ledger.open(self._unplanned)

    def run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not pass for success, nor reach the others
            plugin_bug(self._instance, error)
            self.ledger.abandon(bug(error))
        finally:
            self._purges_ended()

    def _purges_ended(self) -> None:
        if self.purges and not self._said_so:
            self._said_so = True
            self._run.purged.done()

    def _serve(self) -> None:
        provider = self._run.delivery.providers[self._instance]
        if isinstance(provider, Discover) and provider.discovers:
            self._serve_all(self._found_shares(provider))
        else:
            self._serve_all(self._own_share(provider))

    def _own_share(self, provider: Provider) -> dict[str, _Share]:
        mine = [job for job in self._returned if job.provider == self._instance]
        for job in self._returned:
            if job.provider != self._instance:
                reason = f"{self._instance} no longer stands for others; {job.provider} is not in the config"
                self.ledger.end(Outcome(job, Status.REFUSED, reason))
        return {self._instance: _Share(provider, list(self._demands), mine)}

    def _found_shares(self, provider: Discover) -> dict[str, _Share]:
        shares: dict[str, _Share] = {}
        for part, concrete, demand in self._found(provider):
            shares.setdefault(part, _Share(concrete, [], [])).demands.append(demand)
        for job in self._returned:
            share = shares.get(job.provider) or self._returned_share(provider, job)
            if share is not None:
                shares[job.provider] = share
                share.returned.append(job)
        return shares

    def _returned_share(self, provider: Discover, job: Job) -> _Share | None:
        try:
            return _Share(provider.part(job.provider.partition("/")[2]), [], [])
        except Exception as error:  # noqa: BLE001 - the plugin's, or a message of an older config
            self.ledger.end(Outcome(job, Status.REFUSED, f"{job.provider} can't be made: {error}"))
            return None

    def _found(self, provider: Discover) -> Iterator[tuple[str, Provider, Demand]]:
        """Each demand with each provider that it turns out to be for."""
        for bucket in dict.fromkeys(demand.bucket for demand in self._demands):
            try:
                found = self._discover(provider, bucket)
            except (ProviderError, SecretError) as error:
                self._end_bucket(bucket, _status_of(error), str(error), getattr(error, "after", None))
                continue
            except Exception as error:  # noqa: BLE001 - the plugin's bug, which must not cost the other buckets
                plugin_bug(self._instance, error)
                self._end_bucket(bucket, Status.RETRY, bug(error), None)
                continue
            demands = [demand for demand in self._demands if demand.bucket == bucket]
            for part, concrete in found.items():
                for demand in demands:
                    yield f"{self._instance}/{part}", concrete, demand

    def _discover(self, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        delivery = self._run.delivery
        found = delivery.remembered(self._instance, bucket)
        if found is None:
            try:
                found = self._ask(provider, bucket)
            except CredentialsRefused:
                forget_secrets(provider)
                found = self._ask(provider, bucket)
            delivery.remember(self._instance, bucket, found)
        return found

    def _ask(self, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        """Discover, with the same patience as any other call. Finding nothing is a mistake in the config."""
        delivery, terms = self._run.delivery, self._run.delivery.terms
        for tried in range(terms.tries):
            if self._run.left() < SHORTEST_CALL:
                raise RetryLater("no time was left to find out what it stands for")
            try:
                found = provider.discover(bucket, call_within(terms, self._run.left()))
            except RetryLater as error:
                wait = wait_before(terms, tried, error.after, delivery.jitter)
                if tried + 1 == terms.tries or wait + SHORTEST_CALL > self._run.left():
                    raise
                delivery.clock.sleep(wait)
            else:
                if not found:
                    raise CallRefused(f"nothing found that serves the bucket {bucket!r}")
                return found
        raise AssertionError("unreachable: the last try returns or raises")

    def _serve_all(self, shares: Mapping[str, _Share]) -> None:
        lanes = []
        jobs: list[Job] = []
        ended: list[Outcome] = []
        for name, share in shares.items():
            plan = planner.plan(name, share.provider, share.demands, share.returned)
            if plan.bug:
                plugin_bug(name, plan.bug)
            ended += plan.rejected
            jobs += plan.jobs
            lanes.append(Lane(name, share.provider, plan.jobs, self.ledger, self._run))
        self.ledger.replace(self._unplanned, jobs, ended)
        side_by_side([lane.purge for lane in lanes])
        self._purges_ended()
        if any(lane.preloads for lane in lanes):
            self._preload(lanes)

    def _preload(self, lanes: Sequence[Lane]) -> None:
        """Preload after the purges: what is loaded before them may be the old bytes."""
        if not self.purges:
            # Another instance may stand for the same cache; one that hangs must not keep this one waiting for long.
            self._run.purged.wait(self._run.left() / 2)
        side_by_side([lane.preload for lane in lanes])

    def _end_bucket(self, bucket: str, status: Status, reason: str, after: float | None) -> None:
        for job in self._unplanned:
            if job.bucket == bucket:
                self.ledger.end(Outcome(job, status, reason, after=after))


def _by_instance(
    demands: Iterable[Demand], returned: Iterable[Job]
) -> tuple[dict[str, list[Demand]], dict[str, list[Job]]]:
    """Sort what is new and what came back by instance; a job of "site/E1" is of the instance "site"."""
    fresh: dict[str, list[Demand]] = defaultdict(list)
    back: dict[str, list[Job]] = defaultdict(list)
    for job in returned:
        instance = job.provider.partition("/")[0]
        if job.bucket:
            fresh[instance].append(planner.as_demand(job))
        else:
            back[instance].append(job)
    for demand in demands:
        fresh[demand.provider].append(demand)
    return fresh, back


def _status_of(error: ProviderError | SecretError) -> Status:
    if isinstance(error, CallRefused | SecretError):
        return refused_status(error)
    return Status.RETRY if isinstance(error, RetryLater) else Status.REFUSED


def _budget(what: str, name: str, method: str, limits: Limits) -> tuple[str, ...]:
    if not limits.quota:
        return what, name, method
    # CloudFront has one rate for paths and tags together, and another one for wildcards.
    return what, limits.quota, str(limits.targets_per_second if what == "targets" else "")


def _calls(limits: Limits) -> tuple[float, float]:
    return limits.calls_per_second or 0.0, limits.burst


def _targets(limits: Limits) -> tuple[float, float]:
    """Unless the vendor says otherwise, one call of full size may start at once."""
    return limits.targets_per_second or 0.0, limits.target_burst or limits.targets
