"""The section ``publish:`` of the config file: which other systems are told of outcomes."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct

# Of a bus of EventBridge, or a topic of SNS.
# docs.aws.amazon.com/service-authorization/latest/reference/list_amazoneventbridge.html and ..._amazonsns.html
_ARN = (
    r"arn:[a-z0-9-]+:(events:[a-z0-9-]+:[0-9]{12}:event-bus/[A-Za-z0-9._/-]+|sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+)"
)

_MOST_DESTINATIONS = 5


class EndState(enum.StrEnum):
    """What became of a job."""

    ACCEPTED = "accepted"
    REQUEUED = "requeued"
    DEAD = "dead"
    RETURNED = "returned"
    DROPPED = "dropped"
    FINISHED = "finished"
    FRESH = "fresh"
    PURGED = "purged"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    RELEASED = "released"


class Publish(Struct, frozen=True, kw_only=True):
    """Who else is told what became of purges and preloads. The descriptions are those that the JSON schema shows."""

    to: Annotated[
        tuple[Annotated[str, Meta(pattern=f"^{_ARN}$")], ...],
        Meta(
            max_length=_MOST_DESTINATIONS,
            description="ARNs of event buses of EventBridge and of SNS topics, which get outcomes as CloudEvents",
        ),
    ] = ()
    states: Annotated[
        tuple[EndState, ...],
        Meta(min_length=1, description="of which outcomes they are told; default: of all"),
    ] = tuple(EndState)

    def __post_init__(self) -> None:
        """Refuse what would be refused with each event.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if ordered := [arn for arn in self.to if arn.endswith(".fifo")]:
            # docs.aws.amazon.com/sns/latest/dg/fifo-message-grouping.html
            raise ValueError(f"{ordered[0]} keeps messages in order, and outcomes have none; name a standard topic")
        if not self.to and self.states != tuple(EndState):
            raise ValueError("states are of no use without `to`: write the ARN of an event bus or of an SNS topic")

    @property
    def buses(self) -> tuple[str, ...]:
        """ARNs of the event buses among them."""
        return tuple(arn for arn in self.to if arn.split(":")[2] == "events")

    @property
    def topics(self) -> tuple[str, ...]:
        """ARNs of the SNS topics among them."""
        return tuple(arn for arn in self.to if arn not in self.buses)
