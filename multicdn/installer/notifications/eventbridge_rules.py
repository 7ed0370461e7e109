"""Who else listens to a bucket through EventBridge, so that its flag isn't turned off under them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from multicdn.installer.errors import translated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.installer.account import Account


def find_listened(account: Account, stack: str, buckets: Iterable[str]) -> frozenset[str]:
    """Ask EventBridge which of the buckets other rules than our stack's may listen to. Without buckets, don't ask."""
    wanted = list(buckets)
    if not wanted:
        return frozenset()
    with translated("reading the rules of EventBridge", "events"):
        pages = account.client("events").get_paginator("list_rules").paginate()
        rules = [rule for page in pages for rule in page["Rules"]]
    patterns = [rule["EventPattern"] for rule in rules if _is_foreign(rule, stack)]
    return frozenset(bucket for bucket in wanted if any(may_take(pattern, bucket) for pattern in patterns))


def may_take(pattern: str, bucket: str) -> bool:
    """Whether an event pattern may match events of a bucket. In doubt it may."""
    wanted = json.loads(pattern)
    return _allows(wanted.get("source"), "aws.s3") and _allows(_inner(wanted, "detail", "bucket", "name"), bucket)


def _inner(pattern: Any, *names: str) -> Any:
    """What stands at the end of a path; None where it ends before."""
    for name in names:
        if not isinstance(pattern, dict):
            return None
        pattern = pattern.get(name)
    return pattern


def _allows(values: Any, value: str) -> bool:
    """A list of plain texts allows these only; anything else (absent, prefix, anything-but) is taken to allow all."""
    plain = isinstance(values, list) and all(isinstance(item, str) for item in values)
    return value in values if plain else True


def _is_foreign(rule: dict[str, Any], stack: str) -> bool:
    return "EventPattern" in rule and not rule["Name"].startswith(f"{stack}-Bucket")
