"""What is deployed is read out of its archive by pieces, and what is no such archive is named."""

from __future__ import annotations

import io
import json
import os
import re
import struct
import zipfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from multicdn.installer import deployed_code
from multicdn.installer.account import Account
from multicdn.installer.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = b"version: 1\n# \xe2\x82\xac\n"
STACK = {"BundleBucket": "code", "BundleKey": "multicdn/a.zip"}

Answer = Callable[[str], tuple[int, dict[str, str], bytes]]


class S3:
    """One object behind a boto3 client of S3, at HTTP's level; it notes which bytes were asked for."""

    def __init__(self, content: bytes, failure: tuple[int, str] | None = None) -> None:
        self.content = content
        self.failure = failure
        self.asked: list[str] = []
        self.client = boto3.client(
            "s3", region_name="eu-west-1", aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="loopback-only"
        )
        self.client.meta.events.register("before-send.s3.GetObject", self._answer)

    @property
    def account(self) -> Account:
        return Account("123456789012", "arn:aws:iam::123456789012:user/me", "eu-west-1", lambda _: self.client)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        if self.failure:
            status, code = self.failure
            return _response(
                request.url, status, {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            )
        span = request.headers["Range"].decode()
        self.asked.append(span)
        size = len(self.content)
        first, last = re.fullmatch(r"bytes=(\d*)-(\d+)", span).groups()  # type: ignore[union-attr]
        start, end = (int(first), int(last) + 1) if first else (max(0, size - int(last)), size)
        piece = self.content[start:end]
        return _response(request.url, 206, {"Content-Range": f"bytes {start}-{end - 1}/{size}"}, piece)


def _response(url: str, status: int, headers: dict[str, str], body: bytes) -> AWSResponse:
    class Raw(io.BytesIO):
        def stream(self, **_: Any) -> Iterator[bytes]:
            yield self.read()

    return AWSResponse(url, status, {"Content-Length": str(len(body)), **headers}, Raw(body))


def archive(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return packed.getvalue()


def bundle(**more: bytes) -> bytes:
    manifest = json.dumps({"packages": ["idna==3.1"]}).encode()
    return archive({"multicdn.config.yml": CONFIG, "multicdn.bundle.json": manifest, **more})


def test_a_small_bundle_is_read_at_once() -> None:
    s3 = S3(bundle())
    assert deployed_code.read(s3.account, STACK) == deployed_code.DeployedCode(CONFIG, ("idna==3.1",))
    assert len(s3.asked) == 1


def test_of_a_large_bundle_little_is_fetched() -> None:
    s3 = S3(bundle(code=os.urandom(3_000_000)))
    assert deployed_code.read(s3.account, STACK).config == CONFIG
    assert len(s3.asked) <= 3
    spans = [span.removeprefix("bytes=").split("-") for span in s3.asked]
    assert sum(int(last) - int(first or 1) + 1 for first, last in spans) < 1_000_000


def test_a_config_longer_than_a_piece_comes_whole() -> None:
    config = os.urandom(600_000)
    assert deployed_code.read(S3(archive({"multicdn.config.yml": config})).account, STACK).config == config


def test_an_older_bundle_without_a_list_of_packages_has_none() -> None:
    assert deployed_code.read(S3(archive({"multicdn.config.yml": CONFIG})).account, STACK).packages == ()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """A bit of the config's packed bytes is another."""
    place = content.index(b"multicdn.config.yml") + 25
    return content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]


def boasting(content: bytes) -> bytes:
    """The archive says that the config has three thousand million bytes."""
    place = content.index(b"PK\x01\x02") + 24
    return content[:place] + struct.pack("<I", 3_000_000_000) + content[place + 4 :]


@pytest.mark.parametrize(
    "harm", [cut, flipped, boasting, lambda _: b"", lambda _: b"hello", lambda _: b"PK\5\6" + b"\xff" * 18]
)
def test_what_is_no_sound_bundle_is_named(harm: Callable[[bytes], bytes]) -> None:
    with pytest.raises(InstallError, match=r"s3://code/multicdn/a\.zip is no bundle of multicdn's: "):
        deployed_code.read(S3(harm(bundle())).account, STACK)


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"7", b'{"packages": 7}', b'{"packages": [7]}', b'{"packages": ["idna"]}', b"\xff"]
)
def test_a_list_of_packages_that_is_none_is_named(manifest: bytes) -> None:
    found, why = deployed_code.read_if_there(S3(bundle(**{"multicdn.bundle.json": manifest})).account, STACK)
    assert found is None
    assert "a.zip is no bundle of multicdn's: " in why


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_can_not_be_unpacked_is_named_however_it_is_packed(way: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", way) as opened:
        opened.writestr("multicdn.config.yml", CONFIG * 50)
    content = packed.getvalue()
    start = content.index(b"multicdn.config.yml") + 19
    harmed = (
        content[: start + 9] + bytes(byte ^ 255 for byte in content[start + 9 : start + 40]) + content[start + 40 :]
    )
    with pytest.raises(InstallError, match=r"a\.zip is no bundle of multicdn's: "):
        deployed_code.read(S3(harmed).account, STACK)


def test_an_archive_of_others_is_named() -> None:
    with pytest.raises(InstallError, match=r"a\.zip holds no multicdn\.config\.yml, so multicdn didn't build it"):
        deployed_code.read(S3(archive({"app.py": b""})).account, STACK)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ((404, "NoSuchKey"), r"^s3://code/multicdn/a\.zip is gone$"),
        ((404, "NoSuchBucket"), r"^s3://code/multicdn/a\.zip is gone$"),
        ((403, "AccessDenied"), "^not allowed: s3:GetObject, while reading the deployed code"),
        ((400, "ExpiredToken"), "the AWS credentials have expired"),
    ],
)
def test_why_it_cannot_be_read_is_said_and_keeps_nobody_from_planning(failure: tuple[int, str], words: str) -> None:
    account = S3(b"", failure).account
    with pytest.raises(InstallError, match=words):
        deployed_code.read(account, STACK)
    found, why = deployed_code.read_if_there(account, STACK)
    assert found is None
    assert re.search(words, why)


def test_without_a_stack_nothing_is_asked() -> None:
    s3 = S3(b"")
    assert deployed_code.read_if_there(s3.account, {}) == (None, "")
    assert s3.asked == []
