"""What follows once a CDN has purged a target: where to look whether it is fresh, and who is next. Pure.

A sequel travels with its target: through planning, calls and the queue, however batches are cut and joined. So what
must come after a purge comes after it across invocations, and without a memory of our own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

from msgspec import Meta, Struct, structs

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Seconds since 1970, a number that can be counted with.
Moment = Annotated[float, Meta(ge=0, le=1e11)]

#: Other targets of an object that are purged again with it.
MOST_ALSO = 32

_Kind = Annotated[str, Meta(pattern="^(url|prefix|tag|host|everything)$")]


class Subject(Struct, frozen=True, omit_defaults=True):
    """An object, and a URL of it to be looked at.

    Attributes:
        url: absolute, as clients ask for it.
        bucket, key: of the object.
        gone: whether it was removed, or closed to readers.
        time: ISO 8601 time of the event as S3 wrote it, else empty.
        etag, version, sequencer: as the event says, else empty.
        also: kind and value of what else is purged for the object, as routing spells it: other forms of its URL, tags.
    """

    url: Annotated[str, Meta(max_length=8192)]
    bucket: Annotated[str, Meta(max_length=256)]
    key: Annotated[str, Meta(max_length=1024)]
    gone: bool = False
    time: Annotated[str, Meta(max_length=64)] = ""
    etag: Annotated[str, Meta(max_length=256)] = ""
    version: Annotated[str, Meta(max_length=1024)] = ""
    sequencer: Annotated[str, Meta(max_length=64)] = ""
    also: Annotated[tuple[tuple[_Kind, str], ...], Meta(max_length=MOST_ALSO)] = ()


class Then(Struct, frozen=True, omit_defaults=True):
    """What another provider does for the same objects, once the target is gone from the caches of this one.

    Attributes:
        provider: name of the instance.
        action: ``purge`` or ``preload``.
        bucket: where the changes happened.
        targets: kind and value of each, as routing spells them.
        soft: whether to mark as stale.
        fresh: whether it waits until the new bytes were seen, where that is looked for; else until finished.
        sequel: what follows after that.
    """

    provider: str
    action: Annotated[str, Meta(pattern="^(purge|preload)$")]
    bucket: str
    targets: Annotated[tuple[tuple[_Kind, str], ...], Meta(min_length=1)]
    soft: bool = False
    fresh: bool = False
    sequel: Sequel | None = None


class Sequel(Struct, frozen=True, omit_defaults=True):
    """What follows once a target is purged.

    Attributes:
        subjects: what is looked at, through this provider, once it has finished.
        then: what others do.
        tries: how often the target was purged again since an edge was seen to be stale.
        stale: when an edge was first seen to be stale, in seconds since 1970, else 0.
        repeated: whether it is the second of two purges, that of an ``again``.
        released: whether others were let go ahead already, since this took too long; they go once more at its end.
    """

    subjects: tuple[Subject, ...] = ()
    then: tuple[Then, ...] = ()
    tries: Annotated[int, Meta(ge=0, le=100)] = 0
    stale: Moment = 0.0
    repeated: bool = False
    released: bool = False


def joined(sequels: Iterable[Sequel]) -> Sequel:
    """All that follows, each once; of several changes of one object the newest alone is looked at.

    It doesn't grow with the changes of one object: what others do for it is one, followed by all that follows.
    """
    every = tuple(dict.fromkeys(sequels))
    if len(every) == 1:
        return every[0]
    subjects: dict[tuple[str, str, str], Subject] = {}
    for subject in (subject for sequel in every for subject in sequel.subjects):
        place = subject.url, subject.bucket, subject.key
        if place not in subjects or is_newer(subject, subjects[place]):
            subjects[place] = subject
    return Sequel(
        tuple(subjects.values()),
        merged(one for sequel in every for one in sequel.then),
        tries=max(sequel.tries for sequel in every),
        stale=min((sequel.stale for sequel in every if sequel.stale), default=0.0),
        repeated=all(sequel.repeated for sequel in every),
        released=all(sequel.released for sequel in every),
    )


def merged(every: Iterable[Then]) -> tuple[Then, ...]:
    """What others do, each thing once, with all that follows it."""
    alike: dict[Then, list[Sequel]] = {}
    for one in dict.fromkeys(every):
        found = alike.setdefault(structs.replace(one, sequel=None), [])
        found += [one.sequel] if one.sequel else []
    return tuple(structs.replace(one, sequel=joined(found)) if found else one for one, found in alike.items())


def depth(sequel: Sequel | None, most: int) -> int:
    """How many sequels follow each other at most; counted no further than ``most``."""
    if sequel is None or most <= 0:
        return 0
    return 1 + max((depth(one.sequel, most - 1) for one in sequel.then), default=0)


class _Dated(Protocol):
    """What S3 told at some time: a change, or what is looked at of one."""

    @property
    def sequencer(self) -> str: ...
    @property
    def time(self) -> str: ...


def is_newer(new: _Dated, old: _Dated) -> bool:
    """Whether what is told of a key is the newer of two, or the same again.

    Sequencers are compared as text after padding the shorter one with zeros on the right:
    docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. Without them the times decide,
    and without those the order of arrival.
    """
    if new.sequencer and old.sequencer:
        width = max(len(new.sequencer), len(old.sequencer))
        return new.sequencer.upper().ljust(width, "0") >= old.sequencer.upper().ljust(width, "0")
    if new.time and old.time:
        # S3 writes milliseconds and EventBridge doesn't: "Z" would sort after the point.
        return new.time.rstrip("Z") >= old.time.rstrip("Z")
    return True
