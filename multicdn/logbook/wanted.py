"""Which lines of a log somebody wants to see. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

from multicdn.errors import MulticdnError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from multicdn.logbook.entries import LogEntry


#: An event that stands for records that were too many to be written.
LEFT_OUT = "left-out"


class FilterError(MulticdnError):
    """Somebody asks for what there can't be."""


class LogFilter(Struct, frozen=True):
    """What is wanted; of each kind any one will do, and empty is all.

    Attributes:
        providers: names of instances.
        keys: patterns of keys, ``s3://bucket/key``, or targets: ``*``, ``?`` and ``[...]`` as in a shell.
        outcomes: events or states.
    """

    providers: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()

    def takes(self, entry: LogEntry) -> bool:
        """Whether a line is wanted."""
        if self.providers and not any(is_of(entry, name) for name in self.providers):
            return False
        if self.outcomes and not {entry.event, entry.state} & set(self.outcomes):
            return False
        return not self.keys or any(fnmatchcase(name, key) for name in named(entry) for key in self.keys)

    def may_take(self, entry: LogEntry) -> bool:
        """Whether a line that isn't wanted might be, if it said all that it is about."""
        return bool(self.keys) and names_a_part(entry) and LogFilter(self.providers, (), self.outcomes).takes(entry)

    @property
    def pattern(self) -> str:
        """A filter pattern of CloudWatch that lets through what is wanted, and perhaps more.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntaxForLogEvents.html: a star stands
        for anything. Keys aren't in it: it can look into a list only place by place.
        """
        providers = [f'$.provider = "{name}{rest}"' for name in self.providers for rest in ("", "/*")]
        outcomes = [f'$.{member} = "{word}"' for word in self.outcomes for member in ("event", "state")]
        parts = [f"({' || '.join(tests)})" for tests in (providers, outcomes) if tests]
        return f"{{ {' && '.join(parts)} }}" if parts else ""


def check(words: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an outcome that no line can have.

    Raises:
        FilterError: with the one that is most like it.
    """
    names = list(known)
    for word in words:
        if word not in names:
            raise FilterError(f"no outcome is called {word!r}{did_you_mean(word, names)}")


def is_of(entry: LogEntry, provider: str) -> bool:
    """Whether a line is about a provider instance, or one of those that it stands for."""
    return entry.provider.partition("/")[0] == provider or entry.provider == provider


def named(entry: LogEntry) -> Iterator[str]:
    """All keys, objects and targets that a line names."""
    for key in entry.texts("keys"):
        yield key
        yield uri(entry, key)
    yield from entry.texts("first")


def uri(entry: LogEntry, key: str) -> str:
    """A key of a line as an S3 URI, as which keys of another bucket than the first stand there."""
    return key if key.startswith("s3://") else f"s3://{entry.record.get('bucket') or ''}/{key}"


def names_a_part(entry: LogEntry) -> bool:
    """Whether a line is about more than it names."""
    keys = entry.texts("keys")
    if entry.event == LEFT_OUT:
        return True
    if keys:
        return entry.number("objects") > len(keys)
    return entry.number("targets") > len(entry.texts("first")) > 0
