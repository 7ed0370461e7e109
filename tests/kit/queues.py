"""A queue with its dead letters, and the handler between it and simulated vendors. Time in the queue passes at once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kit.stage import SITE, s3_event
from multicdn import config
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import RetryQueue
from multicdn.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.simulators.fastly.api import FastlySimulator


class Ok:
    status_code = 200


class Queues:
    """A queue and its dead-letter queue in an SQS, seen through one client.

    Attributes:
        batches: the entries of every SendMessageBatch, as they were sent, delays included.
    """

    def __init__(self, sqs: Any, *, visibility: int = 60) -> None:
        self.sqs = sqs
        self.dlq = sqs.create_queue(QueueName="work-dlq")["QueueUrl"]
        self.url = sqs.create_queue(QueueName="work", Attributes={"VisibilityTimeout": str(visibility)})["QueueUrl"]
        self.batches: list[list[dict[str, Any]]] = []
        sqs.meta.events.register("provide-client-params.sqs.SendMessageBatch", self._pass_time)

    def _pass_time(self, params: dict[str, Any], **_: object) -> dict[str, Any]:
        """Remember what is sent, and let its delay be over."""
        self.batches.append([dict(entry) for entry in params["Entries"]])
        return {**params, "Entries": [{**entry, "DelaySeconds": 0} for entry in params["Entries"]]}

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [entry for batch in self.batches for entry in batch]

    def on_send(self, act: Callable[..., Any]) -> None:
        """Do something where a SendMessageBatch would go out; a returned response and answer replace it."""
        self.sqs.meta.events.register_first("before-call.sqs.SendMessageBatch", act)

    def retry_queue(self) -> RetryQueue:
        return RetryQueue(self.sqs, self.url, self.dlq)

    def left(self, url: str = "") -> int:
        """Messages that weren't deleted, seen or not."""
        return self._count(url or self.url, "", "NotVisible", "Delayed")

    def shown(self, url: str = "") -> int:
        """Messages that anybody may receive now."""
        return self._count(url or self.url, "")

    def _count(self, url: str, *which: str) -> int:
        names = [f"ApproximateNumberOfMessages{each}" for each in which]
        found = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def upload(self, *keys: str) -> None:
        """A message of S3 for each key."""
        for key in keys:
            self.sqs.send_message(QueueUrl=self.url, MessageBody=json.dumps(s3_event(key)))

    def bodies(self, url: str = "") -> list[dict[str, Any]]:
        """Look at all messages of a queue, which hides them."""
        return list(self._bodies(url or self.url))

    def _bodies(self, url: str) -> Iterator[dict[str, Any]]:
        while found := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                yield json.loads(message["Body"])


class Line:
    """Queues, and a handler on them made from a config."""

    def __init__(self, queues: Queues, text: str) -> None:
        self.queues = queues
        self.text = text
        self.replies: list[dict[str, Any]] = []
        self.seconds = 30.0

    def restart(self, text: str | None = None) -> None:
        """The next batch meets a new process, with another config or the same."""
        self.text = text or self.text
        self.__dict__.pop("_dispatcher", None)

    def dispatcher(self, plugins: Plugins | None = None) -> Dispatcher:
        plugins = plugins or Plugins()
        loaded = config.parse(self.text, "multicdn.config.yml", plugins)
        terms = Terms(tries=2, base=0.01)
        delivery = Delivery(loaded.providers, terms)
        return Dispatcher(loaded, plugins, delivery, self.queues.retry_queue, self.queues.url)

    def step(self) -> list[str]:
        """Let a worker take all there is as one batch, and return the ids of the messages that failed."""
        if "_dispatcher" not in self.__dict__:
            self._dispatcher = self.dispatcher()
        most = max(1, self.queues.shown())
        worker = Worker(self.queues.sqs, self.queues.url, self._handle, wait=0, batch_size=most, gather=30)
        self.replies.clear()
        worker.step()
        return [item["itemIdentifier"] for reply in self.replies for item in reply["batchItemFailures"]]

    def _handle(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        self.replies.append(self._dispatcher.dispatch(event, self.seconds))
        return self.replies[-1]


def purged(cdn: FastlySimulator) -> list[str]:
    """Keys of the objects whose purge a Fastly accepted, in order, repetitions included."""
    start = f"/purge/{SITE}/"
    return [call.target.removeprefix(start) for call in cdn.calls if call.status == 200]
