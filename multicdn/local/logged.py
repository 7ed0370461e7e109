"""The handler's log, kept for the page."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import TYPE_CHECKING

from multicdn.local.state import LogLine

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
        text = _readable(record.getMessage())[:_LONGEST_LINE]
        self._lines.append(LogLine(round(record.created, 3), record.levelname, text))

    def lines(self) -> tuple[LogLine, ...]:
        """The last records, oldest first."""
        return tuple(self._lines)


def _readable(line: str) -> str:
    """A record as a person reads it."""
    try:
        fields = json.loads(line)
        event = fields.pop("event")
    except (ValueError, KeyError, AttributeError):
        return line
    return " ".join([event, *(f"{name}={_value(value)}" for name, value in fields.items())])


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
