"""Cache tags that objects carry in their own metadata, such as ``x-amz-meta-cache-tag: product-7, shoes``.

S3's events say nothing of metadata, so it costs one HeadObject for each created object of a route that wants it.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, NamedTuple

from multicdn.aws.s3 import ObjectError, Objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from multicdn.routing.matcher import Tags

_PARALLEL = 16

# Fastly separates tags by blanks, all others by commas; a tag that could hold either would be none elsewhere.
_BETWEEN = re.compile(r"[,\s]+")


class Found(NamedTuple):
    """What the objects said of themselves.

    Attributes:
        tags: by bucket, key and name of the metadata. Objects that are gone, or have none, are missing.
        failed: why an object's tags could not be found out, by bucket and key.
    """

    tags: Tags
    failed: Mapping[tuple[str, str], str]


def split(text: str) -> tuple[str, ...]:
    """The tags in the value of a metadata entry, each once."""
    return tuple(dict.fromkeys(filter(None, _BETWEEN.split(text))))


def read(wanted: Iterable[tuple[str, str, str]], seconds: float, objects: Objects) -> Found:
    """Ask each object once, several side by side, and return at the latest when the seconds are over.

    Args:
        wanted: bucket, key, and name of the metadata in lower case.
        seconds: that there are; what has not been answered by then has failed.
        objects: S3.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for bucket, key, name in wanted:
        names.setdefault((bucket, key), []).append(name)
    if not names:
        return Found({}, {})
    try:
        objects.prepare()
    except ObjectError as error:
        return Found({}, dict.fromkeys(names, str(error)))
    return _gathered(names, _asked(names, seconds, objects))


def _asked(
    places: Iterable[tuple[str, str]], seconds: float, objects: Objects
) -> dict[tuple[str, str], Future[Mapping[str, str] | None]]:
    pool = ThreadPoolExecutor(_PARALLEL, thread_name_prefix="multicdn-metadata")
    asked = {place: pool.submit(objects.metadata, *place) for place in places}
    wait(asked.values(), timeout=max(0.0, seconds))
    pool.shutdown(wait=False, cancel_futures=True)
    return asked


def _gathered(
    names: Mapping[tuple[str, str], Sequence[str]],
    asked: Mapping[tuple[str, str], Future[Mapping[str, str] | None]],
) -> Found:
    tags: dict[tuple[str, str, str], tuple[str, ...]] = {}
    failed: dict[tuple[str, str], str] = {}
    for (bucket, key), answer in asked.items():
        if answer.cancelled() or not answer.done():
            failed[bucket, key] = "no time was left to read its metadata"
            continue
        try:
            found = answer.result()
        except ObjectError as error:
            failed[bucket, key] = str(error)
        else:
            has = found or {}
            tags |= {(bucket, key, name): split(has[name]) for name in names[bucket, key] if name in has}
    return Found(tags, failed)
