"""Worlds of CDNs, and what their function has logged."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from kit.tiers import Tiers
from kit.worlds_log import Told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from multicdn.simulators import Origin


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch, origin: Origin) -> Iterator[Callable[..., Tiers]]:
    """CDNs by name and vendor, the innermost first."""
    with ExitStack() as stack:

        def made(**vendors: str) -> Tiers:
            return stack.enter_context(Tiers(monkeypatch, origin, vendors))

        yield made


@pytest.fixture
def tiers(chain: Callable[..., Tiers]) -> Tiers:
    """Two Fastly services, one behind the other."""
    return chain(inner="fastly", outer="fastly")


@pytest.fixture
def single(chain: Callable[..., Tiers]) -> Tiers:
    """One Fastly service."""
    return chain(cdn="fastly")


@pytest.fixture
def told() -> Iterator[Told]:
    """What was logged."""
    with Told.listening() as told:
        yield told
