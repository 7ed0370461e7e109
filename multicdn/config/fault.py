"""What the checks of a route find."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from multicdn.config.yaml_source import Path


class Fault(NamedTuple):
    """One thing about a route.

    Attributes:
        path: of the member, below the route.
        text: a sentence that goes on from the member's name.
        warning: whether the route works all the same.
    """

    path: Path
    text: str
    warning: bool = False
