"""The queues of moto's SQS, and one vendor, for tests of what waits in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from kit.queues import Queues
from moto import mock_aws

from multicdn.simulators.fastly.api import FastlySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from multicdn.simulators import Origin


@pytest.fixture
def queues() -> Iterator[Queues]:
    with mock_aws():
        yield Queues(boto3.session.Session("x", "x", region_name="eu-central-1").client("sqs"))


@pytest.fixture
def www(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> Iterator[FastlySimulator]:
    with FastlySimulator(origin.url, token="token-of-www") as cdn:
        monkeypatch.setenv("WWW_TOKEN", cdn.token)
        yield cdn
