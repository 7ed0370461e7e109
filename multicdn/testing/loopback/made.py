"""An environment of ministack in the user's cache directory, for those who have no clone: made once, then found."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from multicdn.errors import MulticdnError
from multicdn.installer.bundle.cache import is_our_own
from multicdn.testing.loopback.aws import MINISTACK, PROGRAM, PROGRAM_VARIABLE, find_program, own_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Seconds for all of pip's work on a slow line.
_LONGEST = 900

# pip tries five times, and waits between, before it says that there is no network.
_PIP = ("--quiet", "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--retries", "1")

_LAST_WORDS = 300


class NotMade(MulticdnError):
    """There is no AWS for loopback, and none could be made; the text says why, and what to do."""


def make_sure(say: Callable[[str], None]) -> None:
    """See to it that there is an AWS for loopback: make the user's own unless one is found.

    Args:
        say: is told in a line or two what takes its time.

    Raises:
        NotMade: it can't be made.
    """
    if find_program() != own_folder() / PROGRAM:
        return
    folder = own_folder()
    try:
        with _alone(folder, say):
            if not _is_whole(folder):
                say(f"Making an AWS for loopback in {folder}, once: some 70 MB ...")
                _make(folder)
    except OSError as error:
        raise NotMade(_sentence(f"{folder} can't be written: {error}")) from None


def _is_whole(folder: Path) -> bool:
    return (folder / ".done").exists() and os.access(folder / PROGRAM, os.X_OK)


@contextlib.contextmanager
def _alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Let nobody else make it meanwhile."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_our_own(folder.parent):
        raise NotMade(_sentence(f"others may write into {folder.parent}, and could put code there that would run"))
    with folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another multicdn makes an AWS for loopback; waiting for it ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path) -> None:
    # Programs of an environment name its path, so it is made in its place, and counts once the last file is written.
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    try:
        _run("-m", "venv", "--without-pip", str(folder))
        _run("-m", "pip", "--python", str(python), "install", *_PIP, *MINISTACK)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / ".done").touch()


def _run(*arguments: str) -> None:
    command = [sys.executable, *arguments]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_LONGEST)  # noqa: S603 - our own
    except subprocess.CalledProcessError as error:
        raise NotMade(_sentence(_why(error))) from None
    except subprocess.TimeoutExpired:
        raise NotMade(_sentence(f"it took more than {_LONGEST // 60} minutes")) from None


def _why(error: subprocess.CalledProcessError) -> str:
    written = f"{error.stdout}\n{error.stderr}"
    if "from versions: none" in written:
        return "pip can't reach a package index, or finds no ministack in it"
    lines = [line.strip() for line in written.splitlines() if line.strip()]
    return lines[-1][:_LAST_WORDS] if lines else f"{error.cmd[2]} ended with status {error.returncode}"


def _sentence(why: str) -> str:
    """What to do without us. Both commands work where a network, or a mirror that pip knows, is at hand."""
    place = "~/aws-sim"
    how = f"python3 -m venv {place} && {place}/bin/python -m pip install {' '.join(MINISTACK)}"
    return (
        f"no AWS for loopback could be made: {why}. It is fetched from the package index once, by pip, whose settings "
        f"count (PIP_INDEX_URL). Try again with a network, or make it by hand: {how}; "
        f"export {PROGRAM_VARIABLE}={place}/{PROGRAM}"
    )
