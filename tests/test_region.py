"""Where nothing else names a region, the environment does: AWS_REGION, then what boto3 reads by itself."""

from __future__ import annotations

import boto3
import pytest

from multicdn.aws import sqs
from multicdn.region import of_environment


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-north-1"),
        ({"AWS_REGION": "eu-north-1"}, "eu-north-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ({}, None),
    ],
)
def test_aws_region_comes_first(
    environment: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AWS_CONFIG_FILE": "/none", **environment}.items():
        monkeypatch.setenv(name, value)
    assert boto3.session.Session(region_name=of_environment()).region_name == expected
    if expected is None:
        with pytest.raises(sqs.NoRegionError, match="set AWS_REGION"):
            sqs.region_of("https://sqs.acme.internal/123456789012/q")
    else:
        assert sqs.region_of("https://sqs.acme.internal/123456789012/q") == expected
