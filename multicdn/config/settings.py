"""The sections ``delivery:`` and ``install:`` of the config file: how long to try, and what to make in AWS."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from multicdn.routing.durations import DURATION, seconds, too_long

# Above this batch size an event source mapping must have a window (Lambda API, CreateEventSourceMapping).
_BATCH_WITHOUT_WINDOW = 10

# Whatever KMS takes for a key: its ARN, that of an alias, the alias' name, or the key's id.
# docs.aws.amazon.com/kms/latest/APIReference/API_DescribeKey.html, KeyId
_KMS_KEY = (
    r"(arn:[a-z0-9-]+:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[A-Za-z0-9/_-]+|alias/[A-Za-z0-9/_-]+"
    r"|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
)
_REGION = "[a-z]{2,4}(-[a-z]+)+-[0-9]+"

# docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html, Tags: with our own, 50.
_MOST_TAGS = 49


class Retrying(Struct, frozen=True, kw_only=True):
    """How long jobs are tried, and how many invocations share the vendors' rates.

    The descriptions of the members are those that the JSON schema shows.
    """

    give_up_after: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="age at which a job that could not be delivered becomes a dead letter: `90m`, `6h`, `2d`",
        ),
    ] = "6h"
    first_delay: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="how long a job waits in the queue after its first failure; each further time twice as long, "
            "and a random part less",
        ),
    ] = "30s"
    longest_delay: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="how long it waits there at most, unless the vendor asks for more; SQS takes up to `15m`",
        ),
    ] = "15m"
    grace: Annotated[
        str,
        Meta(
            pattern=DURATION,
            description="how long an invocation goes on while all it does is wait for vendors; then the queue takes "
            "over. `1h` switches that off",
        ),
    ] = "1s"
    concurrency: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="invocations or workers at once, between which the vendors' rates are divided; default: that "
            "of `install`"
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what SQS can't do, and what contradicts itself.

        Raises:
            ValueError: the sentence is for the author of the config file.
        """
        if why := too_long(self.longest_delay):
            raise ValueError(f"longest_delay {why}")
        if seconds(self.first_delay) > seconds(self.longest_delay):
            raise ValueError(f"first_delay {self.first_delay} is longer than longest_delay {self.longest_delay}")


class Trigger(enum.StrEnum):
    """How the bucket's events reach the function."""

    QUEUE = "queue"
    DIRECT = "direct"
    EVENTBRIDGE = "eventbridge"


