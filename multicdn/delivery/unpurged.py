"""The purges that were not accepted, found by the messages behind them: preloads must not go before them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.model import Job, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable


class UnpurgedPart(Struct, frozen=True):
    """How a purge ended, and the part of it that some messages asked for."""

    outcome: Outcome
    part: Job


class Unpurged:
    """Purges by message, so that thousands of preloads don't each look at thousands of purges.

    Args:
        outcomes: of purges.

    Attributes:
        messages: ids of all that asked for one of them.
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self._by_message: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            for message in outcome.job.messages:
                self._by_message[message].append(outcome)
        self.messages = frozenset(self._by_message)

    def of(self, messages: frozenset[str]) -> list[UnpurgedPart]:
        """What of them some messages asked for."""
        found = {id(outcome): outcome for message in messages for outcome in self._by_message.get(message, ())}
        parts = ((outcome, outcome.job.of_messages(messages)) for outcome in found.values())
        return [UnpurgedPart(outcome, part) for outcome, part in parts if part]
