"""S3, asked about objects: their metadata, and how many of them have not changed lately."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from multicdn.errors import MulticdnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client

# An object that changed within this time is part of what is going on: a deploy arrives as many events.
_LATELY = timedelta(minutes=15)

# A page has 1,000 keys and takes some 100 ms: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
_MOST_PAGES = 25

# Seconds. Both kinds of call take milliseconds, and happen before anything is purged.
_CONNECT, _READ = 2.0, 3.0

_Answer = TypeVar("_Answer")


class ObjectError(MulticdnError):
    """S3 did not say what it was asked."""


class Objects:
    """S3 in the region of the function. May be used by several threads at once.

    Args:
        parallel: connections that are kept.
    """

    def __init__(self, parallel: int = 16) -> None:
        self._parallel = parallel

    @cached_property
    def _client(self) -> S3Client:
        import boto3
        from botocore.config import Config

        limits = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            max_pool_connections=self._parallel,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return boto3.session.Session().client("s3", config=limits)

    def prepare(self) -> None:
        """Make the client now, before several threads ask for it at once.

        Raises:
            ObjectError: there is no boto3, or it can't be set up.
        """
        _asked("S3", lambda: self._client)

    def metadata(self, bucket: str, key: str) -> Mapping[str, str] | None:
        """The user metadata of an object, by name in lower case and without ``x-amz-meta-``; None if it is gone.

        Raises:
            ObjectError: S3 refused, or could not be reached.
        """
        return _asked(f"HeadObject of s3://{bucket}/{key}", lambda: self._head(bucket, key))

    def unchanged(self, bucket: str, prefix: str, limit: int) -> int | None:
        """How many objects below a prefix have not changed for a while; ``limit`` says that there are at least these.

        Returns:
            None where there is more to list than is worth the time.

        Raises:
            ObjectError: as for ``metadata``.
        """
        return _asked(f"ListObjectsV2 of s3://{bucket}/{prefix}", lambda: self._unchanged(bucket, prefix, limit))

    def _head(self, bucket: str, key: str) -> Mapping[str, str] | None:
        from botocore.exceptions import ClientError

        try:
            found = self._client.head_object(Bucket=bucket, Key=key)["Metadata"]
        except ClientError as error:
            # The answer to a HEAD has no body, so the status is all that botocore knows.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        return {name.lower(): value for name, value in found.items()}

    def _unchanged(self, bucket: str, prefix: str, limit: int) -> int | None:
        since = datetime.now(UTC) - _LATELY
        found = 0
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for number, page in enumerate(pages, 1):
            found += sum(each["LastModified"] < since for each in page.get("Contents", ()))
            if found >= limit:
                return limit
            if number == _MOST_PAGES and page["IsTruncated"]:
                return None
        return found


def _asked(what: str, ask: Callable[[], _Answer]) -> _Answer:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ObjectError(f"{what} needs boto3: pip install 'multicdn[aws]'") from None
    try:
        return ask()
    except ClientError as error:
        said = error.response["Error"]
        raise ObjectError(f"{what}: {said.get('Code')} {said.get('Message')}") from None
    except BotoCoreError as error:
        raise ObjectError(f"{what}: {error}") from None
