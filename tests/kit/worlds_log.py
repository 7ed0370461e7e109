"""What the function of a world has told of its purges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kit.stage import lines

if TYPE_CHECKING:
    import pytest


class Told:
    """The log's records of events, in order: ``told("fresh")``."""

    def __init__(self, logged: pytest.LogCaptureFixture) -> None:
        self._logged = logged

    def lines(self, *events: str) -> list[dict[str, Any]]:
        """The records of these events."""
        return [line for line in lines(self._logged) if line["event"] in events]

    def __call__(self, *events: str) -> list[tuple[str, str]]:
        """Event and provider of each."""
        return [(line["event"], line["provider"]) for line in self.lines(*events)]
