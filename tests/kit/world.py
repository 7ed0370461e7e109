"""A bucket, its queue, CDNs in front of each other, and the function: the wire is simulated, and time is skipped."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from botocore.httpsession import URLLib3Session

from kit.aws_wire import Refused
from kit.memory_queues import MemoryQueues
from multicdn import config
from multicdn.aws import sqs
from multicdn.delivery.delivery import Delivery
from multicdn.delivery.invocation import Terms
from multicdn.dispatcher import Dispatcher
from multicdn.plugins.discovery import Plugins
from multicdn.queue.sender import RetryQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from kit.aws_wire import Call
    from kit.memory_queues import Message
    from kit.warp import Warp
    from multicdn.simulators import Origin

BUCKET = "acme-site"
SITE = "https://www.acme.com"


class _Aws(MemoryQueues):
    """SQS with the world's clock, and HeadObject of what the origin has."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self._world = world

    @property
    def now(self) -> float:
        return time.time()

    @now.setter
    def now(self, _: float) -> None:
        """The queue has no time of its own here."""

    def _s3_HeadBucket(self, call: Call) -> Any:  # noqa: N802 - as the wire calls HEAD
        found = self._world.objects.get(call.key)
        if found is None:
            raise Refused(404, "NotFound")
        body, modified = found
        return b"", {
            "ETag": etag(body),
            "Content-Length": str(len(body)),
            "Last-Modified": formatdate(modified, usegmt=True),
        }


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class World:
    """Made for a test.

    Args:
        patch: of the test.
        origin: what the CDNs fetch from.
        text: the config file, whose providers are simulators that run.

    Attributes:
        warp: the clocks.
        killed: asked before each message of a batch is deleted, whether the function was killed at that moment.
    """

    def __init__(self, patch: pytest.MonkeyPatch, warp: Warp, origin: Origin, text: str) -> None:
        self.warp = warp
        self.origin = origin
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.aws = _Aws(self)
        self._answer(patch)
        plugins = Plugins()
        loaded = config.parse(text, "multicdn.config.yml", plugins)
        client = sqs.client(self.aws.work)
        self.dispatcher = Dispatcher(
            loaded,
            plugins,
            Delivery(loaded.providers, Terms(tries=1, base=0.01, grace=1.0)),
            lambda: RetryQueue(client, self.aws.work, self.aws.dead),
            self.aws.work,
        )
        self.killed: Callable[[], bool] = lambda: False
        self.between: Callable[[], None] = lambda: None
        self.invocations = 0
        self._numbers = 0

    def _answer(self, patch: pytest.MonkeyPatch) -> None:
        real = URLLib3Session.send
        self.aws.answer(patch)
        faked = URLLib3Session.send
        patch.setattr(
            URLLib3Session, "send", lambda me, request: (real if _is_here(request.url) else faked)(me, request)
        )

    def upload(self, key: str, body: str, *, told: bool = True) -> None:
        """Write an object, and let S3 tell of it."""
        content, now = body.encode(), time.time()
        self.objects[key] = content, now
        headers = {
            "ETag": etag(content),
            "Last-Modified": formatdate(now, usegmt=True),
            "Cache-Control": "max-age=86400",
        }
        self.origin.put(key, content, headers)
        if told:
            self._tell(key, "ObjectCreated:Put", etag(content).strip('"'))

    def remove(self, key: str) -> None:
        """Remove an object, and let S3 tell of it."""
        self.objects.pop(key, None)
        self.origin.remove(key)
        self._tell(key, "ObjectRemoved:Delete", "")

    def _tell(self, key: str, name: str, tag: str) -> None:
        self._numbers += 1
        found = {"key": key, "eTag": tag, "sequencer": f"{self._numbers:016X}"}
        record = {
            "eventSource": "aws:s3",
            "eventName": name,
            "eventTime": datetime.fromtimestamp(time.time(), UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "s3": {"bucket": {"name": BUCKET}, "object": {name: value for name, value in found.items() if value}},
        }
        self.aws.put(self.aws.work, json.dumps({"Records": [record]}))

    def invoke(self) -> bool:
        """Let the function have what is due; False where nothing was."""
        batch = self.aws.receive(self.aws.work, 100, hide=90)
        if not batch:
            return False
        self.invocations += 1
        reply = self.dispatcher.dispatch({"Records": [_as_sqs(message) for message in batch]}, 30)
        back = {failure["itemIdentifier"] for failure in reply["batchItemFailures"]}
        if not self.killed():
            gone = {id(message) for message in batch if message.id not in back}
            waiting = self.aws.queues[self.aws.work].messages
            waiting[:] = [message for message in waiting if id(message) not in gone]
        return True

    def run(self, seconds: float) -> None:
        """Let so many seconds pass."""
        until = time.time() + seconds
        while True:
            while self.invoke():
                self.between()
            due = [message.due for message in self.aws.queues[self.aws.work].messages]
            if not due or min(due) > until:
                self.warp.skip(until - time.time())
                return
            self.warp.skip(min(due) - time.time())
            self.between()

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """What is in the queue, parsed."""
        return [json.loads(message.body) for message in self.aws.queues[self.aws.work].messages]

    @property
    def letters(self) -> list[Message]:
        """The dead letters."""
        return self.aws.queues[self.aws.dead].messages


def _written(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _is_here(url: str) -> bool:
    return "127.0.0.1" in url


def _as_sqs(message: Message) -> dict[str, Any]:
    return {
        "messageId": message.id,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:work",
        "body": message.body,
        "attributes": {"SentTimestamp": str(round(message.sent * 1000))},
    }
