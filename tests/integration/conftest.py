"""Real parts on this machine. Without them these tests are skipped, saying what to install; on CI they fail."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from integration import varnish

from multicdn.simulators.origin import Origin
from multicdn.testing.aws import PROGRAM_VARIABLE, LoopbackAws, find_program

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

TOKEN = "loopback-fastly-token"
SERVICE = "SU1Z0isxPaozGVKXdv0eY"


def unavailable(reason: str) -> None:
    """Skip, unless this is CI: there a missing part would go unnoticed."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def aws_program() -> Path:
    """Path of the AWS simulator."""
    program = find_program(os.environ.get(PROGRAM_VARIABLE) or ROOT / ".aws-sim/bin/ministack")
    if not program.exists():
        unavailable(f"no AWS simulator at {program}: make aws-sim")
    return program


@pytest.fixture(scope="module")
def running_aws(aws_program: Path) -> Iterator[LoopbackAws]:
    """One account for all tests of a module."""
    with LoopbackAws(aws_program) as aws:
        yield aws


@pytest.fixture
def aws(running_aws: LoopbackAws) -> LoopbackAws:
    """An empty account that enforces signatures and policies."""
    running_aws.reset()
    return running_aws


@pytest.fixture(scope="session")
def origin() -> Iterator[Origin]:
    """The origin behind the edge."""
    with Origin() as running:
        yield running


@pytest.fixture(scope="session")
def edge(origin: Origin) -> Iterator[varnish.Varnish]:
    """A real caching edge that takes Fastly's purge calls."""
    reason = varnish.missing()
    if reason:
        unavailable(reason)
    with varnish.Varnish(int(origin.url.rpartition(":")[2]), token=TOKEN, service=SERVICE) as running:
        yield running
