"""What the ending of a call means for the jobs of its lane: each ends, or goes on, whole or in parts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from multicdn.delivery import cutting
from multicdn.delivery.cutting import Parts, Try
from multicdn.delivery.invocation import forget_secrets
from multicdn.delivery.ledger import status_of
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
from multicdn.model import Action, Outcome, Receipt, Status

if TYPE_CHECKING:
    from typing import Protocol

    from multicdn.delivery.invocation import Run
    from multicdn.delivery.ledger import Ledger
    from multicdn.delivery.preloads import Preloads
    from multicdn.provider import Provider

    class Again(Protocol):
        """Lets jobs wait for another call: behind the others, or before them."""

        def __call__(self, *attempts: Try, at_once: bool = False) -> None:
            """Do so."""


# Calls in vain, without one that was accepted, after which no batch is cut any more to find a bad target in it: the
# vendor refuses all alike. One bad target of thousands is found in half as many.
_MOST_IN_VAIN = 32

# Bugs of a plugin that are logged with their trace.
_MOST_TRACES = 3

# A lane in trouble waits longer with every round of failures; 2 ** 6 times the base is more than the longest wait.
_MOST_DOUBLINGS = 6


class TryEndings:
    """What the calls of one lane have ended with so far, and what follows for its jobs.

    Args:
        name: of the provider.
        provider: whose calls they are.
        ledger: where the ends of the jobs are noted.
        run: the invocation.
        preloads: of the lane.
        again: lets jobs wait for another call.

    Attributes:
        trouble: what the vendor said when it failed the last time; empty once it has accepted something.
        resume_at: the moment before which the lane holds back.
        renewed: whether the secrets were asked for anew.
    """

    def __init__(
        self, name: str, provider: Provider, ledger: Ledger, run: Run, preloads: Preloads, again: Again
    ) -> None:
        self._name = name
        self._provider = provider
        self._ledger = ledger
        self._run = run
        self._clock = run.clock
        self._preloads = preloads
        self._again = again
        self._refusals = Refusals()
        self._failures = 0
        self._in_vain = 0
        self._bugs = 0
        self._lock = threading.Lock()
        self.trouble = ""
        self.resume_at = 0.0
        self.renewed = False

    def accepted(self, attempt: Try, receipt: Receipt) -> None:
        """Take in that the vendor took all of a job."""
        with self._lock:
            self._failures, self._in_vain, self.trouble = 0, 0, ""
            if receipt.pause:
                self.resume_at = max(self.resume_at, self._clock.now() + receipt.pause)
        self._refusals.accepted(attempt.job)
        if self._preloads and attempt.job.action is Action.PURGE and receipt.estimate:
            self._preloads.note_estimate(attempt.job, receipt.estimate)
        self.end(attempt, Status.ACCEPTED, receipt=receipt)

    def failed(self, attempt: Try, error: BaseException, parallel: int, *, renewed: bool) -> None:
        """Take in that the call of a job failed.

        Args:
            attempt: the job.
            error: what the plugin raised.
            parallel: calls that may be under way at once.
            renewed: whether the secrets were asked for anew before it began: several calls may be under way with the
                old ones.
        """
        if isinstance(error, RetryLater):
            self._retry(attempt, error, parallel)
        elif isinstance(error, TargetsRefused):
            self._refused_targets(attempt, error)
        elif isinstance(error, CallRefused | SecretError):
            self._refused_call(attempt, error, renewed=renewed)
        else:
            self.ended_by_bug(attempt, error)

    def ended_by_bug(self, attempt: Try, error: BaseException) -> None:
        """Take in a bug of the plugin: what it did is unknown, so the job is undelivered."""
        self._bugs += 1
        if self._bugs <= _MOST_TRACES:  # thousands of them would take the processor from the other vendors
            plugin_bug(self._name, error)
        self.end(attempt, Status.RETRY, bug(error))

    def uncovered(self, attempt: Try) -> Try | None:
        """End what a refusal stands for, and return what is still to be asked."""
        while covered := self._refusals.covering(attempt.job):
            refusal, part = covered
            reason = f"not asked, because {refusal}"
            status = Status.RETRY if status_of(refusal) is Status.RETRY else Status.UNASKED
            if part is attempt.job:
                self.end(attempt, status, reason)
                return None
            rest = attempt.job.without(part.targets)
            assert rest is not None, "the part is not all of it"
            self._ledger.replace([attempt.job], (part, rest))
            self.end(msgspec.structs.replace(attempt, job=part, calls=0, waits=0), status, reason)
            attempt = msgspec.structs.replace(attempt, job=rest)
        return attempt

    def put_off(self, attempt: Try, wait: float, why: str) -> None:
        """End a job of which the turn comes too late. A vendor that is well is no failure, only not to be hurried."""
        status = Status.RETRY if self.trouble or not wait else Status.PACED
        trouble = f"{self.trouble}; " if self.trouble else ""
        turn = f"its turn comes in {wait:.1f} s, {why}" if wait else f"not called before {self._run.ends}"
        return self.end(attempt, status, f"{trouble}{turn}", wait)

    def _retry(self, attempt: Try, error: RetryLater, parallel: int) -> None:
        attempt = msgspec.structs.replace(attempt, waits=attempt.waits + (error.after is not None))
        with self._lock:
            rounds = min(self._failures // parallel, _MOST_DOUBLINGS)
            self._failures += 1
            self._in_vain += 1
            self.trouble = error.reason
        wait = self._run.wait_before(max(attempt.tries - 1, rounds), error.after)
        over = attempt.tries >= self._run.terms.tries or not self._run.has_time(wait)
        if error.after is not None or not over:
            # The vendor is in trouble or we are too fast: either way the whole lane holds back, not just this batch.
            with self._lock:
                self.resume_at = max(self.resume_at, self._clock.now() + wait)
        if error.after is None and self._run.has_time(wait) and self._in_vain < _MOST_IN_VAIN:
            accepted = self._refusals.has_accepted(attempt.job)
            if parts := cutting.suspects(attempt, self._run.terms.tries, others_are_accepted=accepted):
                return self._go_on(attempt, parts)
        if over:
            return self.end(attempt, Status.RETRY, error.reason, wait)
        self._ledger.failed(attempt.job, error.reason)
        attempt = msgspec.structs.replace(attempt, throttled=attempt.throttled + (error.after is not None))
        return self._go_on(attempt, cutting.admissible(attempt) or (attempt,))

    def _refused_targets(self, attempt: Try, error: TargetsRefused) -> None:
        job = attempt.job
        bad = job.only(error.targets) if error.targets else None
        if len(job.targets) == 1 or bad is job:
            self._count_in_vain()
            return self.end(attempt, Status.REJECTED, error.reason)
        if bad is None:
            return self._halve_refused(attempt, error)
        good = job.without(error.targets)
        assert good is not None, "some targets are bad, and not all"
        self._ledger.replace([job], (bad, good))
        # The calls so far are counted once, with the refused targets.
        self.end(msgspec.structs.replace(attempt, job=bad), Status.REJECTED, error.reason)
        return self._again(Try(good, attempt.since))

    def _halve_refused(self, attempt: Try, error: ProviderError) -> None:
        """Look for the bad target in a batch, unless the vendor refuses whatever it is asked."""
        in_vain = self._count_in_vain()
        if in_vain < _MOST_IN_VAIN:
            return self._go_on(attempt, cutting.halves(attempt))
        reason = f"{in_vain} calls were in vain and none was accepted, so no bad target is looked for: {error.reason}"
        return self.end(attempt, Status.RETRY, reason)

    def _count_in_vain(self) -> int:
        with self._lock:
            self._in_vain += 1
            return self._in_vain

    def _go_on(self, attempt: Try, parts: Parts) -> None:
        """Go on with the parts of a batch in its place."""
        if len(parts) > 1:
            self._ledger.replace([attempt.job], [part.job for part in parts])
        self._again(*parts)

    def _refused_call(self, attempt: Try, error: CallRefused | SecretError, *, renewed: bool) -> None:
        """Ask for the secrets anew once, since they may have been rotated; then hold back what is refused."""
        if isinstance(error, CredentialsRefused) and not renewed:
            with self._lock:
                if not self.renewed:
                    forget_secrets(self._provider)
                    self.renewed = True
            self._ledger.failed(attempt.job, str(error))
            return self._again(attempt, at_once=True)
        clear = getattr(error, "about", "account")
        hosts = hosts_of(attempt.job)
        if len(hosts) > 1 and clear not in ("account", "kind"):
            return self._go_on(attempt, cutting.by_host(attempt, hosts.values()))
        if self._refusals.note(attempt.job, error) or len(attempt.job.targets) == 1 or isinstance(error, SecretError):
            final = bool(clear) and status_of(error) is Status.REFUSED
            return self.end(attempt, status_of(error), str(error), final=final)
        return self._halve_refused(attempt, error)

    def end(
        self,
        attempt: Try,
        status: Status,
        reason: str = "",
        after: float | None = None,
        receipt: Receipt | None = None,
        *,
        final: bool = False,
    ) -> None:
        """Note how a job ended."""
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
