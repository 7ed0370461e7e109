"""An installed stack in a time of its own: queue, function, vendors and alarms. Hours pass in a second.

Handler, dispatcher, delivery, retry decisions and template are the real ones. Only the wire to the vendors, SQS's
client, and time are made up.
"""

from __future__ import annotations

import functools
import heapq
import io
import itertools
import json
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import urllib3

from kit.cloudwatch import ALARM, CloudWatch, alarms
from kit.stage import s3_event
from multicdn import config as configs
from multicdn import dispatcher as dispatchers
from multicdn import handler, handover
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.installer.template.stack import RECEIVES, State, template
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import RetryQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pytest

CONFIG = """\
version: 1
providers:
  well: {type: fastly, endpoint: "https://well.test", service: SU1Z0isxPaozGVKXdv0eY, token: "${env:FASTLY_TOKEN}"}
  sick: {type: fastly, endpoint: "https://sick.test", service: SU1Z0isxPaozGVKXdv0eY, token: "${env:FASTLY_TOKEN}"}
routes:
  - {bucket: acme-site, urls: ["https://www.acme.com/{key}"], purge: [well, sick]}
"""

FUNCTION = "multicdn-Function"
QUEUE, DEAD_LETTERS = "multicdn-Queue", "multicdn-DeadLetterQueue"
NAMES = {"Function": FUNCTION, "Queue": QUEUE, "DeadLetterQueue": DEAD_LETTERS}
ARN = f"arn:aws:sqs:us-east-1:123456789012:{QUEUE}"
URL = "https://sqs.us-east-1.amazonaws.com/123456789012/"

START = datetime(2026, 11, 23, 9, tzinfo=UTC).timestamp()
MINUTE, HOUR = 60.0, 3600.0

# Seconds after its last use in which CloudWatch is told of a queue: sqs-available-cloudwatch-metrics.html
_ACTIVE = 6 * HOUR

Answer = tuple[int, dict[str, str]]
WELL: Answer = (200, {})


