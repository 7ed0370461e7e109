"""Calls of ``multicdn.http`` to an API on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from multicdn.errors import ProviderError
from multicdn.http import Http
from multicdn.provider import Call

if TYPE_CHECKING:
    from multicdn.simulators.kit.faults import Fault
    from multicdn.testing.recording import RecordingVendor

CALL = Call(connect=2.0, read=5.0)


def failure(
    vendor: RecordingVendor, fault: Fault, *, call: Call = CALL, target: str = "/purge", **settings: Any
) -> ProviderError:
    """The error that a fault becomes."""
    vendor.faults.once(fault)
    with pytest.raises(ProviderError) as caught:
        Http(vendor.endpoint, **settings).send("POST", target, call)
    return caught.value
