"""Work that a vendor accepts now and does later."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from multicdn.simulators.kit.topology import one_purge

# The most that is said of what isn't done.
_ALMOST = 0.99


@dataclass(slots=True, eq=False)
class AcceptedRequest:
    """One accepted request.

    Attributes:
        id: what the vendor calls it.
        kind: what it is, in the vendor's words.
        targets: what it acts on.
        begun_at: when it was accepted.
        ended_at: when it was done, and had got everywhere; None until then.
    """

    id: str
    kind: str
    targets: Sequence[str]
    begun_at: float
    ended_at: float | None = None
    _act: Callable[[], None] | None = field(default=None, repr=False)
    _polls: int = 0
    _everywhere_at: float | None = None


class Jobs:
    """Requests that are done after some seconds, or after their status was asked for some times.

    Args:
        clock: seconds.
        seconds: how long a request takes; 0 does it before it is accepted. Plays no part with ``polls``.
        polls: how many questions about its status a request takes; the last one of them is told that it is done.
        spread: seconds that the effect of what is done now then takes to get everywhere.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        seconds: float = 0.0,
        polls: int = 0,
        spread: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.seconds = seconds
        self.polls = polls
        self._clock = clock
        self._spread = spread
        self._works: dict[str, AcceptedRequest] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def submit(self, kind: str, targets: Sequence[str], act: Callable[[], None]) -> AcceptedRequest:
        """Accept a request, and do it if it is due at once."""
        with self._lock:
            work = AcceptedRequest(f"{next(self._ids):08x}", kind, tuple(targets), self._clock(), None, act)
            self._works[work.id] = work
        self.settle()
        return work

    def settle(self) -> None:
        """Do what is due. Call it before anything that could see the difference."""
        for work in list(self._works.values()):
            if work.ended_at is None and self._share(work) >= 1:
                self._do(work)

    def find(self, kind: str, number: str) -> AcceptedRequest | None:
        """Count a question about a request of a kind, and return it as it is then; None where there is no such."""
        work = self._works.get(number)
        if work is None or work.kind != kind:
            return None
        with self._lock:
            work._polls += 1  # noqa: SLF001 - a field of this module
        self.settle()
        return work

    def progress(self, work: AcceptedRequest) -> float:
        """The share of a request that is done, from 0 to 1; less than 1 until it has got everywhere."""
        if work.ended_at is not None:
            return 1.0
        if self.polls:
            return min(_ALMOST, self._share(work))
        end = work._everywhere_at or work.begun_at + self.seconds + self._spread()  # noqa: SLF001 - of this module
        return min(_ALMOST, (self._clock() - work.begun_at) / (end - work.begun_at)) if end > work.begun_at else 0.0

    def _share(self, work: AcceptedRequest) -> float:
        """The share of the time until it is carried out."""
        if self.polls:
            return min(1.0, work._polls / self.polls)  # noqa: SLF001
        return min(1.0, (self._clock() - work.begun_at) / self.seconds) if self.seconds else 1.0

    def outstanding(self, kinds: Sequence[str]) -> int:
        """Count the targets of those requests of some kinds that aren't done."""
        works = list(self._works.values())
        return sum(len(work.targets) for work in works if work.kind in kinds and work.ended_at is None)

    def _do(self, work: AcceptedRequest) -> None:
        with self._lock:
            act, work._act = work._act, None  # noqa: SLF001 - taken by one thread only
        if act is not None:
            due = self._clock() if self.polls else work.begun_at + self.seconds
            with one_purge(at=due):
                act()
            work._everywhere_at = due + self._spread()  # noqa: SLF001
        if work._everywhere_at is not None and self._clock() >= work._everywhere_at:  # noqa: SLF001
            work.ended_at = work._everywhere_at  # noqa: SLF001
