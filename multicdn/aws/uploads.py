"""S3, asked within one invocation when objects were uploaded: each question once, and never so that it raises."""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from multicdn.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.aws.s3 import Objects


class Uploads:
    """What S3 knows of uploads.

    Args:
        objects: S3.
        complain: told in one line, with its level, where S3 doesn't say all.
        seconds: that all questions together may take.
    """

    def __init__(self, objects: Objects, complain: Callable[[int, str], None], seconds: float) -> None:
        self._objects = objects
        self._complain = complain
        self._until = time.monotonic() + seconds
        self.changed: Callable[[str, str, float], Mapping[str, float]] = cache(self._changed)
        self.uploaded: Callable[[str, str], tuple[float | None, str]] = cache(self._uploaded)

    def _changed(self, bucket: str, prefix: str, since: float) -> Mapping[str, float]:
        try:
            found, is_all = self._objects.changed_since(bucket, prefix, since, self._until)
        except Exception as error:  # noqa: BLE001 - then the changes at hand decide alone
            self._complain(logging.WARNING, _reason(error))
            return {}
        if not is_all:
            more = "more objects than are worth the time; a narrower prefix has fewer"
            self._complain(logging.INFO, f"ListObjectsV2 of s3://{bucket}/{prefix}: {more}")
        return found

    def _uploaded(self, bucket: str, key: str) -> tuple[float | None, str]:
        found, failed = self._objects.stored([(bucket, key)], self._until - time.monotonic())
        stored = found.get((bucket, key))
        return (stored.modified if stored else None), failed.get((bucket, key), "")


def _reason(error: Exception) -> str:
    from multicdn.aws.s3 import ObjectError

    return str(error) if isinstance(error, ObjectError) else told(error)
