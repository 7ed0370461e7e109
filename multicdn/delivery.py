"""Calling the vendors: side by side, within their limits, until done or until the time is up.

Each provider instance has a lane of its own, with its own threads: whatever happens in it stays in it. A lane that
hangs is left behind when the time is up, and what it had not finished counts as undelivered.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from multicdn import planning
from multicdn.errors import CallRefused, CredentialsRefused, ProviderError, RetryLater, SecretError, TargetsRefused
from multicdn.model import Action, Job, Outcome, Report, Status
from multicdn.pace import Pace
from multicdn.provider import Call, Discover, capability
from multicdn.telemetry import plugin_bug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from multicdn.model import Receipt
    from multicdn.provider import Limits, Provider
    from multicdn.routing import Demand

# Below this many seconds no call is begun: it could not end before the function is stopped.
_SHORTEST_CALL = 0.25


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
    """

    # A distribution that was added or changed is seen after this many seconds.
    DISCOVERY_LIFETIME = 300.0

    def __init__(
        self,
        providers: Mapping[str, Provider],
        terms: Terms | None = None,
        clock: Clock | None = None,
        jitter: Callable[[float], float] | None = None,
    ) -> None:
        self.providers = dict(providers)
        self.terms = terms or Terms()
        self.clock = clock or Clock()
        self.jitter = jitter or (lambda most: random.uniform(0, most))  # noqa: S311 - spreads load, guards nothing
        self._paces: dict[tuple[str, str], Pace] = {}
        self._discovered: dict[tuple[str, str], Discovered] = {}
        self._lock = threading.Lock()

    def deliver(self, demands: Iterable[Demand], seconds: float) -> Report:
        """Act on all demands, and return how each job ended, at the latest when the seconds are over.

        Never raises for anything that a vendor or a plugin does.
        """
        run = _Run(self, self.clock.now() + seconds)
        lanes: dict[str, list[Demand]] = {}
        for demand in demands:
            lanes.setdefault(demand.provider, []).append(demand)
        return Report(tuple(run.all(lanes)))

    def pace(self, name: str, limits_name: str, limits: Limits) -> Pace:
        """The pace of one method of one provider; kept, since the vendor remembers as well."""
        with self._lock:
            place = (name, limits_name)
            if place not in self._paces:
                self._paces[place] = Pace(limits, 1 / self.terms.concurrency)
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


class _Run:
    """One invocation."""

    def __init__(self, delivery: Delivery, deadline: float) -> None:
        self.delivery = delivery
        self.deadline = deadline
        self.purged = _Countdown()

    def left(self) -> float:
        return self.deadline - self.delivery.clock.now()

    def all(self, demands: Mapping[str, Sequence[Demand]]) -> list[Outcome]:
        lanes = [_Instance(name, wanted, self) for name, wanted in demands.items()]
        self.purged.expect(sum(lane.purges for lane in lanes))
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join(max(0.0, self.left()))
        return [outcome for lane in lanes for outcome in lane.ledger.close()]


class _Countdown:
    """Opens when every instance that purges has done so."""

    def __init__(self) -> None:
        self._missing = 0
        self._condition = threading.Condition()

    def expect(self, number: int) -> None:
        self._missing = number

    def done(self) -> None:
        with self._condition:
            self._missing -= 1
            self._condition.notify_all()

    def wait(self, seconds: float) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._missing <= 0, seconds)


class _Ledger:
    """Which jobs are open, and how the others ended. Closed once; what comes later is too late to count."""

    def __init__(self) -> None:
        self._open: dict[int, Job] = {}
        self._outcomes: list[Outcome] = []
        self._closed = False
        self._lock = threading.Lock()

    def open(self, jobs: Iterable[Job]) -> None:
        with self._lock:
            self._open.update((id(job), job) for job in jobs)

    def replace(self, job: Job, parts: Sequence[Job]) -> None:
        with self._lock:
            self._open.pop(id(job), None)
            self._open.update((id(part), part) for part in parts)

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            if not self._closed:
                self._open.pop(id(outcome.job), None)
                self._outcomes.append(outcome)

    def undelivered(self) -> frozenset[str]:
        with self._lock:
            return Report(tuple(self._outcomes)).failed_messages

    def close(self) -> list[Outcome]:
        with self._lock:
            self._closed = True
            reason = "no answer before the function's time was up"
            return self._outcomes + [Outcome(job, Status.RETRY, reason) for job in self._open.values()]


