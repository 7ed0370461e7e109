"""Lists of objects and URLs: what was created, what was removed. Pure; the lines are read by ``list_formats``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from multicdn.errors import MulticdnError
from multicdn.oncall.list_formats import CREATED, Found, LineError, NotDoneError, is_progress, reader_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from multicdn.model import ChangeKind

# Problems that are shown, and characters of a line in each.
_MOST_SHOWN, _MOST_QUOTED = 10, 200

_WEB = re.compile(r"https?://", re.IGNORECASE)


class ListError(MulticdnError):
    """A list has lines that mean nothing, each named with its number. Nothing of it was used."""


class Below(NamedTuple):
    """Where the keys of a list are that come without a bucket.

    Attributes:
        bucket: its name; empty where none was named.
        prefix: what stands before each of them.
    """

    bucket: str = ""
    prefix: str = ""


class Listed(NamedTuple):
    """One object of a list, or a URL.

    Attributes:
        line: where it stands; the first line is 1.
        bucket, key: of the object; empty for a URL.
        kind: what happened to it; None where the list doesn't say.
        url: a public one.
        alone: whether the object's URI is all of the line, so that it may stand for all that begins with it.
    """

    line: int
    bucket: str = ""
    key: str = ""
    kind: ChangeKind | None = None
    url: str = ""
    alone: bool = False


class Listing(Struct, frozen=True):
    """What a list says.

    Attributes:
        entries: each object and URL once, with what happened to it last.
        left_out: number and sentence of lines that name something that can't be in S3, or that a tool failed at.
    """

    entries: tuple[Listed, ...] = ()
    left_out: tuple[tuple[int, str], ...] = ()


_NOWHERE = Below()


def read(text: str, name: str, below: Below = _NOWHERE) -> Listing:
    """Read a list.

    Args:
        text: of any mixture of the formats; single bytes that aren't UTF-8 as surrogates.
        name: of the list, for messages.
        below: where keys are that have no bucket.

    Raises:
        ListError: a line means nothing, or its bucket isn't known.
    """
    numbered = list(lines(text))
    objects = reader_of([line for _, line in numbered if not _WEB.match(line)], bare=bool(below.bucket))
    found: dict[tuple[str, str, str], Listed] = {}
    left_out, problems = [], []
    for number, line in numbered:
        try:
            if _WEB.match(line):
                found["", "", line] = Listed(number, url=line)
                continue
            for each in objects(line):
                entry = _placed(number, each, below)
                place = (entry.bucket, entry.key, "")
                if not (each.at_source and place in found and found[place].kind is CREATED):
                    found[place] = entry
        except NotDoneError as failure:
            left_out.append((number, f"{line[:_MOST_QUOTED]!r}: {failure}"))
        except LineError as fault:
            problems.append(f"{name}:{number}: {line[:_MOST_QUOTED]!r} {fault}")
    if problems:
        raise ListError("\n".join(_shown(problems, most=_MOST_SHOWN if found or left_out else 1)))
    return Listing(tuple(found.values()), tuple(left_out))


def _shown(problems: Sequence[str], most: int) -> Iterator[str]:
    """The first of them, and how many there are; one tells enough of what is no list at all."""
    yield from problems[:most]
    if len(problems) > most:
        yield f"and {len(problems) - most:,} more lines"


def lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a list with their numbers, without what a tool drew over, comments and empty lines.

    ``aws s3`` draws its progress and then the line over it, filled up with blanks. Other carriage returns are part of a
    name.
    """
    for number, line in enumerate(text.split("\n"), 1):
        *drawn, last = line.removesuffix("\r").split("\r")
        shown = last.rstrip(" ") if drawn and all(map(is_progress, drawn)) else line.removesuffix("\r")
        if shown.strip() and not is_progress(shown) and not shown.startswith("# ") and shown != "#":
            yield number, shown


def _placed(number: int, found: Found, below: Below) -> Listed:
    if not found.key:
        raise LineError("names no object")
    if not found.bucket and not below.bucket:
        raise LineError("has no bucket: say with --bucket where its keys are")
    try:
        found.key.encode()
    except UnicodeEncodeError:
        raise NotDoneError("the name isn't UTF-8, and keys in S3 are") from None
    if found.bucket:
        return Listed(number, found.bucket, found.key, found.kind, alone=found.alone)
    return Listed(number, below.bucket, below.prefix + found.key, found.kind)
