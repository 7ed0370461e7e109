"""The bucket for the function's code, and what is in it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import InstallError, code, is_denied, translated
from multicdn.installer.state import ARTIFACTS_TAG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from multicdn.installer.account import Account

_CLOSED = {
    "BlockPublicAcls": True,
    "BlockPublicPolicy": True,
    "IgnorePublicAcls": True,
    "RestrictPublicBuckets": True,
}
_MOST_KEYS = 1000
_HOME = "us-east-1"


def make(account: Account, bucket: str, tags: Mapping[str, str]) -> None:
    """Make the bucket, private, with these tags and our mark; harmless if a run before this one began to.

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
    tag(account, bucket, {**tags, ARTIFACTS_TAG: "code of multicdn"})


def tag(account: Account, bucket: str, tags: Mapping[str, str]) -> None:
    """Give the bucket these tags and no others."""
    tagging: Any = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
    with translated(f"tagging the bucket {bucket}", "s3"):
        account.client("s3").put_bucket_tagging(Bucket=bucket, Tagging=tagging, ExpectedBucketOwner=account.id)


def upload(account: Account, bucket: str, key: str, path: Path, encryption: str = "") -> None:
    """Put a bundle into the bucket, if that is still ours.

    Args:
        account: whose.
        bucket: where to.
        key: of the object.
        path: of the file.
        encryption: that S3 is asked for: ``AES256``, ``aws:kms``, or a key's ARN; empty for the bucket's own.
    """
    with _uploading(bucket, encryption), path.open("rb") as body:
        account.client("s3").put_object(
            Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=account.id, **_headers(encryption)
        )


def upload_template(account: Account, bucket: str, key: str, text: str, encryption: str = "") -> str:
    """Put a template into the bucket that is too large to be sent along; return its URL."""
    s3 = account.client("s3")
    with _uploading(bucket, encryption):
        s3.put_object(
            Bucket=bucket, Key=key, Body=text.encode(), ExpectedBucketOwner=account.id, **_headers(encryption)
        )
    return f"{s3.meta.endpoint_url}/{bucket}/{key}"


@contextlib.contextmanager
def _uploading(bucket: str, encryption: str) -> Iterator[None]:
    """As ``translated``; a refusal may be due to what the bucket's policy wants of uploads, which S3 doesn't say."""
    from botocore.exceptions import ClientError

    try:
        with translated(f"uploading to {bucket}", "s3"):
            yield
    except InstallError as error:
        if isinstance(error.__cause__, ClientError) and is_denied(error.__cause__):
            named = f"the upload named {encryption}" if encryption else "the upload named none"
            hint = f"or the bucket's policy wants an encryption: {named}, as install.artifact_encryption says"
            raise InstallError(f"{error}; {hint}") from error.__cause__
        raise


def _headers(encryption: str) -> dict[str, Any]:
    """Members of PutObject; a bucket's policy may refuse uploads that don't name their encryption.

    docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms
    """
    if encryption in ("", "AES256", "aws:kms"):
        return {"ServerSideEncryption": encryption} if encryption else {}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": encryption}


def delete_objects(account: Account, bucket: str, keys: Sequence[str]) -> None:
    """Delete objects; those that aren't there count as deleted."""
    with translated(f"deleting from {bucket}", "s3"):
        for start in range(0, len(keys), _MOST_KEYS):
            objects = [{"Key": key} for key in keys[start : start + _MOST_KEYS]]
            answer = account.client("s3").delete_objects(
                Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, ExpectedBucketOwner=account.id
            )
            for failed in answer.get("Errors", ()):
                raise InstallError(f"s3://{bucket}/{failed['Key']} can't be deleted: {failed.get('Message', '')}")


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
