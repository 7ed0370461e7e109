"""AWS on loopback, this process turned to it, and one cache of bundles for all tests of a run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from kit import fault_field
from kit.installs import BUCKET, Installer

from multicdn.installer.bundle.cache import VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kit.fault_field import Field

    from multicdn.testing.loopback.aws import LoopbackAws


@pytest.fixture(scope="session", autouse=True)
def _bundle_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that the worker processes share, and never the user's own."""
    own = tmp_path_factory.getbasetemp()
    base = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(base / "multicdn-cache"))
        yield


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


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    """An installer on AWS in memory, which fails as it is told to."""
    with fault_field.opened(tmp_path_factory.mktemp("faults")) as made:
        yield made
