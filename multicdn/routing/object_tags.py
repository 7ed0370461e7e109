"""Cache tags that objects carry in their own metadata, such as ``x-amz-meta-cache-tag: product-7, shoes``.

S3's events say nothing of metadata, so it costs one HeadObject for each created object of a route that wants it. Pure:
whoever calls hands in what asks S3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.patterns import lazy_pattern
from multicdn.routing.matcher import Tags

if TYPE_CHECKING:
    from collections.abc import Iterable

# Bucket and key.
Place = tuple[str, str]

# The metadata of objects that have any, and the reasons why that of others could not be read.
Metadata = tuple[Mapping[Place, Mapping[str, str]], Mapping[Place, str]]
ReadMetadata = Callable[[Collection[Place]], Metadata]

# Fastly separates tags by blanks, all others by commas; a tag that could hold either would be none elsewhere.
_BETWEEN = lazy_pattern(r"[,\s]+")


class ObjectTags(Struct, frozen=True):
    """The tags that objects have in their metadata.

    Attributes:
        tags: by bucket, key and name of the metadata. Objects that are gone, or have none, are missing.
        failed: why an object's tags could not be found out, by bucket and key.
    """

    tags: Tags
    failed: Mapping[Place, str]


def split(text: str) -> tuple[str, ...]:
    """The tags in the value of a metadata entry, each once."""
    return tuple(dict.fromkeys(filter(None, _BETWEEN.split(text))))


def read(wanted: Iterable[tuple[str, str, str]], ask: ReadMetadata) -> ObjectTags:
    """Read the tags in the metadata of objects, each of which is asked once.

    Args:
        wanted: bucket, key, and name of the metadata in lower case.
        ask: S3; only called where something is wanted.
    """
    names: dict[Place, list[str]] = {}
    for bucket, key, name in wanted:
        names.setdefault((bucket, key), []).append(name)
    if not names:
        return ObjectTags({}, {})
    metadata, failed = ask(names)
    tags = {
        (*place, name): split(entries[name])
        for place, entries in metadata.items()
        for name in names[place]
        if name in entries
    }
    return ObjectTags(tags, failed)
