"""Whose account it is, and boto3's clients for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, PassedOverError, code, is_denied, translated
from multicdn.installer.retries import PATIENCE, CallRetries, aloud
from multicdn.region import of_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    Say = Callable[[str], None]

# Asked for a bucket's region before one is known; it answers for every bucket of its partition.
_HOME = "us-east-1"


@dataclass(frozen=True)
class Account:
    """An account in a region, and who we are in it.

    Attributes:
        id: the account's twelve digits.
        arn: of the caller.
        region: in which everything is made.
        client: makes a boto3 client of a service; each is made once.
    """

    id: str
    arn: str
    region: str
    client: Callable[[str], Any] = field(repr=False, compare=False)

    @property
    def partition(self) -> str:
        """First part of ARNs: ``aws``, ``aws-cn``, ``aws-us-gov``."""
        return self.arn.split(":")[1]


def connect(region: str, buckets: Sequence[str], say: Say = aloud, patience: float = PATIENCE) -> Account:
    """Sign in with the usual chain of credentials.

    Args:
        region: as configured; if empty, the environment's or the profile's, or else that of the first bucket.
        buckets: in question.
        say: told by every call what it waits for.
        patience: seconds that a call waits for what passes.

    Raises:
        InstallError: there are no credentials, or AWS doesn't accept them.
    """
    import boto3

    with translated("asking who we are", "sts"):
        session = boto3.session.Session(region_name=region or of_environment())
        retries = CallRetries(say, patience)
        chosen = session.region_name or _region_of(_Clients(session, _HOME, retries), buckets)
        clients = _Clients(session, chosen, retries)
        caller = clients("sts").get_caller_identity()
    return Account(caller["Account"], caller["Arn"], chosen, clients)


def refuse_other(account: Account, expected: str) -> None:
    """Refuse an account that isn't the one of the config, if that names one.

    Raises:
        InstallError: it isn't.
    """
    if expected and account.id != expected:
        raise InstallError(
            f"the credentials are of account {account.id} ({account.arn}), and install.account of the config is "
            f"{expected}; sign in there (AWS_PROFILE), or correct the config"
        )


def bucket_region(s3: Any, bucket: str, account: str) -> str:
    """The region of a bucket of this account.

    Raises:
        PassedOverError: the bucket doesn't exist, or belongs to another account.
        InstallError: it may not be looked at.
    """
    from botocore.exceptions import ClientError

    with translated(f"looking where the bucket {bucket} is", "s3"):
        try:
            return _location(s3, bucket, ExpectedBucketOwner=account)
        except ClientError as error:
            if code(error) == "NoSuchBucket":
                raise PassedOverError(f"there is no bucket {bucket!r}; make it first, or correct the route") from error
            if is_denied(error) and _is_foreign(s3, bucket):
                raise PassedOverError(of_another(bucket, account)) from error
            raise


def of_another(bucket: str, account: str) -> str:
    """A sentence about a bucket that isn't of this account."""
    return (
        f"the bucket {bucket!r} belongs to another account than {account}; install there, or let its owner forward its "
        f"events: `trigger: eventbridge` and `forwarded: [{{bucket: {bucket}, account: ITS ACCOUNT}}]` under "
        "`install`; then `multicdn install instructions` prints what the owner has to deploy"
    )


def elsewhere(bucket: str, region: str) -> str:
    """A sentence about a bucket in another region than the installation's."""
    return (
        f"the bucket {bucket!r} is in {region}, and S3 tells functions and queues of its own region only; "
        f"install there: --region {region} (one installation for each region); or let EventBridge forward its events: "
        f"`trigger: eventbridge` and `forwarded: [{{bucket: {bucket}, region: {region}}}]` under `install`"
    )


def _is_foreign(s3: Any, bucket: str) -> bool:
    """Whether the bucket may be looked at once we don't claim that it is ours, or isn't in the list of ours."""
    from botocore.exceptions import ClientError

    try:
        _location(s3, bucket)
    except ClientError:
        with contextlib.suppress(ClientError):
            pages = s3.get_paginator("list_buckets").paginate()
            return all(bucket != ours["Name"] for page in pages for ours in page["Buckets"])
        return False
    return True


def _location(s3: Any, bucket: str, **owner: str) -> str:
    """Oldest names of regions: none is us-east-1, and EU is eu-west-1 (API_GetBucketLocation)."""
    region = s3.get_bucket_location(Bucket=bucket, **owner).get("LocationConstraint") or _HOME
    return "eu-west-1" if region == "EU" else str(region)


def _region_of(clients: Callable[[str], Any], buckets: Sequence[str]) -> str:
    return _location(clients("s3"), buckets[0]) if buckets else _HOME


class _Clients:
    """Makes each client once: a first call costs some 50 ms."""

    def __init__(self, session: Any, region: str, retries: CallRetries) -> None:
        self._session = session
        self._region = region
        self._retries = retries
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        if service not in self._made:
            from botocore.config import Config

            config = Config(retries={"mode": "standard", "total_max_attempts": 1}, user_agent_extra="multicdn-install")
            self._made[service] = self._session.client(service, region_name=self._region, config=config)
            self._retries.watch(self._made[service])
        return self._made[service]
