"""Numbers that can be no limits are refused where they stand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from multicdn.provider import Limits

GOOD: dict[str, Any] = {"targets": 10, "bytes": 100, "envelope": 10, "targets_per_second": 2.5, "target_window": 60}


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        *[(name, odd) for name in ("targets", "parallel", "bytes", "target_bytes") for odd in (0, -1, 1.5, "3", True)],
        *[(name, None) for name in ("targets", "parallel", "burst", "envelope")],
        ("envelope", -1),
        ("envelope", 100),
        *[
            (name, odd)
            for name in ("calls_per_second", "targets_per_second", "burst", "target_burst", "target_window")
            for odd in (0, -1, math.nan, math.inf, "3", True)
        ],
        ("targets_per_second", None),
    ],
)
def test_what_can_be_no_limit_is_refused_by_name(name: str, odd: Any) -> None:
    named = "bytes" if (name, odd) == ("envelope", 100) else name
    with pytest.raises(ValueError, match=rf"Limits\.{named} must be .*, and is "):
        Limits(**{**GOOD, name: odd})


def test_what_a_vendor_may_mean_is_kept() -> None:
    assert Limits(**GOOD, burst=0.5, calls_per_second=1e-9).burst == 0.5
    none = {"bytes": None, "target_bytes": None, "calls_per_second": None, "target_burst": None, "target_window": None}
    assert Limits(**{**GOOD, **none}).bytes is None
