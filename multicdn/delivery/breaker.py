"""A circuit breaker for each vendor, kept while the process is warm: one that is sick is only asked now and then.

    closed     --three calls in a row have failed, over a second or more-->   open
    closed     --a call was given up, or took so long that others wait-->     open
    open       --its pause is over-->                                         half-open: one call, the probe
    half-open  --the probe is answered in time-->                             closed
    half-open  --it fails, or is slow-->                                      open, for longer where it failed again

A refusal is an answer: what is refused is no sign of trouble.
"""

from __future__ import annotations

import logging
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import ProviderError, RetryLater
from multicdn.log import emit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.delivery.clock import Clock

# Failures in a row that open it, unless they all fall into one moment: a balancer that restarts breaks many at once.
_FAILURES, _OVER_SECONDS = 3, 1.0

# Seconds that it stays open at first, each further time twice as long, and at most; up to a half is left to chance.
_FIRST_PAUSE, LONGEST_PAUSE = 10.0, 300.0

# Seconds that a vendor may ask for: a header that names the year 2100 must not be the last that is heard of it.
_LONGEST_ASKED = 3600.0

# Seconds after its limit at which a probe that has not ended is no longer waited for: its plugin has no limit.
_OVERRUN = 1.0

# A call that takes longer than this holds up the invocation. Then none is made for eight times as long, so that a slow
# vendor holds up no more than a ninth of them.
_SLOW, _REST = 3.0, 8.0


class WatchedCall(Struct, eq=False):
    """A call under way.

    Attributes:
        owner: who makes it.
        run: the invocation in which it is made; a worker may have several at once.
        usual: seconds in which it should be answered; it may take longer, but nobody needs to wait for it.
        since: when it began.
        probe: whether the breaker was open: then it should end when it isn't answered in time.
        halvings: how often its batch is to be halved: one that was throttled again and again may be larger than the
            vendor ever admits at once.
        cold: whether no call of this process has been answered yet: an SDK may have to be imported.
        given_up: whether it has been counted as failed before its end.
    """

    owner: object
    run: object
    usual: float
    since: float
    probe: bool
    halvings: int = 0
    cold: bool = False
    given_up: bool = False

    @property
    def limit(self) -> float:
        """Seconds after which it is to be ended."""
        return self.usual if self.probe else math.inf


