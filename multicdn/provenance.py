"""Where targets come from, as far as a person wants to read it: in the log, and in messages that wait. Pure.

It decides nothing: a target without it is delivered like any other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

#: Keys, routes and groups that are named; of more there is only the count.
MOST = 5

#: Characters of a key, which S3 ends at 1,024 bytes, and of any other text from outside.
LONGEST_KEY, LONGEST_TEXT = 1024, 256

# Of several people the first is named, and that there were others: none has done alone what all have.
_OTHERS = " and others"

_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
_Key = Annotated[str, Meta(max_length=LONGEST_KEY)]


class Provenance(Struct, frozen=True, omit_defaults=True, gc=False):
    """What stands behind a target, or behind several.

    Attributes:
        bucket: of the first object; empty where no object is known.
        keys: of the first objects; those of other buckets as S3 URIs.
        objects: how many there are.
        routes: that made targets of them, as ``file:line``; the first of them.
        principal, source_ip: who changed the objects, and from where, as S3 says; empty where it doesn't, or where
            several did.
        by, why: who asked for it by hand, and what for; of several the first.
        uploaded: when the oldest of the changes happened, in ISO 8601 as S3 wrote it.
    """

    bucket: _Text = ""
    keys: Annotated[tuple[_Key, ...], Meta(max_length=MOST)] = ()
    objects: Annotated[int, Meta(ge=0)] = 0
    routes: Annotated[tuple[_Text, ...], Meta(max_length=MOST)] = ()
    principal: _Text = ""
    source_ip: _Text = ""
    by: _Text = ""
    why: _Text = ""
    uploaded: _Text = ""

    @property
    def who(self) -> tuple[str, str, str, str]:
        """What must not be mixed up in one line of the log, lest it says of one what another has done."""
        return self.bucket, self.principal, self.by, self.why


UNKNOWN = Provenance()


def joined(found: Iterable[Provenance]) -> Provenance:
    """What stands behind several targets. The count is exact as long as each of them names all of its keys."""
    parts = list({id(each): each for each in found}.values())
    if len(parts) == 1:
        return parts[0]
    bucket = next((part.bucket for part in parts if part.bucket), "")
    keys = dict.fromkeys(_named(key, part.bucket, bucket) for part in parts for key in part.keys)
    by = next((part for part in parts if part.by), UNKNOWN)
    return Provenance(
        bucket,
        tuple(islice(keys, MOST)),
        len(keys) + sum(part.objects - len(part.keys) for part in parts),
        tuple(islice(dict.fromkeys(route for part in parts for route in part.routes), MOST)),
        _shared({part.principal for part in parts}),
        _shared({part.source_ip for part in parts}),
        by.by if len({part.by for part in parts if part.by}) <= 1 else f"{by.by.removesuffix(_OTHERS)}{_OTHERS}",
        by.why,
        # S3 writes milliseconds and EventBridge doesn't: "Z" would sort after the point.
        min((part.uploaded for part in parts if part.uploaded), key=lambda time: time.rstrip("Z"), default=""),
    )


def condensed(found: Sequence[Provenance]) -> tuple[tuple[Provenance, ...], tuple[int, ...]]:
    """A few groups, and the place of each target's own: as exact as ``MOST`` groups can be."""
    groups: dict[Hashable, list[Provenance]] = {}
    keys: list[Hashable] = []
    for key in (id, lambda each: each.who, lambda _: None):
        keys = [key(each) for each in found]
        groups = {}
        for name, each in zip(keys, found, strict=True):
            groups.setdefault(name, []).append(each)
        if len(groups) <= MOST:
            break
    places = {name: place for place, name in enumerate(groups)}
    return tuple(_bounded(joined(group)) for group in groups.values()), tuple(places[name] for name in keys)


def first_few(found: Iterable[str]) -> list[str]:
    """As many different texts as one line names; no more are looked at."""
    first: dict[str, None] = {}
    for each in found:
        first[each] = None
        if len(first) == MOST:
            break
    return list(first)


def since_1970(time: str) -> float | None:
    """Seconds since 1970 of a time in ISO 8601; None for anything else."""
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _named(key: str, bucket: str, first: str) -> str:
    return key if bucket == first else f"s3://{bucket}/{key}"


def _shared(values: set[str]) -> str:
    """What all say that say anything; empty where they differ."""
    said = values - {""}
    return said.pop() if len(said) == 1 else ""


def _bounded(found: Provenance) -> Provenance:
    """With no text that is longer than a message may hold."""
    return Provenance(
        found.bucket[:LONGEST_TEXT],
        tuple(key[:LONGEST_KEY] for key in found.keys),
        found.objects,
        tuple(route[:LONGEST_TEXT] for route in found.routes),
        *(text[:LONGEST_TEXT] for text in (found.principal, found.source_ip, found.by, found.why, found.uploaded)),
    )
