"""What somebody outside may see of a delivery while it happens. Where nobody looks, this isn't even imported."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.model import Job, Outcome, Receipt


class Observer(Protocol):
    """Told what happens, by whatever thread it happens in: its methods are quick, and safe for threads."""

    def planned(self, provider: str, jobs: Sequence[Job], rejected: Sequence[Outcome]) -> None:
        """A provider's jobs are known: those of an instance, or of one that it was found to stand for.

        ``rejected`` are those that it can't act on; ``ended`` isn't told of them.
        """

    def calling(self, job: Job) -> None:
        """A call begins."""

    def answered(self, job: Job, seconds: float, said: Receipt | BaseException) -> None:
        """A call has ended after so many seconds: accepted, or with an error that has its reason."""

    def waiting(self, provider: str, seconds: float, trouble: str) -> None:
        """Nothing is called for so many seconds: for the vendor's trouble, or for its pace where that is empty."""

    def ended(self, outcome: Outcome) -> None:
        """A job has ended, or a part of one: nothing more is done for it here."""


class Guarded:
    """An observer whose failures change nothing of what it observes.

    Args:
        observer: that may fail.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def planned(self, provider: str, jobs: Sequence[Job], rejected: Sequence[Outcome]) -> None:
        """Tell it."""
        with suppress(BaseException):
            self._observer.planned(provider, jobs, rejected)

    def observed(self, job: Job, now: Callable[[], float], call: Callable[[], Receipt]) -> Receipt:
        """Make the call of a job; it ends as it would unobserved."""
        begun = now()
        with suppress(BaseException):
            self._observer.calling(job)
        try:
            receipt = call()
        except BaseException as error:
            self._answered(job, now() - begun, error)
            raise
        self._answered(job, now() - begun, receipt)
        return receipt

    def waiting(self, provider: str, seconds: float, trouble: str) -> None:
        """Tell it."""
        with suppress(BaseException):
            self._observer.waiting(provider, seconds, trouble)

    def ended(self, outcome: Outcome) -> None:
        """Tell it."""
        with suppress(BaseException):
            self._observer.ended(outcome)

    def _answered(self, job: Job, seconds: float, said: Receipt | BaseException) -> None:
        with suppress(BaseException):
            self._observer.answered(job, seconds, said)
