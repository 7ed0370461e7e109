"""SQS: its client, and actions on many messages in batches of ten, any part of which may fail.

docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference: the actions whose names end in Batch, and ReceiveMessage.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from multicdn.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from botocore.config import Config
    from mypy_boto3_sqs import SQSClient

    Entry = dict[str, Any]

# Messages of one call.
MOST_AT_ONCE = 10

# Hosts of docs.aws.amazon.com/general/latest/gr/sqs-service.html: of today, FIPS, dual-stack, in China, legacy ones, of
# which the one without a region is that of us-east-1; and of VPC endpoints:
# docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-internetwork-traffic-privacy.html
_HOST = re.compile(
    r"https?://(?:(?:vpce-[a-z0-9-]+\.)?sqs(?:-fips)?\.(?P<region>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.(?:vpce\.)?"
    r"|(?:(?P<legacy>[a-z]{2,4}(?:-[a-z]+)+-[0-9]+)\.)?queue\.)(?:amazonaws\.com(?:\.cn)?|api\.aws)(?=[:/])"
)
_PRIVATE = re.compile(r"https?://vpce-[a-z0-9.-]+\.vpce\.amazonaws\.com(?:\.cn)?(?=[:/])")

# Bytes of one call that sends, whatever the number of its messages.
_MOST_BYTES = 256 * 1024


class Refusal(NamedTuple):
    """Why SQS did not do what it was asked for one entry.

    Attributes:
        code: SQS's own; empty where the whole call failed.
        reason: in words.
    """

    code: str
    reason: str


def client(queue_url: str, config: Config | None = None) -> SQSClient:
    """Make a client for the region of a queue, and for its VPC endpoint if the URL names one.

    Raises:
        ValueError: no region is named.
    """
    import boto3

    private = _PRIVATE.match(queue_url)
    return boto3.session.Session().client(
        "sqs", region_name=region_of(queue_url), endpoint_url=private[0] if private else None, config=config
    )


def region_of(queue_url: str) -> str:
    """The region of a queue: the one in its URL, or where that has none the environment's.

    Raises:
        ValueError: neither names one.
    """
    region = region_in(queue_url) or os.environ.get("AWS_REGION")
    if not region:
        import boto3

        region = boto3.session.Session().region_name
    if not region:
        raise ValueError(f"no region: the URL {queue_url} doesn't name one; set AWS_REGION")
    return region


def region_in(queue_url: str) -> str:
    """The region that the URL of a queue names; empty if it names none."""
    match = _HOST.match(queue_url)
    return (match["region"] or match["legacy"] or "us-east-1") if match else ""


def call_in_batches(
    action: Callable[..., Any], queue_url: str, entries: Iterable[Entry], *, tries: int = 1, pause: float = 0.0
) -> dict[int, Refusal]:
    """Call a batch action for any number of entries. Never raises for what SQS does.

    Args:
        action: a method of the client, such as ``delete_message_batch``.
        queue_url: the queue.
        entries: as the action wants them, but for their ``Id``.
        tries: calls for what SQS has not taken of a batch.
        pause: seconds before each further try, times the square of the number of those before it.

    Returns:
        Why SQS did not take an entry in the end, by its place among the entries. Empty if it took them all.
    """
    refusals: dict[int, Refusal] = {}
    for batch in _batches({"Id": str(place), **entry} for place, entry in enumerate(entries)):
        refused: dict[int, Refusal] = {}
        for tried in range(tries):
            time.sleep(pause * tried**2)
            refused = _call(action, queue_url, [entry for entry in batch if not tried or int(entry["Id"]) in refused])
            if not refused:
                break
        refusals |= refused
    return refusals


def _call(action: Callable[..., Any], queue_url: str, batch: Sequence[Entry]) -> dict[int, Refusal]:
    try:
        failed = action(QueueUrl=queue_url, Entries=batch).get("Failed", [])
    except Exception as error:  # noqa: BLE001 - whatever befalls the connection, the entries were not taken
        return {int(entry["Id"]): Refusal("", told(error)) for entry in batch}
    return {int(entry["Id"]): Refusal(entry.get("Code", "?"), entry.get("Message", "")) for entry in failed}


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
