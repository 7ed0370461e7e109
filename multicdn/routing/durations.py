"""How durations are written in the config file, such as ``90m``, and how long one can be that the queue keeps. Pure."""

from __future__ import annotations

# Nine digits of days are longer than anybody waits, and still a number that floats hold.
DURATION = "^[1-9][0-9]{0,8}[smhd]$"

#: Seconds for which SQS can delay a message.
#: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html, DelaySeconds
LONGEST_DELAY = 900

# Seconds of the units in which durations are written.
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """A duration as it is written in the config file, such as ``90m``, in seconds."""
    return float(int(duration[:-1]) * _UNITS[duration[-1]])


def too_long(duration: str) -> str:
    """Why a message can't be delayed for a duration; empty if it can."""
    if seconds(duration) <= LONGEST_DELAY:
        return ""
    return f"{duration} is more than SQS can delay a message: {LONGEST_DELAY // 60}m at most"
