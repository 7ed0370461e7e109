"""A command at a terminal of its own, as a person sees it and types at it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MULTICDN = (sys.executable, "-m", "multicdn")

_PATIENCE = 60.0


def _interruptible() -> None:
    """Let what is typed interrupt a process, though whoever runs the tests in the background is deaf to it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Shown:
    """A process whose streams are a terminal of 100 columns. A context manager, which kills what still runs.

    Attributes:
        text: all that it has shown by now.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.text = ""
        self._command = command
        self._environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_interruptible,
        )
        os.close(theirs)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def until(self, words: str) -> None:
        """Wait until it has shown something, from the beginning on."""
        until = time.monotonic() + _PATIENCE
        while words not in self.text:
            assert time.monotonic() < until, self.text
            assert self._read(), self.text

    def type(self, keys: str) -> None:
        """Type, as at a keyboard."""
        os.write(self._ours, keys.encode())

    def status(self) -> int:
        """Wait for its end, and return how it ended."""
        while self._read():
            pass
        return self._process.wait(_PATIENCE)

    def _read(self) -> bool:
        with contextlib.suppress(OSError):  # so Linux says that nobody is left at the other end
            if select.select([self._ours], [], [], _PATIENCE)[0] and (said := os.read(self._ours, 65_536)):
                self.text += said.decode(errors="replace").replace("\r\n", "\n")
                return True
        return False
