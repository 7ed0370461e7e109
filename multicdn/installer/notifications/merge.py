"""Notifications of a bucket that others use as well: ours are put in and taken out, theirs stay as they are.

A configuration is what S3's API gives and takes: a dict of lists by kind of destination, and a flag for EventBridge.
PutBucketNotificationConfiguration replaces all of it, so that what isn't written again is lost.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from msgspec import Struct

from multicdn.installer.notifications.prefixes import Covered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Configuration = Mapping[str, Any]

QUEUES = "QueueConfigurations"
FUNCTIONS = "LambdaFunctionConfigurations"
TOPICS = "TopicConfigurations"
EVENTBRIDGE = "EventBridgeConfiguration"

# Kind of destination -> the member of an entry that holds its ARN.
DESTINATIONS = {TOPICS: "TopicArn", QUEUES: "QueueArn", FUNCTIONS: "LambdaFunctionArn"}

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
MOST_ENTRIES = 100


class Wanted(Struct, frozen=True):
    """Our part of a bucket's configuration, as it is to be.

    Attributes:
        kind: of destination, a key of ``DESTINATIONS``.
        parts: of the bucket, one entry each.
        eventbridge: True turns the bucket's flag for EventBridge on, False off; None leaves it.
    """

    kind: str = QUEUES
    parts: tuple[Covered, ...] = ()
    eventbridge: bool | None = None


class Overlap(Struct, frozen=True):
    """Two entries that could match one event."""

    part: Covered
    foreign: str
    event: str

    def __str__(self) -> str:
        return f"{self.part.bucket}: {self.event} of {self.part} is already sent to {self.foreign}"


def identity(stack: str, part: Covered) -> str:
    """The id of one of our entries, the same in every run. A full stop can't be in the name of a stack."""
    text = "\n".join((part.bucket, part.prefix, *part.kinds))
    return f"multicdn.{stack}.{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def is_ours(entry: Mapping[str, Any], stack: str) -> bool:
    """Whether an entry was made for a stack."""
    return re.fullmatch(rf"multicdn\.{re.escape(stack)}\.[0-9a-f]{{12}}", entry.get("Id", "")) is not None


def foreign(configuration: Configuration, stack: str) -> dict[str, Any]:
    """Everything of a configuration that isn't ours, as it is."""
    kept = {key: value for key, value in configuration.items() if key not in (*DESTINATIONS, "ResponseMetadata")}
    for kind in DESTINATIONS:
        entries = [entry for entry in configuration.get(kind, ()) if not is_ours(entry, stack)]
        if entries:
            kept[kind] = entries
    return kept


def merged(configuration: Configuration, wanted: Wanted, stack: str, arn: str) -> dict[str, Any]:
    """The configuration to write: the foreign entries as they are, then ours.

    Args:
        configuration: as read.
        wanted: of ours; without parts, ours are taken out.
        stack: its name.
        arn: of our queue or function.
    """
    result = foreign(configuration, stack)
    ours = [_entry(part, wanted.kind, stack, arn) for part in wanted.parts]
    if ours:
        result[wanted.kind] = [*result.get(wanted.kind, ()), *ours]
    if wanted.eventbridge:
        result.setdefault(EVENTBRIDGE, {})
    elif wanted.eventbridge is False:
        result.pop(EVENTBRIDGE, None)
    return result


def same(one: Configuration, other: Configuration) -> bool:
    """Whether two configurations mean the same; S3 returns entries in an order of its own."""
    return _canonical(one) == _canonical(other)


def overlaps(configuration: Configuration, wanted: Wanted, stack: str) -> list[Overlap]:
    """Foreign entries that S3 would refuse to have beside ours, whatever their destination."""
    return [
        Overlap(part, entry.get(DESTINATIONS[kind], "?"), event)
        for kind, entry in _entries(foreign(configuration, stack))
        for part in wanted.parts
        for event in _clash(part, entry)
    ]


def count(configuration: Configuration) -> int:
    """How many entries there are."""
    return sum(1 for _ in _entries(configuration))


def described(kind: str, entry: Mapping[str, Any]) -> str:
    """One entry in words, for a plan."""
    events = ", ".join(event.removeprefix("s3:") for event in entry.get("Events", ()))
    prefix, suffix = _filter(entry)
    where = f" {prefix or ''}…{suffix}" if prefix or suffix else ""
    return f"{events}{where} -> {entry.get(DESTINATIONS[kind], '?')}"


def ours(configuration: Configuration, stack: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Our entries with their kinds."""
    return [(kind, entry) for kind, entry in _entries(configuration) if is_ours(entry, stack)]


def _entries(configuration: Configuration) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for kind in DESTINATIONS:
        for entry in configuration.get(kind, ()):
            yield kind, entry


def _entry(part: Covered, kind: str, stack: str, arn: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"Id": identity(stack, part), DESTINATIONS[kind]: arn, "Events": list(part.events)}
    if part.prefix:
        entry["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": part.filter_value}]}}
    return entry


def _clash(part: Covered, entry: Mapping[str, Any]) -> Sequence[str]:
    """The first event type that an entry shares with a part of ours; ours have no suffix, so any suffix overlaps."""
    prefix, _ = _filter(entry)
    theirs = unquote_plus(prefix)
    if not (theirs.startswith(part.prefix) or part.prefix.startswith(theirs)):
        return ()
    shared = [mine for mine in part.events for other in entry.get("Events", ()) if _share(mine, other)]
    return shared[:1]


def _share(one: str, other: str) -> bool:
    """Whether two event types have an event in common: ``s3:ObjectCreated:*`` is all that begin so."""
    return _within(one, other) or _within(other, one)


def _within(event: str, family: str) -> bool:
    return event == family or (family.endswith("*") and event.startswith(family[:-1]))


def _filter(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Prefix and suffix; S3 returns their names with a capital."""
    rules = entry.get("Filter", {}).get("Key", {}).get("FilterRules", ())
    values = {rule["Name"].lower(): rule.get("Value", "") for rule in rules}
    return values.get("prefix", ""), values.get("suffix", "")


def _canonical(configuration: Configuration) -> tuple[bool, list[tuple[str, ...]]]:
    return EVENTBRIDGE in configuration, sorted(_flat(_entries(configuration)))


def _flat(entries: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[tuple[str, ...]]:
    for kind, entry in entries:
        events = " ".join(sorted(entry.get("Events", ())))
        yield kind, entry.get("Id", ""), entry.get(DESTINATIONS[kind], ""), events, *_filter(entry)
