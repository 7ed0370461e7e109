"""What is delayed in the queue, which SQS shows to nobody: the function's log tells, and looking there changes nothing.

A job that goes into the queue leaves a record with its delay, or that of the first of several. Whoever's delay isn't
over is in the queue, since nobody can receive it; and no delay is longer than a quarter of an hour, so older records
needn't be read.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from multicdn.oncall.letters import NOBODY, UNTRIED, ListEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html: seconds of the longest delay; and
# what may lie between the clocks of whoever writes, keeps and reads the log.
LONGEST_DELAY = 900
_SKEW = 60

# Members that say nothing of the job, or what others say better; Lambda puts some of them beside ours.
_TOLD = frozenset(("state", "id", "delay", "timestamp", "time", "level", "logger", "message", "requestId"))

# docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForMetricFilters.html
_PATTERN = '{ $.state = "requeued" }'

# A page has up to 10,000 records, and may have none while there are more.
_MOST_PAGES = 50
_READING = 20.0


class Delayed(Struct, frozen=True):
    """A record of a job that is delayed.

    Attributes:
        record: the members of its line.
        written: when it was, in seconds since 1970.
    """

    record: Mapping[str, Any]
    written: float

    @property
    def due(self) -> float:
        """When SQS hands it out, in seconds since 1970."""
        return self.written + _number(self.record.get("delay"))

    @property
    def messages(self) -> tuple[str, ...]:
        """Ids of the first messages that asked for it."""
        return _texts(self.record.get("messages"))

    def details(self) -> dict[str, Any]:
        """Everything that it says, by the names of the log's vocabulary, and when it is due."""
        others = {name: value for name, value in self.record.items() if name not in _TOLD}
        vendors = {"vendor_id": self.record["id"]} if "id" in self.record else {}
        first = next(iter(self.messages), "(delayed)")
        return {"id": first, "due": self.due, "sent": self.written, **others, **vendors}

    def entry(self) -> ListEntry:
        """What a list shows of it."""
        first = _texts(self.record.get("first"))
        age = self.record.get("age_seconds")
        count = self.record.get("targets") or self.record.get("objects") or self.record.get("changes")
        return ListEntry(
            id=next(iter(self.messages), ""),
            provider=str(self.record.get("provider") or NOBODY).partition("/")[0],
            reason=str(self.record.get("reason") or UNTRIED),
            targets=first or self._objects(),
            count=int(_number(count)) or len(first),
            asked=None if age is None else self.written - _number(age),
            attempts=int(_number(self.record.get("attempt"))),
            due=self.due,
        )

    def _objects(self) -> tuple[str, ...]:
        bucket = self.record.get("bucket", "")
        return tuple(f"s3://{bucket}/{key}" for key in _texts(self.record.get("keys")))


class Log:
    """The log of an installed function.

    Args:
        client: of CloudWatch Logs.
        group: name of its log group.

    Attributes:
        complete: whether all of it that matters was read, in the time that a look has.
    """

    def __init__(self, client: Any, group: str) -> None:
        self._client = client
        self._group = group
        self.complete = True

    def delayed(self, now: float) -> list[Delayed]:
        """What is delayed at a moment, in seconds since 1970, the next one first.

        Raises:
            ClientError, BotoCoreError: the log can't be read.
        """
        found = still_delayed(self._events(now), now)
        return sorted(found, key=lambda each: each.due)

    def _events(self, now: float) -> Iterator[Mapping[str, Any]]:
        since = int((now - LONGEST_DELAY - _SKEW) * 1000)
        asked: dict[str, Any] = {"logGroupName": self._group, "startTime": since, "filterPattern": _PATTERN}
        until = time.monotonic() + _READING
        for _ in range(_MOST_PAGES):
            answer = self._client.filter_log_events(**asked)
            yield from answer.get("events", [])
            if not answer.get("nextToken"):
                return
            asked["nextToken"] = answer["nextToken"]
            if time.monotonic() > until:
                break
        self.complete = False


def still_delayed(events: Iterable[Mapping[str, Any]], now: float) -> Iterator[Delayed]:
    """The records of jobs whose delay isn't over, of events as CloudWatch Logs has them. Pure."""
    for event in events:
        try:
            record = json.loads(event["message"])
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict) and record.get("state") == "requeued":
            delayed = Delayed(record, event["timestamp"] / 1000)
            if delayed.due > now:
                yield delayed


def _number(value: object) -> float:
    """A number of a record; 0 for anything else, since a log is written by many versions."""
    return value if isinstance(value, int | float) else 0.0


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()
