"""Outcomes for other systems: each record of the log as a CloudEvent, to event buses and topics that the config names.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from multicdn import aws_clients
from multicdn.bounds import bounded
from multicdn.errors import told
from multicdn.log import emit, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.config.publish import Publish
    from multicdn.records import LogRecord

#: Of all events; what it is about follows, and then how that ended: ``multicdn.purge.requeued``.
TYPE = "multicdn"

# What is asked of AWS, by service and its own names.
OPERATIONS = {"events": ("PutEvents",), "sns": ("PublishBatch",)}

# Entries and bytes of one call, and calls of one invocation for each destination.
# docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
# docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
_MOST_ENTRIES, _MOST_BYTES = 10, 256 * 1024
_MOST_CALLS = 20

# Characters of each text in an event that else had more bytes.
_BRIEF = 256

# Bytes of an entry beside its text: names, and what AWS counts for the time.
_AROUND = 512

# Seconds. A call takes milliseconds, and whoever uploads next waits for the end of this invocation.
_CONNECT, _READ = 1.0, 2.0

_TRIES = 2

# Seconds for all of it.
_LONGEST = 4.0


class CloudEvent(NamedTuple):
    """One event on its way.

    Attributes:
        type: of the event.
        text: all of it, as JSON.
    """

    type: str
    text: str


class Destination(Protocol):
    """A bus or a topic."""

    arn: str

    def send(self, events: Sequence[CloudEvent]) -> dict[int, str]:
        """Send a batch, and return why some of it was not taken, by their places."""


class EventBus:
    """An event bus of EventBridge. The event is the detail, so a rule matches ``detail.data.provider``."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self.arn = arn

    def send(self, events: Sequence[CloudEvent]) -> dict[int, str]:
        """Put events: the answer has one entry for each, in their order, with an ``ErrorCode`` where it failed."""
        wanted = [
            {"EventBusName": self.arn, "Source": TYPE, "DetailType": event.type, "Detail": event.text}
            for event in events
        ]
        answers = self._client.put_events(Entries=wanted).get("Entries", [])
        said = {place: _reason(answer) for place, answer in enumerate(answers) if not answer.get("EventId")}
        return said | dict.fromkeys(range(len(answers), len(events)), "not answered")


