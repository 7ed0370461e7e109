"""The instruments by which an answer is compared with an object: what each says, and which counts. Pure."""

from __future__ import annotations

import math
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from multicdn.proof import signs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multicdn.terms import Seen

# S3 calls so what was written while versioning was off or suspended; the next write takes the same name.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html
NO_VERSION = "null"


class Sign(Enum):
    """What an instrument says of an answer: it is the object, another one, or one that was written later."""

    SAME = "same"
    OTHER = "other"
    NEWER = "newer"


class Known(NamedTuple):
    """What is known of the object that an answer is compared with; empty or None where it isn't."""

    etag: str = ""
    version: str = ""
    md5: str = ""
    size: int | None = None
    modified: float | None = None
    metadata: Mapping[str, str] = {}


class Reading(NamedTuple):
    """Which instrument tells, in words, and what."""

    by: str
    sign: Sign


def compared(seen: Seen, known: Known, identity: str, *, made: bool) -> Reading | None:
    """Compare an answer with an object; None where nothing tells.

    Args:
        seen: the answer.
        known: the object.
        identity: ``auto``, or the one instrument to believe, as in ``judge``.
        made: whether the bytes are made of the object: then other bytes and another ETag say nothing.
    """
    kind, _, name = identity.partition(":")
    known = known._replace(size=None) if made else known
    every = (kind,) if kind in INSTRUMENTS else ("version", "etag", "md5", "modified")
    told = {each: sign for each in every if (sign := INSTRUMENTS[each](seen, known, name))}
    if made:
        told = _of_transformed(told)
    elif (
        kind == "auto"
        and next(iter(told.items()), None) == ("md5", Sign.OTHER)
        and is_of_its_time(seen, known.modified)
    ):
        return None  # either something was put into it, or it was written twice within the second
    proof = (each for each, sign in told.items() if sign is Sign.SAME and each != "modified")
    which = next(proof, next(iter(told), ""))
    return Reading(words(identity if name else which), told[which]) if which else None


def _of_transformed(told: Mapping[str, Sign]) -> dict[str, Sign]:
    """What still counts: a time as in S3 beside an ETag of another object may be that of one second."""
    other = {each for each in ("etag", "md5") if told.get(each) is Sign.OTHER}
    if "etag" in other and told.get("modified") is Sign.SAME:
        other.add("modified")
    return {each: sign for each, sign in told.items() if each not in other}


def words(identity: str) -> str:
    """An identity for people to read."""
    kind, _, name = identity.partition(":")
    return f"x-amz-meta-{name}" if name else NAMES.get(kind, kind)


def _by_version(seen: Seen, known: Known, _: str) -> Sign | None:
    served = seen.headers.get("x-amz-version-id", "")
    if not served or not known.version or NO_VERSION in (served, known.version):
        return None
    return Sign.SAME if served == known.version else Sign.OTHER


def _by_metadata(seen: Seen, known: Known, name: str) -> Sign | None:
    served, written = seen.headers.get(f"x-amz-meta-{name.lower()}", "").strip(), known.metadata.get(name.lower(), "")
    if not served or not written:
        return None
    if served == written.strip():
        return Sign.SAME
    numbers = _number(served), _number(written.strip())
    return Sign.NEWER if None not in numbers and numbers[0] > numbers[1] else Sign.OTHER  # type: ignore[operator]


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 40 else None


def _by_etag(seen: Seen, known: Known, _: str) -> Sign | None:
    served = seen.headers.get("etag", "")
    if not served or not known.etag:
        return None
    if known.etag in (signs.bare(served), signs.core(served)):
        return Sign.SAME
    return Sign.OTHER if signs.is_of_s3(signs.core(served)) and signs.is_of_s3(known.etag) else None


def _by_md5(seen: Seen, known: Known, _: str) -> Sign | None:
    if not seen.md5 or not known.md5:
        return None
    return Sign.SAME if seen.md5 == known.md5 else Sign.OTHER


def _by_modified(seen: Seen, known: Known, _: str) -> Sign | None:
    """By whole seconds, as the header has them; bytes of another number under the same time tell nothing."""
    served = signs.modified(seen)
    if served is None or known.modified is None or served > math.floor(known.modified):
        return None
    if not is_of_its_time(seen, known.modified):
        return Sign.OTHER
    comparable = None not in (known.size, seen.size) and not signs.encoded(seen)
    return None if comparable and known.size != seen.size else Sign.SAME


def is_of_its_time(seen: Seen, modified: float | None) -> bool:
    """Whether an answer was modified in the same second as the object."""
    return modified is not None and signs.modified(seen) == math.floor(modified)


INSTRUMENTS: dict[str, Callable[[Seen, Known, str], Sign | None]] = {
    "version": _by_version,
    "metadata": _by_metadata,
    "etag": _by_etag,
    "md5": _by_md5,
    "modified": _by_modified,
}
NAMES = {"version": "version id", "etag": "ETag", "md5": "MD5", "modified": "Last-Modified"}
