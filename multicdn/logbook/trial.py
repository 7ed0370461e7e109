"""A try of an installation: an upload that it is told of, and what its log says of that. Pure."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from multicdn.logbook.parts import Parts, named
from multicdn.logbook.wanted import names_a_part
from multicdn.provenance import MOST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from multicdn.logbook.entries import LogEntry

# Of what is in another state something is yet to come.
_SETTLED = frozenset(("accepted", "finished", "fresh", "unknown", "superseded"))

_ENDS_OF_LOOKS = ("fresh", "unknown", "superseded")


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
        looked_at: of those of the expected whose edges are looked at, by how many URLs.
        followed: those of the expected after whose end others act.

    Attributes:
        misread: whether the function could make nothing of it.
        perhaps: how many lines may be about it, which name only a part of their messages.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        expected: Iterable[tuple[str, str]],
        since: float,
        looked_at: Mapping[tuple[str, str], int] = {},
        followed: Collection[tuple[str, str]] = (),
    ) -> None:
        self._id = id
        self._looked_at = looked_at
        self._followed = followed
        self._seen: dict[tuple[str, str], set[str]] = defaultdict(set)
        self._seconds: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
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
                self._seconds[name][entry.state] = entry.number("age_seconds")
                if entry.state in _ENDS_OF_LOOKS:
                    self._seen[name].update(entry.texts("urls") or entry.texts("first"))
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
        return self.misread or (not self._invocations and all(map(self._is_over, self.expected)))

    @property
    def is_good(self) -> bool:
        """Whether every vendor has accepted; and whether no edge is stale where edges are looked at."""
        return not self.misread and all(map(self._is_good, self.expected))

    def lacks(self, name: tuple[str, str]) -> str:
        """What one of the expected is yet to become that was accepted: ``finished`` or ``fresh``; empty for nothing."""
        states = self._states(name)
        if not states or not states <= _SETTLED:
            return ""
        if name in self._looked_at:
            # Other targets of the object are purged with it, and nobody looks at these: they end as finished.
            return "fresh" if len(self._seen[name]) < min(self._looked_at[name], MOST) else ""
        return "finished" if name in self._followed and "finished" not in states else ""

    def seconds(self, name: tuple[str, str]) -> dict[str, float]:
        """Seconds from the upload to each state of one of the expected, in their order."""
        return dict(self._seconds.get(name, {}))

    def _is_good(self, name: tuple[str, str]) -> bool:
        return self._is_over(name) and self.ended(name) != "dead"

    def _is_over(self, name: tuple[str, str]) -> bool:
        if self.ended(name) == "dead":
            return True
        states = self._states(name)
        return bool(states) and states <= _SETTLED and not self.lacks(name)

    def _states(self, name: tuple[str, str]) -> frozenset[str]:
        return self._parts[name].states if name in self._parts else frozenset()