class Topic:
    """An SNS topic. The type is an attribute of the message as well, for filter policies."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self.arn = arn

    def send(self, events: Sequence[CloudEvent]) -> dict[int, str]:
        """Publish messages: the answer names those that were taken, and those that failed."""
        wanted = [
            {
                "Id": str(place),
                "Message": event.text,
                "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.type}},
            }
            for place, event in enumerate(events)
        ]
        answer = self._client.publish_batch(TopicArn=self.arn, PublishBatchRequestEntries=wanted)
        failed = {int(each["Id"]): _reason(each) for each in answer.get("Failed", [])}
        taken = {int(each["Id"]) for each in answer.get("Successful", [])}
        return {place: failed.get(place, "not answered") for place in range(len(events)) if place not in taken}


class Publisher:
    """Tells the destinations of a config what became of jobs. Never raises for what AWS does.

    Args:
        publish: of the config.
        source: who speaks, a relative URI.
    """

    def __init__(self, publish: Publish, source: str = "") -> None:
        self._publish = publish
        self._source = source or f"/multicdn/{os.environ.get('AWS_LAMBDA_FUNCTION_NAME', 'worker')}"
        self._made: list[Destination] = []
        self._making = threading.Lock()

    def prepare(self) -> None:
        """Make the clients now, before the first event.

        Raises:
            Exception: whatever botocore raises where none can be made.
        """
        with self._making:
            self._made = self._made or list(_destinations(self._publish))

    def tell(self, records: Iterable[LogRecord], seconds: float = _LONGEST) -> None:
        """Send what the config wants of these records, within so many seconds, and log what could not be sent."""
        until = time.monotonic() + seconds
        wanted = [record for record in records if self._wants(record)]
        if not wanted:
            return
        try:
            self.prepare()
        except Exception as error:  # noqa: BLE001 - no client could be made; purges don't depend on it
            return _complain(", ".join(self._publish.to), Counter({told(error): len(wanted)}))
        events = [cloud_event(record, self._source) for record in wanted]
        for destination in self._made:
            _complain(destination.arn, _sent(destination, events, until))

    def _wants(self, record: LogRecord) -> bool:
        """Whether a record is about jobs, and in a state that somebody wants to hear of."""
        return "action" in record.fields and record.fields["state"] in self._publish.states


def cloud_event(record: LogRecord, source: str) -> CloudEvent:
    """A record about jobs as a CloudEvent in JSON, with secrets blacked out."""
    data = {"event": record.event, **shown(record.fields)}
    kind = f"{TYPE}.{data['action']}.{data['state']}"
    event = {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": source,
        "type": kind,
        "subject": data["provider"],
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": data,
    }
    text = json.dumps(event)
    return CloudEvent(kind, text if len(text) + _AROUND <= _MOST_BYTES else json.dumps({**event, "data": _brief(data)}))


def _brief(value: Any) -> Any:
    """The same with its texts cut, as an entry takes it: what vendors say may be long, and of many bytes."""
    if isinstance(value, str):
        return value if len(value) <= _BRIEF else f"{value[:_BRIEF]}…"
    if isinstance(value, dict):
        return {name: _brief(item) for name, item in value.items()}
    return [_brief(item) for item in value] if isinstance(value, list) else value


def batches(events: Iterable[CloudEvent]) -> Iterator[list[CloudEvent]]:
    """Entries as calls take them: so many, of so many bytes."""
    batch: list[CloudEvent] = []
    size = 0
    for each in events:
        bytes_ = len(each.text) + _AROUND  # JSON of ours is ASCII
        if batch and (len(batch) == _MOST_ENTRIES or size + bytes_ > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += bytes_
    if batch:
        yield batch


def _sent(destination: Destination, events: Sequence[CloudEvent], until: float) -> Counter[str]:
    """Send events to one destination, and count those that weren't by their reasons."""
    failed: Counter[str] = Counter()
    calls = list(batches(events))
    for batch in calls[:_MOST_CALLS]:
        failed += _batch_sent(destination, batch, until)
    left = sum(map(len, islice(calls, _MOST_CALLS, None)))
    return failed + Counter({"more than one invocation tells": left} if left else {})


def _batch_sent(destination: Destination, batch: Sequence[CloudEvent], until: float) -> Counter[str]:
    reasons: dict[int, str] = {}
    for _ in range(_TRIES):
        left = until - time.monotonic()
        if left <= 0:
            return Counter({"no time was left": len(batch)})
        try:
            with bounded(left):
                reasons = destination.send(batch)
        except Exception as error:  # noqa: BLE001 - of the SDK, or the network
            reasons = dict.fromkeys(range(len(batch)), told(error))
        if not reasons:
            break
        batch = [batch[place] for place in sorted(reasons)]
    return Counter(reasons.values())


def _complain(arn: str, failed: Counter[str]) -> None:
    for reason, count in failed.most_common(3):
        emit(logging.WARNING, "publish-failed", destination=arn, events=count, reason=reason)


def _reason(answer: Mapping[str, Any]) -> str:
    named = (answer.get("ErrorCode") or answer.get("Code"), answer.get("ErrorMessage") or answer.get("Message"))
    return ": ".join(str(text) for text in named if text) or "refused without a reason"


def _destinations(publish: Publish) -> Iterator[Destination]:
    from botocore.config import Config

    limits = Config(connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 1})
    for kind, service, arns in ((EventBus, "events", publish.buses), (Topic, "sns", publish.topics)):
        regions = dict.fromkeys(arn.split(":")[3] for arn in arns)
        clients = {region: aws_clients.client(service, region=region, config=limits) for region in regions}
        yield from (kind(clients[arn.split(":")[3]], arn) for arn in arns)
