"""What a history is about, and which lines of the log are about that. Pure.

A line names only the first few keys and targets of a large batch. So there are lines of which nobody can tell whether
they are about an object: they are told apart from those that are.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from multicdn.logbook.insights import MOST_ROWS
from multicdn.logbook.parts import named
from multicdn.logbook.wanted import LEFT_OUT, names_a_part, uri
from multicdn.provenance import MOST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multicdn.logbook.entries import LogEntry
    from multicdn.logbook.parts import Parts

# Records of accepted purges that came from the queue.
_FOLLOWED = ("finished", "released")

_WIDER = ("prefix", "host", "everything")

# Characters: AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html. The longest keys would be too long.
_LONGEST_QUERY = 10_000


class About(enum.Enum):
    """Whether a line is about something."""

    SURELY = "surely"
    PERHAPS = "perhaps"


class AskedAbout(Struct, frozen=True):
    """What is asked about.

    Attributes:
        objects: bucket and key of each.
        targets: by provider instance and kind, what the routes of today make of them, as the vendor spells it.
    """

    objects: frozenset[tuple[str, str]]
    targets: Mapping[str, Mapping[str, frozenset[str]]]

    def about(self, entry: LogEntry) -> About | None:
        """Whether a line is about it."""
        if self._is_covered(entry):
            return About.SURELY
        is_named = self._is_named(entry)
        if not is_named and not (names_a_part(entry) and self._may_be_among(entry)):
            return None
        if _names_the_whole(entry):
            return self._about_part(entry)
        return About.SURELY if is_named else About.PERHAPS

    def note(self, entry: LogEntry, parts: Parts) -> None:
        """Take note of a line, for the targets of its own that it names; of others only where there is nothing else."""
        kinds, theirs = self._targets_at(entry), named(entry)
        mine = frozenset[str]().union(*kinds.values()) & theirs
        if str(entry.record.get("kind") or "") in _WIDER or not theirs:
            parts.take(entry, ())
        elif mine or not kinds:
            parts.take(entry, mine or theirs)
        elif parts.last is None:
            parts.take(entry, ())

    def _about_part(self, entry: LogEntry) -> About | None:
        """The same for a line with the keys of a whole batch, though it may be about a part of that: targets tell."""
        return None if self._targets_at(entry) and named(entry) else About.PERHAPS

    def _is_named(self, entry: LogEntry) -> bool:
        uris = {*entry.texts("first"), *(uri(entry, key) for key in entry.texts("keys"))}
        return any(f"s3://{bucket}/{key}" in uris for bucket, key in self.objects)

    def _is_covered(self, entry: LogEntry) -> bool:
        """Whether a target of a job is one of its own, or holds it."""
        mine = self._targets_at(entry)
        kind, asked = str(entry.record.get("kind") or ""), entry.texts("first")
        urls = mine.get("url", frozenset[str]())
        if kind == "everything":
            return bool(mine)
        if kind == "prefix" and any(url.startswith(each.removesuffix("*")) for each in asked for url in urls):
            return True
        if kind == "host" and {urlsplit(url).netloc for url in urls} & set(asked):
            return True
        return bool(mine.get(kind, frozenset[str]()) & set(asked))

    def _may_be_among(self, entry: LogEntry) -> bool:
        """Whether it may be one of those that a line doesn't name."""
        if entry.event == LEFT_OUT:
            return bool(self._targets_at(entry)) or not (self.targets and entry.provider)
        if "bucket" in entry.record and entry.texts("keys"):
            buckets = {bucket for bucket, _ in self.objects}
            return str(entry.record["bucket"]) in buckets and (not self.targets or bool(self._targets_at(entry)))
        return str(entry.record.get("kind") or "") in self._targets_at(entry)

    def _targets_at(self, entry: LogEntry) -> Mapping[str, frozenset[str]]:
        name = entry.provider
        return self.targets.get(name) or self.targets.get(name.partition("/")[0]) or {}

    def query(self) -> str:
        """A query of Logs Insights for all lines that may be about it, and perhaps others, the newest first.

        Lists are fields with numbers there: AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html.
        """
        uris = [f"s3://{bucket}/{key}" for bucket, key in sorted(self.objects)]
        buckets = f"bucket in {_listed(sorted({bucket for bucket, _ in self.objects}))}"
        keys = _places("keys", [*(key for _, key in sorted(self.objects)), *uris]) if uris else []
        large = f"(objects > {MOST} and {buckets})" if uris else f"targets > {MOST}"
        targets = {value for kinds in self.targets.values() for values in kinds.values() for value in values}
        wider = [f"kind in {_listed(_WIDER)}", f"event = {json.dumps(LEFT_OUT)}", "ispresent(`by`)"]
        for first in ([*uris, *sorted(targets)], uris):
            query = _query([*keys, *_places("first", first), large, *wider])
            if len(query) <= _LONGEST_QUERY:
                return query
        return _query([buckets, *wider])


def _names_the_whole(entry: LogEntry) -> bool:
    """Whether a line may be about a part of a batch, and yet name what is behind all of it: docs/logs.md."""
    return entry.number("objects") > MOST and (entry.number("attempt") > 1 or entry.event in _FOLLOWED)


def _places(field: str, texts: Sequence[str]) -> list[str]:
    return [f"{field}.{place} in {_listed(texts)}" for place in range(MOST)] if texts else []


def _query(tests: Iterable[str]) -> str:
    wanted = " or ".join(tests)
    return f"fields @timestamp, @message | filter {wanted} | sort @timestamp desc | limit {MOST_ROWS}"


def _listed(texts: Iterable[str]) -> str:
    return f"[{', '.join(json.dumps(text, ensure_ascii=False) for text in texts)}]"
