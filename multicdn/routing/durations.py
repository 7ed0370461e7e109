"""How durations are written in the config file, such as ``90m``. Pure."""

from __future__ import annotations

# Nine digits of days are longer than anybody waits, and still a number that floats hold.
DURATION = "^[1-9][0-9]{0,8}[smhd]$"

# Seconds of the units in which durations are written.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """A duration as it is written in the config file, such as ``90m``, in seconds."""
    return float(int(duration[:-1]) * _UNITS[duration[-1]])