class _Time(Clock):
    """Stands in for the module ``time`` in the dispatcher, and for delivery's clock."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> float:
        return self.at

    time = monotonic = now

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    def strftime(self, form: str) -> str:
        return datetime.fromtimestamp(self.at, UTC).strftime(form)


_plugins = functools.cache(Plugins)


class _Message:
    def __init__(self, body: str, sent: float) -> None:
        self.body, self.sent, self.received = body, sent, 0


class SimulatedStack:
    """The stack.

    Args:
        patch: undone at the end.
        printed: what was written to standard output since it was asked last.
        plugins: those installed, unless given.

    Attributes:
        answers: what each host says at a moment; those that aren't there accept.
        latency: seconds of a call.
        enabled: whether the function takes messages.
        crashes: whether each invocation ends before it has done anything.
        alarms: of the template, by logical ids.
        config: as parsed.
        dead: bodies of the dead letters.
        calls: how many each host got.
    """

    def __init__(self, patch: pytest.MonkeyPatch, printed: Callable[[], str], plugins: Plugins | None = None) -> None:
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.latency = 0.4
        self.enabled, self.crashes = True, False
        self.calls: dict[str, int] = {}
        self._printed = printed
        self.cloudwatch = CloudWatch()
        self._time = _Time()
        self._numbers = itertools.count()
        self._queue: list[tuple[float, int, _Message]] = []
        self._flying: list[tuple[float, int, _Message]] = []
        self.dead: list[str] = []
        self._dead, self._used = 0, START
        plugins = plugins or _plugins()
        self.config = loaded = configs.parse(CONFIG, "multicdn.config.yml", plugins)
        body = json.loads(json.dumps(template(loaded, State(), revision="r")))
        self.alarms = alarms(body, NAMES)
        self._visibility = body["Resources"]["Queue"]["Properties"]["VisibilityTimeout"]
        self._timeout = loaded.install.timeout
        self._window = loaded.install.batch_window
        random.seed(13)
        patch.setattr(logging.getLogger("multicdn"), "disabled", True)
        patch.setenv("FASTLY_TOKEN", "secret")
        patch.setenv("AWS_LAMBDA_FUNCTION_NAME", FUNCTION)
        for module in (dispatchers, handover):
            patch.setattr(module, "time", self._time)
        # As a method: the pool that is asked comes first.
        patch.setattr("urllib3.connectionpool.HTTPConnectionPool.urlopen", lambda *asked, **_: self._answer(asked[0]))
        # No wait is short enough to be waited for: this time passes by calls and between invocations alone.
        terms = Terms(grace=0.01, concurrency=loaded.concurrency)
        delivery = Delivery(loaded.providers, terms, self._time, lambda most: 0.0)
        retry_queue = RetryQueue(self, URL + QUEUE, URL + DEAD_LETTERS)  # type: ignore[arg-type]
        made = dispatchers.Dispatcher(loaded, plugins, delivery, lambda: retry_queue, URL + QUEUE)
        patch.setattr(handler, "_dispatcher", made)

    # Lambda's context and SQS's client

    def get_remaining_time_in_millis(self) -> int:
        return self._timeout * 1000

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        for entry in Entries:
            if QueueUrl.endswith(DEAD_LETTERS):
                self.dead.append(entry["MessageBody"])
            else:
                self.send(entry["MessageBody"], entry["DelaySeconds"])
        taken = [{"Id": entry["Id"], "MessageId": f"m{next(self._numbers)}"} for entry in Entries]
        return {"Successful": taken, "Failed": []}

    # What happens

    def send(self, body: str, delay: float = 0.0) -> None:
        message = _Message(body, self._time.at)
        heapq.heappush(self._queue, (self._time.at + delay, next(self._numbers), message))

    def upload(self, key: str) -> None:
        event = s3_event(key, sequencer=f"{next(self._numbers):018X}")
        for record in event["Records"]:
            record["eventTime"] = datetime.fromtimestamp(self._time.at, UTC).isoformat().replace("+00:00", "Z")
        self.send(json.dumps(event))

    def pass_(self, seconds: float, every: float = 0.0) -> float:
        """Let time pass, with an upload now and then; the seconds since the start at its end."""
        end = self._time.at + seconds
        uploads = self._time.at if every else end
        minute = self._next_minute()
        while self._time.at < end:
            due = min(self._due() + self._window, uploads, minute, end)
            self._time.at = max(self._time.at, due)
            if every and self._time.at >= uploads < end:
                self.upload(f"page-{uploads:.0f}.html")
                uploads += every
            if self._due() + self._window <= self._time.at:
                self._take()
            while minute <= self._time.at:
                self._watch(minute)
                minute += MINUTE
        return end - START

    def _next_minute(self) -> float:
        return START + ((self._time.at - START) // MINUTE + 1) * MINUTE

    def _due(self) -> float:
        waiting = self._queue[0][0] if self._queue and self.enabled else float("inf")
        flying = self._flying[0][0] if self._flying else float("inf")
        return min(waiting, flying)

    def _take(self) -> None:
        """What is due becomes a batch for the function; what was due in vain may be had again."""
        while self._flying and self._flying[0][0] <= self._time.at:
            heapq.heappush(self._queue, heapq.heappop(self._flying))
        batch = []
        while self.enabled and self._queue and self._queue[0][0] <= self._time.at:
            message = heapq.heappop(self._queue)[2]
            message.received += 1
            if message.received > RECEIVES:
                self.dead.append(message.body)
            else:
                batch.append(message)
        if batch:
            self._put("AWS/SQS", "NumberOfMessagesReceived", len(batch), QueueName=QUEUE)
            self._invoke(batch)

    def _invoke(self, batch: list[_Message]) -> None:
        records = {str(next(self._numbers)): message for message in batch}
        began = self._time.at
        event = {"Records": [_record(name, message) for name, message in records.items()]}
        failed: Iterable[str] = records
        if not self.crashes:
            reply = handler.handler(event, self)
            failed = [each["itemIdentifier"] for each in reply["batchItemFailures"]]
            self.cloudwatch.read_log(self._printed())
        self._put("AWS/Lambda", "Errors", int(self.crashes), FunctionName=FUNCTION)
        for name in failed:
            heapq.heappush(self._flying, (began + self._visibility, next(self._numbers), records[name]))

    def _watch(self, at: float) -> None:
        """At each full minute: what SQS tells CloudWatch, and what the alarms make of all."""
        shown = sum(due <= at for due, *_ in self._queue)
        delayed = len(self._queue) - shown
        counts = {"Visible": shown, **({"Delayed": delayed} if delayed else {})}
        counts |= {"NotVisible": len(self._flying)} if self._flying else {}
        for which, count in counts.items():
            self._put("AWS/SQS", f"ApproximateNumberOfMessages{which}", count, QueueName=QUEUE)
        messages = [each[2] for each in (*self._queue, *self._flying)]
        if messages:
            age = at - min(message.sent for message in messages)
            self._put("AWS/SQS", "ApproximateAgeOfOldestMessage", age, QueueName=QUEUE)
        if len(self.dead) != self._dead:
            self._dead, self._used = len(self.dead), at
        if at - self._used < _ACTIVE:
            self._put("AWS/SQS", "ApproximateNumberOfMessagesVisible", len(self.dead), QueueName=DEAD_LETTERS)
        for alarm in self.alarms.values():
            alarm.evaluate(self.cloudwatch, self._time.at)

    def _put(self, namespace: str, metric: str, value: float, **dimensions: str) -> None:
        self.cloudwatch.put(self._time.at, namespace, metric, dimensions, value)

    def _answer(self, pool: urllib3.HTTPConnectionPool) -> urllib3.HTTPResponse:
        """The wire to the vendors."""
        self.calls[pool.host] = self.calls.get(pool.host, 0) + 1
        status, headers = self.answers.get(pool.host, lambda: WELL)()
        self._time.sleep(self.latency)
        body = b'{"status": "ok", "id": "1-2-3"}' if status == 200 else b'{"msg": "No", "detail": "not now"}'
        headers = {"Content-Type": "application/json", **headers}
        return urllib3.HTTPResponse(io.BytesIO(body), headers, status, preload_content=False)

    # What came of it

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._flying)

    @property
    def shown(self) -> int:
        return sum(due <= self._time.at for due, *_ in self._queue)

    def rang(self) -> dict[str, float]:
        """The alarms that have rung, and after how many seconds first."""
        return {name: alarm.rang[0] - START for name, alarm in self.alarms.items() if alarm.rang}

    def values(self, metric: str, provider: str) -> list[float]:
        """What the function has measured."""
        return self.cloudwatch.values("multicdn", metric, {"FunctionName": FUNCTION, "provider": provider})

    def ringing(self) -> set[str]:
        return {name for name, alarm in self.alarms.items() if alarm.state == ALARM}


def _record(name: str, message: _Message) -> Mapping[str, Any]:
    attributes = {"SentTimestamp": f"{message.sent * 1000:.0f}", "ApproximateReceiveCount": str(message.received)}
    source = {"eventSource": "aws:sqs", "eventSourceARN": ARN}
    return {"messageId": name, "body": message.body, "attributes": attributes, **source}
