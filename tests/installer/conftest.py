"""AWS on loopback, and this process turned to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.installs import BUCKET, Installer

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.testing.loopback.aws import LoopbackAws


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
