"""What the tests of delivery share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from kit.scripted_provider import Hanging

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Hangs until the test is over."""
    vendor = Hanging()
    yield vendor
    vendor.release()
