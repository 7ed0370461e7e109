"""What S3 says of an object is read as it is: HeadObject on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from multicdn.aws.s3 import Objects, StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator

MD5 = "9a0364b9e99bb480dd25e1f0284c8555"
WHEN = datetime(2027, 1, 15, 8, tzinfo=UTC)
HEAD = {"ETag": f'"{MD5}"', "ContentLength": 7, "LastModified": WHEN, "ContentType": "text/css"}
PLAIN = StoredObject(MD5, "", 7, WHEN.timestamp(), {}, MD5, "text/css")


@pytest.fixture(scope="module")
def client() -> Any:
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    return boto3.client("s3", region_name="eu-west-1", config=Config(retries={"total_max_attempts": 1}), **keys)


@pytest.fixture
def s3(client: Any) -> Iterator[tuple[Objects, Stubber]]:
    objects = Objects()
    objects.__dict__["_client"] = client
    with Stubber(client) as stubber:
        yield objects, stubber


def same(**changes: Any) -> StoredObject:
    return StoredObject(**{name: changes.get(name, getattr(PLAIN, name)) for name in PLAIN.__struct_fields__})


@pytest.mark.parametrize(
    ("head", "stored"),
    [
        ({}, PLAIN),
        ({"VersionId": "v1"}, same(version="v1")),
        ({"Metadata": {"Write-Number": "12"}}, same(metadata={"write-number": "12"})),
        ({"ServerSideEncryption": "AES256"}, PLAIN),
        ({"ServerSideEncryption": "aws:kms"}, same(md5="")),
        ({"ServerSideEncryption": "aws:kms:dsse"}, same(md5="")),
        ({"SSECustomerAlgorithm": "AES256"}, same(md5="")),
        ({"ETag": f'"{MD5}-2"'}, same(etag=f"{MD5}-2", md5="")),
        ({"ContentEncoding": "gzip"}, same(encoding="gzip")),
    ],
)
def test_an_object(head: dict[str, Any], stored: StoredObject, s3: tuple[Objects, Stubber]) -> None:
    s3[1].add_response("head_object", {**HEAD, **head}, {"Bucket": "b", "Key": "k"})
    assert s3[0].stored([("b", "k")], 5.0) == ({("b", "k"): stored}, {})


@pytest.mark.parametrize(
    ("status", "objects", "failed"),
    [
        (404, {("b", "k"): None}, {}),
        (
            403,
            {},
            {
                ("b", "k"): "HeadObject of s3://b/k: 403 Forbidden: it takes s3:GetObject, and s3:ListBucket to tell "
                "that an object is gone"
            },
        ),
        (500, {}, {("b", "k"): "HeadObject of s3://b/k: 500 No"}),
    ],
)
def test_no_object(status: int, objects: Any, failed: Any, s3: tuple[Objects, Stubber]) -> None:
    s3[1].add_client_error("head_object", str(status), "No", http_status_code=status)
    assert s3[0].stored([("b", "k")], 5.0) == (objects, failed)
