"""The steps of a plan: frozen instructions, each of which can be carried out twice without harm."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from multicdn.installer.notifications.merge import EVENTBRIDGE, Wanted, ours


class MakeBucket(Struct, frozen=True):
    """Make the bucket for the function's code: private, with these tags, and marked as ours."""

    bucket: str
    tags: Mapping[str, str] = {}

    def __str__(self) -> str:
        return f"make the bucket {self.bucket} for the function's code"


class TagBucket(Struct, frozen=True):
    """Give the bucket for the function's code the tags that it lacks.

    Attributes:
        tags: all that it is to have.
    """

    bucket: str
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"tag the bucket {self.bucket}"


class Upload(Struct, frozen=True):
    """Put the bundle into its bucket, under a key that is its content's.

    Attributes:
        encryption: that S3 is asked for: ``AES256``, ``aws:kms``, or a key's ARN; empty for the bucket's own.
    """

    bucket: str
    key: str
    path: Path
    size: int
    encryption: str = ""

    def __str__(self) -> str:
        return f"upload the bundle ({self.size / 1e6:.1f} MB) to s3://{self.bucket}/{self.key}"


class Deploy(Struct, frozen=True):
    """Make or change the stack.

    Attributes:
        bucket: for a template that is too large to be sent along.
        why: to say what this deployment is for, where there are two.
        encryption: of that template, as in ``Upload``.
        seen: when the stack was last changed, as the plan was made; empty where there was none, None for a change that
            follows another of the same plan.
    """

    stack: str
    body: Mapping[str, Any]
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    bucket: str
    why: str = ""
    encryption: str = ""
    seen: str | None = None

    def __str__(self) -> str:
        return f"deploy the stack {self.stack}{self.why and f' ({self.why})'}"


class Notify(Struct, frozen=True):
    """Write a bucket's notifications, if nobody else has changed them since they were read.

    Attributes:
        stack: whose entries are ours.
        seen: the configuration when the plan was made.
        output: of the stack, which holds the ARN to tell; empty where nobody is told any more.
    """

    bucket: str
    stack: str
    wanted: Wanted
    seen: Mapping[str, Any]
    output: str = ""

    def __str__(self) -> str:
        flags = {True: "turn EventBridge on", False: "turn EventBridge off", None: ""}
        flag = flags[self.wanted.eventbridge if self._changes_flag else None]
        if self.output:
            entries = "write the notifications"
        elif any(ours(self.seen, self.stack)) or not flag:
            entries = "take ours out of the notifications"
        else:
            return f"{flag} for {self.bucket}"
        return f"{entries} of {self.bucket}{flag and f', and {flag}'}"

    @property
    def _changes_flag(self) -> bool:
        return bool(self.wanted.eventbridge) is not (EVENTBRIDGE in self.seen)


class Drain(Struct, frozen=True):
    """Wait until a queue that is about to go is empty."""

    stack: str
    url: str

    def __str__(self) -> str:
        return "wait until the queue is empty"


class DeleteStack(Struct, frozen=True):
    """Delete the stack, all but the dead-letter queue.

    Attributes:
        seen: when it was last changed, if it is to be left alone once somebody else has changed it.
    """

    stack: str
    seen: str | None = None

    def __str__(self) -> str:
        return f"delete the stack {self.stack}"


class DeleteQueue(Struct, frozen=True):
    """Delete a dead-letter queue, with what is in it."""

    url: str

    def __str__(self) -> str:
        return f"delete the queue {self.url.rpartition('/')[2]}"


class DeleteObjects(Struct, frozen=True):
    """Delete bundles that are no longer used."""

    bucket: str
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"delete {len(self.keys)} bundle{'' if len(self.keys) == 1 else 's'} from s3://{self.bucket}"


class DeleteBucket(Struct, frozen=True):
    """Delete the bucket for the function's code, unless another installation uses it.

    Attributes:
        marked: whether only one with our mark is deleted; it may be somebody else's.
    """

    bucket: str
    marked: bool = False

    def __str__(self) -> str:
        return f"delete the bucket {self.bucket}, if it is {'ours and ' * self.marked}empty"


Instruction = (
    MakeBucket | TagBucket | Upload | Deploy | Notify | Drain | DeleteStack | DeleteQueue | DeleteObjects | DeleteBucket
)


class InstallPlan(Struct, frozen=True):
    """The steps of one run, in order, and the same in words.

    Attributes:
        steps: in order; none where nothing is to be changed.
        lines: the same for people to read, with what stays.
        warnings: what a person should know before saying yes.
        fresh: whether nothing of ours was there before, so that a failure takes all of it away again.
    """

    steps: tuple[Instruction, ...]
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    fresh: bool = False
