"""Arguments of the on-call commands: S3 URIs, URLs, lists, saved events, folders."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from multicdn import config as config_file
from multicdn.cli import aws_region, lists
from multicdn.cli.terminal import say
from multicdn.config import Config, text_file
from multicdn.events import envelopes
from multicdn.events.intake import Unreadable
from multicdn.model import Change, ChangeKind, Job
from multicdn.oncall import explain
from multicdn.oncall.manual import Object
from multicdn.plugins.discovery import Plugins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from multicdn.events.envelopes import ForeignReader
    from multicdn.oncall.listings import Below
    from multicdn.planning.front import ObjectLookup

_WEB = re.compile(r"https?://", re.IGNORECASE)

_LONGEST_TIMEOUT = 86400.0

# For the metadata of all objects together.
_METADATA_SECONDS = 60.0

config_option: Callable[[Any], Any] = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The config file; by default the one that MULTICDN_CONFIG names, or multicdn.config.yml.",
)


def seconds(context: click.Context, parameter: click.Parameter, value: float) -> float:
    """Refuse what is no length of time; every comparison with NaN is false.

    Raises:
        BadParameter: it is none.
    """
    del context, parameter
    if not 0 < value <= _LONGEST_TIMEOUT:
        raise click.BadParameter(f"{value:g} is no time to wait: write seconds, more than 0 and at most a day")
    return value


def seconds_or_none(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """The same where nothing may be said."""
    return None if value is None else seconds(context, parameter, value)


class Loaded(Struct, frozen=True):
    """A config with what the commands need beside it.

    Attributes:
        config: the checked config.
        plugins: the installed plugins.
        places: file and line of each route.
    """

    config: Config
    plugins: Plugins
    places: list[str]


class Inputs(Struct):
    """Everything that ``multicdn explain`` is asked about.

    Attributes:
        changes: of S3.
        urls: public ones.
        jobs: that waited in the queue.
        unreadable: parts of an event that mean nothing.
        ignored: sentences about parts of an event for which there is nothing to do.
    """

    changes: list[Change]
    urls: list[str]
    jobs: list[Job]
    unreadable: list[Unreadable]
    ignored: list[str] = []


def load(path: Path | None, region: str = "") -> Loaded:
    """Load a config and note where its routes stand. AWS is asked in its region from then on, or in another one.

    Raises:
        ConfigError: with every problem found.
    """
    path = path or config_file.locate()
    plugins = Plugins()
    config = config_file.load(path, plugins)
    aws_region.use(region or config.install.region)
    return Loaded(config, plugins, explain.places(text_file.decoded(path.read_bytes()), path.name))


class Reader:
    """Reads the arguments of ``multicdn explain``.

    Args:
        kind: what is supposed to have happened to objects that are named.
        below: where a folder is to be synced, and where the keys of lists are.
        event_reader: how plugins read events.
    """

    def __init__(self, kind: ChangeKind, below: Below, event_reader: ForeignReader | None) -> None:
        self._kind = kind
        self._below = below
        self._event_reader = event_reader
        self.inputs = Inputs([], [], [], [])

    def read(self, word: str) -> None:
        """Read one argument.

        Raises:
            UsageError: it is none of what may be asked about.
        """
        if word == "-":
            self._read_text(lists.standard_input(), lists.STANDARD_INPUT)
        elif is_s3(word):
            bucket, key = lists.split_s3(word)
            if not key:
                raise click.UsageError(f"{word} names no object; write s3://{bucket}/key")
            self.inputs.changes.append(Change(bucket, key, self._kind))
        elif is_web(word):
            self.inputs.urls.append(word)
        else:
            self._read_path(Path(word))

    def _read_path(self, path: Path) -> None:
        if path.is_dir():
            self._read_folder(path)
        elif path.is_file():
            self._read_text(lists.content(path), str(path))
        else:
            raise click.UsageError(f"{str(path)!r} is no S3 URI, URL, file or folder")

    def _read_folder(self, path: Path) -> None:
        if not self._below.bucket:
            raise click.UsageError(f"{path} is a folder: say with --bucket where it is to be synced")
        for name in _files(path):
            if lists.is_utf8(name):
                self.inputs.changes.append(Change(self._below.bucket, self._below.prefix + name, self._kind))
            else:
                self.inputs.unreadable.append(Unreadable(repr(name), "its name isn't UTF-8, and keys in S3 are"))

    def _read_text(self, text: str, name: str) -> None:
        """Read an event, or a list; keys may look like the beginning of JSON."""
        if lists.looks_like_json(text):
            try:
                return self._read_event(lists.event(text, name))
            except click.UsageError:
                if not self._below.bucket:
                    raise
        found = lists.listing(text, name, self._below)
        self.inputs.unreadable += (Unreadable(f"{name}:{line}", reason) for line, reason in found.left_out)
        for entry in found.entries:
            if entry.url:
                self.inputs.urls.append(entry.url)
            else:
                self.inputs.changes.append(Change(entry.bucket, entry.key, entry.kind or self._kind))
        return None

    def _read_event(self, event: object) -> None:
        intake = envelopes.decode(event, self._event_reader)
        self.inputs.changes += intake.changes
        self.inputs.jobs += (queued.job for queued in intake.queued_jobs)
        self.inputs.unreadable += intake.unreadable
        self.inputs.ignored += (f"{number:,} x {name}: nothing to do" for name, number in intake.ignored.items())
        self.inputs.ignored += (f"{number:,} x {name}: unknown, left alone" for name, number in intake.unknown.items())


def is_s3(word: str) -> bool:
    """Tell if a word is meant as an S3 URI."""
    return word.startswith("s3://")


def is_web(word: str) -> bool:
    """Tell if a word is meant as a public URL."""
    return _WEB.match(word) is not None


def listed(bucket: str, prefix: str, progress: Callable[[int], None]) -> Iterator[Object]:
    """All objects below a prefix, as S3 lists them now. Calls AWS.

    Args:
        bucket: where.
        prefix: with which their keys begin.
        progress: told after each page how many were on it.

    Raises:
        ClickException: S3 refuses.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        s3: Any = boto3.session.Session().client("s3")
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            contents = page.get("Contents", [])
            yield from (Object(bucket, item["Key"], listed=True) for item in contents)
            progress(len(contents))
    except (BotoCoreError, ClientError) as error:
        raise click.ClickException(f"s3://{bucket}/{prefix} can't be listed: {error}") from None


def s3_lookup() -> ObjectLookup:
    """Asks S3 about objects, and says on standard error what can't be counted."""
    from multicdn.aws.s3 import Objects
    from multicdn.planning.front import ObjectLookup

    objects = Objects()
    return ObjectLookup(
        partial(objects.metadata, seconds=_METADATA_SECONDS),
        objects.counter(lambda error: say(f"not counted: {error}", err=True)),
    )


def _files(folder: Path) -> Iterable[str]:
    """The files in a folder and below, with slashes, in order. Links to files count; those to folders are let be."""
    for here, below, names in os.walk(folder):
        below.sort()
        for name in sorted(names):
            yield (Path(here) / name).relative_to(folder).as_posix()
