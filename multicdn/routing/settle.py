"""How long a route waits for the rest of a deploy. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from multicdn.routing.durations import DURATION, seconds, too_long


class Settle(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Purge when a deploy seems to be over. The descriptions are those that the JSON schema shows."""

    quiet: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="purge once no change that the route acts on came for so long: `20s`; up to `15m`",
        ),
    ]
    most: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="but so long after the first of them at most, whatever else comes: `10m`; no less than `quiet`",
        ),
    ] = "15m"

    def __post_init__(self) -> None:
        """Refuse what can't be waited for, and what contradicts itself.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if why := too_long(self.quiet):
            raise ValueError(f"quiet {why}")
        if seconds(self.most) < seconds(self.quiet):
            raise ValueError(
                f"most {self.most} is shorter than quiet {self.quiet}: it would never be quiet for so long"
            )

    def __str__(self) -> str:
        """What it waits for, in words."""
        return f"until no change came for {self.quiet}, {self.most} after the first at most"
