"""A delivery as its board is told of it, moment by moment, without one."""

from __future__ import annotations

from multicdn.errors import RetryLater
from multicdn.model import Action, Job, Outcome, Receipt, Status, TargetKind
from multicdn.oncall.board import Board

WWW = "https://www.acme.com"
BUSY = "POST https://api.fastly.com/purge/x: 503: Service Unavailable: the purge service is being upgraded"


class Told:
    """A board, its time, and what happens to its providers."""

    def __init__(self, **expected: int | None) -> None:
        self.now = 100.0
        self.board = Board(expected, lambda: self.now)

    def job(self, provider: str, first: int, count: int = 1) -> Job:
        targets = tuple(f"{WWW}/{number}" for number in range(first, first + count))
        return Job(provider, Action.PURGE, TargetKind.URL, targets, (frozenset(("m",)),) * count)

    def plan(self, provider: str, count: int) -> None:
        self.board.planned(provider, [self.job(provider, 0, count)], ())

    def accept(self, provider: str, first: int, count: int = 1, seconds: float = 0.12) -> None:
        job = self.job(provider, first, count)
        self.board.calling(job)
        self.now += seconds
        receipt = Receipt(f"{first}-1729")
        self.board.answered(job, seconds, receipt)
        self.board.ended(Outcome(job, Status.ACCEPTED, receipt=receipt, calls=1))

    def fail(self, provider: str, first: int, count: int = 1, reason: str = BUSY) -> None:
        job = self.job(provider, first, count)
        self.board.calling(job)
        self.board.answered(job, 0.2, RetryLater(reason))

    def end(self, provider: str, first: int, count: int = 1, reason: str = BUSY) -> None:
        self.board.ended(Outcome(self.job(provider, first, count), Status.REJECTED, reason, calls=1))
