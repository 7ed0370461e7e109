"""What the function of a world has told of its purges."""

from __future__ import annotations

import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told(logging.Handler):
    """The log's records in order: ``told("fresh")``."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of ours."""
        with contextlib.suppress(ValueError):
            self._lines.append(json.loads(record.getMessage()))

    def lines(self, *events: str) -> list[dict[str, Any]]:
        """The records of these events."""
        return [line for line in self._lines if line["event"] in events]

    def __call__(self, *events: str) -> list[tuple[str, str]]:
        """Event and provider of each."""
        return [(line["event"], line["provider"]) for line in self.lines(*events)]

    @classmethod
    @contextlib.contextmanager
    def listening(cls) -> Iterator[Self]:
        """Listen to all that is logged in a ``with`` statement, and let nobody else hear it."""
        logger, told = logging.getLogger("multicdn"), cls()
        before = logger.level, logger.propagate
        logger.addHandler(told)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            yield told
        finally:
            logger.removeHandler(told)
            logger.setLevel(before[0])
            logger.propagate = before[1]
