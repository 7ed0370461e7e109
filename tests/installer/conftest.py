"""AWS on loopback, and this process turned to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from installerkit import BUCKET, Installer
from integration.conftest import aws, aws_program, running_aws

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.testing.aws import LoopbackAws

__all__ = ["account", "aws", "aws_program", "installer", "running_aws"]


@pytest.fixture
def account(aws: LoopbackAws, monkeypatch: pytest.MonkeyPatch) -> LoopbackAws:
    """An account with one bucket; everything that boto3 does in this process goes there."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    aws.client("s3").create_bucket(Bucket=BUCKET)
    return aws


@pytest.fixture
def installer(account: LoopbackAws, tmp_path: Path) -> Installer:
    """An installer for the small config."""
    del account
    return Installer(tmp_path)
