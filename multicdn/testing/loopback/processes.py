"""Servers for tests and demos: on a free port of this machine, and gone when we are, however we end."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LOOPBACK = "127.0.0.1"

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_POLL_INTERVAL = 0.01

# Seconds in which its folder must be gone, which may hold the code of many functions.
_REMOVAL = 30.0


class StartError(RuntimeError):
    """A server did not come up; the text says what it wrote."""


class Process:
    """A running program. It ends at ``stop``, or when this process ends, killed or not.

    Args:
        command: program and arguments.
        env: its whole environment.
        folder: made for this program alone: it holds the file ``log`` of all that the program writes, and is removed
            when the program has ended.
        grace: seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], folder: Path, grace: float = 5.0) -> None:
        self._program = Path(command[0]).name
        self._grace = grace
        # Kept open: the text can still be read when the folder has gone.
        self._log = (folder / "log").open("a+b")
        self._supervisor = subprocess.Popen(  # noqa: S603 - tests and demos say what to run
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(grace), str(folder), *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,  # so that Ctrl-C reaches us alone, and we stop it in order
        )

    @property
    def running(self) -> bool:
        """True until the program ends."""
        return self._supervisor.poll() is None

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until the program is ready.

        Raises:
            StartError: it ended, or it wasn't ready after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while self.running:
            if ready():
                return
            if time.monotonic() > deadline:
                message = f"{self._program} wasn't ready after {timeout:g} s; it wrote:\n{self.tail()}"
                raise StartError(message)
            time.sleep(_POLL_INTERVAL)
        message = f"{self._program} ended with status {self._supervisor.returncode}; it wrote:\n{self.tail()}"
        raise StartError(message)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of output; there is none any more after ``stop``."""
        if self._log.closed:
            return "(stopped)"
        self._log.seek(0)
        written = self._log.read().decode(errors="replace").splitlines()
        return "\n".join(written[-lines:]) or "(nothing)"

    def stop(self) -> None:
        """End the program and all that it started, and remove its folder. Does nothing if that is done."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        self._supervisor.wait(self._grace + _REMOVAL)
        self._log.close()


def free_port() -> int:
    """Pick a port that nobody listens on. Another program may take it before you do: be ready to try again."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Tell if somebody listens on a port of this machine."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
