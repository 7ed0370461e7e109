"""What the tests of commands share."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest

from multicdn.plugins import discovery

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_scanned = discovery._installed


@functools.cache
def _installed() -> tuple[EntryPoint, ...]:
    return tuple(_scanned())


@pytest.fixture(autouse=True)
def _scanned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed stays so while commands run in this process, and a scan takes longer than most of them."""
    monkeypatch.setattr(discovery, "_installed", _installed)