class Vpc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The network that the function runs in. It needs a way out to the vendors, such as a NAT gateway."""

    # docs.aws.amazon.com/lambda/latest/api/API_VpcConfig.html: how many of each.
    subnets: Annotated[
        tuple[Annotated[str, Meta(pattern="^subnet-[0-9a-f]+$")], ...],
        Meta(min_length=1, max_length=16, description="their ids"),
    ]
    security_groups: Annotated[
        tuple[Annotated[str, Meta(pattern="^sg-[0-9a-f]+$")], ...],
        Meta(min_length=1, max_length=5, description="their ids"),
    ]


class Forwarded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bucket of another account or region, whose events its owner forwards by EventBridge."""

    bucket: Annotated[str, Meta(description="its name, as routes have it")]
    account: Annotated[str, Meta(pattern="^([0-9]{12})?$", description="its owner's; default: our own")] = ""
    region: Annotated[str, Meta(pattern=f"^({_REGION})?$", description="where it is; default: as the installation")] = (
        ""
    )


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
            pattern=f"^({_REGION})?$",
            description="region of the buckets; default: that of `AWS_REGION` or of your profile",
        ),
    ] = ""
    account: Annotated[
        str,
        Meta(
            pattern="^([0-9]{12})?$",
            description="account to install in, twelve digits; credentials of any other are refused",
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
        bool, Meta(description="start from a snapshot of the initialised function, under an alias; AWS charges for it")
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
        Vpc | None, Meta(description="`subnets` and `security_groups` to run in; they need a way to the internet")
    ] = None
    kms_key: Annotated[
        str,
        Meta(
            pattern=f"^{_KMS_KEY}?$",
            description="KMS key of the function's environment and of the secrets that it reads: ARN, alias or id",
        ),
    ] = ""
    secret_keys: Annotated[
        tuple[Annotated[str, Meta(pattern=f"^{_KMS_KEY}$")], ...],
        Meta(description="other KMS keys, with which secrets are encrypted"),
    ] = ()
    role: Annotated[
        str,
        Meta(
            pattern="^(arn:[a-z0-9-]+:iam::[0-9]{12}:role/.+)?$",
            description="ARN of a role that exists, for the function; default: one is made",
        ),
    ] = ""
    role_path: Annotated[
        str, Meta(pattern="^/([A-Za-z0-9+=,.@_-]+/)*$", description="path of the role that is made")
    ] = "/"
    permissions_boundary: Annotated[
        str,
        Meta(
            pattern="^(arn:[a-z0-9-]+:iam::([0-9]{12}|aws):policy/.+)?$",
            description="ARN of the policy that bounds what the role may do",
        ),
    ] = ""
    forwarded: Annotated[
        tuple[Forwarded, ...],
        Meta(description="buckets of other accounts or regions, whose events are forwarded by EventBridge"),
    ] = ()
    tags: Annotated[
        Mapping[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(min_length=1, max_length=256)]],
        Meta(description="tags of everything that is made"),
    ] = {}
    lock: Annotated[
        str,
        Meta(
            description="requirements file with hashes that the function's packages must have; a path from the "
            "config file"
        ),
    ] = ""
    artifact_bucket: Annotated[
        str, Meta(description="bucket for the function's code, made if need be; default: `multicdn-ACCOUNT-REGION`")
    ] = ""
    artifact_encryption: Annotated[
        str,
        Meta(
            pattern=f"^(AES256|aws:kms|{_KMS_KEY})?$",
            description="what uploads ask S3 to encrypt with: `AES256`, `aws:kms`, or a KMS key; default: the "
            "bucket's own",
        ),
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
        self._refuse_tags()
        self._refuse_roles()
        self._refuse_forwarded()

    def _refuse_tags(self) -> None:
        if reserved := [name for name in self.tags if name.lower().startswith(("aws:", "multicdn:"))]:
            raise ValueError(f"the tag {reserved[0]!r} begins with a prefix that is reserved")
        if len(self.tags) > _MOST_TAGS:
            raise ValueError(f"{len(self.tags)} tags are too many: AWS takes 50, and one is multicdn's own")

        # docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html: letters, digits and spaces of any language, and some
        # signs; names that differ in capitals alone are the same one.
        for text in (*self.tags, *self.tags.values()):
            if odd := [sign for sign in text if not (sign.isalnum() or sign == " " or sign in "_.:/=+-@")]:
                raise ValueError(
                    f"the tag {text!r} has {odd[0]!r}; AWS takes letters, digits, spaces and _ . : / = + - @"
                )
        lowered = [name.lower() for name in self.tags]
        if twice := [name for name in self.tags if lowered.count(name.lower()) > 1]:
            raise ValueError(f"the tags {' and '.join(twice)} are the same for IAM; drop one")

    def _refuse_roles(self) -> None:
        made = {"permissions_boundary": self.permissions_boundary, "role_path": self.role_path.strip("/")}
        if self.role and (given := [name for name, value in made.items() if value]):
            raise ValueError(f"{given[0]} is about the role that is made, and `role` names one that exists; drop one")

    def _refuse_forwarded(self) -> None:
        if self.forwarded and self.trigger is not Trigger.EVENTBRIDGE:
            raise ValueError("`forwarded` is for `trigger: eventbridge`: S3 itself tells its own region and account")
        for place, one in enumerate(self.forwarded):
            if not (one.account or one.region):
                raise ValueError(f"forwarded[{place}]: write the account or the region of the bucket {one.bucket!r}")
            if one.bucket in [other.bucket for other in self.forwarded[:place]]:
                raise ValueError(f"forwarded[{place}]: the bucket {one.bucket!r} stands there twice")

    @property
    def makes_role(self) -> bool:
        """Whether the function's role is ours to make."""
        return not self.role

    @property
    def makes_bucket(self) -> bool:
        """Whether the bucket for the code is surely ours to make; one that is named may be there already."""
        return not self.artifact_bucket

    @property
    def artifact_key(self) -> str:
        """The KMS key that uploads name; empty where they name none."""
        return "" if self.artifact_encryption in ("AES256", "aws:kms") else self.artifact_encryption

    @property
    def sending_accounts(self) -> tuple[str, ...]:
        """Other accounts that forward events, each once."""
        return tuple(dict.fromkeys(one.account for one in self.forwarded if one.account))

    @property
    def queued(self) -> bool:
        """Whether a queue stands before the function."""
        return self.trigger is not Trigger.DIRECT

    @property
    def concurrency(self) -> int | None:
        """How many invocations run at once at most; None where nothing but the account limits them."""
        return self.maximum_concurrency if self.queued else self.reserved_concurrency
