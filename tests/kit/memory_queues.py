"""An SQS in memory that counts receives, hides, delays, and moves messages to dead letters, by a clock of its own."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kit.aws_answers import Answers
from kit.aws_wire import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kit.aws_answers import Answer
    from kit.aws_wire import Call

HOST = "https://sqs.eu-central-1.amazonaws.com/123456789012"


@dataclass
class Message:
    """A message: when it may be received, and how often it was."""

    id: str
    body: str
    attributes: dict[str, Any]
    sent: float
    due: float
    receives: int = 0
    receipt: str = ""
    delayed: bool = False


@dataclass
class Queue:
    """A queue, and where messages go that were received too often."""

    messages: list[Message] = field(default_factory=list)
    receives: int = 0
    dead: str = ""


class MemoryQueues(Answers):
    """The AWS in memory, with these queues.

    Attributes:
        queues: by URL.
        now: seconds since 1970, by the clock of this SQS.
    """

    def __init__(self, answers: Mapping[str, Answer] | None = None, *, receives: int = 6) -> None:
        super().__init__(answers or {})
        self.work, self.dead = f"{HOST}/work", f"{HOST}/dead"
        self.queues = {self.work: Queue(receives=receives, dead=self.dead), self.dead: Queue()}
        self.now = 1_800_000_000.0
        self._numbers = itertools.count()

    def put(self, url: str, body: str, attributes: Mapping[str, str] | None = None, delay: int = 0) -> Message:
        """Send a message, with attributes that are texts."""
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()}
        return self._put(url, {"MessageBody": body, "MessageAttributes": typed, "DelaySeconds": delay})

    def count(self, url: str) -> tuple[int, int, int]:
        """Messages that are visible, in flight, delayed."""
        found = self.queues[url].messages
        visible = sum(message.due <= self.now for message in found)
        delayed = sum(message.due > self.now and message.delayed for message in found)
        return visible, len(found) - visible - delayed, delayed

    def receive(self, url: str, most: int = 10, hide: float = 30.0) -> list[Message]:
        """Receive, as the function would; what was received too often goes to the dead letters."""
        queue, found = self.queues[url], list[Message]()
        for message in list(queue.messages):
            if message.due > self.now or len(found) == most:
                continue
            if queue.dead and message.receives >= queue.receives:
                queue.messages.remove(message)
                self.queues[queue.dead].messages.append(message)
                continue
            message.receives += 1
            message.due, message.delayed = self.now + hide, False
            message.receipt = f"{message.id}/{message.receives}"
            found.append(message)
        return found

    def _put(self, url: str, given: Mapping[str, Any]) -> Message:
        delay = given.get("DelaySeconds", 0)
        id_ = hashlib.sha256(str(next(self._numbers)).encode()).hexdigest()[:32]
        attributes = dict(given.get("MessageAttributes", {}))
        message = Message(id_, given["MessageBody"], attributes, self.now, self.now + delay, delayed=delay > 0)
        self.queues[url].messages.append(message)
        return message

    def _of(self, call: Call) -> Queue:
        if call.json["QueueUrl"] not in self.queues:
            raise Refused(400, "AWS.SimpleQueueService.NonExistentQueue")
        return self.queues[call.json["QueueUrl"]]

    def _sqs_GetQueueAttributes(self, call: Call) -> Any:  # noqa: N802
        queue = self._of(call)
        names = [f"ApproximateNumberOfMessages{state}" for state in ("", "NotVisible", "Delayed")]
        found = dict(zip(names, map(str, self.count(call.json["QueueUrl"])), strict=True))
        policy = {"RedrivePolicy": f'{{"maxReceiveCount": "{queue.receives}"}}'} if queue.dead else {}
        return {"Attributes": found | policy}

    def _sqs_SendMessage(self, call: Call) -> Any:  # noqa: N802
        self._of(call)
        sent = self._put(call.json["QueueUrl"], call.json)
        return {"MessageId": sent.id, "MD5OfMessageBody": _digest(sent.body)}

    def _sqs_SendMessageBatch(self, call: Call) -> Any:  # noqa: N802
        sent = [(entry["Id"], self._put(call.json["QueueUrl"], entry)) for entry in call.json["Entries"]]
        return {
            "Successful": [
                {"Id": name, "MessageId": message.id, "MD5OfMessageBody": _digest(message.body)}
                for name, message in sent
            ]
        }

    def _sqs_ReceiveMessage(self, call: Call) -> Any:  # noqa: N802
        self._of(call)
        found = self.receive(call.json["QueueUrl"], call.json["MaxNumberOfMessages"], call.json["VisibilityTimeout"])
        return {"Messages": [_shown(message) for message in found]} if found else {}

    def _sqs_ChangeMessageVisibilityBatch(self, call: Call) -> Any:  # noqa: N802
        by_receipt = {message.receipt: message for message in self._of(call).messages}
        known = [entry for entry in call.json["Entries"] if entry["ReceiptHandle"] in by_receipt]
        for entry in known:
            by_receipt[entry["ReceiptHandle"]].due = self.now + entry["VisibilityTimeout"]
        gone = [
            {"Id": entry["Id"], "Code": "InvalidParameterValue"} for entry in call.json["Entries"] if entry not in known
        ]
        return {"Successful": [{"Id": entry["Id"]} for entry in known], "Failed": gone}

    def _sqs_DeleteMessageBatch(self, call: Call) -> Any:  # noqa: N802
        queue = self._of(call)
        gone = {entry["ReceiptHandle"] for entry in call.json["Entries"]}
        queue.messages[:] = [message for message in queue.messages if message.receipt not in gone]
        return {"Successful": [{"Id": entry["Id"]} for entry in call.json["Entries"]]}


def _shown(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "MD5OfBody": _digest(message.body),
        "MessageAttributes": message.attributes,
        "Attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(round(message.sent * 1000)),
        },
    }


def _digest(body: str) -> str:
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
