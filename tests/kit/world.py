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
    from collections.abc import Callable, Mapping

    import pytest

    from kit.aws_wire import Call
    from kit.memory_queues import Message
    from kit.warp import Warp
    from multicdn.simulators import Origin

BUCKET = "acme-site"
SITE = "https://www.acme.com"
_SEND = URLLib3Session.send


class _Aws(MemoryQueues):
    """SQS with the world's clock, and HeadObject of what the origin has: ``heads`` counts how often."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.heads = 0

    @property
    def now(self) -> float:
        return time.time()

    @now.setter
    def now(self, _: float) -> None:
        """The queue has no time of its own here."""

    def _s3_HeadBucket(self, call: Call) -> Any:  # noqa: N802 - as the wire calls HEAD
        self.heads += 1
        found = self._world.objects.get(call.key)
        if found is None:
            raise Refused(404, "NotFound")
        body, modified = found
        return b"", {
            "ETag": etag(body),
            "Content-Length": str(len(body)),
            "Last-Modified": formatdate(modified, usegmt=True),
            **self._world.described.get(call.key, {}),
        }

    def _s3_ListObjectsV2(self, call: Call) -> str:  # noqa: N802
        prefix = call.parameters.get("prefix", "")
        items = "".join(
            f"<Contents><Key>{key}</Key><LastModified>{_written(modified)}</LastModified></Contents>"
            for key, (_, modified) in self._world.objects.items()
            if key.startswith(prefix)
        )
        return f"<R><IsTruncated>false</IsTruncated>{items}</R>"


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


class World:
    """Made for a test.

    Args:
        patch: of the test.
        origin: what the CDNs fetch from.
        text: the config file, whose providers are simulators that run.
        environment: variables for it.

    Attributes:
        warp: the clocks.
        killed: asked before a batch is deleted, whether the function was killed at that moment.
        before: called before each invocation.
        between: called whenever something may have happened, as clients would.
        gather: seconds for which AWS waits for more messages of a batch.
        described: headers of objects beside those of any, by key.
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        warp: Warp,
        origin: Origin,
        text: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.warp = warp
        self.origin = origin
        origin.clock = warp
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.described: dict[str, dict[str, str]] = {}
        self.aws = _Aws(self)
        self._answer(patch)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        self._text = text
        self._client = sqs.client(self.aws.work)
        self.start()
        self.killed: Callable[[], bool] = lambda: False
        self.before: Callable[[], None] = lambda: None
        self.between: Callable[[], None] = lambda: None
        self.invocations = 0
        self.gather = 0.0
        self._numbers = 0

    def _answer(self, patch: pytest.MonkeyPatch) -> None:
        real = _SEND
        self.aws.answer(patch)
        faked = URLLib3Session.send
        patch.setattr(
            URLLib3Session, "send", lambda me, request: (real if _is_here(request.url) else faked)(me, request)
        )

    def start(self) -> None:
        """Start the function anew, as after a kill: it has nothing but its config."""
        plugins = Plugins()
        loaded = config.parse(self._text, "multicdn.config.yml", plugins)
        client = self._client
        self.dispatcher = Dispatcher(
            loaded,
            plugins,
            Delivery(loaded.providers, Terms(tries=1, base=0.01, grace=1.0)),
            lambda: RetryQueue(client, self.aws.work, self.aws.dead),
            self.aws.work,
        )
        # Clients of AWS take their time to be made, and remember nothing.
        self._objects = getattr(self, "_objects", self.dispatcher._objects)
        self.dispatcher._objects = self._objects

    def upload(self, key: str, body: str, *, told: bool = True, copies: int = 0, **headers: str) -> None:
        """Write an object, and let S3 tell of it, perhaps more than once."""
        content = body.encode()
        self.origin.put(key, content, {"Cache-Control": "max-age=86400", **headers})
        stored = self.origin.stored(key)
        assert stored is not None
        self.objects[key] = content, stored.modified
        if "Content-Type" in headers:
            self.described[key] = {"Content-Type": headers["Content-Type"]}
        if told:
            self._tell(key, "ObjectCreated:Put", etag(content).strip('"'), copies)

    def remove(self, key: str, *, copies: int = 0) -> None:
        """Remove an object, and let S3 tell of it."""
        self.objects.pop(key, None)
        self.origin.remove(key)
        self._tell(key, "ObjectRemoved:Delete", "", copies)

    def _tell(self, key: str, name: str, tag: str, copies: int = 0) -> None:
        self._numbers += 1
        found = {"key": key, "eTag": tag, "sequencer": f"{self._numbers:016X}"}
        record = {
            "eventSource": "aws:s3",
            "eventName": name,
            "eventTime": _written(time.time()),
            "s3": {"bucket": {"name": BUCKET}, "object": {name: value for name, value in found.items() if value}},
        }
        for number in range(copies + 1):
            self.aws.put(self.aws.work, json.dumps({"Records": [record]}), delay=number)

    def redrive(self) -> int:
        """Send the dead letters back, as a person would; and how many there were."""
        letters, self.letters[:] = list(self.letters), []
        for letter in letters:
            self.aws.put(self.aws.work, letter.body)
        return len(letters)

    def invoke(self) -> bool:
        """Let the function have what is due; False where nothing was."""
        batch = self.aws.receive(self.aws.work, 100, hide=90)
        if not batch:
            return False
        self.invocations += 1
        self.before()
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
            self.warp.skip(min(due) + self.gather - time.time())
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
