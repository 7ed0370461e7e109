"""Lines of lists as tools print them, each to the objects that it names. Pure.

Formats, each from its tool's own page or code:

- ``aws s3 sync | cp | mv | rm | ls``: docs.aws.amazon.com/cli/latest/reference/s3/ and awscli's customizations/s3
- ``s3cmd put | sync | del | mv | ls``: s3tools.org/s3cmd
- ``s5cmd cp | mv | rm | sync | ls``: github.com/peak/s5cmd
- ``rclone sync -v``, ``--combined``, ``ls``, ``lsl``, ``lsf``: rclone.org/commands/ and rclone.org/docs/#logging

Names of files may hold whatever separates them: what a tool writes last decides, since it is the place in S3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from multicdn.model import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

# Characters of a line: a path has 4,096 bytes at most (Linux, PATH_MAX), and a key 1,024.
_LONGEST = 8192

CREATED, REMOVED = ChangeKind.CREATED, ChangeKind.REMOVED


class Found(NamedTuple):
    """An object that a line names.

    Attributes:
        kind: what happened to it; None where the line doesn't say.
        bucket: empty where the line has none.
        key: decoded.
        at_source: whether it may be another place that it was removed from, after a copy.
        alone: whether its URI is all of the line.
    """

    kind: ChangeKind | None
    bucket: str
    key: str
    at_source: bool = False
    alone: bool = False


class LineError(Exception):
    """A line means nothing; the text goes on from the line."""


class NotDoneError(Exception):
    """A line says that the tool did not do it."""


def reader_of(lines: Sequence[str], *, bare: bool) -> Callable[[str], list[Found]]:
    """What reads the lines of a list.

    Args:
        lines: all of them.
        bare: whether lines that no tool prints are keys.

    Returns:
        A function from a line to the objects that it says something new of. It raises ``LineError``, ``NotDoneError``.
    """
    formats = _FORMATS
    if bare and (alone := [line for line in lines if _S3 not in line]):
        # A key may look like one of these; all keys of a list don't.
        if all(map(_ls_columns, alone)) and any(line.startswith(" ") for line in alone):
            formats = (*formats, _rclone_ls)
        elif all(map(_COMBINED.match, alone)):
            formats = (*formats, _combined)
    formats = (*formats, _bare) if bare else formats
    return lambda line: _read(line, formats)


def _read(line: str, formats: Iterable[Callable[[str], list[Found] | None]]) -> list[Found]:
    if len(line) > _LONGEST:
        raise LineError(f"has {len(line):,} characters, more than a file's path and a key")
    for form in formats:
        found = form(line)
        if found is not None:
            return found
    raise LineError("is neither an S3 URI nor a URL, nor a line of a tool that is known; keys need --bucket")


def is_progress(text: str) -> bool:
    """Whether it is what a tool draws while it works."""
    return not text.strip() or _PROGRESS.match(text) is not None


def split_uri(uri: str) -> tuple[str, str] | None:
    """Bucket and key of an S3 URI, whose key is not encoded, as with ``aws s3``; None if it is none."""
    bucket, _, key = uri.removeprefix(_S3).partition("/")
    return (bucket, key) if uri.startswith(_S3) and bucket else None


_S3 = "s3://"

# Completed 256.0 KiB/1.0 MiB (1.2 MiB/s) with 3 file(s) remaining (calculating...); of s3cmd: 65536 of 98304  66% in 0s
_PROGRESS = re.compile(r"Completed ~?[0-9].{0,80}file\(s\)| *\d+ of \d+ +\d+% in ")


def _uri(text: str, kind: ChangeKind | None) -> Found:
    place = split_uri(text)
    if place is not None and place[0].startswith("arn:"):
        # s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/key: whose objects these are isn't said.
        place = "", place[1].partition("/")[2]
    if place is None or not place[1]:
        raise LineError("names no object; write s3://bucket/key")
    return Found(kind, *place)


def _from_to(text: str, between: str, *, moved: bool) -> list[Found]:
    """What a line says that has two places, of which the last is in S3 unless the file was fetched."""
    source, found, target = text.rpartition(f"{between}{_S3}")
    if found:
        created = _uri(_S3 + target, CREATED)
        return [_uri(source, REMOVED), created] if moved and source.startswith(_S3) else [created]
    if not text.startswith(_S3):
        raise LineError("names nothing in S3")
    return [_uri(_fetched(text, between), REMOVED)] if moved else []


def _fetched(text: str, between: str) -> str:
    """The object that was moved to a file: the names end alike, whatever stands between them."""
    cuts = [match.start() for match in re.finditer(re.escape(between), text)]
    alike = [cut for cut in cuts if _last_name(text[:cut]) == _last_name(text[cut + len(between) :])]
    if len(cuts) != 1 and len(alike) != 1:
        raise LineError("may be cut at several places; write the S3 URI alone")
    return text[: (alike or cuts)[0]]


def _last_name(path: str) -> str:
    return path[max(path.rfind("/"), path.rfind("\\")) + 1 :]


# Lines with an S3 URI


def _plain(line: str) -> list[Found] | None:
    """``s3://bucket/key``; also what is left of a copy where ``grep -o 's3://.*'`` has cut it."""
    if not line.startswith(_S3):
        return None
    if f" to {_S3}" in line:
        return _from_to(line, " to ", moved=False)
    if f" {_S3}" in line:
        raise LineError("holds two S3 URIs; write a line for each")
    return [_uri(line, None)._replace(alone=True)]