class _Instance(threading.Thread):
    """One configured provider instance in one invocation: discovers, plans, and runs a lane for each provider found."""

    def __init__(self, name: str, demands: Sequence[Demand], run: _Run) -> None:
        super().__init__(name=f"multicdn-{name}", daemon=True)
        self.ledger = _Ledger()
        self._instance = name
        self._demands = demands
        self._run = run
        self.purges = any(demand.action is Action.PURGE for demand in demands)
        self._said_so = False
        # Until they are planned, the demands themselves stand in the ledger: a plugin may hang while planning, too.
        self._unplanned = [job for demand in demands for job in _unplanned(demand)]
        self.ledger.open(self._unplanned)

    def run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # noqa: BLE001 - a plugin's bug must not pass for success, nor reach the others
            plugin_bug(self._instance, error)
            self._end_unplanned(Status.RETRY, f"bug in the plugin: {type(error).__name__}: {error}")
        finally:
            self._purges_ended()

    def _purges_ended(self) -> None:
        if self.purges and not self._said_so:
            self._said_so = True
            self._run.purged.done()

    def _serve(self) -> None:
        provider = self._run.delivery.providers[self._instance]
        if isinstance(provider, Discover) and provider.discovers:
            self._serve_discovered(provider)
        else:
            self._serve_all({self._instance: (provider, list(self._demands))})

    def _serve_discovered(self, provider: Discover) -> None:
        lanes: dict[str, tuple[Provider, list[Demand]]] = {}
        for bucket in dict.fromkeys(demand.bucket for demand in self._demands):
            try:
                found = self._discover(provider, bucket)
            except (ProviderError, SecretError) as error:
                mine = [job for job in self._unplanned if job.reference == bucket]
                self._end(mine, _status_of(error), str(error), getattr(error, "after", None))
                continue
            demands = [demand for demand in self._demands if demand.bucket == bucket]
            for part, concrete in found.items():
                lanes.setdefault(f"{self._instance}/{part}", (concrete, []))[1].extend(demands)
        self._serve_all(lanes)

    def _discover(self, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        delivery = self._run.delivery
        found = delivery.remembered(self._instance, bucket)
        if found is None:
            found = self._ask(provider, bucket)
            delivery.remember(self._instance, bucket, found)
        return found

    def _ask(self, provider: Discover, bucket: str) -> Mapping[str, Provider]:
        """Discover, with the same patience as any other call. Finding nothing is a mistake in the config."""
        delivery, terms = self._run.delivery, self._run.delivery.terms
        for tried in range(terms.tries):
            try:
                found = provider.discover(bucket, _call(terms, self._run.left(), soft=False, reference=""))
            except RetryLater as error:
                wait = _wait(terms, tried, error.after, delivery.jitter)
                if tried + 1 == terms.tries or wait + _SHORTEST_CALL > self._run.left():
                    raise
                delivery.clock.sleep(wait)
            else:
                if not found:
                    raise CallRefused(f"nothing found that serves the bucket {bucket!r}")
                return found
        raise AssertionError("unreachable: the last try returns or raises")

    def _serve_all(self, targets: Mapping[str, tuple[Provider, list[Demand]]]) -> None:
        lanes = []
        jobs: list[Job] = []
        for name, (provider, demands) in targets.items():
            plan = planning.plan(name, provider, demands)
            for outcome in plan.rejected:
                self.ledger.end(outcome)
            jobs += plan.jobs
            lanes.append(_Lane(name, provider, plan.jobs, self.ledger, self._run))
        self.ledger.open(jobs)
        for job in self._unplanned:
            self.ledger.replace(job, ())
        self._unplanned = []
        _side_by_side([lane.purge for lane in lanes])
        self._purges_ended()
        if any(lane.preloads for lane in lanes):
            self._preload(lanes)

    def _preload(self, lanes: Sequence[_Lane]) -> None:
        """Preload after the purges: what is loaded before them may be the old bytes."""
        if not self.purges:
            # Another instance may stand for the same cache; one that hangs must not keep this one waiting for long.
            self._run.purged.wait(self._run.left() / 2)
        _side_by_side([lane.preload for lane in lanes])

    def _end_unplanned(self, status: Status, reason: str) -> None:
        self._end(self._unplanned, status, reason, None)

    def _end(self, jobs: Iterable[Job], status: Status, reason: str, after: float | None) -> None:
        for job in jobs:
            self.ledger.end(Outcome(job, status, reason, after=after))


class _Try(NamedTuple):
    """A job on its way: how often it was tried, and all calls that it took, those before it was cut included."""

    job: Job
    since: float
    tries: int = 0
    calls: int = 0


class _Lane:
    """The calls to one concrete provider."""

    def __init__(self, name: str, provider: Provider, jobs: Sequence[Job], ledger: _Ledger, run: _Run) -> None:
        self._name = name
        self._provider = provider
        self._ledger = ledger
        self._run = run
        self._clock = run.delivery.clock
        self._terms = run.delivery.terms
        self._purges = [job for job in jobs if job.action is Action.PURGE]
        self.preloads = [job for job in jobs if job.action is Action.PRELOAD]
        self._waiting: deque[_Try] = deque()
        self._working = 0
        self._resume_at = 0.0
        self._refusal: CallRefused | None = None
        self._renewed = False
        self._condition = threading.Condition()

    def purge(self) -> None:
        self._work_off(self._purges)

    def preload(self) -> None:
        unpurged = self._ledger.undelivered()
        ready = []
        for job in self.preloads:
            early = [t for t, causes in zip(job.targets, job.causes, strict=True) if causes & unpurged]
            late, now = job.only(early), job.without(early)
            self._ledger.replace(job, [part for part in (late, now) if part])
            if late:
                self._ledger.end(Outcome(late, Status.RETRY, "not loaded, since it could not be purged before"))
            if now:
                ready.append(now)
        self._work_off(ready)

    def _work_off(self, jobs: Sequence[Job]) -> None:
        now = self._clock.now()
        self._waiting.extend(_Try(job, now) for job in jobs)
        threads = max((min(self._limits(job).parallel, len(jobs)) for job in jobs), default=0)
        _side_by_side([self._worker] * threads)

    def _limits(self, job: Job) -> Limits:
        found = capability(self._provider, job.action, job.kind)
        assert found is not None, "planning makes no job that the provider can't do"
        return getattr(self._provider, found.limits)  # type: ignore[no-any-return]

    def _worker(self) -> None:
        while (attempt := self._take()) is not None:
            try:
                self._attempt(attempt)
            finally:
                with self._condition:
                    self._working -= 1
                    self._condition.notify_all()

    def _take(self) -> _Try | None:
        """The next job; waits while another thread may still cut its batch in two."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or not self._working)
            if not self._waiting:
                return None
            self._working += 1
            return self._waiting.popleft()

    def _again(self, *attempts: _Try) -> None:
        with self._condition:
            self._waiting.extendleft(reversed(attempts))
            self._condition.notify_all()

    def _attempt(self, attempt: _Try) -> None:
        if self._refusal is not None:
            return self._end(attempt, Status.REFUSED, self._refusal.reason)
        wait = self._wait_for_turn(attempt.job)
        if wait + _SHORTEST_CALL > self._run.left():
            return self._end(attempt, Status.RETRY, f"its turn comes in {wait:.1f} s, after the function's time", wait)
        if wait > 0:
            self._clock.sleep(wait)
        attempt = attempt._replace(tries=attempt.tries + 1, calls=attempt.calls + 1)
        try:
            receipt = self._call(attempt.job)
        except RetryLater as error:
            self._retry(attempt, error)
        except TargetsRefused as error:
            self._refused_targets(attempt, error)
        except (CallRefused, SecretError) as error:
            self._refused_call(attempt, error)
        except Exception as error:  # noqa: BLE001 - the plugin's bug; what it did is unknown, so it's undelivered
            plugin_bug(self._name, error)
            self._end(attempt, Status.RETRY, f"bug in the plugin: {type(error).__name__}: {error}")
        else:
            self._end(attempt, Status.ACCEPTED, receipt=receipt)
        return None

    def _wait_for_turn(self, job: Job) -> float:
        """Seconds until the vendor's pace, and a wait that it asked for, allow the next call."""
        now = self._clock.now()
        pause = max(0.0, self._resume_at - now)
        what = capability(self._provider, job.action, job.kind)
        assert what is not None, "planning makes no job that the provider can't do"
        pace = self._run.delivery.pace(self._name, what.limits, self._limits(job))
        return pause + pace.reserve(len(job.targets), now + pause)

    def _call(self, job: Job) -> Receipt:
        what = capability(self._provider, job.action, job.kind)
        assert what is not None, "planning makes no job that the provider can't do"
        call = _call(self._terms, self._run.left(), soft=job.soft, reference=job.reference)
        method = getattr(self._provider, what.method)
        receipt = method(call) if what.method == "purge_everything" else method(job.targets, call)
        if receipt is None:
            raise TypeError(f"{what.method} returned None instead of a Receipt")
        return receipt  # type: ignore[no-any-return]

    def _retry(self, attempt: _Try, error: RetryLater) -> None:
        wait = _wait(self._terms, attempt.tries - 1, error.after, self._run.delivery.jitter)
        if attempt.tries >= self._terms.tries or wait + _SHORTEST_CALL > self._run.left():
            return self._end(attempt, Status.RETRY, error.reason, max(wait, error.after or 0.0))
        # The vendor is in trouble or we are too fast: either way the whole lane holds back, not just this batch.
        self._resume_at = max(self._resume_at, self._clock.now() + wait)
        return self._again(attempt)

    def _refused_targets(self, attempt: _Try, error: TargetsRefused) -> None:
        job = attempt.job
        bad = job.only(error.targets) if error.targets else None
        if len(job.targets) == 1 or bad is job:
            return self._end(attempt, Status.REJECTED, error.reason)
        if bad is None:
            parts: tuple[Job, ...] = job.halves()
            self._ledger.replace(job, parts)
        else:
            good = job.without(error.targets)
            parts = (good,) if good else ()
            self._ledger.replace(job, (bad, *parts))
            self._end(attempt._replace(job=bad), Status.REJECTED, error.reason)
        # The calls so far are counted once: with the refused targets, or else with the first half.
        counts = [0 if bad else attempt.calls, *[0] * len(parts)]
        tries = (_Try(part, attempt.since, 0, calls) for part, calls in zip(parts, counts, strict=False))
        return self._again(*tries)

    def _refused_call(self, attempt: _Try, error: CallRefused | SecretError) -> None:
        """Ask for the secrets anew once, since they may have been rotated; then stop calling."""
        if isinstance(error, CredentialsRefused) and not self._renewed:
            self._renewed = True
            for secret in self._provider.secrets():
                secret.forget()
            return self._again(attempt)
        self._refusal = error if isinstance(error, CallRefused) else CallRefused(str(error))
        return self._end(attempt, Status.REFUSED, self._refusal.reason)

    def _end(
        self,
        attempt: _Try,
        status: Status,
        reason: str = "",
        after: float | None = None,
        receipt: Receipt | None = None,
    ) -> None:
        seconds = self._clock.now() - attempt.since
        outcome = Outcome(attempt.job, status, reason, after=after, calls=attempt.calls, seconds=seconds)
        self._ledger.end(msgspec.structs.replace(outcome, receipt=receipt) if receipt else outcome)


def _call(terms: Terms, left: float, *, soft: bool, reference: str) -> Call:
    """Limits of time for one call: none may outlive the function."""
    return Call(soft=soft, reference=reference, connect=min(terms.connect, left), read=min(terms.read, left))


def _wait(terms: Terms, tried: int, asked: float | None, jitter: Callable[[float], float]) -> float:
    """Seconds before the next try: what the vendor asked for and a little more, or a growing random time."""
    if asked is not None:
        return asked + jitter(min(terms.base, asked / 10 + terms.base / 10))
    return jitter(min(terms.longest, terms.base * 2.0**tried))


def _status_of(error: ProviderError | SecretError) -> Status:
    return Status.RETRY if isinstance(error, RetryLater) else Status.REFUSED


def _unplanned(demand: Demand) -> Iterable[Job]:
    """Stand-ins for jobs that don't exist yet, by kind; their reference is the bucket."""
    kinds: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for target, want in demand.wants.items():
        kinds.setdefault(target.kind, []).append((target.value, want.causes))
    for kind, pairs in kinds.items():
        values, causes = zip(*pairs, strict=True)
        yield Job(demand.provider, demand.action, kind, values, causes, demand.soft, demand.bucket)  # type: ignore[arg-type]


def _side_by_side(tasks: Sequence[Callable[[], None]]) -> None:
    """Run tasks in daemon threads: one that hangs must not keep the process, or its caller's thread pool, alive."""
    if len(tasks) == 1:
        return tasks[0]()
    threads = [threading.Thread(target=task, daemon=True) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return None
