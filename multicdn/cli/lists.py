"""What the on-call commands read besides their arguments: files and standard input, as events or as lists."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from multicdn.config import text_file
from multicdn.oncall import listings
from multicdn.oncall.list_formats import split_uri
from multicdn.oncall.listings import Below, ListError, Listing

if TYPE_CHECKING:
    from pathlib import Path

STANDARD_INPUT = "standard input"


def below(bucket: str, prefix: str = "") -> Below:
    """Where the keys of lists are: ``--bucket`` and ``--prefix`` as they are given, folders with or without a slash."""
    name, _, folder = bucket.removeprefix("s3://").partition("/")
    return Below(name, "".join(f"{each.rstrip('/')}/" for each in (folder, prefix) if each))


def standard_input() -> str:
    """All of standard input.

    Raises:
        UsageError: it isn't text.
    """
    return _decoded(sys.stdin.buffer.read(), STANDARD_INPUT)


def content(path: Path) -> str:
    """All of a file, single bytes that aren't UTF-8 as surrogates.

    Raises:
        UsageError: it isn't text, or can't be read.
    """
    try:
        return _decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise click.UsageError(f"{path}: can't be read: {error.strerror}") from None


def listing(text: str, name: str, where: Below) -> Listing:
    """Read a list.

    Raises:
        UsageError: lines of it mean nothing, or it is an event.
    """
    try:
        return listings.read(text, name, where)
    except ListError as error:
        if looks_like_json(text):
            raise click.UsageError(
                f"{name} holds JSON: `multicdn explain` reads events, and this takes lists"
            ) from None
        raise click.UsageError(str(error)) from None


def looks_like_json(text: str) -> bool:
    """Whether a text begins as an event does."""
    return text.lstrip().startswith(("{", "["))


def event(text: str, name: str) -> Any:
    """Read JSON.

    Raises:
        UsageError: it is none, or a part of some.
    """
    try:
        return json.loads(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    except json.JSONDecodeError as error:
        if error.pos >= len(text.rstrip()):
            said = f"breaks off at line {error.lineno}: was it cut?"
        else:
            said = f"isn't JSON at line {error.lineno}, column {error.colno} ({error.msg})"
        raise click.UsageError(f"{name} is no event: it {said}") from None
    except RecursionError:
        raise click.UsageError(f"{name} is no event: its JSON is nested too deep") from None


def split_s3(word: str) -> tuple[str, str]:
    """Bucket and key of an S3 URI. Its key is not encoded, as with ``aws s3``; it may be empty.

    Raises:
        UsageError: it has no bucket, or another URI in it, or isn't UTF-8.
    """
    place = split_uri(word)
    if place is None:
        raise click.UsageError(f"{word!r} is no S3 URI; write s3://bucket/key")
    if " to s3://" in place[1]:
        raise click.UsageError(f"{word!r} holds two S3 URIs; write one, or pipe the line of the tool as it is into -")
    if not is_utf8(word):
        raise click.UsageError(f"{word!r} isn't UTF-8, and keys in S3 are")
    return place


def is_utf8(text: str) -> bool:
    """Whether a text from a file system or a terminal is one that S3 can have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(data: bytes, name: str) -> str:
    try:
        return text_file.decoded(data, "surrogateescape")
    except text_file.NotTextError as error:
        raise click.UsageError(f"{name}:{error.line}: {error.text}") from None
