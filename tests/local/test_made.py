"""The AWS for loopback that makes itself. Python and pip are a script here: they need a network and half a minute."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from multicdn.testing.loopback import made
from multicdn.testing.loopback.aws import MINISTACK, PROGRAM, PROGRAM_VARIABLE, find_program, own_folder

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# Called as `python -m venv --without-pip FOLDER` and as `python -m pip --python FOLDER/bin/python install ...`.
PYTHON = """\
#!/bin/sh
echo "$@" >>{log}
case $2 in
venv) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
pip) {pip} ;;
esac
"""
WORKS = 'echo "#!/bin/sh" >"${4%python}ministack" && chmod +x "${4%python}ministack"'


class Cache:
    """The user's cache directory, and a Python that notes what it is asked to do."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.log, self._python = folder, folder / "log", folder / "python"
        self._patch = monkeypatch
        self.said: list[str] = []

    def python(self, pip: str) -> None:
        self._python.write_text(PYTHON.replace("{log}", str(self.log)).replace("{pip}", pip), encoding="utf-8")
        self._python.chmod(0o755)
        self._patch.setattr(made.sys, "executable", str(self._python))

    @property
    def asked(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def make_sure(self) -> None:
        made.make_sure(self.said.append)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(PROGRAM_VARIABLE, raising=False)
    monkeypatch.delenv("MULTICDN_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Cache(tmp_path, monkeypatch)


def test_it_is_made_once_in_the_users_cache_and_found_ever_after(cache: Cache) -> None:
    cache.python(WORKS)
    cache.make_sure()
    place = own_folder()
    assert place.parent == cache.folder / "cache" / "multicdn" / "aws"
    assert find_program() == place / PROGRAM
    venv, pip = cache.asked
    assert venv == f"-m venv --without-pip {place}"
    assert pip.startswith(f"-m pip --python {place}/bin/python install ")
    assert pip.endswith(" ".join(MINISTACK))
    assert cache.said == [f"Making an AWS for loopback in {place}, once: some 70 MB ..."]
    cache.make_sure()
    assert (len(cache.asked), len(cache.said)) == (2, 1)


def test_two_at_once_make_one(cache: Cache) -> None:
    cache.python(f"sleep 0.1; {WORKS}")
    both = [threading.Thread(target=cache.make_sure) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert len(cache.asked) == 2
    assert any("waiting for it" in line for line in cache.said)


def test_what_was_begun_and_not_ended_is_made_anew(cache: Cache) -> None:
    """Somebody pulled the plug while pip was at work."""
    cache.python(WORKS)
    (own_folder() / "bin").mkdir(parents=True)
    (own_folder() / PROGRAM).write_text("half of it", encoding="utf-8")
    (own_folder() / PROGRAM).chmod(0o755)
    cache.make_sure()
    assert len(cache.asked) == 2


@pytest.mark.parametrize(
    ("pip", "why"),
    [
        ('echo "ERROR: none that fits (from versions: none)" >&2; exit 1', "pip can't reach a package index"),
        ('echo "ERROR: no space left on device" >&2; exit 1', "no space left on device"),
        ("exit 3", "pip ended with status 3"),
    ],
)
def test_what_fails_says_why_and_what_to_type_and_leaves_nothing(cache: Cache, pip: str, why: str) -> None:
    cache.python(pip)
    with pytest.raises(made.NotMade) as failed:
        cache.make_sure()
    assert why in str(failed.value)
    assert f"pip install {' '.join(MINISTACK)}" in str(failed.value)
    assert f"export {PROGRAM_VARIABLE}=" in str(failed.value)
    assert not own_folder().exists()


def test_a_cache_that_can_not_be_written_is_a_sentence(cache: Cache) -> None:
    cache.python(WORKS)
    (cache.folder / "cache").write_text("a file", encoding="utf-8")
    with pytest.raises(made.NotMade, match="can't be written"):
        cache.make_sure()


def test_a_folder_into_which_others_may_write_is_not_used(cache: Cache) -> None:
    """They could put a program there that would run."""
    cache.python(WORKS)
    own_folder().parent.mkdir(parents=True)
    own_folder().parent.chmod(0o777)
    with pytest.raises(made.NotMade, match="others may write"):
        cache.make_sure()
    assert cache.asked == []


@pytest.mark.parametrize("where", ["variable", "clone"])
def test_one_that_is_there_is_taken(cache: Cache, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.python(WORKS)
    if where == "variable":
        monkeypatch.setenv(PROGRAM_VARIABLE, "/opt/ministack")
    else:
        (cache.folder / ".aws-sim" / "bin").mkdir(parents=True)
        (cache.folder / ".aws-sim" / PROGRAM).touch()
    cache.make_sure()
    assert cache.asked == []
