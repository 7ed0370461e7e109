"""Modules that a library imports and doesn't use."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from multicdn.late import PUT_OFF, LateImports, put_off

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = (
    "LOADED.append(__name__)\nclass Version:\n    pass\ndef version(name, *, loud=False):\n    return (name, loud)\n"
)
WHOLE = "import acme_heavy\ndef ask():\n    return acme_heavy.version('whole', loud=True), acme_heavy.Version\n"
PART = "from acme_heavy import version\ndef ask():\n    return version('part')\n"


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What has been loaded of a package on the path: a heavy module, and two libraries that import it."""
    found: list[str] = []
    monkeypatch.setattr("builtins.LOADED", found, raising=False)
    for name, text in (("acme_heavy", HEAVY), ("acme_whole", WHOLE), ("acme_part", PART)):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield found
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def test_a_module_comes_when_it_is_used(loaded: list[str]) -> None:
    with put_off("acme_heavy"):
        whole, part = (importlib.import_module(name) for name in ("acme_whole", "acme_part"))
    assert "acme_heavy" not in sys.modules
    assert loaded == []
    assert part.ask() == ("part", False)
    answer, version = whole.ask()
    assert answer == ("whole", True)
    assert version is sys.modules["acme_heavy"].Version
    assert loaded == ["acme_heavy"]


def test_nobody_else_notices(loaded: list[str]) -> None:
    with put_off("acme_heavy"):
        importlib.import_module("acme_whole")
    heavy = importlib.import_module("acme_heavy")
    assert heavy.__file__
    assert loaded == ["acme_heavy"]
    with put_off("acme_heavy"):
        part = importlib.import_module("acme_part")
    assert part.version is heavy.version
    assert sys.modules["acme_heavy"] is heavy


def test_it_ends_with_an_import_that_fails(loaded: list[str]) -> None:
    with pytest.raises(ModuleNotFoundError, match="acme_nowhere"), put_off("acme_heavy"):
        importlib.import_module("acme_nowhere")
    assert "acme_heavy" not in sys.modules
    assert loaded == []


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("import acme_pack.heavy", "acme_pack.heavy.Version"),
        ("from acme_pack import heavy", "heavy.Version"),
        ("from acme_pack.heavy import Version", "Version"),
        ("import importlib; heavy = importlib.import_module('acme_pack.heavy')", "heavy.Version"),
    ],
)
def test_what_another_thread_imports_meanwhile_is_the_module(
    statement: str, use: str, loaded: list[str], tmp_path: Path
) -> None:
    """What isn't done when INIT ends goes on beside the first event, which may be the first to need something."""
    (tmp_path / "acme_pack").mkdir()
    for name, text in (("__init__", ""), ("heavy", HEAVY), ("whole", "from acme_pack.heavy import version\n")):
        (tmp_path / "acme_pack" / f"{name}.py").write_text(text)
    names: dict[str, object] = {}
    with put_off("acme_pack.heavy"):
        importlib.import_module("acme_pack.whole")
        thread = threading.Thread(target=exec, args=(statement, names))
        thread.start()
        thread.join()
    heavy = sys.modules["acme_pack.heavy"]
    assert eval(use, names) is heavy.Version
    assert loaded == ["acme_pack.heavy"]
    assert sys.modules["acme_pack.whole"].version("late") == ("late", False)


def test_what_is_used_while_the_library_is_imported_comes_then(loaded: list[str], tmp_path: Path) -> None:
    (tmp_path / "acme_eager.py").write_text("from acme_heavy import version\nFOUND = version('eager')\n")
    with put_off("acme_heavy"):
        eager = importlib.import_module("acme_eager")
    assert eager.FOUND == ("eager", False)
    assert sys.modules["acme_heavy"].__file__
    assert loaded == ["acme_heavy"]


def test_a_module_imports_something_later_wherever_it_is_imported(loaded: list[str]) -> None:
    late = LateImports({"acme_whole": ["acme_heavy"]})
    late.begin()
    whole = importlib.import_module("acme_whole")
    late.end()
    assert late not in sys.meta_path
    assert loaded == []
    assert importlib.import_module("acme_part").version is whole.ask.__globals__["acme_heavy"].version
    assert loaded == ["acme_heavy"]
    assert whole.ask()[0] == ("whole", True)


_SESSION = "from botocore.session import Session; session = Session()\n"
USES = {
    "dataclasses": "print(dataclasses.dataclass(type('Bare', (), {'__annotations__': {}})).__doc__)",
    "urllib3.http2": "assert urllib3.http2.version('urllib3') == urllib3.__version__; print('Bare()')",
    "botocore.configloader": "open(folder + '/config', 'w').write('[profile Bare()]')\n"
    "print(*botocore.configloader.load_config(folder + '/config')['profiles'])",
    "botocore.docs": f"{_SESSION}botocore.docs.ServiceDocumenter('sqs', session, folder); print('Bare()')",
    "botocore.docs.docstring": f"{_SESSION}"
    "assert 'Creates' in str(session.create_client('sqs', 'eu-west-1').create_queue.__doc__); print('Bare()')",
    "calendar": "print(calendar.LocaleTextCalendar(locale='C').formatweekday(0, 3).replace('Mon', 'Bare()'))",
    "urllib.parse": "assert urllib.parse.urlsplit('http://[::1]/').hostname == '::1'; print('Bare()')",
    "urllib3.fields": "assert urllib3.fields.guess_content_type('a.css') == 'text/css'; print('Bare()')",
    "urllib3.util.ssl_match_hostname": "match = urllib3.util.ssl_match_hostname.match_hostname\n"
    "match({'subjectAltName': [('IP Address', '192.0.2.1')]}, '192.0.2.1'); print('Bare()')",
    "http.cookiejar": "import urllib.request; from email.message import Message\n"
    "http.cookiejar.CookieJar().extract_cookies(type('Answer', (), {'info': Message})(), urllib.request.Request('http://a.test'))\n"
    "print('Bare()')",
    "requests.compat": "assert requests.compat.getproxies is not None; requests.compat.getproxies(); print('Bare()')",
    "requests.utils": "assert requests.utils.extract_zipped_paths(folder + '/none/at') == folder + '/none/at'\n"
    "requests.utils.zipfile.is_zipfile(folder); print('Bare()')",
    "certifi.core": "assert certifi.where().endswith('cacert.pem'); print('Bare()')",
}


@pytest.mark.parametrize("library", PUT_OFF)
def test_the_libraries_that_we_do_it_to_work(library: str, tmp_path: Path) -> None:
    late = [*PUT_OFF[library]]
    code = f"""
import sys
folder, sys.path[:] = {str(tmp_path)!r}, {sys.path!r}
from multicdn.late import PUT_OFF, LateImports
LateImports(PUT_OFF).begin()
import {library}
assert not {{*{late}}} & sys.modules.keys(), "loaded all the same"
{USES[library]}
assert {{*{late}}} & sys.modules.keys()
"""
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("Bare()\n", "", 0)


def test_a_library_that_needs_more_of_it_than_functions_gets_all(loaded: list[str], tmp_path: Path) -> None:
    (tmp_path / "acme_next.py").write_text("import acme_heavy\nclass Later(acme_heavy.Version):\n    pass\n")
    late = LateImports({"acme_next": ["acme_heavy"]})
    late.begin()
    assert issubclass(importlib.import_module("acme_next").Later, sys.modules["acme_heavy"].Version)
    late.end()
    assert loaded == ["acme_heavy"]
