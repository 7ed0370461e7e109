"""Byte code of many modules in one file."""

from __future__ import annotations

import importlib
import importlib.util
import marshal
import pkgutil
import sys
import traceback
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from multicdn import code_archive
from multicdn.code_archive import OWN, PACKAGES, CodeArchive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCES = {
    "acme_cdn/__init__.py": "from acme_cdn import purge\nNAME = 'acme'\n",
    "acme_cdn/purge.py": "def fail():\n    raise RuntimeError('not today')\n",
    "acme_cdn/deeper/__init__.py": "",
    "acme_cdn/deeper/last.py": "seen = __file__, __name__, __package__\n",
    "acme_alone.py": "seen = __file__\n",
}
MAGIC = importlib.util.MAGIC_NUMBER


def codes(folder: Path) -> Iterator[tuple[str, bool, bytes]]:
    for name, text in SOURCES.items():
        source = folder / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        yield module, name.endswith("__init__.py"), marshal.dumps(compile(text, source, "exec"))


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with sources and their archive. What is imported of it is forgotten afterwards."""
    (tmp_path / OWN).write_bytes(code_archive.written(MAGIC, codes(tmp_path)))
    (tmp_path / "acme_cdn" / "hosts.txt").write_text("www.acme.com")
    (tmp_path / "acme_cdn" / "by_source.py").write_text("HERE = True\n")
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def test_a_module_comes_out_of_the_archive(bundle: Path) -> None:
    code_archive.use(str(bundle))
    for name in SOURCES:
        (bundle / name).write_text("raise AssertionError('the source was read')\n")
    acme = importlib.import_module("acme_cdn")
    last = importlib.import_module("acme_cdn.deeper.last")
    assert acme.NAME == "acme"
    assert (acme.__file__, acme.__path__) == (str(bundle / "acme_cdn/__init__.py"), [str(bundle / "acme_cdn")])
    where = (str(bundle / "acme_cdn/deeper/last.py"), "acme_cdn.deeper.last", "acme_cdn.deeper")
    assert last.seen == where
    alone = importlib.import_module("acme_alone")
    assert alone.__file__ == alone.seen == str(bundle / "acme_alone.py")
    assert importlib.reload(last).seen == where


def test_what_is_not_in_it_is_found_beside_it(bundle: Path) -> None:
    code_archive.use(str(bundle))
    assert importlib.import_module("acme_cdn.by_source").HERE
    with pytest.raises(ModuleNotFoundError, match=r"acme_cdn\.nowhere"):
        importlib.import_module("acme_cdn.nowhere")


def test_a_package_finds_its_sources_its_data_and_its_modules(bundle: Path) -> None:
    code_archive.use(str(bundle))
    acme = importlib.import_module("acme_cdn")
    assert resources.files(acme).joinpath("hosts.txt").read_text() == "www.acme.com"
    assert pkgutil.get_data("acme_cdn", "hosts.txt") == b"www.acme.com"
    assert {module.name for module in pkgutil.iter_modules(acme.__path__)} == {"by_source", "deeper", "purge"}
    with pytest.raises(RuntimeError) as raised:
        acme.purge.fail()
    assert "    raise RuntimeError('not today')\n" in "".join(traceback.format_exception(raised.value))


def test_two_archives_are_used(bundle: Path) -> None:
    code = marshal.dumps(compile("HERE = 'among packages'", "acme_sdk.py", "exec"))
    (bundle / PACKAGES).write_bytes(code_archive.written(MAGIC, [("acme_sdk", False, code)]))
    code_archive.use(str(bundle))
    assert importlib.import_module("acme_sdk").HERE == "among packages"
    assert importlib.import_module("acme_cdn").NAME == "acme"


@pytest.mark.parametrize("which", ["all", "a module"])
def test_what_the_path_leads_to_before_comes_before(which: str, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a layer's, where its wrapper puts it before: of one package nobody gets parts of two versions."""
    layer = bundle / "layer"
    changed = SOURCES if which == "all" else {"acme_alone.py": ""}
    for name in changed:
        (layer / name).parent.mkdir(parents=True, exist_ok=True)
        (layer / name).write_text("NAME = seen = 'of the layer'\n")
    (layer / "acme_cdn").mkdir(exist_ok=True)  # without __init__.py: no package is hidden by that
    monkeypatch.syspath_prepend(layer)
    code_archive.use(str(bundle))
    assert importlib.import_module("acme_alone").seen == "of the layer"
    expected = "of the layer" if which == "all" else str(bundle / "acme_cdn/deeper/last.py")
    assert expected in importlib.import_module("acme_cdn.deeper.last").seen


def test_a_package_that_was_imported_from_elsewhere_has_its_own_modules(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = bundle / "other"
    (other / "acme_cdn" / "deeper").mkdir(parents=True)
    for name in ("acme_cdn/__init__.py", "acme_cdn/purge.py"):
        (other / name).write_text("NAME = 'another'\n")
    with monkeypatch.context() as before:
        before.syspath_prepend(other)
        importlib.import_module("acme_cdn")
    code_archive.use(str(bundle))
    assert importlib.import_module("acme_cdn.purge").NAME == "another"
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("acme_cdn.deeper.last")


def test_who_watches_imports_still_does(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Watch:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            seen.append(name)

    monkeypatch.setattr(sys, "meta_path", [Watch, *sys.meta_path])
    code_archive.use(str(bundle))
    importlib.import_module("acme_alone")
    assert seen == ["acme_alone"]


@pytest.mark.parametrize("left", [len(MAGIC), len(MAGIC) + 8, len(MAGIC) + 20, -1])
def test_a_part_of_an_archive_is_none(left: int, bundle: Path) -> None:
    content = (bundle / OWN).read_bytes()
    (bundle / OWN).write_bytes(content[:left])
    code_archive.use(str(bundle))
    assert CodeArchive.opened(str(bundle), OWN) is None
    assert importlib.import_module("acme_cdn").NAME == "acme"


@pytest.mark.parametrize("content", [b"", b"\x00\x00\r\n" + bytes(8), MAGIC[::-1] + bytes(20), None])
def test_without_an_archive_of_this_python_nothing_changes(content: bytes | None, bundle: Path) -> None:
    (bundle / OWN).unlink()
    if content is not None:
        (bundle / OWN).write_bytes(content)
    before = [*sys.meta_path]
    code_archive.use(str(bundle))
    assert sys.meta_path == before
    assert CodeArchive.opened(str(bundle), OWN) is None


def test_the_same_code_gives_the_same_bytes(tmp_path: Path) -> None:
    assert code_archive.written(MAGIC, codes(tmp_path)) == code_archive.written(MAGIC, codes(tmp_path))
