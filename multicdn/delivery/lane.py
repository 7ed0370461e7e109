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

Where the vendor names the bad targets, they end at once, and only the others wait again. How a batch is cut, and when,
says ``delivery.cutting``.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.delivery import cutting
from multicdn.delivery.cutting import Parts, Try
from multicdn.delivery.invocation import forget_secrets
from multicdn.delivery.ledger import status_of
from multicdn.delivery.pace import Pace, Turn
from multicdn.delivery.patience import COMPUTING
from multicdn.delivery.preloads import Preloads
from multicdn.delivery.refusals import Refusals, hosts_of
from multicdn.errors import (
    CallRefused,
    CredentialsRefused,
    ProviderError,
    RetryLater,
    SecretError,
    TargetsRefused,
    bug,
)
from multicdn.log import plugin_bug
from multicdn.model import Action, Job, Outcome, Receipt, Status
from multicdn.provider import capability

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from multicdn.delivery.breaker import Breaker, WatchedCall
    from multicdn.delivery.invocation import Run
    from multicdn.delivery.ledger import Ledger
    from multicdn.provider import Capability, Provider

# Calls in vain, without one that was accepted, after which no batch is cut any more to find a bad target in it: the
# vendor refuses all alike. One bad target of thousands is found in half as many.
_MOST_IN_VAIN = 32

# Bugs of a plugin that are logged with their trace.
_MOST_TRACES = 3

