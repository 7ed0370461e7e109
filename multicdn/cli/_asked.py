"""What ``multicdn purge`` and ``multicdn preload`` are asked for: their arguments, and what lists name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from multicdn.cli import arguments, lists
from multicdn.cli.progress import bar
from multicdn.cli.terminal import say
from multicdn.model import Target, TargetKind
from multicdn.oncall.manual import Object

if TYPE_CHECKING:
    from multicdn.cli._options import CommonOptions
    from multicdn.oncall.listings import Listed, Listing


class Asked(Struct, frozen=True):
    """What the arguments and the lists name.

    Attributes:
        objects: in S3, or listed there.
        targets: URLs as they are.
        left_out: how many lines of lists name something that can't be done; each was told.
        is_nothing: whether there are lists alone, and they say that nothing has changed.
    """

    objects: tuple[Object, ...]
    targets: tuple[Target, ...]
    left_out: int
    is_nothing: bool = False


def read(settings: CommonOptions) -> Asked:
    """Read the arguments; with ``--recursive`` S3 is asked what there is.

    Raises:
        UsageError: one is neither an S3 URI nor a URL nor a list.
    """
    objects: list[Object] = []
    targets: list[Target] = []
    left_out = 0
    named = not settings.what
    for word in settings.what:
        if arguments.is_s3(word):
            named = True
            objects += _objects(*lists.split_s3(word), settings, from_list=False)
        elif arguments.is_web(word):
            targets.append(Target(TargetKind.URL, word))
        else:
            found = _listing(word, settings)
            left_out += len(found.left_out)
            named = named or bool(found.entries or found.left_out)
            for entry in found.entries:
                if entry.url:
                    targets.append(Target(TargetKind.URL, entry.url))
                else:
                    objects += _listed(entry, settings)
    return Asked(tuple(objects), tuple(targets), left_out, is_nothing=not (named or targets))


def _listing(word: str, settings: CommonOptions) -> Listing:
    if word == "-":
        text, name = lists.standard_input(), lists.STANDARD_INPUT
    elif Path(word).is_file():
        text, name = lists.content(Path(word)), word
    else:
        raise click.UsageError(f"{word!r} is neither an S3 URI nor a URL nor a file with a list of them")
    found = lists.listing(text, name, lists.below(settings.bucket))
    for line, reason in found.left_out:
        say(f"{name}:{line}: left out: {reason}", err=True)
    return found


def _listed(entry: Listed, settings: CommonOptions) -> list[Object]:
    if entry.alone:
        return _objects(entry.bucket, entry.key, settings, from_list=True)
    return [Object(entry.bucket, entry.key, listed=True, kind=entry.kind)]


def _objects(bucket: str, key: str, settings: CommonOptions, *, from_list: bool) -> list[Object]:
    word = f"s3://{bucket}/{key}"
    if not settings.recursive:
        if not key or key.endswith("/"):
            raise click.UsageError(f"{word} names no object; add --recursive for all that begins with it")
        return [Object(bucket, key, listed=from_list)]
    with bar(f"listing {word}", None) as advance:
        objects = list(arguments.listed(bucket, key, advance))
    if not objects:
        say(f"{word}: no object begins with it", err=True)
    return objects
