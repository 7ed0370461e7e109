"""Modules that a library imports and doesn't use."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from multicdn.late import PUT_OFF, LateImports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = (
    "LOADED.append(__name__)\nclass Version:\n    pass\ndef version(name, *, loud=False):\n    return (name, loud)\n"
)
WHOLE = "import acme_heavy\ndef ask():\n    return acme_heavy.version('whole', loud=True), acme_heavy.Version\n"
PART = "from acme_heavy import version\ndef ask():\n    return version('part')\n"
BROKEN = "import acme_heavy, acme_nowhere\n"


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What has been loaded of a package on the path: a heavy module, and libraries that import it too early."""
    found: list[str] = []
    monkeypatch.setattr("builtins.LOADED", found, raising=False)
    for name, text in (("heavy", HEAVY), ("whole", WHOLE), ("part", PART), ("other", WHOLE), ("broken", BROKEN)):
        (tmp_path / f"acme_{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    late = LateImports({f"acme_{name}": "acme_heavy" for name in ("whole", "part", "broken")})
    late.begin()
    yield found
    late.end()
    assert late not in sys.meta_path
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def test_a_module_comes_when_it_is_used(loaded: list[str]) -> None:
    whole, part = (importlib.import_module(name) for name in ("acme_whole", "acme_part"))
    assert "acme_heavy" not in sys.modules
    assert loaded == []
    assert part.ask() == ("part", False)
    answer, version = whole.ask()
    assert answer == ("whole", True)
    assert version is sys.modules["acme_heavy"].Version
    assert loaded == ["acme_heavy"]


def test_nobody_else_notices(loaded: list[str]) -> None:
    importlib.import_module("acme_whole")
    assert loaded == []
    other = importlib.import_module("acme_other")
    assert other.acme_heavy is sys.modules["acme_heavy"]
    assert other.acme_heavy.__file__
    assert loaded == ["acme_heavy"]
    part = importlib.import_module("acme_part")
    assert part.version is other.acme_heavy.version


def test_it_ends_with_an_import_that_fails(loaded: list[str]) -> None:
    with pytest.raises(ModuleNotFoundError, match="acme_nowhere"):
        importlib.import_module("acme_broken")
    assert "acme_heavy" not in sys.modules
    assert loaded == []


USES = {
    "dataclasses": "print(dataclasses.dataclass(type('Bare', (), {'__annotations__': {}})).__doc__)",
    "urllib3.http2": "assert urllib3.http2.version('urllib3') == urllib3.__version__; print('Bare()')",
    "botocore.configloader": "open(folder + '/config', 'w').write('[profile Bare()]')\n"
    "print(*botocore.configloader.load_config(folder + '/config')['profiles'])",
    "certifi.core": "assert certifi.where().endswith('cacert.pem'); print('Bare()')",
}


@pytest.mark.parametrize("library", PUT_OFF)
def test_the_libraries_that_we_do_it_to_work(library: str, tmp_path: Path) -> None:
    code = f"""
import sys
folder, sys.path[:] = {str(tmp_path)!r}, {sys.path!r}
from multicdn.late import PUT_OFF, LateImports
LateImports(PUT_OFF).begin()
import {library}
assert {PUT_OFF[library]!r} not in sys.modules, "loaded all the same"
{USES[library]}
assert {PUT_OFF[library]!r} in sys.modules
"""
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("Bare()\n", "", 0)
