"""Functions, their queue and a paced vendor in time that passes at once: what pace costs, counted.

Dispatcher, delivery, decisions and messages are the real ones; simulated are AWS and the vendor's answers. A function
has a process of its own, with a memory of its own, and one invocation at a time.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multicdn import config
from multicdn.delivery.clock import Clock
from multicdn.delivery.delivery import Delivery
from multicdn.dispatcher import Dispatcher, terms
from multicdn.model import Receipt
from multicdn.plugins.discovery import Plugins
from multicdn.queue import sender
from multicdn.queue.retry import Requeue

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Mapping

    from multicdn.provider import Provider
    from multicdn.queue.retry import Decision

_QUEUE = "arn:aws:sqs:eu-central-1:123456789012:work"
_QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/work"
_SECONDS = 300.0


class PassingClock(Clock):
    """Time that passes when somebody waits for it, or is answered. One thread does so at a time."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        """See ``Clock``."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """See ``Clock``."""
        self.at += max(0.0, seconds)

    def wait(self, changed: threading.Condition, seconds: float) -> None:
        """See ``Clock``."""
        del changed
        self.sleep(seconds)


@dataclass
class _Message:
    id: str
    body: str
    due: float


@dataclass
class _Function:
    """A warm process.

    Attributes:
        clock: of its own, which is that of the world where it is idle.
        dispatcher: made once.
        free: when its last invocation has ended.
    """

    clock: PassingClock
    dispatcher: Dispatcher
    free: float = 0.0


@dataclass
class PacedWorld:
    """Made anew for each case.

    Args:
        text: of the config.
        call: told the provider's name, the targets and the moment of each call; returns the seconds that it takes.
        functions: how many there are.
        batch: most messages of an invocation.
        gather: seconds for which more are waited for once there is one.

    Attributes:
        invocations: when each began, and how long it took.
        sent: messages that were put into the queue by functions.
        received: messages that were received from it, uploads among them.
        lags: seconds from the first message's due time until an invocation began with it.
    """

    text: str
    call: Callable[[str, Sequence[str], float], float]
    functions: int = 2
    batch: int = 1000
    gather: float = 1.0
    invocations: list[tuple[float, float]] = field(default_factory=list)
    sent: int = 0
    received: int = 0
    lags: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start the functions."""
        self._messages: list[_Message] = []
        self._numbers = iter(range(10**9))
        self._outbox: deque[tuple[str, int]] = deque()
        self._warm = [self._started() for _ in range(self.functions)]

    def upload(self, bucket: str, key: str, at: float) -> None:
        """Let S3 tell of an upload."""
        number = next(self._numbers)
        s3 = {"bucket": {"name": bucket}, "object": {"key": key, "sequencer": f"{number:016X}"}}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
        self._put(json.dumps({"Records": [record]}), at)

    def run(self) -> None:
        """Go on until the queue is empty."""
        while self._messages:
            function = min(self._warm, key=lambda each: each.free)
            first = min(message.due for message in self._messages)
            at = max(function.free, first)
            until = at + (self.gather if self._due(at) < self.batch else 0.0)
            batch = sorted((each for each in self._messages if each.due <= until), key=lambda each: each.due)
            self._invoke(function, batch[: self.batch], until, first)

    def _due(self, at: float) -> int:
        return sum(message.due <= at for message in self._messages)

    def _invoke(self, function: _Function, batch: list[_Message], at: float, first: float) -> None:
        taken = set(map(id, batch))
        self._messages = [message for message in self._messages if id(message) not in taken]
        self.received += len(batch)
        self.lags.append(at - first)
        function.clock.at = at
        answer = function.dispatcher.dispatch({"Records": list(map(_record, batch))}, _SECONDS)
        assert answer == {"batchItemFailures": []}, answer
        function.free = function.clock.at
        self.invocations.append((at, function.free - at))
        while self._outbox:
            body, delay = self._outbox.popleft()
            self.sent += 1
            self._put(body, function.free + delay)

    def _put(self, body: str, due: float) -> None:
        self._messages.append(_Message(f"m{next(self._numbers)}", body, due))

    def _started(self) -> _Function:
        plugins, clock = Plugins(), PassingClock()
        loaded = config.parse(self.text, "multicdn.config.yml", plugins)
        for name, provider in loaded.providers.items():
            _answer(provider, name, self.call, clock)
        delivery = Delivery(loaded.providers, terms(loaded, queued=True), clock, lambda most: most / 2)
        queue: Any = _Outbox(self._outbox)
        return _Function(clock, Dispatcher(loaded, plugins, delivery, lambda: queue, _QUEUE_URL))


class _Outbox:
    """Takes what a function sends, as it would go over the wire."""

    def __init__(self, messages: deque[tuple[str, int]]) -> None:
        self._messages = messages

    def carry_out(self, decisions: Iterable[Decision], seconds: float) -> list[Decision]:
        """Take jobs. None may be given up in such a world."""
        del seconds
        for decision in decisions:
            assert isinstance(decision, Requeue), decision
            for message in sender.messages(decision.queued, decision.delay):
                self._messages.append((message.body, message.delay))
        return []


def _record(message: _Message) -> Mapping[str, Any]:
    return {
        "messageId": message.id,
        "eventSource": "aws:sqs",
        "eventSourceARN": _QUEUE,
        "body": message.body,
        "attributes": {"SentTimestamp": "1800000000000"},
    }


def _answer(provider: Provider, name: str, call: Callable[[str, Sequence[str], float], float], clock: Clock) -> None:
    """Let a vendor take each purge in time that passes at once."""

    def purge_urls(urls: Sequence[str], _: object) -> Receipt:
        clock.sleep(call(name, urls, clock.now()))
        return Receipt()

    object.__setattr__(provider, "purge_urls", purge_urls)
