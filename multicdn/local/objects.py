"""The objects of the buckets as they are now: which bytes are current, and which version of them an edge holds."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multicdn.simulators import Entry, Headers

# Versions of one object that are told apart; an edge that holds an older one holds "some old one".
_MOST_VERSIONS = 100

_MOST_OBJECTS = 10_000


@dataclass
class _Versions:
    number: int = 0
    etag: str | None = None
    versions: dict[str, int] = field(default_factory=dict)


class ObjectVersions:
    """Counts the versions of each object, and knows them by their entity tags. Safe for many threads."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], _Versions] = {}
        self._lock = threading.Lock()

    def next_version(self, bucket: str, key: str) -> int:
        """The number that the next version of an object will have."""
        known = self._objects.get((bucket, key))
        return known.number + 1 if known else 1

    def changed(self, bucket: str, key: str, etag: str | None) -> int:
        """Note that an object has new bytes, or is gone where there is no tag; return the number of the version."""
        with self._lock:
            known = self._objects.setdefault((bucket, key), _Versions())
            known.number += 1
            known.etag = etag
            if etag:
                known.versions[etag] = known.number
            while len(known.versions) > _MOST_VERSIONS:
                del known.versions[next(iter(known.versions))]
            while len(self._objects) > _MOST_OBJECTS:
                del self._objects[next(iter(self._objects))]
            return known.number

    def forget(self, bucket: str, key: str) -> None:
        """Take the last change of an object back, which did not happen."""
        with self._lock:
            known = self._objects[bucket, key]
            if known.etag:
                known.versions.pop(known.etag, None)
            known.number -= 1
            known.etag = next((tag for tag, number in known.versions.items() if number == known.number), None)

    def is_current(self, bucket: str, key: str, entry: Entry) -> bool:
        """Whether what an edge has cached is what S3 would answer now."""
        return self.is_answer(bucket, key, entry.status, entry.headers)

    def is_answer(self, bucket: str, key: str, status: int, headers: Headers) -> bool:
        """Whether an answer is what S3 would answer now, by its entity tag."""
        known = self._objects.get((bucket, key))
        current = known.etag if known else None
        return status >= 400 if current is None else status < 400 and _tag(headers) == current

    def version_of(self, bucket: str, key: str, headers: Headers) -> int | str:
        """The number of the version with an answer's entity tag; empty if it has none that is known."""
        known = self._objects.get((bucket, key))
        return known.versions.get(_tag(headers), "") if known else ""


def _tag(headers: Headers) -> str:
    return headers.get("ETag", "").removeprefix("W/").strip('"')
