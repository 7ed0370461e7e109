"""S3, asked about objects: their metadata, when they were uploaded, how many of them have not changed lately."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from multicdn import aws_clients
from multicdn.bounds import ANY_LENGTH, bounded
from multicdn.errors import MulticdnError, told

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

# What is asked of S3, by its own names; botocore asks the last one where a bucket turns out to be in another region.
OPERATIONS = {"s3": ("HeadObject", "ListObjectsV2", "HeadBucket")}

# An object that changed within this time is part of what is going on: a deploy arrives as many events.
_LATELY = timedelta(minutes=15)

# A page has 1,000 keys and takes some 100 ms: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
_MOST_PAGES = 25

# Seconds. Both kinds of call take milliseconds, and happen before anything is purged.
_CONNECT, _READ = 2.0, 3.0

# Objects that are asked for their metadata at once, and connections that are kept for it.
_PARALLEL = 16

_MD5 = re.compile("[0-9a-f]{32}")

# https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html#API_HeadObject_Permissions
_DENIED = "Forbidden: it takes s3:GetObject, and s3:ListBucket to tell that an object is gone"

_Answer = TypeVar("_Answer")

# Bucket and key.
Place = tuple[str, str]


class ObjectError(MulticdnError):
    """S3 did not say what it was asked."""


class StoredObject(Struct, frozen=True):
    """An object as it is in S3 now.

    Attributes:
        etag: without quotes.
        version: id of the version; empty where the bucket has none.
        size: bytes.
        modified: when it was written, in seconds since 1970; when its upload began, where that had several parts.
        metadata: by name in lower case and without ``x-amz-meta-``.
        md5: of its bytes, as hex; empty where the ETag is none.
        type, encoding: Content-Type and Content-Encoding that it is stored with; empty where it has none.
    """

    etag: str
    version: str = ""
    size: int = 0
    modified: float = 0.0
    metadata: Mapping[str, str] = {}
    md5: str = ""
    type: str = ""
    encoding: str = ""


class Objects:
    """S3 in the region of the function. May be used by several threads at once."""

    @cached_property
    def _client(self) -> S3Client:
        from botocore.config import Config

        limits = Config(
            connect_timeout=_CONNECT,
            read_timeout=_READ,
            max_pool_connections=_PARALLEL,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        made: S3Client = aws_clients.client("s3", config=limits)
        return made

    def prepare(self) -> None:
        """Make the client now, and ask nothing.

        Raises:
            Exception: whatever making it raises.
        """
        import concurrent.futures.thread  # noqa: F401 - many objects are asked for side by side

        _ = self._client

    def metadata(
        self, places: Collection[Place], seconds: float
    ) -> tuple[dict[Place, Mapping[str, str]], dict[Place, str]]:
        """Ask each object for its user metadata, several side by side, for so many seconds at most.

        Returns:
            The metadata, by name in lower case and without ``x-amz-meta-``, of the objects that are still there; and
            for those that S3 did not answer for, the reason.
        """
        return self._each(places, seconds, _entries)

    def stored(
        self, places: Collection[Place], seconds: float
    ) -> tuple[dict[Place, StoredObject | None], dict[Place, str]]:
        """Ask what each object is now, several side by side, for so many seconds at most.

        Returns:
            The objects, None for those that aren't there; and for those that S3 did not answer for, the reason.
        """
        found, failed = self._each(places, seconds, _stored)
        return {place: found.get(place) for place in places if place not in failed}, failed

    def _each(
        self, places: Collection[Place], seconds: float, read: Callable[[HeadObjectOutputTypeDef], _Answer]
    ) -> tuple[dict[Place, _Answer], dict[Place, str]]:
        """Ask for the head of each object that is there, and why S3 did not answer for others."""
        until = time.monotonic() + seconds
        try:
            with bounded(seconds):
                _asked("S3", lambda: self._client)  # made now, before several threads ask for it at once
        except Exception as error:  # noqa: BLE001 - no client could be made, for whatever reason
            return {}, dict.fromkeys(places, _reason(error))
        from concurrent.futures import ThreadPoolExecutor, wait

        pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="multicdn-metadata")
        answers: dict[Place, Future[_Answer | None]] = {}
        failed: dict[Place, str] = {}
        for place in places:
            try:
                answers[place] = pool.submit(self._head, place, read)
            except RuntimeError:
                failed[place] = "no thread could be started to read its metadata: the process has too many"
        wait(answers.values(), timeout=max(0.0, until - time.monotonic()))
        pool.shutdown(wait=False, cancel_futures=True)
        found: dict[Place, _Answer] = {}
        for place, answer in answers.items():
            if answer.cancelled() or not answer.done():
                failed[place] = "no time was left to read its metadata"
            elif (bad := answer.exception()) is not None:  # whatever it is, it must cost this object alone
                failed[place] = _reason(bad)
            elif (head := answer.result()) is not None:
                found[place] = head
        return found, failed

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

    def _changed_since(self, bucket: str, prefix: str, since: float, until: float) -> tuple[dict[str, float], bool]:
        found: dict[str, float] = {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        for number, page in enumerate(pages, 1):
            times = ((item["Key"], item["LastModified"].timestamp()) for item in page.get("Contents", ()))
            found |= {key: moment for key, moment in times if moment >= since}
            if page["IsTruncated"] and (number == _MOST_PAGES or time.monotonic() >= until):
                return found, False
        return found, True

    def _head(self, place: Place, read: Callable[[HeadObjectOutputTypeDef], _Answer]) -> _Answer | None:
        bucket, key = place
        with bounded(2 * _READ):
            found = _asked(f"HeadObject of s3://{bucket}/{key}", lambda: self._found(bucket, key))
        return None if found is None else read(found)

    def _found(self, bucket: str, key: str) -> HeadObjectOutputTypeDef | None:
        from botocore.exceptions import ClientError

        try:
            return self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            # The answer to a HEAD has no body, so the status is all that botocore knows.
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return None
            if status == 403:
                error.response["Error"]["Message"] = _DENIED
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


def _entries(found: HeadObjectOutputTypeDef) -> Mapping[str, str]:
    return {name.lower(): value for name, value in found.get("Metadata", {}).items()}


def _stored(found: HeadObjectOutputTypeDef) -> StoredObject:
    etag = found["ETag"].strip('"')
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html: the ETag is the MD5 of what came in one part, in
    # clear or encrypted with S3's own keys.
    foreign = found.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in found
    return StoredObject(
        etag=etag,
        version=found.get("VersionId", ""),
        size=found["ContentLength"],
        modified=found["LastModified"].timestamp(),
        metadata=_entries(found),
        md5="" if foreign or not _MD5.fullmatch(etag) else etag,
        type=found.get("ContentType", ""),
        encoding=found.get("ContentEncoding", ""),
    )


def _reason(error: BaseException) -> str:
    return str(error) if isinstance(error, ObjectError) else told(error)


def _asked(what: str, ask: Callable[[], _Answer]) -> _Answer:
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ObjectError(f"{what} needs botocore: pip install 'multicdn[aws]'") from None
    try:
        return ask()
    except ClientError as error:
        said = error.response["Error"]
        raise ObjectError(f"{what}: {said.get('Code')} {said.get('Message')}") from None
    except BotoCoreError as error:
        raise ObjectError(f"{what}: {error}") from None
