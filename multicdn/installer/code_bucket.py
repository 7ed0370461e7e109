"""The bucket for the function's code, and what is in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, PassingError, code, translated
from multicdn.installer.passing import passing
from multicdn.installer.patience import PATIENCE
from multicdn.installer.state import ARTIFACTS_TAG

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from multicdn.installer.account import Account

_CLOSED = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
_MOST_KEYS = 1000
_PAUSE = 2.0
_HOME = "us-east-1"


def make(account: Account, bucket: str) -> None:
    """Make the bucket, private and with our mark; harmless if a run before this one began to.

    Raises:
        InstallError: the name is taken.
    """
    from botocore.exceptions import ClientError

    s3 = account.client("s3")
    place: Any = (
        {} if account.region == _HOME else {"CreateBucketConfiguration": {"LocationConstraint": account.region}}
    )
    with translated(f"making the bucket {bucket}", "s3"):
        try:
            s3.create_bucket(Bucket=bucket, **place)
        except ClientError as error:
            if code(error) == "BucketAlreadyExists":
                raise InstallError(
                    f"the name {bucket!r} is taken; name a bucket of yours: install.artifact_bucket"
                ) from error
            if code(error) != "BucketAlreadyOwnedByYou":
                raise
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=_CLOSED, ExpectedBucketOwner=account.id
        )
        tags = {"TagSet": [{"Key": ARTIFACTS_TAG, "Value": "code of multicdn"}]}
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tags, ExpectedBucketOwner=account.id)


def upload(account: Account, bucket: str, key: str, path: Path) -> None:
    """Put a bundle into the bucket, if that is still ours."""
    with translated(f"uploading to {bucket}", "s3"), path.open("rb") as body:
        account.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=account.id)


def upload_template(account: Account, bucket: str, key: str, text: str) -> str:
    """Put a template into the bucket that is too large to be sent along; return its URL."""
    s3 = account.client("s3")
    with translated(f"uploading to {bucket}", "s3"):
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ExpectedBucketOwner=account.id)
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


def delete_objects(account: Account, bucket: str, keys: Sequence[str]) -> None:
    """Delete objects; those that aren't there count as deleted, and so do all of a bucket that is gone."""
    from botocore.exceptions import ClientError

    with translated(f"deleting from {bucket}", "s3"):
        try:
            for start in range(0, len(keys), _MOST_KEYS):
                _delete_some(account, bucket, keys[start : start + _MOST_KEYS])
        except ClientError as error:
            if code(error) != "NoSuchBucket":
                raise


def _delete_some(account: Account, bucket: str, keys: Sequence[str]) -> None:
    """S3 answers for each object by itself, in an answer that is a success."""
    end = time.monotonic() + PATIENCE
    while keys:
        answer = account.client("s3").delete_objects(
            Bucket=bucket,
            Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True},
            ExpectedBucketOwner=account.id,
        )
        failed = answer.get("Errors", ())
        for one in failed:
            said = f"s3://{bucket}/{one['Key']} can't be deleted: {one.get('Code', '')}: {one.get('Message', '')}"
            if not passing(one.get("Code", ""), one.get("Message", ""), 0):
                raise InstallError(said)
            if time.monotonic() >= end:
                raise PassingError(f"{said}, for {PATIENCE:.0f} s now; run it again later")
        keys = [one["Key"] for one in failed]
        if keys:
            time.sleep(_PAUSE)


def delete_bucket(account: Account, bucket: str) -> bool:
    """Delete the bucket if nothing is in it; return whether it is gone."""
    from botocore.exceptions import ClientError

    with translated(f"deleting the bucket {bucket}", "s3"):
        try:
            account.client("s3").delete_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
        except ClientError as error:
            if code(error) == "BucketNotEmpty":
                return False
            if code(error) != "NoSuchBucket":
                raise
    return True
