"""Objects as a Map state of Step Functions hands them over: one by one, or as the ``Items`` of a batch.

https://docs.aws.amazon.com/step-functions/latest/dg/input-output-itemreader.html and input-output-itembatcher.html.
What listed them says nothing of a change, so each counts as created. It is told apart from the next run of the same
list by nothing, and therefore has no time and no version here.
"""

from __future__ import annotations

from typing import Any

from multicdn.events.s3 import check_name, decoded
from multicdn.model import Change, is_text

_BUCKETS = ("Bucket", "bucket")


def batch(content: dict[str, Any]) -> list[Any]:
    """The items of a batch, each with the bucket of ``BatchInput`` if it has none; empty for anything else."""
    items, shared = content["Items"], content.get("BatchInput")
    bucket = _bucket(shared) if isinstance(shared, dict) else ""
    if not isinstance(items, list):
        return []
    return [{**item, "Bucket": bucket} if bucket and _is_row(item) else item for item in items]


def objects(row: dict[str, Any], cause: str) -> list[Change] | None:
    """The objects that a row may stand for; None if it names none.

    A listing by S3's API, known by ``LastModified``, has keys as they are. An inventory encodes them like a form, and
    other tables do as they like: where that makes a difference, both are meant.

    Raises:
        EventError: there is no such object.
    """
    bucket, key = _bucket(row), row["Key"]
    if not bucket or not isinstance(key, str):
        return None
    check_name(bucket, key)
    keys = (key,) if "LastModified" in row else filter(is_text, dict.fromkeys((decoded(key), key)))
    return [Change(bucket, each, cause=cause) for each in keys]


def _is_row(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("Key"), str) and not _bucket(item)


def _bucket(content: dict[str, Any]) -> str:
    return next((content[name] for name in _BUCKETS if isinstance(content.get(name), str)), "")
