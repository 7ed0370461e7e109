"""Records as the function writes them, and the log of CloudWatch that has them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUP = "multicdn-LogGroup-1"
WWW = "https://www.acme.com"

#: 2 October 2026, 07:15:00 UTC.
NOON = 1790925300.0


def record(at: float, **members: Any) -> dict[str, Any]:
    """What a job of one object left, some seconds after ``NOON``."""
    return {
        "timestamp": f"2026-10-02T07:{15 + int(at) // 60:02}:{at % 60:06.3f}Z",
        "level": "INFO",
        "event": "accepted",
        "state": "accepted",
        "provider": "www",
        "action": "purge",
        "kind": "url",
        "targets": 1,
        "first": [f"{WWW}/docs/a.html"],
        "bucket": "acme-site",
        "keys": ["docs/a.html"],
        "objects": 1,
        "routes": ["multicdn.config.yml:7"],
        "messages": ["m1"],
        "calls": 1,
        "attempt": 1,
        "age_seconds": 2.0,
        **members,
    }


def sample() -> list[dict[str, Any]]:
    """A log of half an hour: an upload, a vendor that is busy at first, a large deploy beside it, a purge by hand."""
    page = {"first": [f"{WWW}/docs/index.html"], "keys": ["docs/index.html"], "routes": ["multicdn.config.yml:6"]}
    page |= {"principal": "AWS:AROAEXAMPLE:deploy", "source_ip": "203.0.113.7"}
    busy = {"event": "retry", "state": "requeued", "level": "WARNING", "reason": "503 Busy", "delay": 31, "calls": 3}
    large = {"targets": 9000, "objects": 9000, "first": [f"{WWW}/docs/1.html"], "keys": ["docs/1.html"], "calls": 9000}
    by_hand = {
        "kind": "everything",
        "by": "arn:aws:iam::123456789012:user/ann",
        "why": "wrong prices",
        "messages": ["h1"],
    }
    nothing: dict[str, Any] = {"bucket": "", "keys": [], "routes": [], "objects": 0, "first": ["(everything)"]}
    return [
        record(2, **page, **busy),
        record(2, **page | {"first": ["/docs/index.html"]}, provider="site", id="I2J0I21PCUYOIK"),
        record(34, **large, age_seconds=40.0, messages=["m2", "m3", "m4", "m5", "m6"]),
        record(35, **page, attempt=2, age_seconds=35.0),
        record(962, **nothing, **by_hand),
    ]


def event(name: str, made: dict[str, Any] | str, at: float = NOON) -> dict[str, Any]:
    """A record as an event of CloudWatch."""
    message = made if isinstance(made, str) else json.dumps(made)
    return {"eventId": name, "timestamp": int(at * 1000), "message": message, "logStreamName": "s"}


def rows(made: Sequence[dict[str, Any]]) -> list[list[dict[str, str]]]:
    """Records as the answer of a query, the newest first."""
    return [
        [{"field": "@timestamp", "value": each["timestamp"].strip("Z").replace("T", " ")},
         {"field": "@message", "value": json.dumps(each)}, {"field": "@ptr", "value": "p"}]
        for each in reversed(made)
    ]  # fmt: skip
