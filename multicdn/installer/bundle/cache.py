"""Archives that were built before and wheels that were fetched before, so that the same inputs don't run pip again.

An entry is one file, whose name has the digest of the inputs and the one of the content: a damaged entry shows, and is
made anew. It holds what a bundle holds, and therefore no secrets. Nothing needs the cache: where its folder can't be
read or written, or others could write into it, everything is fetched and built each time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

VARIABLE = "MULTICDN_CACHE"

# Some fifteen bundles with every vendor's SDK, and the wheels for them.
MOST_BYTES = 512 * 1024 * 1024


def default_folder(name: str = "bundles") -> Path:
    """A folder of the user's choice, or one in the user's cache directory.

    https://specifications.freedesktop.org/basedir-spec/latest/ says where that is, and to ignore relative paths.
    """
    chosen, base = os.environ.get(VARIABLE), Path(os.environ.get("XDG_CACHE_HOME", ""))
    if chosen:
        return Path(chosen, name)
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "multicdn" / name
    except RuntimeError:  # a user without a home: nothing can be written there
        return Path(os.devnull, name)


def is_our_own(folder: Path) -> bool:
    """Whether nobody else can put code into a folder, which would run with all that its user may do."""
    if not hasattr(os, "getuid"):
        return True  # Windows: folders of users are theirs alone
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def digest(*inputs: object) -> str:
    """A key for inputs that JSON can express."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:32]


class ArchiveCache:
    """Archives by key; a wheel is one. Several processes may use one folder at once.

    Args:
        folder: is made if need be.
        most_bytes: that all entries together may have; those that weren't used for the longest time go.
    """

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def fetch(self, key: str, copy: Path, accepted: Collection[str] | None = None) -> bool:
        """Copy the archive of a key to a path; False, and no file there, if the cache has none that is whole.

        Args:
            key: of the archive.
            copy: where to.
            accepted: SHA-256 in hexadecimal digits, of which the archive must have one; None takes any.
        """
        with contextlib.suppress(OSError):
            for entry in self._folder.glob(f"{key}-*.zip") if is_our_own(self._folder) else ():
                if (accepted is None or _named_hash(entry) in accepted) and _copied(entry, copy):
                    return True
        copy.unlink(missing_ok=True)
        return False

    def store(self, key: str, archive: Path) -> None:
        """Keep a copy of an archive, if that can be done."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not is_our_own(self._folder):
                return
            with self._draft() as draft:
                shutil.copyfile(archive, draft)
                draft.replace(self._folder / f"{key}-{sha256(draft)}.zip")
            self._evict()

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Path]:
        """A file of our own beside the entries: renaming it makes an entry appear at once and whole."""
        handle, name = tempfile.mkstemp(suffix=".zip", prefix="new-", dir=self._folder)
        os.close(handle)
        try:
            yield Path(name)
        finally:
            Path(name).unlink(missing_ok=True)

    def _evict(self) -> None:
        """Delete the oldest entries that are too much, and with them what interrupted processes left."""
        total = 0
        dated = [(file.stat(), file) for file in self._folder.glob("*.zip")]
        for status, file in sorted(dated, key=lambda item: -item[0].st_mtime_ns):
            total += status.st_size
            if total > self._most_bytes:
                file.unlink(missing_ok=True)


def _copied(entry: Path, copy: Path) -> bool:
    """Copy an entry and note its use; delete it if it is damaged."""
    shutil.copyfile(entry, copy)
    whole = _named_hash(entry) == sha256(copy)
    with contextlib.suppress(OSError):
        if whole:
            os.utime(entry)
        else:
            entry.unlink()
    return whole


def _named_hash(entry: Path) -> str:
    return entry.stem.rpartition("-")[2]


def sha256(file: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
