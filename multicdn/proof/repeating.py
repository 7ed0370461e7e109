"""Purges that are made again, since an edge is stale: the same targets, or a wider spelling of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from multicdn.model import Action, Job, Target, TargetKind
from multicdn.provider import capability
from multicdn.sequel import joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from multicdn.provider import Provider
    from multicdn.sequel import Sequel

    _Pairs = Sequence[tuple[str, Sequel]]


def jobs(job: Job, found: _Pairs, widening: Provider | None, *, soft: bool) -> Iterator[Job]:
    """The purges of some targets of a job.

    Args:
        job: the purge before.
        found: the targets, and what follows each now.
        widening: the concrete provider, if targets are to be purged by what is wider, where it has that.
        soft: whether those that were soft may be so once more.
    """
    wide: list[Sequel] = []
    same: list[tuple[str, Sequel]] = []
    for target, sequel in found:
        if _has_wider(sequel, widening):
            wide.append(sequel)
        else:
            same.append((target, sequel))
    if same:
        part = only(job, same)
        # Without a reference: a vendor that deduplicates requests would take it for the one before.
        yield msgspec.structs.replace(part, soft=part.soft and soft, reference="")
    yield from _wider(job, wide)
    yield from _beside(job, found, soft=soft)


def only(job: Job, found: _Pairs) -> Job:
    """The part of a job that has some targets, with what follows each now."""
    followed = dict(found)
    part = job.only(followed)
    assert part is not None, "these are some of its targets"
    return msgspec.structs.replace(part, sequels=tuple(followed[target] for target in part.targets))


def _has_wider(sequel: Sequel, provider: Provider | None) -> bool:
    subject = sequel.subjects[0] if sequel.subjects else None
    if subject is None or provider is None or not _names_a_file(subject.url):
        return False
    if capability(provider, Action.PURGE, TargetKind.PREFIX) is None:
        return False
    try:
        provider.locate(Target(TargetKind.PREFIX, subject.url), Action.PURGE)
    except Exception:  # noqa: BLE001 - a vendor that takes directories alone, or a plugin's bug
        return False
    return True


def _names_a_file(url: str) -> bool:
    """Whether hardly anything else begins with a URL: with that of a directory's page all that is in it does."""
    return "." in urlsplit(url).path.rpartition("/")[2]


def _wider(job: Job, sequels: Iterable[Sequel]) -> Iterator[Job]:
    """The purge of all that begins with the URLs, which reaches copies under query strings and other endings."""
    buckets: dict[str, dict[str, list[Sequel]]] = {}
    for sequel in sequels:
        subject = sequel.subjects[0]
        buckets.setdefault(subject.bucket, {}).setdefault(subject.url, []).append(sequel)
    for bucket, urls in buckets.items():
        shared = (job.instance, Action.PURGE, TargetKind.PREFIX, tuple(urls), (job.messages,) * len(urls))
        behind = job.provenance[:1] * len(urls)
        yield Job(*shared, bucket=bucket, provenance=behind, sequels=tuple(map(joined, urls.values())))


def _beside(job: Job, found: _Pairs, *, soft: bool) -> Iterator[Job]:
    """What else is purged for the same objects: what made an edge miss one purge made it miss the others."""
    groups: dict[tuple[str, str], dict[str, None]] = {}
    for subject in (subject for _, one in found for subject in one.subjects):
        for kind, value in subject.also:
            groups.setdefault((subject.bucket, kind), {})[value] = None
    for (bucket, kind), values in groups.items():
        purged = (job.instance, Action.PURGE, TargetKind(kind), tuple(values), (job.messages,) * len(values))
        behind = job.provenance[:1] * len(values)
        yield Job(*purged, job.soft and soft, bucket=bucket, provenance=behind)
