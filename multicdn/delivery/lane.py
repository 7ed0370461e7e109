"""The calls to one concrete provider: in turn, at its rate, tried again.

The states of a job, and what moves it from one to the next:

    waiting  --its turn by the vendor's rate-->                         calling
    waiting  --a refusal stands for it, or its turn comes too late-->   ended, undelivered
    waiting  --its vendor is sick: the circuit breaker is open-->       ended, undelivered
    calling  --the vendor took all of it-->                             ended, accepted
    calling  --the vendor is busy, or secrets are asked for anew-->     again: waiting, behind the others
    calling  --some targets are bad, or it is throttled too often-->    halved: both parts waiting
    calling  --it fails again and again where others are accepted-->    halved: both parts waiting
    calling  --nothing of it can succeed, now or ever-->                ended, undelivered

Where the vendor names the bad targets, they end at once, and only the others wait again. What the ending of a call
means says ``delivery.endings``, and how a batch is cut ``delivery.cutting``.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

import msgspec

from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.delivery import cutting
from multicdn.delivery.cutting import Try
from multicdn.delivery.endings import TryEndings
from multicdn.delivery.pace import Pace, Turn
from multicdn.delivery.patience import COMPUTING
from multicdn.delivery.preloads import Preloads
from multicdn.model import Action, Job, Outcome, Receipt, Status
from multicdn.provider import capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.delivery.breaker import Breaker, WatchedCall
    from multicdn.delivery.invocation import Run
    from multicdn.delivery.ledger import Ledger
    from multicdn.provider import Capability, Provider

# Seconds between two looks at whether another thread's probe has been answered.
_GLANCE = 0.1


class Lane:
    """One concrete provider in one invocation.

    Args:
        name: of the instance, or of what it was found to stand for.
        provider: whom to call.
        jobs: what to do.
        ledger: where the ends of the jobs are noted.
        run: the invocation.
        breaker: of the instance.
        attempts: how many invocations have tried some of the jobs before.
    """

    def __init__(
        self,
        name: str,
        provider: Provider,
        jobs: Sequence[Job],
        ledger: Ledger,
        run: Run,
        breaker: Breaker,
        attempts: int = 0,
    ) -> None:
        self._name = name
        self._provider = provider
        self._ledger = ledger
        self._run = run
        self._breaker = breaker
        self._attempts = attempts
        self._clock = run.clock
        self._purges = [job for job in jobs if job.action is Action.PURGE]
        self.preloads = Preloads([job for job in jobs if job.action is Action.PRELOAD], ledger, run.clock)
        self._waiting: deque[Try] = deque()
        self._working = 0
        self._paces: list[Pace] = []
        self._condition = threading.Condition()
        self._endings = TryEndings(name, provider, ledger, run, self.preloads, self._again)

    def purge(self) -> None:
        """Make all purges; returns when each has ended."""
        self._work_off(self._purges)

    def preload(self, unpurged: Sequence[Outcome]) -> None:
        """Make all preloads, but for those of which a purge has failed; returns when each has ended.

        Args:
            unpurged: the purges that were not accepted.
        """
        self._work_off(self.preloads.ready(unpurged))

    def _work_off(self, jobs: Iterable[Job]) -> None:
        """Work off the jobs, one method after the other, since each has its own limit of calls at once."""
        for _, group in groupby(jobs, key=lambda job: job.kind):
            now = self._clock.now()
            alike = list(group)
            self._waiting.extend(Try(job, now) for job in alike)
            way = self._way(alike[0])
            pace = self._pace = Pace(self._run, self._name, way.limits, way.limits_of(self._provider), len(alike))
            self._paces.append(pace)
            side_by_side(
                [self._paced_worker if pace.is_slow else self._worker] * pace.parallel, self._run.patience.idle
            )
            pace.end()

    def give_up(self) -> None:
        """Note that nobody waits any longer for what is still under way: it keeps no turn from others."""
        for pace in self._paces:
            pace.end()

    def _way(self, job: Job) -> Capability:
        way = capability(self._provider, job.action, job.kind)
        assert way is not None, "planning makes no job that the provider can't do"
        return way

    def _paced_worker(self) -> None:
        with self._run.patience.at_pace():
            self._worker()

    def _worker(self) -> None:
        while (attempt := self._take()) is not None:
            self._run.patience.busy(COMPUTING)
            try:
                self._attempt(attempt)
            except BaseException as error:  # noqa: BLE001 - a plugin's, outside of its call: limits, arguments of errors
                self._endings.ended_by_bug(attempt, error)
            finally:
                with self._condition:
                    self._working -= 1
                    self._condition.notify_all()

    def _take(self) -> Try | None:
        """The next job; waits while another thread may still cut its batch in two."""
        with self._condition:
            if not self._waiting and self._working:
                self._run.patience.idle()
            self._condition.wait_for(lambda: self._waiting or not self._working)
            if not self._waiting:
                return None
            self._working += 1
            return self._waiting.popleft()

    def _again(self, *attempts: Try, at_once: bool = False) -> None:
        with self._condition:
            if at_once:
                self._waiting.extendleft(attempts)
            else:  # behind the others: a target that keeps failing must not hold them up
                self._waiting.extend(attempts)
            self._condition.notify_all()

    def _attempt(self, attempt: Try) -> None:
        """Wait for this job's turn and make its call, unless other calls show meanwhile that it makes no sense."""
        turn = self._pace.turn()
        try:
            self._attempt_in(turn, attempt)
        finally:  # whatever kept it from being made
            turn.give_back()

    def _attempt_in(self, turn: Turn, attempt: Try) -> None:
        # What is left of a run that is stopped stays open, and ends with it.
        while not self._run.stopped and (left := self._endings.uncovered(attempt)):
            attempt = left
            if pause := self._breaker.pause():
                if not (self._breaker.is_probed_by(self) and self._run.patience.sleep(_GLANCE)):
                    return self._endings.end(attempt, Status.RETRY, self._breaker.reason, pause)
            elif self._is_over(attempt) or self._joins_others(attempt, turn):
                return None
            elif wait := self._seconds_until(turn, attempt):
                if not self._waits_for(turn, attempt, wait):
                    return None
            elif not self._run.has_time():
                return self._endings.put_off(attempt, 0.0, "")
            elif call := self._admitted():
                attempt = self._first_of(attempt, call.halvings)
                turn.use(len(attempt.job.targets))
                attempt = msgspec.structs.replace(attempt, tries=attempt.tries + 1, calls=attempt.calls + 1)
                return self._make(attempt, call)
        return None

    def _seconds_until(self, turn: Turn, attempt: Try) -> float:
        """Seconds until a turn, which is booked unless one is that the vendor still allows."""
        if turn.at < self._endings.resume_at:
            turn.book(len(attempt.job.targets), max(self._clock.now(), self._endings.resume_at))
        return max(0.0, turn.at - self._clock.now())

    def _waits_for(self, turn: Turn, attempt: Try, wait: float) -> bool:
        """Wait for a turn, or put the job off until then."""
        if not self._endings.trouble and self._is_over(attempt, wait):
            return False
        has_time = self._run.has_time(wait)
        if has_time and self._sleep(wait):
            return True
        turn.forgo()
        why = "and nothing else is left to do" if has_time else f"not before {self._run.ends}"
        self._endings.put_off(attempt, self._pace.told_apart(wait), why)
        return False

    def _is_over(self, attempt: Try, wait: float = 0.0) -> bool:
        """Put a job off where other vendors' uploads have their turn before."""
        if not self._pace.is_over(wait):
            return False
        self._endings.put_off(attempt, self._pace.next_stretch(wait), "and nothing else is left to do")
        return True

    def _joins_others(self, attempt: Try, turn: Turn) -> bool:
        """Put a new job off where those that wait already have their turn before."""
        if turn.at > -math.inf or self._attempts or not (wait := self._pace.kept_for_others()):
            return False
        self._endings.put_off(attempt, wait, "with those that wait already")
        return True

    def _admitted(self) -> WatchedCall | None:
        call = self._breaker.admit(self, self._run, self._attempts)
        if call and self._run.stopped:  # only now: whoever stops it looks for calls that were admitted
            self._breaker.dropped(call)
            return None
        return call

    def _observed(self, job: Job, call: Callable[[], Receipt]) -> Receipt:
        observer = self._run.observer
        return observer.observed(job, self._clock.now, call) if observer else call()

    def _sleep(self, seconds: float) -> bool:
        if self._run.observer:
            self._run.observer.waiting(self._name, seconds, self._endings.trouble)
        return self._run.patience.sleep(seconds) if self._endings.trouble else self._pace.wait(seconds)

    def _make(self, attempt: Try, call: WatchedCall) -> None:
        renewed = self._endings.renewed
        self._ledger.calling(attempt.job, attempt.calls, attempt.waits, attempt.since)
        try:
            with self._watched(call):
                receipt = self._observed(attempt.job, partial(self._call, attempt.job, call))
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
            self._endings.failed(attempt, error, self._pace.parallel, renewed=renewed)
        else:
            self._endings.accepted(attempt, receipt)

    @contextmanager
    def _watched(self, call: WatchedCall) -> Iterator[None]:
        """Count a call as work for as long as it usually takes, and let the breaker know how it ended."""
        self._run.patience.busy(call.usual, cold=call.cold)
        try:
            with self._breaker.watch(call):
                yield
        finally:
            self._run.patience.busy(COMPUTING)

    def _call(self, job: Job, watched: WatchedCall) -> Receipt:
        method = getattr(self._provider, self._way(job).method)
        call = self._run.call(soft=job.soft, reference=job.reference, most=watched.limit)
        with bounded(call.read, ANY_LENGTH):  # some calls are several exchanges: a login, a look at the settings
            receipt = method(call) if job.everything else method(job.targets, call)
        if not isinstance(receipt, Receipt):
            raise TypeError(f"{method.__name__} returned {type(receipt).__name__} instead of a Receipt")
        return receipt

    def _first_of(self, attempt: Try, halvings: int) -> Try:
        """Go on with the first part of a batch; the rest waits."""
        first, *rest = parts = cutting.first_and_rest(attempt, halvings)
        if rest:
            self._ledger.replace([attempt.job], [part.job for part in parts])
            self._again(*rest)
        return first


def side_by_side(tasks: Sequence[Callable[[], None]], waiting: Callable[[], None]) -> None:
    """Run tasks at once, one of them here, and those here as well for which the process has no thread left.

    The threads are daemons: one that hangs must not keep the process, or its caller's thread pool, alive.

    Args:
        tasks: what to run.
        waiting: told, in its own thread, when one has nothing more to do, and when this one only waits for the others.
    """
    here, others = list(tasks[:1]), tasks[1:]
    threads = []
    for task in others:
        thread = threading.Thread(target=partial(_ending, task, waiting), daemon=True)
        try:
            thread.start()
        except RuntimeError:
            here.append(task)
        else:
            threads.append(thread)
    for task in here:
        task()
    if threads:
        waiting()
    for thread in threads:
        thread.join()


def _ending(task: Callable[[], None], waiting: Callable[[], None]) -> None:
    try:
        task()
    finally:
        waiting()