_AWS = re.compile(r"(?:\(dryrun\) )?(upload|copy|move|delete|download): (.*)", re.DOTALL)
_AWS_FAILED = re.compile(r"(?:upload|copy|move|delete|download) failed: |warning: |fatal error: ")
_AWS_LS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
_AWS_SIZE = re.compile(r" *(?:\d+|\d+(?:\.\d+)? (?:Bytes?|[KMGTPE]iB))")
_AWS_FOLDER = re.compile(r" +(?:PRE|DIR) ")
_SUMMARY = re.compile(r" *Total (?:Objects|Size): ")


def _aws(line: str) -> list[Found] | None:
    if _AWS_FAILED.match(line):
        raise NotDoneError("the tool did not do it")
    match = _AWS.fullmatch(line)
    if match is None:
        return None
    verb, rest = match.groups()
    if f" to {_S3}" not in rest and not rest.startswith(_S3):
        return None
    if verb == "download":
        return []
    return [_uri(rest, REMOVED)] if verb == "delete" else _from_to(rest, " to ", moved=verb == "move")


def _aws_ls(line: str) -> list[Found] | None:
    """Date, time, a size in ten columns or more, and the key, which may begin with blanks."""
    if _SUMMARY.match(line):
        return []
    if _AWS_FOLDER.match(line):
        raise LineError("is a folder; have the tool list what is in it, too (--recursive)")
    if not _AWS_LS.match(line):
        return None
    rest = line[20:]
    size, key = (rest[:10], rest[10:]) if _AWS_SIZE.fullmatch(rest[:10]) and rest[10:11] == " " else (
        rest.partition(" ")[0], " " + rest.partition(" ")[2]
    )  # fmt: skip
    return [Found(None, "", key[1:])] if _AWS_SIZE.fullmatch(size) and key[1:] else None


_S3CMD = re.compile(r"(upload|remote copy|copy|move|delete|download): '(.*)'(?:  .*)?", re.DOTALL)
_S3CMD_LS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d +\d+ .*")
_S3CMD_NOISE = re.compile(r"(?:WARNING|INFO|NOTE|Success): |Done\. ")


def _s3cmd(line: str) -> list[Found] | None:
    if _S3CMD_NOISE.match(line):
        return []
    if _S3CMD_LS.fullmatch(line) and f" {_S3}" in line:
        return [_uri(_S3 + line.partition(f" {_S3}")[2], None)]
    match = _S3CMD.fullmatch(line)
    if match is None:
        return None
    verb, rest = match.groups()
    if verb == "download":
        return []
    return [_uri(rest, REMOVED)] if verb == "delete" else _from_to(rest, "' -> '", moved=verb == "move")


_S5CMD = re.compile(r"(cp|mv|rm) (.*)", re.DOTALL)
_S5CMD_FAILED = re.compile(r'ERROR "')
_S5CMD_LS = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d +\d+  (.+)", re.DOTALL)


def _s5cmd(line: str) -> list[Found] | None:
    if _S5CMD_FAILED.match(line):
        raise NotDoneError("the tool did not do it")
    if match := _S5CMD_LS.fullmatch(line):
        return [Found(None, "", match[1])]
    match = _S5CMD.fullmatch(line)
    if match is None or _S3 not in line:
        return None
    verb, rest = match.groups()
    return [_uri(rest, REMOVED)] if verb == "rm" else _from_to(rest, " ", moved=verb == "mv")