class Breaker:
    """The circuit breaker of one provider instance.

    Args:
        name: of the instance.
        clock: of this process.
        jitter: draws from 0 to its argument.
        prompt: seconds in which a vendor that is well answers.
        longest: seconds that a call is waited for at most.
        longest_pause: seconds that it stays open at most, unless the vendor asks for more: an hour then.
        enabled: if not, it never opens.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        jitter: Callable[[float], float],
        *,
        prompt: float = 2.0,
        longest: float = 10.0,
        longest_pause: float = LONGEST_PAUSE,
        enabled: bool = True,
    ) -> None:
        self._name = name
        self._clock = clock
        self._jitter = jitter
        self._prompt = prompt
        self._longest = longest
        self._longest_pause = longest_pause
        self._enabled = enabled
        self._calls: list[WatchedCall] = []
        self._failures = 0
        self._throttled = 0
        self._is_warm = False
        self._failing_since = 0.0
        self._latency = 0.0
        self._times_opened = 0
        self._is_open = False
        self._until = 0.0
        self._reason = ""
        self._lock = threading.Lock()

    @property
    def reason(self) -> str:
        """Why it is open, for the log."""
        return f"not called, since its circuit breaker is open: {self._reason}"

    @property
    def is_open(self) -> bool:
        """Whether the vendor is only asked now and then."""
        with self._lock:
            return self._is_open

    def pause(self) -> float:
        """Seconds until a call may be made: 0 if it is closed, or a probe is due."""
        with self._lock:
            return self._pause()

    def is_probed_by(self, owner: object) -> bool:
        """Whether a probe of this owner is under way, on whose answer it is worth to wait."""
        with self._lock:
            return any(call.probe and call.owner is owner for call in self._calls)

    def has_calls(self, run: object) -> bool:
        """Whether a call of an invocation is under way."""
        with self._lock:
            return any(call.run is run for call in self._calls)

    def admit(self, owner: object, run: object, attempts: int = 0) -> WatchedCall | None:
        """Begin a call, or return None if none may be made now.

        Args:
            owner: who makes it.
            run: the invocation in which it is made.
            attempts: how many invocations have tried in vain. A vendor may just be slow: each time it is given twice
                as long to answer.
        """
        with self._lock:
            if self._pause():
                return None
            patient = self._prompt * 2.0 ** min(attempts, 10)
            usual = min(self._longest, max(patient, 1.5 * self._latency))
            halvings = max(0, self._throttled - _FAILURES + 1) if self._is_open else 0
            call = WatchedCall(owner, run, usual, self._clock.now(), self._is_open, halvings, not self._is_warm)
            self._calls.append(call)
        if call.probe:
            emit(logging.INFO, "breaker", provider=self._name, state="half-open", reason=self._reason)
        return call

    @contextmanager
    def watch(self, call: WatchedCall) -> Iterator[None]:
        """Learn from how a call ends that is made meanwhile."""
        try:
            yield
        except RetryLater as error:
            self.failed(call, error.reason, error.after)
            raise
        except ProviderError:
            self.answered(call)
            raise
        except BaseException:  # a plugin's bug, a secret that can't be read: no word about the vendor
            self.dropped(call)
            raise
        self.answered(call)

    def answered(self, call: WatchedCall) -> None:
        """The vendor answered, be it with a refusal."""
        with self._lock:
            seconds = self._end(call)
            # It may have imported an SDK, or waited for another that did: that says nothing about the vendor.
            telling = call.given_up or not call.cold
            self._is_warm = True
            self._latency = seconds if seconds > self._prompt and telling else 0.0
            if call.given_up:  # too late to be of use, but for how late it was
                return
            self._failures = self._throttled = 0
            if seconds > _SLOW and telling:
                self._open(f"it takes {seconds:.1f} s to answer", seconds, again=False)
            elif self._is_open and call.probe:
                self._is_open, self._times_opened = False, 0
                emit(logging.INFO, "breaker", provider=self._name, state="closed")

    def failed(self, call: WatchedCall, reason: str, after: float | None = None) -> None:
        """The vendor did not do what it could do: it gave no answer, or is in trouble, or throttles.

        Args:
            call: that failed.
            reason: in words.
            after: seconds that the vendor asked to wait.
        """
        with self._lock:
            seconds = self._end(call)
            if call.given_up:
                return
            if not self._failures:
                self._failing_since = call.since
            self._failures += 1
            self._throttled = self._throttled + 1 if after is not None else 0
            lasting = self._clock.now() - self._failing_since >= _OVER_SECONDS
            asked = min(after or 0.0, _LONGEST_ASKED)
            if self._is_known(call):
                self._until = max(self._until, self._clock.now() + asked)
            elif call.probe or seconds > _SLOW or (self._failures >= _FAILURES and lasting):
                self._open(reason, seconds, asked)

    def dropped(self, call: WatchedCall) -> None:
        """The call ended without a word about the vendor."""
        with self._lock:
            self._end(call)

    def give_up(self, run: object) -> None:
        """An invocation ends without waiting for its calls that take longer than is usual: they count as failed."""
        with self._lock:
            now = self._clock.now()
            mine = [call for call in self._calls if call.run is run]
            late = [call for call in mine if now - call.since > call.usual and not call.given_up]
            for call in late:
                call.given_up = True
            if late:
                seconds = now - min(call.since for call in late)
                self._failures += 1
                if not all(map(self._is_known, late)):
                    self._open(f"no answer after {seconds:.1f} s", seconds)

    def _is_known(self, call: WatchedCall) -> bool:
        """Whether a failed call tells nothing new: it was under way beside those that have opened the breaker."""
        return self._is_open and not call.probe

    def _end(self, call: WatchedCall) -> float:
        if call in self._calls:
            self._calls.remove(call)
        return self._clock.now() - call.since

    def _pause(self) -> float:
        if not self._is_open:
            return 0.0
        now = self._clock.now()
        probes = [call for call in self._calls if call.probe and not call.given_up]
        if probes and now <= probes[-1].since + probes[-1].usual + _OVERRUN:
            return max(1.0, probes[-1].since + probes[-1].usual - now)
        return max(0.0, self._until - now)

    def _open(self, reason: str, seconds: float, after: float = 0.0, *, again: bool = True) -> None:
        """Open it, for longer if it was open before, and so that it holds up few invocations however slow it is."""
        if not self._enabled:
            return
        self._times_opened += again
        grown = _FIRST_PAUSE * 2.0 ** min(self._times_opened - 1, 10) if again else 0.0
        grown, rest = (min(self._longest_pause, each) for each in (grown, _REST * seconds))
        pause = max(grown / 2 + self._jitter(grown / 2), rest if seconds > self._prompt else 0.0, after)
        self._is_open, self._reason, self._until = True, reason, self._clock.now() + pause
        emit(
            logging.WARNING,
            "breaker",
            provider=self._name,
            state="open",
            reason=reason,
            failures=self._failures,
            seconds=round(pause, 1),
        )


class Breakers:
    """The breakers of all instances, which outlive an invocation.

    Args:
        make: makes one for the instance of a name.
    """

    def __init__(self, make: Callable[[str], Breaker]) -> None:
        self._make = make
        self._by_name: dict[str, Breaker] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Breaker:
        """The breaker of an instance."""
        with self._lock:
            return self._by_name.setdefault(name, self._make(name))

    def open(self) -> frozenset[str]:
        """Names of the instances whose breaker is open."""
        with self._lock:
            return frozenset(name for name, breaker in self._by_name.items() if breaker.is_open)
