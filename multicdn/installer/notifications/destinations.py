"""Whether the queues, topics and functions in the notifications of others still exist.

S3 looks at every destination when a bucket's notifications are written, and takes exception to any that is gone.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import code
from multicdn.installer.notifications import merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.installer.account import Account
    from multicdn.installer.hints import Hints

# Requests for what is only a hint; a bucket has a handful of entries, and a hundred at most.
_MOST_ASKED = 100

# How SQS (in both of its protocols), SNS and Lambda say that there is no such thing.
_GONE = (
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
)


def find_vanished(
    account: Account, configurations: Iterable[merge.Configuration], stack: str, hints: Hints
) -> tuple[str, ...]:
    """The ARNs that others' entries name and that lead nowhere, as far as the caller may ask. Reads only."""
    arns = dict.fromkeys(arn for one in configurations for arn in _arns(merge.foreign(one, stack)))
    return tuple(arn for arn in islice(arns, _MOST_ASKED) if _is_gone(account, arn, hints))


def _arns(configuration: merge.Configuration) -> Iterator[str]:
    for kind, member in merge.DESTINATIONS.items():
        yield from (entry[member] for entry in configuration.get(kind, ()) if member in entry)


def _is_gone(account: Account, arn: str, hints: Hints) -> bool:
    from botocore.exceptions import ClientError

    def asked() -> bool:
        try:
            _look_at(account, arn)
        except ClientError as error:
            if code(error) in _GONE:
                return True
            raise
        return False

    service = arn.split(":")[2]
    subject = "whether every destination in the notifications of others still exists"
    return bool(hints.ask(service, f"looking for {arn}", asked, subject))


def _look_at(account: Account, arn: str) -> Any:
    """Ask the service that an ARN names; S3 takes no destinations of other regions."""
    _, _, service, _, owner, name, *_ = (*arn.split(":"), "", "", "", "", "")
    if service == "sqs":
        return account.client("sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=owner)
    if service == "sns":
        return account.client("sns").get_topic_attributes(TopicArn=arn)
    if service == "lambda":
        return account.client("lambda").get_function_configuration(FunctionName=arn)
    return None
