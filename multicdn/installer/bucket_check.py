"""Whether the buckets of the routes exist, in this account and region. Asks STS and S3, for people alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multicdn.bounds import bounded, obey_botocore
from multicdn.errors import did_you_mean
from multicdn.installer.account import elsewhere, of_another
from multicdn.installer.errors import InstallError, code, is_denied, translated
from multicdn.region import of_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Seconds of a connection and of a wait within an answer; HeadBucket takes milliseconds.
_CONNECT, _READ = 3.0, 5.0

# S3 answers there for every bucket of the partition, and says where it is (API_HeadBucket).
_HOME = "us-east-1"


def missing(buckets: Sequence[str], region: str, seconds: float = 30.0) -> Iterator[tuple[str, str]]:
    """Ask about buckets, for so many seconds altogether.

    Args:
        buckets: each once.
        region: of the installation; if empty, that of the environment or the profile, else that of the first bucket.
        seconds: in which the last answer is begun.

    Yields:
        The name of each that can't be used, and a sentence with what to do.

    Raises:
        InstallError: there are no credentials, AWS doesn't accept them, or can't be reached; or boto3 isn't installed.
    """
    until = time.monotonic() + seconds
    with bounded(seconds):
        asked = Buckets(region)
        for bucket in buckets:
            try:
                sentence = asked.about(bucket) if time.monotonic() < until else "not asked about: the time was up"
            except InstallError as error:
                sentence = str(error)
            if sentence:
                yield bucket, sentence


class Buckets:
    """An account that is asked about its buckets.

    Attributes:
        account: its twelve digits.

    Raises:
        InstallError: as ``missing``.
    """

    def __init__(self, region: str) -> None:
        import boto3
        from botocore.config import Config

        obey_botocore()
        limits = Config(
            connect_timeout=_CONNECT, read_timeout=_READ, retries={"mode": "standard", "total_max_attempts": 2}
        )
        with translated("asking who we are", "sts"):
            session = boto3.session.Session(region_name=region or of_environment())
            self._region = session.region_name or ""
            sts: Any = session.client("sts", region_name=self._region or _HOME, config=limits)
            self.account = str(sts.get_caller_identity()["Account"])
            self._s3: Any = session.client("s3", region_name=self._region or _HOME, config=limits)
        self._names: tuple[str, ...] | None = None

    def about(self, bucket: str) -> str:
        """What is wrong with a bucket; empty if nothing is.

        Raises:
            InstallError: S3 can't be reached.
        """
        region, problem = self.look(bucket)
        if problem:
            return problem
        self._region = self._region or region
        return elsewhere(bucket, region) if region != self._region else ""

    def look(self, bucket: str) -> tuple[str, str]:
        """The region of a bucket, and why it can't be used, wherever it is; one of them is empty.

        Raises:
            InstallError: S3 can't be reached.
        """
        from botocore.exceptions import ClientError

        with translated(f"looking for the bucket {bucket}", "s3"):
            try:
                return self._region_of(bucket, ExpectedBucketOwner=self.account), ""
            except ClientError as error:
                return "", self._why(bucket, error)

    def _region_of(self, bucket: str, **owner: str) -> str:
        answer = self._s3.head_bucket(Bucket=bucket, **owner)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        return str(answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or self._region)

    def _why(self, bucket: str, error: Any) -> str:
        """Say what S3 can't: the answer to a HEAD has a status and no words."""
        if code(error) in ("404", "NoSuchBucket"):
            likely = did_you_mean(bucket, self.names())
            return f"there is no bucket {bucket!r}; make it, or correct the name" + likely * likely.startswith(";")
        if not is_denied(error):
            return f"S3 says {code(error)} {error.response['Error'].get('Message', '')} to HeadBucket of {bucket!r}"
        if self._is_open(bucket):
            return of_another(bucket, self.account)
        if bucket in self.names():
            return f"not allowed: s3:ListBucket on {bucket!r}, so nobody can tell whether it is as it should be"
        if self.names():
            return of_another(bucket, self.account)
        return f"{bucket!r} belongs to another account than {self.account}, or s3:ListBucket on it isn't allowed"

    def _is_open(self, bucket: str) -> bool:
        """Whether it may be looked at as soon as we don't claim that it is ours."""
        from botocore.exceptions import ClientError

        try:
            self._region_of(bucket)
        except ClientError:
            return False
        return True

    def names(self) -> tuple[str, ...]:
        """The names of the account's buckets; none where it may not be asked for them."""
        from botocore.exceptions import ClientError

        if self._names is None:
            try:
                pages = self._s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1000})
                self._names = tuple(one["Name"] for page in pages for one in page.get("Buckets", ()))
            except ClientError:
                self._names = ()
        return self._names
