"""What the code that is deployed says of itself: its config file and its packages, read out of its archive in S3."""

from __future__ import annotations

import io
import lzma
import zipfile
import zlib
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from multicdn.installer.bundle.build import MANIFEST
from multicdn.installer.errors import InstallError, code, translated
from multicdn.installer.template.stack import CONFIG_IN_BUNDLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multicdn.installer.account import Account

# An archive's list of files is at its end, with some hundred bytes for each: one request gets it all of most bundles.
_PIECE = 256 * 1024

# Of one file in the archive, and of all that is asked for. A config for ten thousand sites has some megabytes.
_MOST_OF_A_FILE = 16 * 1024 * 1024
_MOST_ALTOGETHER = 64 * 1024 * 1024

# What reading a thing that is no sound archive raises; OSError is bz2's word for it.
_UNSOUND = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    ValueError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
)


class _Manifest(Struct, frozen=True):
    packages: tuple[Annotated[str, Meta(pattern="^[^=]+==.+$")], ...] = ()


class DeployedCode(Struct, frozen=True):
    """What a deployed bundle holds, but for the code itself.

    Attributes:
        config: bytes of the config file, as it was when it was installed.
        packages: distributions in it, ``name==version``.
    """

    config: bytes
    packages: tuple[str, ...] = ()


def read_if_there(account: Account, parameters: Mapping[str, str]) -> tuple[DeployedCode | None, str]:
    """What the code of a stack says of itself, or why that can't be told, which keeps nobody from installing.

    Args:
        account: whose.
        parameters: of the stack; none if there is no stack.
    """
    try:
        return (read(account, parameters), "") if parameters else (None, "")
    except InstallError as error:
        return None, str(error)


def read(account: Account, parameters: Mapping[str, str]) -> DeployedCode:
    """Read the bundle that a stack's parameters name, without fetching all of it.

    Raises:
        InstallError: it is gone, may not be read, or is no bundle.
    """
    bucket, key = parameters.get("BundleBucket", ""), parameters.get("BundleKey", "")
    where = f"s3://{bucket}/{key}"
    try:
        with translated(f"reading the deployed code, {where}", "s3"):
            archive = zipfile.ZipFile(io.BufferedReader(_StoredFile(account, bucket, key), _PIECE))
            manifest = _content(archive, MANIFEST) if MANIFEST in archive.NameToInfo else b"{}"
            packages = msgspec.json.decode(manifest, type=_Manifest).packages
            return DeployedCode(_content(archive, CONFIG_IN_BUNDLE), packages)
    except KeyError:
        raise InstallError(f"{where} holds no {CONFIG_IN_BUNDLE}, so multicdn didn't build it") from None
    except _UNSOUND as error:
        raise InstallError(f"{where} is no bundle of multicdn's: {error}") from None


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MOST_OF_A_FILE:
        raise ValueError(f"{name} has more than {_MOST_OF_A_FILE:,} bytes")
    with archive.open(name) as opened:
        return opened.read(_MOST_OF_A_FILE)


class _StoredFile(io.RawIOBase):
    """An object in S3 as a file that can be read anywhere, piece by piece.

    The first piece is the last one, which also tells the size.
    """

    def __init__(self, account: Account, bucket: str, key: str) -> None:
        self._s3 = account.client("s3")
        self._named = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": account.id}
        self._place = 0
        self._read = 0
        self._end, size = self._piece(f"-{_PIECE}")
        self._size = int(size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if self._place < 0:
            raise ValueError("it is too short")
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place, _PIECE)
        if wanted <= 0:
            return 0
        within = self._place - (self._size - len(self._end))
        if within >= 0:
            content = self._end[within : within + wanted]
        else:
            content, _ = self._piece(f"{self._place}-{self._place + wanted - 1}")
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def _piece(self, span: str) -> tuple[bytes, str]:
        """Some of the bytes, and how many there are altogether."""
        from botocore.exceptions import ClientError

        try:
            answer = self._s3.get_object(**self._named, Range=f"bytes={span}")
        except ClientError as error:
            if code(error) in ("NoSuchKey", "NoSuchBucket"):
                raise InstallError(f"s3://{self._named['Bucket']}/{self._named['Key']} is gone") from None
            raise
        content = answer["Body"].read(_PIECE)
        self._read += len(content)
        if self._read > _MOST_ALTOGETHER:
            raise ValueError("its list of files is too long")
        return content, str(answer.get("ContentRange", "")).rpartition("/")[2]
