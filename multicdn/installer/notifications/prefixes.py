"""Which events of which buckets the routes ask for: the fewest prefixes that cover them, and none twice.

S3 refuses two notifications of a bucket that could both match one event, ours among themselves too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from msgspec import Struct

from multicdn.model import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multicdn.routing.route import Route

# Expiration by lifecycle has event types of its own:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
EVENTS = {
    ChangeKind.CREATED: ("s3:ObjectCreated:*",),
    ChangeKind.REMOVED: ("s3:ObjectRemoved:*", "s3:LifecycleExpiration:*"),
    ChangeKind.ACCESS: (
        "s3:ObjectAcl:Put",
        "s3:ObjectTagging:*",
        "s3:ObjectRestore:Completed",
        "s3:ObjectRestore:Delete",
    ),
}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html: a filter can't hold a
# wildcard; signs other than these are percent-encoded, a space is a plus (object-keys.html, safe characters).
_SAFE = "/!-_.*'()"


class Covered(Struct, frozen=True, order=True):
    """One part of a bucket.

    Attributes:
        bucket: its name.
        prefix: keys begin with it.
        kinds: of change.
    """

    bucket: str
    prefix: str
    kinds: tuple[ChangeKind, ...]

    @property
    def events(self) -> tuple[str, ...]:
        """S3's names of the kinds."""
        return tuple(event for kind in self.kinds for event in EVENTS[kind])

    @property
    def filter_value(self) -> str:
        """The prefix as a notification's filter spells it."""
        return quote_plus(self.prefix, safe=_SAFE).replace("~", "%7E")

    def __str__(self) -> str:
        return f"keys that begin with {self.prefix}" if self.prefix else "the whole bucket"


def covered(routes: Iterable[Route]) -> tuple[Covered, ...]:
    """The parts of all buckets that routes ask for, in a stable order."""
    wanted: dict[tuple[str, ChangeKind], set[str]] = {}
    for route in routes:
        for kind in route.on:
            wanted.setdefault((route.bucket, kind), set()).add(_literal(route.fixed_prefix))
    kinds: dict[tuple[str, str], list[ChangeKind]] = {}
    for (bucket, kind), prefixes in wanted.items():
        for prefix in _shortest(prefixes):
            kinds.setdefault((bucket, prefix), []).append(kind)
    return tuple(sorted(Covered(bucket, prefix, tuple(sorted(found))) for (bucket, prefix), found in kinds.items()))


def buckets(routes: Iterable[Route]) -> tuple[str, ...]:
    """The buckets of routes, each once, in their order."""
    return tuple(dict.fromkeys(route.bucket for route in routes))


def _literal(prefix: str) -> str:
    """What a filter can express: all before a ``*``. The routes sort out the rest."""
    return prefix.partition("*")[0]


def _shortest(prefixes: set[str]) -> list[str]:
    """Those that no other covers. In their order, all that a prefix covers come right behind it."""
    found: list[str] = []
    for prefix in sorted(prefixes):
        if not (found and prefix.startswith(found[-1])):
            found.append(prefix)
    return found
