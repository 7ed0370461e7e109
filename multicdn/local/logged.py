"""The handler's log, kept for the page."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from multicdn.local.state import LogLine
from multicdn.readable import sentence
from multicdn.steering import visible

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_MOST_LINES = 100
_LONGEST_LINE = 500


class Logged(logging.Handler):
    """Takes what multicdn's logger writes in place of a terminal. A context manager."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[LogLine] = deque(maxlen=_MOST_LINES)
        self._logger = logging.getLogger("multicdn")

    def __enter__(self) -> Self:
        self._before = self._logger.level, self._logger.propagate
        self._logger.setLevel(logging.INFO)
        self._logger.propagate = False
        self._logger.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        level, self._logger.propagate = self._before
        self._logger.setLevel(level)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        fields = getattr(record, "multicdn", None)
        text = sentence(fields) if isinstance(fields, dict) else visible(record.getMessage())
        self._lines.append(LogLine(round(record.created, 3), record.levelname, text[:_LONGEST_LINE]))

    def lines(self) -> tuple[LogLine, ...]:
        """The last records, oldest first."""
        return tuple(self._lines)
