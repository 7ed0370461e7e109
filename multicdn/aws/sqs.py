"""SQS: its client, and actions on many messages in batches of ten, any part of which may fail.

docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference: the actions whose names end in Batch, and ReceiveMessage.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn import aws_clients, region
from multicdn.errors import MulticdnError, told
from multicdn.queue_url import region_in, vpc_endpoint_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from botocore.config import Config
    from mypy_boto3_sqs import SQSClient

    Entry = dict[str, Any]

# What a function asks of SQS, by its own names.
OPERATIONS = {"sqs": ("SendMessageBatch",)}

# Messages of one call.
MOST_AT_ONCE = 10

# Bytes of one call that sends, whatever the number of its messages.
_MOST_BYTES = 256 * 1024


class Refusal(NamedTuple):
    """Why SQS did not do what it was asked for one entry.

    Attributes:
        code: SQS's own; empty where it said nothing.
        reason: in words.
    """

    code: str
    reason: str


#: Of what was not sent, or not answered, in time.
TOO_LATE = Refusal("", "no time was left to send it")


class NoRegionError(MulticdnError, ValueError):
    """Nothing says in which region a queue is."""


def client(queue_url: str, config: Config | None = None) -> SQSClient:
    """Make a client for the region of a queue, and for its VPC endpoint if the URL names one.

    Raises:
        NoRegionError: no region is named.
    """
    made: SQSClient = aws_clients.client(
        "sqs", region=region_of(queue_url), endpoint_url=vpc_endpoint_in(queue_url), config=config
    )
    return made


def region_of(queue_url: str) -> str:
    """The region of a queue: the one in its URL, or where that has none the environment's.

    Raises:
        NoRegionError: neither names one.
    """
    found = region_in(queue_url) or region.of_environment()
    if not found:
        found = aws_clients.region()
    if not found:
        raise NoRegionError(f"no region: the URL {queue_url} doesn't name one; set AWS_REGION")
    return found


def call_in_batches(
    action: Callable[..., Any],
    queue_url: str,
    entries: Iterable[Entry],
    *,
    tries: int = 1,
    pause: float = 0.0,
    until: float = math.inf,
) -> dict[int, Refusal]:
    """Call a batch action for any number of entries. Never raises for what SQS does.

    Args:
        action: a method of the client, such as ``delete_message_batch``.
        queue_url: the queue.
        entries: as the action wants them, but for their ``Id``.
        tries: calls for what SQS has not confirmed of a batch.
        pause: seconds before each further try, times the square of the number of those before it.
        until: no call is begun after this moment of the monotonic clock.

    Returns:
        Why SQS did not take an entry in the end, by its place among the entries. Empty if it confirmed them all.
    """
    refusals: dict[int, Refusal] = {}
    for batch in called_in_batches(action, queue_url, entries, tries=tries, pause=pause, until=until):
        refusals |= {place: refusal for place, refusal in batch.items() if refusal is not None}
    return refusals


def called_in_batches(
    action: Callable[..., Any],
    queue_url: str,
    entries: Iterable[Entry],
    *,
    tries: int = 1,
    pause: float = 0.0,
    until: float = math.inf,
) -> Iterator[dict[int, Refusal | None]]:
    """The same, batch by batch as SQS answers: None for each entry that it confirmed."""
    for batch in _batches({"Id": str(place), **entry} for place, entry in enumerate(entries)):
        refused = {int(entry["Id"]): TOO_LATE for entry in batch}
        for tried in range(tries):
            if time.monotonic() >= until:
                break
            time.sleep(pause * tried**2)
            refused = _call(action, queue_url, [entry for entry in batch if int(entry["Id"]) in refused])
            if not refused:
                break
        yield {(place := int(entry["Id"])): refused.get(place) for entry in batch}


def is_confirmed(answer: object) -> bool:
    """Whether SQS says that it has a message: something in between may answer 200 as well, and means nothing by it."""
    return isinstance(answer, dict) and isinstance(answer.get("MessageId"), str) and bool(answer["MessageId"])


def _call(action: Callable[..., Any], queue_url: str, batch: Sequence[Entry]) -> dict[int, Refusal]:
    """Call once, and say why what is not confirmed, entry by entry, was not taken."""
    try:
        answer = action(QueueUrl=queue_url, Entries=batch)
        confirmed = {str(result.get("Id")) for result in _results(answer, "Successful") if _is_whole(result, batch)}
        refused = {str(result.get("Id")): result for result in _results(answer, "Failed")}
    except Exception as error:  # noqa: BLE001 - whatever befalls the connection, the entries were not taken
        return {int(entry["Id"]): Refusal(_code_of(error), told(error)) for entry in batch}
    return {int(name): _refusal(refused.get(name)) for entry in batch if (name := entry["Id"]) not in confirmed}


def _results(answer: object, member: str) -> list[dict[str, Any]]:
    found = answer.get(member) if isinstance(answer, dict) else None
    return [result for result in found if isinstance(result, dict)] if isinstance(found, list) else []


def _is_whole(result: dict[str, Any], batch: Sequence[Entry]) -> bool:
    """Whether a confirmation is one: that of a message that was sent has the message's id."""
    return "MessageBody" not in batch[0] or is_confirmed(result)


def _refusal(result: dict[str, Any] | None) -> Refusal:
    if result is None:
        return Refusal("", "the answer doesn't confirm it: something in between may have answered in the place of SQS")
    return Refusal(str(result.get("Code") or "?"), str(result.get("Message") or ""))


def _code_of(error: Exception) -> str:
    """SQS's own code where it refused the whole call; a botocore ClientError has it in its response."""
    response = getattr(error, "response", None)
    said = response.get("Error") if isinstance(response, dict) else None
    return str(said.get("Code") or "") if isinstance(said, dict) else ""


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        weight = _weight(entry)
        if batch and (len(batch) == MOST_AT_ONCE or size + weight > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += weight
    if batch:
        yield batch


def _weight(entry: Entry) -> int:
    """Bytes that count towards SQS's limit: the body, and of each attribute the name, the type and the value."""
    attributes = entry.get("MessageAttributes", {}).items()
    return len(entry.get("MessageBody", "").encode()) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode()) for name, value in attributes
    )
