"""What tests of the installer's bundle share: configs, distributions that exist for a test, one build of each kind."""

from __future__ import annotations

import functools
import importlib
import os
import platform
import sys
import types
from typing import TYPE_CHECKING, Any

import yaml

from multicdn import config
from multicdn.installer.bundle.build import Bundle
from multicdn.installer.bundle.build import build as build_bundle
from multicdn.installer.bundle.cache import default_folder

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
ELSEWHERE = "x86_64" if HERE == "arm64" else "arm64"

FASTLY = {"type": "fastly", "token": "${env:FASTLY_TOKEN}", "service": "SU1Z0isxPaozGVKXdv0eY"}
CLOUDFRONT = {"type": "cloudfront", "distribution": "E8F6HK73EP0LT"}

PLUGIN = '''
from collections.abc import Sequence
from dataclasses import dataclass

from multicdn.provider import Call, Limits, PurgeUrls, Receipt, option


@dataclass(frozen=True, kw_only=True)
class Acme(PurgeUrls):
    """A vendor that exists for a test."""

    endpoint: str = option(default="https://api.acme.example", help="base URL")
    url_limits = Limits(targets=10)

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        import sniffio

        return Receipt(id=sniffio.__version__)
'''


_METADATA = "multicdn_acme-1.2.dist-info"
_ENTRY_POINTS = "[multicdn.providers]\nacme = multicdn_acme:Acme\n"


def write_config(folder: Path, providers: dict[str, Any], **sections: Any) -> Path:
    """A config file with one route, on which all the providers purge."""
    route = {"bucket": "acme-site", "urls": ["https://www.acme.com/{key}"], "purge": list(providers)}
    file = folder / "my.yml"
    content = {"version": 1, "providers": providers, "routes": [route], **sections}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def build(folder: Path, providers: dict[str, Any], **settings: Any) -> Bundle:
    """Build a bundle, for this machine and Python unless told otherwise."""
    return build_config(write_config(folder, providers), folder, **settings)


def build_config(file: Path, folder: Path, **settings: Any) -> Bundle:
    """Build the bundle of a config file."""
    chosen: dict[str, Any] = {"architecture": HERE, "python": PYTHON, **settings}
    return build_bundle(config.load(file), file, work=folder / "work", **chosen)


@functools.cache
def fastly_bundle(architecture: str = HERE, python: str = PYTHON) -> Bundle:
    """The bundle for Fastly alone, built once in a process; it lies where the tests' cache does."""
    folder = default_folder().parent / f"{architecture}-{python}-{os.getpid()}"
    folder.mkdir(parents=True)
    return build(folder, {"fastly": FASTLY}, architecture=architecture, python=python)


def install_plugin(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    requires: tuple[str, ...] = (),
    files: dict[str, str] | None = None,
    hooks: str = "",
) -> None:
    """Make a distribution ``multicdn-acme`` with the provider ``acme``, as it is when its wheel is installed.

    Args:
        folder: empty.
        monkeypatch: makes it importable.
        requires: its requirements.
        files: further files of its package.
        hooks: a line that names an entry point for hooks.
    """
    site = folder / "site"
    requirements = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    texts = {
        "multicdn_acme/__init__.py": PLUGIN,
        **{f"multicdn_acme/{name}": text for name, text in (files or {}).items()},
        f"{_METADATA}/METADATA": f"Metadata-Version: 2.1\nName: multicdn-acme\nVersion: 1.2\n{requirements}",
        f"{_METADATA}/entry_points.txt": f"{_ENTRY_POINTS}[multicdn.hooks]\n{hooks}\n",
        f"{_METADATA}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{_METADATA}/INSTALLER": "pip\n",
    }
    record = "".join(f"{name},,\n" for name in (*texts, f"{_METADATA}/RECORD"))
    _write(site, {**texts, f"{_METADATA}/RECORD": record})
    make_importable(site, monkeypatch)


def install_working_copy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same as ``pip install -e`` leaves behind: metadata here, files there. Returns the package's folder."""
    _write(
        folder,
        {
            "multicdn_acme/__init__.py": PLUGIN.replace("import sniffio", "pass").replace("sniffio.__version__", "'1'"),
            "multicdn_acme/words.txt": "data",
            "multicdn_acme/tests/test_acme.py": "",
            f"{_METADATA}/METADATA": "Metadata-Version: 2.1\nName: multicdn-acme\nVersion: 1.2\n",
            f"{_METADATA}/RECORD": "",
            f"{_METADATA}/direct_url.json": '{"url": "file:///somewhere", "dir_info": {"editable": true}}',
            f"{_METADATA}/entry_points.txt": _ENTRY_POINTS,
        },
    )
    make_importable(folder, monkeypatch)
    return folder / "multicdn_acme"


def _write(folder: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def make_importable(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a folder on the path for one test, whose import of it is known neither before nor after."""
    monkeypatch.syspath_prepend(site)
    for name in [name for name in sys.modules if name.partition(".")[0] == "multicdn_acme"]:
        del sys.modules[name]
    # Undone at the test's end: a module that stays imported is found by whoever asks whether the name is free.
    monkeypatch.setitem(sys.modules, "multicdn_acme", types.ModuleType("multicdn_acme"))
    del sys.modules["multicdn_acme"]
    importlib.invalidate_caches()
