"""Read the state of an installation, and put it into words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.installer import state
from multicdn.installer.apply import count_messages, queue_depth
from multicdn.installer.deployed.depth import Depth
from multicdn.installer.errors import InstallError, PassingError
from multicdn.installer.notifications import merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.installer.account import Account
    from multicdn.installer.state import Deployed


class InstallStatus(Struct, frozen=True):
    """An installation.

    Attributes:
        stack, status, updated: as CloudFormation says; ``status`` is empty where nothing is deployed.
        version: of multicdn that is deployed.
        config_sha256: of the config that is deployed.
        trigger: how events reach the function.
        notifications: of each bucket, our entries in words.
        waiting: messages in the queue, delayed ones and those in flight included; None without one.
        queue: how many of them are visible, in flight, delayed.
        dead: messages in the dead-letter queue.
        outputs: names and URLs of what there is.
    """

    stack: str
    status: str = ""
    updated: str = ""
    version: str = ""
    config_sha256: str = ""
    trigger: str = ""
    notifications: Mapping[str, tuple[str, ...]] = {}
    waiting: int | None = None
    queue: Depth | None = None
    dead: int | None = None
    outputs: Mapping[str, str] = {}


def read_status(account: Account, stack: str) -> InstallStatus:
    """Look at an installation.

    Raises:
        InstallError: something may not be looked at.
    """
    deployed = state.read_stack(account, stack)
    if deployed is None:
        return InstallStatus(stack)
    outputs, remembered = deployed.outputs, deployed.state
    depth = queue_depth(account, outputs["QueueUrl"]) if "QueueUrl" in outputs else None
    return InstallStatus(
        stack,
        deployed.status,
        deployed.updated,
        remembered.version,
        remembered.config_sha256,
        remembered.trigger.value,
        {bucket: _entries(account, deployed, bucket) for bucket in remembered.buckets},
        None if depth is None else depth.total,
        depth,
        count_messages(account, outputs["DeadLetterQueueUrl"]) if "DeadLetterQueueUrl" in outputs else None,
        outputs,
    )


def lines(status: InstallStatus, config_sha256: str) -> Iterator[str]:
    """The same for people, compared with the config at hand (empty if there is none)."""
    if not status.status:
        yield f"Nothing is installed as {status.stack}."
        return
    yield f"Stack {status.stack}: {status.status}, since {status.updated}"
    yield f"multicdn {status.version}, trigger {status.trigger}"
    yield f"Config {status.config_sha256[:12]}{_compared(status.config_sha256, config_sha256)}"
    for bucket, entries in status.notifications.items():
        yield f"Bucket {bucket}: {'; '.join(entries) or 'TELLS NOBODY OF OURS: run apply'}"
    if status.waiting is not None:
        where = f": {status.queue} (multicdn queue)" if status.queue and status.waiting else ""
        yield f"Queue: {status.waiting:,} message{'' if status.waiting == 1 else 's'} waiting{where}"
    if status.dead is not None:
        yield f"Dead letters: {status.dead}{' (multicdn dlq)' if status.dead else ''}"
    for name, value in sorted(status.outputs.items()):
        yield f"{name}: {value}"


def _compared(deployed: str, here: str) -> str:
    if not here:
        return ""
    return ", which is the config here" if deployed == here else f", and the config here is {here[:12]}: run plan"


def _entries(account: Account, deployed: Deployed, bucket: str) -> tuple[str, ...]:
    try:
        configuration = state.read_notification(account, bucket)
    except PassingError:
        raise
    except InstallError as error:
        return (str(error),)
    entries = [merge.described(kind, entry) for kind, entry in merge.ours(configuration, deployed.name)]
    if deployed.state.trigger == "eventbridge" and merge.EVENTBRIDGE in configuration:
        entries.append("tells EventBridge")
    return tuple(entries)