# Ours, for lists that are written by hand.
_KINDS = re.compile(r"(created|removed): *(.*)", re.DOTALL)


def _by_hand(line: str) -> list[Found] | None:
    match = _KINDS.fullmatch(line)
    if match is None:
        return None
    kind, rest = ChangeKind(match[1]), match[2]
    return [_uri(rest, kind) if rest.startswith(_S3) else Found(kind, "", rest)]


# Lines of rclone, which knows keys alone

_RCLONE_LOG = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?:\S+ )?(?:DEBUG|INFO|NOTICE|ERROR) *: (.*)", re.DOTALL)
_RCLONE_DONE = re.compile(
    r": (?:(?P<created>(?:Multi-thread )?Copied \([^()]*\)|Moved \([^()]*\)|Skipped (?:copy|move) as --dry-run .*)"
    r"|(?P<removed>Deleted|Skipped delete as --dry-run .*)|Renamed from \"(?P<old>[^\"]*)\")\Z"
)
_RCLONE_FAILED = re.compile(r": Failed to |: Couldn't ")
_RCLONE_STATS = re.compile(r"(?:Transferred|Errors|Checks|Deleted|Renamed|Elapsed time|Transferring|Checking): ")
_RCLONE_LSL = re.compile(r" *\d+ \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9} (.+)", re.DOTALL)
_RCLONE_LS = re.compile(r"( *\d+) (.+)", re.DOTALL)
_RCLONE_COLUMNS = 9
_COMBINED = re.compile(r"[-+*=!] ")


def _rclone(line: str) -> list[Found] | None:
    if _RCLONE_STATS.match(line):
        return []
    if match := _RCLONE_LOG.fullmatch(line):
        return _rclone_log(match[1])
    match = _RCLONE_LSL.fullmatch(line)
    return [Found(None, "", match[1])] if match else None


def _rclone_ls(line: str) -> list[Found] | None:
    """A size in nine columns or more, and the key."""
    columns = _ls_columns(line)
    return [Found(None, "", line[columns + 1 :])] if columns else None


def _ls_columns(line: str) -> int:
    """How wide the size is; 0 where the line begins with none."""
    match = _RCLONE_LS.fullmatch(line)
    width = match.end(1) if match else 0
    return width if width == _RCLONE_COLUMNS or (width > _RCLONE_COLUMNS and line[0] != " ") else 0


def _rclone_log(said: str) -> list[Found]:
    if _RCLONE_FAILED.search(said):
        raise NotDoneError("the tool did not do it")
    match = _RCLONE_DONE.search(said)
    if match is None:
        return []  # of what it waits for, and of what is as it was
    key = said[: match.start()]
    if match["old"] is not None:
        return [Found(REMOVED, "", match["old"]), Found(CREATED, "", key)]
    # After a copy it is the source that `rclone move` deletes.
    return [Found(CREATED, "", key) if match["created"] else Found(REMOVED, "", key, at_source=True)]


def _combined(line: str) -> list[Found] | None:
    """``+`` is in the source alone and is copied, ``*`` differs, ``-`` is in the bucket alone; ``!`` isn't known."""
    if not _COMBINED.match(line):
        return None
    return [] if line[0] == "=" else [Found(REMOVED if line[0] == "-" else CREATED, "", line[2:])]


# A date and a time, a size for people, a name in backticks: what no key begins with, and other tools' lines do.
_PRINTED = re.compile(
    r"\[?\d{4}[-/]\d\d[-/]\d\d[ T]\d\d:\d\d| +\d+(?:\.\d+)? ?[KMGTP]i?B? |`|(?:Remov|Copi|Delet)\w+ `"
)


def _bare(line: str) -> list[Found]:
    if _S3 in line or _PRINTED.match(line):
        raise LineError("looks like a line of a tool, in a format that isn't known; write the S3 URI or the key alone")
    return [Found(None, "", line)]


# The first that knows a line reads it.
_FORMATS: tuple[Callable[[str], list[Found] | None], ...] = (
    _plain, _aws, _s3cmd, _s5cmd, _by_hand, _aws_ls, _rclone,
)  # fmt: skip
