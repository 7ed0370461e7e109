"""The sections ``delivery:`` and ``install:`` of the config file: how long to try, and what to make in AWS."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

# Above this batch size an event source mapping must have a window (Lambda API, CreateEventSourceMapping).
_BATCH_WITHOUT_WINDOW = 10


# Seconds of the units in which durations are written.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = "^[1-9][0-9]*[smhd]$"

# docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html, DelaySeconds
_LONGEST_SQS_DELAY = 900


class Retrying(Struct, frozen=True, kw_only=True):
    """How long jobs are tried, and how many invocations share the vendors' rates.

    The descriptions of the members are those that the JSON schema shows.
    """

    give_up_after: Annotated[
        str,
        Meta(pattern=_DURATION, description="age at which a job becomes a dead letter: 90m, 6h, 2d"),
    ] = "6h"
    first_delay: Annotated[
        str,
        Meta(pattern=_DURATION, description="how long a job waits in the queue at first; each time twice as long"),
    ] = "30s"
    longest_delay: Annotated[
        str, Meta(pattern=_DURATION, description="how long it waits there at most; SQS takes up to 15m")
    ] = "15m"
    grace: Annotated[
        str,
        Meta(
            pattern=_DURATION,
            description="how long an invocation goes on while all it does is wait; then the queue takes over",
        ),
    ] = "1s"
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="invocations or workers at once, between which the vendors' rates are divided"),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what SQS can't do, and what contradicts itself.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if seconds(self.longest_delay) > _LONGEST_SQS_DELAY:
            raise ValueError(f"longest_delay {self.longest_delay} is more than SQS can delay a message: 15m at most")
        if seconds(self.first_delay) > seconds(self.longest_delay):
            raise ValueError(f"first_delay {self.first_delay} is longer than longest_delay {self.longest_delay}")


def seconds(duration: str) -> float:
    """A duration as it is written in the config file, such as ``90m``, in seconds."""
    return float(int(duration[:-1]) * _UNITS[duration[-1]])


class Trigger(enum.StrEnum):
    """How the bucket's events reach the function."""

    QUEUE = "queue"
    DIRECT = "direct"
    EVENTBRIDGE = "eventbridge"


class Vpc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network that the function runs in. It needs a way out to the vendors, such as a NAT gateway."""

    subnets: Annotated[tuple[Annotated[str, Meta(pattern="^subnet-[0-9a-f]+$")], ...], Meta(min_length=1)]
    security_groups: Annotated[tuple[Annotated[str, Meta(pattern="^sg-[0-9a-f]+$")], ...], Meta(min_length=1)]


class Install(Struct, frozen=True, kw_only=True):
    """The installation in AWS. Every member has a default.

    The descriptions of the members are those that the JSON schema shows. Ranges: AWS::Lambda::Function,
    AWS::Lambda::EventSourceMapping and AWS::Logs::LogGroup in the CloudFormation reference.
    """

    stack: Annotated[
        str, Meta(pattern="^[A-Za-z][A-Za-z0-9-]{0,39}$", description="name of the CloudFormation stack")
    ] = "multicdn"
    region: Annotated[
        str,
        Meta(
            pattern="^([a-z]{2,4}(-[a-z]+)+-[0-9]+)?$", description="region of the buckets; default: that of AWS_REGION"
        ),
    ] = ""
    account: Annotated[
        str,
        Meta(
            pattern="^([0-9]{12})?$",
            description="account to install in; credentials of any other are refused, so that nothing is done there",
        ),
    ] = ""
    trigger: Annotated[
        Trigger,
        Meta(description="how events reach the function: through a queue, directly, or by EventBridge and a queue"),
    ] = Trigger.QUEUE
    architecture: Annotated[
        Literal["arm64", "x86_64"], Meta(description="processor of the function; arm64 costs a fifth less")
    ] = "arm64"
    python: Annotated[Literal["3.11", "3.12", "3.13", "3.14"], Meta(description="Python of the function")] = "3.13"
    memory: Annotated[int, Meta(ge=128, le=10240, description="megabytes of the function")] = 512
    timeout: Annotated[int, Meta(ge=5, le=900, description="seconds that one invocation may take")] = 60
    batch_size: Annotated[int, Meta(ge=1, le=10000, description="messages that one invocation takes at most")] = 1000
    batch_window: Annotated[int, Meta(ge=0, le=300, description="seconds to gather messages for a batch")] = 1
    maximum_concurrency: Annotated[
        int,
        Meta(
            ge=2,
            le=1000,
            description="invocations that may read the queue at once; the vendors' rates are divided by it",
        ),
    ] = 2
    reserved_concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="part of the account's concurrency set aside for the function, and its limit"),
    ] = None
    snapstart: Annotated[
        bool, Meta(description="start from a snapshot of the initialised function; AWS charges for it")
    ] = False
    log_level: Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR"], Meta(description="what the function logs")] = (
        "INFO"
    )
    log_retention_days: Annotated[
        Literal[
            1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
        ],
        Meta(description="days to keep logs"),
    ] = 30
    alarm_topic: Annotated[
        str, Meta(pattern="^(arn:[a-z0-9-]+:sns:.+)?$", description="ARN of the SNS topic that alarms tell")
    ] = ""
    vpc: Annotated[
        Vpc | None, Meta(description="subnets and security_groups to run in; needs a way to the internet")
    ] = None
    kms_key: Annotated[
        str,
        Meta(
            pattern="^(arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+)?$",
            description="ARN of the KMS key of the function's environment and of the secrets it reads",
        ),
    ] = ""
    tags: Annotated[Mapping[str, str], Meta(description="tags of everything that is made")] = {}
    lock: Annotated[
        str,
        Meta(description="requirements file with hashes, beside this file: the function's packages are checked by it"),
    ] = ""
    artifact_bucket: Annotated[
        str, Meta(description="bucket for the function's code; default: one named multicdn-ACCOUNT-REGION is made")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse settings that AWS refuses together.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if self.batch_size > _BATCH_WITHOUT_WINDOW and not self.batch_window:
            raise ValueError(f"a batch_size above {_BATCH_WITHOUT_WINDOW} needs a batch_window of 1 second or more")
        if self.snapstart and self.python == "3.11":
            raise ValueError("snapstart needs python 3.12 or newer")
        if self.queued and self.reserved_concurrency and self.reserved_concurrency < self.maximum_concurrency:
            raise ValueError(
                f"reserved_concurrency {self.reserved_concurrency} is below maximum_concurrency "
                f"{self.maximum_concurrency}: messages would be throttled and end in the dead-letter queue"
            )
        if reserved := [name for name in self.tags if name.lower().startswith(("aws:", "multicdn:"))]:
            raise ValueError(f"the tag {reserved[0]!r} begins with a prefix that is reserved")

    @property
    def queued(self) -> bool:
        """Whether a queue stands before the function."""
        return self.trigger is not Trigger.DIRECT

    @property
    def concurrency(self) -> int | None:
        """How many invocations run at once at most; None where nothing but the account limits them."""
        return self.maximum_concurrency if self.queued else self.reserved_concurrency