# A lane in trouble waits longer with every round of failures; 2 ** 6 times the base is more than the longest wait.
_MOST_DOUBLINGS = 6

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
        self._failures = 0
        self._trouble = ""
        self._resume_at = 0.0
        self._paces: list[Pace] = []
        self._refusals = Refusals()
        self._in_vain = 0
        self._renewed = False
        self._bugs = 0
        self._condition = threading.Condition()

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
                self._ended_by_bug(attempt, error)
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

    def _again(self, *attempts: Try) -> None:
        with self._condition:
            # Behind the others: a target that keeps failing must not hold them up.
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
        while not self._run.stopped and (left := self._uncovered(attempt)):
            attempt = left
            if pause := self._breaker.pause():
                if not (self._breaker.is_probed_by(self) and self._run.patience.sleep(_GLANCE)):
                    return self._end(attempt, Status.RETRY, self._breaker.reason, pause)
            elif self._is_over(attempt) or self._joins_others(attempt, turn):
                return None
            elif wait := self._seconds_until(turn, attempt):
                if not self._waits_for(turn, attempt, wait):
                    return None
            elif not self._run.has_time():
                return self._put_off(attempt, 0.0, "")
            elif call := self._admitted():
                attempt = self._first_of(attempt, call.halvings)
                turn.use(len(attempt.job.targets))
                return self._make(attempt._replace(tries=attempt.tries + 1, calls=attempt.calls + 1), call)
        return None

    def _seconds_until(self, turn: Turn, attempt: Try) -> float:
        """Seconds until a turn, which is booked unless one is that the vendor still allows."""
        if turn.at < self._resume_at:
            turn.book(len(attempt.job.targets), max(self._clock.now(), self._resume_at))
        return max(0.0, turn.at - self._clock.now())

    def _waits_for(self, turn: Turn, attempt: Try, wait: float) -> bool:
        """Wait for a turn, or put the job off until then."""
        if not self._trouble and self._is_over(attempt, wait):
            return False
        has_time = self._run.has_time(wait)
        if has_time and self._sleep(wait):
            return True
        turn.forgo()
        why = "and nothing else is left to do" if has_time else f"not before {self._run.ends}"
        self._put_off(attempt, self._pace.told_apart(wait), why)
        return False

    def _is_over(self, attempt: Try, wait: float = 0.0) -> bool:
        """Put a job off where other vendors' uploads have their turn before."""
        if not self._pace.is_over(wait):
            return False
        self._put_off(attempt, self._pace.next_stretch(wait), "and nothing else is left to do")
        return True

    def _joins_others(self, attempt: Try, turn: Turn) -> bool:
        """Put a new job off where those that wait already have their turn before."""
        if turn.at > -math.inf or self._attempts or not (wait := self._pace.kept_for_others()):
            return False
        self._put_off(attempt, wait, "with those that wait already")
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
            self._run.observer.waiting(self._name, seconds, self._trouble)
        return self._run.patience.sleep(seconds) if self._trouble else self._pace.wait(seconds)

    def _uncovered(self, attempt: Try) -> Try | None:
        """End what a refusal stands for, and return what is still to be asked."""
        while covered := self._refusals.covering(attempt.job):
            refusal, part = covered
            reason = f"not asked, because {refusal}"
            status = Status.RETRY if status_of(refusal) is Status.RETRY else Status.UNASKED
            if part is attempt.job:
                self._end(attempt, status, reason)
                return None
            rest = attempt.job.without(part.targets)
            assert rest is not None, "the part is not all of it"
            self._ledger.replace([attempt.job], (part, rest))
            self._end(attempt._replace(job=part, calls=0, waits=0), status, reason)
            attempt = attempt._replace(job=rest)
        return attempt

    def _put_off(self, attempt: Try, wait: float, why: str) -> None:
        """End a job of which the turn comes too late. A vendor that is well is no failure, only not to be hurried."""
        status = Status.RETRY if self._trouble or not wait else Status.PACED
        trouble = f"{self._trouble}; " if self._trouble else ""
        turn = f"its turn comes in {wait:.1f} s, {why}" if wait else f"not called before {self._run.ends}"
        return self._end(attempt, status, f"{trouble}{turn}", wait)

    def _make(self, attempt: Try, call: WatchedCall) -> None:
        renewed = self._renewed
        self._ledger.calling(attempt.job, attempt.calls, attempt.waits, attempt.since)
        try:
            with self._watched(call):
                receipt = self._observed(attempt.job, partial(self._call, attempt.job, call))
        except RetryLater as error:
            self._retry(attempt, error)
        except TargetsRefused as error:
            self._refused_targets(attempt, error)
        except (CallRefused, SecretError) as error:
            self._refused_call(attempt, error, renewed=renewed)
        except BaseException as error:  # noqa: BLE001 - the plugin's bug; what it did is unknown, so it's undelivered
            self._ended_by_bug(attempt, error)
        else:
            self._accepted(attempt, receipt)

    def _accepted(self, attempt: Try, receipt: Receipt) -> None:
        with self._condition:
            self._failures, self._in_vain, self._trouble = 0, 0, ""
            if receipt.pause:
                self._resume_at = max(self._resume_at, self._clock.now() + receipt.pause)
        self._refusals.accepted(attempt.job)
        if self.preloads and attempt.job.action is Action.PURGE and receipt.estimate:
            self.preloads.note_estimate(attempt.job, receipt.estimate)
        self._end(attempt, Status.ACCEPTED, receipt=receipt)

    def _ended_by_bug(self, attempt: Try, error: BaseException) -> None:
        self._bugs += 1
        if self._bugs <= _MOST_TRACES:  # thousands of them would take the processor from the other vendors
            plugin_bug(self._name, error)
        self._end(attempt, Status.RETRY, bug(error))

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

    def _retry(self, attempt: Try, error: RetryLater) -> None:
        attempt = attempt._replace(waits=attempt.waits + (error.after is not None))
        with self._condition:
            rounds = min(self._failures // self._pace.parallel, _MOST_DOUBLINGS)
            self._failures += 1
            self._in_vain += 1
            self._trouble = error.reason
        wait = self._run.wait_before(max(attempt.tries - 1, rounds), error.after)
        over = attempt.tries >= self._run.terms.tries or not self._run.has_time(wait)
        if error.after is not None or not over:
            # The vendor is in trouble or we are too fast: either way the whole lane holds back, not just this batch.
            with self._condition:
                self._resume_at = max(self._resume_at, self._clock.now() + wait)
        if error.after is None and self._run.has_time(wait) and self._in_vain < _MOST_IN_VAIN:
            accepted = self._refusals.has_accepted(attempt.job)
            if parts := cutting.suspects(attempt, self._run.terms.tries, others_are_accepted=accepted):
                return self._go_on(attempt, parts)
        if over:
            return self._end(attempt, Status.RETRY, error.reason, wait)
        self._ledger.failed(attempt.job, error.reason)
        attempt = attempt._replace(throttled=attempt.throttled + (error.after is not None))
        return self._go_on(attempt, cutting.admissible(attempt) or (attempt,))

    def _refused_targets(self, attempt: Try, error: TargetsRefused) -> None:
        job = attempt.job
        bad = job.only(error.targets) if error.targets else None
        if len(job.targets) == 1 or bad is job:
            self._count_in_vain()
            return self._end(attempt, Status.REJECTED, error.reason)
        if bad is None:
            return self._halve_refused(attempt, error)
        good = job.without(error.targets)
        assert good is not None, "some targets are bad, and not all"
        self._ledger.replace([job], (bad, good))
        # The calls so far are counted once, with the refused targets.
        self._end(attempt._replace(job=bad), Status.REJECTED, error.reason)
        return self._again(Try(good, attempt.since))

    def _halve_refused(self, attempt: Try, error: ProviderError) -> None:
        """Look for the bad target in a batch, unless the vendor refuses whatever it is asked."""
        in_vain = self._count_in_vain()
        if in_vain < _MOST_IN_VAIN:
            return self._go_on(attempt, cutting.halves(attempt))
        reason = f"{in_vain} calls were in vain and none was accepted, so no bad target is looked for: {error.reason}"
        return self._end(attempt, Status.RETRY, reason)

    def _count_in_vain(self) -> int:
        with self._condition:
            self._in_vain += 1
            return self._in_vain

    def _go_on(self, attempt: Try, parts: Parts) -> None:
        """Go on with the parts of a batch in its place."""
        if len(parts) > 1:
            self._ledger.replace([attempt.job], [part.job for part in parts])
        self._again(*parts)

    def _first_of(self, attempt: Try, halvings: int) -> Try:
        """Go on with the first part of a batch; the rest waits."""
        first, *rest = parts = cutting.first_and_rest(attempt, halvings)
        if rest:
            self._ledger.replace([attempt.job], [part.job for part in parts])
            self._again(*rest)
        return first

    def _refused_call(self, attempt: Try, error: CallRefused | SecretError, *, renewed: bool) -> None:
        """Ask for the secrets anew once, since they may have been rotated; then hold back what is refused.

        ``renewed`` says whether that had happened when the call began: several may be under way with the old secrets.
        """
        if isinstance(error, CredentialsRefused) and not renewed:
            with self._condition:
                if not self._renewed:
                    forget_secrets(self._provider)
                    self._renewed = True
            self._ledger.failed(attempt.job, str(error))
            return self._again_at_once(attempt)
        clear = getattr(error, "about", "account")
        hosts = hosts_of(attempt.job)
        if len(hosts) > 1 and clear not in ("account", "kind"):
            return self._go_on(attempt, cutting.by_host(attempt, hosts.values()))
        if self._refusals.note(attempt.job, error) or len(attempt.job.targets) == 1 or isinstance(error, SecretError):
            final = bool(clear) and status_of(error) is Status.REFUSED
            return self._end(attempt, status_of(error), str(error), final=final)
        return self._halve_refused(attempt, error)

    def _again_at_once(self, attempt: Try) -> None:
        with self._condition:
            self._waiting.appendleft(attempt)
            self._condition.notify_all()

    def _end(
        self,
        attempt: Try,
        status: Status,
        reason: str = "",
        after: float | None = None,
        receipt: Receipt | None = None,
        *,
        final: bool = False,
    ) -> None:
        seconds = self._clock.now() - attempt.since
        outcome = Outcome(
            attempt.job,
            status,
            reason,
            receipt or Receipt(),
            after=after,
            calls=attempt.calls,
            seconds=seconds,
            final=final,
            throttled=attempt.waits,
            ended=self._run.elapsed(),
        )
        self._ledger.end(outcome)


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
