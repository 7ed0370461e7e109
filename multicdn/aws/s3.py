"""S3, asked about objects: their metadata, when they were uploaded, how many of them have not changed lately."""

from __future__ import annotations

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from multicdn.bounds import ANY_LENGTH, bounded, obey_botocore
from multicdn.errors import MulticdnError, told

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

# An object that changed within this time is part of what is going on: a deploy arrives as many events.
_LATELY = timedelta(minutes=15)

# A page has 1,000 keys and takes some 100 ms: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
_MOST_PAGES = 25

# Seconds. Both kinds of call take milliseconds, and happen before anything is purged.
_CONNECT, _READ = 2.0, 3.0

# Objects that are asked for their metadata at once, and connections that are kept for it.
_PARALLEL = 16

_Answer = TypeVar("_Answer")

# Bucket and key.
Place = tuple[str, str]


class ObjectError(MulticdnError):
    """S3 did not say what it was asked."""


class Objects:
    """S3 in the region of the function. May be used by several threads at once."""

    @cached_property
    def _client(self) -> S3Client:
        import boto3
        from botocore.config import Config

        obey_botocore()
        limits = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            max_pool_connections=_PARALLEL,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return boto3.session.Session().client("s3", config=limits)

    def metadata(
        self, places: Collection[Place], seconds: float
    ) -> tuple[dict[Place, Mapping[str, str]], dict[Place, str]]:
        """Ask each object for its user metadata, several side by side, for so many seconds at most.

        Returns:
            The metadata, by name in lower case and without ``x-amz-meta-``, of the objects that are still there; and
            for those that S3 did not answer for, the reason.
        """
        try:
            _asked("S3", lambda: self._client)  # made now, before several threads ask for it at once
        except Exception as error:  # noqa: BLE001 - no client could be made, for whatever reason
            return {}, dict.fromkeys(places, _reason(error))
        pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="multicdn-metadata")
        answers: dict[Place, Future[Mapping[str, str] | None]] = {}
        failed: dict[Place, str] = {}
        for place in places:
            try:
                answers[place] = pool.submit(self._head, *place)
            except RuntimeError:
                failed[place] = "no thread could be started to read its metadata: the process has too many"
        wait(answers.values(), timeout=max(0.0, seconds))
        pool.shutdown(wait=False, cancel_futures=True)
        metadata: dict[Place, Mapping[str, str]] = {}
        for place, answer in answers.items():
            if answer.cancelled() or not answer.done():
                failed[place] = "no time was left to read its metadata"
            elif (bad := answer.exception()) is not None:  # whatever it is, it must cost this object alone
                failed[place] = _reason(bad)
            elif (entries := answer.result()) is not None:
                metadata[place] = entries
        return metadata, failed

    def counter(
        self, complain: Callable[[Exception], None], seconds: float = math.inf
    ) -> Callable[[str, str, int], int | None]:
        """What counts as ``unchanged`` does, but says None where S3 refuses, after a complaint, or the time is over."""
        until = time.monotonic() + seconds

        def count(bucket: str, prefix: str, limit: int) -> int | None:
            if time.monotonic() > until:
                return None
            try:
                return self.unchanged(bucket, prefix, limit, until)
            except Exception as error:  # noqa: BLE001 - what can't be counted isn't collapsed, and nothing else is lost
                complain(error)
                return None

        return count

    def unchanged(self, bucket: str, prefix: str, limit: int, until: float = math.inf) -> int | None:
        """How many objects below a prefix have not changed for a while; ``limit`` says that there are at least these.

        Returns:
            None where there is more to list than is worth the time, or the moment ``until`` of the monotonic clock has
            come.

        Raises:
            ObjectError: S3 refused, or could not be reached.
        """
        with bounded(max(0.0, until - time.monotonic()), ANY_LENGTH):
            return _asked(
                f"ListObjectsV2 of s3://{bucket}/{prefix}", lambda: self._unchanged(bucket, prefix, limit, until)
            )

    def changed_since(
        self, bucket: str, prefix: str, since: float, until: float = math.inf
    ) -> tuple[dict[str, float], bool]:
        """Keys of the objects below a prefix that were uploaded since a moment, and when, in seconds since 1970.

        Of an upload in parts S3 says here when it began.

        Returns:
            What was found, and whether that is all: there may be more to list than is worth the time, or than fits
            before the moment ``until`` of the monotonic clock.

        Raises:
            ObjectError: S3 refused, or could not be reached.
        """
        what = f"ListObjectsV2 of s3://{bucket}/{prefix}"
        with bounded(max(0.0, until - time.monotonic()), ANY_LENGTH):
            return _asked(what, lambda: self._changed_since(bucket, prefix, since, until))

    def uploaded(self, bucket: str, key: str, until: float = math.inf) -> float | None:
        """When an object was uploaded, in seconds since 1970; None if there is none.

        Raises:
            ObjectError: S3 refused, or could not be reached before the moment ``until`` of the monotonic clock.
        """
        with bounded(max(0.0, min(2 * _READ, until - time.monotonic()))):
            return _asked(f"HeadObject of s3://{bucket}/{key}", lambda: self._uploaded(bucket, key))

    def _uploaded(self, bucket: str, key: str) -> float | None:
        answer = self._head_object(bucket, key)
        return None if answer is None else answer["LastModified"].timestamp()

    def _changed_since(self, bucket: str, prefix: str, since: float, until: float) -> tuple[dict[str, float], bool]:
        found: dict[str, float] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for number, page in enumerate(pages, 1):
            times = ((item["Key"], item["LastModified"].timestamp()) for item in page.get("Contents", ()))
            found |= {key: moment for key, moment in times if moment >= since}
            if page["IsTruncated"] and (number == _MOST_PAGES or time.monotonic() >= until):
                return found, False
        return found, True

    def _head(self, bucket: str, key: str) -> Mapping[str, str] | None:
        with bounded(2 * _READ):
            return _asked(f"HeadObject of s3://{bucket}/{key}", lambda: self._metadata_of(bucket, key))

    def _metadata_of(self, bucket: str, key: str) -> Mapping[str, str] | None:
        answer = self._head_object(bucket, key)
        return None if answer is None else {name.lower(): value for name, value in answer.get("Metadata", {}).items()}

    def _head_object(self, bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
        from botocore.exceptions import ClientError

        try:
            return self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            # The answer to a HEAD has no body, so the status is all that botocore knows.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise

    def _unchanged(self, bucket: str, prefix: str, limit: int, until: float) -> int | None:
        since = datetime.now(UTC) - _LATELY
        unchanged = 0
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for number, page in enumerate(pages, 1):
            unchanged += sum(item["LastModified"] < since for item in page.get("Contents", ()))
            if unchanged >= limit:
                return limit
            if page["IsTruncated"] and (number == _MOST_PAGES or time.monotonic() >= until):
                return None
        return unchanged


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, ObjectError) else told(error)


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
