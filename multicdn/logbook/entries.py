"""A line of the log, whoever wrote it: multicdn, Lambda, or what runs a container."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

# Bytes. CloudWatch takes no longer event; a longer line of a file is taken for several.
_LONGEST_LINE = 1 << 20

# JSON has numbers that can't be reckoned with.
_LARGEST = 1e15

# Where docker, kubectl and the like put a name or a time before what a container wrote.
_LONGEST_PREFIX = 200


class LogEntry(Struct, frozen=True):
    """A line of the log.

    Attributes:
        text: as it stands there, without what others have put before it.
        record: its members, if it is a JSON object; else none.
        at: when, in seconds since 1970; None where nobody says.
    """

    text: str
    record: Mapping[str, Any] = {}
    at: float | None = None

    @property
    def event(self) -> str:
        """What multicdn calls it; empty for a line of somebody else."""
        return str(self.record.get("event") or "")

    @property
    def state(self) -> str:
        """What became of a job; empty for a line that isn't about one."""
        return str(self.record.get("state") or "") if self.is_job else ""

    @property
    def is_job(self) -> bool:
        """Whether it says how a job ended."""
        return "action" in self.record and bool(self.provider)

    @property
    def level(self) -> str:
        """Such as ``ERROR``; empty where the line has none."""
        return str(self.record.get("level") or "").upper()

    @property
    def provider(self) -> str:
        """Name of the provider instance; empty for a line that isn't about one."""
        return str(self.record.get("provider") or "")

    def texts(self, name: str) -> tuple[str, ...]:
        """A member that is a list; empty if it isn't there."""
        value = self.record.get(name)
        return tuple(map(str, value)) if isinstance(value, list) else ()

    def number(self, name: str) -> float:
        """A member that is a number; 0 if it isn't there, or is none that a record can have."""
        value = self.record.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0.0
        return float(value) if abs(value) < _LARGEST else 0.0


def read(line: str, at: float | None = None) -> LogEntry:
    """Read a line.

    Args:
        line: of a log, perhaps with a name or a time before its JSON.
        at: when it was written, in seconds since 1970, for a line that doesn't say so.
    """
    text = line.strip()
    start = text.find("{", 0, _LONGEST_PREFIX)
    record = _members(text[start:]) if start >= 0 else {}
    if not record:
        return LogEntry(text, at=at)
    said = _seconds(record.get("timestamp") or record.get("time"))
    return LogEntry(text[start:], record, at if said is None else said)


def lines(stream: BinaryIO) -> Iterator[LogEntry]:
    """Read a file or a pipe, each line as soon as it is there."""
    for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
        if text := line.decode("utf-8", "replace").strip():
            yield read(text)


def _members(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(moment: object) -> float | None:
    """A time in ISO 8601, as Lambda and the worker write it; without an offset it is UTC."""
    try:
        read_ = datetime.fromisoformat(str(moment))
    except ValueError:
        return None
    return (read_ if read_.tzinfo else read_.replace(tzinfo=UTC)).timestamp()
