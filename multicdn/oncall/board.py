"""How far a delivery is, provider by provider. Its threads write it, and whoever shows it reads."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import ProviderError, RetryLater, SecretError, told
from multicdn.model import Receipt, Status
from multicdn.secrets import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from multicdn.model import Job, Outcome

# Answers that nobody has looked at yet; beyond, the oldest are left out.
_MOST_ANSWERS = 10_000

# Characters of what a vendor says that are looked at, for its secrets, and kept.
_LOOKED_AT, _LONGEST = 2_000, 200

# What our HTTP client puts around what a vendor says: which request it was, and that there were no words.
_REQUEST, _EMPTY = re.compile(r"\A[A-Z]+ https?://\S+: "), ": (empty body)"


class Standing(Struct, frozen=True):
    """How far one provider is.

    Attributes:
        name: of the instance, or of what it was found to stand for.
        targets: how many it has; None while that isn't known.
        accepted, undone: how many of them have ended, and how.
        calls: made by now.
        under_way: calls that have no answer yet.
        calling: seconds since the first of these began.
        wait: seconds until the next call; 0 where it doesn't wait.
        trouble: what the vendor said when it last failed to do what it could; empty if it has accepted something since.
        troubled: seconds since that began.
        why: the last reason of those undone.
        stopped: whether no further call is made.
        phase: what it waits for before its first call, or how far that is which was accepted; empty where nobody asks.
    """

    name: str
    targets: int | None = None
    accepted: int = 0
    undone: int = 0
    calls: int = 0
    under_way: int = 0
    calling: float = 0.0
    wait: float = 0.0
    trouble: str = ""
    troubled: float = 0.0
    why: str = ""
    stopped: bool = False
    phase: str = ""

    @property
    def is_over(self) -> bool:
        """Whether all of it has ended."""
        return self.targets is not None and self.accepted + self.undone >= self.targets


class Reply(Struct, frozen=True):
    """What a vendor answered to one call.

    Attributes:
        provider: as of ``Standing``.
        targets: of the call, for people to read.
        seconds: that it took.
        id: the vendor's, if it accepted.
        trouble: why not, if it didn't.
    """

    provider: str
    targets: tuple[str, ...]
    seconds: float
    id: str = ""
    trouble: str = ""


@dataclass
class _Place:
    """What is known of one provider, in moments of the clock."""

    targets: int | None = None
    accepted: int = 0
    undone: int = 0
    calls: int = 0
    begun: dict[int, float] = field(default_factory=dict)
    wait_until: float = 0.0
    trouble: str = ""
    troubled_since: float = 0.0
    why: str = ""
    phase: str = ""
    planned: bool = False

    def end(self, outcome: Outcome) -> None:
        if outcome.status is Status.ACCEPTED:
            self.accepted += len(outcome.job.targets)
        else:
            self.undone += len(outcome.job.targets)
            self.why = _short(outcome.reason)

    def fail(self, trouble: str, now: float) -> None:
        if not self.trouble:
            self.troubled_since = now
        self.trouble = trouble


class Board:
    """An observer of a delivery.

    Args:
        expected: how many targets each provider has, as foretold; None where that shows only as it goes.
        now: the time in seconds, since whenever.
    """

    def __init__(self, expected: Mapping[str, int | None], now: Callable[[], float]) -> None:
        self.now = now
        self._foretold = set(expected)
        self._places = {name: _Place(targets) for name, targets in expected.items()}
        self._answers: deque[Reply] = deque(maxlen=_MOST_ANSWERS)
        self._outcomes: list[Outcome] = []
        self._lines: list[str] = []
        self._stopped = False
        self._lock = threading.Lock()

    def standings(self) -> list[Standing]:
        """How far each provider is now, in the order in which they were foretold."""
        with self._lock:
            now = self.now()
            return [_standing(name, place, now, stopped=self._stopped) for name, place in self._places.items()]

    def stop(self) -> None:
        """Take note that no further call is made."""
        self._stopped = True

    def answers(self) -> list[Reply]:
        """What has been answered since this was asked last."""
        with self._lock:
            found = list(self._answers)
            self._answers.clear()
            return found

    def outcomes(self, since: int = 0) -> list[Outcome]:
        """How jobs have ended by now, without so many of the first ones."""
        with self._lock:
            return self._outcomes[since:]

    def phase(self, provider: str, words: str) -> None:
        """Say what a provider waits for, or how far what it has accepted is."""
        with self._lock:
            self._of(provider).phase = words

    def tell(self, line: str) -> None:
        """Have a line said."""
        with self._lock:
            self._lines.append(line)

    def lines(self) -> list[str]:
        """What is to be said since this was asked last."""
        with self._lock:
            found, self._lines = self._lines, []
            return found

    def planned(self, provider: str, jobs: Sequence[Job], rejected: Sequence[Outcome]) -> None:
        """A provider's jobs are known; it takes the place of the instance that stood for it."""
        with self._lock:
            instance = provider.partition("/")[0]
            if instance != provider and instance in self._foretold:
                self._foretold.remove(instance)
                self._places.pop(instance)
            place = self._of(provider)
            before = place.targets or 0 if place.planned else 0
            place.targets = before + sum(len(job.targets) for job in (*jobs, *(outcome.job for outcome in rejected)))
            place.planned = True
            for outcome in rejected:
                self._end(outcome)

    def calling(self, job: Job) -> None:
        """A call begins."""
        with self._lock:
            place = self._of(job.provider)
            place.calls += 1
            place.wait_until = 0.0
            place.begun[id(job)] = self.now()

    def answered(self, job: Job, seconds: float, said: Receipt | BaseException) -> None:
        """A call has ended."""
        accepted = isinstance(said, Receipt)
        trouble = "" if accepted else _reason(said)
        with self._lock:
            place = self._of(job.provider)
            place.begun.pop(id(job), None)
            if accepted:
                place.trouble = ""
            elif isinstance(said, RetryLater):
                place.fail(trouble, self.now())
            vendors_id = redact(said.id[:_LOOKED_AT])[:_LONGEST] if isinstance(said, Receipt) else ""
            self._answers.append(Reply(job.provider, job.described, seconds, vendors_id, trouble))

    def waiting(self, provider: str, seconds: float, trouble: str) -> None:
        """Nothing is called for so many seconds, or less: several threads may wait."""
        with self._lock:
            place, now = self._of(provider), self.now()
            until = now + seconds
            place.wait_until = min(place.wait_until, until) if place.wait_until > now else until
            if trouble and not place.trouble:
                place.fail(_short(trouble), now)

    def ended(self, outcome: Outcome) -> None:
        """A job has ended."""
        with self._lock:
            self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._of(outcome.job.provider).end(outcome)

    def _of(self, provider: str) -> _Place:
        return self._places.setdefault(provider, _Place())


def _standing(name: str, place: _Place, now: float, *, stopped: bool) -> Standing:
    return Standing(
        name=name,
        targets=place.targets,
        accepted=place.accepted,
        undone=place.undone,
        calls=place.calls,
        under_way=len(place.begun),
        calling=now - min(place.begun.values()) if place.begun else 0.0,
        wait=max(0.0, place.wait_until - now),
        trouble=place.trouble,
        troubled=now - place.troubled_since if place.trouble else 0.0,
        why=place.why,
        stopped=stopped,
        phase=place.phase,
    )


def _reason(said: object) -> str:
    if isinstance(said, ProviderError | SecretError):
        return _short(str(said))
    return _short(told(said)) if isinstance(said, BaseException) else ""


def _short(reason: str) -> str:
    """What a vendor said, in a length that a line bears, with secrets blacked out."""
    shown = _REQUEST.sub("", redact(reason[:_LOOKED_AT])).removesuffix(_EMPTY)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
