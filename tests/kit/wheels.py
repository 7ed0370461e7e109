"""Wheels that exist for a test."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_wheel(
    folder: Path, name: str, version: str, files: Mapping[str, bytes], recorded: Mapping[str, bytes] | None = None
) -> Path:
    """A wheel whose RECORD lists its files, or others."""
    stem = f"{name}-{version}"
    headers = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Dist: idna; extra == 'idna'\n"
    information = {
        f"{stem}.dist-info/METADATA": headers.encode(),
        f"{stem}.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    listed = {**(files if recorded is None else recorded), **information}
    lines = [f"{each},sha256={_digest(content)},{len(content)}" for each, content in listed.items()]
    record = "\n".join([*lines, f"{stem}.dist-info/RECORD,,\n"])
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in {**files, **information, f"{stem}.dist-info/RECORD": record.encode()}.items():
            archive.writestr(each, content)
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
