"""The invalidations of a simulated CloudFront account: made within quotas, repeated by reference, completed in time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from multicdn.simulators.cloudfront.errors import ApiError
from multicdn.simulators.cloudfront.model import is_wildcard
from multicdn.simulators.kit.rates import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(slots=True)
class Invalidation:
    """One invalidation of a distribution or tenant, and how far it is."""

    id: str
    owner: str
    reference: str
    items: tuple[str, ...]
    created_at: float
    polls: int = 0
    everywhere_at: float | None = None  # from when on it has its effect at all edges; None until it is on its way

    @property
    def wildcards(self) -> int:
        """The number of its items that are wildcards."""
        return sum(is_wildcard(item) for item in self.items)


@dataclass(frozen=True, slots=True)
class Quotas:
    """The quotas of CloudFront, old and new ones; None switches one off.

    Attributes:
        items_per_second: paths and tags an account may invalidate (quotas page of 2026).
        items_burst: how many at once. Not published; at least the old size of a batch.
        wildcards_per_second: the same for wildcards; whether it counts requests or paths isn't known: here paths.
        wildcards_burst: not published; here as many as could be open before.
        open_items: single paths and tags in progress per distribution (InvalidationLimits, older copies).
        open_wildcards: the same for wildcards.
        calls_per_second, calls_burst: CreateInvalidation calls of an account: 0.5 a second said AWS staff, and users
            saw Throttling after 6 to 10 calls at once (aws/aws-sdk-js#3983).
        batch: items a call; 3,000 in older documentation.
    """

    items_per_second: float | None = 150.0
    items_burst: int = 3000
    wildcards_per_second: float | None = 1.0
    wildcards_burst: int = 15
    open_items: int | None = 3000
    open_wildcards: int | None = 15
    calls_per_second: float | None = 0.5
    calls_burst: int = 8
    batch: int = 3000


class Budget:
    """The rest of an account's quotas."""

    def __init__(self, quotas: Quotas, clock: Callable[[], float]) -> None:
        self.quotas = quotas
        self._calls = _bucket(quotas.calls_per_second, quotas.calls_burst, clock)
        self._items = _bucket(quotas.items_per_second, quotas.items_burst, clock)
        self._wildcards = _bucket(quotas.wildcards_per_second, quotas.wildcards_burst, clock)

    def take_call(self) -> bool:
        """Take one call from the quota; return whether it was allowed."""
        return self._calls is None or self._calls.take() == 0

    def take(self, items: tuple[str, ...], unfinished: Iterable[Invalidation]) -> bool:
        """Take items from the quotas, beside those in progress; return whether they were allowed."""
        wildcards = sum(is_wildcard(item) for item in items)
        single = len(items) - wildcards
        waiting = tuple(unfinished)
        open_wildcards = sum(one.wildcards for one in waiting)
        open_items = sum(len(one.items) for one in waiting) - open_wildcards
        return (
            _fits(open_items, single, self.quotas.open_items)
            and _fits(open_wildcards, wildcards, self.quotas.open_wildcards)
            and _has(self._items, single)
            and _has(self._wildcards, wildcards)
            and _spend(self._items, single)
            and _spend(self._wildcards, wildcards)
        )


class Invalidations:
    """All invalidations of the account.

    Args:
        budget: what they may use; None for no quotas at all.
        clock: seconds since 1970.
        effective_after, completed_after, completed_after_polls: as in ``CloudFrontSimulator``.
        spread: seconds that what is effective then takes to get to all edges.

    Attributes:
        reference_error: as in ``CloudFrontSimulator``.
    """

    def __init__(
        self,
        budget: Budget | None,
        clock: Callable[[], float],
        *,
        effective_after: float,
        completed_after: float,
        completed_after_polls: int | None,
        spread: Callable[[], float],
    ) -> None:
        self.reference_error = "InvalidationBatchAlreadyExists"
        self._budget = budget
        self._clock = clock
        self._effective_after = effective_after
        self._completed_after = completed_after
        self._completed_after_polls = completed_after_polls
        self._spread = spread
        self._made: list[Invalidation] = []

    def create(self, owner: str, reference: str, items: tuple[str, ...]) -> Invalidation:
        """Make one, or return the one that the same reference and items made before, which uses no quota.

        Raises:
            ApiError: the reference was used for other items, or a quota is used up.
        """
        earlier = next((one for one in self.of(owner) if one.reference == reference), None)
        if earlier is None:
            return self._new(owner, reference, items)
        if frozenset(earlier.items) != frozenset(items):
            message = "Your request contains a caller reference that was used for a previous invalidation batch."
            raise ApiError(self.reference_error, message, 409 if "Exists" in self.reference_error else 400)
        return earlier

    def of(self, owner: str) -> list[Invalidation]:
        """List the invalidations of one distribution or tenant, the newest first."""
        return [one for one in reversed(self._made) if one.owner == owner]

    def find(self, owner: str, name: str) -> Invalidation:
        """Return one by its id, and count that it was asked for.

        Raises:
            ApiError: there is none.
        """
        for one in self.of(owner):
            if one.id == name:
                one.polls += 1
                return one
        raise ApiError("NoSuchInvalidation", "The specified invalidation does not exist.", 404)

    def status(self, one: Invalidation) -> str:
        """``InProgress`` or ``Completed``; never the latter before it has its effect at all edges."""
        now = self._clock()
        polled = self._completed_after_polls is not None and one.polls >= self._completed_after_polls
        asked = polled or now >= one.created_at + self._completed_after
        return "Completed" if asked and one.everywhere_at is not None and now >= one.everywhere_at else "InProgress"

    def due(self) -> list[tuple[Invalidation, float]]:
        """List the invalidations that take effect now, and since when they should have; each is returned once."""
        now = self._clock()
        due = [
            (one, one.created_at + self._effective_after)
            for one in self._made
            if one.everywhere_at is None and now >= one.created_at + self._effective_after
        ]
        for one, since in due:
            one.everywhere_at = since + self._spread()
        return due

    def _new(self, owner: str, reference: str, items: tuple[str, ...]) -> Invalidation:
        unfinished = [one for one in self.of(owner) if self.status(one) == "InProgress"]
        if self._budget is not None and not self._budget.take(items, unfinished):
            message = (
                "Processing your request will cause you to exceed the maximum number of in-progress invalidations."
            )
            raise ApiError("TooManyInvalidationsInProgress", message)
        made = Invalidation(f"I{uuid.uuid4().hex[:25].upper()}", owner, reference, items, self._clock())
        self._made.append(made)
        return made


def _bucket(rate: float | None, burst: int, clock: Callable[[], float]) -> TokenBucket | None:
    return None if rate is None else TokenBucket(rate, burst, clock)


def _fits(used: int, more: int, most: int | None) -> bool:
    return more == 0 or most is None or used + more <= most


def _has(bucket: TokenBucket | None, count: int) -> bool:
    return bucket is None or bucket.remaining >= count


def _spend(bucket: TokenBucket | None, count: int) -> bool:
    return bucket is None or bucket.take(count) == 0
