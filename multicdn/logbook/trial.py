"""A try of an installation: an upload that it is told of, and what its log says of that. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from multicdn.logbook.parts import Parts, named
from multicdn.logbook.wanted import names_a_part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.logbook.entries import LogEntry

_ENDS = ("accepted", "dead")


def event(bucket: str, key: str, who: str, at: float) -> str:
    """What S3 would send of an upload, without what tells one upload from another: vendors are asked anew each time.

    Args:
        bucket: where.
        key: of the object.
        who: tells the function of it; the log will have this for its principal.
        at: when, in seconds since 1970.
    """
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": moment,
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": f"{who} (multicdn install test)"},
        "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key)}},
    }
    return json.dumps({"Records": [record]})


class Trial:
    """What became of it, as far as the log says.

    Args:
        id: of the message in the queue, or of the invocation.
        expected: provider instance and action of all that is to be asked for.
        since: when it was sent, in seconds since 1970.

    Attributes:
        misread: whether the function could make nothing of it.
        perhaps: how many lines may be about it, which name only a part of their messages.
    """

    def __init__(self, id: str, expected: Iterable[tuple[str, str]], since: float) -> None:  # noqa: A002
        self._id = id
        self._since = since
        self.perhaps = 0
        self.expected = sorted(set(expected))
        self._parts: dict[tuple[str, str], Parts] = {}
        self._invocations: set[str] = set()
        self.misread = False

    def see(self, entry: LogEntry) -> bool:
        """Look at a line of the log; whether it is about the trial."""
        if entry.event == "invocation":  # its last line
            self._invocations.discard(str(entry.record.get("requestId")))
        ids = {*entry.texts("messages"), str(entry.record.get("message")), str(entry.record.get("requestId"))}
        if not entry.event or self._id not in ids:
            self.perhaps += names_a_part(entry) and (entry.at or 0.0) >= self._since
            return False
        if entry.event in ("unreadable", "unmatched"):
            self.misread = True
        elif entry.state:
            name = (entry.provider.partition("/")[0], str(entry.record.get("action")))
            if self.ended(name) != "dead":
                self._parts.setdefault(name, Parts()).take(entry, named(entry))
            if "requestId" in entry.record:
                self._invocations.add(str(entry.record["requestId"]))
            return name in self.expected
        return self.misread

    def ended(self, name: tuple[str, str]) -> str:
        """The state of one of the expected; empty as long as nothing is known."""
        last = self.last(name)
        return last.state if last else ""

    def last(self, name: tuple[str, str]) -> LogEntry | None:
        """The last line about one of the expected, or of a part of it that isn't done."""
        return self._parts[name].last if name in self._parts else None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be waited for."""
        return self.misread or (not self._invocations and all(self.ended(name) in _ENDS for name in self.expected))

    @property
    def is_good(self) -> bool:
        """Whether every vendor has accepted."""
        return not self.misread and all(self.ended(name) == "accepted" for name in self.expected)
