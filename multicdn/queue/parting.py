"""How a job that is larger than a message is parted. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

if TYPE_CHECKING:
    from multicdn.model import Job
    from multicdn.sequel import Sequel

_Thing = TypeVar("_Thing")

# Characters of what follows a target beside URLs and keys.
_AROUND_SUBJECT, _AROUND_THEN = 220, 90


def halves(job: Job) -> tuple[Job, ...]:
    """Both halves of a job; of one with a single target those of what follows it. None where it can't be parted.

    A tag, or a prefix in the place of thousands of URLs, is followed by more than one message holds.
    """
    if len(job.targets) > 1:
        return job.halves()
    sequel = job.sequels[0] if job.sequels else None
    if sequel is None or max(len(sequel.subjects), len(sequel.then)) <= 1:
        return ()
    parts = zip(_parted(sequel.subjects), _parted(sequel.then), strict=True)
    return tuple(
        msgspec.structs.replace(
            job, reference="", sequels=(msgspec.structs.replace(sequel, subjects=subjects, then=then),)
        )
        for subjects, then in parts
    )


def _parted(things: tuple[_Thing, ...]) -> tuple[tuple[_Thing, ...], tuple[_Thing, ...]]:
    """Both halves; a single one is in both, so that who waits for it to be fresh does so in either."""
    middle = len(things) // 2
    return (things[:middle], things[middle:]) if middle else (things, things)


def weight(job: Job) -> int:
    """About how many characters a message has that isn't packed: to write one that is too large takes its time."""
    return sum(map(len, job.targets)) + sum(_heft(sequel) for sequel in job.sequels if sequel)


def _heft(sequel: Sequel) -> int:
    looked_at = sum(
        _AROUND_SUBJECT + len(each.url) + len(each.key) + sum(len(value) for _, value in each.also)
        for each in sequel.subjects
    )
    following = (_AROUND_THEN + sum(len(value) for _, value in one.targets) for one in sequel.then)
    return looked_at + sum(following) + sum(_heft(one.sequel) for one in sequel.then if one.sequel)
